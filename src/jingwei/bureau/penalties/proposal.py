"""From the facts of a case to a proposal: what was measured, which grades that gives, which amount.

The machine proposes; nothing here decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from jingwei.bureau.cases.models import Case
from jingwei.standards import discretion, law

_YEARS_BACK = timedelta(days=730)  # "in two years": reckoned in days, for a suggestion
# Beginnings of factor codes that the tables weigh apart: metals, organics. A person confirms them.
_METALS = ("a20", "w20")
_ORGANICS = ("a24", "a25", "a99054", "w25")


def day_of(text: str) -> date:
    return date.fromisoformat(text)


def local_day(now: datetime) -> date:
    return timezone.localtime(now).date()


def bases(case: Case, now: datetime) -> tuple[law.Applicable, ...]:
    """The legal bases for the case's offence, best first; empty where no text was in force."""
    detail = case.detail
    return law.bases(detail["offence"], day_of(detail["act_to"]), local_day(now))


def excesses(case: Case) -> list[tuple[Decimal, bool]]:
    """How far each factor was over its limit at most (value / limit - 1), and whether it is special."""
    most: dict[str, Decimal] = {}
    for row in _rows(case):
        if row.get("multiple") is not None:
            multiple = Decimal(repr(float(row["multiple"])))
            most[row["factor"]] = max(most.get(row["factor"], multiple), multiple)
    return [(m, f.startswith((*_METALS, *_ORGANICS))) for f, m in sorted(most.items()) if m > 0]


def _rows(case: Case) -> list[dict[str, Any]]:
    return [row for finding in case.facts for row in finding["rows"]]


def repeats(case: Case) -> int:
    """Decided penalties on the enterprise for this offence in the two years before, and this one."""
    act = day_of(case.detail["act_from"])
    earlier = (
        Case.objects.filter(
            flow="penalty", enterprise_id=case.enterprise_id, detail__offence=case.detail["offence"]
        )
        .exclude(pk=case.pk)
        .exclude(state__in=("rejected", "no_penalty", "transferred", "revoked"))
        .values_list("detail", flat=True)
    )
    return 1 + sum(
        act - _YEARS_BACK <= day_of(detail["act_to"]) <= act
        for detail in earlier
        if detail.get("decision") and not detail["proposal"].get("daily")
    )


def measured(case: Case) -> dict[str, Decimal]:
    """What the facts say of the measures that tables use (`discretion.Factor.measure`)."""
    found = excesses(case)
    result = {"repeats": Decimal(repeats(case))}
    if found:
        days = {
            timezone.localtime(moment).date()
            for row in _rows(case)
            if (moment := parse_datetime(row["time"])) is not None
        }
        result |= {
            "factors": Decimal(len(found)),
            "multiple": max(multiple for multiple, _ in found),
            "days": Decimal(len(days)),
        }
    return result


def sheets(case: Case, basis: law.Penalty) -> list[discretion.Sheet]:
    """The sheets for the case's offence and medium: in force at the act, and made for the place,
    first."""
    water = any(row["factor"].startswith("w") for row in _rows(case))
    act = day_of(case.detail["act_to"])
    found = [
        s
        for s in discretion.sheets().values()
        if s.offence == case.detail["offence"]
        and basis.rule in s.rules
        and (s.offence != "permit.exceeded" or ("水" in s.title_zh) == water)
    ]
    return sorted(
        found,
        key=lambda s: (
            not s.table.in_force(act),
            not case.region_id.startswith(s.table.area),
            -len(s.table.area),
        ),
    )


def sheet(case: Case, basis: law.Penalty) -> discretion.Sheet | None:
    """The sheet to weigh by: in force at the act; None where no table has one."""
    act = day_of(case.detail["act_to"])
    return next((s for s in sheets(case, basis) if s.table.in_force(act)), None)


def suggested(case: Case, sheet: discretion.Sheet) -> dict[str, int]:
    """The grade of every factor that the facts give; where a person must look, the lightest, and
    for the pollutant what its code says."""
    values = measured(case)
    grades = {}
    for factor in sheet.factors:
        grade = (
            factor.measured(values[factor.measure])
            if factor.measure and factor.measure in values
            else None
        )
        grades[factor.key] = grade.number if grade else 1
    if "pollutant" in grades and not sheet.offence.endswith("evaded"):
        grades["pollutant"] = _pollutant(case)
    return grades


def _pollutant(case: Case) -> int:
    """Guangdong: air 1 organics, 2 ordinary, 3 listed as toxic; water 1 ordinary, 2 class A."""
    codes = {row["factor"] for row in _rows(case)}
    metal = any(code.startswith(_METALS) for code in codes)
    if any(code.startswith("w") for code in codes):
        return 2 if metal else 1
    return 3 if metal else 1 if codes and all(c.startswith(_ORGANICS) for c in codes) else 2


def minor(case: Case) -> discretion.Minor | None:
    """The row of the list of acts that are not punished for which the measured facts speak; none
    for metals, which the lists leave out."""
    found = excesses(case)
    if not found or any(row["factor"].startswith(_METALS) for row in _rows(case)):
        return None
    highest = max(multiple for multiple, _ in found)
    return next(
        (
            m
            for m in discretion.minor()
            if m.may_fit(case.detail["offence"], len(found), highest, repeats(case))
        ),
        None,
    )


def compute(
    case: Case,
    applicable: law.Applicable,
    sheet: discretion.Sheet,
    grades: Mapping[str, int],
    circumstances: list[str],
    share: Decimal | None,
) -> discretion.Result:
    """The amount by `sheet`; ValueError where the choices do not fit it."""
    known = {
        c.key: c
        for c in discretion.circumstances_for(sheet, applicable.penalty)
        if c.least is not None
    }
    chosen = {key: share if key in known else None for key in circumstances}
    if sheet.table.model == "weights":
        return discretion.compute(sheet, applicable.penalty, grades, chosen)
    found = excesses(case)
    tier = discretion.tier_of(sheet, found, repeats(case))
    return discretion.compute(sheet, applicable.penalty, {}, chosen, excesses=found, tier=tier)


def comparison(
    case: Case, applicable: law.Applicable, used: discretion.Sheet | None
) -> list[dict[str, Any]]:
    """What every other table would give for the facts as measured, in force or not."""
    rows = []
    for other in sheets(case, applicable.penalty):
        if used is not None and other.key == used.key:
            continue
        try:
            result = compute(case, applicable, other, suggested(case, other), [], None)
        except ValueError:  # the facts do not say enough for that table
            continue
        rows.append(
            {
                "sheet": other,
                "amount": result.amount,
                "in_force": other.table.in_force(day_of(case.detail["act_to"])),
            }
        )
    return rows
