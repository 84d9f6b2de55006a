"""The site file: how each source's messages are to be read, and what its own codes mean.

YAML, written by the people who know the interfaces. It is checked as a whole; a file that is wrong
is refused with the place and the reason, and a running process keeps the one it had.
"""

from __future__ import annotations

import hashlib
import logging
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from connectors.codes import CodeMap, Meaning
from connectors.interpretation import Profile
from connectors.settings import IdentitySettings, SequencerSettings

log = logging.getLogger("tocsin.site")

_MOST_SOURCES = 10_000  # remembered by name; whoever invents more is read by the rules each time


class SiteError(Exception):
    """A site file that cannot be used: which, where and why."""


_Kind = TypeVar("_Kind", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CodeEntry(_Part):
    """What one local code stands for."""

    code: str = Field(min_length=1)
    system: str = Field("", description="as sent in the third component; empty: none is sent")
    loinc: str = Field(pattern=r"^[0-9]{1,7}-[0-9]$")
    name: str = ""
    unit: str = Field("", description="UCUM, of values that come without a unit")


class CodeFile(_Part):
    """A file of local codes and units."""

    codes: list[CodeEntry] = []
    units: dict[str, str] = Field({}, description="unit as sent → UCUM")

    def to_map(self) -> CodeMap:
        """Raises `ValueError` for a code with two meanings, or a LOINC with a wrong check digit."""
        meanings: dict[tuple[str, str], Meaning] = {}
        for entry in self.codes:
            if not loinc_is_right(entry.loinc):
                raise ValueError(f"{entry.loinc} is no LOINC: its check digit is wrong")
            key = (entry.system, entry.code)
            if key in meanings:
                raise ValueError(f"{entry.code} ({entry.system or 'no system'}) is there twice")
            meanings[key] = Meaning(entry.loinc, "LN", entry.name, entry.unit)
        return CodeMap(meanings, dict(self.units))


def loinc_is_right(code: str) -> bool:
    """Does the check digit fit (mod 10, Luhn)?

    >>> loinc_is_right("8867-4"), loinc_is_right("8867-5")
    (True, False)
    """
    digits, _, check = code.partition("-")
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return (10 - total % 10) % 10 == int(check)


def _zone(name: str) -> str:
    return SequencerSettings.model_validate({"time_zone": name or "UTC"}).time_zone if name else ""


def _charset(name: str) -> str:
    return SequencerSettings.model_validate({"charset": name}).charset


class SourceEntry(_Part):
    """One source, or several of the same kind. What is left out is as in the settings."""

    match: str = Field(min_length=1, description="MSH-3|MSH-4, or the feed's own name; * and ?")
    time_zone: Annotated[str, AfterValidator(_zone)] = ""
    charset: Annotated[str, AfterValidator(_charset)] = ""
    facility: str = Field("", description="authority of patient numbers that come without one")
    identifier_types: tuple[str, ...] = Field((), description="table 0203, best first")
    authorities: dict[str, str] = Field({}, description="authority as sent → authority meant")
    codes: Path | None = Field(None, description="file of local codes, beside the site file")


class SiteFile(_Part):
    """All sources; the first that matches counts."""

    sources: list[SourceEntry] = []


class Site:
    """The profiles of all sources, from the settings and the site file.

    `refresh` reads a changed file anew; `of` is a look-up.
    """

    def __init__(self, sequencer: SequencerSettings, identity: IdentitySettings) -> None:
        self._file = sequencer.site
        self._default = Profile(
            time_zone=sequencer.time_zone,
            charset=sequencer.charset,
            max_future_s=sequencer.max_future_s,
            preferred_types=identity.preferred_types,
        )
        self._rules: list[tuple[str, Profile]] = []
        self._known: dict[str, Profile] = {}
        self._stamp = ""
        if self._file is not None:
            self._stamp = _stamp(self._file)
            self._rules = _rules(load(self._file), self._file, self._default)

    def of(self, source: str) -> Profile:
        """The profile of a source."""
        profile = self._known.get(source)
        if profile is None:
            profile = next((p for m, p in self._rules if fnmatchcase(source, m)), self._default)
            if len(self._known) < _MOST_SOURCES:
                self._known[source] = profile
        return profile

    def refresh(self) -> bool:
        """Read the file again where it has changed. A bad one is logged, and the old one stays."""
        if self._file is None:
            return False
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            rules = _rules(load(self._file), self._file, self._default)
        except SiteError as error:
            log.error("the site file is not taken over, the one before stays in force: %s", error)
            return False
        self._rules, self._known = rules, {}
        log.info("the site file was read again: %d sources", len(rules))
        return True


def load(file: Path) -> SiteFile:
    """Read and check a site file. Raises `SiteError`."""
    return _checked(SiteFile, file)


def load_codes(file: Path) -> CodeMap:
    """Read and check a file of local codes. Raises `SiteError`."""
    try:
        return _checked(CodeFile, file).to_map()
    except ValueError as error:
        raise SiteError(f"{file}: {error}") from None


def _rules(site: SiteFile, file: Path, default: Profile) -> list[tuple[str, Profile]]:
    maps: dict[Path, CodeMap] = {}
    rules = []
    for source in site.sources:
        codes = default.codes
        if source.codes is not None:
            path = file.parent / source.codes
            codes = maps[path] = maps.get(path) or load_codes(path)
        rules.append(
            (
                source.match,
                Profile(
                    time_zone=source.time_zone or default.time_zone,
                    charset=source.charset or default.charset,
                    max_future_s=default.max_future_s,
                    preferred_types=source.identifier_types or default.preferred_types,
                    authorities=tuple(sorted(source.authorities.items())),
                    facility=source.facility,
                    codes=codes,
                ),
            )
        )
    return rules


def _checked(kind: type[_Kind], file: Path) -> _Kind:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SiteError(f"{file} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise SiteError(f"{file}{where}: this is no YAML") from None
    try:
        return kind.model_validate({} if content is None else content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SiteError(f"{file}, {where or 'top'}: {first['msg']}") from None


def _stamp(file: Path) -> str:
    """Changes with the site file and the files of codes beside it."""
    digest = hashlib.sha256()
    for path in sorted({file, *file.parent.glob("*.yaml"), *file.parent.glob("*.yml")}):
        try:
            found = path.stat()
        except OSError:
            continue
        digest.update(f"{path.name}|{found.st_mtime_ns}|{found.st_size}\n".encode())
    return digest.hexdigest()
