"""The simulated hospital: who comes, what is measured and reported, who leaves and how.

A discrete-event simulation in hospital time. Everything random comes from the seed: the same seed,
start and size give the same bytes in the same order.

What is fitted to the cohort is said in `fit`; ours are the flow of patients (emergency department,
step-down to general wards, cancellations), acute crises, which a hospital of a few dozen beds would
otherwise rarely show, and the disturbances of the interface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from random import Random

from connectors.replay.timed import Timed
from connectors.simulator import gliomas, rounds
from connectors.simulator.disturb import Disturbances, Rates
from connectors.simulator.interface import Interface, Report
from connectors.simulator.people import AUTHORITY, EMERGENCY, Beds, SimulatedPatient, make_patient
from connectors.simulator.physiology import Crisis, Physiology, fitted

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
HISTORY_S = 48 * _HOUR  # patients present at the start came within this time before it

Step = Callable[[float], Iterable[Timed]]


@dataclass(frozen=True, slots=True)
class Flow:
    """How patients come, get worse and go; none of it is fitted."""

    arrivals_per_bed_day: float = 1.0  # at the emergency department, for each patient of the size
    admitted: float = 0.2  # of those, when there is room
    crises_per_patient_day: float = 0.25
    crises_at_start: float = 0.1  # share of the first patients who get worse within 20 minutes
    crisis_deaths: float = 0.3
    admissions_cancelled: float = 0.03
    discharges_cancelled: float = 0.05
    tumours: float = 0.1  # share of the first patients who are here for a brain tumour


class Hospital:
    """Iterate `messages()`: it never ends."""

    def __init__(
        self,
        seed: int,
        start: float,
        patients: int,
        *,
        rates: Rates | None = None,
        flow: Flow | None = None,
        physiology: Physiology | None = None,
    ) -> None:
        """`start` is epoch seconds; `patients` the number of inpatients, kept up by admissions.

        The first messages lie up to 48 hours before `start`: the history of the first patients.
        """
        if patients < 1:
            raise ValueError("a hospital needs at least one patient")
        self.seed, self.start, self.size = seed, float(int(start)), patients
        self.flow = flow or Flow()
        self.physiology = physiology or fitted()
        self.interface = Interface(seed)
        self._random = Random(f"tocsin/{seed}")  # noqa: S311 - reproducible, not secret
        # Its own numbers: what the interface does changes no patient and no arrival.
        self._wire = Random(f"tocsin/{seed}/wire")  # noqa: S311
        self._disturbances = Disturbances(rates or Rates(), self.interface, self._wire)
        self._beds = Beds(patients)
        self._present: dict[str, SimulatedPatient] = {}
        self._queue: list[tuple[float, int, Step]] = []
        self._scheduled = 0
        self._made = 0
        self._open_house()

    def messages(self) -> Iterator[Timed]:
        """Every message, in order of hospital time."""
        while self._queue:
            at, _, step = heappop(self._queue)
            yield from step(at)

    @property
    def census(self) -> int:
        """Patients in a bed."""
        return sum(p.patient_class == "I" for p in self._present.values())

    def present(self) -> list[SimulatedPatient]:
        """Everybody who is in the house, by arrival."""
        return list(self._present.values())

    # ── the calendar ────────────────────────────────────────────────────────────────────────

    def schedule(self, at: float, step: Step) -> None:
        """Have something happen; times are whole seconds, as HL7 writes them."""
        self._scheduled += 1
        heappush(self._queue, (float(round(at)), self._scheduled, step))

    def report(self, report: Report, at: float) -> None:
        """Have a final report sent, with whatever goes wrong on the way."""
        for sending in self._disturbances.send(report, at, self._bystander):
            self.schedule(sending.at, _making(sending.make))

    def _bystander(self, patient: SimulatedPatient) -> SimulatedPatient | None:
        others = [p for p in self._present.values() if p is not patient]
        return self._wire.choice(others) if others else None

    # ── coming ──────────────────────────────────────────────────────────────────────────────

    def _open_house(self) -> None:
        soon = max(1, round(self.flow.crises_at_start * self.size))
        for n in range(self.size):
            before = (0.02 + 0.98 * self._random.random()) * HISTORY_S
            arrived = self.start - before
            patient = self._make(arrived, least_stay_s=before + 12 * _HOUR)
            if n < soon:
                begin = self.start + self._random.uniform(0, 20) * _MINUTE
                self.schedule(begin, partial(self._fall_ill, patient))
            self.schedule(arrived, self._admission(patient))
            if n < round(self.flow.tumours * self.size):
                self._plan_tumour(patient)
        self.schedule(self.start + self._until_next_arrival(), self._arrival)

    def _make(self, arrived: float, least_stay_s: float = 0.0) -> SimulatedPatient:
        self._made += 1
        return make_patient(
            self.physiology,
            self.seed,
            self._made,
            float(round(arrived)),
            least_stay_s=least_stay_s,
        )

    def _until_next_arrival(self) -> float:
        return self._random.expovariate(self.size * self.flow.arrivals_per_bed_day / _DAY)

    def _arrival(self, at: float) -> Iterator[Timed]:
        self.schedule(at + self._until_next_arrival(), self._arrival)
        patient = self._make(at)
        patient.patient_class, patient.ward = "E", EMERGENCY
        self._enter(patient)
        yield self.interface.adt("A04", at, patient)
        rounds.begin(self, patient, at)
        self.schedule(at + self._random.uniform(2, 6) * _HOUR, partial(self._decide, patient))

    def _decide(self, patient: SimulatedPatient, at: float) -> Iterator[Timed]:
        """In the emergency department: admit or send home."""
        room = self.census < self.size * 1.1
        if room and self._random.random() < self.flow.admitted:
            yield from self._admit(patient, at)
        else:
            patient.leaves, patient.dies = at, False
            yield from self._leave(patient, at)

    def _admission(self, patient: SimulatedPatient) -> Step:
        """Of the first patients: straight to the ward."""

        def step(at: float) -> Iterator[Timed]:
            self._enter(patient)
            yield from self._admit(patient, at)
            rounds.begin(self, patient, at)

        return step

    def _enter(self, patient: SimulatedPatient) -> None:
        patient.present = True
        self._present[patient.number] = patient

    def _admit(self, patient: SimulatedPatient, at: float) -> Iterator[Timed]:
        if not (
            self._beds.place(patient, intensive=True) or self._beds.place(patient, intensive=False)
        ):
            patient.ward = EMERGENCY  # waits there
        patient.patient_class, patient.admitted = "I", at
        yield self.interface.adt("A01", at, patient)
        if at >= self.start and patient.random.random() < self.flow.admissions_cancelled:
            later = at + patient.random.uniform(10, 40) * _MINUTE
            self.schedule(later, partial(self._cancel_admission, patient))
            return
        if patient.random.random() < 0.3:  # registration is completed later
            later = at + patient.random.uniform(0.5, 3) * _HOUR
            self.schedule(later, partial(self._update, patient))
        self._plan_stay(patient, at)

    def _plan_stay(self, patient: SimulatedPatient, at: float) -> None:
        step_down = at + max(_DAY, 0.4 * (patient.leaves - at))
        if not patient.dies:
            self.schedule(step_down, partial(self._move, patient, intensive=False))
        else:
            # Dying takes hours, also for those whose fitted course does not show it.
            self._add_crisis(patient, max(patient.hours(patient.leaves) - 12.0, 1.0), fatal=True)
        self._plan_crisis(patient, at)
        self.schedule(patient.leaves, partial(self._leave, patient))

    def _plan_tumour(self, patient: SimulatedPatient) -> None:
        """Images soon after the start, then operation, histology and markers, hours apart."""
        random = Random(f"tocsin/{self.seed}/tumour/{patient.number}")  # noqa: S311
        images = self.start + random.uniform(1, 40) * _MINUTE
        for finding in gliomas.pathway(random):
            self.schedule(images + finding.after_s, partial(self._find, patient, finding))

    def _find(
        self, patient: SimulatedPatient, finding: gliomas.Finding, at: float
    ) -> Iterator[Timed]:
        """Reports come in, also after the patient has left."""
        order = self.interface.next_order("T")
        source = (finding.system[0], AUTHORITY)
        report = Report(patient, source, gliomas.panel(finding.system), order, at, finding.rows)
        yield self.interface.oru(report, at)

    # ── getting worse ───────────────────────────────────────────────────────────────────────

    def _plan_crisis(self, patient: SimulatedPatient, at: float) -> None:
        """Crises come at random; those in the history have passed."""
        begin, rate = max(at, self.start), self.flow.crises_per_patient_day / _DAY
        while rate > 0 and (begin := begin + patient.random.expovariate(rate)) < patient.leaves:
            self.schedule(begin, partial(self._fall_ill, patient))

    def _fall_ill(self, patient: SimulatedPatient, at: float) -> Iterable[Timed]:
        if patient.present and not patient.in_crisis(at):
            self._add_crisis(patient, patient.hours(at))
            rounds.call_for_help(self, patient, at)
            if not patient.in_intensive_care:
                self.schedule(at + _HOUR, partial(self._move, patient, intensive=True))
        return ()

    def _add_crisis(self, patient: SimulatedPatient, begin: float, *, fatal: bool = False) -> None:
        random = patient.random
        crisis = Crisis(begin, ramp=random.uniform(0.7, 2.5), strength=random.uniform(1.5, 2.8))
        if not fatal:
            length = random.uniform(8, 24)
            if random.random() < self.flow.crisis_deaths and not patient.dies:
                patient.dies = True
                patient.leaves = min(patient.leaves, patient.arrived + (begin + length) * _HOUR)
                self.schedule(patient.leaves, partial(self._leave, patient))
            else:
                crisis.end = begin + length
        patient.course.crises.append(crisis)

    # ── moving and going ────────────────────────────────────────────────────────────────────

    def _move(self, patient: SimulatedPatient, at: float, *, intensive: bool) -> Iterator[Timed]:
        if not patient.present or (not intensive and patient.in_crisis(at)):
            return
        if self._beds.place(patient, intensive=intensive):
            yield self.interface.adt("A02", at, patient)

    def _update(self, patient: SimulatedPatient, at: float) -> Iterator[Timed]:
        if patient.present:
            yield self.interface.adt("A08", at, patient)

    def _cancel_admission(self, patient: SimulatedPatient, at: float) -> Iterator[Timed]:
        self._go(patient)
        patient.patient_class = "E"  # the whole visit, its registration included, never was
        yield self.interface.adt("A11", at, patient, occurred=patient.admitted)

    def _leave(self, patient: SimulatedPatient, at: float) -> Iterator[Timed]:
        if not patient.present or at < patient.leaves - 1.0:
            return  # gone already, or stays longer than once planned
        yield self.interface.adt("A03", at, patient, died=patient.dies)
        inpatient = patient.patient_class == "I"
        self._go(patient)
        cancelled = patient.random.random() < self.flow.discharges_cancelled
        if inpatient and cancelled and not patient.dies:
            later = at + patient.random.uniform(5, 60) * _MINUTE
            self.schedule(later, partial(self._come_back, patient, at))

    def _come_back(
        self, patient: SimulatedPatient, discharged: float, at: float
    ) -> Iterator[Timed]:
        """The discharge is cancelled: another day."""
        if not self._beds.place(patient, intensive=False):
            return
        self._enter(patient)
        patient.leaves = at + _DAY
        yield self.interface.adt("A13", at, patient, occurred=discharged)
        self.schedule(patient.leaves, partial(self._leave, patient))
        rounds.begin(self, patient, at)

    def _go(self, patient: SimulatedPatient) -> None:
        patient.present = False
        self._present.pop(patient.number, None)
        self._beds.free(patient)


def _making(make: Callable[[float], Timed]) -> Step:
    return lambda at: (make(at),)
