"""What the master's web server has beside Locust's own, without Locust: routes of a Flask application."""

from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, jsonify
from flask.testing import FlaskClient

from loadtests import master

ROW = {"pod": "app-a", "upgrade": "1", "phase": "migration", "since": "12:00:03"}


@pytest.fixture
def web_ui() -> Any:
    app = Flask(__name__)
    app.add_url_rule("/stats/requests", "stats", lambda: jsonify({"stats": [1]}))
    app.add_url_rule("/tasks", "tasks", lambda: jsonify({"per_class": {}}))
    total = SimpleNamespace(num_requests=7, num_failures=2)
    environment = SimpleNamespace(runner=SimpleNamespace(stats=SimpleNamespace(total=total)))
    made = SimpleNamespace(app=app, template_args={"version": "2"}, environment=environment)
    master.add_to(made)
    return made


@pytest.fixture
def client(web_ui: Any) -> FlaskClient:
    client: FlaskClient = web_ui.app.test_client()
    return client


def test_the_page_gets_a_tab_with_a_column_for_each_part_of_a_row(web_ui: Any) -> None:
    (tab,), (table,) = web_ui.template_args["extended_tabs"], web_ui.template_args["extended_tables"]
    assert tab == {"title": "Upgrades", "key": table["key"]}
    assert [column["key"] for column in table["structure"]] == list(ROW)


def test_rows_that_were_posted_come_with_the_statistics_and_with_nothing_else(client: FlaskClient) -> None:
    assert client.post("/phases", json=[ROW, {**ROW, "pod": "app-b", "color": "red"}]).json == {"rows": 2}
    stats = client.get("/stats/requests").json
    assert stats == {
        "stats": [1],
        "extended_stats": [{"key": "upgrades", "data": [ROW, {**ROW, "pod": "app-b"}]}],
    }
    assert client.get("/tasks").json == {"per_class": {}}


def test_the_rows_posted_last_are_all_that_is_shown(client: FlaskClient) -> None:
    client.post("/phases", json=[ROW, ROW])
    client.post("/phases", json=[{**ROW, "phase": "settled"}])
    (shown,) = client.get("/stats/requests").json["extended_stats"]  # type: ignore[index]
    assert [row["phase"] for row in shown["data"]] == ["settled"]


def test_the_totals_are_locusts(client: FlaskClient) -> None:
    assert client.get("/totals").json == {"requests": 7, "failures": 2}
