r"""ER7 syntax: a message as lists of fields, and the reading of fields with its own delimiters.

Segments end with a carriage return; a line feed, alone or after one, is taken for the same.
Delimiters come from MSH-1 and MSH-2. `""` is an explicit null (delete the value), an empty field
says nothing (no change). HL7 v2.5.1 chapter 2, sections 2.5 and 2.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from connectors.codes import NO_ANSWERS

NULL: Final = '""'

_FORMATTING: Final = frozenset({".in", ".ti", ".fi", ".nf", ".ce", "H", "N"})
_MOST_BLANKS: Final = 100
LONGEST_CACHED: Final = 400  # characters: bounds the caches' memory whatever is sent


class Code(NamedTuple):
    """A coded element reduced to the identifier that Tocsin uses."""

    code: str
    system: str  # "LN" for LOINC, otherwise as sent
    text: str
    answers: Mapping[str, str] = NO_ANSWERS  # of a site: as sent, in lower case → as meant


# Names of LOINC in HL7 table 0396, as an OID and as a URI.
_LOINC: Final = frozenset({"LN", "LOINC", "2.16.840.1.113883.6.1", "HTTP://LOINC.ORG"})


class Syntax:
    """One set of delimiters and a charset. Its methods read fields; the frequent ones cache."""

    def __init__(self, field: str, encoding: str, charset: str) -> None:
        self.field = field
        self.component = encoding[0]
        self.repetition = encoding[1] if len(encoding) > 1 else ""
        self.escape = encoding[2] if len(encoding) > 2 else ""
        self.sub_component = encoding[3] if len(encoding) > 3 else ""
        if len(encoding) > 4 and self.sub_component == self.escape:
            # `^~\\&`: an escape character that some program on the way has doubled.
            self.sub_component = encoding[4]
        if self.escape in (self.component, self.repetition):
            self.escape = ""
        self.charset = charset
        self._named = {
            "F": field,
            "S": self.component,
            "R": self.repetition,
            "T": self.sub_component,
            "E": self.escape,
            "P": encoding[4] if len(encoding) > 4 else "#",
        }
        self._cached_first = lru_cache(maxsize=8_192)(self.read_first)

    def repetitions(self, field: str) -> list[str]:
        """The repetitions of a field, as sent."""
        return field.split(self.repetition) if self.repetition else [field]

    def components(self, repetition: str) -> list[str]:
        """The components of one repetition, as sent."""
        return repetition.split(self.component)

    def text(self, leaf: str) -> str:
        """A leaf's text: escapes resolved, blanks around it cut, "" for an explicit null."""
        leaf = leaf.strip()
        if leaf == NULL:
            return ""
        if self.escape and self.escape in leaf:
            return self._unescape(leaf)
        return leaf

    def part(self, components: list[str], number: int) -> str:
        """The text of a component's first sub-component; `number` counts from 1."""
        if number > len(components):
            return ""
        leaf = components[number - 1]
        if self.sub_component and self.sub_component in leaf:
            leaf = leaf.split(self.sub_component, 1)[0]
        return self.text(leaf)

    def first(self, field: str) -> str:
        """The text of the first component of a field's first repetition (cached)."""
        return self._cached_first(field) if len(field) < LONGEST_CACHED else self.read_first(field)

    def read_first(self, field: str) -> str:
        """As `first`, not cached: for what rarely repeats."""
        return self.part(self.components(self.repetitions(field)[0]), 1)

    def named(self, leaf: str) -> str:
        """An HD or EI authority held in sub-components: the namespace, else the universal id."""
        parts = leaf.split(self.sub_component) if self.sub_component else [leaf]
        return self.text(parts[0]) or (self.text(parts[1]) if len(parts) > 1 else "")

    def code(self, field: str) -> Code | None:
        """The identifier of a CE or CWE: LOINC among its alternates first; None without one."""
        parts = self.components(self.repetitions(field)[0])
        found: Code | None = None
        for at in (1, 4, 10):  # primary, alternate, second alternate (v2.7 on)
            code = self.part(parts, at)
            if not code:
                continue
            system = self.part(parts, at + 2)
            if system.upper() in _LOINC:
                return Code(code, "LN", self.part(parts, at + 1))
            found = found or Code(code, system, self.part(parts, at + 1))
        return found

    def _unescape(self, text: str) -> str:
        """Resolve escapes; what is none stays as it was sent."""
        mark = self.escape
        out: list[str] = []
        at = 0
        while True:
            start = text.find(mark, at)
            end = text.find(mark, start + 1) if start >= 0 else -1
            if end < 0:
                out.append(text[at:])
                return "".join(out)
            out.append(text[at:start])
            meaning = self._meaning(text[start + 1 : end])
            out.append(mark if meaning is None else meaning)
            at = start + 1 if meaning is None else end + 1

    def _meaning(self, name: str) -> str | None:
        """What an escape sequence stands for; None when it is none."""
        if name in self._named:
            return self._named[name]
        if name[:1] == "X":
            try:
                return bytes.fromhex(name[1:]).decode(self.charset)
            except ValueError:
                return None
        command, number = name[:3], name[3:].strip().removeprefix("+")
        if name in ("H", "N") or command in _FORMATTING:
            return ""
        count = int(number) if number.isdecimal() and len(number) < 4 else 1
        if command in (".br", ".sp"):
            return "\n" * min(count, _MOST_BLANKS)
        return " " * min(count, _MOST_BLANKS) if command == ".sk" else None


@lru_cache(maxsize=32)
def syntax_for(field: str, encoding: str, charset: str) -> Syntax:
    """The reader of a set of delimiters, with the caches of earlier messages."""
    return Syntax(field, encoding, charset)


class ForeignLineError(ValueError):
    """A line that is no segment; `number` counts lines from 1."""

    def __init__(self, number: int) -> None:
        super().__init__(f"line {number} is no segment")
        self.number = number


_USUAL: Final = frozenset({"MSH", "PID", "PV1", "EVN", "ORC", "OBR", "OBX", "NTE", "SPM"})

Segment = list[str]  # [name, field 1, field 2 …]; of MSH, index n is field n + 1


def segments(text: str, field: str) -> list[Segment]:
    """The segments of a message, split into fields. Raises `ForeignLineError`.

    ADD segments continue the last field of the segment before them (section 2.10.2).
    """
    if "\n" in text:
        text = text.replace("\r\n", "\r").replace("\n", "\r")
    found: list[Segment] = []
    for number, line in enumerate(text.split("\r"), 1):
        fields = line.split(field)
        name = fields[0]
        if name in _USUAL or (len(name) == 3 and _is_name(name)):
            if name == "ADD" and len(found) > 1:
                found[-1][-1] += fields[1] if len(fields) > 1 else ""
                found[-1] += fields[2:]
            else:
                found.append(fields)
        elif line.strip():
            raise ForeignLineError(number)
    return found


@lru_cache(maxsize=1_024)
def _is_name(name: str) -> bool:
    return name.isascii() and name.isalnum() and name.isupper()


def at(segment: Segment, number: int) -> str:
    """Field `number` as sent, "" when absent (not for MSH)."""
    return segment[number] if number < len(segment) else ""
