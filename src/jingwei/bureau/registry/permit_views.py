"""Permits: the page, entering and changing, taking a change back, import."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jingwei.bureau.access import may, requires
from jingwei.bureau.language import factor_name
from jingwei.bureau.registry import changes, force, imports, selectors, services, sheets
from jingwei.bureau.registry.forms import PermitForm, UploadForm
from jingwei.bureau.registry.lines import PERIODS, WHOLE, Line, initial_of, line_of, line_set
from jingwei.bureau.registry.models import Enterprise, Permit, PermitAmount, PermitLimit
from jingwei.bureau.registry.views import csv_lines
from jingwei.standards import codes

MORE = 6  # empty lines that a button adds
_PERIODS = dict(PERIODS)
_SURE = dict(PermitLimit.Verified.choices)


def shown(line: Line) -> dict[str, Any]:
    """A line in the reader's words."""
    return {
        "line": line,
        "outlet": _("Whole enterprise") if line.outlet == WHOLE else line.outlet,
        "factor": factor_name(line.factor),
        "period": _PERIODS.get(line.period, line.period or "—"),
        "value": f"{'≥' if line.lower else '≤'} {selectors.plain(line.value)} {line.unit}",
        "o2": line.reference_o2,
        "sure": _SURE.get(line.verified, line.verified),
    }


def _difference(found: changes.Difference) -> dict[str, Any]:
    return {
        "kept": len(found.kept),
        "added": [shown(line) for line in found.added],
        "changed": [(shown(line_of(row)), shown(line)) for row, line in found.changed],
        "ended": [shown(line_of(row)) for row in found.ended],
        "giving_way": [(shown(line_of(row)), row) for row in found.giving_way],
        "empty": found.empty,
    }


@require_safe
@requires("enterprise.view")
def permit(request: HttpRequest, pk: int) -> HttpResponse:
    """One permit: what it permits on a day, its versions, what changed."""
    found = get_object_or_404(
        Permit.objects.restrict(request.user, "enterprise.view").select_related("enterprise"), pk=pk
    )
    on = _day(request.GET.get("on", "")) or timezone.localdate()
    history = changes.history(found)
    limits = PermitLimit.objects.filter(outlet__enterprise=found.enterprise_id)
    amounts = PermitAmount.objects.filter(permit__enterprise=found.enterprise_id)
    beside: dict[type, list[Any]] = {
        table.model: list(force.on(table, on).select_related("outlet", "permit__enterprise"))
        for table in (limits, amounts)
    }
    return render(
        request,
        "registry/permit.html",
        {
            "permit": found,
            "on": on,
            "valid": force.valid_on(found, on),
            "rows": [
                (shown(line_of(row)), row, _notes(row, beside, on))
                for row in [
                    *changes.rows_on(found, on),
                    *(r for r in changes.assumed_on(found, on) if r.valid_from <= on),
                ]
            ],
            "flags": services.permit_flags(found, timezone.localdate()),
            "history": [(v, _difference(d) if d else None) for v, d in history],
            "may_undo": len(history) > 1 and may(request.user, "permit.edit"),
            "may_edit": Permit.objects.restrict(request.user, "permit.edit").filter(pk=pk).exists(),
            "may_prove": may(request.user, "evidence.view"),
        },
    )


def _notes(row: Any, beside: dict[type, list[Any]], on: date) -> list[str]:
    """What is to be said of a row beside its words. That the permit has expired the page says once."""
    others = beside[type(row)]
    text = force.defect_text(row)
    for other in force.displaced(others).get(row.pk, [])[:1]:
        said = {
            "other": force.value_text(other),
            "begin": other.valid_from,
            "permit": other.permit.number,
        }
        text = _("Not applied: %(other)s, in force from %(begin)s (permit %(permit)s), takes its place.") % said  # fmt: skip
    return [text] if text else force.overlaps(others, on).get(row.pk, [])


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


@require_http_methods(["GET", "POST"])
@requires("permit.edit")
def permit_new(request: HttpRequest, uscc: str) -> HttpResponse:
    enterprise = get_object_or_404(
        Enterprise.objects.restrict(request.user, "permit.edit"), uscc=uscc
    )
    return _edit(request, enterprise, None)


@require_http_methods(["GET", "POST"])
@requires("permit.edit")
def permit_change(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(
        Permit.objects.restrict(request.user, "permit.edit").select_related("enterprise"), pk=pk
    )
    return _edit(request, found.enterprise, found)


def _edit(request: HttpRequest, enterprise: Enterprise, found: Permit | None) -> HttpResponse:
    """Enter or change: the form, then what it would do, then it is done."""
    outlets = list(enterprise.outlets.all())
    refused, status, preview = "", 200, None
    asked = request.POST.get("do", "")
    if request.method == "POST":
        form = PermitForm(
            request.POST, permit=found, initial={"number": found.number if found else ""}
        )
        data = request.POST
        if asked == "more":
            data = data.copy()
            total = int(data.get("line-TOTAL_FORMS") or 0) if data.get("line-TOTAL_FORMS", "").isdecimal() else 0  # fmt: skip
            data["line-TOTAL_FORMS"] = str(min(total + MORE, 400))
            lines = line_set(outlets, data)
        else:
            lines = line_set(outlets, data)
            sound = all([form.is_valid(), lines.is_valid()])
            if not sound:
                status = 422
            else:
                change = changes.Change(lines=lines.lines, **form.cleaned_data)
                preview, refused, made = _try(request, enterprise, found, change, asked == "do")
                if made is not None:
                    messages.success(request, _("The permit is entered. It holds from %(day)s on.") % {"day": change.in_force})  # fmt: skip
                    return redirect(made)
                status = 422 if refused else 200
    else:
        form = PermitForm(permit=found, initial=_initial(enterprise, found))
        rows = changes.rows_on(found, timezone.localdate()) if found else []
        lines = line_set(
            outlets, extra=2 if rows else MORE, initial=[initial_of(line_of(r)) for r in rows]
        )
    return render(
        request,
        "registry/permit_edit.html",
        {
            "enterprise": enterprise,
            "permit": found,
            "form": form,
            "lines": lines,
            "preview": _difference(preview) if preview else None,
            "refused": refused,
            "past": bool(preview) and form.cleaned_data["in_force"] < timezone.localdate(),
            "factors": [(f.code, f.name("zh-hans"), f.en) for f in _measured(outlets)],
            "units": ("mg/m³", "µg/m³", "mg/L", "µg/L", "kg/h", "kg", "t"),
        },
        status=status,
    )


def _try(
    request: HttpRequest,
    enterprise: Enterprise,
    found: Permit | None,
    change: changes.Change,
    really: bool,
) -> tuple[changes.Difference | None, str, Permit | None]:
    """(what the change does, why not, the permit where it was done)."""
    difference = changes.difference(found, change)
    part = imports.Part(change.number, enterprise, found, change, difference)
    if not really:
        imports.rehearse(part)
        texts = " ".join(text for _row, text in part.errors)
        return (None if texts else difference), texts, None
    try:
        return difference, "", changes.apply(request.user, enterprise, found, change)
    except ValidationError as error:
        return None, " ".join(error.messages), None


def _initial(enterprise: Enterprise, found: Permit | None) -> dict[str, Any]:
    today = timezone.localdate()
    if found is None:
        count = enterprise.permits.count() + 1
        return {"number": f"{enterprise.uscc}{count:03d}P", "act": "issued", "in_force": today}
    return {
        "number": found.number,
        "act": "changed",
        "category": found.category,
        "valid_from": found.valid_from,
        "valid_to": found.valid_to,
        "in_force": today,
    }


def _measured(outlets: Any) -> list[codes.Factor]:
    media = {o.medium for o in outlets}
    return [f for f in codes.factors("2017").values() if f.medium in media]


@require_POST
@requires("permit.edit")
def take_back(request: HttpRequest, pk: int) -> HttpResponse:
    """Undo the last change of a permit."""
    found = get_object_or_404(Permit.objects.restrict(request.user, "permit.edit"), pk=pk)
    try:
        version = changes.take_back(request.user, found)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(
            request,
            _("Version %(number)d was taken back. What held before holds again.")
            % {"number": version.number},
        )
    return redirect(found)


# Import -----------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@requires("permit.edit")
def permits_import(request: HttpRequest) -> HttpResponse:
    """Permits and limits from a file: what it would do, then it is done."""
    form, parts, kept, refused, status = UploadForm(), [], "", "", 200
    if request.method == "POST" and request.POST.get("do") == "write":
        kept = request.POST.get("rows", "")
        try:
            rows = _unpacked(kept)
            parts = imports.examine(request.user, rows)
            made = imports.write(request.user, parts)
        except ValidationError as error:
            refused, status = " ".join(error.messages), 422
        except (ValueError, TypeError):
            refused, status = _("Upload the file again."), 422
        else:
            messages.success(request, _("%(count)d permits were entered.") % {"count": len(made)})
            return redirect("registry:list")
    elif request.method == "POST":
        form = UploadForm(request.POST, request.FILES)
        status = 422
        if form.is_valid():
            try:
                rows = sheets.read(form.cleaned_data["file"], imports.COLUMNS)
            except ValidationError as error:
                form.add_error("file", error)
            else:
                parts = imports.examine(request.user, rows)
                kept, status = _packed(rows), 200
    return render(
        request,
        "registry/permits_import.html",
        {
            "form": form,
            "parts": [(p, _difference(p.difference) if p.difference else None) for p in parts],
            "wrong": any(p.errors for p in parts),
            "kept": kept,
            "refused": refused,
            "columns": [(names[0], names[1]) for names in imports.COLUMNS.values()],
        },
        status=status,
    )


def _packed(rows: list[tuple[int, dict[str, str]]]) -> str:
    """The rows of a file as the page carries them from the preview to the confirmation."""
    return json.dumps([[n, *(cells[c] for c in imports.COLUMNS)] for n, cells in rows])


def _unpacked(text: str) -> list[tuple[int, dict[str, str]]]:
    """What `_packed` made; ValueError or TypeError for anything else."""
    return [
        (int(n), dict(zip(imports.COLUMNS, map(str, cells), strict=True)))
        for n, *cells in json.loads(text)[: sheets.MAX_ROWS]
    ]


@require_safe
@requires("permit.edit")
def permits_template_csv(request: HttpRequest) -> HttpResponse:
    """The columns of the import, with one row as an example."""
    lines = csv_lines([names[0] for names in imports.COLUMNS.values()], [list(imports.EXAMPLE)])
    return HttpResponse(
        "".join(lines),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="permits-template.csv"'},
    )
