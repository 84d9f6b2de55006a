"""The answer to a STOW-RS request: which objects were taken, and which cannot be read."""

from __future__ import annotations

import struct
from typing import Any, Final

from connectors.interpretation import RefusedError
from connectors.quarantine import Reason

_CANNOT_UNDERSTAND: Final = 0xC000  # PS3.18 table 10.5.3-2, failure reason
_PREAMBLE: Final = 128
_META, _CLASS, _INSTANCE = 0x0002, 0x0002, 0x0003  # group; media storage SOP class, instance
_LONG: Final = (b"OB", b"UN", b"OW", b"SQ", b"UT")  # of four bytes' length (PS3.5 7.1.2)


def stored(objects: list[bytes]) -> tuple[dict[str, Any], bool]:
    """Store Instances Response as DICOM JSON, and whether any failed. Raises `RefusedError`."""
    taken = [_named(raw) for raw in objects]
    good = [_reference(*names) for names in taken if names is not None]
    if not good:
        raise RefusedError(Reason.BAD_DICOM, "none of its parts is a DICOM object")
    answer: dict[str, Any] = {"00081199": {"vr": "SQ", "Value": good}}
    failed = [{"00081197": {"vr": "US", "Value": [_CANNOT_UNDERSTAND]}} for n in taken if n is None]
    if failed:
        answer["00081198"] = {"vr": "SQ", "Value": failed}
    return answer, bool(failed)


def _named(raw: bytes) -> tuple[str, str] | None:
    """SOP class and instance; None for what is no object.

    From the file meta information (PS3.10 7.1) alone, which is never compressed: what an object
    unpacks to is only seen in a process of its own.
    """
    if raw[_PREAMBLE : _PREAMBLE + 4] != b"DICM":
        return None
    found: dict[int, str] = {}
    at = _PREAMBLE + 4
    while at + 8 <= len(raw):
        group, element, vr, length = struct.unpack_from("<HH2sH", raw, at)
        if group != _META:
            break
        at += 8
        if vr in _LONG:
            if at + 4 > len(raw):
                break
            (length,) = struct.unpack_from("<I", raw, at)
            at += 4
        found[element] = raw[at : at + length].decode("ascii", "replace").strip("\0 ")
        at += length
    sop_class, instance = found.get(_CLASS, ""), found.get(_INSTANCE, "")
    return (sop_class, instance) if sop_class and instance else None


def _reference(sop_class: str, instance: str) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": [sop_class]},
        "00081155": {"vr": "UI", "Value": [instance]},
    }
