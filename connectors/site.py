"""The site file: how each source's messages are to be read and answered, what its own codes mean,
how often it speaks and how much of it may go wrong.

YAML, written by the people who know the interfaces. It is checked as a whole; a file that is wrong
is refused with the place and the reason, and a running process keeps the one it had.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connectors.codes import OWN, CodeMap, Meaning
from connectors.interpretation import Profile
from connectors.mllp.acknowledge import Mode
from connectors.settings import Charset, IdentitySettings, SequencerSettings, ZoneName

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
    loinc: str = Field("", pattern=r"^([0-9]{1,7}-[0-9])?$")
    tocsin: str = Field("", description="one of Tocsin's own codes, where there is no LOINC")
    name: str = ""
    unit: str = Field("", description="UCUM, of values that come without a unit")
    answers: dict[str, str] = Field({}, description="coded answer as sent → as a model knows it")

    def to_meaning(self) -> Meaning:
        """Raises `ValueError` for a LOINC with a wrong check digit, or no meaning at all."""
        if bool(self.loinc) == bool(self.tocsin):
            raise ValueError(f"{self.code} needs one meaning: either loinc or tocsin")
        if self.loinc and not loinc_is_right(self.loinc):
            raise ValueError(f"{self.loinc} is no LOINC: its check digit is wrong")
        code, system = (self.loinc, "LN") if self.loinc else (self.tocsin, OWN)
        answers = {sent.strip().casefold(): meant for sent, meant in self.answers.items()}
        return Meaning(code, system, self.name, self.unit, answers)


class CodeFile(_Part):
    """A file of local codes and units."""

    codes: list[CodeEntry] = []
    units: dict[str, str] = Field({}, description="unit as sent → UCUM")

    def to_map(self) -> CodeMap:
        """Raises `ValueError` for a code with two meanings, or without a usable one."""
        meanings: dict[tuple[str, str], Meaning] = {}
        for entry in self.codes:
            meaning = entry.to_meaning()
            key = (entry.system, entry.code)
            if key in meanings:
                raise ValueError(f"{entry.code} ({entry.system or 'no system'}) is there twice")
            meanings[key] = meaning
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


class SourceEntry(_Part):
    """One source, or several of the same kind. What is left out is as in the settings."""

    match: str = Field(min_length=1, description="MSH-3|MSH-4, or the feed's own name; * and ?")
    time_zone: ZoneName | None = None
    charset: Charset = ""
    facility: str = Field("", description="authority of patient numbers that come without one")
    identifier_types: tuple[str, ...] = Field((), description="table 0203, best first")
    identifier_type: str = Field("", description="of patient numbers that come without one")
    authorities: dict[str, str] = Field({}, description="authority as sent → authority meant")
    processing: tuple[Literal["P", "T", "D"], ...] = Field(
        (), description="MSH-11 that is taken: production, training, debugging; none: all"
    )
    codes: Path | None = Field(None, description="file of local codes, relative to the site file")
    acknowledgement: Mode = Field(Mode.MESSAGE, description="which answers its messages get")
    expected_per_hour: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="messages in its quietest hour; none: silence is no alarm",
    )
    quarantine_limit: float | None = Field(
        None, ge=0, lt=1, description="share of the last messages above which it is paused"
    )
    quarantine_window: int = Field(100, ge=10, le=10_000, description="how many messages those are")


class SiteFile(_Part):
    """All sources; the first that matches counts."""

    sources: list[SourceEntry] = []


class Feed(NamedTuple):
    """How a source is answered and watched: one entry of the site file."""

    match: str = ""  # of the entry; "" for a source that none names
    acknowledgement: Mode = Mode.MESSAGE
    expected_per_hour: float | None = None
    quarantine_limit: float | None = None
    quarantine_window: int = 100

    @property
    def names_one(self) -> bool:
        """Is it one source, named in full?"""
        return not set("*?[") & set(self.match)


class Rule(NamedTuple):
    """An entry of the site file, with what it leaves out taken from the settings."""

    match: str
    profile: Profile
    feed: Feed


_Stamp = tuple[int, int, int] | None  # time of change, size, inode; None: not there
_NO_FEED = Feed()


class Site:
    """The profiles of all sources, from the settings and the site file.

    `refresh` reads a changed file anew; `of` and `feed` are look-ups.
    """

    def __init__(self, sequencer: SequencerSettings, identity: IdentitySettings) -> None:
        """Raises `SiteError`."""
        self._file = sequencer.site.absolute() if sequencer.site is not None else None
        default = Profile(
            time_zone=sequencer.time_zone,
            charset=sequencer.charset,
            max_future_s=sequencer.max_future_s,
            preferred_types=identity.preferred_types,
        )
        self._default = Rule("*", default, _NO_FEED)
        # Rules and what was looked up by them: replaced as one, since threads may look meanwhile.
        self._state: tuple[Sequence[Rule], dict[str, Rule]] = ((), {})
        self._stamps: dict[Path, _Stamp] = {}
        if self._file is not None:
            self._state = (self._read(self._file), {})

    def of(self, source: str) -> Profile:
        """The profile of a source."""
        return self._rule(source).profile

    def feed(self, source: str) -> Feed:
        """How a source is answered and watched."""
        return self._rule(source).feed

    @property
    def rules(self) -> Sequence[Rule]:
        """Those of the site file, in its order."""
        return self._state[0]

    @property
    def feeds(self) -> list[Feed]:
        """Theirs."""
        return [rule.feed for rule in self.rules]

    def refresh(self) -> bool:
        """Read the file again where it has changed. A bad one is logged, and the old one stays."""
        if self._file is None or all(_stamp(path) == was for path, was in self._stamps.items()):
            return False
        try:
            rules = self._read(self._file)
        except SiteError as error:
            log.error("the site file is not taken over, the one before stays in force: %s", error)
            return False
        self._state = (rules, {})
        log.info("the site file was read again: %d sources", len(rules))
        return True

    def _rule(self, source: str) -> Rule:
        rules, known = self._state
        rule = known.get(source)
        if rule is None:
            rule = next((r for r in rules if fnmatchcase(source, r.match)), self._default)
            if len(known) < _MOST_SOURCES:
                known[source] = rule
        return rule

    def _read(self, file: Path) -> list[Rule]:
        """Read the file, and watch from now on what was read, or what is to be mended."""
        # Each stamp is older than the reading, so that a change in between is not missed.
        stamps = self._stamps = {file: _stamp(file)}
        maps: dict[Path, CodeMap] = {}
        rules = []
        for entry in load(file).sources:
            codes = self._default.profile.codes
            if entry.codes is not None:
                path = file.parent / entry.codes
                if path not in maps:
                    stamps[path] = _stamp(path)
                    maps[path] = load_codes(path)
                codes = maps[path]
            rules.append(_to_rule(entry, codes, self._default.profile))
        return rules


def load(file: Path) -> SiteFile:
    """Read and check a site file. Raises `SiteError`."""
    return _checked(SiteFile, file)


def load_codes(file: Path) -> CodeMap:
    """Read and check a file of local codes. Raises `SiteError`."""
    try:
        return _checked(CodeFile, file).to_map()
    except ValueError as error:
        raise SiteError(f"{file}: {error}") from None


def _to_rule(entry: SourceEntry, codes: CodeMap, default: Profile) -> Rule:
    profile = Profile(
        time_zone=entry.time_zone or default.time_zone,
        zone_of_source=entry.time_zone is not None,
        charset=entry.charset or default.charset,
        max_future_s=default.max_future_s,
        preferred_types=entry.identifier_types or default.preferred_types,
        authorities=tuple(sorted(entry.authorities.items())),
        facility=entry.facility,
        identifier_type=entry.identifier_type or default.identifier_type,
        codes=codes,
        processing=entry.processing,
    )
    feed = Feed(
        entry.match,
        entry.acknowledgement,
        entry.expected_per_hour,
        entry.quarantine_limit,
        entry.quarantine_window,
    )
    return Rule(entry.match, profile, feed)


def _checked(kind: type[_Kind], file: Path) -> _Kind:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SiteError(f"{file} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise SiteError(f"{file}{where}: this is no YAML") from None
    try:
        return kind.model_validate({} if content is None else content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SiteError(f"{file}, {where or 'top'}: {first['msg']}") from None


def _stamp(file: Path) -> _Stamp:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
