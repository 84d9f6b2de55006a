"""FHIR Shorthand as JSON: as much of it as the genomics-reporting guide's examples need.

Instances alone, with aliases, slices (their codes are those of the guide's own profiles), soft
indices, indented rules and references by name. Not a compiler: SUSHI is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]
_LISTS = frozenset(
    (
        *("entry", "component", "category", "coding", "result", "identifier", "name", "given"),
        *("contained", "hasMember", "derivedFrom", "extension", "performer", "conclusionCode"),
        *("basedOn", "note", "address", "telecom", "communication", "interpretation", "line"),
        *("reasonCode", "presentedForm"),
    )
)
_CODES = frozenset(
    ("status", "type", "gender", "method", "use", "contentType", "intent", "priority", "language")
)
_CONCEPTS = frozenset(("method",))  # of an Observation; `request.method` of an entry is a code
_TOKEN = re.compile(r"([A-Za-z]+)((?:\[[^\]]*\])*)")
_RULE = re.compile(r"^(\s*)\* (.+)$")
_CODED = re.compile(r'^([^\s#"]*)#("[^"]+"|\S+)(?:\s+"(.*)")?$')
_NUMBER = re.compile(r"^-?\d+(?:\.\d+)?(?:\s+'([^']*)'(?:\s+\"(.*)\")?)?$")


@dataclass
class Definition:
    """An instance or a profile."""

    name: str
    base: str = ""
    rules: list[tuple[str, str]] = field(default_factory=list)


class Guide:
    """All that a folder of FSH files defines."""

    def __init__(self, folder: Path) -> None:
        self.aliases: dict[str, str] = {}
        self.instances: dict[str, Definition] = {}
        self.profiles: dict[str, Definition] = {}
        for file in sorted(folder.rglob("*.fsh")):
            self._read(file.read_text())

    def _read(self, text: str) -> None:
        text = re.sub(r"^\s*/\*.*?\*/", "", text, flags=re.DOTALL | re.MULTILINE)
        text = re.sub(r'"""(.*?)"""', '"text"', text, flags=re.DOTALL)
        now: Definition | None = None
        above: list[tuple[int, str]] = []
        for line in text.splitlines():
            if line.lstrip().startswith("//"):
                continue
            word, _, rest = line.partition(":")
            if word == "Alias":
                name, _, value = rest.partition("=")
                self.aliases[name.strip()] = value.split("//" if "://" not in value else " //")[
                    0
                ].strip()
            elif word in ("Instance", "Profile"):
                now, above = Definition(rest.strip()), []
                (self.instances if word == "Instance" else self.profiles)[now.name] = now
            elif word in ("InstanceOf", "Parent") and now is not None:
                now.base = rest.strip()
            elif re.match(r"^[A-Z]\w+:", line) and word not in (
                "Id",
                "Title",
                "Description",
                "Usage",
            ):
                now = None
            elif now is not None and (rule := _RULE.match(line)):
                _add(now, rule, above)

    def kind(self, name: str) -> str:
        """The resource type of an instance."""
        base = self.instances[name].base
        while base in self.profiles:
            base = self.profiles[base].base
        return base

    def fixed(self, profile: str, path: str) -> str:
        """What a profile or those above it fix at a path; "" for nothing."""
        while profile in self.profiles:
            for at, value in self.profiles[profile].rules:
                if at == path:
                    return value
            profile = self.profiles[profile].base
        return ""

    def resource(self, name: str) -> Json:
        """An instance as JSON."""
        return _Writer(self, self.instances[name]).written()


def _add(now: Definition, rule: re.Match[str], above: list[tuple[int, str]]) -> None:
    depth, said = len(rule[1]), rule[2].strip()
    path, _, value = said.partition(" = ")
    while above and above[-1][0] >= depth:
        above.pop()
    if above:
        path = f"{above[-1][1]}.{path.strip()}"
    now.rules.append((path.strip(), value.strip()))
    above.append((depth, path.strip().replace("[+]", "[=]")))


class _Writer:
    """One instance being written."""

    def __init__(self, guide: Guide, definition: Definition) -> None:
        self._guide, self._definition = guide, definition
        self._slices: dict[tuple[int, str], int] = {}
        self._out: Json = {"resourceType": guide.kind(definition.name), "id": definition.name}

    def written(self) -> Json:
        fixed = self._guide.fixed(self._definition.base, "code")
        if fixed:
            self._set(self._out, ["code"], fixed)
        for path, value in self._definition.rules:
            if value:
                self._set(self._out, re.findall(r"[^.\[]+(?:\[[^\]]*\])*", path), value)
        return self._out

    def _set(self, at: Any, tokens: list[str], value: str) -> None:
        for number, token in enumerate(tokens):
            found = _TOKEN.match(token)
            assert found is not None, token
            name, indices = found[1], re.findall(r"\[([^\]]*)\]", found[2])
            last = number == len(tokens) - 1
            if name in _LISTS or indices:
                items = at.setdefault(name, [])
                index = self._index(items, name, indices)
                while len(items) <= index:
                    items.append({})
                if last:
                    items[index] = self._value(name, value, items[index])
                at = items[index]
            elif last:
                at[name] = self._value(name, value, at.get(name), of_entry="request" in tokens)
            else:
                at = at.setdefault(name, {})

    def _index(self, items: list[Any], name: str, indices: list[str]) -> int:
        slices = [i for i in indices if i not in ("+", "=") and not i.isdigit()]
        soft = indices[-1] if indices else "0"
        key = (id(items), "/".join(slices))
        if not slices:
            return (
                len(items) if soft == "+" else max(len(items) - 1, 0) if soft == "=" else int(soft)
            )
        if key not in self._slices or soft == "+":
            self._slices[key] = len(items)
            code = self._guide.fixed(self._definition.base, f"{name}[{slices[0]}].code")
            items.append({"code": self._value("code", code, None)} if code else {})
        return self._slices[key]

    def _value(self, name: str, text: str, old: Any, *, of_entry: bool = False) -> Any:
        if text.startswith('"'):
            return text[1:].rsplit('"', 1)[0]
        if reference := re.match(r'^Reference\(([^)]+)\)(?:\s+"(.*)")?$', text):
            return self._reference(reference[1])
        if coded := _CODED.match(text):
            return self._coded(name, coded, old, of_entry)
        if number := _NUMBER.match(text):
            value = float(text.split(maxsplit=1)[0])
            return {"value": value, "code": number[1]} if number[1] is not None else value
        if text in ("true", "false"):
            return text == "true"
        if text in self._guide.instances:
            return self._guide.resource(text)
        return text  # a date

    def _reference(self, target: str) -> Json:
        if target in self._guide.instances:
            return {"reference": f"{self._guide.kind(target)}/{target}"}
        return {"reference": target}

    def _coded(self, name: str, found: re.Match[str], old: Any, of_entry: bool) -> Any:
        system, code, display = found[1], found[2].strip('"'), found[3]
        if not system and (of_entry or (name in _CODES and name not in _CONCEPTS)):
            return code
        coding: Json = {"code": code}
        if system:
            coding["system"] = self._guide.aliases.get(system, system)
        if display:
            coding["display"] = display
        if name == "coding":
            return coding
        return (old if isinstance(old, dict) else {}) | {"coding": [coding]}


def bundles(guide: Guide) -> Iterator[str]:
    """Names of the Bundles that are examples of messages."""
    for name, definition in guide.instances.items():
        if definition.base == "Bundle":
            yield name
