"""The two hashes."""

from __future__ import annotations

from typing import Any

import pytest

from harness.sidecarset import hashing
from harness.sidecarset.names import Object


def spec(**fields: Any) -> Object:
    return {"containers": [{"name": "container1", "image": "test-image", **fields}]}


def test_the_known_vector_comes_out() -> None:
    assert hashing.full(spec()) == "w26c4x8fz245642fdv499b464248f974xddx4x55z5dw55bc6x66464fxz77dc78"


def test_a_digest_has_64_characters_of_the_alphabet() -> None:
    assert len(hashing.full(spec())) == 64
    assert set(hashing.full(spec())) <= set(hashing.ALPHABET)


def test_order_of_fields_and_empty_fields_do_not_matter() -> None:
    one = spec(env=[{"name": "A", "value": "b"}], args=[])
    other = {
        "containers": [{"env": [{"value": "b", "name": "A"}], "image": "test-image", "name": "container1"}]
    }
    assert hashing.full(one) == hashing.full(other)


def test_an_image_is_in_one_hash_and_the_empty_image_in_both() -> None:
    other = spec(image="other")
    assert hashing.full(spec()) != hashing.full(other)
    assert hashing.without_image(spec()) == hashing.without_image(other)
    hot = spec(upgradeStrategy={"hotUpgradeEmptyImage": "empty"})
    assert hashing.without_image(spec()) != hashing.without_image(hot)


@pytest.mark.parametrize(("policy", "counts"), [("Always", True), (None, False)])
def test_init_containers_count_only_when_one_of_them_keeps_running(policy: str | None, counts: bool) -> None:
    init = {"name": "init", "image": "a", **({"restartPolicy": policy} if policy else {})}
    assert (hashing.full({**spec(), "initContainers": [init]}) != hashing.full(spec())) is counts


@pytest.mark.parametrize(
    "field", ["volumes", "imagePullSecrets", "patchPodMetadata", "selector", "updateStrategy"]
)
def test_everything_else_is_outside(field: str) -> None:
    assert hashing.full({**spec(), field: [{"name": "x"}]}) == hashing.full(spec())
