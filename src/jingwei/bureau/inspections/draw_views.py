"""Draws: the office's pages, the parties' pages, the public's pages."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from jingwei.bureau.access import may, public, requires
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.evidencelog.public import limited
from jingwei.bureau.inspections import draw_selectors as selectors
from jingwei.bureau.inspections import drawing, forms
from jingwei.bureau.inspections.models import Draw, Party
from jingwei.bureau.inspections.selectors import results

PAGE = 50
_SALT = "jingwei.inspections.party"


# --- the office --------------------------------------------------------------------------------


@require_GET
@requires("draw.view")
def listing(request: HttpRequest) -> HttpResponse:
    page = Paginator(selectors.draws(request.user), PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "inspections/draws.html",
        {"page": page, "may_manage": may(request.user, "draw.manage")},
    )


@require_http_methods(["GET", "POST"])
@requires("draw.manage")
def new(request: HttpRequest) -> HttpResponse:
    """Plan a draw; `?replaces=` names the one that it repeats."""
    number = request.GET.get("replaces", "")
    replaced = None
    if number:
        rows = selectors.draws(request.user)
        replaced = get_object_or_404(rows, pk=int(number) if number.isdecimal() else 0)
    redraw = replaced is not None
    status = 200
    if request.method == "POST":
        form = forms.DrawForm(request.POST, redraw=redraw)
        if form.is_valid():
            try:
                draw = drawing.create(request.user, form.cleaned_data, replaces=replaced)
            except Refused as error:
                form.add_error(None, str(error))
            else:
                messages.success(
                    request, _("The draft is saved. Set ratios and exclusions, then freeze it.")
                )
                return redirect(draw)
        status = 422
    else:
        start: dict[str, Any] = {}
        if replaced:
            start = {"purpose": replaced.purpose, **replaced.lists}
            start["parties"] = "\n".join(p.name for p in replaced.parties.all())
        form = forms.DrawForm(initial=start, redraw=redraw)
    return render(
        request, "inspections/draw_new.html", {"form": form, "replaces": replaced}, status=status
    )


@require_GET
@requires("draw.view")
def draw(request: HttpRequest, draw: int) -> HttpResponse:
    return _page(request, _draw(request, draw))


_SAID = {
    "uscc": gettext_lazy("Enterprise"),
    "reason": gettext_lazy("Reason (published)"),
    "value": gettext_lazy("Value"),
    "commitment": gettext_lazy("Commitment (this is sent and published)"),
    "secret": gettext_lazy("Your secret"),
}


def _draw(request: HttpRequest, pk: int) -> Draw:
    return get_object_or_404(selectors.draws(request.user).defer(None), pk=pk)


def _page(request: HttpRequest, row: Draw, refused: str = "", status: int = 200) -> HttpResponse:
    manages, sources = may(request.user, "draw.manage"), selectors.sources(row)
    context: dict[str, Any] = {
        "draw": row,
        "manages": manages,
        "refused": refused,
        "left_over": _said(request, row, sources) if refused else [],
        "sources": sources,
        "parties": [
            (p, request.build_absolute_uri(reverse("inspections:party", args=[party_token(p)])))
            for p in row.parties.all()
        ],
        "steps": selectors.steps(row),
        "may_prove": may(request.user, "evidence.view"),
        "typed": request.POST,
    }
    if row.state == Draw.State.DRAFT and manages:
        units = list(selectors.pool(request.user, row))
        excluded = row.lists["excluded"]
        context |= {
            "strata": selectors.strata(units, row.lists["ratios"], excluded),
            "units": [(e, selectors.stratum_label(selectors.stratum(e))) for e in units],
            "excluded": [(e, excluded[e.uscc]) for e in units if e.uscc in excluded],
            "staff": selectors.inspectors(),
        }
    else:
        context |= _shown(row)
    return render(request, "inspections/draw.html", context, status=status)


def _said(request: HttpRequest, row: Draw, sources: list[Any]) -> list[tuple[str, str]]:
    """What was typed for a form that the page has no more, or shows without it."""
    said, draft, frozen = (
        request.POST,
        row.state == Draw.State.DRAFT,
        row.state == Draw.State.FROZEN,
    )
    asked = {str(s.index) for s in sources if frozen and s.known and not s.text}
    again = (draft and "uscc" in said) or said.get("source") in asked
    ratios = [
        f"{selectors.stratum_label(name)}: {percent} %, {minimum}"
        for name in said.getlist("stratum")
        for percent, minimum in [[said.get(f"{k}:{name}", "") for k in ("percent", "minimum")]]
    ]
    rows = [
        (_("1. Ratios by stratum"), "\n".join(ratios)),
        *((label, "" if again else said.get(name, "")) for name, label in _SAID.items()),
    ]
    return [(str(label), text) for label, text in rows if text.strip()]


def _shown(row: Draw) -> dict[str, Any]:
    """What a frozen draw shows to the office and to the public alike."""
    if row.plan is None:
        return {}
    chosen = []
    if row.result is not None:
        codes = [item["code"] for item in row.result["selected"]]
        names = selectors.names(codes)
        where = {u["code"]: u["stratum"] for u in row.plan["units"]}
        ranks = selectors.ranking(row)
        chosen = [
            {
                "code": item["code"],
                "name": names.get(item["code"], ""),
                "stratum": selectors.stratum_label(where[item["code"]]),
                "rank": ranks[item["code"]],
                "inspectors": item["inspectors"],
            }
            for item in row.result["selected"]
        ]
    return {
        "quotas": selectors.quotas(row),
        "chosen": chosen,
        "downloads": sorted(selectors.files(row)),
        "listed": [
            {"code": u["code"], "name": n, "stratum": selectors.stratum_label(u["stratum"])}
            for u, n in selectors.named(row)
        ],
        "left_out": row.plan["excluded"],
    }


@require_http_methods(["GET", "POST"])
@requires("draw.manage")
def act(request: HttpRequest, draw: int, act: str) -> HttpResponse:
    """One act on a draw; a GET (after a login that had run out) leads back to its page."""
    row = _draw(request, draw)
    if act not in _ACTS:
        raise Http404
    if request.method == "GET":
        return redirect(row)
    try:
        said = _ACTS[act](request, row)
    except (Refused, ValidationError) as error:
        text = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
        row = _draw(request, draw)
        return _page(request, row, text, 409)
    messages.success(request, said)
    return redirect(row)


def _ratios(request: HttpRequest, row: Draw) -> str:
    ratios = {}
    for name in request.POST.getlist("stratum"):
        percent, minimum = (request.POST.get(f"{k}:{name}", "") for k in ("percent", "minimum"))
        if not (percent.isdecimal() and minimum.isdecimal() and len(percent + minimum) < 10):
            raise ValidationError(_("A ratio is from 0 to 100 per cent, a minimum from 0."))
        ratios[name] = (int(percent), int(minimum))
    drawing.set_ratios(request.user, row, ratios)
    return _("The ratios are saved.")


def _exclude(request: HttpRequest, row: Draw) -> str:
    if not request.POST.get("reason", "").strip():
        raise ValidationError(_("Give the reason."))
    drawing.exclude(request.user, row, request.POST.get("uscc", ""), request.POST["reason"])
    return _("The unit is excluded.")


def _include(request: HttpRequest, row: Draw) -> str:
    drawing.exclude(request.user, row, request.POST.get("uscc", ""), "")
    return _("The unit is on the list again.")


def _freeze(request: HttpRequest, row: Draw) -> str:
    drawing.freeze(request.user, row)
    return _("The lists are frozen; their hash is logged and public.")


def _value(request: HttpRequest, row: Draw) -> str:
    index = request.POST.get("source", "")
    number = int(index) if index.isdecimal() and len(index) < 3 else -1
    sources = (row.plan or {}).get("sources", [])
    drand = 0 <= number < len(sources) and sources[number]["kind"] == "drand"
    read = forms.drand_round if drand else forms.numbers
    drawing.enter_value(request.user, row, number, read(request.POST.get("value", "")))
    return _("The value is entered and logged.")


def _run(request: HttpRequest, row: Draw) -> str:
    drawing.run(request.user, row)
    return _("The draw is done and logged.")


def _publish(request: HttpRequest, row: Draw) -> str:
    drawing.publish(request.user, row)
    return _("Lists, tickets and result are public now.")


def _void(request: HttpRequest, row: Draw) -> str:
    drawing.void(request.user, row, request.POST.get("reason", ""))
    return _("The draw is void.")


_ACTS: dict[str, Callable[[HttpRequest, Draw], str]] = {
    "ratios": _ratios,
    "exclude": _exclude,
    "include": _include,
    "freeze": _freeze,
    "value": _value,
    "run": _run,
    "publish": _publish,
    "void": _void,
}


# --- the parties -------------------------------------------------------------------------------


def party_token(party: Party) -> str:
    """What opens a party's page: signed, so that nobody else can make one."""
    return signing.dumps([party.pk, party.draw_id], salt=_SALT)


@require_http_methods(["GET", "POST"])
@public
@limited
def party(request: HttpRequest, token: str) -> HttpResponse:
    """A party's own page: commit before the freeze, reveal after it. Who has the address may act."""
    try:
        pk, _draw_pk = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        raise Http404 from None
    row = get_object_or_404(Party.objects.select_related("draw"), pk=pk)
    refused = ""
    if request.method == "POST":
        try:
            if row.draw.state == Draw.State.DRAFT:
                drawing.commit(row, request.POST.get("commitment", ""))
                messages.success(request, _("Your commitment is logged. Keep your secret."))
            else:
                drawing.reveal(row, request.POST.get("secret", "").strip())
                messages.success(
                    request, _("Your secret is received; it becomes public with the draw.")
                )
            return redirect(request.path)
        except Refused as error:
            refused = str(error)
    source = next((s for s in selectors.sources(row.draw) if s.source["kind"] == "parties"), None)
    answer = render(
        request,
        "inspections/party.html",
        {
            "party": row,
            "draw": row.draw,
            "source": source,
            "refused": refused,
            "left_over": [(str(_SAID[n]), t) for n, t in request.POST.items() if n in _SAID and t],
        },
        status=409 if refused else 200,
    )
    answer["Cache-Control"] = "no-store"
    return answer


# --- the public --------------------------------------------------------------------------------


@require_GET
@public
@limited
def public_list(request: HttpRequest) -> HttpResponse:
    rows = selectors.published().defer("plan", "result", "listing", "verifier")
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    return render(request, "inspections/public_list.html", {"page": page})


@require_GET
@public
@limited
def public_draw(request: HttpRequest, name: str) -> HttpResponse:
    """Lists, sources, seed, result, files; `?code=` shows one enterprise's ticket."""
    row = get_object_or_404(selectors.published(), name=name)
    code = request.GET.get("code", "").strip().upper()[:18]
    return render(
        request,
        "inspections/public_draw.html",
        {
            "draw": row,
            "sources": selectors.sources(row),
            "parties": row.parties.all(),
            "steps": selectors.steps(row),
            "code": code,
            "ticket": selectors.ticket(row, code) if code and row.published else None,
            **(_shown(row) if row.published else {}),
            "inspected": results(row) if row.published else [],
        },
    )


@require_GET
@public
@limited
def public_file(request: HttpRequest, name: str, file: str) -> HttpResponse:
    """One published file, byte for byte; `draw.zip` has all of them."""
    row = get_object_or_404(selectors.published(), name=name)
    if not row.published and not may(request.user, "draw.view"):
        raise Http404
    files = selectors.files(row)
    if file == "draw.zip":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for each, data in sorted(files.items()):
                archive.writestr(zipfile.ZipInfo(f"{row.name}/{each}"), data)
        body, kind = out.getvalue(), "application/zip"
    elif file in files:
        body = files[file]
        kind = {"json": "application/json", "csv": "text/csv; charset=utf-8"}.get(
            file.rpartition(".")[2], "text/plain; charset=utf-8"
        )
    else:
        raise Http404
    shown = file if file != "draw.zip" else f"{row.name}.zip"
    return HttpResponse(
        body,
        content_type=kind,
        headers={
            "Content-Disposition": f'attachment; filename="{shown}"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "public, max-age=60" if row.published else "no-store",
        },
    )


@require_GET
@requires("draw.own")
def own(request: HttpRequest) -> HttpResponse:
    """An enterprise's own tickets."""
    return render(request, "inspections/own.html", {"tickets": selectors.own_draws(request.user)})
