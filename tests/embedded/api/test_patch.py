from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.embedded.api import patch, strategic
from harness.embedded.api.storage import clone
from harness.embedded.seams import ApiError, Object

Json = st.recursive(
    st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
Objects = st.dictionaries(st.sampled_from("abc"), Json, max_size=3)


def without_empty_nulls(before: Object, after: Object) -> Object:
    """A merge patch that turns one object into the other."""
    made: Object = {name: None for name in before if name not in after}
    for name, value in after.items():
        if isinstance(value, dict) and isinstance(before.get(name), dict):
            made[name] = without_empty_nulls(before[name], value)
        else:
            made[name] = value
    return made


@given(Objects, Objects)
def test_a_merge_patch_leads_from_any_object_to_any_other(before: Object, after: Object) -> None:
    kept = clone(before)
    assert patch.merge(before, without_empty_nulls(before, after)) == after
    assert before == kept


def test_a_merge_patch_replaces_lists_and_drops_nulls() -> None:
    merged = patch.merge(
        {"a": [1, 2], "b": {"c": 1, "d": 2}, "e": 3}, {"a": [3], "b": {"c": None}, "e": {"f": None}}
    )
    assert merged == {"a": [3], "b": {"d": 2}, "e": {}}


def test_a_json_patch_that_does_not_apply_is_refused_by_what_is_wrong() -> None:
    with pytest.raises(ApiError) as caught:
        patch.json_patch({"a": 1}, [{"op": "test", "path": "/a", "value": 2}])
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    with pytest.raises(ApiError) as caught:
        patch.json_patch({"a": 1}, [{"op": "remove", "path": "/b"}])
    assert caught.value.code == 422
    for nonsense in ({"op": "add"}, [{"op": "fly", "path": "/a"}], [1], [{"path": "/a"}]):
        with pytest.raises(ApiError) as caught:
            patch.json_patch({"a": 1}, nonsense)
        assert caught.value.code == 400


def test_patch_types_that_are_not_served_are_refused_and_say_why() -> None:
    for media_type, shape, told in (
        ("application/apply-patch+yaml", strategic.PLAIN, "server-side apply"),
        (patch.STRATEGIC_PATCH, None, "built-in kinds only"),
        ("text/plain", strategic.PLAIN, "unknown format"),
    ):
        with pytest.raises(ApiError, match=told) as caught:
            patch.apply({}, {}, media_type, shape)
        assert caught.value.code == 415


# -- strategic ----------------------------------------------------------------------------------------------

POD = strategic.shape_of("pods")


def spec(*containers: Object, **rest: object) -> Object:
    return {"spec": {"containers": list(containers), **rest}}


def names(result: Object) -> list[str]:
    return [container["name"] for container in result["spec"]["containers"]]


def test_lists_are_merged_by_their_key_and_new_items_go_in_front() -> None:
    before = spec(
        {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b", "image": "1"}
    )
    change = spec(
        {"name": "new", "image": "1"}, {"name": "a", "image": "2", "env": [{"name": "Y", "value": "2"}]}
    )
    result = strategic.merge(before, change, POD)
    assert result == spec(
        {"name": "new", "image": "1"},
        {"name": "a", "image": "2", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]},
        {"name": "b", "image": "1"},
    )


def test_set_element_order_places_new_items_and_leaves_the_servers_own_where_they_are() -> None:
    before = spec({"name": "a"}, {"name": "injected"}, {"name": "b"})
    change = spec({"name": "c"})
    change["spec"]["$setElementOrder/containers"] = [{"name": "b"}, {"name": "c"}, {"name": "a"}]
    assert names(strategic.merge(before, change, POD)) == ["injected", "b", "c", "a"]


def test_an_order_alone_reorders() -> None:
    change = {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}
    assert names(strategic.merge(spec({"name": "a"}, {"name": "b"}), change, POD)) == ["b", "a"]


def test_items_can_be_deleted_and_lists_replaced() -> None:
    before = spec({"name": "a"}, {"name": "b"})
    assert names(strategic.merge(before, spec({"name": "a", "$patch": "delete"}), POD)) == ["b"]
    assert names(strategic.merge(before, spec({"name": "c"}, {"$patch": "replace"}), POD)) == ["c"]


def test_objects_can_be_replaced_and_deleted() -> None:
    before = {"metadata": {"labels": {"a": "1", "b": "2"}}}
    replaced = strategic.merge(before, {"metadata": {"labels": {"$patch": "replace", "c": "3"}}}, POD)
    assert replaced == {"metadata": {"labels": {"c": "3"}}}
    deleted = strategic.merge(before, {"metadata": {"labels": {"$patch": "delete"}}}, POD)
    assert deleted == {"metadata": {"labels": {}}}


def test_retain_keys_drops_the_rest() -> None:
    before = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    change = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    result = strategic.merge(before, change, strategic.shape_of("deployments.apps"))
    assert result == {"spec": {"strategy": {"type": "Recreate"}}}
    change["spec"]["strategy"]["$retainKeys"] = ["rollingUpdate"]
    with pytest.raises(ApiError, match=r"\$retainKeys"):
        strategic.merge(before, change, POD)


def test_values_are_taken_out_of_a_set() -> None:
    before = {"metadata": {"finalizers": ["a", "b", "c"]}}
    change: Object = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["b"], "finalizers": ["d"]}}
    result = strategic.merge(before, change, POD)
    assert sorted(result["metadata"]["finalizers"]) == ["a", "c", "d"]


def test_lists_without_a_merge_key_are_replaced() -> None:
    before = spec({"name": "a", "command": ["x", "y"]}, tolerations=[{"key": "a"}])
    result = strategic.merge(before, spec({"name": "a", "command": ["z"]}, tolerations=[{"key": "b"}]), POD)
    assert result == spec({"name": "a", "command": ["z"]}, tolerations=[{"key": "b"}])


def test_a_patch_that_contradicts_itself_is_refused() -> None:
    for change in (
        spec({"image": "no-name"}),
        {"spec": {"$patch": "explode"}},
        {"spec": {"$setElementOrder/containers": "a"}},
    ):
        with pytest.raises(ApiError) as caught:
            strategic.merge(spec({"name": "a"}), change, POD)
        assert caught.value.code == 400


Names = st.lists(st.sampled_from("abcdef"), unique=True, max_size=5)


@given(Names, Names)
def test_every_item_of_both_lists_is_there_once_in_the_order_of_the_patch(
    server: list[str], wanted: list[str]
) -> None:
    before, change = spec(*({"name": n} for n in server)), spec(*({"name": n} for n in wanted))
    change["spec"]["$setElementOrder/containers"] = [{"name": n} for n in wanted]
    result = names(strategic.merge(before, change, POD))
    assert sorted(result) == sorted({*server, *wanted})
    assert [name for name in result if name in wanted] == wanted
    assert [name for name in result if name not in wanted] == [name for name in server if name not in wanted]
