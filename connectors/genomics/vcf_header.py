"""The header of a VCF file: on which genome it counts, when it was made, and of whose material.

Callers of somatic variants say which column is the tumour's: Mutect2 by `##tumor_sample` and
`##normal_sample`, Strelka and others by columns that are called TUMOR and NORMAL.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_COLUMNS: Final = 9  # before the samples
_LONGEST: Final = 11  # digits of a contig's length
_SOURCES: Final = {"tumor": "somatic", "normal": "germline"}


class Header(NamedTuple):
    """What is used of it."""

    samples: list[str]
    sources: dict[str, str]  # sample → source class, where the file says it
    reference: str  # ##reference
    contigs: dict[str, int]  # name without "chr" → length
    contig_assembly: str  # ##contig assembly=
    date: str  # ##fileDate


def read_header(text: bytes) -> Header | None:
    """None for what has no #CHROM line."""
    start = text.find(b"\n#CHROM\t")
    if start < 0:
        return None
    end = text.find(b"\n", start + 1)
    columns = text[start + 1 : end if end > 0 else len(text)].decode("utf-8", "replace")
    samples = columns.rstrip("\r").split("\t")[_COLUMNS:]
    lines = [line.decode("utf-8", "replace") for line in text[: start + 1].splitlines()]
    contigs: dict[str, int] = {}
    assembly = ""
    for line in lines:
        if line.startswith("##contig=<"):
            parts = dict(p.partition("=")[::2] for p in line[10:].rstrip(">").split(","))
            length = parts.get("length", "")
            if length.isdecimal() and len(length) <= _LONGEST:
                contigs[parts.get("ID", "").removeprefix("chr")] = int(length)
            assembly = assembly or parts.get("assembly", "")
    said = _said(lines)
    sources = _sources(said, samples)
    reference, date = said.get("reference", ""), said.get("fileDate", "").strip()
    return Header(samples, sources, reference, contigs, assembly, date)


def _said(lines: list[str]) -> dict[str, str]:
    """`##key=value`, the last of each key."""
    return dict(line[2:].partition("=")[::2] for line in lines if line.startswith("##"))


def _sources(said: dict[str, str], samples: list[str]) -> dict[str, str]:
    named = {said.get(f"{kind}_sample", "").strip(): of for kind, of in _SOURCES.items()}
    by_column = {name: _SOURCES.get(name.lower(), "") for name in samples}
    if set(by_column.values()) >= set(_SOURCES.values()):
        named = by_column | named
    return {name: of for name, of in named.items() if name in samples and of}
