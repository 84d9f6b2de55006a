"""Which page stands at which address; who may open it is in `streams.console.access`."""

from __future__ import annotations

import functools
from collections.abc import Callable

from nicegui import ui

from streams.console.access import PAGES
from streams.console.alerts_page import AlertsPage
from streams.console.backtest_page import BacktestPage
from streams.console.deliveries_page import DeliveriesPage
from streams.console.frame import Console, NoticePage
from streams.console.patient_page import PatientPage
from streams.console.patients_page import PatientsPage
from streams.console.people import person_of
from streams.console.policy_room import PolicyRoom
from streams.console.quality_page import QualityPage
from streams.console.quarantine_item_page import QuarantineItemPage
from streams.console.quarantine_page import QuarantinePage
from streams.console.quarantine_room import QuarantineRoom
from streams.console.thresholds_page import ThresholdsPage
from streams.console.version_page import VersionPage
from streams.console.wall_page import WallPage

_Page = Callable[[str], Callable[[Callable[..., None]], Callable[..., None]]]
_KEPT_S = 60.0  # a page that was cut off catches up where it was, within this time


def add_pages(console: Console) -> None:
    """Every page of the console."""

    def page(path: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """A page for those who have the role that the table names."""
        needed = PAGES[path]

        def decorate(build: Callable[..., None]) -> Callable[..., None]:
            @functools.wraps(build)
            def guarded(*arguments: object, **more: object) -> None:
                if person_of(ui.context.client.request).may(needed):
                    build(*arguments, **more)
                else:
                    NoticePage(
                        console, "Not for your role", f"This page needs the role {needed}."
                    ).start()

            ui.page(path, reconnect_timeout=_KEPT_S)(guarded)
            return guarded

        return decorate

    @page("/")
    def alerts(ward: str = "", state: str = "") -> None:
        AlertsPage(console, ward, state).start()

    @page("/patients")
    def patients(ward: str = "", search: str = "") -> None:
        PatientsPage(console, ward, search).start()

    @page("/patient/{pseudonym}")
    def patient(pseudonym: str) -> None:
        PatientPage(console, pseudonym).start()

    @page("/wall")
    def wall(ward: str = "") -> None:
        WallPage(console, ward).start()

    deliveries_room = console.deliveries
    if deliveries_room is not None:

        @page("/deliveries")
        def deliveries() -> None:
            DeliveriesPage(console, deliveries_room).start()

    drift = console.drift
    if drift is not None:

        @page("/quality")
        def quality(days: str = "") -> None:
            QualityPage(console, drift, days).start()

    if console.quarantine is not None:
        _add_quarantine(console, console.quarantine, page)
    if console.policy is not None:
        _add_thresholds(console, console.policy, page)


def _add_quarantine(console: Console, room: QuarantineRoom, page: _Page) -> None:
    @page("/quarantine")
    def quarantine(reason: str = "", source: str = "", state: str = "") -> None:
        QuarantinePage(console, room, reason, source, state).start()

    @page("/quarantine/{item}")
    def quarantine_item(item: str) -> None:
        QuarantineItemPage(console, room, item).start()


def _add_thresholds(console: Console, room: PolicyRoom, page: _Page) -> None:
    @page("/thresholds")
    def thresholds(risk: str = "", fire: str = "") -> None:
        ThresholdsPage(console, room, risk, fire).start()

    @page("/thresholds/{version}")
    def version(version: str) -> None:
        VersionPage(console, room, version).start()

    trials = console.trials
    if trials is None:
        return

    @page("/backtest")
    def backtest(risk: str = "") -> None:
        BacktestPage(console, room, trials, risk).start()
