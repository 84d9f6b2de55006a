"""Alerts and scores as they stand."""

from __future__ import annotations

from fastapi import Request, Response

from connectors.contract import Alert, AlertState, Score
from streams.console.api import examples
from streams.console.api.paging import Cursor, Limit, page
from streams.console.api.problems import ProblemError
from streams.console.api.routes import Routes, json
from streams.console.board import Board
from streams.console.ports import Reader


def add(routes: Routes, reader: Reader, board: Board) -> None:
    """Lists, and one alert."""

    @routes.get("/api/v1/alerts", gives=list[Alert], example=[examples.ALERT], problems=(404,))
    async def alerts(
        request: Request,
        ward: str = "",
        risk: str = "",
        state: AlertState | None = None,
        limit: Limit = 500,
        cursor: Cursor = "",
    ) -> Response:
        """The newest revision of each alert that is open or ended in the last 24 hours."""
        found = [
            alert
            for alert in await reader.alerts()
            if ward in ("", alert.ward)
            and risk in ("", alert.risk)
            and state in (None, alert.state)
        ]
        return page(request, found, lambda alert: alert.alert_id, limit, cursor)

    @routes.get("/api/v1/alerts/{alert_id}", gives=Alert, example=examples.ALERT, problems=(404,))
    async def alert(alert_id: str) -> Response:
        """The newest revision of one alert."""
        found = next((a for a in await reader.alerts() if a.alert_id == alert_id), None)
        if found is None:
            raise ProblemError(404, "No such alert", "No alert of the last 24 hours has this id.")
        return json(found)

    @routes.get("/api/v1/scores", gives=list[Score], example=[examples.SCORE], problems=(404,))
    async def scores(
        request: Request, risk: str = "", limit: Limit = 500, cursor: Cursor = ""
    ) -> Response:
        """The newest score of each patient and risk that the console has heard of."""
        found = [s for s in board.scores.values() if risk in ("", s.risk)]
        return page(request, found, lambda s: f"{s.patient}/{s.risk}", limit, cursor)
