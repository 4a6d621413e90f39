"""A tab of Locust's web UI that shows where each pod's upgrade is. The harness posts it: POST /phases, a JSON list.

A row has pod, upgrade, phase and since, all text. Knows nothing of upgrades but that.
"""

from __future__ import annotations

import json
from typing import Any

from flask import Response, request

KEY = "upgrades"
COLUMNS = ("pod", "upgrade", "phase", "since")


def add_to(web_ui: Any) -> None:
    """Adds the tab; Locust's page asks for the rows along with its statistics."""
    rows: list[dict[str, str]] = []

    def receive() -> dict[str, int]:
        rows[:] = [{column: str(row.get(column, "")) for column in COLUMNS} for row in request.get_json()]
        return {"rows": len(rows)}

    def add_rows(response: Response) -> Response:
        if request.path == "/stats/requests" and response.is_json:
            extended = [{"key": KEY, "data": rows}]
            response.set_data(json.dumps({**response.get_json(), "extended_stats": extended}))
        return response

    structure = [{"key": column, "title": column.capitalize()} for column in COLUMNS]
    web_ui.template_args["extended_tabs"] = [{"title": "Upgrades", "key": KEY}]
    web_ui.template_args["extended_tables"] = [{"key": KEY, "structure": structure}]
    web_ui.app.add_url_rule("/phases", "phases", receive, methods=["POST"])
    web_ui.app.after_request(add_rows)
