"""What Tocsin makes of a message: facts, no facts with a reason, or quarantine with a reason.

One way through, for every message: header → charset → segments → route → patient → facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from connectors.facts import AnyFact
from connectors.hl7 import times
from connectors.hl7.charset import UnknownCharsetError, codec
from connectors.hl7.context import Context, Issue, Profile, RefusedError
from connectors.hl7.documents import read_document
from connectors.hl7.group import Group, by_patient, orders_first
from connectors.hl7.header import Header, HeaderError, scan
from connectors.hl7.links import read_links
from connectors.hl7.medication import read_medication
from connectors.hl7.orders import read_orders
from connectors.hl7.patient import details, forgotten, identify
from connectors.hl7.results import read_results
from connectors.hl7.routing import ROUTES, Joins, Reads, Route, no_facts
from connectors.hl7.statements import read_statements
from connectors.hl7.syntax import (
    LONGEST_CACHED,
    ForeignLineError,
    Segment,
    Syntax,
    at,
    segments,
    syntax_for,
)
from connectors.hl7.visit import read_visit, visit_of
from connectors.identity import Identity, IdentityKey, merged
from connectors.interpretation import About, Interpretation, NoFacts, Site
from connectors.quarantine import Reason

__all__ = ["Interpretation", "Issue", "NoFacts", "Profile", "interpret"]

_UTF8_MARK: Final = "\ufeff"

Reader = Callable[[Group, Route, Context], Iterable[AnyFact]]
# A reader notes what it cannot understand in `context.issues`, and raises `RefusedError` only
# where the message as a whole has lost its meaning.
READERS: Final[dict[Reads, Reader]] = {
    Reads.VISIT: read_visit,
    Reads.RESULTS: read_results,
    Reads.ORDERS: read_orders,
    Reads.MEDICATION: read_medication,
    Reads.STATEMENTS: read_statements,
    Reads.DOCUMENT: read_document,
}


def interpret(
    raw: bytes, heard: float, key: IdentityKey, site: Site, source: str = ""
) -> Interpretation:
    """Map one message. Never raises, whatever the bytes; `heard` is UTC epoch seconds.

    `source` is the feed's name where the feed itself gives one (`mllp.source`, a record header).

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
        said = out.source
        out.source = source or said
        _map(raw, header, heard, key, site.of(out.source), said, out)
    except RefusedError as refused:
        out.source = source or out.source
        out.refuse(refused.issue)
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
    said: str,
    out: Interpretation,
) -> None:
    """`said` is MSH-3|MSH-4. Raises `RefusedError` for what goes to quarantine as a whole."""
    kind = header.processing_id.split(header.component, 1)[0].strip() or "P"
    if profile.processing and kind not in profile.processing:
        raise RefusedError(Reason.NOT_PRODUCTION, "for training or debugging", "MSH-11")
    syntax = _syntax(header, profile)
    body = _segments(raw, syntax)
    route = _route(header, body, out)
    if isinstance(route, NoFacts):
        out.outcome, out.reason = "no_facts", route
        return
    groups = by_patient(body)
    if not groups:
        raise RefusedError(Reason.NO_PATIENT, "no PID segment", "PID")
    context = _context(header, heard, key, profile, syntax, said, out)
    if route.joins is not None:
        for about in read_links(groups, route.joins, context):
            _about(out, about.pseudonym, about.identity).facts += about.facts
        if route.joins in (Joins.LINK, Joins.UNLINK):
            groups = []
    for group in groups:
        _read(group, route, context, out)
    if any(about.facts for about in out.patients):
        out.outcome, out.reason = "facts", ""
    elif out.issues:
        out.reason = out.issues[0].reason
    else:
        out.outcome, out.reason = "no_facts", NoFacts.NOTHING_MAPPED


def _read(group: Group, route: Route, context: Context, out: Interpretation) -> None:
    """What the message says of one patient."""
    if route.order_below:
        group = group._replace(segments=orders_first(group.segments))
    pid = group.pid
    location = "PID" if group.number == 1 else f"PID[{group.number}]"
    context.pseudonym, identity = identify(pid, context, location)
    context.visit = visit_of(pid, group.find("PV1"), context)
    about = _about(out, context.pseudonym, identity)
    noted = len(out.issues)
    found: list[AnyFact] = []
    for reads in route.reads:
        found += READERS[reads](group, route, context)
    if not found and not route.event and len(out.issues) > noted:
        # Whoever sent results of which none was understood has to hear of it.
        raise RefusedError(*out.issues.pop(noted))
    about.facts += found
    if route.removes_person:
        about.facts += forgotten(context)
    else:
        about.facts += details(pid, context, may_remove=out.message_type.startswith("ADT"))


def _about(out: Interpretation, pseudonym: str, identity: Identity | None) -> About:
    """The patient's place in the interpretation."""
    for about in out.patients:
        if about.pseudonym == pseudonym:
            if identity is not None:
                about.identity = merged(about.identity, identity)
            return about
    out.patients.append(About(pseudonym, identity))
    return out.patients[-1]


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
    said: str,
    out: Interpretation,
) -> Context:
    context = Context(
        syntax=syntax,
        key=key,
        profile=profile,
        heard=heard,
        sent=heard,
        dated=False,
        zone=_zone(header, profile),
        control_id=out.control_id,
        source=said,
        facility=profile.facility or said.partition("|")[2],
        issues=out.issues,
        unmapped=out.unmapped,
    )
    sent = context.noted_moment(header.time, "MSH-7")
    if sent is not None:
        context.sent = out.sent = sent
        context.dated = True
    return context


def _zone(header: Header, profile: Profile) -> str:
    if profile.zone_of_source:
        return profile.time_zone
    return times.zone_of(header.time.split(header.component, 1)[0], profile.time_zone)


def _find(body: list[Segment], name: str) -> Segment | None:
    for segment in body:
        if segment[0] == name:
            return segment
    return None
