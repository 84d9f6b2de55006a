"""`/fhir/R4`: alerts as RiskAssessment and Flag, to be read, by pseudonym like all of the API; and
the Subscriptions that push them.

Search answers are Bundles of type searchset (https://hl7.org/fhir/R4/http.html#search); errors are
OperationOutcomes. What is offered is in `/fhir/R4/metadata`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import msgspec
from fastapi import Depends, FastAPI, Query, Request, Response

from connectors.contract import Alert
from connectors.sinks.fhir import Resource, flag, pseudonymous, risk_assessment
from streams.console.access import FHIR
from streams.console.api.problems import NO_STORE, ProblemError
from streams.console.people import person_of
from streams.console.ports import Reader

ROOT = "/fhir/R4"
MEDIA_TYPE = "application/fhir+json"
_PREFIX = "tocsin-"  # of an alert's id, as `connectors.sinks.fhir` makes a resource's
_MOST = 1_000
_MADE: dict[str, Callable[[Alert, Resource], Resource]] = {
    "RiskAssessment": risk_assessment,
    "Flag": flag,
}
Count = Annotated[int, Query(alias="_count", ge=1, le=_MOST)]
After = Annotated[str, Query(alias="_after", max_length=400)]
Patient = Annotated[str, Query(alias="patient:identifier", max_length=400)]
_SEARCHED: Final = frozenset({"_count", "_after", "_format", "patient:identifier", "status"})


def add_fhir(
    application: FastAPI,
    reader: Reader,
    url: str,
    authority: str,
    subscribed: Sequence[Resource] = (),
) -> None:
    """Read and search, for each type. `url`: the console's own address, for links."""

    def made(kind: str, alert: Alert) -> Resource:
        return _MADE[kind](alert, pseudonymous(alert.patient, authority))

    def add(kind: str) -> None:
        @_route(application, f"{ROOT}/{kind}")
        async def search(
            count: Count = 100, after: After = "", patient: Patient = "", status: str = ""
        ) -> Response:
            wanted = patient.rpartition("|")[2]
            alerts = [a for a in await reader.alerts() if wanted in ("", a.patient)]
            found = [made(kind, a) for a in sorted(alerts, key=lambda a: a.alert_id)]
            matching = [r for r in found if status in ("", r["status"])]
            rest = [r for r in matching if r["id"] > after]
            asked = {"_count": str(count), "patient:identifier": patient, "status": status}
            root = f"{url}{ROOT}/{kind}"
            more = len(rest) > count
            return _answer(_searchset(root, rest[:count], len(matching), more, asked))

        @_route(application, f"{ROOT}/{kind}/{{id}}")
        async def read(id: str) -> Response:
            alert = await reader.find_alert(id.removeprefix(_PREFIX))
            if alert is None or made(kind, alert)["id"] != id:
                raise ProblemError(404, "not-found", f"There is no {kind}/{id}.")
            return _answer(made(kind, alert))

    for kind in _MADE:
        add(kind)

    _add_subscriptions(application, f"{url}{ROOT}/Subscription", subscribed)

    @_route(application, f"{ROOT}/metadata")
    async def metadata() -> Response:
        return _answer(_capabilities(url))


def _add_subscriptions(application: FastAPI, root: str, subscribed: Sequence[Resource]) -> None:
    by_id = {one["id"]: one for one in subscribed}

    @_route(application, f"{ROOT}/Subscription")
    async def search_subscriptions(status: str = "") -> Response:
        found = [one for one in subscribed if status in ("", one["status"])]
        return _answer(_searchset(root, found, len(found), more=False))

    @_route(application, f"{ROOT}/Subscription/{{id}}")
    async def read_subscription(id: str) -> Response:
        if id not in by_id:
            raise ProblemError(404, "not-found", f"There is no Subscription/{id}.")
        return _answer(by_id[id])


def _searchset(
    root: str, page: Sequence[Resource], total: int, more: bool, asked: dict[str, str] | None = None
) -> Resource:
    """`asked`: what was searched for. Each link says it, and a page has no more than the first."""
    said = {name: value for name, value in (asked or {}).items() if value}
    links = [{"relation": "self", "url": f"{root}?{urlencode(said)}" if said else root}]
    if more:
        query = urlencode(said | {"_after": page[-1]["id"]})
        links.append({"relation": "next", "url": f"{root}?{query}"})
    entries = [
        {"fullUrl": f"{root}/{one['id']}", "resource": one, "search": {"mode": "match"}}
        for one in page
    ]
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": total, "link": links}
    return bundle | ({"entry": entries} if entries else {})


def _route(application: FastAPI, path: str) -> Callable[[Any], Any]:
    role = FHIR[f"GET {path}"]

    async def check(request: Request) -> None:
        if not person_of(request).may(role):
            raise ProblemError(403, "forbidden", f"This needs the role {role}.")
        # A server may pass over them, and then gives all patients to whoever asked for one.
        if others := sorted(set(request.query_params) - _SEARCHED):
            known = ", ".join(sorted(_SEARCHED))
            named = ", ".join(others)
            raise ProblemError(400, "not-supported", f"No search by {named}; there are {known}.")

    return application.get(path, include_in_schema=False, dependencies=[Depends(check)])


def _answer(resource: Resource) -> Response:
    return Response(msgspec.json.encode(resource), 200, NO_STORE, media_type=MEDIA_TYPE)


def _capabilities(url: str) -> Resource:
    resources: list[Resource] = [
        {
            "type": kind,
            "interaction": [{"code": "read"}, {"code": "search-type"}],
            "searchParam": [
                {"name": "patient", "type": "reference", "documentation": "`:identifier` alone"},
                {"name": "status", "type": "token"},
            ],
        }
        for kind in _MADE
    ]
    resources.append(
        {
            "type": "Subscription",
            "documentation": "Those that whoever runs Tocsin has set up; none can be created here",
            "interaction": [{"code": "read"}, {"code": "search-type"}],
            "searchParam": [{"name": "status", "type": "token"}],
        }
    )
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-25",
        "kind": "instance",
        "software": {"name": "Tocsin"},
        "implementation": {"description": "Alerts of Tocsin, to be read", "url": f"{url}{ROOT}"},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "rest": [{"mode": "server", "resource": resources}],
    }
