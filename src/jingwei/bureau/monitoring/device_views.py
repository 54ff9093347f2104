"""Pages of the devices: list, one device with its commands, settings, quarantine."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jingwei.bureau import once
from jingwei.bureau.access import may, requires
from jingwei.bureau.findings.export import csv_response
from jingwei.bureau.monitoring import device_labels as labels
from jingwei.bureau.monitoring import device_selectors as selectors
from jingwei.bureau.monitoring import device_services as services
from jingwei.bureau.monitoring.device_forms import (
    AdoptForm,
    CommandForm,
    DeviceFilter,
    SettingsForm,
)
from jingwei.bureau.monitoring.device_models import DeviceCommand
from jingwei.bureau.monitoring.device_selectors import Row
from jingwei.bureau.registry.models import Point
from jingwei.hj212 import command
from jingwei.telemetry.intake import masked

PER_PAGE = 50


def _chosen(request: HttpRequest) -> tuple[DeviceFilter, list[Row]]:
    rows = selectors.devices(request.user)
    regions = {p.region_id: p.region.label for r in rows for p in r.points}
    kinds = {e.kind: e.label for r in rows for e in r.errors}
    form = DeviceFilter(
        request.GET,
        sorted(regions.items()),
        sorted(kinds.items(), key=lambda pair: pair[1]),
    )
    if not form.is_valid():
        return form, []
    want = form.cleaned_data
    query = want["q"].strip().lower()

    def passes(row: Row) -> bool:
        texts = [row.mn, row.address]
        texts += [text for p in row.points for text in (p.name, str(p.enterprise or ""))]
        return (
            (not query or any(query in text.lower() for text in texts))
            and want["state"] in ("", row.state)
            and want["version"] in ("", row.version)
            and (not want["error"] or any(e.kind == want["error"] for e in row.errors))
            and (not want["region"] or any(p.region_id == want["region"] for p in row.points))
        )

    return form, [row for row in rows if passes(row)]


@require_safe
@requires("device.view")
def devices(request: HttpRequest) -> HttpResponse:
    """Every device in the user's area: connection, last words, errors, commands under way."""
    form, rows = _chosen(request)
    return render(
        request,
        "monitoring/devices/list.html",
        {
            "form": form,
            "page": Paginator(rows, PER_PAGE).get_page(request.GET.get("page")),
            "query": request.GET.urlencode(),
            "strangers": len(selectors.strangers(request.user)),
        },
    )


@require_safe
@requires("device.view")
def devices_csv(request: HttpRequest) -> HttpResponse:
    _form, rows = _chosen(request)
    return csv_response(
        "devices.csv",
        [_("MN"), _("Points"), _("Protocol"), _("State"), _("Address"), _("Last telegram"), _("CN"),
         _("Accepted"), _("Last error"), _("Errors in 7 days"), _("Open commands")],
        (
            [
                row.mn, " / ".join(p.name for p in row.points), row.version, row.state_label,
                row.address, _time(row.seen.last if row.seen else None),
                row.seen.cn if row.seen else "", row.seen.accepted if row.seen else 0, row.reason,
                "; ".join(f"{e.label} {e.count}" for e in row.errors), row.open,
            ]
            for row in rows
        ),
    )  # fmt: skip


def _time(moment: Any) -> str:
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def _device(request: HttpRequest, mn: str) -> Row:
    found = selectors.devices(request.user, mn)
    if not found:
        raise Http404
    return found[0]


def _offered(point: Point, user: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    """The commands that the point's version has and the user may give, by group."""
    offered = []
    for group, numbers in labels.GROUPS:
        some = [
            (cn, labels.command(cn, point.version))
            for cn in numbers
            if (found := command(cn, point.version)) is not None
            and found.down is not None
            and (cn not in services.ADMINISTRATORS or may(user, "device.settings"))
        ]
        if some:
            offered.append((str(group), some))
    return offered


def _panel(
    request: HttpRequest, row: Row, form: CommandForm | None = None, token: str = ""
) -> dict[str, Any]:
    """What the form of commands needs; its choice comes from the URL or from what was sent."""
    commanded = list(selectors.points(request.user, "device.command").filter(mn=row.mn))
    commanded = [p for p in commanded if p.enabled]
    if not commanded:
        return {"row": row, "point": None}
    query = request.POST if form is not None else request.GET
    point = next((p for p in commanded if p.st == query.get("st")), commanded[0])
    offered = _offered(point, request.user)
    known = {cn for _group, some in offered for cn, _label in some}
    cn = query.get("cn", "")
    if cn not in known:
        cn = "2061"
    return {
        "row": row,
        "point": point,
        "choices": commanded,
        "offered": offered,
        "cn": cn,
        "cn_label": labels.command(cn, point.version),
        "form": form or CommandForm(cn, point),
        "token": token or uuid.uuid4(),
        "acts": cn in services.ACTS,
        "key_known": bool(selectors.settled(row.mn).keys),
    }


@require_safe
@requires("device.view")
def device(request: HttpRequest, mn: str) -> HttpResponse:
    """One device: connection, last words, errors by kind, commands."""
    services.settle()
    row = _device(request, mn)
    return render(
        request, "monitoring/devices/device.html", _page(request, row) | _panel(request, row)
    )


def _page(request: HttpRequest, row: Row) -> dict[str, Any]:
    settled = selectors.settled(row.mn)
    return {
        "row": row,
        "commands": selectors.commands(request.user, row.mn),
        "settled": settled,
        "keys": selectors.keys_of(settled),
        "may_set": may(request.user, "device.settings"),
    }


@require_safe
@requires("device.view")
def device_card(request: HttpRequest, mn: str) -> HttpResponse:
    """The device in short, for the page of its point."""
    row = _device(request, mn)
    return render(
        request,
        "monitoring/devices/card.html",
        {"row": row, "may_command": may(request.user, "device.command"),
         "commands": selectors.commands(request.user, mn)[:3]},
    )  # fmt: skip


@require_safe
@requires("device.command")
def device_form(request: HttpRequest, mn: str) -> HttpResponse:
    """The fields of the chosen command."""
    row = _device(request, mn)
    return render(request, "monitoring/devices/form.html", _panel(request, row))


@require_safe
@requires("device.view")
def device_commands(request: HttpRequest, mn: str) -> HttpResponse:
    """The commands as they stand now."""
    services.settle()
    row = _device(request, mn)
    return render(request, "monitoring/devices/commands.html", _page(request, row))


@require_POST
@requires("device.command")
def device_ask(request: HttpRequest, mn: str) -> HttpResponse:
    """Ask the device for something."""
    row = _device(request, mn)
    point = get_object_or_404(
        selectors.points(request.user, "device.command"), mn=mn, st=request.POST.get("st", "")
    )
    cn = request.POST.get("cn", "")
    if cn not in {n for _group, some in _offered(point, request.user) for n, _label in some}:
        raise Http404
    form = CommandForm(cn, point, request.POST)
    deed = once.token(request, mn)
    token = uuid.UUID(deed) if deed else uuid.uuid4()
    if form.is_valid():
        params, items = form.wanted()
        try:
            services.ask(
                request.user, point, cn, params, form.cleaned_data["reason"],
                items=items, token=token,
            )  # fmt: skip
        except ValidationError as error:
            form.add_error(None, error.messages)
        else:
            messages.success(
                request,
                _("The command is waiting for the device.")
                if row.state not in ("online", "trouble")
                else _("The command goes to the device."),
            )
            return redirect(reverse("monitoring:device", args=[mn]) + "#commands")
    return render(
        request,
        "monitoring/devices/device.html",
        _page(request, row) | _panel(request, row, form, str(token)),
        status=422,
    )


@require_POST
@requires("device.command")
def device_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a command back that still waits."""
    found = get_object_or_404(
        DeviceCommand.objects.restrict(request.user, "device.command").select_related("point"),
        pk=pk,
    )
    if services.cancel(request.user, found):
        messages.success(request, _("The command was taken back."))
    else:
        messages.error(request, _("It was too late: the device has it already."))
    return redirect(reverse("monitoring:device", args=[found.point.mn]) + "#commands")


@require_http_methods(["GET", "HEAD", "POST"])
@requires("device.settings")
def device_settings(request: HttpRequest, mn: str) -> HttpResponse:
    """What the register says of the device: password, version, networks, check sums, key."""
    row = _device(request, mn)
    settled = selectors.settled(mn)
    if request.method == "POST":
        form = SettingsForm(request.POST)
        if form.is_valid():
            try:
                services.change(request.user, mn, form.cleaned_data)
            except ValidationError as error:
                form.add_error(None, error.messages)
            else:
                messages.success(request, _("Saved; the gateway goes by it from now on."))
                return redirect("monitoring:device", mn)
    else:
        form = SettingsForm(
            initial={"version": row.version}
            | {
                name: getattr(settled, name)
                for name in ("networks", "dialects", "form", "pull", "pull_from", "pull_until")
            }
        )
    return render(
        request,
        "monitoring/devices/settings.html",
        {"row": row, "form": form, "keys": selectors.keys_of(settled)},
        status=422 if form.errors else 200,
    )


# Quarantine -------------------------------------------------------------------------------------


@require_safe
@requires("device.adopt")
def strangers(request: HttpRequest) -> HttpResponse:
    """Senders that are in no register."""
    query = request.GET.get("q", "").strip().lower()
    rows = [
        s
        for s in selectors.strangers(request.user)
        if not query or query in s.mn.lower() or query in s.peer
    ]
    return render(
        request,
        "monitoring/devices/strangers.html",
        {
            "page": Paginator(rows, PER_PAGE).get_page(request.GET.get("page")),
            "q": request.GET.get("q", ""),
            "query": urlencode({"q": query}) if query else "",
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires("device.adopt")
def adopt(request: HttpRequest, mn: str) -> HttpResponse:
    """Make a point of a sender that was unknown."""
    found = next((s for s in selectors.strangers(request.user) if s.mn == mn), None)
    if found is None:
        raise Http404
    form = AdoptForm(found, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            point, taken = services.adopt(request.user, mn, form.cleaned_data)
        except ValidationError as error:
            known = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
            for name, texts in known.items():
                form.add_error(name if name in form.fields else None, texts)
        else:
            messages.success(
                request,
                ngettext(
                    "The device is adopted; %(n)d kept telegram was taken in.",
                    "The device is adopted; %(n)d kept telegrams were taken in.",
                    taken,
                )
                % {"n": taken},
            )
            return redirect("monitoring:device", point.mn)
    return render(
        request,
        "monitoring/devices/adopt.html",
        {"stranger": found, "form": form, "said": masked(found.raw)},
        status=422 if form.errors else 200,
    )
