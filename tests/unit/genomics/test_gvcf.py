"""Reference blocks of a gVCF: looked at and found as they should be, or without an answer."""

from __future__ import annotations

import pytest

from connectors.facts import Examined, Presence, Variant
from models import reported
from tests.unit.genomics.test_vcf import CHR1, file, read

END = '##INFO=<ID=END,Number=1,Type=Integer,Description="End">'


def facts(*records: str) -> list[object]:
    found = read(file(*records, header=(CHR1, END)))
    assert found.outcome == "facts"
    return list(found.facts)


def test_blocks_and_sites_are_regions_and_variants_stay_variants() -> None:
    found = facts(
        "chr1 100 A <NON_REF> . END=199 GT:DP:GQ:MIN_DP 0/0:30:60:20",
        "chr1 200 A G,<NON_REF> . . GT:DP:GQ 0/1:30:60",
        "chr1 201 C <NON_REF> . END=250 GT:DP:GQ:MIN_DP 0/0:0:0:0",
        "chr1 251 T . . . GT:DP 0/0:20",
        "chr1 252 G <*> . END=260 GT ./.",
        "chr1 261 GT . LowQual . GT:DP 0/0:12",
    )
    (looked,) = [f for f in found if isinstance(f, Examined)]
    assert looked.ranges == [("1", 100, 199), ("1", 251, 251)]
    assert looked.uncallable == [("1", 201, 250), ("1", 252, 262)]
    assert [v.position for v in found if isinstance(v, Variant)] == [200]
    at = [reported.presence_at(found, "GRCh38", "1", n) for n in (99, 150, 200, 240, 251, 262)]  # type: ignore[arg-type]
    assert at == [
        Presence.NOT_EXAMINED, Presence.ABSENT, Presence.PRESENT, Presence.NO_CALL,
        Presence.ABSENT, Presence.NO_CALL,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "is_called"),
    [
        ("GT 0/0", True),
        ("GT:DP 0/0:19", False),
        ("GT:DP 0/0:.", True),
        ("GT:DP:GQ 0/0:30:19", False),
        ("GT:DP:MIN_DP:GQ 0/0:30:19:60", False),
        ("GT:DP:MIN_DP:GQ 0/0:30:20:20", True),
        ("GT:DP 0/.:30", False),
    ],
)
def test_few_reads_or_a_doubtful_genotype_are_no_answer(call: str, is_called: bool) -> None:
    (looked,) = [f for f in facts(f"chr1 100 A . . . {call}") if isinstance(f, Examined)]
    assert (looked.ranges != [], looked.uncallable != []) == (is_called, not is_called)


@pytest.mark.parametrize("record", ["chr1 100 A . . . DP 12", "chr1 100 A <NON_REF> . . GT 0/1"])
def test_what_says_nothing_is_no_region(record: str) -> None:
    assert not [f for f in facts(record) if isinstance(f, Examined)]


def test_too_many_blocks_are_said_and_the_variants_stay() -> None:
    blocks = [f"chr1 {n} A . . . GT 0/0" for n in range(2, 50_000, 2)]
    found = read(file("chr1 1 A G . . GT 0/1", *blocks, header=(CHR1, END)))
    assert [type(f) for f in found.facts if isinstance(f, Variant | Examined)] == [Variant]
    assert [issue.reason for issue in found.issues] == ["too_many_variants"]
