"""BED files: which regions were examined, so that wild type and not examined are two things."""

from __future__ import annotations

import gzip
from itertools import pairwise, permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import wire
from connectors.facts import Examined, Presence
from connectors.genomics.regions import joined
from connectors.interpret import interpret
from connectors.interpretation import Interpretation, Profile
from models import reported
from models.record import PatientRecord
from tests.unit.genomics.test_vcf import HEARD, KEY, SUBJECT, file
from tests.unit.genomics.test_vcf import read as read_vcf

SAMPLE = "; sample=S1; assembly=GRCh38"


def read(
    raw: bytes, parameters: str = SAMPLE, subject: str = SUBJECT, heard: float = HEARD
) -> Interpretation:
    message = wire.WireMessage(
        raw, "t/0/0", heard, "LAB", "", wire.BED + parameters, subject=subject
    )
    (found,) = interpret(message, KEY, Profile())
    return found


def only(found: Interpretation) -> Examined:
    assert found.outcome == "facts", found.issues
    (one,) = found.facts
    assert isinstance(one, Examined)
    return one


def test_ends_are_counted_as_in_a_vcf_and_neighbours_are_one() -> None:
    raw = b"track name=x\n#c\nchr2\t0\t10\nchr1 5 9 GENE\nchr2\t10\t20\tLOW\nMT\t0\t5\n"
    assert only(read(raw)).ranges == [("1", 6, 9), ("2", 1, 20), ("M", 1, 5)]


def test_wild_type_not_called_and_not_examined_in_any_order() -> None:
    vcf = read_vcf(file("chr1 100 A G PASS . GT 0/1", date="20250101"))
    examined = read(b"1\t50\t200\n")
    uncallable = read(b"1\t150\t160\n", f"{SAMPLE}; of=uncallable")
    digests = set()
    for order in permutations([vcf, examined, uncallable]):
        record = PatientRecord()
        for one in (*order, order[0]):
            record.fold_facts(one.facts)
        digests.add(record.digest())
        facts = list(record.facts.values())
        at = [reported.presence_at(facts, "GRCh38", "1", n) for n in (100, 101, 155, 201, 50)]
        assert at == [
            Presence.PRESENT, Presence.ABSENT, Presence.NO_CALL, Presence.NOT_EXAMINED,
            Presence.NOT_EXAMINED,
        ]  # fmt: skip
    assert len(digests) == 1


def test_a_codon_that_gave_no_answer_is_no_wild_type_in_any_order() -> None:
    """IDH1 and IDH2 are looked at; a BED of its own says that one of them could not be called."""
    tumour = f"{SAMPLE}; source-class=somatic"
    looked = read(b"2\t208248000\t208249000\n15\t90088000\t90089000\n", tumour)
    unread = read(b"2\t208248300\t208248400\n", f"{tumour}; of=uncallable")
    variants = read_vcf(file("chr17 100 A G PASS . GT 0/1"), "; sample=S1; source-class=somatic")
    assert [o.value for o in folded(looked, variants).series("idh-status")] == ["wildtype"]
    for order in permutations([looked, unread, variants]):
        assert folded(*order).series("idh-status") == []


def test_regions_say_nothing_before_the_file_of_their_variants_is_there() -> None:
    """Whichever comes first: what has yet to be told is no wild type."""
    tumour = f"{SAMPLE}; source-class=somatic"
    looked = read(b"2\t208248000\t208249000\n15\t90088000\t90089000\n", tumour)
    mutated, plain = (
        read_vcf(file(record), "; sample=S1; source-class=somatic", heard=HEARD + 3_600)
        for record in ("chr2 208248388 C T PASS . GT 0/1", "chr17 100 A G PASS . GT 0/1")
    )
    assert folded(looked).series("idh-status") == []
    for later, value in ((mutated, "mutated"), (plain, "wildtype")):
        for order in permutations([looked, later]):
            found = folded(*order).series("idh-status")
            assert [(o.value, o.time) for o in found] == [(value, HEARD + 3_600)]


def folded(*found: Interpretation) -> PatientRecord:
    record = PatientRecord()
    for one in found:
        record.fold_facts(one.facts)
    return record


def test_a_newer_bed_replaces_the_older_one_and_samples_stand_apart() -> None:
    older, newer = read(b"1\t50\t200\n"), read(b"1\t300\t400\n", heard=HEARD + 1)
    other = read(b"1\t500\t600\n", "; sample=S2; assembly=GRCh38")
    files = [
        read_vcf(file("chr2 1 A G . . GT 0/1", samples=s), f"; sample={s}") for s in ("S1", "S2")
    ]
    for order in permutations([older, newer, other, *files]):
        record = PatientRecord()
        for one in order:
            record.fold_facts(one.facts)
        facts = list(record.facts.values())
        at = [reported.presence_at(facts, "GRCh38", "1", n) for n in (100, 350, 550)]
        assert at == [Presence.NOT_EXAMINED, Presence.ABSENT, Presence.ABSENT]


@pytest.mark.parametrize(
    ("raw", "parameters", "subject", "reason"),
    [
        (b"", SAMPLE, SUBJECT, "bad_bed"),
        (b"#nothing\n", SAMPLE, SUBJECT, "bad_bed"),
        (b"1\t10\n", SAMPLE, SUBJECT, "bad_bed"),
        (b"1\t10\t5\n", SAMPLE, SUBJECT, "bad_bed"),
        (b"1\t-1\t5\n", SAMPLE, SUBJECT, "bad_bed"),
        (b"1\t1\t5\n2\tx\ty\n", SAMPLE, SUBJECT, "bad_bed"),
        (b"\xff\xfe1\x00", SAMPLE, SUBJECT, "bad_bed"),
        (gzip.compress(b"1\t1\t5\n")[:-9], SAMPLE, SUBJECT, "bad_bed"),
        (b"1\t1\t5\n", "; assembly=GRCh38", SUBJECT, "no_sample"),
        (b"1\t1\t5\n", "; sample=S1", SUBJECT, "no_assembly"),
        (b"1\t1\t5\n", f"{SAMPLE}; of=all", SUBJECT, "unsupported_content"),
        (b"1\t1\t5\n", SAMPLE, "", "no_patient"),
        (
            b"".join(b"1\t%d\t%d\n" % (n, n + 1) for n in range(0, 50_000, 2)),
            SAMPLE,
            SUBJECT,
            "too_many_variants",
        ),
    ],
)
def test_what_cannot_be_used_says_why(
    raw: bytes, parameters: str, subject: str, reason: str
) -> None:
    found = read(raw, parameters, subject)
    assert (found.outcome, found.reason) == ("quarantine", reason)


@pytest.mark.shared
def test_every_bed_of_others_is_read(shared: Path) -> None:
    """As many bases as plain counting finds."""
    files = sorted((shared / "data" / "vcf").glob("*.bed"))
    assert len(files) > 10
    for path in files:
        raw = path.read_bytes()
        found = only(read(raw))
        bases = set()
        for line in raw.decode().splitlines():
            chrom, start, end = line.split()[:3]
            if int(end) - int(start) < 10_000:
                bases |= {(chrom.removeprefix("chr"), n + 1) for n in range(int(start), int(end))}
        ours = {(c, n) for c, a, b in found.ranges if b - a < 10_000 for n in range(a, b + 1)}
        assert {("M" if c == "MT" else c, n) for c, n in bases} >= ours


@given(st.lists(st.tuples(st.sampled_from("12X"), st.integers(1, 60), st.integers(0, 9))))
def test_joined_regions_cover_the_same_bases(parts: list[tuple[str, int, int]]) -> None:
    ranges = [(c, first, first + more) for c, first, more in parts]
    whole = joined(ranges)

    def bases(of: list[tuple[str, int, int]]) -> set[tuple[str, int]]:
        return {(c, n) for c, first, last in of for n in range(first, last + 1)}

    assert bases(whole) == bases(ranges)
    assert joined(whole) == whole
    assert all(a[0] != b[0] or a[2] + 1 < b[1] for a, b in pairwise(whole))
