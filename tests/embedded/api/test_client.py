"""The official client against a real server on loopback."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import kubernetes.watch
import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream

from harness.embedded.seams import CONFIGMAPS
from tests.embedded.api.local import TOKEN, WITHIN_S, Cluster, eventually, pod_body

pytestmark = pytest.mark.integration
Watch: Any = kubernetes.watch.Watch


@pytest.fixture
def core(api: client.ApiClient) -> Any:
    return client.CoreV1Api(api)


@pytest.fixture
def namespace(cluster: Cluster, core: Any) -> Iterator[str]:
    name = core.create_namespace({"metadata": {"generateName": "test-"}}).metadata.name
    yield name
    body = core.read_namespace(name)
    core.delete_namespace(name)
    body = core.read_namespace(name)
    body.spec.finalizers = []
    core.replace_namespace_finalize(name, body)


def refusal(call: Callable[..., Any], *arguments: Any, **named: Any) -> tuple[int, str, str]:
    with pytest.raises(ApiException) as caught:
        call(*arguments, **named)
    body = json.loads(caught.value.body or "")
    assert body["code"] == caught.value.status
    return caught.value.status, body.get("reason", ""), body["message"]


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"app": name}}, "data": data}


def test_an_object_lives_through_all_verbs(core: Any, namespace: str) -> None:
    made = core.create_namespaced_config_map(namespace, config_map("c", a="1"))
    assert int(made.metadata.resource_version) > 1000
    assert made.metadata.creation_timestamp is not None
    made.data["a"] = "2"
    replaced = core.replace_namespaced_config_map("c", namespace, made)
    assert core.read_namespaced_config_map("c", namespace).data == {"a": "2"}
    assert refusal(core.replace_namespaced_config_map, "c", namespace, made)[:2] == (409, "Conflict")
    assert refusal(core.create_namespaced_config_map, namespace, config_map("c"))[:2] == (
        409,
        "AlreadyExists",
    )
    listed = core.list_namespaced_config_map(
        namespace, label_selector="app=c", field_selector="metadata.name=c"
    )
    assert [item.metadata.name for item in listed.items] == ["c"]
    assert int(listed.metadata.resource_version) >= int(replaced.metadata.resource_version)
    core.delete_namespaced_config_map("c", namespace)
    code, reason, message = refusal(core.read_namespaced_config_map, "c", namespace)
    assert (code, reason, message) == (404, "NotFound", 'configmaps "c" not found')


def test_a_collection_is_deleted_by_selector(core: Any, namespace: str) -> None:
    for name in ("a", "b"):
        core.create_namespaced_config_map(namespace, config_map(name))
    core.delete_collection_namespaced_config_map(namespace, label_selector="app=a")
    assert [item.metadata.name for item in core.list_namespaced_config_map(namespace).items] == ["b"]


def test_the_patch_types_are_told_apart(core: Any, cluster: Cluster, namespace: str) -> None:
    cluster.running_pod("web", namespace, ("a", "b"))
    image = {"name": "b", "image": "app:v2"}
    core.patch_namespaced_pod("web", namespace, {"spec": {"containers": [image]}})
    operations = [{"op": "replace", "path": "/spec/containers/0/image", "value": "app:v3"}]
    core.patch_namespaced_pod("web", namespace, operations)
    pod = core.read_namespaced_pod("web", namespace)
    assert [container.image for container in pod.spec.containers] == ["app:v3", "app:v2"]
    merge = {"_content_type": "application/merge-patch+json"}
    core.patch_namespaced_pod("web", namespace, {"metadata": {"labels": {"app": None, "x": "y"}}}, **merge)
    assert core.read_namespaced_pod("web", namespace).metadata.labels == {"x": "y"}
    apply = {"_content_type": "application/apply-patch+yaml", "field_manager": "test"}
    code, _, message = refusal(core.patch_namespaced_pod, "web", namespace, {"spec": {}}, **apply)
    assert (code, "server-side apply" in message) == (415, True)
    code, _, message = refusal(core.patch_namespaced_pod, "web", namespace, {"spec": {"hostname": "h"}})
    assert (code, "pod updates may not change fields" in message) == (422, True)


def test_status_and_the_rest_are_written_apart(core: Any, cluster: Cluster, namespace: str) -> None:
    cluster.running_pod("web", namespace)
    changed = {"status": {"phase": "Failed"}, "metadata": {"labels": {"a": "b"}}}
    core.patch_namespaced_pod("web", namespace, changed)
    assert core.read_namespaced_pod("web", namespace).status.phase == "Running"
    core.patch_namespaced_pod_status("web", namespace, {"status": {"phase": "Succeeded"}})
    assert core.read_namespaced_pod("web", namespace).status.phase == "Succeeded"


def test_a_dry_run_changes_nothing(core: Any, namespace: str) -> None:
    shown = core.create_namespaced_config_map(namespace, config_map("c"), dry_run="All")
    assert shown.metadata.uid
    assert core.list_namespaced_config_map(namespace).items == []


def test_a_pod_is_bound_and_evicted(core: Any, namespace: str) -> None:
    core.create_namespaced_pod(namespace, pod_body("web"))
    binding = {"metadata": {"name": "web"}, "target": {"kind": "Node", "name": "node"}}
    core.create_namespaced_pod_binding("web", namespace, binding, _preload_content=False)
    pod = core.read_namespaced_pod("web", namespace)
    assert pod.spec.node_name == "node"
    assert [(c.type, c.status) for c in pod.status.conditions] == [("PodScheduled", "True")]
    assert refusal(core.create_namespaced_pod_binding, "web", namespace, binding)[0] == 409
    body = {"metadata": {"name": "web"}, "deleteOptions": {"gracePeriodSeconds": 0}}
    core.create_namespaced_pod_eviction("web", namespace, body, _preload_content=False)
    assert core.list_namespaced_pod(namespace).items == []


def test_a_scale_is_read_and_patched(api: client.ApiClient, namespace: str) -> None:
    apps: Any = client.AppsV1Api(api)
    labels = {"app": "d"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "x:1"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    apps.create_namespaced_deployment(namespace, {"metadata": {"name": "d"}, "spec": spec})
    apps.patch_namespaced_deployment_scale("d", namespace, {"spec": {"replicas": 3}})
    scale = apps.read_namespaced_deployment_scale("d", namespace)
    assert (scale.spec.replicas, scale.status.selector) == (3, "app=d")
    scale.spec.replicas = 5
    apps.replace_namespaced_deployment_scale("d", namespace, scale)
    assert apps.read_namespaced_deployment("d", namespace).spec.replicas == 5


# -- watch ---------------------------------------------------------------------------------------------------


def test_a_watch_follows_a_list_and_a_selector_adds_and_deletes(core: Any, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, config_map("c"))
    start = core.list_namespaced_config_map(namespace).metadata.resource_version
    for app in ("other", "c"):
        core.patch_namespaced_config_map("c", namespace, {"metadata": {"labels": {"app": app}}})
    core.patch_namespaced_config_map("c", namespace, {"data": {"x": "y"}})
    core.delete_namespaced_config_map("c", namespace)
    options = {"label_selector": "app=c", "resource_version": start, "timeout_seconds": 1}
    events = [
        event["type"] for event in Watch().stream(core.list_namespaced_config_map, namespace, **options)
    ]
    assert events == ["DELETED", "ADDED", "MODIFIED", "DELETED"]


def ask(
    cluster: Cluster, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, Message, bytes]:
    """Status, headers and body of an answer to a request without the official client."""
    context = ssl.create_default_context(cadata=cluster.server.ca_pem.decode())
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {"Authorization": f"Bearer {TOKEN}", **named}
    try:
        with urlopen(
            Request(cluster.url + path, body, sent, method=method), context=context, timeout=WITHIN_S
        ) as answer:
            return answer.status, answer.headers, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def lines(cluster: Cluster, path: str, accept: str = "application/json") -> list[dict[str, Any]]:
    """A short watch, as its lines."""
    return [json.loads(line) for line in ask(cluster, path, Accept=accept)[2].splitlines()]


def test_initial_events_end_with_a_bookmark(cluster: Cluster, core: Any, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, config_map("c"))
    flags = (
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1"
    )
    seen = lines(cluster, f"/api/v1/namespaces/{namespace}/configmaps?watch=true&{flags}")
    assert [event["type"] for event in seen] == ["ADDED", "BOOKMARK", "BOOKMARK"]
    assert seen[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert "annotations" not in seen[2]["object"]["metadata"]


def test_a_watch_from_a_forgotten_or_unknown_revision_is_told_to_list_again(cluster: Cluster) -> None:
    for revision in ("1", "99999999"):
        (event,) = lines(cluster, f"/api/v1/pods?watch=1&resourceVersion={revision}&timeoutSeconds=1")
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == (
            "ERROR",
            410,
            "Expired",
        )


def test_a_watch_of_tables_sends_its_columns_once(cluster: Cluster, core: Any, namespace: str) -> None:
    for name in ("a", "b"):
        core.create_namespaced_config_map(namespace, config_map(name))
    path = f"/api/v1/namespaces/{namespace}/configmaps?watch=1&timeoutSeconds=1"
    seen = lines(cluster, path, "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")
    assert [event["object"]["rows"][0]["cells"][0] for event in seen] == ["a", "b"]
    assert [bool(event["object"]["columnDefinitions"]) for event in seen] == [True, False]


def test_a_watcher_that_goes_is_forgotten(cluster: Cluster, core: Any) -> None:
    before = cluster.server.watchers
    response = core.list_namespaced_pod("default", watch=True, _preload_content=False)
    eventually(lambda: cluster.server.watchers == before + 1, "the watch is open")
    response.close()
    eventually(lambda: cluster.server.watchers == before, "the watch is forgotten")


def test_a_watcher_that_does_not_read_slows_nobody_down(cluster: Cluster, core: Any, namespace: str) -> None:
    follow = {"watch": True, "_preload_content": False, "_request_timeout": WITHIN_S}
    response = core.list_namespaced_config_map(namespace, **follow)
    for number in range(40):
        cluster.run(
            cluster.server.api.create(CONFIGMAPS, config_map(f"c{number}", big="x" * 60_000), namespace)
        )
    assert len(core.list_namespaced_config_map(namespace).items) == 40
    seen = [
        json.loads(line)["object"]["metadata"]["name"] for _, line in zip(range(40), response, strict=False)
    ]
    assert seen == [f"c{number}" for number in range(40)]
    response.close()


def test_the_server_stops_at_once_with_open_watches() -> None:
    cluster = Cluster()
    with cluster.client() as connection:
        core: Any = client.CoreV1Api(connection)
        open_watches = [
            core.list_namespaced_pod("default", watch=True, _preload_content=False) for _ in range(3)
        ]
        eventually(lambda: cluster.server.watchers == 3, "the watches are open")
        begun = time.monotonic()
        cluster.close()
        assert time.monotonic() - begun < 2.0
        for response in open_watches:
            assert response.read() == b""


# -- logs, exec, proxy ---------------------------------------------------------------------------------------


def test_logs_are_read_cut_and_followed(cluster: Cluster, core: Any, namespace: str) -> None:
    cluster.running_pod("web", namespace, ("a", "b"))
    assert core.read_namespaced_pod_log("web", namespace, container="a") == "one\ntwo\n"
    assert core.read_namespaced_pod_log("web", namespace, container="a", tail_lines=1) == "two\n"
    code, _, message = refusal(core.read_namespaced_pod_log, "web", namespace)
    assert (code, "choose one of: [a b]" in message) == (400, True)
    assert refusal(core.read_namespaced_pod_log, "web", namespace, container="z")[0] == 400
    assert refusal(core.read_namespaced_pod_log, "web", namespace, container="a", previous=True)[0] == 400
    assert refusal(core.read_namespaced_pod_log, "none", namespace)[0] == 404
    follow = core.read_namespaced_pod_log(
        "web", namespace, container="a", follow=True, _preload_content=False
    )
    followed = follow.stream(decode_content=False)
    received = next(followed)
    while received != b"one\ntwo\n":
        received += next(followed)
    cluster.loop.call_soon_threadsafe(cluster.node.more.set)
    assert b"".join(followed) == b"three\n"
    cluster.loop.call_soon_threadsafe(cluster.node.more.clear)


def test_a_reader_of_a_followed_log_that_goes_is_forgotten(
    cluster: Cluster, core: Any, namespace: str
) -> None:
    cluster.running_pod("web", namespace)
    follow = core.read_namespaced_pod_log("web", namespace, follow=True, _preload_content=False)
    eventually(lambda: cluster.node.readers == 1, "the log is followed")
    follow.close()
    eventually(lambda: cluster.node.readers == 0, "the reader is forgotten")


@contextlib.contextmanager
def executed(core: Any, namespace: str, *command: str, **named: Any) -> Iterator[Any]:
    """A conversation with a command in the pod `web`. The client leaves its socket open unless it is told."""
    options = {
        "stdin": False,
        "stdout": True,
        "stderr": True,
        "tty": False,
        "_preload_content": False,
    } | named
    conversation = stream(
        core.connect_get_namespaced_pod_exec, "web", namespace, command=list(command), **options
    )
    try:
        yield conversation
    finally:
        conversation.close()
        conversation.sock.shutdown()  # after a goodbye of the server, closing leaves the socket open


def test_a_command_runs_and_its_exit_code_comes_back(cluster: Cluster, core: Any, namespace: str) -> None:
    cluster.running_pod("web", namespace)
    for command, output, code in ((("echo", "a", "b"), "a b\n", 0), (("exit", "7"), "bye\n", 7)):
        with executed(core, namespace, *command) as conversation:
            conversation.run_forever(timeout=WITHIN_S)
            assert conversation.returncode == code
            assert conversation.read_all() == output


def test_input_reaches_a_command(cluster: Cluster, core: Any, namespace: str) -> None:
    cluster.running_pod("web", namespace)
    with executed(core, namespace, "cat", stdin=True) as conversation:
        conversation.write_stdin("héllo\n")
        conversation.write_channel(4, json.dumps({"Width": 80, "Height": 24}))
        conversation.write_stdin("end\n")
        conversation.run_forever(timeout=WITHIN_S)
        assert conversation.returncode == 0
        assert conversation.read_all() == "héllo\n80x24\nend\n"


def test_a_command_whose_client_goes_is_killed(cluster: Cluster, core: Any, namespace: str) -> None:
    cluster.running_pod("web", namespace)
    with executed(core, namespace, "sleep"):
        session = cluster.node.sessions[-1]
        assert not session.killed
    eventually(lambda: session.killed, "the command is killed")


def test_exec_in_what_does_not_run_is_refused(cluster: Cluster, core: Any, namespace: str) -> None:
    cluster.running_pod("web", namespace)
    with pytest.raises(ApiException, match="400"), executed(core, namespace, "echo", container="nobody"):
        pass


@pytest.fixture
def application() -> Iterator[int]:
    """A pod's application, on loopback; tells the method, the path and the body's length."""

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            told = f"{self.command} {self.path} {len(body)} {self.headers.get('Authorization')}".encode()
            self.send_response(418)
            self.send_header("Content-Length", str(len(told)))
            self.send_header("x-told", "yes")
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_DELETE = do_POST  # noqa: N815 - names that the base class looks for

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join(WITHIN_S)


def test_requests_are_carried_to_a_pod_and_back(cluster: Cluster, namespace: str, application: int) -> None:
    cluster.running_pod("web", namespace)
    path = f"/api/v1/namespaces/{namespace}/pods/web:{application}/proxy/a%2Fb/c"
    for method, sent in (("GET", None), ("POST", b"x" * 200_000), ("DELETE", None)):
        code, headers, body = ask(cluster, path + "?q=1&q=%20", method, sent)
        assert (code, headers["x-told"]) == (418, "yes")
        assert body.decode() == f"{method} /a%2Fb/c?q=1&q=%20 {len(sent or b'')} None"


def test_a_pod_that_cannot_be_reached_is_told_apart(cluster: Cluster, core: Any, namespace: str) -> None:
    cluster.running_pod("web", namespace)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    code, reason, _ = refusal(core.connect_get_namespaced_pod_proxy, f"web:{port}", namespace)
    assert (code, reason) == (503, "ServiceUnavailable")


def test_a_node_is_told_to_restart_its_agent_and_to_do_nothing_else(cluster: Cluster, core: Any) -> None:
    core.create_node({"metadata": {"name": "agents"}})
    assert core.connect_post_node_proxy_with_path("agents", "restart") == "ok"
    assert cluster.node.restarts == 1
    assert refusal(core.connect_get_node_proxy_with_path, "agents", "restart")[0] == 405
    assert refusal(core.connect_post_node_proxy_with_path, "nobody", "restart")[:2] == (404, "NotFound")
    code, _, message = refusal(core.connect_post_node_proxy_with_path, "agents", "metrics")
    assert (code, "proxy/restart" in message) == (501, True)
    assert cluster.node.restarts == 1


# -- who asks, and what is not there ------------------------------------------------------------------------


def test_a_wrong_token_is_refused_and_health_is_open(cluster: Cluster) -> None:
    for path in ("/healthz", "/livez", "/readyz", "/version"):
        assert ask(cluster, path, Authorization="")[0] == 200
    for wrong in ("", "Bearer wrong", TOKEN):
        code, _, body = ask(cluster, "/api/v1/namespaces", Authorization=wrong)
        assert (code, json.loads(body)["reason"]) == (401, "Unauthorized")


def test_what_is_not_supported_says_so(cluster: Cluster, api: client.ApiClient, core: Any) -> None:
    cluster.running_pod("here")
    code, _, message = refusal(core.connect_get_namespaced_pod_portforward, "here", "default")
    assert (code, "port-forward" in message) == (501, True)
    code, reason, _ = refusal(client.BatchV1Api(api).list_namespaced_job, "default")
    assert (code, reason) == (404, "NotFound")
    code, _, body = ask(
        cluster, "/api/v1/namespaces", "POST", b"k8s\0", Content_Type="application/vnd.kubernetes.protobuf"
    )
    assert (code, "kubectl apply -f" in json.loads(body)["message"]) == (415, True)


def test_every_access_is_allowed(api: client.ApiClient) -> None:
    review = {"spec": {"resourceAttributes": {"verb": "create", "resource": "pods"}}}
    reviews: Any = client.AuthorizationV1Api(api)
    answer = reviews.create_self_subject_access_review(review)
    assert answer.status.allowed
