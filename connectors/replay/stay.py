"""One stay in intensive care as HL7 messages: what the replays of the PhysioNet cohorts share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from connectors.hl7 import build
from connectors.replay.names import Name, synthetic_name
from connectors.replay.timed import Timed

_YEAR_S = 31_556_952  # mean Gregorian year, as models.record.PatientRecord.age counts
_STRUCTURES = {"A01": "ADT_A01", "A02": "ADT_A02", "A03": "ADT_A03", "A08": "ADT_A01"}


class Panel(NamedTuple):
    """What is ordered and resulted together."""

    code: build.Code
    letter: str  # in the filler order number


VITALS = Panel(("85353-1", "Vital signs panel", "LN"), "V")
GAS = Panel(("24336-0", "Gas panel - Arterial blood", "LN"), "G")
BLOOD_COUNT = Panel(("58410-2", "CBC panel - Blood by Automated count", "LN"), "H")
CHEMISTRY = Panel(("24323-8", "Comprehensive metabolic 2000 panel", "LN"), "C")
TROPONIN = Panel(("18487-9", "Troponin panel", "LN"), "T")


class Measured(Protocol):
    """An observation of a cohort."""

    @property
    def code(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> float | str: ...
    @property
    def unit(self) -> str: ...


class Place(NamedTuple):
    """When and where something was observed; the number stands in the filler order number."""

    at: float
    ward: str
    number: int


def birth_year(age: float, at: float) -> int:
    """The year of birth that makes `PatientRecord.age` say `age` at that time."""
    return int(1970 + at / _YEAR_S) - int(age)


@dataclass(slots=True)
class StaySender:
    """Knows the patient and counts control ids. Times are epoch seconds."""

    authority: str
    number: str
    sex: str
    birth_year: int | None
    admitted: float
    letter: str  # control ids begin with it
    died: bool = False  # a discharge then says so, with the time
    _name: Name = field(init=False)
    _sent: int = 0

    def __post_init__(self) -> None:
        self._name = synthetic_name(self.authority, self.number, self.sex)

    def adt(self, event: str, at: float, ward: str) -> Timed:
        """A movement of the patient."""
        ended = at if event == "A03" else None
        segments = self._header(f"ADT^{event}^{_STRUCTURES[event]}", at)
        segments.append(build.evn(event, recorded=at, occurred=at))
        segments += [self._pid(ended if self.died else None), self._pv1(ward, ended)]
        return self._timed(at, segments)

    def results(
        self, panels: Mapping[str, Panel], other: Panel, at_once: Iterable[Measured], place: Place
    ) -> Iterator[Timed]:
        """What was observed at one time, a message for each panel; `other`: of unlisted codes."""
        found: dict[Panel, list[Measured]] = {}
        for event in at_once:
            found.setdefault(panels.get(event.code, other), []).append(event)
        for panel in sorted(found, key=lambda p: p.letter):
            yield self._oru(panel, place, found[panel])

    def _oru(self, panel: Panel, place: Place, events: Iterable[Measured]) -> Timed:
        segments = self._header("ORU^R01^ORU_R01", place.at)
        segments += [self._pid(), self._pv1(place.ward)]
        order = f"{self.number}-{panel.letter}{place.number}"
        segments.append(
            build.obr(
                panel.code, filler=order, authority=self.authority, observed=place.at,
                changed=place.at,
            )
        )  # fmt: skip
        for n, event in enumerate(events, 1):
            code = (event.code, event.name, "LN")
            segments.append(build.obx(code, event.value, set_id=n, unit=event.unit))
        return self._timed(place.at, segments)

    def _header(self, type: str, at: float) -> list[str]:
        self._sent += 1
        control_id = f"{self.letter}{self.number}.{self._sent}"
        return [build.msh(type, control_id, at, source=("REPLAY", self.authority))]

    def _pid(self, died_at: float | None = None) -> str:
        return build.pid(
            [(self.number, self.authority, "MR")],
            family=self._name.family,
            given=self._name.given,
            birth_date="" if self.birth_year is None else str(self.birth_year),
            sex=self.sex,
            died_at=died_at,
        )

    def _pv1(self, ward: str, discharged: float | None = None) -> str:
        return build.pv1(
            "I",
            ward=ward,
            visit=self.number,
            visit_authority=self.authority,
            admitted=self.admitted,
            discharged=discharged,
        )

    def _timed(self, at: float, segments: list[str]) -> Timed:
        return Timed(at, build.join(segments), self.number)
