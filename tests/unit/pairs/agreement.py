"""Field by field: the FHIR bundle that another converter makes of a message, and our facts.

`python -m tests.unit.pairs.agreement PATH` prints the table that docs/figures.md quotes.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from connectors.facts import (
    AnyFact,
    EncounterEvent,
    Medication,
    Observation,
    PersonDetail,
    Statement,
)
from connectors.hl7.interpret import interpret
from connectors.identity import IdentityKey
from connectors.interpretation import Interpretation, Profile

NOW = 1_798_761_600.0  # 2027-01-01: nothing in the set is later but two messages with typing errors
KEY = IdentityKey(bytes(32))


class Why(StrEnum):
    """Why the two differ. Each is a rule of its own, never "anything else"."""

    REFUSED = "refused"  # our quarantine: no patient, no usable time, a type we do not read
    NO_FACTS = "no_facts"  # understood, and nothing for the record in it (appointments, ACK)
    REPEATED = "repeated"  # OBX-5 repeats: we keep one text of all of them, the converter parts
    CHARGE = "charge"  # FT1-7 or FT1-25, a charge, which the converter makes a procedure of
    DOCUMENT = "document"  # MDM: the OBX are the document's text, which stays in the wire log
    SYNTHESISED = "synthesised"  # codes that the converter makes up (death certificate, autopsy)
    CAUSE_OF_DEATH = "cause_of_death"  # PDA-1, which we do not read
    SAME_IDENTITY = "same_identity"  # one code and sub-id twice in an order: the last one counts
    PLANNED_TIME = "planned_time"  # the expected time (PV2) of what is announced: ours is EVN's
    NOT_OF_ITS_STATUS = "not_of_its_status"  # order detail, not asked, no result: no evidence
    PERSON_DELETED = "person_deleted"  # A29 takes the person's record away: it adds nothing
    NO_VALUE = "no_value"  # the converter makes an observation of a code without any value
    EVENT_WITHOUT_STAY = "event_without_stay"  # PV1 in a message whose event moves nobody
    NOT_SAID_IN_EVENT = "not_said_in_event"  # admission or discharge time beside another event
    PERSON_LEFT_OUT = "person_left_out"  # sex or birth date only in results, null or unreadable


class Compared(NamedTuple):
    """One field of one pair."""

    pair: str
    field: str
    expected: str
    ours: str
    why: Why | None  # None: they agree, or nobody has explained it

    @property
    def agree(self) -> bool:
        return self.expected == self.ours


def compare(folder: Path) -> Iterator[Compared]:
    """Every field of every pair that has a bundle."""
    messages = {f.stem: f for f in (folder / "data" / "SampleData" / "Hl7v2").glob("*.hl7")}
    for file in sorted((folder / "Expected" / "Hl7v2").rglob("*-expected.json")):
        name = file.name.removesuffix("-expected.json")
        read = interpret(messages[name].read_bytes(), NOW, KEY, Profile())
        bundle = json.loads(file.read_text(encoding="utf-8"))
        resources = [entry["resource"] for entry in bundle.get("entry", ())]
        yield from _pair(name, resources, read, charges(messages[name].read_bytes()))


def charges(raw: bytes) -> set[str]:
    """Codes in FT1-7 and FT1-25."""
    lines = [line.split("|") for line in raw.decode("latin-1").replace("\n", "\r").split("\r")]
    fields = [f[n] for f in lines if f[0] == "FT1" for n in (7, 25) if len(f) > n]
    return {part.split("^")[0] for field in fields for part in field.split("~") if part}


def _pair(
    name: str, resources: list[dict[str, Any]], read: Interpretation, charged: set[str]
) -> Iterator[Compared]:
    facts = list(read.facts)
    for field, expected, ours, why in [
        *_patient(resources, facts, read),
        *_observations(resources, facts, read),
        *_encounters(resources, facts, read),
        *_statements(resources, facts, charged),
    ]:
        reason = None if expected == ours else why
        if expected != ours and read.outcome == "quarantine":
            reason = Why.REFUSED
        elif expected != ours and read.outcome == "no_facts":
            reason = Why.NO_FACTS
        yield Compared(name, field, expected, ours, reason)


_Row = tuple[str, str, str, Why | None]
_MADE_UP = (
    "CodeSystem/procedure-code",
    "CodeSystem/observation-code",
    "CodeSystem/accident-indicator",
)
_SEX = {"male": "M", "female": "F", "other": "O", "unknown": "U"}


def _of_type(resources: Iterable[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [r for r in resources if r["resourceType"] == kind]


def _patient(
    resources: list[dict[str, Any]], facts: list[AnyFact], read: Interpretation
) -> Iterator[_Row]:
    details = {f.field: f for f in facts if isinstance(f, PersonDetail) and not f.removed}
    for patient in _of_type(resources, "Patient")[:1]:
        for field, expected in (
            (PersonDetail.SEX, _SEX.get(patient.get("gender", ""), "")),
            (PersonDetail.BIRTH_YEAR, patient.get("birthDate", "")[:4]),
        ):
            value = details[field].value if field in details else ""
            ours = f"{value:.0f}" if isinstance(value, float) else str(value)
            if expected:
                why = Why.PERSON_LEFT_OUT if not ours else None
                yield f"patient.{field}", expected, ours, why


def _observations(
    resources: list[dict[str, Any]], facts: list[AnyFact], read: Interpretation
) -> Iterator[_Row]:
    ours = [f for f in facts if isinstance(f, Observation)]
    for resource in _of_type(resources, "Observation"):
        status = _v2_status(resource)
        for part in resource.get("component") or [resource]:
            code = _code(part.get("code", {}))
            value, unit = _value(part)
            same = [f for f in ours if f.code in code]
            said = [f for f in same if _same_value(f, value)]
            why = None
            if value is None:
                why = Why.NO_VALUE
            elif status in ("O", "N", "X", "W", "D", "I"):
                why = Why.NOT_OF_ITS_STATUS
            elif read.message_type == "ADT^A29":
                why = Why.PERSON_DELETED
            elif read.message_type.startswith("MDM"):
                why = Why.DOCUMENT
            elif any(str(value) in str(f.value).split("\n") for f in same) or (
                isinstance(value, float) and any(f"{value:g}" in str(f.value) for f in same)
            ):
                why = Why.REPEATED
            elif same and not said:
                why = Why.SAME_IDENTITY
            if not same and code and _made_up(part):
                why = Why.SYNTHESISED
            yield "observation.code", "there", "there" if same else "", why
            if same and value is not None:
                yield "observation.value", "same", "same" if said else "", why
            if said and unit:
                units = {f.unit for f in said}
                yield "observation.unit", unit, unit if unit in units else ",".join(units), None
            if said and status:
                statuses = {f.status for f in said}
                told = status if status in statuses else ",".join(statuses)
                yield "observation.status", status, told, None


def _made_up(part: dict[str, Any]) -> bool:
    systems = {c.get("system", "") for c in part["code"]["coding"]}
    return all(s.endswith(_MADE_UP) for s in systems)


def _same_value(fact: Observation, value: float | str | None) -> bool:
    if isinstance(value, float):
        return isinstance(fact.value, float | int) and abs(fact.value - value) < 1e-9
    return str(fact.value).strip() == str(value).strip()


def _v2_status(resource: dict[str, Any]) -> str:
    for extension in resource.get("extension", ()):
        if extension["url"].endswith("Observation_Status"):
            for coding in extension.get("valueCodeableConcept", {}).get("coding", ()):
                return str(coding.get("code", ""))
    return ""


def _code(concept: dict[str, Any]) -> set[str]:
    return {c["code"] for c in concept.get("coding", ()) if c.get("code")}


def _value(part: dict[str, Any]) -> tuple[float | str | None, str]:
    if "valueQuantity" in part:
        quantity = part["valueQuantity"]
        number = quantity.get("value")
        unit = str(quantity.get("code") or quantity.get("unit") or "")
        return (None if number is None else float(number)), unit
    if "valueCodeableConcept" in part:
        concept = part["valueCodeableConcept"]
        codes = _code(concept)
        return (next(iter(sorted(codes))) if codes else concept.get("text")), ""
    for name in ("valueString", "valueDateTime", "valueTime", "valueInteger", "valueBoolean"):
        if name in part:
            return str(part[name]), ""
    return None, ""


_CLASSES = {"IMP": "I", "EMER": "E", "AMB": "O", "PRENC": "P"}


def _encounters(
    resources: list[dict[str, Any]], facts: list[AnyFact], read: Interpretation
) -> Iterator[_Row]:
    events = [f for f in facts if isinstance(f, EncounterEvent)]
    for encounter in _of_type(resources, "Encounter")[:1]:
        klass = encounter.get("class", {}).get("code", "")
        expected = _CLASSES.get(klass, klass)
        named = {e.patient_class for e in events if e.patient_class}
        why = None if events else Why.EVENT_WITHOUT_STAY
        if expected:
            told = expected if expected in named else ",".join(sorted(named))
            yield "encounter.class", expected, told, why
        for side, kinds in (
            ("start", {EncounterEvent.ADMITTED, EncounterEvent.REGISTERED, EncounterEvent.PLANNED}),
            ("end", {EncounterEvent.DISCHARGED}),
        ):
            text = encounter.get("period", {}).get(side, "")
            if text:
                times = {e.time for e in events if e.event in kinds}
                epoch = _epoch(text)
                told = text if epoch in times else ",".join(map(str, sorted(times)))
                planned = any(e.event == EncounterEvent.PLANNED for e in events)
                missing = None if times else Why.NOT_SAID_IN_EVENT
                missing = Why.PLANNED_TIME if times and planned else missing
                yield f"encounter.{side}", text, told, why or missing


def _epoch(text: str) -> float:
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return at.timestamp() if at.tzinfo else -1.0


_KINDS = (
    ("Condition", "code", {Statement.DIAGNOSIS, Statement.PROBLEM}),
    ("AllergyIntolerance", "code", {Statement.ALLERGY}),
    ("Procedure", "code", {Statement.PROCEDURE}),
)


def _statements(
    resources: list[dict[str, Any]], facts: list[AnyFact], charged: set[str]
) -> Iterator[_Row]:
    said = [f for f in facts if isinstance(f, Statement)]
    for resource_type, name, kinds in _KINDS:
        ours = {f.code for f in said if f.kind in kinds}
        for resource in _of_type(resources, resource_type):
            codes = _code(resource.get(name, {}))
            if codes:
                found = "there" if codes & ours else ""
                systems = [c.get("system", "") for c in resource[name]["coding"]]
                why = Why.SYNTHESISED if any(s.endswith(_MADE_UP) for s in systems) else None
                if resource_type == "Procedure" and codes <= charged:
                    why = Why.CHARGE
                if resource_type == "Condition" and any("icd-10" in s for s in systems):
                    why = Why.CAUSE_OF_DEATH
                yield f"{resource_type}.code", "there", found, why
    drugs = {f.code for f in facts if isinstance(f, Medication)}
    for resource in _of_type(resources, "Immunization"):
        codes = _code(resource.get("vaccineCode", {}))
        if codes:
            yield "Immunization.code", "there", "there" if codes & drugs else "", None


def summary(rows: Iterable[Compared]) -> dict[str, Counter[str]]:
    """By field: how many agree, differ for which reason, or are unexplained."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        kind = "agree" if row.agree else (row.why.value if row.why else "unexplained")
        found.setdefault(row.field, Counter())[kind] += 1
    return found


if __name__ == "__main__":
    rows = list(compare(Path(sys.argv[1])))
    for field, counts in sorted(summary(rows).items()):
        print(f"{field:24s}", dict(counts.most_common()))  # noqa: T201
    for row in rows:
        if not row.agree and row.why is None and "-v" in sys.argv:
            print(row)  # noqa: T201
