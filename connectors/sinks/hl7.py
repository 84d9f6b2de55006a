"""An alert as HL7 v2: IHE ACM PCD-04 (ORU^R40), and the score as an observation (ORU^R01).

PCD-04 is HL7 2.6 by the IHE PCD Technical Framework, volume 2. One OBR holds one alert; its OBX
segments are the facets of it, told apart by the last number of OBX-4: 1 event, 2 source, 3 phase,
4 state, 5 inactivation, 6 priority, 7 type, 8 text. OBR-29 names the message that the alert
started with. Equal notices give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from connectors.clock import from_iso
from connectors.contract import ENDED, Alert, AlertState, Severity
from connectors.hl7.build import (
    Code,
    components,
    escape,
    join,
    msh,
    obx,
    pv1,
    segment,
    timestamp,
)
from connectors.identity import Identity
from connectors.sinks.links import headline, link, risk_in_words
from connectors.sinks.notice import Notice, key_of, short

_LOCAL: Final = "99TOCSIN"  # codes of our own, as table 0396 wants them called
_ACM: Final = "IHE_PCD_ACM_001^IHE PCD^1.3.6.1.4.1.19376.1.6.4.4^ISO"
_EVENT: Final[Code] = ("196616", "MDC_EVT_ALARM", "MDC")
_SOURCE: Final[Code] = ("68480", "MDC_ATTR_ALERT_SOURCE", "MDC")
_PHASE: Final[Code] = ("68481", "MDC_ATTR_EVENT_PHASE", "MDC")
_STATE: Final[Code] = ("68482", "MDC_ATTR_ALARM_STATE", "MDC")
_INACTIVATION: Final[Code] = ("68483", "MDC_ATTR_ALARM_INACTIVATION_STATE", "MDC")
_PRIORITY: Final[Code] = ("68484", "MDC_ATTR_ALARM_PRIORITY", "MDC")
_TYPE: Final[Code] = ("68485", "MDC_ATTR_ALERT_TYPE", "MDC")
_TEXT: Final[Code] = ("68546", "MDC_ATTR_ALERT_TEXT", "MDC")
_PHYSIOLOGICAL: Final = "SP"
_PRIORITIES: Final = {Severity.CRITICAL: "PH", Severity.WARNING: "PM"}
_INACTIVATIONS: Final = {
    AlertState.ACKNOWLEDGED: "alert-acknowledged",
    AlertState.SNOOZED: "alarm-paused",
}
_JOINED: Final = "audio-paused"  # the call for another risk of the patient sounds already


class Addresses(NamedTuple):
    """Who writes to whom, and in whose name a pseudonym is assigned."""

    sender: tuple[str, str]  # MSH-3, MSH-4: a name, or name^universal id^type
    target: tuple[str, str]  # MSH-5, MSH-6
    authority: str
    link: str = ""  # template of an alert's address
    preferred: tuple[str, ...] = ()  # identifier types, best first


def messages(notice: Notice, kind: str, to: Addresses) -> list[bytes]:
    """One message for each alert; `kind` is "pcd04" or "oru"."""
    write = pcd04 if kind == "pcd04" else oru
    return [write(notice, alert, to) for alert in notice.alerts]


def pcd04(notice: Notice, alert: Alert, to: Addresses) -> bytes:
    """ORU^R40^ORU_R40."""
    told = alert.alert_id in notice.told_before
    header = _header(
        msh(
            "ORU^R40^ORU_R40",
            f"{filler(alert)}.{control_id(notice, alert)}",  # v2.6 allows 199 characters
            notice.at,
            version="2.6",
            accept="AL",
            application="NE",
            profile=_ACM,
        ),
        notice,
        to,
    )
    obr = {
        1: "1",
        2: components(control_id(notice, alert), to.authority),
        3: components(filler(alert) if told else alert.alert_id, to.authority),
        4: components(*_EVENT),
        7: timestamp(from_iso(alert.since)),
        8: timestamp(from_iso(alert.at)) if alert.state in ENDED else "",
        29: f"^{components(alert.alert_id)}&{escape(to.authority)}" if told else "",
    }
    lines = [header, *_person(notice, alert, to), segment("OBR", obr), *_facets(notice, alert, to)]
    return join(lines)


def _facets(notice: Notice, alert: Alert, to: Addresses) -> Iterable[str]:
    told = alert.alert_id in notice.told_before
    running = "update" if told else "start"
    priority = _PRIORITIES[alert.severity]
    risk = components(alert.risk, f"{risk_in_words(alert.risk)} risk", _LOCAL)
    source = components("TOCSIN", "Tocsin risk monitor", _LOCAL)
    facets = (
        (1, "CWE", _EVENT, risk),
        (2, "CWE", _SOURCE, source),
        (3, "ST", _PHASE, "end" if alert.state in ENDED else running),
        (4, "ST", _STATE, "inactive" if alert.state in ENDED else "active"),
        (5, "ST", _INACTIVATION, _inactivation(alert)),
        (6, "ST", _PRIORITY, priority),
        (7, "ST", _TYPE, _PHYSIOLOGICAL),
        (8, "ST", _TEXT, escape(_words(notice, alert, to))),
    )
    for number, kind, code, value in facets:
        fields = {
            1: str(number),
            2: kind,
            3: components(*code),
            4: f"1.0.0.0.{number}",
            5: value,
            8: f"{priority}~{_PHYSIOLOGICAL}" if number == 1 else "",
            11: "F",
            14: timestamp(from_iso(alert.at)) if number == 1 else "",
        }
        yield segment("OBX", fields)


def _inactivation(alert: Alert) -> str:
    if alert.joined and alert.state is AlertState.FIRING:
        return _JOINED
    return _INACTIVATIONS.get(alert.state, "enabled")


def oru(notice: Notice, alert: Alert, to: Addresses) -> bytes:
    """ORU^R01^ORU_R01: the probability and its interval in percent, for a chart.

    A later revision replaces what an earlier one said; a withdrawn alert deletes it.
    """
    told = alert.alert_id in notice.told_before
    withdrawn = alert.state is AlertState.WITHDRAWN
    status = "D" if withdrawn else "C" if told else "F"
    name = control_id(notice, alert)
    header = _header(msh("ORU^R01^ORU_R01", name, notice.at), notice, to)
    obr = {
        1: "1",
        3: components(alert.alert_id, to.authority),
        4: components(alert.risk, f"{risk_in_words(alert.risk)} risk", _LOCAL),
        7: timestamp(from_iso(alert.score.as_of)),
        22: timestamp(from_iso(alert.at)),
        25: "C" if told or withdrawn else "F",
    }
    lines = [header, *_person(notice, alert, to), segment("OBR", obr)]
    lines += _observations(notice, alert, to, status)
    return join(lines)


def _observations(notice: Notice, alert: Alert, to: Addresses, status: str) -> Iterable[str]:
    """Probability, interval, severity, words."""
    score = alert.score
    name = f"{risk_in_words(alert.risk)} risk"
    at = from_iso(score.as_of)
    missing = score.probability is None
    yield obx(
        (f"{alert.risk}-probability", f"{name}, probability", _LOCAL),
        None if score.probability is None else _percent(score.probability),
        unit="%",
        type="NM",
        status="X" if missing and status != "D" else status,
        observed=at,
        flag="HH" if alert.severity is Severity.CRITICAL else "H",
    )
    if score.interval is not None:
        low, high = (f"{_percent(p):g}" for p in score.interval)
        fields = {
            1: "2",
            2: "SN",
            3: components(f"{alert.risk}-interval", f"{name}, 90 % interval", _LOCAL),
            5: f"^{low}^-^{high}",
            6: components("%", "%", "UCUM"),
            11: status,
            14: timestamp(at),
        }
        yield segment("OBX", fields)
    yield obx(
        (f"{alert.risk}-alert", f"{name}, alert", _LOCAL),
        _words(notice, alert, to),
        set_id=3 if score.interval is not None else 2,
        status=status,
        observed=at,
    )


def _header(header: str, notice: Notice, to: Addresses) -> str:
    """MSH with its addresses. A test is for training (MSH-11 T): no receiver may act upon it."""
    fields = header.split("|")
    # HD: a name, or name^universal id^type, as IHE wants it (EUI-64).
    fields[2:6] = [components(*text.split("^")) for text in (*to.sender, *to.target)]
    fields[10] = "T" if notice.test else "P"
    return "|".join(fields)


def _person(notice: Notice, alert: Alert, to: Addresses) -> list[str]:
    """PID and PV1: the pseudonym, or the person where the receiver may know."""
    ward = pv1("I" if alert.ward else "U", ward=alert.ward, bed=alert.bed)
    identity = notice.people.get(alert.patient)
    if identity is None:
        fields = {
            1: "1",
            3: components(alert.patient, "", "", to.authority, "PI"),
            5: "^^^^^^S",  # table 0200: a pseudonym, to ensure anonymity
        }
        return [segment("PID", fields), ward]
    return [segment("PID", _named(identity, to.preferred)), ward]


def _named(identity: Identity, preferred: tuple[str, ...]) -> dict[int, str]:
    ordered = sorted(
        identity.identifiers,
        key=lambda i: (preferred.index(i.type) if i.type in preferred else len(preferred), i),
    )
    return {
        1: "1",
        3: "~".join(components(i.number, "", "", i.authority, i.type) for i in ordered),
        5: components(identity.family, identity.given, "", "", "", "", "L"),
        7: escape(identity.birth_date),
        8: escape(identity.sex),
    }


def control_id(notice: Notice, alert: Alert) -> str:
    """MSH-10: the idempotency key in the twenty characters that every version allows."""
    return "T" + short(key_of(alert, notice.receiver, notice.repeat), 19)


def filler(alert: Alert) -> str:
    """What names this revision in OBR-3."""
    return f"{alert.alert_id}.{alert.revision}"


def _words(notice: Notice, alert: Alert, to: Addresses) -> str:
    score = alert.score
    none = f", no estimate ({score.silence.replace('_', ' ')})"
    sure = none if score.probability is None else f", {_percent(score.probability):.0f} %"
    address = link(to.link, alert)
    return f"{headline(alert, test=notice.test)}{sure}{f' {address}' if address else ''}"


def _percent(probability: float) -> float:
    return round(100 * probability, 4)
