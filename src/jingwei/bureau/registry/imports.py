"""Permits and limits from a file: read, check, show, then write all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _

from jingwei.bureau.registry import changes
from jingwei.bureau.registry.lines import WHOLE, LineForm, factor_code
from jingwei.bureau.registry.models import Enterprise, Permit, PermitLimit, PermitVersion

# Column -> heads that a file may have for it; the first one stands in the template.
COLUMNS: dict[str, Sequence[str]] = {
    "uscc": ("统一社会信用代码", "Unified social credit code", "Credit code"),
    "number": ("许可证编号", "Permit number"),
    "act": ("事项", "What was done"),
    "category": ("管理类别", "Category"),
    "valid_from": ("有效期起", "Valid from"),
    "valid_to": ("有效期止", "Valid to"),
    "in_force": ("执行起始日期", "In force from"),
    "outlet": ("排放口编号", "Outlet"),
    "factor": ("污染因子", "Factor"),
    "period": ("限值类型", "Period"),
    "value": ("限值", "Limit"),
    "unit": ("单位", "Unit"),
    "reference_o2": ("基准含氧量", "Reference oxygen (%)"),
    "lower": ("下限", "Lower bound"),
    "source": ("依据", "Source"),
    "verified": ("可信程度", "How sure"),
}
EXAMPLE = (
    "91110105MAJW0001XX", "91110105MAJW0001XX001P", "变更", "重点管理", "2024-01-01", "2028-12-31",
    "2026-07-01", "DA001", "a21002", "小时均值", "50", "mg/m3", "15", "", "GB 13223-2011", "已核对原文",
)  # fmt: skip
HEAD = ("act", "category", "valid_from", "valid_to", "in_force")
WORDS: dict[str, dict[str, Sequence[str]]] = {
    "period": {
        "hour": ("小时均值", "小时", "hourly mean"),
        "day": ("日均值", "日", "daily mean"),
        "rate": ("排放速率", "速率", "emission rate"),
        "month": ("月许可排放量", "月", "monthly amount"),
        "year": ("年许可排放量", "年", "yearly amount"),
    },
    "category": {
        "key": ("重点管理", "key management"),
        "simplified": ("简化管理", "simplified management"),
        "registered": ("登记管理", "registered"),
    },
    "act": {
        "issued": ("首次申请", "first issued"),
        "changed": ("变更", "changed"),
        "extended": ("延续", "extended"),
        "reissued": ("重新申请", "applied for anew"),
    },
    "verified": {
        "verified": ("已核对原文", "read in the standard"),
        "secondary": ("来自二手资料", "from a secondary source"),
        "memory": ("未核对", "not checked against a source"),
    },
    "outlet": {WHOLE: ("全厂", "whole enterprise", "*")},
}
YES = ("1", "是", "yes", "true", "y", "√")


@dataclass
class Part:
    """One permit of the file. `errors`: (row or None, what is wrong)."""

    number: str
    enterprise: Enterprise | None
    permit: Permit | None
    change: changes.Change | None = None
    difference: changes.Difference | None = None
    errors: list[tuple[int | None, str]] = field(default_factory=list)


def word(column: str, text: str) -> str:
    """The value that a word of a file stands for; the text itself where it is none we know."""
    asked = text.strip().lower()
    for value, names in WORDS.get(column, {}).items():
        if asked == value or asked in names:
            return value
    return text.strip()


def examine(user: Any, rows: Iterable[tuple[int, dict[str, str]]]) -> list[Part]:
    """What a file would do, permit by permit, with everything that is wrong with it."""
    by_number: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for number, cells in rows:
        by_number.setdefault(cells["number"].upper(), []).append((number, cells))
    allowed = Enterprise.objects.restrict(user, "permit.edit").prefetch_related("outlets")
    return [_part(permit, lines, allowed) for permit, lines in by_number.items()]


def _part(number: str, rows: list[tuple[int, dict[str, str]]], allowed: Any) -> Part:
    first_row, first = rows[0]
    permit = Permit.objects.filter(number=number).select_related("enterprise").first()
    enterprise = allowed.filter(uscc=first["uscc"].upper()).first()
    part = Part(number, enterprise, permit)
    if enterprise is None:
        part.errors.append(
            (first_row, _("%(code)s is no enterprise of your area.") % {"code": first["uscc"]})
        )
        return part
    if permit is not None and permit.enterprise_id != enterprise.pk:
        part.errors.append((first_row, _("The permit belongs to another enterprise.")))
        return part
    head = {name: word(name, first[name]) for name in HEAD}
    for row, cells in rows[1:]:
        if any(word(n, cells[n]) not in ("", head[n]) for n in HEAD):
            part.errors.append(
                (row, _("This row says something else of the permit than its first row."))
            )
    days = {n: _day(head[n]) for n in ("valid_from", "valid_to", "in_force")}
    part.errors += [
        (first_row, _("%(text)s is no date; wanted 2026-07-01.") % {"text": head[n] or "—"})
        for n, day in days.items()
        if day is None
    ]
    if head["category"] not in Permit.Category.values:
        part.errors.append((first_row, _("Unknown category: %s") % (head["category"] or "—")))
    act = head["act"] or ("changed" if permit else "issued")
    if act not in PermitVersion.Act.values:
        part.errors.append((first_row, _("Unknown act: %s") % act))
    lines, seen = [], {}
    outlets = {o.code: o for o in enterprise.outlets.all()}
    for row, cells in rows:
        data = {c: word(c, cells[c]) for c in LineForm.base_fields}
        data["verified"] = data["verified"] or PermitLimit.Verified.MEMORY
        data["factor"] = factor_code(data["factor"]) or data["factor"]
        data["lower"] = "on" if data["lower"].lower() in YES else ""
        form = LineForm(data, outlets=outlets)
        if form.is_valid() and form.line is not None:
            if form.line.key in seen:
                part.errors.append(
                    (row, _("Line %(line)d says the same outlet, factor and period: keep one of them.")
                     % {"line": seen[form.line.key]})
                )  # fmt: skip
            seen[form.line.key] = row
            lines.append(form.line)
        else:
            part.errors += [
                (row, f"{form.fields[name].label if name in form.fields else ''}: {text}".lstrip(": "))
                for name, texts in form.errors.items()
                for text in texts
            ]  # fmt: skip
    if not part.errors:
        part.change = changes.Change(
            act=act, number=number, category=head["category"], note=_("From a file"), lines=lines,
            **{n: day for n, day in days.items() if day is not None},
        )  # fmt: skip
        part.difference = changes.difference(permit, part.change)
        rehearse(part)
    return part


def _day(text: str) -> date | None:
    try:
        return parse_date(text.replace("/", "-").replace(".", "-"))
    except ValueError:
        return None


def rehearse(part: Part) -> None:
    """Find what only the database knows (overlaps, days) by doing it and taking it back."""
    try:
        with transaction.atomic():
            assert part.enterprise is not None
            assert part.change is not None
            changes.apply(None, part.enterprise, part.permit, part.change)
            transaction.set_rollback(True)
    except ValidationError as error:
        part.errors += [(None, text) for text in error.messages]


@transaction.atomic
def write(user: Any, parts: Iterable[Part]) -> list[Permit]:
    """Write all permits of a file; raises `ValidationError` and writes nothing where one is wrong."""
    made = []
    for part in parts:
        if part.errors or part.change is None or part.enterprise is None:
            raise ValidationError(_("The file has errors: correct them and upload it again."))
        made.append(changes.apply(user, part.enterprise, part.permit, part.change))
    return made
