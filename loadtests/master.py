"""What the master's web server has beside Locust's own: the totals as they are, and a tab for the upgrades.

GET /totals is Locust's count of requests and failures, which its own statistics keep back for two seconds once
somebody looked at them. POST /phases takes a JSON list of rows with pod, upgrade, phase and since, all text, that the
tab shows. Knows nothing of upgrades but that.
"""

from __future__ import annotations

import json
from typing import Any

from flask import Response, request

KEY = "upgrades"
COLUMNS = ("pod", "upgrade", "phase", "since")


def add_to(web_ui: Any) -> None:
    """Adds all of it; Locust's page asks for the tab's rows along with its statistics."""
    rows: list[dict[str, str]] = []

    def totals() -> dict[str, int]:
        total = web_ui.environment.runner.stats.total
        return {"requests": total.num_requests, "failures": total.num_failures}

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
    web_ui.app.add_url_rule("/totals", "totals", totals)
    web_ui.app.add_url_rule("/phases", "phases", receive, methods=["POST"])
    web_ui.app.after_request(add_rows)
