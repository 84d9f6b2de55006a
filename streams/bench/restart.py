"""How soon a worker that starts anew gives its first score, with very many patients in the store.

Those who are there beside the patients of the traffic are copies of them, as they lie when nothing
was heard of them for a day: packed, with a line in the list and a time at which they are due.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
from redis import Redis

from connectors import topics
from connectors.replay.timed import Timed
from connectors.settings import KafkaSettings
from streams import codec, keys
from streams.bench import resources, sender
from streams.bench.watcher import Watcher

_AT_ONCE = 500  # patients in one round trip
_MODELS = 200  # patients that copies are made of
_DUE_IN_S = 365 * 86_400.0
_PATIENCE_S = 120.0
_LOOK_S = 0.02


def fill(redis: Redis, partitions: int, patients: int) -> int:
    """Copy patients until there are so many; returns how many there are."""
    known = [name for p in range(partitions) for name in _names(redis, p)]
    models = [_packed(redis, *one) for one in islice(known, _MODELS)]
    missing = max(0, patients - len(known))
    for start in range(0, missing, _AT_ONCE):
        with redis.pipeline(transaction=False) as pipe:
            for n in range(start, min(start + _AT_ONCE, missing)):
                name, line = f"copy-{n}", models[n % len(models)][1]
                partition = topics.partition_of(name, partitions)
                pipe.hset(keys.patient(partition, name), mapping=models[n % len(models)][0])  # type: ignore[arg-type]
                pipe.hset(keys.summaries(partition), name, line)
                pipe.zadd(keys.due(partition), {name: time.time() + _DUE_IN_S})
            pipe.execute()
    return len(known) + missing


def _names(redis: Redis, partition: int) -> list[tuple[int, str]]:
    lines: Any = redis.hkeys(keys.summaries(partition))
    return [(partition, name.decode()) for name in lines]


def _packed(redis: Redis, partition: int, name: str) -> tuple[dict[bytes, bytes], bytes]:
    fields: Any = redis.hgetall(keys.patient(partition, name))
    line: Any = redis.hget(keys.summaries(partition), name)
    whole = fields if keys.PACKED_FIELD in fields else codec.packed(fields)
    return whole, line


async def first_score(
    home: Path, kafka: KafkaSettings, mllp: str, messages: Sequence[Timed]
) -> dict[str, float]:
    """Ask the worker to end; seconds from its end, and from its successor's start, to the first
    score. Raises `TimeoutError`."""
    watcher = await asyncio.to_thread(lambda: Watcher(kafka, hops=False))
    old = resources.processes(home)["worker"]
    old.terminate()
    await asyncio.to_thread(_until_gone, old)
    ended = time.time()
    await sender.send(mllp, messages)
    await asyncio.to_thread(watcher.scored.wait, _PATIENCE_S)
    began = resources.processes(home)["worker"].create_time()
    seen = await asyncio.to_thread(watcher.close)
    if not seen.first_score:
        raise TimeoutError(f"a new worker gave no score within {_PATIENCE_S:g} s")
    return {
        "after_end_s": round(seen.first_score - ended, 2),
        "after_start_s": round(seen.first_score - began, 2),
    }


def _until_gone(process: psutil.Process) -> None:
    """Not `wait`: it is the supervisor's child, which may leave it as a zombie for long."""
    give_up = time.monotonic() + _PATIENCE_S
    with suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < give_up:
            time.sleep(_LOOK_S)
