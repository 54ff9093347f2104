"""Findings that may be one episode, over the whole jurisdiction; a person confirms each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile
from math import ceil
from typing import Any

from jingwei.bureau.findings import selectors
from jingwei.bureau.findings.kinds import SCENARIOS, may_join
from jingwei.bureau.findings.models import Decision, Finding
from jingwei.standards import geo

MOST = 2000  # findings that are compared with each other
_OPEN = (Finding.State.NEW, Finding.State.IN_CASE)


@dataclass(frozen=True)
class Other:
    """A new finding, `metres` from the first of its group; `gap` in time between the two, nothing
    where they overlap."""

    finding: Finding
    metres: float
    gap: timedelta

    @property
    def hours(self) -> int:
        """Full hours between them, begun ones counted."""
        return ceil(self.gap / timedelta(hours=1))


@dataclass(frozen=True)
class Group:
    """`first`: the one that the others may belong to, in a case or the earliest."""

    first: Finding
    others: list[Other]


def compared(first: Finding, other: Finding) -> Other | None:
    """`other` as it lies to `first`; None where it is too far away in place or time, of a kind
    that never goes with it, or names an enterprise that `first` does not name.

    Both places within the greater distance of the two kinds, and a gap of at most the longer time
    of theirs.
    """
    if not may_join(other.kind, first.kind) or other.enterprise_id not in (
        None,
        first.enterprise_id,
    ):
        return None
    pair = SCENARIOS[first.kind], SCENARIOS[other.kind]
    gap = max(first.began - other.ended, other.began - first.ended, timedelta(0))
    if gap > timedelta(hours=max(s.within for s in pair)):
        return None
    metres = geo.distance((first.longitude, first.latitude), (other.longitude, other.latitude))
    return Other(other, metres, gap) if metres <= max(s.near for s in pair) else None


def groups(user: Any, query: Any) -> tuple[list[Group], bool]:
    """What may be merged among the findings that the user may judge, by `kind` (of any one of a
    group), `region`, `from`, `to`, `q` as in the list; and whether only the latest `MOST` findings
    were compared. Each finding stands in one group; those with the most others come first."""
    plain = {name: selectors.asked(query, name) for name in ("region", "from", "to", "q")}
    found = selectors.search(user, plain).filter(state__in=_OPEN)
    found = found & selectors.findings(user, "finding.judge")
    rows = list(found.select_related("region", "enterprise").order_by("-ended", "-pk")[: MOST + 1])
    more, rows = len(rows) > MOST, rows[:MOST]
    apart = _apart(rows)
    near = _near(rows)
    taken: set[int] = set()
    made = []
    for first in sorted(rows, key=lambda f: (f.state == Finding.State.NEW, f.began, f.pk)):
        if first.pk in taken:
            continue
        others = [
            other
            for row in near[first.pk]
            if row.pk not in taken
            and row.state == Finding.State.NEW
            and frozenset((first.pk, row.pk)) not in apart
            and (other := compared(first, row))
        ]
        if others:
            made.append(Group(first, sorted(others, key=lambda o: (o.metres, o.finding.pk))))
            taken |= {first.pk, *(o.finding.pk for o in others)}
    kind = selectors.asked(query, "kind")
    if kind:
        made = [g for g in made if kind in {g.first.kind, *(o.finding.kind for o in g.others)}]
    return sorted(made, key=lambda g: -len(g.others)), more


def _near(rows: list[Finding]) -> dict[int, list[Finding]]:
    """For each finding those within the greatest distance of any kind to the north or south."""
    widest = max(s.near for s in SCENARIOS.values())
    near: dict[int, list[Finding]] = {row.pk: [] for row in rows}
    ordered = sorted(rows, key=lambda f: f.latitude)
    for n, one in enumerate(ordered):
        _west, _south, _east, north = geo.box((one.longitude, one.latitude), widest)
        for other in takewhile(lambda f, to=north: f.latitude <= to, ordered[n + 1 :]):
            near[one.pk].append(other)
            near[other.pk].append(one)
    return near


def _apart(rows: list[Finding]) -> set[frozenset[int]]:
    """The pairs of which a person said that they are not one."""
    said = Decision.objects.filter(
        action__in=[Decision.Action.APART, Decision.Action.SPLIT], finding__in=[f.pk for f in rows]
    )
    pairs = said.values_list("finding", "data__other")
    return {frozenset((one, other)) for one, other in pairs if other}
