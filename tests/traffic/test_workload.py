from pathlib import Path
from random import Random

import pytest

from harness.errors import InputError
from harness.traffic import workload
from harness.traffic.workload import Generator, PodsOf, Target
from tests.site import SITE

TARGETS = [Target("app-a", "10.0.0.1", 9091), Target("app-b", "fd00::1", 9092)]
SUBJECT = PodsOf("team", {"app": "demo"})
VARIABLES = workload.environment(TARGETS, ["post", "stream"], "x-sidecar-version", 0.5)


def generator(lap: int = 1) -> Generator:
    return Generator(SITE, lap, "loadgen:v1", VARIABLES, SUBJECT)


def test_the_environment_is_what_the_locust_files_read() -> None:
    from loadtests import settings

    read = settings.read(VARIABLES)
    assert [(target.pod, target.host, target.port) for target in read.targets] == [
        (target.pod, target.ip, target.port) for target in TARGETS
    ]
    assert [traffic.name for traffic in read.classes] == ["post", "stream"]
    assert (read.version_header, read.pace, read.ledger_port) == ("x-sidecar-version", 0.5, 8090)


def test_the_locust_files_of_the_checkout_are_the_config_map() -> None:
    data = workload.config_map(SITE, 1)["data"]
    assert {"__init__.py", "locustfile.py", "client.py"} <= set(data)
    assert all(text == (workload.LOADTESTS / name).read_text() for name, text in data.items())


def test_a_missing_checkout_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run hotupgrade from a checkout"):
        workload.config_map(SITE, 1, tmp_path)


def test_a_worker_finds_its_master_and_its_locust_files() -> None:
    pod = generator(lap=2).worker(1, "10.0.0.9")
    container = pod["spec"]["containers"][0]
    assert pod["metadata"]["name"] == "loadgen-2-worker-1"
    assert container["args"] == ["--worker", "--master-host", "10.0.0.9", "--master-port", "5557"]
    assert container["volumeMounts"] == [
        {"name": "loadtests", "mountPath": "/loadtests/loadtests", "readOnly": True}
    ]
    assert pod["spec"]["volumes"] == [{"name": "loadtests", "configMap": {"name": "loadgen-2"}}]
    assert {variable["name"]: variable["value"] for variable in container["env"]} == VARIABLES


def test_a_pod_of_the_load_generator_is_never_restarted() -> None:
    for pod in (
        generator().master(),
        generator().worker(0, "10.0.0.9"),
    ):
        assert pod["spec"]["restartPolicy"] == "Never"


def test_the_application_is_a_deployment_whose_pods_carry_the_labels() -> None:
    deployment = workload.app_deployment(SITE, 1, {"app": "demo"}, replicas=3)
    assert deployment["spec"]["replicas"] == 3
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels == {**SITE.labels, "app": "demo"}
    probe = template["spec"]["containers"][0]["readinessProbe"]
    assert (probe["httpGet"], probe["periodSeconds"]) == ({"path": "/healthz", "port": 8081}, 1)


def test_the_load_prefers_another_node_than_the_pods_under_test_wherever_they_are() -> None:
    for pod in (generator().master(), generator().worker(0, "10.0.0.9")):
        (preferred,) = pod["spec"]["affinity"]["podAntiAffinity"][
            "preferredDuringSchedulingIgnoredDuringExecution"
        ]
        assert preferred["podAffinityTerm"] == {
            "topologyKey": "kubernetes.io/hostname",
            "namespaces": ["team"],
            "labelSelector": {"matchLabels": {"app": "demo"}},
        }


def test_the_applications_pods_spread_over_nodes_where_there_are_several() -> None:
    template = workload.app_deployment(SITE, 1, {"app": "demo"})["spec"]["template"]
    (spread,) = template["spec"]["topologySpreadConstraints"]
    assert (spread["whenUnsatisfiable"], spread["maxSkew"]) == ("ScheduleAnyway", 1)
    assert spread["labelSelector"]["matchLabels"] == template["metadata"]["labels"]


def test_requests_of_the_users_own_reach_the_locust_files() -> None:
    from loadtests import settings

    spec = '{"requests": [{"method": "GET", "path": "/x", "headers": {}, "body": "", "expect": {}}]}'
    read = settings.read(workload.environment(TARGETS, ["keep-alive"], None, 1.0, spec))
    data = read.classes[0].compose(read.targets[0], b"c-1", Random(1)).data
    assert data == b"GET /x HTTP/1.1\r\nHost: 10.0.0.1:9091\r\nx-request-id: c-1\r\n\r\n"


def test_the_service_in_front_selects_the_pods_and_has_the_sidecars_port() -> None:
    made = workload.service(SITE, 2, "team", {"app": "demo"}, 9191)
    assert made["metadata"] == {"name": "hotupgrade-1-2", "namespace": "team", "labels": SITE.labels}
    assert made["spec"] == {"selector": {"app": "demo"}, "ports": [{"port": 9191, "targetPort": 9191}]}
