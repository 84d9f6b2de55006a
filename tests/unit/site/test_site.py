"""The site file: what it changes, what is refused, and how it is taken over while running."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.facts import Observation
from connectors.hl7.interpret import interpret
from connectors.identity import IdentityKey
from connectors.interpretation import Interpretation
from connectors.settings import IdentitySettings, SequencerSettings
from connectors.site import Site, SiteError, load
from streams.cli.sources import app

DOCS = Path(__file__).resolve().parents[3] / "docs"
CODES = """
codes:
  - {system: 99LAB, code: K, loinc: 2823-3, name: Potassium, unit: mmol/L}
  - {code: PULS, loinc: 8867-4}
units: {"mmol/l": mmol/L, "Schl/min": /min}
"""
SITE = """
sources:
  - match: "LAB|*"
    time_zone: Europe/Vienna
    charset: latin-1
    authorities: {"1.2.3": HOSP}
    codes: lab.yaml
  - match: "*"
    facility: OTHER
"""


def site(folder: Path, text: str = SITE, codes: str = CODES) -> Site:
    (folder / "site.yaml").write_text(text)
    (folder / "lab.yaml").write_text(codes)
    return Site(SequencerSettings(site=folder / "site.yaml"), IdentitySettings())


def read(
    found: Site, obx: str, *, source: str = "LAB|H", pid: str = "42^^^HOSP^MR"
) -> Interpretation:
    application, _, facility = source.partition("|")
    raw = (
        f"MSH|^~\\&|{application}|{facility}|||20260101120000||ORU^R01|1|P|2.5.1\r"
        f"PID|1||{pid}\rOBR|1||F1^L|1^P^L|||20260101110000\r{obx}\r"
    )
    return interpret(raw.encode("latin-1"), 1_767_312_000.0, IdentityKey(bytes(32)), found)


def observation(found: Interpretation) -> Observation:
    (one,) = (f for f in found.facts if isinstance(f, Observation))
    return one


def test_local_codes_and_units_get_their_meaning(tmp_path: Path) -> None:
    found = site(tmp_path)
    for obx, expected in (
        ("OBX|1|NM|K^Kalium^99LAB||4.1|||||F", ("2823-3", "LN", "mmol/L", "Potassium")),
        ("OBX|1|NM|K^Kalium^99LAB||4.1|mmol/l||||F", ("2823-3", "LN", "mmol/L", "Potassium")),
        ("OBX|1|NM|PULS||80|Schl/min||||F", ("8867-4", "LN", "/min", "")),
        ("OBX|1|NM|X^Other^99LAB||4.1|U||||F", ("X", "99LAB", "U", "Other")),
    ):
        one = observation(read(found, obx))
        assert (one.code, one.system, one.unit, one.name) == expected


def test_codes_that_nobody_mapped_are_counted(tmp_path: Path) -> None:
    found = site(tmp_path)
    assert read(found, "OBX|1|NM|X^Other^99LAB||4.1|U||||F").unmapped == {("99LAB", "X", "U"): 1}
    assert read(found, "OBX|1|NM|K^Kalium^99LAB||4.1|||||F").unmapped == {}


def test_a_source_has_its_own_clock_charset_and_authorities(tmp_path: Path) -> None:
    found = site(tmp_path)
    obx = "OBX|1|ST|1^Note^L||M\xfcde||||||F"
    lab = read(found, obx)
    assert observation(lab).value == "M\xfcde"
    assert observation(lab).time == 1_767_261_600.0  # eleven in Vienna
    other = read(found, "OBX|1|NM|8867-4^HR^LN||80|||||F", source="ADT|H")
    assert observation(other).time == 1_767_265_200.0
    assert read(found, obx, pid="42^^^1.2.3^MR").pseudonym == lab.pseudonym
    elsewhere = read(found, "OBX|1|NM|1^A^L||1|||||F", source="ADT|H", pid="42^^^^MR")
    meant = read(found, "OBX|1|NM|1^A^L||1|||||F", source="ADT|H", pid="42^^^OTHER^MR")
    assert elsewhere.pseudonym == meant.pseudonym


def test_a_changed_file_is_taken_over_and_a_bad_one_is_not(tmp_path: Path) -> None:
    found = site(tmp_path)
    obx = "OBX|1|NM|K^Kalium^99LAB||4.1|||||F"
    assert observation(read(found, obx)).code == "2823-3"
    assert not found.refresh()
    (tmp_path / "lab.yaml").write_text("codes: [{system: 99LAB, code: K, loinc: 2160-0}]")
    assert found.refresh()
    assert observation(read(found, obx)).code == "2160-0"
    (tmp_path / "lab.yaml").write_text("codes: [{system: 99LAB, code: K, loinc: 2160-1, x: 1}]")
    assert not found.refresh()
    assert observation(read(found, obx)).code == "2160-0"


@pytest.mark.parametrize(
    ("text", "codes", "said"),
    [
        ("sources: [", CODES, "no YAML"),
        ("sources: [{match: a, colour: red}]", CODES, "sources.0.colour"),
        ("sources: [{time_zone: UTC}]", CODES, "sources.0.match"),
        ("sources: [{match: a, time_zone: Mars}]", CODES, "time_zone"),
        ("sources: [{match: a, charset: utf-16}]", CODES, "charset"),
        ("sources: [{match: a, codes: none.yaml}]", CODES, "none.yaml cannot be read"),
        (SITE, "codes: [{code: K, loinc: 2823-4}]", "check digit"),
        (SITE, "codes: [{code: K, loinc: potassium}]", "codes.0.loinc"),
        (SITE, "codes: [{code: K, loinc: 2823-3}, {code: K, loinc: 8867-4}]", "twice"),
        (SITE, "codes: 7", "codes"),
        ("- 1", CODES, "top"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(
    tmp_path: Path, text: str, codes: str, said: str
) -> None:
    with pytest.raises(SiteError, match=re.escape(said)):
        site(tmp_path, text, codes)


def test_the_check_command_and_the_example_in_the_docs(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n# (\S+)\n(.*?)```", (DOCS / "sources.md").read_text(), re.DOTALL)
    assert [name for name, _ in blocks] == ["site.yaml", "lab-codes.yaml"]
    for name, text in blocks:
        (tmp_path / name).write_text(text)
    done = CliRunner().invoke(app, ["check", str(tmp_path / "site.yaml")])
    assert done.exit_code == 0, done.output
    assert "is right" in done.output
    assert len(load(tmp_path / "site.yaml").sources) >= 2
