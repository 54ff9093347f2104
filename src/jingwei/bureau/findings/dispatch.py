"""Whose business a finding is: area × matter → department, from rules that people maintain.

A rule is never changed: a new one begins in test mode, where it is seen what it would have done
with the findings of the last 90 days; put in force it takes the place of the one before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.bureau.access import may
from jingwei.bureau.accounts.models import Department, Jurisdiction, User
from jingwei.bureau.accounts.selectors import department_label
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings.models import DispatchRule, Finding, Kind
from jingwei.bureau.findings.services import Refused, reasoned
from jingwei.bureau.registry.models import Region

LOOK_BACK = timedelta(days=90)


class Proposal(NamedTuple):
    """`department` is None where nobody is responsible; `rule` where no rule said so."""

    department: Department | None
    rule: DispatchRule | None
    why: str


def propose(finding: Finding) -> Proposal:
    """Whose business the finding is, by the rules in force; a person decides.

    Without a fitting rule: the district centre in whose jurisdiction it lies, first one that names
    its kind as matter.
    """
    department, rule = Table.read().responsible(finding)
    if rule:
        why = reason_of(rule)
    elif department:
        why = _("No rule fits; the finding lies in the jurisdiction of %s.") % department_label(
            department
        )
    else:
        why = _("No rule fits, and no district centre is responsible here.")
    return Proposal(department, rule, why)


def _chosen(rules: Iterable[DispatchRule], finding: Finding) -> DispatchRule | None:
    """Longest area first (a code of GB/T 2260 begins with the code of what it lies in), then a
    matter before none, then the older rule."""
    fitting = [
        rule
        for rule in rules
        if finding.region_id.startswith(_stem(rule.area)) and rule.matter in ("", finding.kind)
    ]
    return min(fitting, key=lambda r: (-len(_stem(r.area)), not r.matter, r.pk), default=None)


def _stem(area: str) -> str:
    """The part of a division code that those below it share: 110000 → 11, 110105 → 110105."""
    stem = area
    while len(stem) > 2 and stem.endswith("00") and len(stem) % 2 == 0:
        stem = stem[:-2]
    return stem


@dataclass(frozen=True)
class Table:
    """Rules in force and jurisdictions, read once for many findings."""

    rules: list[DispatchRule]
    jurisdictions: list[Jurisdiction]

    @classmethod
    def read(cls) -> Table:
        return cls(
            list(
                DispatchRule.objects.filter(state=DispatchRule.State.LIVE).select_related(
                    "department"
                )
            ),
            list(
                Jurisdiction.objects.filter(department__kind=Department.Kind.DISTRICT)
                .exclude(area="")
                .select_related("department")
                .order_by("department__code", "pk")
            ),
        )

    def with_rule(self, rule: DispatchRule) -> Table:
        """As if the rule were in force, in the place of the one of its area and matter."""
        others = [r for r in self.rules if (r.area, r.matter) != (rule.area, rule.matter)]
        return Table([*others, rule], self.jurisdictions)

    def responsible(self, finding: Finding) -> tuple[Department | None, DispatchRule | None]:
        """The department, and the rule that names it; None for the rule where it is by
        jurisdiction."""
        rule = _chosen(self.rules, finding)
        if rule:
            return rule.department, rule
        fitting = [
            j
            for j in self.jurisdictions
            if j.area == finding.region_id and j.matter in ("", finding.kind)
        ]
        best = min(fitting, key=lambda j: not j.matter, default=None)
        return (best.department if best else None), None


def reason_of(rule: DispatchRule) -> str:
    """Why the rule fits, in one sentence."""
    area = Region.objects.filter(pk=rule.area).first() if rule.area else None
    where = area.label if area else rule.area
    kind = Kind(rule.matter).label if rule.matter else ""
    if where and kind:
        text = _("Rule %(number)d: “%(kind)s” in %(area)s.")
    elif kind:
        text = _("Rule %(number)d: “%(kind)s” in the whole city.")
    elif where:
        text = _("Rule %(number)d: everything in %(area)s.")
    else:
        text = _("Rule %(number)d: the default of the city.")
    return text % {"number": rule.pk, "kind": kind, "area": where}


@dataclass(frozen=True)
class Trial:
    """What a rule would have done with the findings of the last 90 days.

    `moved`: findings that would have gone elsewhere, with (now, then); `fits`: to how many the rule
    would have applied; `total`: how many there were.
    """

    total: int
    fits: int
    moved: list[tuple[Finding, Department | None, Department]]
    departments: list[tuple[str, int, int]]  # name, now, then


def trial(rule: DispatchRule) -> Trial:
    """Compare the rules in force with what would be if this one were too."""
    now = Table.read()
    then = now.with_rule(rule)
    total = fits = 0
    moved: list[tuple[Finding, Department | None, Department]] = []
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    rows = (
        Finding.objects.filter(ended__gte=timezone.now() - LOOK_BACK)
        .exclude(state=Finding.State.MERGED)
        .select_related("region")
        .defer("region__geometry", "facts", "innocent")
        .order_by("-ended", "-pk")
    )
    for finding in rows.iterator(chunk_size=2000):
        total += 1
        old, _rule = now.responsible(finding)
        new, by = then.responsible(finding)
        before[department_label(old)] += 1
        after[department_label(new)] += 1
        if by is rule:
            fits += 1
            if new is not None and new != old:
                moved.append((finding, old, new))
    names = sorted({*before, *after}, key=lambda n: (-after[n], n))
    return Trial(total, fits, moved, [(n, before[n], after[n]) for n in names])


@transaction.atomic
def write(
    user: User, *, area: str, matter: str, department: Department, reason: str
) -> DispatchRule:
    """Write a rule, in test mode. Raises `Refused`."""
    _demand(user)
    reason = reasoned(reason)
    if area and not Region.objects.filter(pk=area).exists():
        raise Refused(_("There is no such district."))
    if matter and matter not in Kind.values:
        raise Refused(_("There is no such kind."))
    rule = DispatchRule.objects.create(
        area=area, matter=matter, department=department, reason=reason
    )
    _record(user, rule, "written")
    return rule


@transaction.atomic
def put_in_force(user: User, pk: int, reason: str) -> DispatchRule:
    """From test mode into force; the rule of the same area and matter is retired. Raises `Refused`,
    `DispatchRule.DoesNotExist`."""
    _demand(user)
    rule = DispatchRule.objects.select_for_update().get(pk=pk)
    if rule.state != DispatchRule.State.TEST:
        raise Refused(_("Only a rule in test mode can be put in force."))
    for old in DispatchRule.objects.select_for_update().filter(
        area=rule.area, matter=rule.matter, state=DispatchRule.State.LIVE
    ):
        _change(user, old, DispatchRule.State.RETIRED, reason)
    return _change(user, rule, DispatchRule.State.LIVE, reason)


@transaction.atomic
def retire(user: User, pk: int, reason: str) -> DispatchRule:
    """Take a rule out of force or out of test mode. Raises `Refused`, `DispatchRule.DoesNotExist`."""
    _demand(user)
    rule = DispatchRule.objects.select_for_update().get(pk=pk)
    if rule.state == DispatchRule.State.RETIRED:
        raise Refused(_("The rule is retired already."))
    return _change(user, rule, DispatchRule.State.RETIRED, reason)


def _demand(user: User) -> None:
    if not may(user, "dispatch.manage"):
        raise Refused(_("Your role may not maintain the dispatch rules."))


def _change(user: User, rule: DispatchRule, state: str, reason: str) -> DispatchRule:
    rule.state, rule.reason = state, reasoned(reason)
    rule.save(update_fields=["state", "reason", "changed"])
    _record(user, rule, state)
    return rule


def _record(user: User, rule: DispatchRule, act: Any) -> None:
    record(
        "dispatch.rule",
        f"dispatch:{rule.pk}",
        {
            "rule": rule.pk,
            "act": str(act),
            "area": rule.area,
            "matter": rule.matter,
            "department": rule.department.code,
        },
        actor=str(user.pk),
        said={"reason": rule.reason},
    )
