"""`python -m tests.chaos --runs 200 --seed 1 --json chaos.json`: see `docs/reliability.md`.

Runs are numbered from `--first` on; a batch of them shares servers and processes.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.chaos.faults import FAULTS, LONG
from tests.chaos.run import Batch, Report
from tests.chaos.system import running


def batches(first: int, runs: int, size: int) -> Iterator[range]:
    """Numbers of runs, cut into batches."""
    for start in range(first, first + runs, size):
        yield range(start, min(start + size, first + runs))


def play(
    seed: int, numbers: range, fault: str, keep: Path | None, take_overs: list[float]
) -> Iterator[Report]:
    """One batch on servers of its own; ends early when a run was not clean.

    It begins with a take-over, whose seconds are added to `take_overs`.
    """
    with tempfile.TemporaryDirectory(prefix="tocsin-chaos-") as folder, running(Path(folder)) as s:
        batch = Batch(s, seed)
        try:
            take_overs.append(batch.take_over(numbers.start))
            print(f"take-over in {take_overs[-1]:.2f} s", flush=True)
            for number in numbers:
                report = batch.run(number, fault=fault)
                yield report
                if not report.clean:
                    _keep_logs(Path(folder) / "log", keep)
                    return
                s.wait_ready()
        finally:
            batch.close()


def _keep_logs(logs: Path, keep: Path | None) -> None:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        for file in logs.glob("*.log"):
            (keep / file.name).write_bytes(file.read_bytes()[-4_000_000:])


def table(reports: list[dict[str, Any]]) -> str:
    """Fault → runs, clean ones, seconds until nothing was amiss."""
    by_fault: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for report in reports:
        for name in set(report["faults"]):
            by_fault[name].append(report)
    lines = ["| fault | runs | clean | settled after, s (median, most) |", "|---|---|---|---|"]
    for name, of in sorted(by_fault.items()):
        settled = sorted(r["settle_s"] for r in of)
        clean = sum(r["clean"] for r in of)
        lines.append(
            f"| {name} | {len(of)} | {clean} | {settled[len(of) // 2]:.1f}, {settled[-1]:.1f} |"
        )
    return "\n".join(lines)


def _some(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("at least 1: no run at all would pass for a clean one")
    return int(text)


def main() -> int:
    """Run, with progress; 1 when any run was not clean."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    known = [f.name for f in (*FAULTS, LONG)]
    parser.add_argument("--runs", type=_some, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first run")
    parser.add_argument("--batch", type=int, default=25, help="runs that share their servers")
    parser.add_argument("--fault", choices=known, default="", help="it is always this one's turn")
    parser.add_argument("--json", type=Path, help="the report; runs in it are added to")
    parser.add_argument("--keep", type=Path, help="folder for the logs of a run that failed")
    parser.add_argument("--seconds", type=float, default=86_400.0, help="begin no run after that")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are stopped on the way out
    reports: list[dict[str, Any]] = []
    take_overs: list[float] = []
    if options.json and options.json.is_file():
        before = json.loads(options.json.read_text())
        reports, take_overs = before["runs"], before["take_over_s"]
    began = time.monotonic()
    queue = list(batches(options.first, options.runs, options.batch))
    while queue and time.monotonic() - began < options.seconds:
        numbers = queue.pop(0)
        done = 0
        for report in play(options.seed, numbers, options.fault, options.keep, take_overs):
            done += 1
            _say(report)
            reports.append(report.to_json())
            _write(options.json, options.seed, reports, take_overs)
            if time.monotonic() - began > options.seconds:
                queue.clear()
                break
        if (
            done < len(numbers) and time.monotonic() - began < options.seconds
        ):  # after a failure, the rest on fresh servers
            queue.insert(0, range(numbers.start + done, numbers.stop))
    failed = [r for r in reports if not r["clean"]]
    print(table(reports))
    print(f"{len(reports)} runs, {len(failed)} not clean, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def _say(report: Report) -> None:
    mark = "ok " if report.clean else "BAD"
    what = " + ".join(report.faults)
    notes = f" ({', '.join(report.notes)})" if report.notes else ""
    ended = f", ended by themselves {report.ended}" if report.ended else ""
    print(
        f"{mark} {report.number:3} {what}{notes}: {report.messages} messages, {report.resent} "
        f"again, {report.alerts} alert records, settled in {report.settle_s:.1f} s{ended}, "
        f"{report.seconds:.1f} s",
        flush=True,
    )
    for complaint in [*report.broken, *report.waiting][:12]:
        print(f"      {complaint}", flush=True)


def _write(
    file: Path | None, seed: int, reports: list[dict[str, Any]], take_overs: list[float]
) -> None:
    if file is not None:
        reports.sort(key=lambda r: r["number"])
        file.write_text(
            json.dumps({"seed": seed, "take_over_s": take_overs, "runs": reports}, indent=1) + "\n"
        )


if __name__ == "__main__":
    sys.exit(main())
