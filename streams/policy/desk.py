"""What people do with versions of the policy, for the command line and the console alike.

Every step is one event on `tocsin.config`, written after it was checked, read back, and audited on
`tocsin.audit`. What people can mend is a `UserError`, in words.
"""

from __future__ import annotations

import difflib
import hashlib
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
from confluent_kafka import KafkaException

from connectors import configuration, topics
from connectors.clock import Clock, iso
from connectors.configuration import ConfigEvent, History, RefusedError, Step, Version
from connectors.journal import Journal
from models.risk import AlertRule
from streams.delivery.routing import strangers
from streams.errors import UserError
from streams.policy import document
from streams.policy.document import Policy, PolicyError
from streams.policy.rules import Rulebook

LONGEST_SILENCE_S = 31 * 86_400.0
NOTHING = "# No policy is in force: the thresholds are those that the bundles ship with.\n"


class PolicyStep(msgspec.Struct, frozen=True, kw_only=True):
    """A record of `tocsin.audit`: who did what to which version."""

    event: str  # "policy_proposed", "policy_approved", …
    who: str
    at: str
    version: str
    reason: str


class Checked(NamedTuple):
    """A policy that may be proposed."""

    policy: Policy
    text: str
    diff: list[str]  # against what is in force
    notes: list[str]  # what is right, and may not be meant


class PolicyDesk:
    """See the module. `shipped` are the rules of the bundles, by risk; `receivers` the names of the
    receivers that are set up here, none where that is not known."""

    def __init__(
        self,
        journal: Journal,
        shipped: Sequence[tuple[str, AlertRule]],
        clock: Clock,
        *,
        two_person: bool,
        receivers: Collection[str] = (),
    ) -> None:
        self._journal, self._shipped, self._clock = journal, shipped, clock
        self._two_person, self._receivers = two_person, receivers

    def history(self) -> History:
        """All versions as they stand now."""
        history = History(two_person=self._two_person)
        with _told():
            for stored in self._journal.read(topics.CONFIG, {}):
                try:
                    history.apply(configuration.decode(stored.value), stored.offset)
                except (RefusedError, msgspec.MsgspecError):  # the sequencer says so once
                    continue
        return history

    def in_force(self) -> tuple[str, str]:
        """Version and text; "" and a comment when no policy is in force."""
        version = self.history().in_force
        return (version.name, version.policy) if version else ("", NOTHING)

    def check(self, text: str) -> Checked:
        """Everything that can be known about a policy before it is proposed."""
        policy, now = self._read(text), self._clock()
        _end_in_time(policy, now)
        return Checked(policy, text, diff_of(self.in_force(), text), notes_on(policy, now))

    def propose(self, text: str, *, who: str, reason: str) -> Version:
        """Write a version down. It changes nothing until it is approved and activated."""
        _end_in_time(self._read(text), self._clock())
        if len(text) > configuration.LONGEST_POLICY:
            raise UserError(
                f"The policy has {len(text)} characters; a version may have "
                f"{configuration.LONGEST_POLICY}."
            )
        _needs(reason, "--reason")
        history = self.history()
        base = history.in_force
        number = 1 + max((int(name.partition("-")[0]) for name in history.versions), default=0)
        name = f"{number}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
        before = (base.name, base.policy) if base else ("", NOTHING)
        event = self._event(name, Step.PROPOSED, who, reason)
        event = msgspec.structs.replace(
            event, policy=text, base=before[0], diff=diff_of(before, text)
        )
        return self._write(event)

    def approve(self, version: str, *, who: str, reason: str = "") -> Version:
        """Somebody stands for it; somebody else than its author where that is required."""
        return self._write(self._event(self._find(version), Step.APPROVED, who, reason))

    def reject(self, version: str, *, who: str, reason: str) -> Version:
        """It will not come into force."""
        _needs(reason, "--reason")
        return self._write(self._event(self._find(version), Step.REJECTED, who, reason))

    def activate(self, version: str, *, who: str, reason: str = "") -> Version:
        """From now on it counts; the sequencer writes it into every partition."""
        name = self._find(version)
        self._read(self.history().versions[name].policy)  # bundles, receivers may be others
        return self._write(self._event(name, Step.ACTIVATED, who, reason))

    def roll_back(
        self, *, who: str, reason: str, version: str = "", at_any_rate: bool = False
    ) -> tuple[Version, Version | None]:
        """What is in force is no longer: (that version, the one that counts again).

        `version` is the one that was seen in force: if it is another by now, nothing happens.
        `at_any_rate`: also when what counts again names bundles or receivers that are gone, which
        is better than a flood of alerts (`streams.guard`).
        """
        _needs(reason, "--reason")
        history = self.history()
        active = history.in_force
        if active is None:
            raise UserError("No policy is in force, so there is nothing to roll back.")
        if version and active.name != version:
            raise UserError(f"Version {active.name} is in force by now, not {version}.")
        for before in () if at_any_rate else history.active[-2:-1]:
            self._usable_again(history.versions[before])
        taken = self._write(self._event(active.name, Step.ROLLED_BACK, who, reason))
        return taken, self.history().in_force

    def _usable_again(self, version: Version) -> None:
        """Since it was in force, bundles and receivers may have become others."""
        try:
            self._read(version.policy)
        except UserError as error:
            raise UserError(
                f"Version {version.name} would count again, and it cannot any more. {error}\n"
                "Set that right and roll back then, or propose a version that can be used."
            ) from None

    # ── one step ────────────────────────────────────────────────────────────────────────────

    def _read(self, text: str) -> Policy:
        return readable(text, self._shipped, self._receivers)

    def _find(self, version: str) -> str:
        """The full name, from the number alone or any beginning that fits one version."""
        names = self.history().versions
        exact = [n for n in names if n == version or n.partition("-")[0] == version]
        if len(exact) == 1:
            return exact[0]
        if exact:
            raise UserError(f"Several versions are called {version}: {', '.join(exact)}.")
        raise UserError(f"There is no version {version}: see `tocsin thresholds history`.")

    def _event(self, version: str, step: Step, who: str, reason: str) -> ConfigEvent:
        return ConfigEvent(
            id=f"{version}/{step}/{secrets.token_hex(6)}",
            version=version,
            step=step,
            at=self._clock(),
            who=who,
            reason=reason,
        )

    def _write(self, event: ConfigEvent) -> Version:
        problem = self.history().problem(event)
        if problem:
            raise UserError(f"{problem[0].upper()}{problem[1:]}.")
        with _told():
            self._journal.append(topics.CONFIG, configuration.encode(event), [], key=event.id)
            version = self.history().versions.get(event.version)
            # Somebody else may have been quicker: then the event stands in the log without effect.
            if version is None or event.id not in [e.id for e in version.events]:
                raise UserError("Somebody else was quicker: see `tocsin thresholds history`.")
            self._audit(event)
        return version

    def _audit(self, event: ConfigEvent) -> None:
        record = PolicyStep(
            event=f"policy_{event.step}",
            who=event.who,
            at=iso(event.at),
            version=event.version,
            reason=event.reason,
        )
        self._journal.append(topics.AUDIT, msgspec.json.encode(record), [])


def readable(
    text: str, shipped: Sequence[tuple[str, AlertRule]], receivers: Collection[str] = ()
) -> Policy:
    """A policy that can be used with these bundles and receivers. Raises `UserError`."""
    try:
        policy = document.read(text)
        Rulebook(policy).check(shipped)
    except PolicyError as error:
        raise UserError(f"The policy cannot be used:\n{error}") from None
    known = {risk for risk, _ in shipped}
    unknown = sorted(risks_of(policy) - known)
    if unknown:
        raise UserError(
            f"The policy names {', '.join(unknown)}, and there are no such risks here; "
            f"there are: {', '.join(sorted(known))}."
        )
    if policy.routing and receivers and (ghosts := strangers(receivers, policy.routing)):
        raise UserError(
            f"The policy's routing names {', '.join(ghosts)}, and `sinks.receivers` has no such "
            "section: what it should be told of would become a dead letter."
        )
    return policy


def diff_of(before: tuple[str, str], text: str) -> list[str]:
    """Line by line, as `diff -u` shows it; empty when nothing differs."""
    lines = difflib.unified_diff(
        before[1].splitlines(),
        text.splitlines(),
        f"version {before[0]}" if before[0] else "as shipped",
        "proposed",
        lineterm="",
    )
    return list(lines)


def risks_of(policy: Policy) -> set[str]:
    """All risks that a policy names outright."""
    found = set(policy.risks) | {risk for group in policy.groups.values() for risk in group.risks}
    named = [e.risks for e in policy.escalation] + [i.risks for i in policy.inhibitions]
    named += [q.risks for q in policy.quiet_hours] + [(e.risk,) for e in policy.expected]
    return found | {risk for risks in named for risk in risks if not set("*?[") & set(risk)}


def _needs(reason: str, option: str) -> None:
    if not reason.strip():
        raise UserError(f"Say why ({option}): whoever reads the history will want to know.")


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise UserError(f"Kafka does not answer ({error.args[0].str()}).") from None


def notes_on(policy: Policy, now: float) -> list[str]:
    """What may be a slip. A silence that is over holds nothing back, so it may stay in a file."""
    over = (silence for silence in policy.silences if silence.until <= now)
    return [f"The silence {s.name!r} ended at {iso(s.until)}: it does nothing." for s in over]


def _end_in_time(policy: Policy, now: float) -> None:
    """Raises `UserError`: nobody remembers a silence of years."""
    for silence in policy.silences:
        if silence.until - max(silence.start, now) > LONGEST_SILENCE_S:
            raise UserError(
                f"The silence {silence.name!r} lasts longer than "
                f"{LONGEST_SILENCE_S / 86_400:.0f} days. What never calls anybody is an inhibition "
                "or a higher threshold."
            )
