from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.embedded.api.storage import (
    FIRST_REVISION,
    Change,
    Exists,
    Key,
    Stale,
    Storage,
    TooOld,
    clone,
    follow,
)
from harness.embedded.seams import Object


def key(name: str = "a") -> Key:
    return Key("things", "ns", name)


def thing(value: int = 0, name: str = "a") -> Object:
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": {"value": value}}


def test_the_revision_is_global_and_never_one() -> None:
    storage = Storage()
    first = storage.add(key("a"), thing())
    second = storage.add(Key("others", "", "x"), {"metadata": {"name": "x"}})
    assert FIRST_REVISION < first.revision < second.revision
    assert first.object["metadata"]["resourceVersion"] == str(first.revision)


def test_the_same_state_again_is_not_a_write() -> None:
    storage = Storage()
    stored = storage.add(key(), thing())
    assert storage.replace(key(), stored, clone(stored.object)) is stored
    assert storage.revision == stored.revision
    assert storage.replace(key(), stored, thing(1)).revision == stored.revision + 1


def test_a_write_over_something_else_than_was_seen_changes_nothing() -> None:
    storage = Storage()
    stored = storage.add(key(), thing())
    newer = storage.replace(key(), stored, thing(1))
    with pytest.raises(Stale):
        storage.replace(key(), stored, thing(2))
    with pytest.raises(Stale):
        storage.remove(key(), stored)
    with pytest.raises(Exists):
        storage.add(key(), thing(3))
    assert storage.get(key()) is newer
    assert storage.revision == newer.revision


def test_a_deletion_is_told_with_the_last_state_and_a_revision_of_its_own() -> None:
    storage = Storage()
    stored = storage.add(key(), thing(7))
    removed = storage.remove(key(), stored)
    (change,) = storage.since("things", stored.revision)
    assert change == Change("DELETED", key(), stored, removed)
    assert removed.object["spec"] == {"value": 7}
    assert int(removed.object["metadata"]["resourceVersion"]) == stored.revision + 1


def test_the_log_is_cut_and_says_so() -> None:
    storage = Storage(log_length=4)
    stored = storage.add(key(), thing())
    start = stored.revision
    for value in range(1, 12):
        stored = storage.replace(key(), stored, thing(value))
    with pytest.raises(TooOld):
        storage.since("things", start)
    kept = storage.since("things", stored.revision - 4)
    assert [change.after.object["spec"]["value"] for change in kept] == [8, 9, 10, 11]


def test_a_pinned_cursor_keeps_what_it_has_not_read() -> None:
    storage = Storage(log_length=4)
    stored = storage.add(key(), thing())
    cursor = storage.follow("things", pinned=True)
    for value in range(1, 30):
        stored = storage.replace(key(), stored, thing(value))
    assert len(storage.since("things", cursor.revision)) == 29
    cursor.close()
    for value in range(30, 40):
        stored = storage.replace(key(), stored, thing(value))
    with pytest.raises(TooOld):
        storage.since("things", cursor.revision)


async def test_a_cursor_wakes_for_a_change_and_for_the_end() -> None:
    storage = Storage()
    cursor = storage.follow("things")
    reading = asyncio.create_task(cursor.read())
    await asyncio.sleep(0)
    storage.add(Key("others", "", "x"), {"metadata": {"name": "x"}})
    await asyncio.sleep(0)
    assert not reading.done()
    storage.add(key(), thing())
    assert [change.type for change in await reading] == ["ADDED"]
    reading = asyncio.create_task(cursor.read())
    await asyncio.sleep(0)
    storage.close()
    assert await reading == []


@pytest.mark.looptime
async def test_a_cursor_gives_up_when_its_time_is_over() -> None:
    storage = Storage()
    cursor = storage.follow("things")
    assert await cursor.read(30.0) == []
    assert asyncio.get_running_loop().time() >= 30


async def test_a_reader_in_the_process_sees_what_is_there_then_every_change_once() -> None:
    storage = Storage(log_length=2)
    stored = storage.add(key(), thing())
    seen = []
    reader = follow(storage, "things")
    async for change in reader:
        seen.append(change and (change.type, change.after.object["spec"]["value"]))
        if change is None:
            for value in range(1, 10):
                stored = storage.replace(key(), stored, thing(value))
            storage.remove(key(), stored)
        elif change.type == "DELETED":
            break
    await reader.aclose()  # type: ignore[attr-defined]  # a generator
    assert seen == [("ADDED", 0), None, *(("MODIFIED", value) for value in range(1, 10)), ("DELETED", 9)]
    assert storage.followers() == 0


Writes = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "drop"]), st.integers(0, 3)), max_size=40
)


@given(Writes, st.integers(0, 40))
def test_replaying_the_log_over_an_earlier_list_gives_the_present(
    writes: list[tuple[str, str, int]], split: int
) -> None:
    storage = Storage()
    earlier: dict[str, Object] = {}
    revision = storage.revision
    for index, (name, verb, value) in enumerate(writes):
        if index == split:
            revision = storage.revision
            earlier = {item.object["metadata"]["name"]: item.object for item in storage.all("things")}
        stored = storage.get(key(name))
        if stored is None and verb == "put":
            storage.add(key(name), thing(value, name))
        elif stored is not None and verb == "put":
            storage.replace(key(name), stored, thing(value, name))
        elif stored is not None:
            storage.remove(key(name), stored)
    for change in storage.since("things", revision):
        if change.type == "DELETED":
            del earlier[change.key.name]
        else:
            earlier[change.key.name] = change.after.object
    assert earlier == {item.object["metadata"]["name"]: item.object for item in storage.all("things")}
