"""Attributes of DICOM datasets, whatever is in their place, and which objects are read at all."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

REPORTS: Final = "1.2.840.10008.5.1.4.1.1.88."  # SOP classes of structured reports and documents
SELECTIONS: Final = "1.2.840.10008.5.1.4.1.1.88.59"  # key object selections: rejection notes
SEGMENTATIONS: Final = frozenset(
    ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # labels too
)
MODALITIES: Final = ("SR", "KO", "SEG")  # of the series that they are in


class ObjectError(Exception):
    """Why an object cannot be used, in words without patient data."""


class Coded(NamedTuple):
    """A code of a content item."""

    value: str = ""
    scheme: str = ""
    meaning: str = ""


def is_read(sop_class: str) -> bool:
    """Does an object of this class hold something that becomes facts?"""
    return sop_class.startswith(REPORTS) or sop_class in SEGMENTATIONS


def items_of(dataset: Any, keyword: str) -> list[Any]:
    """The items of a sequence."""
    value = getattr(dataset, keyword, None)
    return list(value) if value is not None and not isinstance(value, str | bytes) else []


def code_of(dataset: Any, keyword: str) -> Coded:
    """The code in a sequence of one item; long ones and URNs have attributes of their own."""
    for item in items_of(dataset, keyword):
        value = (
            text_of(item, "CodeValue")
            or text_of(item, "LongCodeValue")
            or text_of(item, "URNCodeValue")
        )
        return Coded(value, text_of(item, "CodingSchemeDesignator"), text_of(item, "CodeMeaning"))
    return Coded()


def text_of(dataset: Any, keyword: str) -> str:
    """The first value of an attribute as text."""
    value = getattr(dataset, keyword, None)
    if value is None:
        return ""
    if not isinstance(value, str) and hasattr(value, "__len__") and hasattr(value, "__getitem__"):
        value = value[0] if len(value) else ""  # several values: the first
    return str(value).strip()
