"""BED files of regions that were examined, companions of a VCF.

With the header `subject` and the content type of their VCF: `text/x-bed; sample=S1;
assembly=GRCh38; source-class=germline`, and `of=uncallable` for regions that were looked at without
an answer. Each is one `Examined` of the same sample, whichever comes first, and counts once its VCF
is there; a newer BED replaces the older one. Sample and assembly have to be said: a BED names
neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from connectors.facts import Examined
from connectors.genomics.regions import MOST_RANGES, Range, joined
from connectors.genomics.vcf import ASSEMBLIES, CLASSES, REASONS, one_of, report_of
from connectors.genomics.vcf_records import VcfError, chromosome, unpacked
from connectors.identity import Identity, IdentityKey
from connectors.interpretation import About, Interpretation, Profile, RefusedError, Site
from connectors.quarantine import Reason
from connectors.subject import subject_of
from connectors.wire import WireMessage, parameters

_EXAMINED, _UNCALLABLE = "examined", "uncallable"
_NO_REGIONS: Final = (b"#", b"track", b"browser")  # lines of a BED that hold none
_MOST_LINES: Final = 1_000_000
_MOST_BYTES: Final = 32_000_000  # unpacked
_LARGEST: Final = 10**10


def interpret_bed(message: WireMessage, key: IdentityKey, site: Site) -> list[Interpretation]:
    """The regions of one file. Never raises, whatever the bytes."""
    out = Interpretation(
        "quarantine", message_type="BED", source=message.source, sent=message.heard
    )
    try:
        _map(message, key, site.of(message.source), out)
    except RefusedError as refused:
        out.refuse(refused.issue)
    return [out]


def _map(message: WireMessage, key: IdentityKey, profile: Profile, out: Interpretation) -> None:
    subject = subject_of(message.subject, profile)
    said = parameters(message.content_type)
    source_class = one_of(said.get("source-class", ""), CLASSES, "source-class")
    assembly = one_of(said.get("assembly", ""), ASSEMBLIES, "assembly")
    of = one_of(said.get("of", ""), (_EXAMINED, _UNCALLABLE), "of")
    sample = said.get("sample", "")
    if not sample:
        detail = "the content type has to name the sample of its VCF: `sample=`"
        raise RefusedError(Reason.NO_SAMPLE, detail, "content-type")
    if not assembly:
        detail = "the content type has to name the assembly: `assembly=`"
        raise RefusedError(Reason.NO_ASSEMBLY, detail, "content-type")
    ranges = joined(read(message.raw))
    if len(ranges) > MOST_RANGES:
        detail = f"more than {MOST_RANGES:,} regions, joined: send those of the panel"
        raise RefusedError(Reason.TOO_MANY_VARIANTS, detail)
    pseudonym = key.pseudonym(subject)
    report = report_of(key, pseudonym, message.source, sample, source_class, assembly)
    fact = Examined(
        id=key.short("examined", report, of or _EXAMINED),
        rank=(1, message.heard, 0, ""),
        time=message.heard,
        source_class=source_class,
        assembly=assembly,
        ranges=[] if of == _UNCALLABLE else ranges,
        uncallable=ranges if of == _UNCALLABLE else [],
        report=report,
        beside=True,
    )
    out.patients = [About(pseudonym, Identity(identifiers=(subject,)), [fact])]
    out.outcome, out.reason = "facts", ""


def read(raw: bytes) -> Iterator[Range]:
    """Regions counted from 1, both ends included. Raises `RefusedError`.

    One line that cannot be read spoils the file: what it leaves out would pass for not examined.
    """
    try:
        lines = unpacked(raw, _MOST_BYTES).splitlines()
    except VcfError as error:
        reason = REASONS[error.code] if error.code != "bad_vcf" else Reason.BAD_BED
        raise RefusedError(reason, error.detail) from None
    if len(lines) > _MOST_LINES:
        raise RefusedError(Reason.OVERSIZED, f"more than {_MOST_LINES:,} lines")
    found = False
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith(_NO_REGIONS):
            continue
        found = True
        yield _region(line, number)
    if not found:
        raise RefusedError(Reason.BAD_BED, "no region in it")


def _region(line: bytes, number: int) -> Range:
    """chrom, start (counted from 0), end (behind the last base)."""
    parts = line.split(b"\t") if b"\t" in line else line.split()
    try:
        name = parts[0].decode("ascii").strip()
        start, end = (int(part) for part in parts[1:3])
    except (ValueError, UnicodeDecodeError):
        raise RefusedError(Reason.BAD_BED, "no region", f"line {number}") from None
    if not name or not 0 <= start < end < _LARGEST:
        raise RefusedError(Reason.BAD_BED, "a region without a length", f"line {number}")
    return chromosome(name), start + 1, end
