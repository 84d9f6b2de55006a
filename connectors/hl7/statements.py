"""DG1, PR1, AL1, IAM, PRB and PD1-15: what is said of a patient and is no measurement.

Identity: the sender's own identifier of the statement where there is one, otherwise visit, kind,
code and (for procedures) time. The statement is then the same in message after message, and an
action code that deletes it counts in any order. Advance directives have neither: the newest PD1-15
says which there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from connectors.facts import AnyFact, Statement
from connectors.hl7.context import Context, Issue
from connectors.hl7.group import Group
from connectors.hl7.routing import Route
from connectors.hl7.syntax import Code, Segment, at
from connectors.quarantine import Reason

_DIRECTIVES: Final = 15  # PD1-15, HL7 v2.8.2 3.4.10
_NO_DIRECTIVE: Final = "N"
_MOST_DIRECTIVES: Final = 4
_DELETES: Final = frozenset(("D", "DE"))  # tables 0206, 0287, 0323


class _Shape(NamedTuple):
    """Where a segment keeps what a statement holds; 0: nowhere."""

    kind: str
    code: int
    times: tuple[int, ...]  # the first that is sent
    status: int
    end: int = 0
    identifier: int = 0
    action: int = 0
    description: int = 0  # in old versions, instead of a code
    timed: bool = False  # the time is part of what it is
    changed: int = 0  # when this was said; otherwise EVN-2 or MSH-7
    of_visit: bool = True


# HL7 v2.8.2 chapters 3 (AL1, IAM), 6 (DG1, PR1) and 12 (PRB).
_SHAPES: Final[dict[str, _Shape]] = {
    "DG1": _Shape(Statement.DIAGNOSIS, 3, (5,), status=6, identifier=20, action=21, description=4),
    "PR1": _Shape(
        Statement.PROCEDURE, 3, (5,), status=6, identifier=19, action=20, description=4, timed=True
    ),
    "AL1": _Shape(Statement.ALLERGY, 3, (6,), status=4, of_visit=False),
    "IAM": _Shape(Statement.ALLERGY, 3, (11, 13), status=4, identifier=7, action=6, of_visit=False),
    "PRB": _Shape(
        Statement.PROBLEM,
        3,
        (16, 7),
        status=14,
        end=9,
        identifier=4,
        action=1,
        changed=2,
        of_visit=False,
    ),
}


def read_statements(group: Group, _: Route, context: Context) -> Iterator[AnyFact]:
    """The statements among a patient's segments."""
    said = context.said(at(group.find("EVN") or [], 2), "EVN-2")
    numbers: dict[str, int] = {}
    for segment in group.segments:
        shape = _SHAPES.get(segment[0])
        if segment[0] == "PD1" and at(segment, _DIRECTIVES):
            yield from _directives(at(segment, _DIRECTIVES), said, context)
        if shape is None:
            continue
        name = segment[0]
        numbers[name] = numbers.get(name, 0) + 1
        yield from _statement(shape, segment, said, f"{name}[{numbers[name]}]", context)


def _directives(field: str, said: float, context: Context) -> Iterator[Statement]:
    """Advance directives (table 0435). An explicit null, and `N`, say that there is none."""
    syntax = context.syntax
    codes = [syntax.code(one) for one in syntax.repetitions(field)]
    codes = [code for code in codes if code is not None and code.code != _NO_DIRECTIVE]
    for place in range(_MOST_DIRECTIVES):
        code = codes[place] if place < len(codes) else None
        yield Statement(
            id=context.key.short("statement", Statement.DIRECTIVE, str(place)),
            rank=(1, said, 0, context.control_id),
            removed=code is None,
            kind=Statement.DIRECTIVE,
            code=code.code if code else "",
            system=code.system if code else "",
            name=code.text if code else "",
            time=said,
        )


def _statement(
    shape: _Shape, segment: Segment, said: float, location: str, context: Context
) -> Iterator[Statement]:
    syntax = context.syntax
    code = syntax.code(at(segment, shape.code)) or _described(shape, segment, context)
    if code is None:
        context.issues.append(
            Issue(Reason.NO_CODE, "neither a code nor a text", f"{location}-{shape.code}")
        )
        return
    moments = (context.noted_moment(at(segment, n), f"{location}-{n}") for n in shape.times)
    time = next((m for m in moments if m is not None), None)
    changed = context.noted_moment(at(segment, shape.changed), location) if shape.changed else None
    changed = said if changed is None else changed
    action = syntax.first(at(segment, shape.action)) if shape.action else ""
    visit = context.visit if shape.of_visit else ""
    identifier = syntax.first(at(segment, shape.identifier)) if shape.identifier else ""
    own: tuple[str, ...]
    if identifier:
        own = (context.facility, identifier)
    else:
        own = (visit, code.system, code.code, repr(time) if shape.timed else "")
    yield Statement(
        id=context.key.short("statement", shape.kind, *own),
        rank=(1, changed, int(action in _DELETES), context.control_id),
        removed=action in _DELETES,
        kind=shape.kind,
        code=code.code,
        system=code.system,
        name=code.text,
        time=changed if time is None else time,
        end=context.noted_moment(at(segment, shape.end), location) if shape.end else None,
        status=syntax.first(at(segment, shape.status)),
        visit=visit,
    )


def _described(shape: _Shape, segment: Segment, context: Context) -> Code | None:
    """Without a code: the text is in the wire log, and what stands for it is its hash."""
    parts = context.syntax.components(at(segment, shape.code))
    text = context.syntax.part(parts, 2)
    if not text and shape.description:
        text = context.syntax.first(at(segment, shape.description))
    if not text:
        return None
    return Code(context.key.short("text", text), "text", "")
