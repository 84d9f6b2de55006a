"""How Tocsin is, and what its records look like."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import Response

from connectors import contract, facts
from streams.console.api.problems import ProblemError
from streams.console.api.routes import Routes, json
from streams.console.board import Board


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How fresh the picture is."""

    status: str  # "ok", or "degraded": the picture may be old
    loaded: bool  # the store has been read
    problem: str  # why the store cannot be read, "" when it can
    feed_age_s: float  # since anything came from the log
    feed_down: bool
    hospital_time: float | None  # newest time of a patient's clock, epoch seconds


_HEALTH = Health(
    status="ok",
    loaded=True,
    problem="",
    feed_age_s=0.4,
    feed_down=False,
    hospital_time=1_795_442_700.0,
)


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema of every record that Tocsin writes for others, by topic suffix."""
    return {"facts": facts.json_schema(), **contract.json_schemas()}


def add(routes: Routes, board: Board) -> None:
    """Health and schemas."""
    published = schemas()

    @routes.get("/api/v1/health", gives=Health, example=_HEALTH)
    async def health() -> Response:
        """How fresh the picture is. `/ready` and `/metrics` are on the port for operators."""
        now = board.status()
        fine = now.loaded and not now.problem and not now.feed_down
        return json(
            Health(
                status="ok" if fine else "degraded",
                loaded=now.loaded,
                problem=now.problem,
                feed_age_s=round(now.feed_age_s, 3),
                feed_down=now.feed_down,
                hospital_time=now.hospital_time,
            )
        )

    @routes.get("/api/v1/schemas", gives=list[str], example=sorted(published))
    async def schema_names() -> Response:
        """The records that have a JSON Schema."""
        return json(sorted(published))

    @routes.get(
        "/api/v1/schemas/{name}",
        gives=dict[str, Any],
        example={"$ref": "#/$defs/Alert", "$defs": {}},
        problems=(404,),
    )
    async def schema(name: str) -> Response:
        """JSON Schema of one record."""
        found = published.get(name)
        if found is None:
            listed = ", ".join(sorted(published))
            raise ProblemError(404, "No such schema", f"There are: {listed}.")
        return json(found)
