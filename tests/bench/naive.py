"""The obvious build, for comparison: Faust and hl7apy, one message at a time, Redis for each.

What somebody would write in an afternoon: an agent over the raw messages parses each with hl7apy,
takes the patient out of Redis, adds the observations, writes the patient back, works out a score
from the newest values, and sends it. It does less than Tocsin (no identities, no corrections, no
order, no explanation, nothing exactly once) and is written as well as that can be: hl7apy without
validation, one connection to Redis, no waiting for the broker's answer.

`tocsin bench --naive tests/bench/naive.py` runs it on the same broker, beside the figures of the
same run. By itself: python tests/bench/naive.py BOOTSTRAP REDIS_URL MESSAGES
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import tempfile
import time
from typing import Any

import faust
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message
from redis.asyncio import Redis

WIRE, SCORES = "tocsin.wire.hl7", "bench.naive.scores"
# Code → (usual value, weight): a score as good as any for measuring what it costs.
WEIGHTS = {
    "8867-4": (80.0, 0.02),
    "9279-1": (16.0, 0.08),
    "8310-5": (37.0, 0.2),
    "8480-6": (120.0, -0.01),
    "2708-6": (97.0, -0.05),
    "2524-7": (1.0, 0.3),
}


def observations(raw: bytes) -> tuple[str, dict[str, float]]:
    """Patient number and numeric values by code."""
    level = VALIDATION_LEVEL.TOLERANT
    message = parse_message(raw.decode(), validation_level=level, find_groups=False)
    patient = message.pid.pid_3.cx_1.to_er7()
    found = {}
    for obx in message.obx:
        try:
            found[obx.obx_3.ce_1.to_er7()] = float(obx.obx_5.to_er7())
        except (ValueError, HL7apyException):
            continue
    return patient, found


def probability(values: dict[str, float]) -> float:
    """From the newest value of each code."""
    log_odds = -2.0 + sum(w * (values.get(c, usual) - usual) for c, (usual, w) in WEIGHTS.items())
    return 1.0 / (1.0 + math.exp(-log_odds))


async def run(bootstrap: str, redis_url: str, most: int) -> dict[str, Any]:
    """Messages a second, over `most` messages from the beginning of the log."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(SCORES, 8, 1)])[SCORES].result()
    with tempfile.TemporaryDirectory() as folder:
        app: Any = faust.App(
            "bench-naive",
            broker=f"kafka://{bootstrap}",
            consumer_auto_offset_reset="earliest",
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            datadir=folder,
        )
        redis = Redis.from_url(redis_url)
        done = asyncio.Event()
        times: list[float] = []
        wire, scores = app.topic(WIRE, value_serializer="raw"), app.topic(SCORES)

        async def score(stream: Any) -> None:
            async for raw in stream:
                try:
                    patient, found = observations(raw)
                except (HL7apyException, UnicodeDecodeError, AttributeError):
                    times.append(time.perf_counter())
                    continue
                kept = json.loads(await redis.get(f"bench:naive:{patient}") or b"{}")
                kept.update(found)
                await redis.set(f"bench:naive:{patient}", json.dumps(kept))
                await scores.send(key=patient, value={"patient": patient, "p": probability(kept)})
                times.append(time.perf_counter())
                if len(times) >= most:
                    done.set()

        app.agent(wire, name="score")(score)
        await app.start()
        await asyncio.wait_for(done.wait(), 300)
        cpu = time.process_time()
        await app.stop()
        await redis.aclose()
    return {
        "messages": len(times),
        "messages_per_second": round((len(times) - 1) / (times[-1] - times[0]), 2),
        "cpu_ms_per_message": round(1000 * cpu / len(times), 3),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
