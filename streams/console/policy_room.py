"""The policy desk for pages and the API, and which thresholds count where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.configuration import History, Version
from connectors.contract import Threshold
from models.risk import AlertRule
from streams.console.room import Room
from streams.errors import UserError
from streams.policy import document
from streams.policy.desk import Checked, PolicyDesk
from streams.policy.rules import Rule, Rulebook


@dataclass(frozen=True, slots=True)
class Counted:
    """The rule of a risk, everywhere or in the wards of a pattern."""

    risk: str
    wards: str  # "" everywhere else
    rule: Rule
    shipped: AlertRule


class PolicyRoom(Room[History]):
    """All versions, as read last. Steps may raise `UserError`."""

    def __init__(self, desk: PolicyDesk, shipped: Mapping[str, AlertRule]) -> None:
        super().__init__(desk.history)
        self._desk = desk
        self.shipped = shipped

    def versions(self) -> list[Version]:
        """Newest first."""
        history = self.newest
        every = history.versions.values() if history else ()
        return sorted(every, key=lambda v: (-v.proposed_at, v.name))

    def version(self, name: str) -> Version | None:
        """The version of that name; None when there is none (yet)."""
        history = self.newest
        return history.versions.get(name) if history else None

    def in_force(self) -> Version | None:
        """None: the thresholds that the bundles ship with."""
        history = self.newest
        return history.in_force if history else None

    def book(self) -> Rulebook:
        """What counts now."""
        version = self.in_force()
        if version is None:
            return Rulebook()
        return Rulebook(document.read(version.policy), version.name)

    def thresholds(self, ward: str) -> dict[str, Threshold]:
        """Where each risk fires in a ward now."""
        book = self.book()
        rules = {risk: book.rule(risk, ward, rule) for risk, rule in self.shipped.items()}
        return {r: Threshold(value=rule.fire, version=rule.version) for r, rule in rules.items()}

    def counted(self) -> list[Counted]:
        """The rule of every risk, and where wards differ."""
        book = self.book()
        found = []
        for risk, shipped in sorted(self.shipped.items()):
            said = book.policy.risks.get(risk)
            for wards in ("", *(said.wards if said else ())):
                rule = book.rule(risk, wards, shipped)
                found.append(Counted(risk, wards, rule, shipped))
        return found

    async def check(self, text: str) -> Checked:
        """Everything that can be known about a policy before it is proposed."""
        return await self.call(lambda: self._desk.check(text))

    async def propose(self, text: str, *, who: str, reason: str) -> Version:
        """Write a version down."""
        return await self.step(lambda: self._desk.propose(text, who=who, reason=reason))

    async def approve(self, version: str, *, who: str, reason: str) -> Version:
        """Stand for a version."""
        return await self.step(lambda: self._desk.approve(version, who=who, reason=reason))

    async def reject(self, version: str, *, who: str, reason: str) -> Version:
        """It will not come into force."""
        return await self.step(lambda: self._desk.reject(version, who=who, reason=reason))

    async def activate(self, version: str, *, who: str, reason: str) -> Version:
        """From now on it counts."""
        return await self.step(lambda: self._desk.activate(version, who=who, reason=reason))

    async def roll_back(self, version: str, *, who: str, reason: str) -> Version | None:
        """What is in force is no longer, if it is still that version; what counts again."""

        def step() -> Version | None:
            in_force = self._desk.history().in_force
            if in_force is None or in_force.name != version:
                raise UserError("Somebody else was quicker: another version is in force by now.")
            return self._desk.roll_back(who=who, reason=reason)[1]

        return await self.step(step)
