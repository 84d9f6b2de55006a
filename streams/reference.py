"""Pages of `docs/` that are made from the code: `python -m streams.reference docs`.

A test compares them, so they cannot fall behind.
"""

from __future__ import annotations

import argparse
import enum
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path

from connectors import contract, facts, metrics, wire
from connectors.configuration import TRANSITIONS as POLICY_TRANSITIONS
from connectors.configuration import Step, VersionState
from connectors.contract import AlertReason, AlertState, Answer
from connectors.feedback import Action, DismissReason, Outcome
from connectors.hl7.routing import NO_FACTS, NO_FACTS_EVENTS, ROUTES
from connectors.interpret import INTERPRETERS, READS
from connectors.interpretation import NoFacts
from connectors.quarantine import Reason
from connectors.sinks import deliveries
from models import contained, deterioration, multimodal, news2, news2_model
from models.questions import QUESTIONS
from models.sepsis_variables import SEPSIS_CATALOGUE
from models.variables import CATALOGUE, Variable
from streams.delivery import reference as receivers
from streams.doctor.listing import listing
from streams.settings import Settings
from streams.silence import Silence
from streams.transitions import TRANSITIONS

_MEMBER = re.compile(r'^\s+[A-Z0-9_]+ = "(?P<value>[^"]+)"\s*# (?P<text>.+)$')


def pages() -> dict[str, str]:
    """Every generated page by its path below `docs/`."""
    schemas = {
        "facts": facts.json_schema(),
        "deliveries": deliveries.json_schema(),
        **contract.json_schemas(),
    }
    return {
        "reference/alerts.md": _alerts(),
        "reference/inputs.md": _inputs(),
        "reference/messages.md": _messages(),
        "reference/metrics.md": _metrics(),
        "reference/reasons.md": _reasons(),
        "reference/receivers.md": receivers.page(
            [
                ("What became of telling somebody", described(deliveries.Outcome)),
                ("Why a letter is dead", described(deliveries.DeadReason)),
            ]
        ),
        "reference/settings.md": _settings(),
        "reference/spellings.md": _spellings(),
        **{
            f"reference/schemas/{name}.json": json.dumps(schema, indent=2, sort_keys=True) + "\n"
            for name, schema in schemas.items()
        },
    }


def _messages() -> str:
    """What becomes of each HL7 v2 message type, from the routing itself."""
    lines = [
        "# HL7 v2 messages",
        "",
        "Any type or event that is not here goes to quarantine as `unsupported_type`. Z-segments "
        "are kept in the wire log and never a reason to refuse a message.",
        "",
        "| message | what is read | what it does to a stay | what it joins |",
        "|---|---|---|---|",
    ]
    for kind, route in sorted(ROUTES.items()):
        read = ", ".join(reads.value for reads in route.reads) or "person"
        event = f"cancels {route.event}" if route.event and route.cancels else route.event
        joins = route.joins.value if route.joins else ""
        lines.append(f"| {kind} | {read} | {event or '–'} | {joins or '–'} |")
    lines += ["", "| message | why it gives no facts |", "|---|---|"]
    meanings = dict(described(NoFacts))
    for kind, why in sorted({**NO_FACTS, **NO_FACTS_EVENTS}.items()):
        lines.append(f"| {kind} | {meanings[why]} |")
    lines += [
        "",
        "# Content types",
        "",
        "Of records of `tocsin.wire.*` (header `content-type`); any other goes to quarantine as "
        "`unsupported_content`. Without the header, the topic decides.",
        "",
        "| content type | topic's own | what is read |",
        "|---|---|---|",
    ]
    own = {content: topic for topic, content in wire.OF_TOPIC.items()}
    for content in INTERPRETERS:
        lines.append(f"| `{content}` | {own.get(content, '–')} | {READS[content]} |")
    return "\n".join(lines) + "\n"


def _alerts() -> str:
    """The life of an alert and of a policy, from the tables that the code runs on."""
    lines = [
        "# Alerts",
        "",
        "What moves an alert from state to state. A row that is not here cannot happen. Nobody is "
        "called for an alert that is `pending`; `held_by` names what holds it back.",
        "",
        "| from | reason | into |",
        "|---|---|---|",
    ]
    for reason in AlertReason:
        lines += _transitions(reason)
    for title, kind in (
        ("What people do (`tocsin.feedback`)", Action),
        ("Why an alert is dismissed", DismissReason),
        ("What became of the patient", Outcome),
        ("What becomes of an action (`tocsin.audit`)", Answer),
    ):
        lines += ["", f"## {title}", "", "| value | meaning |", "|---|---|"]
        lines += [f"| `{value}` | {text} |" for value, text in described(kind)]
    lines += ["", "## Versions of the policy (`tocsin.config`)", ""]
    lines += ["| from | step | into |", "|---|---|---|"]
    lines += [f"| {s} | {step} | {to} |" for (s, step), to in POLICY_TRANSITIONS.items()]
    lines += ["", "| step or state | meaning |", "|---|---|"]
    steps = described(Step)
    lines += [f"| {value} (step) | {text} |" for value, text in steps]
    lines += [f"| {value} (state) | {text} |" for value, text in described(VersionState)]
    return "\n".join(lines) + "\n"


def _transitions(reason: AlertReason) -> Iterator[str]:
    """The rows of one reason: where it leads, and from which states."""
    found = [(s, TRANSITIONS[s, reason]) for s in _FROM if (s, reason) in TRANSITIONS]
    if all(state is into for state, into in found):
        yield f"| {', '.join(s or 'none' for s, _ in found)} | `{reason}` | the same |"
        return
    for into in AlertState:
        states = [s or "none" for s, leads in found if leads is into]
        if states:
            yield f"| {', '.join(states)} | `{reason}` | {into} |"


_FROM: tuple[AlertState | None, ...] = (None, *AlertState)


def _inputs() -> str:
    """What each risk reads, and under which codes."""
    lines = [
        "# Inputs of the models",
        "",
        "Results reach a model under these codes; LOINC codes have digits and a dash. Where your "
        "laboratory or pathology uses others, map them in the [site file](../sources.md) to the "
        "first one named. Units are UCUM; any unit that can be converted will do.",
        "",
        "## deterioration (health record)",
        "",
        *_HEAD,
        *(_input(v) for v in CATALOGUE),
        "",
        "## news2 (health record)",
        "",
        *_HEAD,
        *(_input(v) for v in news2.READ),
        "",
        "## sepsis (health record)",
        "",
        *_HEAD,
        *(_input(v) for v in SEPSIS_CATALOGUE),
    ]
    for question in QUESTIONS.values():
        for modality in question.sources:
            guess = f", stands in for {question.predicts}" if modality is question.stand_in else ""
            lines += ["", f"## {question.risk}: {modality.display}{guess}", "", *_HEAD]
            lines += [_input(one.variable) for one in modality.inputs]
    return "\n".join(lines) + "\n"


_HEAD = ("| input | codes | unit or answers |", "|---|---|---|")


def _input(variable: Variable) -> str:
    codes = ", ".join(f"`{code}`" for code in variable.codes) or "PID"
    said = ", ".join(o[0] for o in _answers(variable)) or f"`{variable.unit}`"
    said += f"; a number in `{variable.counted[0]}` alone" if variable.counted else ""
    return f"| {variable.display} | {codes} | {said} |"


def _answers(variable: Variable) -> list[list[str]]:
    """The spellings of each answer, the one that is shown first."""
    found: dict[float, list[str]] = {}
    for text, number in variable.answers:
        found.setdefault(number, []).append(text)
    return list(found.values())


def _spellings() -> str:
    """How answers may be written, of the risks whose results come in words."""
    lines = [
        "# Spellings of answers",
        "",
        "What a laboratory or pathologist may write for each answer that the tumour risks read. "
        "Case, blanks, hyphens and slashes beside a letter do not matter; codes are LOINC's (LA…) "
        "and SNOMED CT's. Anything else cannot be read: the input is then not known, and the score "
        "says so (`missing.set_aside`). Other words are mapped in the [site file](../sources.md).",
    ]
    for question in QUESTIONS.values():
        lines += [
            "",
            f"## {question.risk}",
            "",
            "| input | answer | other spellings |",
            "|---|---|---|",
        ]
        for one in question.inputs:
            lines += [
                f"| {one.variable.display} | {first} | {', '.join(others)} |"
                for first, *others in _answers(one.variable)
                if others
            ]
    return "\n".join(lines) + "\n"


def _metrics() -> str:
    lines = [
        "# Metrics",
        "",
        "Every process serves them at `/metrics`. Prometheus adds `_total` to counters.",
        "",
        "| name | kind | labels | meaning |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{m.name}` | {m.kind} | {', '.join(m.labels) or '–'} | {m.meaning} |"
        for m in metrics.CATALOGUE
    ]
    return "\n".join(lines) + "\n"


def _reasons() -> str:
    parts = ["# Reasons", ""]
    for title, kind in (
        ("Quarantine: why a message, or a part of one, could not be understood", Reason),
        ("No facts: understood, and nothing for a patient's record in it", NoFacts),
        ("Alerts: why one changed", AlertReason),
        ("Scores: why there is none, whatever the model", Silence),
        ("Scores: why any model gives none", contained.Abstention),
        ("Scores: why deterioration gives none", deterioration.Abstention),
        ("Scores: why news2 gives none", news2_model.Abstention),
        ("Scores: why a multimodal risk gives none", multimodal.Abstention),
    ):
        parts += [f"## {title}", "", "| reason | meaning |", "|---|---|"]
        parts += [f"| `{value}` | {text} |" for value, text in described(kind)]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def described(kind: type[enum.StrEnum]) -> list[tuple[str, str]]:
    """Members with the comment beside each: that comment is its documentation."""
    source = inspect.getsource(kind).splitlines()
    found = [(m["value"], m["text"]) for line in source if (m := _MEMBER.match(line))]
    undocumented = {str(member) for member in kind} - {value for value, _ in found}
    if undocumented:
        raise ValueError(f"{kind.__name__} members without a comment: {sorted(undocumented)}")
    return found


def _settings() -> str:
    return (
        "# Settings\n\n`tocsin.toml` in the current folder (or the file that `TOCSIN_SETTINGS` "
        "names); a variable such as `TOCSIN_KAFKA__BOOTSTRAP` overrides it. Unknown keys are "
        "refused. `tocsin doctor --settings` prints the values in force.\n\n```toml\n"
        f"{listing(Settings.model_construct())}```\n"
    )


def main(folder: Path) -> None:
    """Write the pages."""
    for name, text in pages().items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes the pages that are made from the code.")
    parser.add_argument("folder", type=Path, help="docs")
    main(parser.parse_args().folder)
