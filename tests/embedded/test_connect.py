"""The client of an embedded cluster: whom it trusts, and that it leaves no file."""

from __future__ import annotations

import http.server
import ssl
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from kubernetes.client import ApiClient, VersionApi
from urllib3.exceptions import MaxRetryError

from harness.embedded.api.kubeconfig import kubeconfig
from harness.embedded.cluster import connect

AUTHORITY = trustme.CA()
TOKEN = "not-a-token-of-anybody"


class Api(http.server.BaseHTTPRequestHandler):
    """Answers with its version whoever has the token."""

    def do_GET(self) -> None:
        known = self.headers["authorization"] == f"Bearer {TOKEN}"
        body = b'{"major": "1", "minor": "0", "gitVersion": "v1", "gitCommit": "", "gitTreeState": "", '
        body += b'"buildDate": "", "goVersion": "", "compiler": "", "platform": ""}'
        self.send_response(200 if known else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def client(url: str, authority: trustme.CA) -> ApiClient:
    return connect(kubeconfig(url, authority.cert_pem.bytes(), TOKEN, "embedded"))


def test_a_server_whose_certificate_the_clusters_authority_signed_is_spoken_to(url: str) -> None:
    with client(url, AUTHORITY) as api:
        assert VersionApi(api).get_code().git_version == "v1"


def test_any_other_server_is_not_given_the_token(url: str) -> None:
    with client(url, trustme.CA()) as api:
        assert api.configuration.verify_ssl
        with pytest.raises(MaxRetryError, match="CERTIFICATE_VERIFY_FAILED"):
            VersionApi(api).get_code()


def test_a_client_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An authority of its own: the library's reader writes each but once."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with client("https://127.0.0.1:1", trustme.CA()):
        assert list(tmp_path.iterdir()) == []
