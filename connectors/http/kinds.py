"""What is taken in at which path, and which record of the wire log it becomes.

A body is looked at as far as its sender can mend it at once: that it is JSON, a resource, a VCF.
Whose it is and what it says, the sequencer reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from connectors import topics, wire
from connectors.fhir.document import BUNDLES, decoded
from connectors.fhir.elements import Element, child, children, text
from connectors.http.answers import ACCEPTED, Answer
from connectors.http.stored import stored
from connectors.imaging.stow import objects_of
from connectors.interpretation import RefusedError
from connectors.quarantine import Reason

_GZIP: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
_JSON: Final = ("application/json",)
_UID: Final = frozenset("0123456789.")
_LONGEST_UID: Final = 64  # PS3.5 9.1
IMAGING_KINDS: Final = ("ImagingStudy",)


class Place(NamedTuple):
    """Where a body goes, and what its sender is told."""

    topic: str
    content_type: str
    answer: Answer = ACCEPTED


# (body, parameters of the content type and the address, what the path names) → its place.
Look = Callable[[bytes, Mapping[str, str], str], Place]


class Kind(NamedTuple):
    """One kind of request."""

    name: str  # in metrics
    media: tuple[str, ...]
    look: Look  # raises `RefusedError` for what is not what it should be
    needs_subject: bool = False  # the bytes name no patient
    is_fhir: bool = False


def media_of(content_type: str) -> str:
    """The media type without parameters."""
    return content_type.partition(";")[0].strip().lower()


def kind_of(kinds: tuple[Kind, ...], content_type: str) -> Kind:
    """Which of the kinds of one path it is; the first where it is none of them."""
    media = media_of(content_type)
    return next((kind for kind in kinds if media in kind.media), kinds[0])


def _fhir(body: bytes, _: Mapping[str, str], named: str) -> Place:
    resource = decoded(body)
    kind = text(resource, "resourceType")
    if named not in ("", "Bundle", kind) and kind != "Bundle":
        detail = f"this is no {named}, and no Bundle"
        raise RefusedError(Reason.UNSUPPORTED_CONTENT, detail, "resourceType")
    if kind == "Bundle" and text(resource, "type") not in BUNDLES:
        detail = f"Bundle.type is one of {', '.join(sorted(BUNDLES))}"
        raise RefusedError(Reason.BAD_FHIR, detail, "Bundle.type")
    is_imaging = any(k in IMAGING_KINDS for k in _kinds(resource, kind))
    return Place(topics.WIRE_IMAGING if is_imaging else topics.WIRE_GENOMICS, wire.FHIR)


def _kinds(resource: Element, kind: str) -> Iterator[str]:
    yield kind
    if kind == "Bundle":
        for entry in children(resource, "entry"):
            yield text(child(entry, "resource"), "resourceType")


def _notice(body: bytes, _: Mapping[str, str], named: str) -> Place:
    """A dataset, or several, in the DICOM JSON model; the path may say of which study."""
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RefusedError(Reason.BAD_DICOM, "no JSON in UTF-8") from None
    datasets = found if isinstance(found, list) else [found]
    if not datasets or not all(isinstance(one, dict) for one in datasets):
        raise RefusedError(Reason.BAD_DICOM, "no dataset in the DICOM JSON model")
    if named and (len(named) > _LONGEST_UID or not set(named) <= _UID):
        raise RefusedError(Reason.NO_STUDY, "no UID in the path")
    study = f"; study={named}" if named else ""
    return Place(topics.WIRE_IMAGING, f"{wire.DICOM_JSON}; event=stow{study}")


def _stow(body: bytes, said: Mapping[str, str], _: str) -> Place:
    """DICOM objects; the answer names each, as a STOW client expects (PS3.18 10.5.3)."""
    boundary = said.get("boundary", "")
    content_type = f'{wire.STOW}; type="{wire.DICOM}"; boundary="{boundary}"'
    if not boundary.isprintable() or set(boundary) & set('"\\'):
        raise RefusedError(Reason.BAD_DICOM, "a boundary that is none", "content-type")
    dataset, failed = stored(objects_of(content_type, body))
    status = 202 if failed else 200
    answer = Answer(status, "stored", dataset=dataset)
    return Place(topics.WIRE_IMAGING, content_type, answer)


def _vcf(body: bytes, said: Mapping[str, str], _: str) -> Place:
    if not body.startswith(_GZIP) and not body.removeprefix(_BOM).startswith(b"##fileformat=VCFv4"):
        raise RefusedError(Reason.BAD_VCF, "does not begin with ##fileformat=VCFv4")
    stated = _stated(said, ("sample", "source-class", "assembly"))
    return Place(topics.WIRE_GENOMICS, wire.VCF + stated)


def _bed(body: bytes, said: Mapping[str, str], _: str) -> Place:
    if not body.strip():
        raise RefusedError(Reason.BAD_BED, "an empty file")
    stated = _stated(said, ("sample", "source-class", "assembly", "of"))
    return Place(topics.WIRE_GENOMICS, wire.BED + stated)


def _stated(said: Mapping[str, str], names: tuple[str, ...]) -> str:
    """Parameters for the record's content type. Raises `RefusedError`."""
    for name in names:
        value = said.get(name, "")
        if not value.isprintable() or set(value) & set('"\\') or len(value) > 200:
            raise RefusedError(Reason.UNSUPPORTED_CONTENT, f"{name} has characters it may not have")
    return "".join(f'; {name}="{said[name]}"' for name in names if said.get(name))


FHIR: Final = Kind("fhir", (wire.FHIR, *_JSON), _fhir, is_fhir=True)
NOTICE: Final = Kind("dicom", (wire.DICOM_JSON, *_JSON), _notice)
STOW: Final = Kind("stow", (wire.STOW,), _stow)
VCF: Final = Kind(
    "vcf",
    (wire.VCF, "text/vcf", "application/gzip", "application/x-gzip"),
    _vcf,
    needs_subject=True,
)
BED: Final = Kind(
    "bed",
    (wire.BED, "text/bed", "application/gzip", "application/x-gzip"),
    _bed,
    needs_subject=True,
)
