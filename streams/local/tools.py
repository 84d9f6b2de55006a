"""Brings and checks what a local run needs besides Python packages: run by `make setup`."""

from __future__ import annotations

import sys

from streams.local import jars, jvm, redis
from streams.local.errors import LocalError


def main() -> int:
    """Fetch Kafka's jars, find a Java and a Redis; 1 with one sentence when one is missing."""
    try:
        jars.fetch(_say)
        _say(f"Apache Kafka {jars.KAFKA_VERSION}: {len(jars.expected())} jars")
        java = jvm.java()
        _say(f"Java {jvm.java_version(java)}: {java}")
        program = redis.program()
        _say(f"Redis {redis.version(program)}: {program}")
    except LocalError as error:
        print(error, file=sys.stderr)  # noqa: T201 - its output
        return 1
    return 0


def _say(line: str) -> None:
    print(f"  {line}", flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    sys.exit(main())
