"""The site file: what it changes, what is refused, and how it is taken over while running."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from connectors.facts import Observation
from connectors.hl7.interpret import interpret
from connectors.identity import IdentityKey
from connectors.interpretation import Interpretation
from connectors.mllp.acknowledge import Mode
from connectors.settings import IdentitySettings, SequencerSettings
from connectors.site import Feed, Site, SiteError, load
from streams.cli.sources import app
from streams.local.environment import variables
from streams.settings import Settings

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


def test_a_local_result_becomes_what_a_model_reads(tmp_path: Path) -> None:
    """Codes of Tocsin's own, where no LOINC says it, and the laboratory's answers to them."""
    codes = """
codes:
  - {system: 99PATH, code: IDH, tocsin: idh-status, answers: {"R132H ": mutated}}
"""
    found = read(site(tmp_path, codes=codes), "OBX|1|ST|IDH^IDH^99PATH||r132h||||||F")
    fact = next(f for f in found.facts if isinstance(f, Observation))
    assert (fact.code, fact.system, fact.value) == ("idh-status", "99TCS", "mutated")
    assert not found.unmapped
    other = read(site(tmp_path, codes=codes), "OBX|1|ST|IDH^IDH^99PATH||pending||||||F")
    assert [f.value for f in other.facts if isinstance(f, Observation)] == ["pending"]


def test_messages_for_training_are_set_aside_where_the_site_says_so(tmp_path: Path) -> None:
    text = SITE.replace("codes: lab.yaml", "codes: lab.yaml\n    processing: [P]")
    found = site(tmp_path, text)
    obx = "OBX|1|NM|8867-4^HR^LN||80|/min|||||F"
    assert read(found, obx).outcome == "facts"
    raw = (
        b"MSH|^~\\&|LAB|H|||20260101120000||ORU^R01|1|T^T|2.5.1\r"
        b"PID|1||42^^^HOSP^MR\rOBR|1||F1^L|1^P^L|||20260101110000\r" + obx.encode() + b"\r"
    )
    key = IdentityKey(bytes(32))
    aside = interpret(raw, 1_767_312_000.0, key, found)
    assert (aside.outcome, aside.reason) == ("quarantine", "not_production")
    assert interpret(raw, 1_767_312_000.0, key, site(tmp_path)).outcome == "facts"


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
        ("sources: [{match: a, time_zone: Europe}]", CODES, "time_zone"),
        ("sources: [{match: a, acknowledgement: maybe}]", CODES, "sources.0.acknowledgement"),
        ("sources: [{match: a, expected_per_hour: 0}]", CODES, "expected_per_hour"),
        ("sources: [{match: a, expected_per_hour: .nan}]", CODES, "expected_per_hour"),
        ("sources: [{match: a, expected_per_hour: .inf}]", CODES, "expected_per_hour"),
        ("sources: [{match: a, quarantine_limit: 1}]", CODES, "quarantine_limit"),
        ("sources: [{match: a, quarantine_window: 3}]", CODES, "quarantine_window"),
        ("sources: [{match: a, codes: none.yaml}]", CODES, "none.yaml cannot be read"),
        (SITE, "codes: [{code: K, loinc: 2823-4}]", "check digit"),
        (SITE, "codes: [{code: K, loinc: potassium}]", "codes.0.loinc"),
        (SITE, "codes: [{code: K}]", "either loinc or tocsin"),
        (SITE, "codes: [{code: K, loinc: 2823-3, tocsin: x}]", "either loinc or tocsin"),
        (SITE.replace("facility: OTHER", "processing: [X]"), CODES, "processing"),
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
    assert [name for name, _ in blocks] == ["site.yaml", "codes/lab.yaml"]
    (tmp_path / "codes").mkdir()
    for name, text in blocks:
        (tmp_path / name).write_text(text)
    done = CliRunner().invoke(app, ["check", str(tmp_path / "site.yaml")])
    assert done.exit_code == 0, done.output
    assert "is right" in done.output
    assert "3 codes, 2 units, answers: always, silent after 7 min, paused above 20%" in done.output
    assert len(load(tmp_path / "site.yaml").sources) >= 2


def test_the_check_command_names_entries_that_are_never_used(tmp_path: Path) -> None:
    site(tmp_path, 'sources: [{match: "L*"}, {match: "ICU|[12]"}, {match: "LAB|H"}]')
    done = CliRunner().invoke(app, ["check", str(tmp_path / "site.yaml")])
    lines = done.output.splitlines()
    assert ["NEVER USED, since L* comes first" in line for line in lines[:3]] == [
        False,
        False,
        True,
    ]


def codes_of(found: Site) -> str:
    return observation(read(found, "OBX|1|NM|K^Kalium^99LAB||4.1|||||F")).code


def test_exactly_the_files_that_are_read_are_watched(tmp_path: Path) -> None:
    """Code files in folders too; nothing else that lies beside them."""
    (tmp_path / "codes" / "deep").mkdir(parents=True)
    codes = tmp_path / "codes" / "deep" / "lab.yml"
    codes.write_text(CODES)
    found = site(tmp_path, 'sources: [{match: "*", codes: codes/deep/lab.yml}]')
    assert codes_of(found) == "2823-3"
    (tmp_path / "other.yaml").write_text("x")
    (tmp_path / "lab.yaml").write_text("nobody reads this")
    assert not found.refresh()
    codes.write_text("codes: [{system: 99LAB, code: K, loinc: 2160-0}]")
    assert found.refresh()
    assert codes_of(found) == "2160-0"


def test_after_a_bad_file_a_good_one_is_taken(tmp_path: Path) -> None:
    """Whichever of the files was bad, and when the mended one is not the site file itself."""
    found = site(tmp_path)
    later = tmp_path / "later" / "lab.yaml"
    for text in ("sources: [", 'sources: [{match: "*", codes: later/lab.yaml}]'):
        (tmp_path / "site.yaml").write_text(text)
        assert not found.refresh()
        assert codes_of(found) == "2823-3"
        assert not found.refresh()  # and is not read again before it changes
    later.parent.mkdir()
    later.write_text("codes: [{")
    assert not found.refresh()
    later.write_text("codes: [{system: 99LAB, code: K, loinc: 2160-0}]")
    assert found.refresh()
    assert codes_of(found) == "2160-0"
    (tmp_path / "site.yaml").unlink()
    assert not found.refresh()
    assert codes_of(found) == "2160-0"
    (tmp_path / "site.yaml").write_text(SITE)
    assert found.refresh()
    assert codes_of(found) == "2823-3"


def test_a_file_that_is_replaced_with_its_time_kept_is_noticed(tmp_path: Path) -> None:
    found = site(tmp_path)
    file, new = tmp_path / "lab.yaml", tmp_path / "new"
    new.write_text(CODES.replace("2823-3", "2160-0"))  # as long as the one before
    was = file.stat()
    os.utime(new, ns=(was.st_atime_ns, was.st_mtime_ns))
    new.rename(file)
    assert found.refresh()
    assert codes_of(found) == "2160-0"


def test_how_a_source_is_answered_and_watched(tmp_path: Path) -> None:
    found = site(
        tmp_path,
        """
sources:
  - match: "LAB|*"
    identifier_type: PI
    acknowledgement: always
    expected_per_hour: 120
    quarantine_limit: 0.2
    quarantine_window: 50
  - {match: "ICU|H"}
""",
    )
    assert found.feed("LAB|1") == Feed("LAB|*", Mode.ALWAYS, 120, 0.2, 50)
    assert found.feed("ICU|H") == Feed("ICU|H")
    assert (found.of("LAB|1").identifier_type, found.of("ICU|H").identifier_type) == ("PI", "MR")
    assert found.feed("X|Y") == Feed() == Feed("", Mode.MESSAGE, None, None)
    assert [(f.match, f.names_one) for f in found.feeds] == [("LAB|*", False), ("ICU|H", True)]


def test_the_site_file_may_be_named_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tocsin up` hands the whole path to its processes; a change of folder later does no harm."""
    site(tmp_path)
    monkeypatch.chdir(tmp_path)
    settings = Settings(sequencer={"site": "site.yaml"})
    assert variables(settings)["TOCSIN_SEQUENCER__SITE"] == str(tmp_path / "site.yaml")
    found = Site(settings.sequencer, IdentitySettings())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert not found.refresh()
    (tmp_path / "lab.yaml").write_text("codes: [{system: 99LAB, code: K, loinc: 2160-0}]")
    assert found.refresh()
    assert codes_of(found) == "2160-0"


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00",
        b"sources:\n\t- x",
        b"a: 2026-13-45",  # a date that does not exist
        b"? {a: 1}\n: 2",
        b"!!python/object/apply:os.system ['true']",
        b"[" * 3_000,
        b"sources: [{match: [LAB]}]",
        b"sources: [{match: a, authorities: {1: b}}]",
        b"sources: [{match: a, codes: '\\0'}]",
        b"sources: [{match: a, codes: .}]",
        b"sources: [{match: a, codes: {}}]",
        b"sources: [{match: a, expected_per_hour: 1" + b"0" * 5_000 + b"}]",
        b"sources: [{match: a}]\n---\nsources: []",
        b"a: &a [*a]",
    ],
)
def test_whatever_lies_there_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "site.yaml"
    file.write_bytes(content)
    with pytest.raises(SiteError, match=re.escape(str(tmp_path))):
        Site(SequencerSettings(site=file), IdentitySettings())


@given(content=st.binary(max_size=200) | st.text("sources:[]{}-&*!%@\n\t \"'|>0", max_size=60))
def test_a_running_process_survives_any_file(content: bytes | str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = site(Path(folder))
        raw = content if isinstance(content, bytes) else content.encode()
        (Path(folder) / "site.yaml").write_bytes(raw)
        taken = found.refresh()
        assert (found.of("LAB|H").charset == "latin-1") is not taken
