"""DICOM objects that an archive pushes: the body of a STOW-RS request (PS3.18 10.5), as it came.

Archives forward what they store with their own STOW client (dcm4chee's `stowrs:` exporter,
Orthanc's `/servers/{name}/stow`). Reports, segmentations and rejection notes are read like those
that were fetched; a picture says that its study is available.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from connectors.identity import IdentityKey
from connectors.interpretation import Interpretation, Issue, RefusedError, Site, StudyToFetch
from connectors.quarantine import Reason
from connectors.wire import WireMessage, parameters

MOST_PARTS: Final = 2_000
_OBJECT: Final = "application/dicom"
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_TYPE = re.compile(rb"^content-type:\s*([^;\r\n]+)", re.IGNORECASE | re.MULTILINE)

Reader = Callable[[WireMessage, IdentityKey, Site], list[Interpretation]]


def objects_of(content_type: str, raw: bytes) -> list[bytes]:
    """The objects of a multipart body (RFC 2046), PS3.10 each. Raises `RefusedError`."""
    boundary = parameters(content_type).get("boundary", "")
    if not boundary:
        raise RefusedError(Reason.BAD_DICOM, "the content type names no boundary", "content-type")
    marker = b"--" + boundary.encode("utf-8", "replace")
    pieces = (b"\r\n" + raw).split(b"\r\n" + marker)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise RefusedError(Reason.BAD_DICOM, "a multipart body without parts, or cut off")
    if len(pieces) - 2 > MOST_PARTS:
        raise RefusedError(Reason.OVERSIZED, f"more than {MOST_PARTS:,} parts")
    return [_content(piece, n) for n, piece in enumerate(pieces[1:-1], 1)]


def _content(piece: bytes, number: int) -> bytes:
    found = _HEADER_END.search(piece)
    head = piece[: found.start()] if found else b""
    named = _TYPE.search(head)
    kind = named[1].strip().decode("ascii", "replace").lower() if named else _OBJECT
    if found is None or kind != _OBJECT:
        raise RefusedError(Reason.BAD_DICOM, f"no part of {_OBJECT}", f"part {number}")
    return piece[found.end() :]


def interpret_stow(
    message: WireMessage, key: IdentityKey, site: Site, read: Reader
) -> list[Interpretation]:
    """What each object says, by `read`. Never raises, whatever the bytes."""
    try:
        objects = objects_of(message.content_type, message.raw)
    except RefusedError as refused:
        out = Interpretation(
            "quarantine", message_type="DICOM STOW", source=message.source, sent=message.heard
        )
        out.refuse(refused.issue)
        return [out]
    found: list[Interpretation] = []
    asked: set[StudyToFetch] = set()  # many pictures, one question
    for number, raw in enumerate(objects, 1):
        for one in read(message._replace(raw=raw), key, site):
            one.issues = [_placed(issue, number) for issue in one.issues]
            one.fetch = [study for study in one.fetch if study not in asked]
            asked.update(one.fetch)
            found.append(one)
    return found


def _placed(issue: Issue, number: int) -> Issue:
    return issue._replace(location=f"part {number} {issue.location}".rstrip())
