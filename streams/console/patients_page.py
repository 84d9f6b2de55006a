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
        board, lists = self.console.board, self.console.lists
        if board.status().loaded:
            there = lists.patients(self._ward)
            await self.names.learn(there)
            now = [p for p in map(board.patients.get, there) if p is not None]
            shown = [p for p in now if self._matches(p)]
            self._table.show([self._row(p) for p in shown], self._empty())
            self._summary.text = f"{len(shown)} of {len(board.patients)}"
        self._wards.offer(ward_options(lists.wards(), self._ward))
        self.show_status("Patients – Tocsin")

    def _matches(self, patient: PatientSummary) -> bool:
        words = self._search.casefold().split()
        if not words:
            return True
        name = full_name(self.names.get(patient.pseudonym), "")
        text = f"{name} {patient.pseudonym} {place(patient.ward, patient.bed)}".casefold()
        return all(word in text for word in words)

    def _row(self, patient: PatientSummary) -> Row:
        board, who = self.console.board, patient.pseudonym
        identity = self.names.get(who)
        return self.console.lists.row(
            (who, f"patients {identity is not None}"),
            (board.patient_stamp(who), identity),
            lambda: patient_row(
                patient, board.alerts_of(who), self._trail(patient), identity, self.console.times
            ),
        )

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
