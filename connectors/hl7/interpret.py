"""What Tocsin makes of a message: facts, no facts with a reason, or quarantine with a reason.

One way through, for every message: header → charset → segments → route → patient → facts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from connectors.facts import AnyFact
from connectors.hl7.charset import UnknownCharsetError, codec
from connectors.hl7.context import Context, Issue, Profile, RefusedError
from connectors.hl7.header import Header, HeaderError, scan
from connectors.hl7.patient import details, identify
from connectors.hl7.results import Results
from connectors.hl7.routing import ROUTES, Handler, NoFacts, Route, no_facts
from connectors.hl7.syntax import (
    LONGEST_CACHED,
    ForeignLineError,
    Segment,
    Syntax,
    at,
    segments,
    syntax_for,
)
from connectors.hl7.visit import visit_events
from connectors.identity import Identity, IdentityKey
from connectors.quarantine import Reason

__all__ = ["Interpretation", "Issue", "NoFacts", "Profile", "interpret"]

_UTF8_MARK: Final = "\ufeff"


@dataclass(slots=True)
class Interpretation:
    """What one message says, and what of it could not be understood.

    `outcome` is "facts" with at least one fact (`issues` then holds the parts that were not
    understood), "no_facts" with a `NoFacts` reason, or "quarantine" with a `Reason`, which is
    also that of the first of `issues`.
    """

    outcome: Literal["facts", "no_facts", "quarantine"]
    reason: str = ""
    message_type: str = ""  # "ORU^R01"
    control_id: str = ""
    source: str = ""  # "MSH-3|MSH-4"
    sent: float = 0.0  # MSH-7, else when it was heard; UTC epoch seconds
    pseudonym: str = ""  # "" without a patient
    identity: Identity | None = None
    facts: list[AnyFact] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)


def interpret(raw: bytes, heard: float, key: IdentityKey, profile: Profile) -> Interpretation:
    """Map one message. Never raises, whatever the bytes; `heard` is UTC epoch seconds.

    >>> from connectors.hl7 import build
    >>> message = build.message("ADT^A01", "7", 1767268800.0)
    >>> message += [build.pid([("42", "HOSP", "MR")], sex="F"), build.pv1("I", ward="W3")]
    >>> read = interpret(build.join(message), 1767268801.0, IdentityKey(bytes(32)), Profile())
    >>> read.outcome, [type(f).__name__ for f in read.facts]
    ('facts', ['EncounterEvent', 'PersonDetail'])
    """
    out = Interpretation("quarantine", sent=heard)
    try:
        header = _header(raw, out)
        _map(raw, header, heard, key, profile, out)
    except RefusedError as refused:
        out.facts = []
        out.outcome, out.reason = "quarantine", refused.issue.reason
        out.issues.insert(0, refused.issue)
    return out


def _header(raw: bytes, out: Interpretation) -> Header:
    if not raw.strip(b"\r\n \t\0"):
        raise RefusedError(Reason.EMPTY_FRAME, "nothing in it")
    try:
        header = scan(raw)
    except HeaderError as error:
        if error.header is not None:
            _describe(error.header, out)
        location = "MSH" if error.reason is Reason.BAD_HEADER else ""
        raise RefusedError(error.reason, error.detail, location) from None
    _describe(header, out)
    return header


def _describe(header: Header, out: Interpretation) -> None:
    out.control_id = header.control_id.strip()
    named = (header.message_type, header.application, header.facility, header.component)
    label = _label if sum(map(len, named)) < LONGEST_CACHED else _read_label
    out.message_type, out.source = label(*named)


def _read_label(kind: str, application: str, facility: str, component: str) -> tuple[str, str]:
    """Message type and source in one spelling, whatever the delimiters."""
    code, _, rest = kind.partition(component)
    event = rest.split(component, 1)[0].strip()
    parties = [_party(field, component) for field in (application, facility)]
    return f"{code.strip()}^{event}" if event else code.strip(), "|".join(parties)


_label = lru_cache(maxsize=4_096)(_read_label)


def _party(field: str, component: str) -> str:
    """MSH-3 or MSH-4, an HD: the namespace, else the universal id."""
    parts = field.split(component, 2)
    return parts[0].strip() or (parts[1].strip() if len(parts) > 1 else "")


def _map(
    raw: bytes,
    header: Header,
    heard: float,
    key: IdentityKey,
    profile: Profile,
    out: Interpretation,
) -> None:
    """Raises `RefusedError` for a message that goes to quarantine as a whole."""
    syntax = _syntax(header, profile)
    body = _segments(raw, syntax)
    route = _route(header, body, out)
    if isinstance(route, NoFacts):
        out.outcome, out.reason = "no_facts", route
        return
    context = _context(header, heard, key, profile, syntax, out)
    pid = _patient(body, context, out)
    if route.handler is Handler.VISIT:
        evn, pv1 = _find(body, "EVN"), _find(body, "PV1")
        out.facts.extend(visit_events(route, evn, pid, pv1, context))
    _observe(route, body, context, out)
    out.facts.extend(details(pid, context, may_remove=route.handler is Handler.VISIT))
    if out.facts:
        out.outcome, out.reason = "facts", ""
    elif out.issues:
        out.reason = out.issues[0].reason
    else:
        out.outcome, out.reason = "no_facts", NoFacts.NOTHING_MAPPED


def _syntax(header: Header, profile: Profile) -> Syntax:
    try:
        charset = codec(profile.charset, header.charset, header.encoding[1:2])
    except UnknownCharsetError:
        location = "" if profile.charset else "MSH-18"
        detail = "a charset that is not known, or that MLLP cannot carry"
        raise RefusedError(Reason.UNSUPPORTED_CHARSET, detail, location) from None
    return syntax_for(header.field, header.encoding, charset)


def _segments(raw: bytes, syntax: Syntax) -> list[Segment]:
    try:
        text = raw.decode(syntax.charset)
    except UnicodeError:
        detail = f"bytes that are not {syntax.charset}"
        raise RefusedError(Reason.BAD_CHARSET, detail) from None
    try:
        body = segments(text.removeprefix(_UTF8_MARK).strip("\r\n \t\0"), syntax.field)
    except ForeignLineError as error:
        detail = f"line {error.number} is no segment: a segment begins with its three-letter name"
        raise RefusedError(Reason.FOREIGN_LINE, detail, f"line {error.number}") from None
    if [segment[0] for segment in body].count("MSH") > 1:
        raise RefusedError(Reason.BAD_HEADER, "two messages in one frame", "MSH[2]")
    return body


def _route(header: Header, body: list[Segment], out: Interpretation) -> Route | NoFacts:
    if out.message_type == "ADT":
        # Before v2.3 the event could stand in EVN-1 alone.
        evn = _find(body, "EVN")
        out.message_type = f"ADT^{at(evn, 1).strip()}" if evn else "ADT"
    route = ROUTES.get(out.message_type) or no_facts(header.code, header.event)
    if route is None:
        raise RefusedError(Reason.UNSUPPORTED_TYPE, "not mapped to facts", "MSH-9")
    continuation = _find(body, "DSC")
    if isinstance(route, Route) and continuation and at(continuation, 1).strip():
        raise RefusedError(Reason.UNSUPPORTED_TYPE, "continued in another message", "DSC-1")
    return route


def _context(
    header: Header,
    heard: float,
    key: IdentityKey,
    profile: Profile,
    syntax: Syntax,
    out: Interpretation,
) -> Context:
    context = Context(
        syntax=syntax,
        key=key,
        profile=profile,
        heard=heard,
        sent=heard,
        dated=False,
        control_id=out.control_id,
        source=out.source,
        facility=out.source.partition("|")[2],
        issues=out.issues,
    )
    sent = context.noted_moment(header.time, "MSH-7")
    if sent is not None:
        context.sent = out.sent = sent
        context.dated = True
    return context


def _patient(body: list[Segment], context: Context, out: Interpretation) -> Segment:
    """The message's PID. Facts of two patients in one message are never told apart by guessing."""
    found = [s for s in body if s[0] == "PID"]
    if not found:
        raise RefusedError(Reason.NO_PATIENT, "no PID segment", "PID")
    out.pseudonym, out.identity = identify(found[0], context)
    for number, other in enumerate(found[1:], 2):
        if identify(other, context, f"PID[{number}]")[0] != out.pseudonym:
            out.pseudonym, out.identity = "", None
            detail = "several patients in one message"
            raise RefusedError(Reason.UNSUPPORTED_TYPE, detail, f"PID[{number}]")
    context.pseudonym = out.pseudonym
    return found[0]


def _observe(route: Route, body: list[Segment], context: Context, out: Interpretation) -> None:
    """Raises `RefusedError` for results of which none could be understood."""
    results = Results(context)
    results.read(body)
    if results.refused and not results.found and route.handler is Handler.RESULTS:
        out.issues.sort(key=lambda issue: not issue.location.startswith("OBX"))
        first = out.issues.pop(0)
        raise RefusedError(*first)
    out.facts.extend(results.found.values())


def _find(body: list[Segment], name: str) -> Segment | None:
    for segment in body:
        if segment[0] == name:
            return segment
    return None
