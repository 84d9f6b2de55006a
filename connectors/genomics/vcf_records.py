"""VCF bytes → plain records of one sample, by cyvcf2 (htslib).

Runs in a process of its own (`connectors.genomics.vcf`): htslib is C, and a file that was made to
harm it, or was damaged on the way, must not take the sequencer with it.
"""

from __future__ import annotations

import gzip
import re
import tempfile
import zlib
from typing import Any, Final, NamedTuple

from connectors.genomics.annotations import Annotation, Annotations
from connectors.genomics.regions import Range, joined
from connectors.genomics.vcf_header import Header, read_header

MOST_BYTES: Final = 256_000_000  # unpacked: a whole exome; a whole genome is to be cut to a panel
MOST_RECORDS: Final = 250_000  # about 15 s
MOST_CALLS: Final = 20_000  # that a patient's state is to hold
_BASES: Final = frozenset("ACGTNacgtn")
# What is no base in an ALT: a name in angle brackets, a mate between square ones.
_NAME = re.compile(r"(<[^>]*>|[\[\]][^\[\]]*[\[\]])")
# A place is called as the reference by so many reads, and so surely (phred: wrong once in a hundred
# times). Of 20 reads, a mutation that is in a quarter of them is missed by all once in 300 times.
_LEAST: Final = {"DP": 20, "MIN_DP": 20, "GQ": 20}
_COLUMNS: Final = 9  # before the samples
_GZIP: Final = b"\x1f\x8b"
_REFERENCE: Final = frozenset(("<NON_REF>", "<*>"))  # anything else: alone, a block of a gVCF
# Alternatives that are no variant: windows of coverage, "anything else", covered by a deletion.
_NOT_VARIANTS: Final = frozenset(("<CGA_CNVWIN>", "<NON_REF>", "<*>", "*", "."))
_OF_A_STRETCH: Final = ("<DEL", "<DUP", "<INV", "<CNV")
# VCF 4.3, tables 1 and 2, and GATK's MIN_DP; those that are read here.
_STANDARD: Final = {
    b"##FORMAT=<ID=GT,": b'##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
    b"##FORMAT=<ID=AD,": b'##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Depths">',
    b"##FORMAT=<ID=DP,": b'##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">',
    b"##FORMAT=<ID=GQ,": b'##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Quality">',
    b"##FORMAT=<ID=MIN_DP,": b'##FORMAT=<ID=MIN_DP,Number=1,Type=Integer,Description="Depth">',
    b"##FORMAT=<ID=CN,": b'##FORMAT=<ID=CN,Number=1,Type=Float,Description="Copies">',
    b"##INFO=<ID=END,": b'##INFO=<ID=END,Number=1,Type=Integer,Description="End">',
    b"##INFO=<ID=SVLEN,": b'##INFO=<ID=SVLEN,Number=A,Type=Integer,Description="Length">',
    b"##INFO=<ID=SVTYPE,": b'##INFO=<ID=SVTYPE,Number=1,Type=String,Description="Kind">',
    b"##INFO=<ID=SOMATIC,": b'##INFO=<ID=SOMATIC,Number=0,Type=Flag,Description="Somatic">',
}


class VcfError(Exception):
    """Why a file cannot be used: `code` is one of the words below, `args` says it in words."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        self.code, self.detail = code, detail


class Call(NamedTuple):
    """One alternative allele of one sample."""

    chromosome: str
    position: int  # 1-based
    end: int | None  # of what is longer than its REF
    ref: str
    alt: str
    passed: bool  # FILTER is PASS or says nothing
    alleles: tuple[int, ...]  # this alternative's copies: 1 it is, 0 another, -1 not called
    depth: int | None
    allele_fraction: float | None
    copy_number: float | None
    kind: str  # SVTYPE
    somatic: bool  # INFO SOMATIC
    annotation: Annotation
    record: int  # of the file, from 1


class Contents(NamedTuple):
    """What is used of a file."""

    header: Header
    sample: str
    calls: list[Call]
    unusable: list[int]  # records (from 1) whose REF is no sequence
    examined: list[Range]  # reference blocks and sites of a gVCF: looked at, no variant
    uncallable: list[Range]  # … and looked at without an answer


def read(raw: bytes, sample: str) -> Contents:
    """The calls of a sample; of the only one where `sample` is "". Raises `VcfError`."""
    from cyvcf2 import VCF  # noqa: PLC0415 - loaded where it runs, not in the sequencer

    text = unpacked(raw)
    if not text.startswith(b"##fileformat=VCFv4"):
        raise VcfError("bad_vcf", "does not begin with ##fileformat=VCFv4")
    header = read_header(text)
    if header is None:
        raise VcfError("bad_vcf", "no #CHROM line")
    column = _column(header.samples, sample)
    lines = _count(text, len(header.samples) + _COLUMNS)
    if lines > MOST_RECORDS:
        raise VcfError("too_many_variants", f"more than {MOST_RECORDS:,} records: send a panel")
    calls: list[Call] = []
    unusable: list[int] = []
    blocks: dict[bool, list[Range]] = {True: [], False: []}  # by whether they were called
    with tempfile.NamedTemporaryFile(suffix=".vcf") as file:
        file.write(_declared(text))
        file.flush()
        try:
            # A sample's column is chosen by its place: names may repeat in what people send.
            vcf = VCF(file.name, strict_gt=True)
            seen = 0
            annotations = Annotations(vcf.raw_header)
            for record in vcf:
                seen += 1
                if not set(record.REF) <= _BASES:
                    unusable.append(seen)
                    continue
                if not set(record.ALT) - _REFERENCE:
                    called = _is_reference(record, column)
                    if called is not None:
                        blocks[called].append(_range(record))
                    continue
                calls += _calls(record, column, annotations, seen)
                if len(calls) > MOST_CALLS:
                    detail = f"more than {MOST_CALLS:,} variants of one sample: send a panel"
                    raise VcfError("too_many_variants", detail)
        except VcfError:
            raise
        except Exception as error:  # noqa: BLE001 - cyvcf2 raises bare Exception
            raise VcfError("bad_vcf", f"htslib cannot read it ({type(error).__name__})") from None
    if seen != lines:
        raise VcfError("bad_vcf", f"record {seen + 1} of {lines} cannot be read")
    of_blocks = joined(blocks[True]), joined(blocks[False])
    return Contents(header, header.samples[column], calls, unusable, *of_blocks)


def unpacked(raw: bytes, most: int = MOST_BYTES) -> bytes:
    """Plain bytes of what may be gzip or BGZF. Raises `VcfError`."""
    if not raw.startswith(_GZIP):
        return raw.removeprefix(b"\xef\xbb\xbf")
    out = bytearray()
    rest = raw
    try:
        while rest:  # BGZF is many gzip members
            stream = zlib.decompressobj(wbits=31)
            out += stream.decompress(rest, most - len(out) + 1)
            if len(out) > most:
                raise VcfError("oversized", f"more than {most:,} bytes when unpacked")
            if not stream.eof:
                raise VcfError("bad_vcf", "its gzip ends too early")
            rest = stream.unused_data
    except (zlib.error, gzip.BadGzipFile, EOFError):
        raise VcfError("bad_vcf", "its gzip is damaged") from None
    return bytes(out)


def _declared(text: bytes) -> bytes:
    """With the definitions of the standard's own fields, where the header has none of them.

    htslib takes an undeclared field for text, and numbers would be lost.
    """
    header = text[: text.find(b"\n#CHROM\t")]
    missing = [line for name, line in _STANDARD.items() if name not in header]
    first, _, rest = text.partition(b"\n")
    return b"\n".join([first.rstrip(b"\r"), *missing, rest])


def _column(samples: list[str], wanted: str) -> int:
    """Raises `VcfError` where it cannot be told whose calls are meant."""
    if not samples:
        raise VcfError("no_sample", "a file of sites, without a sample")
    if wanted:
        if samples.count(wanted) != 1:
            raise VcfError("no_sample", "the sample that was named is not in it, or not once")
        return samples.index(wanted)
    if len(samples) > 1:
        detail = f"{len(samples)} samples: say which by the content type's parameter `sample`"
        raise VcfError("no_sample", detail)
    return 0


def _count(text: bytes, columns: int) -> int:
    """How many records. Raises `VcfError` where columns are missing, as in a file that is cut off.

    That the last line has no end says nothing: laboratories' programs write such files.
    """
    records = 0
    for line in text.splitlines():
        if line.strip() and not line.startswith(b"#"):
            records += 1
            if line.count(b"\t") + 1 != columns:
                raise VcfError("bad_vcf", f"record {records} has not as many columns as #CHROM")
    return records


def _calls(r: Any, column: int, annotations: Annotations, record: int) -> list[Call]:
    get = r.INFO.get
    alts: list[str] = list(r.ALT)
    # Somatic callers of structural variants give none: then the record itself is the call.
    has_genotype = "GT" in (r.FORMAT or ())
    genotype = r.genotypes[column][:-1] if has_genotype else []
    depths = _format(r, "AD", column)
    depth = _number(_format(r, "DP", column), 0)
    fractions = _format(r, "AF", column)
    found: list[Call] = []
    ref = in_capitals(str(r.REF))
    for number, alt in enumerate(map(in_capitals, alts), 1):
        if alt in _NOT_VARIANTS:
            continue
        own = _number(depths, number)
        total = depth if depth else sum(d for d in depths if d >= 0)
        fraction = _number(fractions, number - 1)
        if fraction is None and own is not None and total:
            fraction = min(1.0, own / total)
        symbolic = not set(alt) <= _BASES
        end = _end(r, alt, number) if symbolic else None
        found.append(
            Call(
                chromosome=chromosome(str(r.CHROM)),
                position=int(r.POS),
                end=end,
                ref=ref,
                alt=alt,
                passed=r.FILTER is None,
                alleles=tuple(-1 if a < 0 else int(a == number) for a in genotype if a != -2),
                depth=int(total) if total else None,
                allele_fraction=None if fraction is None else round(float(fraction), 6),
                copy_number=_number(_format(r, "CN", column), 0),
                kind=str(get("SVTYPE") or ""),
                somatic=bool(get("SOMATIC")),
                annotation=annotations.of(get, ref, alt, number),
                record=record,
            )
        )
    return found


def _end(r: Any, alt: str, number: int) -> int | None:
    """INFO END, else POS and SVLEN, which VCF 4.4 has in its place; None for what has no length."""
    if r.INFO.get("END") is not None:
        return int(r.end)
    length = r.INFO.get("SVLEN")
    if isinstance(length, tuple):
        length = length[number - 1] if number <= len(length) else None
    if length is None or not alt.startswith(_OF_A_STRETCH):
        return None
    return int(r.POS) + abs(int(length))


def _is_reference(r: Any, column: int) -> bool | None:
    """Was a place without alternatives called as the reference? None where that is not said."""
    if "GT" not in (r.FORMAT or ()):
        return None
    alleles = [a for a in r.genotypes[column][:-1] if a != -2]
    if any(a > 0 for a in alleles):
        return None
    told = {name: _number(_format(r, name, column), 0) for name in _LEAST}
    covered = all(said is None or said >= _LEAST[name] for name, said in told.items())
    return r.FILTER is None and covered and bool(alleles) and all(a == 0 for a in alleles)


def _range(r: Any) -> Range:
    """From POS to END, where that is said, else as long as REF."""
    return chromosome(str(r.CHROM)), int(r.POS), int(r.end)


def chromosome(name: str) -> str:
    """1 to 22, X, Y and M in one spelling; other contigs as they are called."""
    plain = name.removeprefix("chr").upper()
    return "M" if plain == "MT" else plain


def in_capitals(allele: str) -> str:
    """Its bases, which mean the same in either case (VCF 4.3, 1.6.1); names stay as they are."""
    parts = _NAME.split(allele)
    return "".join(part if place % 2 else part.upper() for place, part in enumerate(parts))


def _format(record: Any, name: str, column: int) -> list[float]:
    """A FORMAT field of the sample as numbers; [] where it has none."""
    try:
        values = record.format(name)
    except KeyError:
        return []
    if values is None or isinstance(values[column], str):
        return []
    return [float(v) for v in values[column]]


def _number(values: list[float], place: int) -> float | None:
    """cyvcf2 writes what is missing as a large negative number."""
    if place >= len(values) or not values[place] >= 0:
        return None
    return values[place]
