"""Tocsin's processes on servers of their own, with a proxy in every line, started again by hand.

Every part talks to every other through a proxy of its own. Processes that end are started again
after half a second, as a supervisor does.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from connectors.identity import IdentityKey
from connectors.settings import KafkaSettings
from streams.local import jars, topics
from streams.local.process import Pid, free_port, spawn, stop
from tests.chaos.proxy import Loop, Proxy
from tests.chaos.servers import Broker, RedisServer, send, wait_for

ROOT = Path(__file__).resolve().parents[2]
PARTITIONS = 4
RISKS = ("deterioration", "news2")
KEY = bytes(range(32))
PROCESSES = ("mllp", "sequencer", "worker1", "worker2")
_AGAIN_S = 0.5
_READY_S = 240.0


class Process:
    """One process of Tocsin, kept running."""

    def __init__(self, name: str, environment: dict[str, str], log: Path) -> None:
        self.name = name
        self.metrics = free_port()
        self.wanted = True
        self._environment = environment | {"TOCSIN_TELEMETRY__METRICS_PORT": str(self.metrics)}
        self._log = log
        self._pid: Pid | None = None
        self._asked: Pid | None = None  # to end
        self._next = 0.0

    def look(self) -> bool:
        """Start it if it should run and does not. True when it had ended unasked."""
        if self._pid is not None and self._pid.alive():
            return False
        pid, self._pid = self._pid, None
        ended = pid is not None
        if ended:
            self._next = time.monotonic() + _AGAIN_S
        elif self.wanted and time.monotonic() >= self._next:
            command = self.name.rstrip("0123456789")
            argv = [sys.executable, "-m", "streams.cli", command]
            self._pid = spawn(argv, self._log, self._environment)
        return ended and pid is not self._asked

    def ready(self) -> bool:
        """Whether it says so."""
        try:
            url = f"http://127.0.0.1:{self.metrics}/ready"
            return httpx.get(url, timeout=1.0).status_code == 200
        except httpx.HTTPError:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; what is killed counts as wanted."""
        pid = self._pid
        if number == signal.SIGTERM:
            self._asked = pid
        if number == signal.SIGKILL:
            self._pid = None  # `look` starts it again
            self._next = time.monotonic() + _AGAIN_S
        send(pid, number)

    def resident(self) -> int:
        """Bytes of memory; 0 when it does not run."""
        try:
            return int(psutil.Process(self._pid.pid).memory_info().rss) if self._pid else 0
        except psutil.NoSuchProcess:
            return 0

    def cpu_s(self) -> float:
        """Seconds of processor that it has had; 0 when it does not run."""
        try:
            times = psutil.Process(self._pid.pid).cpu_times() if self._pid else None
        except psutil.NoSuchProcess:
            return 0.0
        return times.user + times.system if times else 0.0

    def close(self) -> None:
        """End it."""
        self.wanted = False
        if self._pid is not None:
            send(self._pid, signal.SIGCONT)
            stop([self._pid], 5.0)


class System:
    """The whole, and hands to disturb it with."""

    def __init__(
        self,
        home: Path,
        *,
        workers: int = 2,
        disk_mb: int | None = 400,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment`: settings of all processes beside those that they need."""
        jars.require()  # before anything is started that would have to be ended
        self.home, self._more = home, dict(environment or {})
        self.loop = Loop()
        self.processes: dict[str, Process] = {}
        self.proxies: dict[str, Proxy] = {}  # "sender-mllp", "worker1-kafka", "worker1-redis" …
        self.names = [n for n in PROCESSES if not n.startswith("worker") or int(n[6:]) <= workers]
        self.key = IdentityKey(KEY)
        self.ended: Counter[str] = Counter()  # by themselves
        listeners = {name.upper(): (free_port(), free_port()) for name in self.names}
        self.kafka = Broker(home, listeners)
        self.redis = RedisServer(home)
        for name in self.names:
            port, told = listeners[name.upper()]
            self.proxies[f"{name}-kafka"] = Proxy(self.loop, told, port)
            self.proxies[f"{name}-redis"] = Proxy(self.loop, free_port(), self.redis.port)
        self._mllp = free_port()
        self.proxies["sender-mllp"] = Proxy(self.loop, free_port(), self._mllp)
        self._clock = home / "clock"
        self.set_clock(0.0)
        self.kafka.prepare(disk_mb)
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True, name="keeper")

    @property
    def kafka_settings(self) -> KafkaSettings:
        """Of the harness's own clients."""
        return KafkaSettings(bootstrap=self.kafka.bootstrap, partitions=PARTITIONS)

    @property
    def mllp(self) -> int:
        """The MLLP port itself, where a proxy before it would be the narrowest place."""
        return self._mllp

    def start(self) -> None:
        """Everything, ready to use."""
        self.kafka.start()
        self.redis.start()
        topics.create(self.kafka_settings)
        for name in self.names:
            log = self.home / "log" / f"{name}.log"
            self.processes[name] = Process(name, self._environment(name), log)
        self._keeper.start()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Until every process says that it is ready."""
        for process in self.processes.values():
            wait_for(process.ready, f"{process.name} is ready", _READY_S)

    def set_clock(self, offset: float) -> None:
        """Move the processes' wall clock by so many seconds from the true one."""
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:
            file.write(struct.pack("<d", offset))

    def _environment(self, name: str) -> dict[str, str]:
        own = {k: v for k, v in os.environ.items() if not k.startswith("TOCSIN_")}
        folder = self.home / name
        folder.mkdir(exist_ok=True)
        return own | {
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "clock"), str(ROOT)]),
            "CHAOS_CLOCK": str(self._clock),
            "TOCSIN_HOME": str(folder),
            "TOCSIN_KAFKA__BOOTSTRAP": f"127.0.0.1:{self.proxies[f'{name}-kafka'].port}",
            "TOCSIN_KAFKA__PARTITIONS": str(PARTITIONS),
            "TOCSIN_REDIS__URL": f"redis://127.0.0.1:{self.proxies[f'{name}-redis'].port}/0",
            "TOCSIN_MLLP__PORT": str(self._mllp),
            "TOCSIN_SEQUENCER__TICK_S": "1.0",
            "TOCSIN_IDENTITY__KEY": KEY.hex(),
            "TOCSIN_WORKER__RISKS": f'["{RISKS[0]}","{RISKS[1]}"]',
            "TOCSIN_TELEMETRY__TRACE_RATIO": "0",
            "OMP_NUM_THREADS": "1",
            **self._more,
        }

    def _keep(self) -> None:
        while not self._closing.wait(0.05):
            for name, process in self.processes.items():
                self.ended[name] += process.look()

    def close(self) -> None:
        """End everything that was started."""
        self._closing.set()
        if self._keeper.is_alive():
            self._keeper.join(5)
        for process in self.processes.values():
            process.close()
        self.redis.close()
        self.kafka.close()
        for proxy in self.proxies.values():
            proxy.close()
        self.loop.close()


@contextmanager
def running(
    home: Path,
    *,
    workers: int = 2,
    disk_mb: int | None = 400,
    environment: Mapping[str, str] | None = None,
) -> Iterator[System]:
    """Everything up, and down again."""
    system = System(home, workers=workers, disk_mb=disk_mb, environment=environment)
    try:
        system.start()
        yield system
    finally:
        system.close()
