"""A policy is taken as a whole or refused, with the place and the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import Severity
from models.rule import alert_rules
from streams.policy.desk import readable
from streams.policy.document import Policy, PolicyError, read
from streams.settings import Settings

HERE = Path(__file__).parent
GOOD = sorted((HERE / "good").glob("*.yaml"))
BAD = sorted((HERE / "bad").glob("*.yaml"))


@pytest.mark.parametrize("file", GOOD, ids=lambda f: f.stem)
def test_good_files_are_read(file: Path) -> None:
    assert isinstance(read(file.read_text()), Policy)


@pytest.mark.parametrize("file", BAD, ids=lambda f: f.stem)
def test_bad_files_are_refused_with_the_reason_that_they_name(file: Path) -> None:
    text = file.read_text()
    expected = text.splitlines()[0].removeprefix("# expect: ")
    with pytest.raises(PolicyError) as refused:
        read(text)
    assert expected in str(refused.value)


def test_what_the_whole_file_says() -> None:
    policy = read((HERE / "good" / "whole.yaml").read_text())
    assert policy.stage == ("W1", "ICU*")
    rule = policy.risks["deterioration"]
    assert (rule.fire, rule.refractory, rule.confirm.lasting) == (0.35, 7_200.0, 600.0)
    assert policy.groups["acute"].covers == 1_800.0
    assert policy.groups["tumour"].risks == ("glioma-survival", "head-neck-recurrence")
    assert policy.escalation[0].severities == (Severity.CRITICAL,)
    assert policy.quiet_hours[0].start == 22 * 60
    assert policy.silences[0].until - policy.silences[0].start == 12 * 3_600.0


def test_the_example_in_the_documentation_can_be_used_with_the_shipped_bundles() -> None:
    text = (HERE.parents[2] / "docs" / "alerts.md").read_text()
    example = text.partition("```yaml\n")[2].partition("```")[0]
    assert readable(example, list(alert_rules(None, Settings().worker.risks).items()))


@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_refused(text: str) -> None:
    try:
        read(text)
    except PolicyError as error:
        assert str(error)
