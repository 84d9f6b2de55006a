"""OBR and OBX: observations as facts.

Identity: with an order number (OBR-3, else ORC-3, else the placer's OBR-2 or ORC-2) it is the
order, code and sub-id, so that a corrected time is still the same observation, and OBX-14 keeps
serial values of one order apart. The number's authority is its own (EI-2, else EI-3), so that the
same result relayed by two systems is one; without one it belongs to the feed (MSH-3 and 4).
A specimen's number (SPM-2) stands for one where OBX describe the specimen before its orders.
Without an order number it is feed, patient, code, sub-id and time. The id is two hashes in one:
of the order, keyed, and of code and sub-id, which the fact names anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec.structs import replace

from connectors.codes import OWN
from connectors.facts import AnyFact, Observation, StudyEvent
from connectors.genomics.specimens import source_of
from connectors.hl7 import values
from connectors.hl7.context import Context, Issue, RefusedError
from connectors.hl7.group import Group
from connectors.hl7.order_number import hashed_order
from connectors.hl7.routing import Reads, Route
from connectors.hl7.shapes import Shape, ShapeKey, read_shape
from connectors.hl7.studies import STUDY_CODES, read_studies
from connectors.hl7.syntax import LONGEST_CACHED, Segment, at
from connectors.hl7.tables import DEFAULT_STATUS, STATUS_OF_ORDER, StatusRule, Value
from connectors.hl7.variants import CODES as VARIANT_CODES
from connectors.hl7.variants import take_variants
from connectors.identity import SHORT
from connectors.quarantine import Reason

# What is in none of these (HL7 table 0396) means something at its site alone, unless it is mapped.
STANDARD_SYSTEMS: Final = frozenset(
    ("LN", "SCT", "SNM", "SNM3", "MDC", "DCM", "UCUM", "I10", "CVX", OWN)
)
SPECIAL_CODES: Final = VARIANT_CODES | STUDY_CODES
_PADDING: Final = [""] * 15  # so that every OBX has a field 14
_MOST_SHAPES: Final = 8_192
_TYPE, _CODE, _SUB_ID, _VALUE, _UNIT, _FLAG, _STATUS, _TIME = 2, 3, 4, 5, 6, 8, 11, 14


class _Order(NamedTuple):
    """What the OBX segments below an OBR share."""

    whose: str  # keyed hash of the order number: the first half of the identity; "" without one
    changed_at: float  # OBR-22, else when the message was sent
    observed: float | None = None  # OBR-7
    unusable: RefusedError | None = None  # why OBR-7 is no time
    status: str = DEFAULT_STATUS  # where OBX-11 is blank


class Results:
    """Walks the segments of one patient's results; `found` are its facts, by identity."""

    def __init__(self, context: Context, *, specimen_first: bool = False) -> None:
        """`specimen_first`: an SPM ends the order before it, as the next order is on it."""
        self._context = context
        self._specimen_first = specimen_first
        # What is read differs with the delimiters.
        shapes = context.profile.shapes
        self._shapes: dict[ShapeKey, Shape] = shapes.setdefault(context.syntax, {})
        self._control_id = context.control_id
        self._no_order = self._order = _Order("", context.sent)
        self._orders = 0
        self._time_field = ""  # OBX-14 of the segment before, and what it was read as
        self._time_read: tuple[float, float | None, str] = (0.0, None, "")
        self.found: dict[tuple[object, ...], Observation] = {}

    def read(self, body: Iterable[Segment]) -> None:
        """Read a message's segments. What cannot be understood becomes an issue of the context."""
        common: Segment = []  # ORC, which speaks of the OBR after it
        number = 0
        for segment in body:
            name = segment[0]
            if name == "OBX":
                number += 1
                try:
                    new = self._observation(segment)
                    key = (new.id, new.serial)
                    if key in self.found:
                        self._settle(key, self.found[key], new)
                    else:
                        self.found[key] = new
                except RefusedError as error:
                    self._refuse(number, error)
            elif name == "OBR":
                self._orders += 1
                self._order = self._read_order(segment, common)
                self._time_field, common = "", []
            elif name == "ORC":
                common = segment
                self._order, self._time_field = self._no_order, ""
            elif name == "RXA" and common:
                # VXU and RAS: OBX stand below it, with no OBR.
                self._order = self._no_order._replace(whose=hashed_order([], common, self._context))
                self._time_field = ""
            elif name == "SPM" and self._specimen_first:
                self._order = self._read_specimen(segment)
                self._time_field, common = "", []

    def _refuse(self, number: int, error: RefusedError) -> None:
        reason, detail, field = error.issue
        location = f"OBX[{number}]-{field}" if field else f"OBX[{number}]"
        self._context.issues.append(Issue(reason, detail, location))

    # ── OBR ─────────────────────────────────────────────────────────────────────────────────

    def _read_order(self, obr: Segment, common: Segment) -> _Order:
        context = self._context
        observed, unusable = None, None
        try:
            observed = context.moment(at(obr, 7), "")
        except RefusedError as refused:
            reason, detail, _ = refused.issue
            unusable = RefusedError(reason, f"OBR-7, which dates it: {detail}")
        return _Order(
            whose=hashed_order(obr, common, context),
            changed_at=context.said(at(obr, 22), f"OBR[{self._orders}]-22"),
            observed=observed,
            unusable=unusable,
            status=STATUS_OF_ORDER.get(context.syntax.first(at(obr, 25)), DEFAULT_STATUS),
        )

    def _read_specimen(self, spm: Segment) -> _Order:
        """What the OBX below an SPM share: SPM-2 names it, SPM-17 is when it was taken."""
        context = self._context
        parts = context.syntax.components(at(spm, 2))  # placer^filler
        number = context.syntax.part(parts, 2) or context.syntax.part(parts, 1)
        about = ("obs", "specimen", context.source, number)
        return _Order(
            whose=context.key.short(*about) if number else "",
            changed_at=context.sent,
            observed=context.noted_moment(at(spm, 17), "SPM-17"),
        )

    # ── OBX ─────────────────────────────────────────────────────────────────────────────────

    def _observation(self, f: Segment) -> Observation:
        """One OBX as a fact. Raises `RefusedError`, its location a field number."""
        if len(f) <= _TIME:
            f = f + _PADDING
        order, context = self._order, self._context
        # Looked up, so that only values and times are read anew in each message.
        status = f[_STATUS] or order.status
        shape_key = (f[_TYPE], f[_CODE], f[_SUB_ID], f[_UNIT], f[_FLAG], status)
        shape = self._shapes.get(shape_key) or self._shape(shape_key)
        code, what, sub_id, unit, flag, status, rule, is_number = shape
        if code.system not in STANDARD_SYSTEMS:
            about = (code.system, code.code, unit)
            context.unmapped[about] = context.unmapped.get(about, 0) + 1
        comparator = ""
        value: float | str | None = values.number(f[_VALUE]) if is_number else None
        if value is None:
            read = self._value(f, rule, unit)
            value, comparator = read
            if code.answers and isinstance(value, str):
                value = code.answers.get(value.strip().casefold(), value)
            if status in ("U", "V"):
                status = "U" if read is values.NOTHING else status.replace("U", "F")
        field = f[_TIME]
        if field and field == self._time_field:
            time, serial, whose = self._time_read
        else:
            time, serial = self._time(field)
            whose = order.whose or self._of_time(time)
            self._time_read = time, serial, whose
            self._time_field = field
        return Observation(
            id=whose + what,
            rank=(rule.final, order.changed_at, rule.correction, self._control_id),
            removed=rule.removes,
            code=code.code,
            system=code.system,
            name=code.text,
            time=time,
            status=status,
            value=value,
            comparator=comparator,
            unit=unit,
            sub_id=sub_id,
            flag=flag,
            serial=serial,
            visit=context.visit,
        )

    def _shape(self, key: ShapeKey) -> Shape:
        shape = read_shape(*key, self._context)
        if sum(map(len, key)) < LONGEST_CACHED:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            self._shapes[key] = shape
        return shape

    def _of_time(self, time: float) -> str:
        """The first half of the identity where no order number names the result."""
        context = self._context
        about = (context.source, context.pseudonym, repr(time))
        return context.key.short("obs", "", *about)

    def _value(self, f: Segment, rule: StatusRule, unit: str) -> values.Value:
        if rule.value is Value.IGNORED:
            return values.NOTHING
        field = f[_VALUE]
        if field and not field.isspace():
            return values.read(f[_TYPE], field, bool(unit), self._context.syntax)
        if rule.value is Value.REQUIRED:
            raise RefusedError(Reason.NO_VALUE, "a result without a value", str(_VALUE))
        return values.NOTHING

    def _time(self, field: str) -> tuple[float, float | None]:
        """When it was true of the patient, and OBX-14 where that tells serial values apart."""
        context, order = self._context, self._order
        if field:
            own = context.moment(field, "14")
            if own is not None:
                return own, own if order.whose else None
        if order.unusable is not None:
            raise order.unusable
        if order.observed is not None:
            return order.observed, None
        if context.dated:
            return context.sent, None
        raise RefusedError(Reason.NO_TIME, "neither OBX-14 nor OBR-7 nor MSH-7", str(_TIME))

    # ── one identity twice in one message ───────────────────────────────────────────────────

    def _settle(self, key: tuple[object, ...], old: Observation, new: Observation) -> None:
        """Raises `RefusedError` where one message gives one observation two values."""
        if old.removed != new.removed:
            # "Delete the old, here is the new": the message leaves the new one standing.
            standing = old if new.removed else new
            rank = max(old.rank, new.rank)
            self.found[key] = replace(standing, rank=rank)
        elif old.rank != new.rank:
            # Two versions of it: the fold decides.
            key = (*key, new.rank)
            if key in self.found:
                self._settle(key, self.found[key], new)
            else:
                self.found[key] = new
        elif isinstance(old.value, str) and isinstance(new.value, str):
            # A report sent line by line, an OBX each; or several codes for one question.
            self.found[key] = replace(old, value=f"{old.value}\n{new.value}")
        elif (old.value, old.comparator, old.unit) != (new.value, new.comparator, new.unit):
            detail = "another value for the same order, code, sub-id and time"
            raise RefusedError(Reason.AMBIGUOUS, detail, str(_VALUE))


def read_results(group: Group, route: Route, context: Context) -> Iterable[AnyFact]:
    """The observations among a patient's segments; variants and studies in place of their OBX."""
    results = Results(context, specimen_first=route.specimen_first)
    results.read(group.segments)
    found = results.found.values()
    is_order = Reads.ORDERS in route.reads
    codes = {o.code for o in found}
    if codes.isdisjoint(SPECIAL_CODES) and not is_order:
        return found
    studies = read_studies(group, context, is_report=not is_order)
    # The OBX that names a study holds its UID, an identifier: it is no observation.
    values = [_of_study(o, studies) for o in found if o.code not in STUDY_CODES]
    types = [[c.strip() for c in context.syntax.components(at(s, 4))] for s in group.all("SPM")]
    return [*studies.values(), *take_variants(values, context, source_of(types))]


def _of_study(o: Observation, studies: dict[str, StudyEvent]) -> Observation:
    """A value of a report that names a study counts only as long as the study does."""
    event = studies.get(o.id[:SHORT]) or studies.get("")
    return o if event is None else replace(o, study=event.study)
