import hashlib
from random import Random

import pytest

from harness.record.classes import FEATURES, THROUGH_SERVICE, USUAL
from loadtests import settings
from loadtests.classes import CLASSES
from loadtests.client import Address
from loadtests.compose import MAX_BODY_BYTES, MIN_BODY_BYTES, EchoRequest

EXTENDED = tuple(name for name in FEATURES if name not in (*USUAL, THROUGH_SERVICE))
KNOWN = (*USUAL, *EXTENDED)
HERE = Address("a", "10.0.0.1", 9091, beyond=Address("b", "10.0.0.2", 9091))
TWO = "a=10.0.0.1:9091,b=[fd00::1]:9091"


def test_targets_are_pods_with_addresses() -> None:
    read = settings.read({"TARGETS": TWO})
    assert read.targets == [Address("a", "10.0.0.1", 9091), Address("b", "fd00::1", 9091)]


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({}, "TARGETS"),
        ({"TARGETS": "a"}, "TARGETS"),
        ({"TARGETS": "a=10.0.0.1"}, "TARGETS"),
        ({"TARGETS": TWO, "CLASSES": "keep-alive,h9"}, "CLASSES: 'h9'"),
        ({"TARGETS": TWO, "PACE": "0"}, "PACE"),
        ({"TARGETS": TWO, "SHAPE": "sine"}, "SHAPE: 'sine' is no shape"),
    ],
)
def test_a_wrong_variable_is_named(variables: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        settings.read(variables)


def test_the_harness_knows_the_classes() -> None:
    assert tuple(CLASSES) == (*USUAL, *EXTENDED, THROUGH_SERVICE)
    assert [traffic.name for traffic in settings.read({"TARGETS": TWO}).classes] == list(KNOWN)


@pytest.mark.parametrize("pods", [1, 2, 3, 7])
def test_each_pod_gets_the_same_clients_and_the_rate_does_not_depend_on_their_number(pods: int) -> None:
    targets = ",".join(f"pod-{number}=10.0.0.{number}:9091" for number in range(1, pods + 1))
    read = settings.read({"TARGETS": targets})
    for traffic in read.classes:
        assert read.clients(traffic) % pods == 0
        if traffic.paced:
            rate = read.clients(traffic) / read.interval_s(traffic)
            assert rate == pytest.approx(traffic.clients / traffic.interval_s)


def per_second(name: str) -> float:
    traffic = CLASSES[name]
    return traffic.clients * traffic.batch / traffic.interval_s


def test_every_class_has_100_requests_in_2_s_or_always_some_in_flight() -> None:
    lasting = {name: traffic for name, traffic in CLASSES.items() if traffic.lasts_s or name == "stream"}
    assert all(per_second(name) * 2 >= 100 for name in CLASSES if name not in lasting)
    assert per_second("stream") * 2 + CLASSES["stream"].clients >= 100
    for name in ("slow-upload", "long-stream"):
        assert lasting[name].clients >= 20
        assert lasting[name].lasts_s > lasting[name].interval_s * 0.9


def test_the_usual_classes_make_20_000_requests_in_22_s_and_the_others_about_250_a_second() -> None:
    assert 20_000 / 22 < sum(per_second(name) for name in (*USUAL, THROUGH_SERVICE)) < 1300
    assert sum(per_second(name) for name in EXTENDED) < 260


def test_what_every_sidecar_owes_is_core() -> None:
    core = [name for name, traffic in CLASSES.items() if traffic.profile == "core"]
    assert core == ["new-connection", "keep-alive", "post", "stream"]


def test_requests_of_some_classes_go_on_from_each_pod_to_the_next() -> None:
    read = settings.read({"TARGETS": TWO, "CLASSES": "egress,connect"})
    for traffic in read.classes:
        ways = [(one.pod, one.beyond.pod if one.beyond else None) for one in read.addresses(traffic)]
        assert ways == [("a", "b"), ("b", "a")]


def test_a_single_pod_passes_requests_on_to_itself() -> None:
    read = settings.read({"TARGETS": "a=10.0.0.1:9091", "CLASSES": "egress"})
    (address,) = read.addresses(read.classes[0])
    assert address.beyond == Address("a", "10.0.0.1", 9091)


def test_a_long_stream_may_be_made_longer() -> None:
    (traffic,) = settings.read({"TARGETS": TWO, "CLASSES": "long-stream", "LONG_STREAM_S": "30"}).classes
    assert (traffic.lasts_s, traffic.interval_s) == (30, 30.5)
    assert b"events=300&" in traffic.compose(HERE, b"c-1", Random(1)).data
    with pytest.raises(ValueError, match="LONG_STREAM_S: more than 0"):
        settings.read({"TARGETS": TWO, "CLASSES": "long-stream", "LONG_STREAM_S": "0"})


def test_an_upload_in_pieces_is_one_request_with_its_length_told_or_in_chunks() -> None:
    framings = set()
    for number in range(20):
        request = CLASSES["slow-upload"].compose(HERE, b"c-%d" % number, Random(number))
        assert b"".join(piece.data for piece in request.pieces) == request.data
        assert 2.5 <= request.pieces[-1].at_s <= CLASSES["slow-upload"].lasts_s
        head, _, body = request.data.partition(b"\r\n\r\n")
        chunked = b"chunked" in head
        framings.add(chunked)
        assert chunked or hashlib.sha256(body).hexdigest().encode() == request.digest
    assert framings == {True, False}


def test_a_post_carries_a_random_body_of_1_to_16_kib_and_expects_its_hash() -> None:
    random = Random(7)
    bodies = set()
    for number in range(50):
        request = CLASSES["post"].compose(HERE, b"c-%d" % number, random)
        assert isinstance(request, EchoRequest)
        head, _, body = request.data.partition(b"\r\n\r\n")
        assert MIN_BODY_BYTES <= len(body) <= MAX_BODY_BYTES
        assert b"Content-Length: %d" % len(body) in head
        assert request.digest == hashlib.sha256(body).hexdigest().encode()
        assert request.expected == b"c-%d %b\n" % (number, request.digest)
        bodies.add(body)
    assert len(bodies) == 50


@pytest.mark.parametrize("name", USUAL)
def test_a_request_names_its_host_and_its_id(name: str) -> None:
    head = CLASSES[name].compose(HERE, b"c-17", Random(7)).data.partition(b"\r\n\r\n")[0]
    assert b"\r\nHost: 10.0.0.1:9091" in head
    assert b"\r\nx-request-id: c-17" in head


def test_the_class_service_goes_to_the_service_and_all_others_to_the_pods() -> None:
    read = settings.read({"TARGETS": TWO, "SERVICE": "10.96.0.9:9091"})
    where = {traffic.name: read.addresses(traffic) for traffic in read.classes}
    assert where.pop("service") == [Address("service", "10.96.0.9", 9091)]
    assert all([address.pod for address in addresses] == ["a", "b"] for addresses in where.values())


def test_without_a_service_there_is_no_such_class() -> None:
    assert "service" not in {traffic.name for traffic in settings.read({"TARGETS": TWO}).classes}
    with pytest.raises(ValueError, match="SERVICE: host:port expected"):
        settings.read({"TARGETS": TWO, "CLASSES": "service"})


def test_the_paced_classes_follow_the_shape_and_the_others_stay_as_they_are() -> None:
    read = settings.read({"TARGETS": TWO, "SHAPE": "constant:2"})
    volumes = {traffic.name: read.shape_of(traffic).volume(1.0) for traffic in read.classes}
    assert volumes == {traffic.name: 2 if traffic.paced else 1 for traffic in read.classes}
    assert {"keep-alive", "post"} < {name for name, volume in volumes.items() if volume == 2}
