"""`tocsin parse` and `tocsin fold` on files that are no HL7 v2."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors import wire
from streams.cli.main import app
from tests.unit.fhir.resources import SUBJECT, report, study, variant
from tests.unit.fhir.test_fhir_report import BRAF
from tests.unit.genomics.test_vcf import file
from tests.unit.imaging.objects import lesion
from tests.unit.imaging.objects import report as structured

pytestmark = pytest.mark.usefixtures("no_tocsin_environment")
VCF = file("chr1 100 A G PASS . GT 0/1")


@pytest.mark.parametrize(
    ("raw", "name", "content"),
    [
        (json.dumps(study()).encode(), "x.json", wire.FHIR),
        (b"\xef\xbb\xbf" + json.dumps(study()).encode(), "x", wire.FHIR),
        (VCF, "x.txt", wire.VCF),
        (gzip.compress(VCF), "x.vcf.gz", wire.VCF),
        (b"1\t1\t2\n", "x.bed", wire.BED),
        (structured(lesion("1")), "x.dcm", wire.DICOM),
        (b"MSH|^~\\&|", "x.hl7", wire.HL7),
        (b'{"a": 1}', "x.json", wire.HL7),
        (b"", "", wire.HL7),
    ],
)
def test_what_a_file_looks_like(raw: bytes, name: str, content: str) -> None:
    assert wire.looks_like(raw, name) == content


def test_files_of_every_kind_are_parsed_and_folded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_HOME", str(tmp_path / "home"))
    (tmp_path / "study.json").write_text(json.dumps(study()))
    (tmp_path / "report.json").write_text(json.dumps(report(variant(*BRAF))))
    (tmp_path / "s.vcf").write_bytes(VCF)
    (tmp_path / "sr.dcm").write_bytes(structured(lesion("12.5")))
    files = [str(path) for path in sorted(tmp_path.glob("*.*"))]
    run = CliRunner().invoke(app, ["parse", *files, "--json", "--subject", SUBJECT])
    assert run.exit_code == 0, run.output
    told = [json.loads(line) for line in run.stdout.splitlines()]
    assert [one["outcome"] for one in told] == ["facts"] * 4
    assert len({one["patient"] for one in told}) == 1
    folded = CliRunner().invoke(app, ["fold", *files, "--json", "--subject", SUBJECT])
    assert len(folded.stdout.splitlines()) == 1


def test_the_content_type_may_be_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_HOME", str(tmp_path / "home"))
    (tmp_path / "regions.txt").write_text("1\t1\t2\n")
    said = f"{wire.BED}; sample=S1; assembly=GRCh38"
    run = CliRunner().invoke(
        app, ["parse", str(tmp_path / "regions.txt"), "--content-type", said, "--subject", SUBJECT]
    )
    assert "1 facts" in run.output
