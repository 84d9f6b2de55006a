"""A record of a `tocsin.wire.*` topic, as the sequencer reads it."""

from __future__ import annotations

from email.message import Message
from typing import Final, NamedTuple

from connectors import topics

# Content types of wire records (header `content-type`). Without one, the topic decides.
HL7 = "application/hl7-v2+er7"
DICOM = "application/dicom"  # a DICOM object as an archive gave it (PS3.10 bytes)
DICOM_JSON = "application/dicom+json"  # a dataset: parameter `event` says what it came as
STOW = "multipart/related"  # DICOM objects as an archive pushes them (PS3.18), boundary and all
FETCH = "application/vnd.tocsin.fetch+json"  # the sequencer asks the archive about a study
VCF = "text/x-vcf"
BED = "text/x-bed"  # regions that were examined for a VCF (parameter `of`: or were uncallable)
FHIR = "application/fhir+json"

# Of records without that header, as an integration engine may publish them.
OF_TOPIC: Final[dict[str, str]] = {
    topics.WIRE_HL7: HL7,
    topics.WIRE_IMAGING: DICOM_JSON,
    topics.WIRE_GENOMICS: VCF,
}


def parameters(content_type: str) -> dict[str, str]:
    """Parameters of a media type (RFC 2045), by the standard library's reader of mail headers."""
    header = Message()
    header["content-type"] = content_type.replace("\r", " ").replace("\n", " ")
    return {name.lower(): value for name, value in header.get_params([])[1:]}


def looks_like(raw: bytes, name: str) -> str:
    """The content type of a file that somebody has at hand; HL7 where nothing else is seen."""
    if raw[128:132] == b"DICM":
        return DICOM
    plain = name.lower().removesuffix(".gz")
    if plain.endswith(".bed"):
        return BED
    if plain.endswith(".vcf") or raw.startswith(b"##fileformat=VCF"):
        return VCF
    is_json = raw.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{")
    return FHIR if is_json and b'"resourceType"' in raw else HL7


class WireMessage(NamedTuple):
    """One message as received."""

    raw: bytes
    position: str  # topic/partition/offset
    heard: float
    source: str  # as the feed names itself; "" when the publisher set no header
    trace: str
    content_type: str = HL7
    redriven: bool = False  # sent again from quarantine: says nothing of how its feed does
    subject: str = ""  # header `subject`: authority|type|number, where the bytes name no patient
