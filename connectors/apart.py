"""Runs a function in a process of its own: what C code may break, it breaks there."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Final, ParamSpec, TypeVar

MOST_BYTES: Final = 8 * 1024**3  # of address space: what unpacks to more breaks there
_LOOK_S: Final = 1.0
P = ParamSpec("P")
T = TypeVar("T")


class BrokeError(Exception):
    """The process died, or took longer than it may."""


class Apart:
    """One process, started when it is needed, kept for the next time, replaced when broken."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function returns or raises. Raises `BrokeError`."""
        with self._lock:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=_confine)
            try:
                return self._pool.submit(function, *args, **kwargs).result(self._longest_s)
            except (BrokenProcessPool, TimeoutError) as error:
                self._end(self._pool)
                raise BrokeError(type(error).__name__) from None

    def end(self) -> None:
        """Stop the process; another `run` starts it anew."""
        with self._lock:
            if self._pool is not None:
                self._end(self._pool)

    def _end(self, pool: ProcessPoolExecutor) -> None:
        self._pool = None
        # A worker that hangs has to be killed, or `shutdown` would wait for it. There is no
        # public way to do that before Python 3.14.
        for process in list(pool._processes.values()):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        pool.shutdown(wait=True, cancel_futures=True)


def _confine() -> None:
    """Bounded memory, silence, and no life of its own."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with contextlib.suppress(ValueError, OSError):  # not everywhere can it be bounded
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    # C libraries complain on standard error, and quote what they read: patient data.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _end_with(parent: int) -> None:
    """Whoever is killed tells nobody: the process would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)
