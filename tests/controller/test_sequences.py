"""The reference controller does what OpenKruise did: the recorded sequences, played on the embedded cluster."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.cluster.embedded import EmbeddedCluster
from tests import garbage
from tests.controller import compare, record
from tests.controller.compare import KNOWN, differences, verdict
from tests.controller.record import FOLDER, Recording, Step
from tests.controller.sequences import ALL, Sequence

IMAGES = Path(__file__).parent / "images"
QUICK = [one for one in ALL if one.quick]
AT_ONCE = 6  # sequences mostly wait; more would only wait for the processor

CLIENTS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""The official client leaves its connections to the garbage collector."""


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    made = EmbeddedCluster(images=[IMAGES])
    made.preflight([])
    try:
        made.up()
        yield made
    finally:
        made.down()
        garbage.collect()


def played(cluster: EmbeddedCluster, sequences: list[Sequence]) -> list[str]:
    """What is wrong with them."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        recordings = pool.map(lambda one: one.play(cluster.client()), sequences)
        return [line for one in recordings for line in verdict(record.read(one.sequence), one)]


@CLIENTS
@pytest.mark.integration
def test_quick_sequences_go_as_they_went_with_kruise(cluster: EmbeddedCluster) -> None:
    assert played(cluster, QUICK) == []


@CLIENTS
@pytest.mark.conformance
def test_every_sequence_goes_as_it_went_with_kruise(cluster: EmbeddedCluster) -> None:
    assert played(cluster, list(ALL)) == []


def test_there_is_a_recording_of_every_sequence_and_none_beside() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == {one.name for one in ALL}
    assert len(ALL) == 27


def test_the_steps_of_a_sequence_are_those_of_its_recording() -> None:
    for one in ALL:
        recorded = [step.step for step in record.read(one.name).steps if step.containers is None]
        assert [do.what for do in one.steps] == recorded, one.name


def test_a_recording_is_as_itself() -> None:
    for one in ALL:
        assert differences(record.read(one.name), record.read(one.name)) == []


def changed(name: str, **change: object) -> Recording:
    recording = record.read(name)
    last = recording.steps[-1].model_copy(update=change)
    return recording.model_copy(update={"steps": [*recording.steps[:-1], last]})


def test_a_difference_that_nobody_explained_is_told_with_its_step() -> None:
    wrong = verdict(record.read("cold"), changed("cold", error={"code": 500}))
    assert wrong == ["cold: v2.refused: false | true"]


def test_a_known_difference_is_one_of_its_steps_only() -> None:
    sequence = "image-is-empty"
    assert verdict(record.read(sequence), changed(sequence, error={"code": 500})) == []
    first = record.read(sequence)
    first.steps[0] = first.steps[0].model_copy(update={"error": {"code": 500}})
    assert verdict(record.read(sequence), first) == [f"{sequence}: create set.refused: false | true"]


def test_a_known_difference_that_is_not_seen_any_more_is_told() -> None:
    (line,) = verdict(record.read("image-is-empty"), record.read("image-is-empty"))
    assert "not seen any more" in line


def test_known_differences_are_explained_in_the_documents() -> None:
    text = (Path(__file__).parents[2] / "docs" / "kruise.md").read_text()
    assert all(f"| {name} |" in text for name in KNOWN)


def test_symbols_are_numbered_by_size_for_versions_and_by_appearance_for_the_rest() -> None:
    pods = [{"name": "@pod-:b@", "v": "@rv:200@"}, {"name": "@pod-:a@", "v": "@rv:99@"}]
    (step,) = Recording(sequence="s", steps=[Step(step="one", pods=pods)]).settled().steps
    assert step.pods == [{"name": "pod-1", "v": "rv2"}, {"name": "pod-2", "v": "rv1"}]


def test_the_pattern_of_symbols_counts_and_not_their_names() -> None:
    pod: dict[str, object] = {"containers": [], "conditions": {}}
    one = Step(step="s", pods=[{**pod, "a": "hash4", "b": "hash4", "v": "rv7", "w": "rv9"}])
    same = Step(step="s", pods=[{**pod, "a": "hash1", "b": "hash1", "v": "rv2", "w": "rv3"}])
    other = Step(step="s", pods=[{**pod, "a": "hash1", "b": "hash2", "v": "rv2", "w": "rv3"}])
    assert compare.comparable(one) == compare.comparable(same) != compare.comparable(other)
