"""Merges, moves and changes of numbers: PID is the survivor, MRG the loser.

Both ends get a `Link`, under ids that make all statements about one pair (and one visit or
account) compete: the newest counts. `models.patient` says what a link does.

MRG-1 is a list of the numbers that the one prior patient may be known by (HL7 v2.8.2, 3.4.10.1).
Facts may lie under each of them, so each gets a link; an A37 parts each number that it names.
"""

from __future__ import annotations

from collections.abc import Iterator

from connectors.facts import AnyFact, Link, LinkKind, Rank
from connectors.hl7.context import Context, RefusedError
from connectors.hl7.group import Group
from connectors.hl7.patient import identify
from connectors.hl7.routing import Joins
from connectors.hl7.syntax import Segment, at
from connectors.hl7.visit import hashed_number
from connectors.identity import Identity, merged
from connectors.interpretation import About
from connectors.quarantine import Reason


def read_links(groups: list[Group], joins: Joins, context: Context) -> Iterator[About]:
    """What is known of each patient afterwards. Raises `RefusedError` where an end is missing."""
    if joins in (Joins.LINK, Joins.UNLINK):
        yield from _linked(groups, context, removed=joins is Joins.UNLINK)
        return
    pairs = [(group, mrg) for group in groups for mrg in group.all("MRG")]
    if not pairs:
        raise RefusedError(Reason.NO_PATIENT, "no MRG segment", "MRG")
    for group, mrg in pairs:
        yield from _joined(group, mrg, joins, context)


def _joined(group: Group, mrg: Segment, joins: Joins, context: Context) -> Iterator[About]:
    survivor, identity = identify(group.pid, context)
    losers, prior = _losers(mrg, context, survivor, identity, needed=joins is Joins.MERGE)
    rank = _rank(group, context)
    if joins is Joins.MERGE:
        known = merged(prior, identity)
        for loser in losers:
            yield About(survivor, known, _ends(survivor, loser, LinkKind.FROM, rank))
            yield About(loser, None, _ends(loser, survivor, LinkKind.INTO, rank))
        return
    old, new = _numbers(group, mrg, joins, context)
    scope = ("", old, new) if joins is Joins.ACCOUNT else (old, "", new)
    for loser in losers:
        if loser == survivor and old == new:
            continue
        yield About(loser, None, [_link(loser, survivor, LinkKind.INTO, rank, scope)])
        if loser != survivor:
            yield About(survivor, identity, [_link(survivor, loser, LinkKind.FROM, rank, scope)])


def _losers(
    mrg: Segment, context: Context, survivor: str, identity: Identity, *, needed: bool
) -> tuple[list[str], Identity]:
    """MRG-1, in old versions MRG-4. A change of number may leave both out: the same patient."""
    prior = at(mrg, 1) or at(mrg, 4)
    if not prior and not needed:
        return [survivor], identity
    best, known = identify(["PID", "", "", prior], context, "MRG", field=1)
    return _names(best, known, context), known


def _names(best: str, identity: Identity, context: Context) -> list[str]:
    """The patient under each of their numbers, the one that counts first."""
    return list(dict.fromkeys((best, *map(context.key.pseudonym, identity.identifiers))))


def _numbers(group: Group, mrg: Segment, joins: Joins, context: Context) -> tuple[str, str]:
    """The old and the new number of the account or visit, hashed."""
    pv1 = _visit_below(group, mrg)
    if joins is Joins.ACCOUNT:
        old = hashed_number("AN", at(mrg, 3), context)
        new, location = hashed_number("AN", at(group.pid, 18), context), "MRG-3"
    else:
        old = hashed_number("VN", at(mrg, 5), context)
        new, location = hashed_number("VN", at(pv1, 19), context), "MRG-5"
    if not old:
        raise RefusedError(Reason.NO_VISIT_EVENT, "no number of what is joined", location)
    return old, new or old


def _visit_below(group: Group, mrg: Segment) -> Segment:
    """The PV1 of one MRG: A42 and A45 may have several pairs of them below one PID."""
    below = False
    for segment in group.segments:
        if below and segment[0] in ("PV1", "MRG"):
            return segment if segment[0] == "PV1" else []
        below |= segment is mrg
    return group.find("PV1") or [] if len(list(group.all("MRG"))) == 1 else []


def _linked(groups: list[Group], context: Context, *, removed: bool) -> Iterator[About]:
    """A24: two numbers of one person, who is scored on the evidence of both under each.

    A37: whatever was said to join the two, by whatever message, holds no more.
    """
    if len(groups) != 2:
        raise RefusedError(Reason.NO_PATIENT, "a link names two patients", "PID")
    ends = [identify(g.pid, context, f"PID[{n}]") for n, g in enumerate(groups, 1)]
    rank = _rank(groups[0], context)
    if removed:
        yield from _parted(ends, rank, context)
        return
    for (here, identity), (there, _) in (ends, ends[::-1]):
        if here != there:
            yield About(here, identity, [_link(here, there, LinkKind.SAME, rank, ("", "", ""))])


def _parted(ends: list[tuple[str, Identity]], rank: Rank, context: Context) -> Iterator[About]:
    """A merge joined the one patient with every number of the other."""
    one, other = (_names(best, identity, context) for best, identity in ends)
    pairs = dict.fromkeys([(one[0], there) for there in other] + [(n, other[0]) for n in one])
    for pair in pairs:
        for here, there in (pair, pair[::-1]):
            if here != there:
                link = _link(here, there, LinkKind.SAME, rank, ("", "", ""), removed=True)
                yield About(here, None, [link])


def _ends(here: str, there: str, kind: LinkKind, rank: Rank) -> list[AnyFact]:
    """None where a patient is merged into themselves."""
    return [] if here == there else [_link(here, there, kind, rank, ("", "", ""))]


def _link(
    here: str,
    there: str,
    kind: LinkKind,
    rank: Rank,
    scope: tuple[str, str, str],
    *,
    removed: bool = False,
) -> Link:
    visit, account, renamed = scope
    return Link(
        id=f"link:{there}:{visit}:{account}",
        rank=rank,
        removed=removed,
        kind=kind,
        other=there,
        visit=visit,
        account=account,
        renamed="" if renamed in (visit, account) else renamed,
    )


def _rank(group: Group, context: Context) -> Rank:
    return (1, context.said(at(group.find("EVN") or [], 2), "EVN-2"), 0, context.control_id)
