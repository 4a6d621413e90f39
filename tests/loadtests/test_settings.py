import hashlib
from random import Random

import pytest

from harness.traffic.load import CLASSES as KNOWN
from harness.traffic.load import SERVICE_CLASS
from loadtests import settings
from loadtests.classes import CLASSES, MAX_BODY_BYTES, MIN_BODY_BYTES, EchoRequest
from loadtests.client import Address

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
    assert tuple(CLASSES) == (*KNOWN, SERVICE_CLASS)
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


def test_every_class_has_100_requests_sent_or_in_flight_in_2_s_and_all_make_20_000_in_22_s() -> None:
    rates = {name: traffic.clients / traffic.interval_s for name, traffic in CLASSES.items()}
    in_flight = {"stream": CLASSES["stream"].clients}  # a stream lasts nearly as long as its interval
    assert all(rate * 2 + in_flight.get(name, 0) >= 100 for name, rate in rates.items())
    assert 20_000 / 22 < sum(rates.values()) < 1300


def test_a_post_carries_a_random_body_of_1_to_16_kib_and_expects_its_hash() -> None:
    random = Random(7)
    bodies = set()
    for number in range(50):
        request = CLASSES["post"].compose(b"a:1", b"c-%d" % number, random)
        assert isinstance(request, EchoRequest)
        head, _, body = request.data.partition(b"\r\n\r\n")
        assert MIN_BODY_BYTES <= len(body) <= MAX_BODY_BYTES
        assert b"Content-Length: %d" % len(body) in head
        assert request.digest == hashlib.sha256(body).hexdigest().encode()
        assert request.expected == b"c-%d %b\n" % (number, request.digest)
        bodies.add(body)
    assert len(bodies) == 50


@pytest.mark.parametrize("name", KNOWN)
def test_a_request_names_its_host_and_its_id(name: str) -> None:
    head = CLASSES[name].compose(b"10.0.0.1:9091", b"c-17", Random(7)).data.partition(b"\r\n\r\n")[0]
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
    assert volumes == {"new-connection": 2, "keep-alive": 2, "idle-keep-alive": 1, "post": 2, "stream": 1}
