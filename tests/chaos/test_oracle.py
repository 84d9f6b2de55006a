"""The oracle can fail: each thing that it is to find is put before it once."""

from __future__ import annotations

import copy

import msgspec
import pytest

from connectors import contract, facts
from connectors.identity import IdentityKey
from streams import keys
from streams.store import Fields
from tests.chaos import oracle, reference, ward
from tests.chaos.oracle import Found, Verdict
from tests.chaos.reference import Follower, Undisturbed
from tests.chaos.system import KEY, PARTITIONS
from tests.chaos.ward import Ward

NOW = 1_780_000_000.0


class Case:
    """A ward and everything as it should be afterwards."""

    def __init__(self) -> None:
        key = IdentityKey(KEY)
        self.ward: Ward = ward.admit(1, 100, NOW, patients=7, results=8)
        self.must, self.follower = _undisturbed(self.ward, key)
        names = {mrn: reference.pseudonym(key, mrn) for mrn in self.ward.patients}
        raws = {message.raw for message in self.ward.messages}
        self.found = Found(
            acknowledged=sorted(raws),
            refused=[],
            wire=set(raws),
            strangers=set(),
            fields={mrn: dict(self.follower.kept[name]) for mrn, name in names.items()},
            names=names,
            alerts=[raw for _, raw in sorted(self.follower.told.items())],
            scores=set(self.follower.scores),
        )

    def judge(self) -> Verdict:
        f = self.follower
        return oracle.judge(self.ward, self.found, self.must, f.told, f.scores, f.kept)

    @property
    def dying(self) -> str:
        return min(self.ward.dying)


def _undisturbed(people: Ward, key: IdentityKey) -> tuple[Undisturbed, Follower]:
    return reference.apply_at_once(people, key, reference.models(["news2"]), PARTITIONS, NOW)


@pytest.fixture(scope="module")
def first_case() -> Case:
    return Case()


@pytest.fixture
def case(first_case: Case) -> Case:
    return copy.deepcopy(first_case)


def counting(fields: Fields) -> bytes:
    """The field of a final result that has no other version."""
    versions: dict[str, list[bytes]] = {}
    for name, raw in fields.items():
        if name.startswith(keys.FACT_FIELD):
            versions.setdefault(facts.decode_fact(raw).id, []).append(name)
    single = (names[0] for names in versions.values() if len(names) == 1)
    return next(n for n in single if b'"status":"F"' in fields[n])


def complaints(verdict: Verdict) -> str:
    return "\n".join([*verdict.broken, *verdict.waiting])


def test_nothing_is_amiss_after_an_undisturbed_run(case: Case) -> None:
    assert case.judge() == Verdict()
    assert len(case.found.alerts) >= len(case.ward.dying) > 0


def test_an_acknowledged_message_that_is_not_in_the_log(case: Case) -> None:
    lost = case.found.acknowledged[3]
    case.found.wire.remove(lost)
    (complaint,) = case.judge().broken
    assert complaint.startswith("acknowledged and not in the log")
    assert lost.split(b"|")[9].decode() in complaint


def test_a_message_that_nobody_sent(case: Case) -> None:
    case.found.wire.add(b"MSH|made up")
    assert "sent by nobody" in case.judge().broken[0]


def test_a_message_that_was_refused_or_not_answered(case: Case) -> None:
    case.found.refused.append(b"MSA|AE|7")
    case.found.acknowledged.pop()
    verdict = case.judge()
    assert "refused" in verdict.broken[0]
    assert "not acknowledged" in verdict.waiting[0]


def test_a_fact_that_is_lost_on_the_way_to_the_state(case: Case) -> None:
    fields = case.found.fields[case.dying]
    del fields[counting(fields)]
    assert f"{case.dying} lacks" in complaints(case.judge())


def test_a_fact_of_somebody_else(case: Case) -> None:
    one, other = sorted(case.ward.patients)[:2]
    theirs = case.found.fields[other]
    name = next(n for n in theirs if n.startswith(keys.FACT_FIELD) and b"8867-4" in theirs[n])
    case.found.fields[one][name] = theirs[name]
    number = case.ward.patients[other]
    assert f"{one} holds a fact of patient {number}" in case.judge().broken


def test_a_revision_with_two_contents(case: Case) -> None:
    changed = replace_ward(case.found.alerts[0])
    case.found.alerts.append(changed)
    assert "was told with two contents" in case.judge().broken[0]


def test_a_revision_that_is_skipped(case: Case) -> None:
    alert = contract.decode_alert(case.found.alerts[0])
    later = msgspec.structs.replace(alert, revision=alert.revision + 2)
    case.found.alerts.append(contract.encode(later))
    assert "was skipped" in case.judge().broken[0]


def test_an_alert_or_a_score_that_is_not_told(case: Case) -> None:
    case.found.alerts.pop()
    case.found.scores.pop()
    said = complaints(case.judge())
    assert "is not told" in said
    assert "score not told" in said
    assert "has no open alert" in said


def test_a_score_that_is_told_with_another_content(case: Case) -> None:
    score = contract.decode_score(case.found.scores.pop())
    case.found.scores.add(contract.encode(msgspec.structs.replace(score, ward="ELSEWHERE")))
    (complaint,) = case.judge().broken
    assert "ward is 'ELSEWHERE'" in complaint


def test_an_alert_that_is_told_without_a_cause(case: Case) -> None:
    alert = contract.decode_alert(case.found.alerts[0])
    case.found.alerts.append(contract.encode(msgspec.structs.replace(alert, alert_id="made-up")))
    assert "told without a cause" in complaints(case.judge())


def test_a_score_of_another_state(case: Case) -> None:
    fields = case.found.fields[case.dying]
    name = keys.SCORE_FIELD + b"news2"
    score = contract.decode_score(fields[name])
    fields[name] = contract.encode(msgspec.structs.replace(score, probability=0.001))
    said = complaints(case.judge())
    assert f"{case.dying}: score of news2 differs" in said
    assert f"{case.dying}: Redis does not hold what the log of facts says" in said


def test_a_fact_with_another_value_is_found_without_our_own_code(case: Case) -> None:
    """The plain expectation of the ward alone, whatever an undisturbed run gives."""
    fields = case.found.fields[case.dying]
    name = counting(fields)
    fact = facts.decode_fact(fields[name])
    assert isinstance(fact, facts.Observation)
    assert isinstance(fact.value, float)
    wrong = facts.encode(msgspec.structs.replace(fact, value=fact.value + 1))
    fields[name] = wrong
    outcome = reference.outcome(fields)
    must = replace_outcome(case.must, case.dying, outcome)
    case.follower.kept[case.found.names[case.dying]] = dict(fields)
    case.must = must
    said = complaints(case.judge())
    assert f"{case.dying} lacks" in said
    assert f"{case.dying} has in excess" in said


def replace_ward(raw: bytes) -> bytes:
    alert = contract.decode_alert(raw)
    return contract.encode(msgspec.structs.replace(alert, ward="ELSEWHERE"))


def replace_outcome(must: Undisturbed, mrn: str, new: reference.Outcome) -> Undisturbed:
    return must._replace(outcomes={**must.outcomes, mrn: new})


def test_a_ward_is_the_same_for_the_same_seed() -> None:
    assert ward.admit(3, 100, NOW) == ward.admit(3, 100, NOW)
    assert ward.admit(3, 100, NOW) != ward.admit(4, 100, NOW)
