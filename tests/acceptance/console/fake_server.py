"""The console on a fake hospital, in a process of its own: `python -m tests.acceptance.console.
fake_server`. NiceGUI keeps its pages in the process, so a test that wants a fresh one starts one.

Prints its address, then takes one command a line on stdin and answers each with `ok` and a result:
`alert N`, `escalate N`, `resolve N`, `abstain N`, `name N TEXT`, `feed silent|speaking`,
`store away|back`, `hang N`, `audit`, `score N`, `refuse REASON`, `quarantine audit`,
`undelivered N`, `told N`, `wire`; `quit` or the end of the input stops it.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import random
import sys
import time
from pathlib import Path

import msgspec
from msgspec.structs import replace
from pydantic import SecretStr
from redis.asyncio import Redis

from connectors import contract, feedback, topics
from connectors.clock import iso, wall_clock
from connectors.contract import AlertReason, AlertState, Severity
from connectors.feedback import Action, Feedback, Outcome
from connectors.identity import Identity
from connectors.quarantine import Reason
from connectors.quarantine_log import QuarantineLog
from connectors.settings import TlsServer
from connectors.sinks import deliveries
from connectors.sinks.deliveries import Delivery
from connectors.sinks.deliveries import Outcome as Told
from connectors.sinks.settings import FhirReceiver
from models.risk import AlertRule
from streams.backtest_desk import BacktestDesk
from streams.console.app import serve
from streams.console.desks import Desks
from streams.console.evidence import probability_of
from streams.console.sign_in import development
from streams.console.sign_in.store import RedisStore
from streams.delivery.dead_letters import DeadLetters
from streams.delivery.standing import Standing, Standings
from streams.drift import DriftDesk
from streams.feedback_desk import FeedbackDesk
from streams.policy.desk import PolicyDesk
from streams.quarantine_desk import Desk
from streams.settings import ConsoleSettings, OidcSettings
from tests.acceptance.console.fake_hospital import RISK, FakeHospital
from tests.unit.journal import MemoryJournal
from tests.unit.quarantine.fakes import NOW, FixedInterpreter, QuarantineJournal

RULES = {RISK: AlertRule(fire=0.3, clear=0.2, critical=0.6, version="shipped-1")}
SPEED_UP = 60.0  # hospital seconds a second


def record_scores(journal: QuarantineJournal, hospital: FakeHospital) -> None:
    """Twelve hours of everybody's scores in the log, and what became of some of them."""
    for i, (pseudonym, score) in enumerate(hospital.scores.items()):
        for hour in range(12):
            level = (score.log_odds or 0.0) + (hour - 11) * 0.1 * (1 if i % 2 else -0.3)
            old = replace(
                score,
                as_of=iso(hospital.now - (11 - hour) * 3_600),
                probability=round(probability_of(level), 6),
                ward=hospital.wards[pseudonym],
            )
            journal.append(topics.SCORES, contract.encode(old), [])
        if i < 12:
            told = Outcome.EVENT if i % 3 else Outcome.NO_EVENT
            action = Feedback(
                id=f"o{i}",
                patient=pseudonym,
                alert_id=f"a-{pseudonym}",
                risk=RISK,
                revision=1,
                action=Action.OUTCOME,
                at=hospital.now,
                who="ada",
                outcome=told,
            )
            journal.append(topics.FEEDBACK, feedback.encode(action), [])


class FakeStandings(Standings):
    """Two alerts wait for a pager that does not answer."""

    def __init__(self) -> None:
        """Without a store."""

    def read(self, now: float) -> list[Standing] | None:
        return [Standing("chart"), Standing("pager", 2, now - 300, paused=True)]


EHR = FhirReceiver(kind="fhir", url="https://ehr.example/in?k=s", bundle="rest-hook")


class Stage:
    """The hospital and what happens in it."""

    def __init__(self, patients: int, open_alerts: int, *, two: bool, cohort: Path | None) -> None:
        self.hospital = FakeHospital(patients)
        self.journal = QuarantineJournal()
        record_scores(self.journal, self.hospital)
        cohorts = {RISK: cohort} if cohort else {}
        self.desks = Desks(
            quarantine=Desk(QuarantineLog(self.journal, lambda: NOW), FixedInterpreter()),
            events=self.hospital,
            audit=self.hospital,
            feedback=FeedbackDesk(self.hospital, wall_clock, patience_s=1.0),
            policy=PolicyDesk(MemoryJournal(), list(RULES.items()), wall_clock, two_person=two),
            shipped=RULES,
            dead_letters=DeadLetters(self.journal, lambda: NOW),
            standings=FakeStandings(),
            receivers={"ehr-push": EHR},
            drift=DriftDesk(self.journal, lambda: NOW),
            backtest=BacktestDesk(self.journal, RULES, {RISK: 86_400.0}, cohorts),
        )
        self.per_second = 0.0
        self._random = random.Random(11)
        for i, pseudonym in enumerate(self.hospital.pseudonyms[:open_alerts]):
            self._open(i, pseudonym)

    def _open(self, i: int, pseudonym: str) -> None:
        severity = Severity.CRITICAL if i % 7 == 1 else Severity.WARNING
        level = 1.1 if severity is Severity.CRITICAL else 0.1
        self.hospital.rescore(pseudonym, level + self._random.gauss(0, 0.3))
        self.hospital.alert(pseudonym, severity=severity, minutes=5 + i * 11 % 300)
        if i % 5 == 3:
            self.hospital.alert(pseudonym, AlertState.ACKNOWLEDGED, severity, minutes=2)
        if i % 11 == 8:
            reason = AlertReason.BELOW_THRESHOLD
            self.hospital.alert(pseudonym, AlertState.RESOLVED, severity, reason)

    def do(self, words: list[str]) -> object:  # noqa: PLR0912 - one case for each command
        """One command."""
        hospital = self.hospital
        match words:
            case ["alert", n]:
                pseudonym = hospital.pseudonyms[int(n)]
                hospital.publish(hospital.rescore(pseudonym, 1.4))
                hospital.publish(hospital.alert(pseudonym, severity=Severity.CRITICAL))
                return time.time()
            case ["escalate", n]:
                self._change(int(n), AlertState.ESCALATED, AlertReason.SCORE_CHANGED)
            case ["resolve", n]:
                self._change(int(n), AlertState.RESOLVED, AlertReason.BELOW_THRESHOLD)
            case ["abstain", n]:
                hospital.publish(hospital.abstain(hospital.pseudonyms[int(n)], "stale_data"))
            case ["name", n, *text]:
                hospital.known[hospital.pseudonyms[int(n)]] = Identity(
                    identifiers=(), family=" ".join(text)
                )
            case ["feed", "silent" | "speaking" as how]:
                hospital.silent = how == "silent"
                hospital.tick()
            case ["store", "away" | "back" as how]:
                hospital.away = "The patient store cannot be reached." if how == "away" else ""
            case ["hang", n]:  # the vault never answers again, and somebody new needs a name
                hospital.hung = True
                return self.do(["alert", n])
            case ["log", "away" | "silent" | "back" as how]:
                hospital.log_is(how)
            case ["slow", seconds]:
                hospital.slow_s = float(seconds)
            case ["acted"]:
                return [msgspec.to_builtins(a) for a in hospital.acted]
            case ["notes"]:
                return hospital.notes
            case ["audit"]:
                return [[list(names), who] for names, who in hospital.looked_up]
            case ["score", n]:
                return msgspec.to_builtins(hospital.scores[hospital.pseudonyms[int(n)]])
            case _:
                return self._at_the_log(words)
        return None

    def _at_the_log(self, words: list[str]) -> object:
        match words:
            case ["refuse", reason]:
                return self.journal.wired(reason=Reason(reason)).id
            case ["quarantine", "audit"]:
                return self.journal.audit()
            case ["undelivered" | "told" as what, n]:
                return self._delivery(int(n), dead=what == "undelivered")
            case ["wire"]:
                return [r.value.decode() for r in self.journal.of(topics.WIRE_HL7)]
            case _:
                raise ValueError(f"unknown command {words}")

    def _delivery(self, n: int, *, dead: bool) -> str:
        alert = self.hospital.revisions[f"a-p-{n:026d}"][-1]
        step = Delivery(
            id=f"d{n}",
            receiver="pager",
            alert_id=alert.alert_id,
            revision=alert.revision,
            patient=alert.patient,
            risk=alert.risk,
            state=alert.state,
            outcome=Told.DEAD if dead else Told.DELIVERED,
            at=alert.at if dead else iso(time.time() - 60),
            reason="gave_up" if dead else "",
            detail="the gateway did not answer" if dead else "",
            attempts=9,
            alert=alert if dead else None,
        )
        self.journal.append(topics.DELIVERIES, deliveries.encode(step), [])
        return step.id

    def _change(self, n: int, state: AlertState, reason: AlertReason) -> None:
        self.hospital.publish(
            self.hospital.alert(self.hospital.pseudonyms[n], state, Severity.CRITICAL, reason)
        )

    async def live(self) -> None:
        """Hospital time passes, and scores move at `per_second`."""
        hospital, step = self.hospital, 0.05
        while True:
            await asyncio.sleep(step)
            hospital.now += step * SPEED_UP
            hospital.tick()
            count = self.per_second * step
            for _ in range(int(count) + (self._random.random() < count % 1)):
                pseudonym = self._random.choice(hospital.pseudonyms)
                log_odds = hospital.scores[pseudonym].log_odds or 0.0
                moved = min(2.5, max(-3.0, log_odds + self._random.gauss(0, 0.15)))
                if not hospital.silent:
                    hospital.publish(hospital.rescore(pseudonym, moved))


def _settings(options: argparse.Namespace) -> ConsoleSettings:
    file = Path(options.certificate) if options.certificate else None
    return ConsoleSettings(
        port=options.port,
        tls=TlsServer(certificate=file, key=file),
        oidc=OidcSettings(
            issuer=options.issuer,
            client_id=development.CLIENT,
            client_secret=SecretStr(development.SECRET),
        ),
    )


async def _commands(stage: Stage, stop: asyncio.Event) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    while (line := await lines.readline()) and (words := line.decode().split()) != ["quit"]:
        print("ok", json.dumps(stage.do(words)), flush=True)  # noqa: T201 - the protocol
    stop.set()


async def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--patients", type=int, default=24)
    parser.add_argument("--open", type=int, default=9)
    parser.add_argument("--updates", type=float, default=0)
    parser.add_argument("--feed-down-s", type=float, default=3)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cohort", default="")
    parser.add_argument("--two-person", action="store_true")
    parser.add_argument("--issuer", default="", help="sign in there; speak TLS with --certificate")
    parser.add_argument("--certificate", default="")
    parser.add_argument("--redis", default="", help="sign-ins are kept there")
    options = parser.parse_args()
    stage = Stage(
        options.patients,
        options.open,
        two=options.two_person,
        cohort=Path(options.cohort) if options.cohort else None,
    )
    stage.per_second = options.updates
    redis = Redis.from_url(options.redis) if options.redis else None
    desks = dataclasses.replace(stage.desks, sign_ins=RedisStore(redis) if redis else None)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        living = tasks.create_task(stage.live())
        listening = tasks.create_task(_commands(stage, stop))
        await serve(
            _settings(options),
            stage.hospital,
            stage.hospital,
            stage.hospital,
            on_ready=lambda url: print(url, flush=True),  # noqa: T201 - the protocol
            stop=stop,
            desks=desks,
            time_zone="Europe/Vienna",
            feed_down_s=options.feed_down_s,
        )
        living.cancel()
        listening.cancel()
    if redis is not None:
        await redis.aclose()


if __name__ == "__main__":
    asyncio.run(main())
