"""The answer to a STOW-RS request: which objects were taken, and which cannot be read."""

from __future__ import annotations

import io
from typing import Any, Final

from pydicom import dcmread

from connectors.interpretation import RefusedError
from connectors.quarantine import Reason

_CANNOT_UNDERSTAND: Final = 0xC000  # PS3.18 table 10.5.3-2, failure reason
_HEAD: Final = ("SOPClassUID", "SOPInstanceUID")


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
    """SOP class and instance; None for what is no object."""
    try:
        head = dcmread(io.BytesIO(raw), stop_before_pixels=True, specific_tags=list(_HEAD))
        sop_class, instance = (str(head.get(keyword, "")) for keyword in _HEAD)
    except Exception:  # noqa: BLE001 - what pydicom raises for damaged bytes is anything
        return None
    return (sop_class, instance) if sop_class and instance else None


def _reference(sop_class: str, instance: str) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": [sop_class]},
        "00081155": {"vr": "UI", "Value": [instance]},
    }
