"""DICOM codes as facts write them."""

from __future__ import annotations

from typing import Final

from connectors.imaging.elements import Coded

# Coding scheme designators (PS3.16 table 8-1) as HL7 calls the systems (table 0396).
_SYSTEMS: Final = {"LN": "LN", "SCT": "SCT", "SRT": "SRT", "DCM": "DCM", "UCUM": "UCUM"}
_LATERALITY: Final = {
    **dict.fromkeys(("24028007", "G-A100"), "R"),
    **dict.fromkeys(("7771000", "G-A101"), "L"),
    **dict.fromkeys(("51440002", "G-A102"), "B"),
}


def system_of(code: Coded) -> str:
    """Its coding system."""
    return _SYSTEMS.get(code.scheme, code.scheme)


def coded(code: Coded) -> str:
    """`code^scheme`; "" without a code."""
    return f"{code.value}^{code.scheme}" if code.value else ""


def laterality_of(code: Coded) -> str:
    """R, L, B or ""."""
    return _LATERALITY.get(code.value, "")
