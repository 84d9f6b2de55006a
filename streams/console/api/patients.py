"""Patients, by pseudonym; and the pseudonym behind a hospital's number, for those who may."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Depends, Query, Request, Response

from connectors.contract import Alert, Score, Threshold
from streams.console import identifiers
from streams.console.api import examples
from streams.console.api.paging import Cursor, Limit, page
from streams.console.api.problems import ProblemError
from streams.console.api.routes import Routes, json, person
from streams.console.people import Person
from streams.console.ports import Names, PatientView, Reader

Asker = Annotated[Person, Depends(person)]


class PatientLine(msgspec.Struct, frozen=True, kw_only=True):
    """One patient in a list."""

    patient: str
    ward: str
    bed: str
    probability: dict[str, float | None]  # newest by risk; null where the model abstained
    as_of: float | None  # the patient's clock, epoch seconds
    open_alerts: list[str]


class PatientDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of a patient."""

    patient: str
    record: dict[str, Any]  # canonical: `clock` and `facts`
    scores: dict[str, Score]
    history: dict[str, list[tuple[float, float]]]  # by risk: (as_of, log-odds)
    alerts: list[Alert]
    thresholds: dict[str, Threshold]


class Pseudonym(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a number belongs to."""

    patient: str


_LINE = PatientLine(
    patient=examples.PATIENT,
    ward="4A",
    bed="12",
    probability={"deterioration": 0.4305},
    as_of=1_795_442_700.0,
    open_alerts=[examples.ALERT_ID],
)
_DETAIL = PatientDetail(
    patient=examples.PATIENT,
    record={"clock": 1_795_442_700.0, "facts": []},
    scores={"deterioration": examples.SCORE},
    history={"deterioration": [(1_795_442_700.0, -0.28)]},
    alerts=[examples.ALERT],
    thresholds={"deterioration": examples.THRESHOLD},
)


def add(routes: Routes, reader: Reader, names: Names) -> None:
    """The list, one patient, and the look-up by number."""

    @routes.get("/api/v1/patients", gives=list[PatientLine], example=[_LINE], problems=(404,))
    async def patients(
        request: Request, ward: str = "", limit: Limit = 500, cursor: Cursor = ""
    ) -> Response:
        """Everybody in the hospital, without names."""
        found = [
            PatientLine(
                patient=p.pseudonym,
                ward=p.ward,
                bed=p.bed,
                probability=p.probability,
                as_of=p.as_of,
                open_alerts=list(p.open_alerts),
            )
            for p in await reader.patients()
            if ward in ("", p.ward)
        ]
        return page(request, found, lambda p: p.patient, limit, cursor)

    @routes.get(
        "/api/v1/pseudonym",
        gives=Pseudonym,
        example=Pseudonym(patient=examples.PATIENT),
        problems=(404,),
        tag="patients",
    )
    async def pseudonym(
        asker: Asker,
        id: Annotated[
            str,
            Query(
                max_length=400,
                pattern=identifiers.PATTERN,
                description="authority|type|number",
                examples=["HOSP|MR|4711"],
            ),
        ],
    ) -> Response:
        """The pseudonym behind a hospital's number. Each look-up is an audit record."""
        found = await names.resolve(identifiers.parse(id), who=asker.subject)
        if found is None:
            raise ProblemError(404, "No such patient", "Nobody is known by this number.")
        return json(Pseudonym(patient=found))

    @routes.get(
        "/api/v1/patients/{pseudonym}", gives=PatientDetail, example=_DETAIL, problems=(404,)
    )
    async def patient(pseudonym: str) -> Response:
        """One patient's record (canonical facts), scores with their history, and alerts."""
        view = await reader.patient(pseudonym)
        if view is None:
            raise ProblemError(404, "No such patient", "No patient has this pseudonym.")
        return json(_detail(pseudonym, view))


def _detail(pseudonym: str, view: PatientView) -> dict[str, Any]:
    return {
        "patient": pseudonym,
        "record": msgspec.Raw(view.record.canonical()),
        "scores": view.scores,
        "history": view.history,
        "alerts": sorted(view.alerts, key=lambda a: (a.alert_id, a.revision)),
        "thresholds": view.thresholds,
    }
