"""Who is told of an alert: a tree of routes with matchers, as in Prometheus Alertmanager.

An alert enters at the root. A route that matches passes it to its own routes, in order; the first
that matches keeps it, unless that one says `continue`. Where none of them matches, the route's own
receiver is told. A route inherits what it does not say from its parent.

A revision that calls nobody (an alert that is being confirmed or held back, a comment) is nobody's
business, unless a matcher on the way asks for its state. Whoever was told of an alert is told how
it goes on without being named again (`streams.delivery.dispatcher`).

This is a section of the policy as well as a file of its own, so it knows no address and no secret:
receivers are names, and `sinks.receivers` says how each is reached.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

import re2
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from connectors.contract import ENDED, Alert, AlertReason, AlertState, Severity
from connectors.sinks.settings import ReceiverName
from streams.policy import yaml_text
from streams.policy.values import Duration
from streams.policy.yaml_text import YamlError

_QUIET: Final = re2.Options()
_QUIET.log_errors = False
_LONGEST_MATCHER: Final = 300
_DEEPEST: Final = 20
_MATCHER: Final = re.compile(
    r"""\s*(?P<label>[a-z_]+)\s*(?P<test>=~|!~|!=|=)\s*(?P<value>"[^"]*"|[^"\s]*)\s*"""
)
# Labels whose values are known: a misspelt one would never match, and nobody would be told.
_KNOWN: Final[dict[str, type[StrEnum]]] = {
    "state": AlertState,
    "severity": Severity,
    "reason": AlertReason,
}
LABELS: Final = (
    "risk",
    "group",
    "ward",
    "bed",
    "severity",
    "state",
    "reason",
    "escalated_to",
    "handed_to",
)


class Labels(NamedTuple):
    """What matchers see of an alert."""

    risk: str
    group: str
    ward: str
    bed: str
    severity: str
    state: str
    reason: str
    escalated_to: str
    handed_to: str

    @classmethod
    def of(cls, alert: Alert) -> Labels:
        """The labels of an alert."""
        return cls(*(str(getattr(alert, label)) for label in LABELS))


class Test(NamedTuple):
    """A matcher that has been read."""

    label: str
    negative: bool
    pattern: Any  # RE2: the time goes by the length of the value, whatever the pattern

    def matches(self, labels: Labels) -> bool:
        """Does the label's whole value fit?"""
        value: str = getattr(labels, self.label)
        return (self.pattern.fullmatch(value) is not None) is not self.negative


@lru_cache(maxsize=4_096)
def parse_matcher(text: str) -> Test:
    """`ward=~"ICU|4.*"`, `severity=critical`, `risk!="sepsis"`. Raises `ValueError`."""
    if len(text) > _LONGEST_MATCHER:
        raise ValueError(f"a matcher has at most {_LONGEST_MATCHER} characters")
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise ValueError(f'{text!r} is no matcher: write label="value", with =, !=, =~ or !~')
    label, test, value = found["label"], found["test"], found["value"].strip('"')
    if label not in LABELS:
        raise ValueError(f"{text!r}: there is no label {label}; there are {', '.join(LABELS)}")
    try:
        pattern = re2.compile(value if "~" in test else re2.escape(value), _QUIET)
    except re2.error as error:
        raise ValueError(f"{text!r}: {_said(error)}") from None
    known = _KNOWN.get(label)
    if known is not None and not any(pattern.fullmatch(member) for member in known):
        raise ValueError(f"{text!r} never matches: {label} is one of {', '.join(known)}")
    return Test(label, "!" in test, pattern)


def _said(error: re2.error) -> str:
    said = error.args[0]
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def _checked_matcher(text: str) -> str:
    parse_matcher(text)
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Route(_Strict):
    """One node of the tree."""

    receiver: ReceiverName | None = Field(None, description="who is told; empty: as the parent")
    matchers: tuple[Annotated[str, AfterValidator(_checked_matcher)], ...] = Field(
        (), description='all have to match, e.g. ward=~"ICU|CCU"'
    )
    go_on: bool = Field(False, alias="continue", description="look at the routes after this too")
    group_by: tuple[Literal["patient", "group", "ward", "risk", "severity"], ...] | None = Field(
        None, description="tell alerts that agree in these together; empty: as the parent"
    )
    group_wait: Duration | None = Field(
        None, description="how long the first of a group waits for others, e.g. 5s"
    )
    repeat: Duration | None = Field(
        None, description="tell again after that long what nobody has taken; 0s: never"
    )
    routes: tuple[Route, ...] = ()


class ReceiverOfRoutes(_Strict):
    """A receiver that routes may name."""

    name: ReceiverName
    description: str = ""


class Routing(_Strict):
    """The section `routing` of the policy: receivers, and the tree that ends at them."""

    receivers: tuple[ReceiverOfRoutes, ...] = ()
    route: Route | None = Field(None, description="the root; empty: nobody is told")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        names = [r.name for r in self.receivers]
        double = {name for name in names if names.count(name) > 1}
        if double:
            raise ValueError(f"receivers named twice: {', '.join(sorted(double))}")
        if self.route is None:
            return self
        if self.route.receiver is None:
            raise ValueError("route: the root needs a receiver: whoever is told when nothing fits")
        if self.route.matchers or self.route.go_on:
            raise ValueError("route: the root matches everything: it has no matchers, no continue")
        used = set()
        for depth, route in _walk(self.route):
            if depth > _DEEPEST:
                raise ValueError(f"route: more than {_DEEPEST} levels deep")
            used.add(route.receiver)
        unknown = used - set(names) - {None}
        if unknown:
            raise ValueError(
                f"route names receivers that `receivers` does not: "
                f"{', '.join(sorted(map(str, unknown)))}"
            )
        return self


def _walk(route: Route, depth: int = 1) -> Iterator[tuple[int, Route]]:
    yield depth, route
    for child in route.routes:
        yield from _walk(child, depth + 1)


class Told(NamedTuple):
    """Somebody who is told, and why."""

    receiver: str
    path: tuple[int, ...] = ()  # the route, by its place under each parent; (): the root
    group_by: tuple[str, ...] = ()
    group_wait_s: float = 0.0
    repeat_s: float = 0.0


class _Inherited(NamedTuple):
    """What a route has from its parents."""

    told: Told
    asked: bool  # this revision calls, or a matcher on the way asks for its state


def who(routing: Routing, alert: Alert) -> list[Told]:
    """Everyone who is told of this revision, each once, in the order of the tree."""
    if routing.route is None:
        return []
    labels = Labels.of(alert)
    found: dict[str, Told] = {}
    above = _Inherited(Told(""), is_call(alert))
    for told in _descend(routing.route, above, labels) or []:
        found.setdefault(told.receiver, told)
    return list(found.values())


def is_call(alert: Alert) -> bool:
    """Does this revision concern people: a call, or the end of an alert that ever called?"""
    if alert.state in ENDED:
        return alert.calls or alert.called > 0
    return alert.calls and alert.state is not AlertState.PENDING


def _descend(route: Route, above: _Inherited, labels: Labels) -> list[Told] | None:
    """Who is told by a route and those below it; None when it does not match."""
    tests = [parse_matcher(text) for text in route.matchers]
    if not all(test.matches(labels) for test in tests):
        return None
    asked = above.asked or any(t.label == "state" and not t.negative for t in tests)
    here = _Inherited(_inherit(route, above.told), asked)
    found: list[Told] = []
    matched = False
    for place, child in enumerate(route.routes):
        told = here.told._replace(path=(*here.told.path, place))
        below = _descend(child, here._replace(told=told), labels)
        if below is None:
            continue
        matched = True
        found += below
        if not child.go_on:
            break
    if matched:
        return found
    return [here.told] if asked else []


def _inherit(route: Route, above: Told) -> Told:
    return Told(
        receiver=above.receiver if route.receiver is None else route.receiver,
        path=above.path,
        group_by=above.group_by if route.group_by is None else route.group_by,
        group_wait_s=above.group_wait_s if route.group_wait is None else route.group_wait,
        repeat_s=above.repeat_s if route.repeat is None else route.repeat,
    )


def everyone(names: list[str]) -> Routing:
    """The routing of a site that has not written one: every receiver is told of every alert."""
    if not names:
        return Routing()
    routes = [{"receiver": name, "continue": True} for name in names]
    return Routing.model_validate(
        {
            "receivers": [{"name": name} for name in names],
            "route": {"receiver": names[0], "routes": routes},
        }
    )


class RoutingError(Exception):
    """A routing that cannot be used; one sentence for each problem."""


def parse(document: Any, where: str) -> Routing:
    """Raises `RoutingError`; `where` names the document."""
    try:
        return Routing.model_validate({} if document is None else document)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'routing'}: {_words(e['msg'])}"
            for e in error.errors(include_input=False, include_url=False)
        )
        raise RoutingError(f"{where} cannot be used: {problems}.") from None


def load(file: Path) -> Routing:
    """From a YAML file, whose top level may be `routing:` as in a policy. Raises `RoutingError`."""
    try:
        document = yaml_text.parse(file.read_text())
    except (OSError, UnicodeError) as error:
        raise RoutingError(f"{file} cannot be read ({type(error).__name__}).") from None
    except YamlError as error:
        raise RoutingError(f"{file} is no YAML: {error}.") from None
    if isinstance(document, dict) and set(document) == {"routing"}:
        document = document["routing"]
    return parse(document, str(file))


def strangers(receivers: Collection[str], routing: Routing) -> list[str]:
    """Names in a routing that are none of the receivers that are set up."""
    return sorted({r.name for r in routing.receivers} - set(receivers))


def _words(problem: str) -> str:
    if problem == "Extra inputs are not permitted":
        return "there is no such key"
    return problem.removeprefix("Value error, ")
