"""What somebody is here for. One role may include others."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """Each member's comment is its documentation."""

    READER = "reader"  # sees alerts and scores by pseudonym
    CLINICIAN = "clinician"  # sees names, acts on alerts
    OPERATOR = "operator"  # mends feeds, proposes thresholds; sees no names
    APPROVER = "approver"  # approves what an operator proposed
    ADMIN = "admin"  # everything, unmasked messages included


INCLUDES: Final[dict[Role, frozenset[Role]]] = {
    Role.READER: frozenset({Role.READER}),
    Role.CLINICIAN: frozenset({Role.CLINICIAN, Role.READER}),
    Role.OPERATOR: frozenset({Role.OPERATOR, Role.READER}),
    Role.APPROVER: frozenset({Role.APPROVER, Role.OPERATOR, Role.READER}),
    Role.ADMIN: frozenset(Role),
}
SEES_NAMES: Final = Role.CLINICIAN
ACTS: Final = Role.CLINICIAN  # on alerts
SEES_MESSAGES: Final = Role.ADMIN  # as they were received, with what names people
