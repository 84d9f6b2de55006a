"""One run of the fuzzer: traffic, the server's memory meanwhile, the accounts, the second half."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from connectors.fuzz.drive import drive
from connectors.fuzz.interpreted import Outcomes
from connectors.fuzz.ledger import Ledger, events_missing
from connectors.fuzz.log import Reading
from connectors.fuzz.reference import Expected, Fate, read_stream
from connectors.fuzz.sessions import FRAMES, Ending, Session, session
from connectors.identity import IdentityKey
from connectors.settings import KafkaSettings, MllpSettings

_SAMPLE_S: Final = 0.25
_SETTLE_S: Final = 60.0
_READ_BYTES: Final = 256 * 1024  # of one read of a connection
_SLACK_BYTES: Final = 48_000_000  # allocators, librdkafka's own buffers, caches that fill once


def memory_bound(start: int, mllp: MllpSettings, connections: int) -> int:
    """Resident bytes that the server may reach, by its settings.

    What waits for the broker is there twice (ours and librdkafka's); beside it each connection has
    one unfinished frame and one read.
    """
    each = mllp.max_message_bytes + _READ_BYTES
    return start + 2 * mllp.max_unacknowledged_bytes + connections * each + _SLACK_BYTES


@dataclass
class Memory:
    """Resident bytes of a process, sampled."""

    start: int = 0
    warm: int = 0  # when a tenth of the frames was sent
    most: int = 0
    end: int = 0
    bound: int = 0


@dataclass
class Run:
    """What to do."""

    host: str
    port: int
    kafka: KafkaSettings
    mllp: MllpSettings
    corpus: Sequence[bytes]
    frames: int
    seed: int
    connections: int
    pid: int | None = None  # of the server, where it is on this machine
    alone: bool = True  # nobody else writes to the log
    save: Path | None = None
    progress: Callable[[int], None] = lambda _: None
    say: Callable[[str], None] = lambda _: None
    ledger: Ledger = field(default_factory=Ledger)
    memory: Memory = field(default_factory=Memory)
    outcomes: Outcomes = field(default_factory=Outcomes)
    saved: int = 0

    def sessions(self) -> Iterator[Session]:
        """All of them, in order; the last one may be shorter."""
        number, left = 0, self.frames
        while left > 0:
            yield session(self.corpus, self.seed, number, min(FRAMES, left))
            number, left = number + 1, left - FRAMES

    def execute(self) -> dict[str, Any]:
        """Run; the figures. `figures["passed"]` says whether everything is accounted for."""
        reading = Reading(self.kafka)
        try:
            start = reading.ends()
            begun = time.monotonic()
            asyncio.run(self._traffic())
            seconds = time.monotonic() - begun
            self.say("reading the log back")
            self._settle(reading, start)
            begun = time.monotonic()
            key = IdentityKey(bytes(32))
            for fate, kept in reading.records(start, reading.ends()):
                self.ledger.found(fate, kept)
                if fate is Fate.WIRE:
                    self.outcomes.take(kept, key, lambda raw: self._keep("interpret", raw))
            read_s = time.monotonic() - begun
            if self.ledger.strangers:
                for one in self.sessions():
                    if one.ending is Ending.RESET:
                        self.ledger.explain(one.stream)
        finally:
            reading.close()
        return self._figures(seconds, read_s)

    async def _traffic(self) -> None:
        watching = asyncio.create_task(self._watch()) if self.pid is not None else None
        await drive(
            self.host,
            self.port,
            self.sessions(),
            self.ledger,
            connections=self.connections,
            progress=self.progress,
            failed=self._keep_session,
        )
        if watching is not None:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _watch(self) -> None:
        memory = self.memory
        try:
            process = psutil.Process(self.pid)
            memory.start = memory.most = memory.end = process.memory_info().rss
            memory.bound = memory_bound(memory.start, self.mllp, self.connections)
            while True:
                await asyncio.sleep(_SAMPLE_S)
                memory.end = process.memory_info().rss
                memory.most = max(memory.most, memory.end)
                if not memory.warm and self.ledger.frames * 10 >= self.frames:
                    memory.warm = memory.end
        except psutil.NoSuchProcess:
            self.ledger.fault("the server's process ended")

    def _settle(self, reading: Reading, start: dict[tuple[str, int], int]) -> None:
        """What was sent and not waited for may still be on its way into the log."""
        needed, end = self.ledger.must.total(), time.monotonic() + _SETTLE_S
        last = -1
        while time.monotonic() < end:
            count = sum(o - start.get(place, 0) for place, o in reading.ends().items())
            if count >= needed and count == last:
                return
            last = count
            time.sleep(0.5)

    def _figures(self, seconds: float, read_s: float) -> dict[str, Any]:
        ledger, outcomes, memory = self.ledger, self.outcomes, self.memory
        alive = self.pid is None or psutil.pid_exists(self.pid)
        missing, unexplained = ledger.missing(), ledger.unexplained()
        if missing and self.save is not None:
            self._keep_missing()
        within = memory.most <= memory.bound
        passed = alive and within and not (missing or ledger.fault_count or outcomes.fault_count)
        return {
            "passed": passed and not (self.alone and unexplained),
            "seed": self.seed,
            "frames": ledger.frames,
            "bytes": ledger.size,
            "seconds": round(seconds, 1),
            "frames_per_s": round(ledger.frames / max(seconds, 1e-9)),
            "connections": self.connections,
            "sessions": dict(sorted(ledger.sessions.items())),
            "events": dict(sorted(ledger.fates.items())),
            "answers": dict(sorted(ledger.answers.items())),
            "log": {
                "records": ledger.there.total(),
                "must": ledger.must.total(),
                "may": ledger.may.total(),
                "broken_off": ledger.broken_off.total(),
                "missing": missing.total(),
                "unexplained": unexplained.total(),
            },
            "faults": ledger.fault_count,
            "first_faults": ledger.faults,
            "server_alive": alive,
            "memory": {name: round(value / 1e6, 1) for name, value in vars(memory).items()}
            | {"unit": "MB", "within_bound": within},
            "interpreted": {
                "messages": outcomes.messages,
                "seconds_with_reading": round(read_s, 1),
                "facts": outcomes.facts,
                "outcomes": dict(sorted(outcomes.outcomes.items())),
                "reasons": dict(outcomes.reasons.most_common()),
                "faults": outcomes.fault_count,
                "first_faults": outcomes.faults,
            },
        }

    def _keep(self, name: str, raw: bytes) -> None:
        if self.save is not None and self.saved < 100:
            self.saved += 1
            self.save.mkdir(parents=True, exist_ok=True)
            (self.save / f"{name}-{self.saved}.hl7").write_bytes(raw)

    def _keep_session(self, one: Session, _: list[Expected]) -> None:
        self._keep(f"session{one.number}-stream", one.stream)

    def _keep_missing(self) -> None:
        for one in self.sessions():
            if one.ending is not Ending.RESET:
                for event in events_missing(self.ledger, list(read_stream(one.stream))):
                    self._keep(f"session{one.number}-missing", event.kept)
            if self.saved >= 20:
                return
