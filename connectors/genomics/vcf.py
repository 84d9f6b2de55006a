"""VCF 4.x files as variants of one patient.

The file names no patient: the record's header `subject` does (authority|type|number), and in a file
of several samples the content type says which (`text/x-vcf; sample=NA12878`). It may also say
`source-class=germline` or `somatic`, and `assembly=GRCh38` where the file does not; where the file
says another assembly, the parameter counts and an issue tells of it.

A variant counts as present where its genotype has it and no filter objects. A genotype that is not
called, or a call that a filter rejects, is *not called*; one of reference alleles alone is
*absent*; what the file does not mention was, as far as the file says, not examined: reference
blocks of a gVCF, or a BED of the same sample (`connectors.genomics.bed`), say what was. Each file
is also a document (its id is `Variant.report`): a newer file of the same sample replaces the older
one as a whole (`models.genome`).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace

from connectors.apart import Apart, BrokeError
from connectors.facts import AnyFact, Examined, Presence, Statement, Variant
from connectors.genomics.hgvs import normalised
from connectors.genomics.regions import MOST_RANGES
from connectors.genomics.sequences import assembly_of
from connectors.genomics.vcf_records import Call, Contents, VcfError, read
from connectors.identity import Identity, IdentityKey
from connectors.interpretation import About, Interpretation, Issue, Profile, RefusedError, Site
from connectors.quarantine import Reason
from connectors.subject import subject_of
from connectors.wire import WireMessage, parameters

MESSAGE_TYPE: Final = "VCF"
LONGEST_S: Final = 30.0  # to read one file: every other message waits for it
PANEL: Final = "81247-9"  # LOINC: master HL7 genetic variant reporting panel
_HETEROPLASMIC: Final = 0.99  # of the reads of a mitochondrial site, below which both are there
CLASSES: Final = ("germline", "somatic")
ASSEMBLIES: Final = ("GRCh37", "GRCh38")
# Genome Reference Consortium: length of chromosome 1, else X, of each assembly.
_LENGTHS: Final = {
    ("1", 249_250_621): "GRCh37",
    ("1", 248_956_422): "GRCh38",
    ("X", 155_270_560): "GRCh37",
    ("X", 156_040_895): "GRCh38",
}
REASONS: Final = {
    "bad_vcf": Reason.BAD_VCF,
    "oversized": Reason.OVERSIZED,
    "no_sample": Reason.NO_SAMPLE,
    "too_many_variants": Reason.TOO_MANY_VARIANTS,
}
_process = Apart(LONGEST_S)


def interpret_vcf(message: WireMessage, key: IdentityKey, site: Site) -> list[Interpretation]:
    """The variants of one file. Never raises, whatever the bytes."""
    out = Interpretation(
        "quarantine", message_type=MESSAGE_TYPE, source=message.source, sent=message.heard
    )
    try:
        _map(message, key, site.of(message.source), out)
    except RefusedError as refused:
        out.refuse(refused.issue)
    return [out]


def _map(message: WireMessage, key: IdentityKey, profile: Profile, out: Interpretation) -> None:
    subject = subject_of(message.subject, profile)
    said = parameters(message.content_type)
    named = one_of(said.get("source-class", ""), CLASSES, "source-class")
    contents = _contents(message.raw, said.get("sample", ""))
    stated = one_of(said.get("assembly", ""), ASSEMBLIES, "assembly")
    of_file = _assembly(contents)
    assembly = stated or of_file
    if not assembly:
        detail = "GRCh37 or 38? Say so in ##reference, ##contig or the content type (`assembly=`)"
        raise RefusedError(Reason.NO_ASSEMBLY, detail, "##reference")
    pseudonym = key.pseudonym(subject)
    dated = _date(contents.header.date)
    time = message.heard if dated is None or dated > message.heard else dated
    sample = contents.sample
    # What the header says is left out of the report's name, which a BED has to give alike.
    report = report_of(key, pseudonym, message.source, sample, named, assembly)
    source_class = named or contents.header.sources.get(sample, "")
    # Of two files of one day, the one that came later is the newer.
    rank = (1, time, 0, f"{message.heard:017.6f}")
    document = Statement(
        id=report, rank=rank, kind=Statement.DOCUMENT, code=PANEL, system="LN", time=time
    )
    facts: dict[str, AnyFact] = {report: document}
    found, contradicting = _variants(
        contents.calls, key, rank, time, assembly, source_class, report
    )
    facts |= found
    blocks = len(contents.examined) + len(contents.uncallable)
    if blocks > MOST_RANGES:
        detail = f"more than {MOST_RANGES:,} reference blocks, joined: send a panel"
        out.issues.append(Issue(Reason.TOO_MANY_VARIANTS, detail, "reference blocks"))
    elif blocks:
        id = key.short("examined", report, "blocks")
        facts[id] = Examined(
            id=id,
            rank=rank,
            time=time,
            source_class=source_class,
            assembly=assembly,
            ranges=contents.examined,
            uncallable=contents.uncallable,
            report=report,
        )
    if of_file and of_file != assembly:
        detail = f"the file says {of_file}, its content type {assembly}, which was taken"
        out.issues.append(Issue(Reason.OTHER_ASSEMBLY, detail, "content-type"))
    for number in contradicting[:1]:
        detail = f"another genotype for the same allele, {len(contradicting)} times: not called"
        out.issues.append(Issue(Reason.AMBIGUOUS, detail, f"record {number}"))
    for number in contents.unusable[:1]:
        detail = f"REF is no sequence, in {len(contents.unusable)} of the file's records"
        out.issues.append(Issue(Reason.BAD_VCF, detail, f"record {number}"))
    out.patients = [About(pseudonym, Identity(identifiers=(subject,)), list(facts.values()))]
    out.outcome, out.reason = "facts", ""


def report_of(
    key: IdentityKey, pseudonym: str, source: str, sample: str, source_class: str, assembly: str
) -> str:
    """The report that all files of one sample are versions of."""
    return key.short("vcf", pseudonym, source, sample, source_class, assembly)


def _variants(
    calls: list[Call],
    key: IdentityKey,
    rank: tuple[int, float, int, str],
    time: float,
    assembly: str,
    source_class: str,
    report: str,
) -> tuple[dict[str, Variant], list[int]]:
    """By id, each allele once; and the records that contradict an earlier one."""
    found: dict[str, Variant] = {}
    contradicting: list[int] = []
    for call in calls:
        # Long ones that begin together, as two <DEL>, are told apart by their ends.
        place = [call.chromosome, str(call.position), *([str(call.end)] if call.end else [])]
        id = key.short("vcf-variant", report, *place, call.ref, call.alt)
        new = _variant(id, call, rank, time, assembly, source_class, report)
        old = found.setdefault(id, new)
        if _says(old) != _says(new):
            contradicting.append(call.record)
            found[id] = _unsettled(old)
    return found, contradicting


def _variant(
    id: str,
    call: Call,
    rank: tuple[int, float, int, str],
    time: float,
    assembly: str,
    source_class: str,
    report: str,
) -> Variant:
    gene, transcript, hgvs_c, hgvs_p = call.annotation
    presence = _presence(call, source_class)
    is_somatic = call.somatic and presence is Presence.PRESENT  # in another column, elsewhere
    known = source_class or ("somatic" if is_somatic else "")
    return Variant(
        id=id,
        rank=rank,
        presence=presence,
        time=time,
        source_class=known,
        gene=gene,
        assembly=assembly,
        chromosome=call.chromosome,
        position=call.position,
        end=call.end,
        ref=call.ref,
        alt=call.alt,
        hgvs_c=normalised(hgvs_c),
        hgvs_p=normalised(hgvs_p),
        transcript=transcript,
        change=call.kind or _change(call),
        zygosity=_zygosity(call, known) if presence is Presence.PRESENT else "",
        allele_fraction=call.allele_fraction,
        depth=call.depth,
        copy_number=call.copy_number,
        report=report,
    )


def _says(variant: Variant) -> tuple[Presence, str, float | None]:
    """What two records of one allele have to agree on."""
    return variant.presence, variant.zygosity, variant.copy_number


def _unsettled(variant: Variant) -> Variant:
    """Not called: left out, a BED or a block could make wild type of it."""
    return replace(
        variant,
        presence=Presence.NO_CALL,
        zygosity="",
        copy_number=None,
        allele_fraction=None,
        depth=None,
    )


def _presence(call: Call, source_class: str) -> Presence:
    if not call.passed:
        return Presence.NO_CALL
    if not call.alleles and call.somatic and source_class == "germline":
        return Presence.NO_CALL  # the record's call is of the tumour, in another column
    if 1 in call.alleles or not call.alleles:
        return Presence.PRESENT  # of half a genotype too: one copy was seen
    return Presence.NO_CALL if -1 in call.alleles else Presence.ABSENT


def _zygosity(call: Call, source_class: str) -> str:
    """Of a germline variant; how much of a tumour has a somatic one is the allele fraction."""
    if source_class == "somatic" or not call.alleles or -1 in call.alleles:
        return ""
    if call.chromosome == "M":
        if call.allele_fraction is None:
            return ""
        return "heteroplasmic" if call.allele_fraction < _HETEROPLASMIC else "homoplasmic"
    if len(call.alleles) == 1:
        return "hemizygous"
    return "homozygous" if all(call.alleles) else "heterozygous"


def _change(call: Call) -> str:
    """As in INFO SVTYPE, of what has none."""
    if "[" in call.alt or "]" in call.alt:
        return "BND"
    if call.alt.startswith("<"):
        return call.alt.strip("<>").partition(":")[0]
    if len(call.ref) == len(call.alt):
        return "SNV" if len(call.ref) == 1 else "MNV"
    return "DEL" if len(call.ref) > len(call.alt) else "INS"


def one_of(said: str, known: tuple[str, ...], name: str) -> str:
    if said and said not in known:
        raise RefusedError(Reason.UNSUPPORTED_CONTENT, f"{name} is one of {', '.join(known)}", name)
    return said


def _contents(raw: bytes, sample: str) -> Contents:
    try:
        return _process.run(read, raw, sample)
    except VcfError as error:
        raise RefusedError(REASONS[error.code], error.detail) from None
    except BrokeError:
        raise RefusedError(Reason.BAD_VCF, "reading it broke, or took too long") from None


def _assembly(contents: Contents) -> str:
    header = contents.header
    for name, length in header.contigs.items():
        known = _LENGTHS.get((name, length))
        if known:
            return known
    found = assembly_of(f"{header.contig_assembly} {header.reference}")
    return found if found in ASSEMBLIES else ""


def _date(text: str) -> float | None:
    """##fileDate, YYYYMMDD."""
    try:
        moment = datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    return moment if math.isfinite(moment) else None
