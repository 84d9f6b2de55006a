"""Apache Kafka's jars: resolved once by jgo, checked against the hashes in this repository.

Run as a module it fetches them: `python -m streams.local.jars`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from streams.local.errors import LocalError

KAFKA_VERSION = "4.3.1"
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    # Kafka logs through SLF4J 1.7; without a backend its startup errors are invisible. Not
    # log4j-slf4j-impl, whose bill of materials would change the versions of Kafka's own jars.
    "org.slf4j:slf4j-simple:1.7.36",
)
_ROOT = Path(__file__).resolve().parents[2]
_HASHES = Path(__file__).with_name("kafka-jars.sha256")
_ATTEMPTS = 2


def folder() -> Path:
    """Where the jars are: in the checkout, or in the user's cache when Tocsin was installed."""
    if (_ROOT / "pyproject.toml").is_file():
        return _ROOT / ".local" / f"kafka-{KAFKA_VERSION}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tocsin" / f"kafka-{KAFKA_VERSION}"


def expected() -> dict[str, str]:
    """File name → SHA-256 of every jar, from `kafka-jars.sha256` (the form of `sha256sum`)."""
    lines = _HASHES.read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def complete() -> bool:
    """Whether every jar is there. They are put there together, after their hashes were checked."""
    there = {path.name for path in folder().glob("*.jar")}
    return there >= expected().keys()


def require() -> Path:
    """The folder of the jars. Raises `LocalError` when they are not all there."""
    if not complete():
        raise LocalError(
            f"Apache Kafka's jars are missing from {folder()}: run `make setup` "
            "(or `python -m streams.local.jars`), or name a running broker in kafka.bootstrap."
        )
    return folder()


def fetch(progress: Callable[[str], None]) -> None:
    """Download the jars unless they are there. Raises `LocalError` when that does not work."""
    if complete():
        return
    progress(f"downloading Apache Kafka {KAFKA_VERSION} (45 MB)")
    work = folder().with_name("kafka-download")
    for attempt in range(1, _ATTEMPTS + 1):
        problem = _fetch_once(work)
        if not problem:
            return
        # What an interrupted download left behind could spoil the next one.
        shutil.rmtree(work, ignore_errors=True)
        if attempt < _ATTEMPTS:
            progress(f"trying again: {problem}")
    raise LocalError(
        f"Apache Kafka's jars could not be downloaded: {problem}. Check the network (a Maven "
        "repository of your own goes into jgo's settings) and run `make setup` again."
    )


def _fetch_once(work: Path) -> str:
    """One attempt; the reason why it failed, or nothing."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "jgo.toml").write_text(_specification(work))
    command = [sys.executable, "-m", "jgo", "--color", "never", "--system-java"]
    command += ["--resolver", "python", "--class-path-only", "--repo-cache", str(work / "m2")]
    run = subprocess.run(  # noqa: S603 - our own interpreter with fixed arguments
        [*command, "sync"], cwd=work, capture_output=True, text=True, check=False
    )
    if run.returncode:
        lines = [line.strip() for line in (run.stderr + run.stdout).splitlines() if line.strip()]
        return lines[-1] if lines else f"jgo ended with {run.returncode}"
    found = {path.name: path for path in (work / "cache").rglob("*.jar")}
    wanted = expected()
    if found.keys() != wanted.keys():
        return f"not the expected files: {sorted(found.keys() ^ wanted.keys())}"
    for name, path in found.items():
        if hashlib.sha256(path.read_bytes()).hexdigest() != wanted[name]:
            return f"{name} does not have the expected hash"
    _publish(found.values(), work)
    return ""


def _specification(work: Path) -> str:
    coordinates = ", ".join(f'"{c}"' for c in COORDINATES)
    return (
        '[environment]\nname = "kafka"\n'
        f"[dependencies]\ncoordinates = [{coordinates}]\n"
        f'[entrypoints]\nmain = "{COORDINATES[0]}"\ndefault = "main"\n'
        f'[settings]\ncache_dir = "{work / "cache"}"\n'
    )


def _publish(found: Iterable[Path], work: Path) -> None:
    """Put the checked jars in place with one rename, so that they are all there or none."""
    staged = work / "staged"
    staged.mkdir()
    for path in found:
        path.replace(staged / path.name)
    shutil.rmtree(folder(), ignore_errors=True)
    staged.replace(folder())
    shutil.rmtree(work, ignore_errors=True)


def main() -> int:
    """Fetch the jars; 1 when that does not work."""
    try:
        fetch(lambda line: print(f"  {line}", flush=True))  # noqa: T201 - its output
    except LocalError as error:
        print(error, file=sys.stderr)  # noqa: T201 - its output
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
