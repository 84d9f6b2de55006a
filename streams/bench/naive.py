"""Runs the obvious build on the same broker and store, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from streams.errors import UserError
from streams.local.up import Endpoints

_PATIENCE_S = 330.0


async def run(script: Path, endpoints: Endpoints, messages: int) -> dict[str, Any]:
    """Its figures: `messages_per_second`, `cpu_ms_per_message`. Raises `UserError`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        endpoints.kafka,
        endpoints.redis,
        str(messages),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, problem = await asyncio.wait_for(process.communicate(), _PATIENCE_S)
    except TimeoutError:
        process.kill()
        raise UserError(f"{script} did not end within {_PATIENCE_S:g} s.") from None
    if process.returncode:
        last = problem.decode(errors="replace").strip().rpartition("\n")[2]
        raise UserError(f"{script} ended with an error: {last}")
    figures: dict[str, Any] = json.loads(out.splitlines()[-1])
    return figures
