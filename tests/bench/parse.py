"""How many messages a second one core turns into facts (run it: `--seconds S`).

A 12-segment ORU^R01 with eight observations, 500 patients and a new control id, order number and
time in every message, so that no cache sees the same message twice. Beside it, in the same run:
plain splitting (the floor), and hl7apy and python-hl7 parsing without mapping anything.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from connectors.hl7 import build
from connectors.hl7.interpret import Profile, interpret
from connectors.identity import IdentityKey

BEGIN = 1_767_268_800.0
VITALS: tuple[tuple[build.Code, float, str], ...] = (
    (("8867-4", "Heart rate", "LN"), 88.0, "/min"),
    (("9279-1", "Respiratory rate", "LN"), 18.0, "/min"),
    (("59408-5", "Oxygen saturation", "LN"), 96.0, "%"),
    (("8480-6", "Systolic blood pressure", "LN"), 121.0, "mm[Hg]"),
    (("8462-4", "Diastolic blood pressure", "LN"), 74.0, "mm[Hg]"),
    (("8310-5", "Body temperature", "LN"), 37.2, "Cel"),
    (("2345-7", "Glucose", "LN"), 104.0, "mg/dL"),
    (("2160-0", "Creatinine", "LN"), 0.9, "mg/dL"),
)


def messages(count: int) -> list[bytes]:
    """`count` different messages, a second apart."""
    made: list[bytes] = []
    for n in range(count):
        at = BEGIN + n
        patient = [(f"{100_000 + n % 500}", "HOSP", "MR")]
        lines = build.message("ORU^R01^ORU_R01", f"C{n}", at)
        lines.append(build.pid(patient, family="Doe", given="Jo", birth_date="19560412", sex="F"))
        lines.append(build.pv1("I", ward="W3", bed="12", visit=f"V{n % 500}"))
        panel = ("85353-1", "Vital signs", "LN")
        lines.append(build.obr(panel, filler=f"F{n}", authority="LAB", observed=at, changed=at))
        for number, (code, value, unit) in enumerate(VITALS, 1):
            lines.append(build.obx(code, value + n % 7, set_id=number, unit=unit, observed=at))
        assert len(lines) == 12
        made.append(build.join(lines))
    return made


def rate(step: Callable[[bytes], object], made: list[bytes], seconds: float) -> float:
    """Messages a second of processor time, the best of a run's parts (the machine is shared)."""
    best, source = 0.0, itertools.cycle(made)
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        done, started = 0, time.process_time()
        while (spent := time.process_time() - started) < 0.2:
            for raw in itertools.islice(source, 5):
                step(raw)
            done += 5
        best = max(best, done / spent)
    return best


def plain(raw: bytes) -> list[list[str]]:
    """The floor: every segment split into fields."""
    return [segment.split("|") for segment in raw.decode().split("\r")]


def contenders() -> dict[str, Callable[[bytes], object]]:
    """What there is to compare on this machine."""
    key, profile = IdentityKey(bytes(32)), Profile()

    def tocsin(raw: bytes) -> object:
        read = interpret(raw, BEGIN + 1e6, key, profile)
        assert len(read.facts) == 10
        return read

    found: dict[str, Callable[[bytes], object]] = {"tocsin, to facts": tocsin, "splitting": plain}
    if importlib.util.find_spec("hl7"):
        import hl7  # noqa: PLC0415  # optional: compared only where it is installed

        found["python-hl7, parse"] = lambda raw: hl7.parse(raw.decode())
    if importlib.util.find_spec("hl7apy"):
        from hl7apy.parser import parse_message  # noqa: PLC0415  # slow to import

        found["hl7apy, parse"] = lambda raw: parse_message(raw.decode())
    return found


def main() -> None:
    """Print one line for each contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each run (default 2)")
    seconds = parser.parse_args().seconds
    made = messages(40_000)
    for name, step in contenders().items():
        print(f"{name:20}{rate(step, made, seconds):12,.0f} messages/s")  # noqa: T201


if __name__ == "__main__":
    main()
