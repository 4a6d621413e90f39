import time

from harness.record.ledger import LoadLedger
from harness.traffic.kept import Kept
from loadtests import ledger
from loadtests.effort import Effort
from tests.record.slots import unpacked

START = 1000.0


def played(kept: ledger.Ledger, client: ledger.Client, seconds: range, version: str = "v1") -> None:
    """One request a second, and a connection that ends with it."""
    for second in seconds:
        at = START + second
        connection = ledger.Connection(at)
        client.connections.append(connection)
        client.answered(client.begin(at), at + 0.25, version)
        connection.end("told", at + 0.5)
        kept.efforts.append(Effort(1.0, at - ledger.CLOCK_OFFSET_S, 1, 1, 0, 0.5))


def body(kept: ledger.Ledger, since: float) -> bytes:
    return LoadLedger.model_validate(kept.document(since)).model_dump_json(by_alias=True).encode()


def test_the_recent_ledgers_of_a_worker_make_up_its_whole_ledger() -> None:
    worker = ledger.Ledger("worker-0", START)
    client = worker.client("w.keep-alive.0", "keep-alive", "pod-1")
    kept = Kept()
    for turn in range(6):
        played(worker, client, range(turn * 10, turn * 10 + 10))
        kept.add(body(worker, START + turn * 10 - 15))
    found, whole = kept.ledger(), LoadLedger.model_validate(worker.document())
    assert found is not None
    assert found.model_copy(update={"saturation": whole.saturation}) == whole
    assert (len(unpacked(found.series)), len(found.efforts)) == (120, 60)
    assert found.stopped is None


def test_a_pause_and_a_version_that_comes_and_goes_are_kept_as_they_were() -> None:
    worker = ledger.Ledger("worker-0", START)
    client, kept = worker.client("w.keep-alive.0", "keep-alive", "pod-1"), Kept()
    for begins, version in ((0, "v1"), (70, "v2"), (140, "v1")):
        played(worker, client, range(begins, begins + 10), version)
        kept.add(body(worker, START + begins - 5))
    found, whole = kept.ledger(), LoadLedger.model_validate(worker.document())
    assert found is not None
    assert found.series == whole.series
    assert [sum(answers) for answers in found.series[0].versions.values()] == [20, 10]


def test_what_changed_since_the_last_time_counts_as_it_came_last() -> None:
    worker = ledger.Ledger("worker-0", START)
    client, kept = worker.client("w.stream.0", "stream", "pod-1"), Kept()
    client.connections.append(ledger.Connection(START + 1))
    sequence = client.begin(START + 2)
    kept.add(body(worker, START))
    client.answered(sequence, START + 9, "v1")
    client.connections[0].end("closed", START + 9)
    kept.add(body(worker, START))
    found = kept.ledger()
    assert found is not None
    assert [(slot.at - START, slot.sent, slot.answered) for slot in unpacked(found.series)] == [
        (2, 1, 1),
        (9, 0, 0),
    ]
    assert [connection.how for connection in found.connections] == ["closed"]


def test_of_a_worker_that_never_answered_nothing_is_kept() -> None:
    assert Kept().ledger() is None


def test_a_long_run_is_kept_in_little() -> None:
    now = time.time()
    worker = ledger.Ledger("worker-0", now)
    for number in range(20):
        client = worker.client(f"w.post.{number}", "post", f"pod-{number % 2}")
        for sent in range(500):
            at = now + sent / 10
            client.answered(client.begin(at), at + 0.001 + sent % 7 / 1000, "v1")
    kept, document = Kept(), body(worker, now + 25)
    kept.add(document)
    assert sum(map(len, kept._parts)) < len(document) / 5
