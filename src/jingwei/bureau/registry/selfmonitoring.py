"""Self-monitoring: lines of the plan, results of manual measurements. Results are never rewritten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _

from jingwei.bureau.access import may
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.registry.lines import factor_code, plain_unit, unit_of
from jingwei.bureau.registry.models import (
    Enterprise,
    ManualResult,
    Medium,
    MonitoringPlan,
    Outlet,
)
from jingwei.standards import codes, units

COLUMNS: dict[str, Sequence[str]] = {
    "outlet": ("排放口编号", "Outlet"),
    "factor": ("监测因子", "Factor"),
    "sampled": ("采样日期", "Sampled"),
    "value": ("监测值", "Value"),
    "unit": ("单位", "Unit"),
    "below_detection": ("低于检出限", "Below the limit of detection"),
    "laboratory": ("检测机构", "Laboratory"),
    "report": ("检测报告编号", "Number of the test report"),
    "reported": ("报送日期", "Reported"),
    "published": ("公开日期", "Published"),
}
EXAMPLE = ("DA001", "a21026", "2026-07-06", "12.5", "mg/m3", "", "示例检测公司", "BG-2026-001", "2026-07-12", "2026-07-13")  # fmt: skip
YES = ("1", "是", "yes", "true", "y", "√", "on")


# The plan ---------------------------------------------------------------------------------------


def check_factor(outlet: Outlet, text: str) -> str:
    """The code of a factor that can be measured at the outlet; `ValidationError` for another."""
    code = factor_code(text)
    if not code or codes.factor(code) is None:
        raise ValidationError(
            {
                "factor": _("%(code)s is no factor of HJ 212-2017: take its code or its name from the list.")
                % {"code": text}
            }
        )  # fmt: skip
    if {"a": Medium.AIR, "w": Medium.WATER}.get(code[0], outlet.medium) != outlet.medium:
        raise ValidationError(
            {
                "factor": _("%(factor)s is not measured at %(outlet)s: it is for another medium.")
                % {"factor": code, "outlet": outlet.code}
            }
        )
    return code


@transaction.atomic
def add_line(user: Any, **values: Any) -> MonitoringPlan:
    """A line of the plan; refuses one that overlaps another of the same outlet, factor and means."""
    if user is not None and not may(user, "plan.edit"):
        raise ValidationError(_("Your role may not change monitoring plans."))
    line = MonitoringPlan(**values)
    if line.outlet.enterprise_id != line.permit.enterprise_id:
        raise ValidationError({"outlet": _("The outlet belongs to another enterprise")})
    Outlet.objects.select_for_update().get(pk=line.outlet_id)
    line.factor = check_factor(line.outlet, line.factor)
    if line.valid_to and line.valid_to < line.valid_from:
        raise ValidationError({"valid_to": _("The line ends before it begins")})
    line.full_clean(validate_constraints=False)
    others = MonitoringPlan.objects.filter(
        Q(valid_to=None) | Q(valid_to__gte=line.valid_from),
        outlet=line.outlet, factor=line.factor, means=line.means,
    )  # fmt: skip
    if line.valid_to:
        others = others.filter(valid_from__lte=line.valid_to)
    if others.exists():
        raise ValidationError(
            {"factor": _("The plan has such a line already: end that one first.")}
        )
    line.save(force_insert=True)
    _record_line(line, "added", user)
    return line


@transaction.atomic
def end_line(user: Any, line: MonitoringPlan, day: date) -> MonitoringPlan:
    """Let a line end with a day; what was due before stays due."""
    if not may(user, "plan.edit"):
        raise ValidationError(_("Your role may not change monitoring plans."))
    if day < line.valid_from:
        raise ValidationError({"valid_to": _("The line ends before it begins")})
    line.valid_to = day
    line.save(update_fields=["valid_to"])
    _record_line(line, "ended", user)
    return line


def _record_line(line: MonitoringPlan, act: str, user: Any) -> None:
    record(
        "permit",
        f"plan:{line.pk}",
        {
            "act": f"plan line {act}", "permit": line.permit.number, "outlet": line.outlet.code,
            "factor": line.factor, "means": str(line.means), "every": str(line.every),
            "times": line.times, "valid_from": line.valid_from, "valid_to": line.valid_to,
        },
        actor=str(user.pk) if user is not None else "",
    )  # fmt: skip


# Results ----------------------------------------------------------------------------------------


def check_result(result: ManualResult, today: date | None = None) -> None:
    """Refuse what cannot be: a day to come, a report before the sampling, a unit of another kind."""
    today = today or timezone.localdate()
    result.factor = check_factor(result.outlet, result.factor)
    result.unit = plain_unit(result.unit)
    for name in ("sampled", "reported", "published"):
        day = getattr(result, name)
        if day is not None and day > today:
            raise ValidationError({name: _("This day has not come yet.")})
        if day is not None and name != "sampled" and day < result.sampled:
            raise ValidationError({name: _("This day is before the sampling.")})
    wanted = unit_of(result.factor)
    if wanted and units.scale(result.unit, wanted) is None:
        raise ValidationError(
            {
                "unit": _("“%(unit)s” does not fit: %(factor)s is judged in %(wanted)s here.")
                % {"unit": result.unit or "—", "factor": result.factor, "wanted": wanted}
            }
        )
    if result.value is not None and result.value < 0:
        raise ValidationError({"value": _("A measured value is not negative.")})
    result.full_clean(exclude=["actor", "evidence", "replaced_by"])


@transaction.atomic
def enter(user: Any, outlet: Outlet, *, replaces: ManualResult | None = None, **values: Any) -> ManualResult:  # fmt: skip
    """Enter a result, or correct one: the old row stays and names the new one."""
    if user is not None:
        if not may(user, "result.enter"):
            raise ValidationError(_("Your role may not enter results."))
        allowed = Outlet.objects.restrict(user, "result.enter").filter(pk=outlet.pk)
        if not allowed.exists():
            raise ValidationError({"outlet": _("The outlet belongs to another enterprise")})
    result = ManualResult(outlet=outlet, actor=user, **values)
    check_result(result)
    same = ManualResult.objects.filter(
        outlet=outlet, factor=result.factor, sampled=result.sampled, report=result.report,
        replaced_by=None,
    )  # fmt: skip
    if replaces is not None:
        same = same.exclude(pk=replaces.pk)
    if result.report and same.exists():
        raise ValidationError(
            {"report": _("This report has a result of this factor and day already: correct that one.")}
        )  # fmt: skip
    result.save(force_insert=True)
    result.evidence = record(
        "manual_result",
        f"result:{result.pk}",
        {
            "outlet": f"{outlet.enterprise.uscc} {outlet.code}", "factor": result.factor,
            "sampled": result.sampled, "value": result.value, "unit": result.unit,
            "below_detection": result.below_detection, "report": result.report,
            "reported": result.reported, "published": result.published,
            "replaces": replaces.pk if replaces else None,
        },
        actor=str(user.pk) if user is not None else "",
    )  # fmt: skip
    result.save(update_fields=["evidence"])
    if replaces is not None and not ManualResult.objects.filter(
        pk=replaces.pk, outlet__enterprise=outlet.enterprise_id, replaced_by=None
    ).update(replaced_by=result):
        raise ValidationError(_("This result was corrected already."))
    return result


@transaction.atomic
def publish(user: Any, result: ManualResult, day: date) -> None:
    """Say when a result was published; once."""
    if not may(user, "result.enter"):
        raise ValidationError(_("Your role may not enter results."))
    if not result.sampled <= day <= timezone.localdate():
        raise ValidationError({"published": _("This day is before the sampling.")})
    if not ManualResult.objects.filter(pk=result.pk, published=None).update(published=day):
        raise ValidationError(_("This result is published already."))
    record(
        "manual_result",
        f"result:{result.pk}",
        {"act": "published", "result": result.pk, "published": day},
        actor=str(user.pk),
    )


# Import -----------------------------------------------------------------------------------------

Rows = Iterable[tuple[int, Mapping[str, str]]]


def examine(enterprise: Enterprise, rows: Rows) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:  # fmt: skip
    """(values of every good row, (row, what is wrong) of every other)."""
    outlets = {o.code: o for o in enterprise.outlets.all()}
    good: list[dict[str, Any]] = []
    wrong: list[tuple[int, str]] = []
    for number, cells in rows:
        try:
            values = _values(outlets, cells)
            check_result(ManualResult(**values))
        except ValidationError as error:
            wrong += [(number, text) for text in error.messages]
        else:
            good.append(values)
    return good, wrong


def _values(outlets: Mapping[str, Outlet], cells: Mapping[str, str]) -> dict[str, Any]:
    outlet = outlets.get(cells["outlet"].upper())
    if outlet is None:
        raise ValidationError(_("There is no outlet %s.") % (cells["outlet"] or "—"))
    try:
        value = Decimal(cells["value"].lstrip("<＜"))
    except InvalidOperation:
        raise ValidationError(_("“%s” is no number.") % cells["value"]) from None
    days = {name: _day(cells[name]) for name in ("sampled", "reported", "published")}
    if days["sampled"] is None:
        raise ValidationError(_("The day of the sampling is missing."))
    return {
        "outlet": outlet, "factor": cells["factor"], "value": value, "unit": cells["unit"],
        "below_detection": cells["below_detection"].lower() in YES or cells["value"][:1] in ("<", "＜"),
        "laboratory": cells["laboratory"], "report": cells["report"], "sampled": days["sampled"],
        "reported": days["reported"] or timezone.localdate(), "published": days["published"],
    }  # fmt: skip


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        found = parse_date(text.replace("/", "-").replace(".", "-"))
    except ValueError:
        found = None
    if found is None:
        raise ValidationError(_("%(text)s is no date; wanted 2026-07-01.") % {"text": text})
    return found


@transaction.atomic
def write(user: Any, rows: Iterable[dict[str, Any]]) -> int:
    """Enter all rows of a file, or none."""
    made = [enter(user, **values) for values in rows]
    return len(made)
