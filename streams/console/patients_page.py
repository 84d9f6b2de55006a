"""`/patients`: everybody in the hospital, with search."""

from __future__ import annotations

from nicegui import ui

from streams.console.diff import Row
from streams.console.elements import Field, LiveTable, Words
from streams.console.frame import Console, LivePage, ward_options
from streams.console.ports import PatientSummary
from streams.console.rows import PATIENT_COLUMNS, patient_row
from streams.console.words import full_name, place


class PatientsPage(LivePage):
    """Patients by ward and bed, searched by name, pseudonym, ward or bed."""

    path = "/patients"

    def __init__(self, console: Console, ward: str, search: str) -> None:
        super().__init__(console)
        self._ward = ward
        self._search = search
        self._rows: dict[str, tuple[int, bool, Row]] = {}
        with ui.element("div").props("id=main tabindex=-1").classes("page lists"):
            with ui.element("div").classes("head"):
                Words("h1", "Patients")
                self._summary = Words("p").classes("summary")
                with ui.element("div").classes("filters"):
                    Field("Search name, pseudonym or bed", search, self._type)
                    self._wards = Field("Ward", ward, self._choose, [(ward, ward)])
            self._table = LiveTable(PATIENT_COLUMNS, "Patients", "Loading the patients …")

    def _type(self, search: str) -> None:
        self._search = search
        self._filtered()

    def _choose(self, ward: str) -> None:
        self._ward = ward
        self._filtered()

    def _filtered(self) -> None:
        self.remember(ward=self._ward, search=self._search)
        self.wake()

    async def refresh(self) -> None:
        """The list as it is now."""
        board = self.console.board
        in_ward = [p for p in board.patients.values() if self._ward in ("", p.ward)]
        in_ward.sort(key=lambda p: (p.ward, _bed_order(p.bed), p.pseudonym))
        if board.status().loaded:
            await self.names.learn(p.pseudonym for p in in_ward)
            shown = [p for p in in_ward if self._matches(p)]
            self._table.show([self._row(p) for p in shown], self._empty())
            self._summary.text = f"{len(shown)} of {len(board.patients)}"
        self._wards.offer(ward_options(board, self._ward))
        self.show_status("Patients – Tocsin")

    def _matches(self, patient: PatientSummary) -> bool:
        words = self._search.casefold().split()
        name = full_name(self.names.get(patient.pseudonym), "")
        text = f"{name} {patient.pseudonym} {place(patient.ward, patient.bed)}".casefold()
        return all(word in text for word in words)

    def _row(self, patient: PatientSummary) -> Row:
        board = self.console.board
        stamp, identity = board.patient_stamp(patient.pseudonym), self.names.get(patient.pseudonym)
        old = self._rows.get(patient.pseudonym)
        if old and old[:2] == (stamp, identity is not None):
            return old[2]
        row = patient_row(
            patient,
            board.alerts_of(patient.pseudonym),
            self._trail(patient),
            identity,
            self.console.times,
        )
        self._rows[patient.pseudonym] = (stamp, identity is not None, row)
        return row

    def _trail(self, patient: PatientSummary) -> list[tuple[float, float]]:
        """Recent scores of the risk that stands highest."""
        ranked = sorted(patient.probability.items(), key=lambda item: (-(item[1] or 0), item[0]))
        return (
            list(self.console.board.trails.get((patient.pseudonym, ranked[0][0]), ()))
            if (ranked)
            else []
        )

    def _empty(self) -> str:
        filtered = self._search or self._ward
        return "Nobody matches the filter." if filtered else "No patient is known yet."


def _bed_order(bed: str) -> tuple[int, str]:
    """Bed 2 before bed 10."""
    digits = "".join(c for c in bed if c.isdigit())
    return (int(digits) if digits else 0, bed)
