"""A small risk and a few messages, for tests that read as timelines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from hypothesis import strategies as st

from connectors.clock import iso
from connectors.contract import Evidence, Missing
from connectors.facts import EncounterEvent, MessageFacts, Observation
from models.record import PatientRecord, Presence
from models.risk import AlertRule, Answering, Assessment

HEART_RATE = "8867-4"
BREATHING = "9279-1"
START = 1_700_000_000.0
MINUTE = 60.0
POISON = 666.0  # a heart rate that nobody foresaw
RULE = AlertRule(fire=0.6, clear=0.4, critical=0.9, version="test-1")


class HeartRateRisk(Answering):
    """log-odds = (heart rate - 100) / 10, from the newest value not older than an hour."""

    risk = "test"
    digest = "test-digest"
    code = HEART_RATE
    codes = frozenset({HEART_RATE})
    rule = RULE
    expires_s = 3_600.0
    of_stay = True
    over_at = math.inf

    def assess(self, patients: Sequence[tuple[PatientRecord, float]]) -> list[Assessment]:
        return [self._one(record, as_of) for record, as_of in patients]

    def concerns(self, record: PatientRecord) -> bool:
        return True

    def forget(self, records: Iterable[PatientRecord]) -> None:
        """It remembers nobody."""

    def expires_at(self, record: PatientRecord, as_of: float) -> float:
        return min(super().expires_at(record, as_of), self.over_at)

    def log_odds(self, patients: Sequence[tuple[PatientRecord, float]]) -> list[float | None]:
        return [answer.log_odds for answer in self.assess(patients)]

    def answer(
        self,
        patients: Sequence[tuple[PatientRecord, float]],
        points: Sequence[tuple[PatientRecord, float]],
    ) -> tuple[list[Assessment], list[float | None]]:
        return self.assess(patients), self.log_odds(points)

    def _one(self, record: PatientRecord, as_of: float) -> Assessment:
        stay = record.stay(as_of)
        start = max(stay.start if stay else 0.0, as_of - self.expires_s)
        values = record.between(self.code, start, as_of)
        presence = record.presence(as_of)
        missing = Missing(modalities=[], next_datum=None)
        reason = None
        if as_of > self.over_at:
            reason = "question_over"
        elif presence not in (Presence.PRESENT, Presence.UNKNOWN):
            reason = "not_present"
        elif not values:
            reason = "stale_data" if record.series(self.code) else "no_data"
        if reason is not None:
            return Assessment(as_of, 0.0, (), None, None, None, reason, missing)
        value = values[-1].value
        assert isinstance(value, float)
        llr = round((value - 100.0) / 10.0, 6)
        evidence = Evidence(
            modality="ehr", llr=llr, as_of=iso(values[-1].time), staleness_s=0.0, top=[]
        )
        probability = 1.0 / (1.0 + 2.718281828459045**-llr)
        return Assessment(as_of, 0.0, (evidence,), llr, probability, None, None, missing)


class FailingRisk(HeartRateRisk):
    """The same model with a bug: it raises for whoever had a heart rate of `POISON` lately."""

    def _one(self, record: PatientRecord, as_of: float) -> Assessment:
        for found in record.between(self.code, as_of - self.expires_s, as_of):
            if found.value == POISON:
                raise ValueError(f"{found.value} of somebody")
        return super()._one(record, as_of)


class EndingRisk(HeartRateRisk):
    """Its question is over after twenty minutes."""

    over_at = START + 20 * MINUTE


class BreathingRisk(HeartRateRisk):
    """Another risk: the same sum over another variable."""

    risk = "breathing"
    digest = "breathing-digest"
    code = BREATHING
    codes = frozenset({BREATHING})


def heart_rate(
    minute: float,
    value: float | None,
    *,
    order: str = "",
    status: str = "F",
    sent: float | None = None,
    patient: str = "p-1",
    code: str = HEART_RATE,
) -> MessageFacts:
    """A heart rate at a minute of the timeline; the order names the result."""
    at = START + minute * MINUTE
    said = at if sent is None else START + sent * MINUTE
    control = f"{order or minute}-{status}-{said}"
    fact = Observation(
        id=order or f"hr-{minute}",
        rank=(0 if status == "P" else 1, said, int(status in "CA"), control),
        removed=status in "DW",
        code=code,
        system="LN",
        time=at,
        status=status,
        value=value,
        unit="/min",
    )
    return _message(patient, said, [fact], control)


def breathing(
    minute: float, value: float, *, status: str = "F", sent: float | None = None
) -> MessageFacts:
    """What `BreathingRisk` looks at."""
    order = f"breathing-{minute}"
    return heart_rate(minute, value, order=order, status=status, sent=sent, code=BREATHING)


def admitted(
    minute: float, *, cancelled: bool = False, sent: float | None = None, visit: str = "visit"
) -> MessageFacts:
    """A01, or A11."""
    return _encounter(minute, EncounterEvent.ADMITTED, cancelled, sent, visit)


def discharged(
    minute: float, *, cancelled: bool = False, sent: float | None = None, visit: str = "visit"
) -> MessageFacts:
    """A03, or A13."""
    return _encounter(minute, EncounterEvent.DISCHARGED, cancelled, sent, visit)


def _encounter(
    minute: float, event: str, cancelled: bool, sent: float | None, visit: str
) -> MessageFacts:
    at = START + minute * MINUTE
    said = at if sent is None else START + sent * MINUTE
    control = f"{visit}-{event}-{said}"
    fact = EncounterEvent(
        id=f"{visit}-{event}",
        rank=(1, said, int(cancelled), control),
        removed=cancelled,
        visit=visit,
        event=event,
        time=at,
        patient_class="I",
        ward="W1",
        bed="3",
    )
    return _message("p-1", said, [fact], control)


def _message(patient: str, sent: float, facts: list, control: str) -> MessageFacts:
    return MessageFacts(
        patient=patient,
        sent=sent,
        heard=sent + 1.0,
        wire="tocsin.wire.hl7/0/0",
        facts=facts,
        control_id=control,
        source="TEST",
        message_type="ORU^R01",
    )


# Any message of one patient: values, corrections, removals, admissions and discharges.
ANY_MESSAGE = (
    st.builds(
        heart_rate,
        st.integers(0, 120).map(float),
        st.integers(80, 130).map(float),
        order=st.sampled_from(["", "a", "b", "c"]),
        status=st.sampled_from("PFFFCDW"),
        sent=st.integers(0, 150).map(float),
    )
    | st.builds(
        discharged,
        st.integers(0, 120).map(float),
        cancelled=st.booleans(),
        visit=st.sampled_from(["visit", "other", ""]),
    )
    | st.builds(
        admitted,
        st.integers(0, 60).map(float),
        cancelled=st.booleans(),
        visit=st.sampled_from(["visit", "other", ""]),
    )
)
