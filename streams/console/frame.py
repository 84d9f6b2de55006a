"""What every page has: the bar on top, names with an audit, and the loop that keeps it current."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from nicegui import background_tasks, ui
from nicegui.client import Client

from connectors.clock import Clock
from connectors.identity import Identity
from streams.console.access import LINKS, PAGES
from streams.console.board import Board, Status
from streams.console.deliveries_room import DeliveriesRoom
from streams.console.elements import StatusBar, Words
from streams.console.guard import SIGN_IN, SignIn
from streams.console.lists import Lists
from streams.console.people import Person, person_of
from streams.console.policy_room import PolicyRoom
from streams.console.ports import Names, Reader, Unavailable
from streams.console.presence import Presence
from streams.console.quarantine_room import QuarantineRoom
from streams.console.room import Room
from streams.console.times import HospitalTime, duration
from streams.console.trials import Trials
from streams.drift import Report as DriftReport
from streams.feedback_desk import FeedbackDesk
from streams.roles import SEES_NAMES

PUSH_S = 0.25  # a page is told of news at most four times a second
STATUS_S = 1.0  # and of scores that moved, and of the age of the feed, this often
NAMES_RETRY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """What pages need."""

    board: Board
    lists: Lists
    reader: Reader
    names: Names
    times: HospitalTime
    presence: Presence
    sign_in: SignIn
    clock: Clock
    feedback: FeedbackDesk | None = None
    quarantine: QuarantineRoom | None = None
    policy: PolicyRoom | None = None
    trials: Trials | None = None
    drift: Room[DriftReport] | None = None
    deliveries: DeliveriesRoom | None = None
    url: str = ""  # the console's own address
    authority: str = "TOCSIN"  # of pseudonyms that are given out
    subscriptions: Sequence[dict[str, Any]] = ()  # who is told by FHIR, as R4 has it

    def links(self, person: Person) -> list[tuple[str, str]]:
        """The pages of the bar that exist and that the person may open."""
        desks = {
            "/quarantine": self.quarantine,
            "/thresholds": self.policy,
            "/backtest": self.policy and self.trials,
            "/quality": self.drift,
            "/deliveries": self.deliveries,
        }
        absent = {path for path, room in desks.items() if room is None}
        return [(text, to) for text, to in LINKS if to not in absent and person.may(PAGES[to])]


class NameBook:
    """One page's names: each is asked of the vault once, so the audit shows who saw whom."""

    def __init__(self, names: Names, person: Person) -> None:
        self._names = names
        self._person = person
        self._known: dict[str, Identity | None] = {}
        self._retry_at = 0.0
        self.problem = ""

    async def learn(self, pseudonyms: Iterable[str]) -> None:
        """Look up those that are not known yet; a vault that is away is asked again later."""
        unknown = sorted(set(pseudonyms) - self._known.keys())
        now = asyncio.get_running_loop().time()
        if not unknown or now < self._retry_at or not self._person.may(SEES_NAMES):
            return
        try:
            found = await self._names.names(unknown, who=self._person.subject)
        except Unavailable:
            self._retry_at = now + NAMES_RETRY_S
            self.problem = "Names cannot be read now: patients are shown by their pseudonyms."
            return
        self.problem = ""
        self._known |= {pseudonym: found.get(pseudonym) for pseudonym in unknown}

    def get(self, pseudonym: str) -> Identity | None:
        """Who it is; None when the vault knows no name, or could not be asked."""
        return self._known.get(pseudonym)


class LivePage:
    """A page that is brought up to date while somebody looks at it.

    Subclasses build their elements and implement `refresh`, which is called at once, when the board
    has news (at most once each `PUSH_S`), and each `STATUS_S` otherwise.
    """

    path = "/"
    section = ""  # the link of the bar that the page belongs to, where that is not its own

    def __init__(self, console: Console) -> None:
        self.console = console
        self.client: Client = ui.context.client
        self.person = person_of(self.client.request)
        self.names = NameBook(console.names, self.person)
        self._wake = asyncio.Event()
        here = self.section or self.path
        self.bar = StatusBar(
            console.links(self.person), here, console.sign_in.warning, self.person.name
        )
        console.presence.watch(self.client)
        self.client.on_connect(self.wake)

    async def refresh(self) -> None:
        """Show what the board says now."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin to follow the board."""
        background_tasks.create(self._follow(), name=f"console page {self.path}")

    def wake(self) -> None:
        """The reader came, or changed a filter: do not wait for the board."""
        self._wake.set()

    async def _follow(self) -> None:
        board = self.console.board
        while not self.client.is_deleted:
            news = board.news
            self._wake.clear()
            if self.client.has_socket_connection:  # else a closed tab's messages would pile up
                with self.client:
                    if not await self.console.sign_in.lives(self.person):
                        self._sign_in_again()
                        return
                    await self.refresh()
            await self._pause(PUSH_S)
            if not self._wake.is_set():
                await self._until(board.changed(news, STATUS_S))

    def _sign_in_again(self) -> None:
        """The sign-in ended, here or in another tab: nothing more is shown."""
        here = urlencode({"next": self.path})
        to = json.dumps(f"{SIGN_IN}?{here}")
        ui.run_javascript(f"if (!window.tocsinLeaving) window.location.assign({to})")

    async def _pause(self, seconds: float) -> None:
        await self._until(asyncio.sleep(seconds))

    async def _until(self, what: Awaitable[None]) -> None:
        """Wait for that, or for the reader."""
        tasks = [asyncio.ensure_future(what), asyncio.ensure_future(self._wake.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def show_status(self, title: str, problem: str = "") -> None:
        """The bar and the window's title."""
        status = self.console.board.status()
        self.bar.show(self._bar(status, problem or self.names.problem) | {"title": title})

    def _bar(self, status: Status, problem: str) -> dict[str, Any]:
        at, times = status.hospital_time, self.console.times
        return {
            "clock": "" if at is None else times.clock(at),
            "day": "" if at is None else times.day(at),
            "down": status.feed_down,
            "age": duration(status.feed_age_s) if status.feed_down else "",
            "problem": status.problem or problem,
        }

    def remember(self, **query: str) -> None:
        """Filters into the address, so that a wall screen can be given a link."""
        chosen = urlencode({key: value for key, value in query.items() if value})
        ui.navigate.history.replace(f"{self.path}?{chosen}" if chosen else self.path)


def ward_options(wards: list[str], chosen: str) -> list[tuple[str, str]]:
    """The chosen ward stays even when nobody is there."""
    named = wards if chosen in ("", *wards) else sorted((*wards, chosen))
    return [("", "All wards"), *((ward, ward) for ward in named)]


class NoticePage(LivePage):
    """Says one thing, in the same frame."""

    def __init__(self, console: Console, title: str, text: str) -> None:
        super().__init__(console)
        self._title = title
        with ui.element("div").props("id=main tabindex=-1").classes("page"):
            Words("h1", title)
            Words("p", text).classes("state-note").props('role="status"')

    async def refresh(self) -> None:
        """Only the bar changes."""
        self.show_status(f"{self._title} – Tocsin")
