"""Made-up people, scores and charts of `FakeHospital`: the same ones for the same seed."""

from __future__ import annotations

import math
import random

from connectors.clock import iso
from connectors.contract import Contribution, Evidence, LogPosition, Missing, Score
from connectors.facts import AnyFact, EncounterEvent, Observation, PersonDetail
from connectors.identity import Identifier, Identity
from streams.console.evidence import probability_of

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC
RISK = "deterioration"
BASELINE = -1.75
FAMILIES = ("Okafor", "Lindqvist", "Moreau", "Tanaka", "O'Brien", "Novak", "Haddad", "Silva")
GIVEN = ("Grace", "Ingrid", "Louis", "Kenji", "Mary", "Petr", "Layla", "João", "Ana", "Femi")
VITALS = (  # code, name, unit, mean, spread, minutes apart
    ("8867-4", "Heart rate", "/min", 92, 9, 15),
    ("8480-6", "Systolic BP", "mm[Hg]", 118, 9, 15),
    ("8462-4", "Diastolic BP", "mm[Hg]", 64, 6, 15),
    ("8478-0", "Mean BP", "mm[Hg]", 82, 6, 15),
    ("59408-5", "SpO2", "%", 95, 1.4, 15),
    ("9279-1", "Resp rate", "/min", 19, 2.5, 30),
    ("8310-5", "Temperature", "Cel", 37.4, 0.4, 120),
    ("2524-7", "Lactate", "mmol/L", 2.6, 1.1, 360),
    ("2160-0", "Creatinine", "mg/dL", 1.4, 0.3, 720),
    ("6690-2", "WBC", "10*3/uL", 13.2, 3.0, 720),
    ("777-3", "Platelets", "10*3/uL", 184, 30, 720),
    ("2823-3", "Potassium", "mmol/L", 4.2, 0.4, 720),
)


def _born(i: int) -> int:
    return 1934 + i * 7 % 60


def _sex(i: int) -> str:
    return "F" if GIVEN[i % len(GIVEN)] in ("Grace", "Ingrid", "Mary", "Layla", "Ana") else "M"


def identity(i: int) -> Identity:
    """The person in place `i`."""
    family = FAMILIES[i % len(FAMILIES)] + (f"-{FAMILIES[i // 8 % 8]}" if i >= 8 else "")
    return Identity(
        identifiers=(Identifier("CITY", "MR", f"{100_000 + i}"),),
        family=family,
        given=GIVEN[i % len(GIVEN)],
        birth_date=f"{_born(i)}{1 + i % 12:02}{1 + i % 28:02}",
        sex=_sex(i),
    )


def score(pseudonym: str, i: int, log_odds: float, now: float, offset: int) -> Score:
    """With features that add up to it."""
    llr = round(log_odds - BASELINE, 6)
    rng = random.Random(f"{pseudonym}/{offset}")
    shares = [rng.uniform(0.1, 0.4) for _ in range(4)]
    features = (
        ("Lactate, last value", round(rng.uniform(1.2, 5.5), 1), "mmol/L", 9_600.0),
        ("Heart rate, mean of 6 h", round(rng.uniform(80, 125)), "/min", 700.0),
        ("Systolic pressure, cuff, lowest of 6 h", round(rng.uniform(80, 120)), "mm[Hg]", 2e3),
        ("Age", 2026 - _born(i), "a", None),
    )
    top = [
        Contribution(
            feature=name,
            value=value,
            unit=unit,
            contribution=round(llr * share, 6),
            as_of=None if age is None else iso(now - age),
        )
        for (name, value, unit, age), share in zip(features, shares, strict=True)
    ]
    top.append(
        Contribution(
            feature="Oxygen saturation, last value",
            value=97,
            unit="%",
            contribution=-0.21,
            as_of=iso(now - 300),
        )
    )
    p = probability_of(round(BASELINE + llr, 6))
    return Score(
        patient=pseudonym,
        risk=RISK,
        as_of=iso(now),
        probability=p,
        log_odds=round(BASELINE + llr, 6),
        interval=(max(0.0, p - 0.07), min(1.0, p + 0.09)),
        abstained=None,
        baseline=BASELINE,
        evidence=[
            Evidence(modality="ehr", llr=llr, as_of=iso(now - 300), staleness_s=300, top=top)
        ],
        missing=Missing(
            modalities=[],
            next_datum="Arterial pH",
            expected_change=0.31,
            features=["Bilirubin, total", "Albumin", "Arterial pH", "Glucose", "Troponin T"],
        ),
        model="sha256:0",
        config="1",
        log=LogPosition(topic="tocsin.facts", partition=0, offset=offset),
        caused_by=[],
        trace="",
    )


def abstained(pseudonym: str, reason: str, now: float, offset: int) -> Score:
    """No probability, and why."""
    return Score(
        patient=pseudonym,
        risk=RISK,
        as_of=iso(now),
        probability=None,
        log_odds=None,
        interval=None,
        abstained=reason,
        baseline=BASELINE,
        evidence=[],
        missing=Missing(modalities=["ehr"], next_datum=None),
        model="sha256:0",
        config="1",
        log=LogPosition(topic="tocsin.facts", partition=0, offset=offset),
        caused_by=[],
        trace="",
    )


def facts(pseudonym: str, i: int, ward: str, bed: str, now: float, hours: float) -> list[AnyFact]:
    """Charted vitals and laboratory, with a correction and a deletion."""
    rng = random.Random(pseudonym)
    start = now - hours * 3600
    rank = (1, start, 0, "")
    found: list[AnyFact] = [
        EncounterEvent(
            id="v1:in",
            rank=rank,
            visit="v1",
            event=EncounterEvent.ADMITTED,
            time=start,
            patient_class="I",
            ward=ward,
            bed=bed,
        ),
        PersonDetail(id="person:birth_year", rank=rank, field="birth_year", value=_born(i)),
        PersonDetail(id="person:sex", rank=rank, field="sex", value=_sex(i)),
    ]
    for code, name, unit, mean, spread, apart in VITALS:
        found += _series(rng, start, hours, code, name, unit, mean, spread, apart)
    late = {"system": "LN", "name": "Potassium", "code": "2823-3", "time": now - 5_000}
    found += [
        Observation(id="k1", rank=(0, 1.0, 0, "1"), status="P", value=3.9, unit="mmol/L", **late),
        Observation(
            id="k2",
            rank=(1, 2.0, 1, "2"),
            status="D",
            removed=True,
            **late | {"time": NOON - 9e3},
        ),
        Observation(
            id="hr0",
            rank=rank,
            code="8867-4",
            system="LN",
            name="HR",
            status="F",
            time=now - 4_000,
            value=0,
            unit="/min",
        ),
        Observation(
            id="crp",
            rank=(1, 3.0, 1, "3"),
            code="1988-5",
            system="LN",
            name="CRP",
            status="C",
            time=now - 8_000,
            value=164,
            unit="mg/L",
            flag="HH",
        ),
        Observation(
            id="trop",
            rank=rank,
            code="6598-7",
            system="LN",
            name="Troponin T",
            status="F",
            time=now - 8_000,
            value=0.01,
            comparator="<",
            unit="ug/L",
        ),
    ]
    return found


def _series(
    rng: random.Random,
    start: float,
    hours: float,
    code: str,
    name: str,
    unit: str,
    mean: float,
    spread: float,
    apart: int,
) -> list[Observation]:
    found = []
    drift = rng.gauss(0, spread)
    for i in range(int(hours * 60 / apart)):
        at = start + (i + rng.random() * 0.6) * apart * 60
        wave = math.sin(i * apart / 240 + drift) * spread * 0.7
        value = mean + drift + wave + rng.gauss(0, spread * 0.35)
        value = min(value, 100) if unit == "%" else value
        found.append(
            Observation(
                id=f"{code}/{i}",
                rank=(1, at, 0, ""),
                code=code,
                system="LN",
                time=at,
                status="F",
                name=name,
                value=round(value, 1 if mean < 50 else 0),
                unit=unit,
            )
        )
    return found
