"""YAML as people write it: one meaning for each line, or a refusal that says where."""

from __future__ import annotations

import re
from typing import Any

import yaml


class YamlError(ValueError):
    """Text that is no YAML, or says something twice; the message names the line."""


class _Loader(yaml.SafeLoader):
    """Without what surprises: `22:00` is text and not 1320, a date is text, no key counts twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping; raises for a key that is there twice."""
        seen: set[object] = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if not isinstance(name, str | int | float | bool):
                raise YamlError(f"line {key.start_mark.line + 1}: this is no name")
            if name in seen:
                raise YamlError(f"line {key.start_mark.line + 1}: `{name}` is there twice")
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


_PLAIN = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag not in _PLAIN]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789")
)


def parse(text: str) -> Any:
    """What the text says. Raises `YamlError`."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise YamlError(f"{line}{error.problem or 'it cannot be read'}") from None
    except yaml.YAMLError as error:
        raise YamlError(str(error).splitlines()[0]) from None
    except RecursionError:
        raise YamlError("it is nested too deeply") from None
