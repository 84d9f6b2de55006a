"""Whatever comes, one record for it: in a wire topic as it came, or in quarantine with a reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import contract, topics
from connectors.http.intake import Intake, Request
from connectors.http.kinds import BED, FHIR, NOTICE, STOW, VCF, Kind, kind_of
from connectors.http.server import DESTINATIONS
from tests.unit.fhir.resources import bundle, report, study
from tests.unit.http.running import NOW
from tests.unit.http.test_http_intake import multipart

KINDS = (FHIR, NOTICE, STOW, VCF, BED)
SEEDS = (
    json.dumps(study()).encode(),
    json.dumps(bundle(report())).encode(),
    b'[{"00081190": {"vr": "UR", "Value": ["http://pacs/studies/1.2.3"]}}]',
    multipart(b"DICM" * 40),
    b"##fileformat=VCFv4.2\n",
    b"1\t10\t20\n",
)
INTAKE = Intake(lambda: NOW, 0.0)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Random bytes, and good bodies with some of their bytes changed, cut or doubled."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=300))
    raw = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(raw) - 1))
        raw[at] = draw(st.integers(0, 255))
    return bytes(raw[: draw(st.integers(1, len(raw)))]) * draw(st.integers(1, 2))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@given(body=bodies(), text=st.text(max_size=40), named=st.text(max_size=20))
def test_one_record_whatever_comes(kind: Kind, body: bytes, text: str, named: str) -> None:
    said = {"sample": text, "boundary": "xyz", "assembly": text, "of": text}
    content = f'{kind.media[0]}; boundary="xyz"; sample="{text}"'
    entry = INTAKE.take(Request(kind, named, content, "S", text, said, text, body))
    assert entry.topic in DESTINATIONS
    if entry.topic == topics.QUARANTINE:
        kept = contract.decode_quarantined(entry.value)
        assert kept.reason == entry.reason == entry.answer.reason
        assert 400 <= entry.answer.status < 500
    else:
        assert entry.value == body
        assert entry.answer.status in (200, 202)
        for name, value in entry.headers:
            assert (value if isinstance(value, str) else value.decode()).isprintable(), name


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("application/dicom+json", NOTICE),
        ('Multipart/Related; type="application/dicom"; boundary=x', STOW),
        ("text/plain", NOTICE),
        ("", NOTICE),
    ],
)
def test_the_content_type_tells_what_a_path_gets(content_type: str, kind: Kind) -> None:
    assert kind_of((NOTICE, STOW), content_type) is kind
