"""Inspections: the list, the yearly plan, the page on the spot with what it sends, the record."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

from django.contrib import messages
from django.contrib.staticfiles import finders
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Q
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jingwei.bureau import once, paper
from jingwei.bureau.access import may, public, requires
from jingwei.bureau.accounts import lists
from jingwei.bureau.campaigns.models import Programme
from jingwei.bureau.cases import selectors as cases
from jingwei.bureau.cases.errors import Invalid, Refused
from jingwei.bureau.cases.forms import TransitionForm
from jingwei.bureau.cases.models import Case
from jingwei.bureau.evidencelog.services import reading
from jingwei.bureau.findings.export import csv_response, xlsx_response
from jingwei.bureau.findings.selectors import findings as findings_of
from jingwei.bureau.inspections import draw_selectors, forms, selectors, services
from jingwei.bureau.inspections.flow import INSPECTION, ON_THE_SPOT
from jingwei.bureau.inspections.models import Origin, Photo, Record
from jingwei.bureau.registry.models import Enterprise
from jingwei.evidence import canonical

PAGE = 50
MAX_BODY = 4 * 1024 * 1024


# --- lists and plans ---------------------------------------------------------------------------


@require_GET
@requires("inspection.view")
def listing(request: HttpRequest) -> HttpResponse:
    query = request.GET
    page = Paginator(selectors.search(request.user, query), PAGE).get_page(query.get("page"))
    return render(
        request,
        "inspections/list.html",
        {
            "rows": [(c, selectors.origin_label(c), selectors.day_of(c)) for c in page],
            "page": page,
            "query": query,
            "origins": Origin.choices,
            "states": selectors.STATES,
            "own": selectors.own_open(request.user) if may(request.user, "inspection.act") else [],
            "may_plan": may(request.user, "inspection.plan"),
            "saved": lists.shown(request.user, "inspections:list"),
        },
    )


def _table(request: HttpRequest) -> tuple[list[Any], Iterator[tuple[Any, ...]]]:
    header = [
        _("Title"), _("Kind of inspection"), _("Enterprise"), _("District"), _("Planned for"),
        _("State"), _("Inspectors"), _("Number of problems"),
    ]  # fmt: skip
    rows = (
        (
            c.title,
            selectors.origin_label(c),
            c.enterprise.name,
            c.region.label,
            c.detail.get("day", ""),
            c.state_label,
            " ".join(c.detail.get("team", [])),
            c.detail.get("problems", ""),
        )
        for c in selectors.search(request.user, request.GET).iterator(chunk_size=1000)
    )
    return header, rows


@require_GET
@requires("inspection.view")
def export(request: HttpRequest) -> HttpResponse:
    return csv_response(_("Inspections") + ".csv", *_table(request))


@require_GET
@requires("inspection.view")
def export_xlsx(request: HttpRequest) -> HttpResponse:
    return xlsx_response(_("Inspections") + ".xlsx", *_table(request))


@require_http_methods(["GET", "POST"])
@requires("inspection.plan")
def new(request: HttpRequest) -> HttpResponse:
    """Plan one inspection (`?uscc=`, `?finding=`, `?parent=`: a closed case to look back at)."""
    said = request.POST if request.method == "POST" else request.GET
    typed = (said.get("uscc") or "").replace("\x00", "").strip()
    ids = {int(i) for i in request.GET.getlist("finding") if i.isdecimal() and len(i) < 19}
    chosen = list(findings_of(request.user, "finding.judge").filter(pk__in=ids))
    number = request.GET.get("parent", "")
    parent = None
    if number.isdecimal() and len(number) < 19:
        parent = get_object_or_404(cases.cases(request.user), pk=number)
    enterprises = Enterprise.objects.restrict(request.user, "enterprise.view")
    offered = enterprises
    named = enterprises.filter(Q(uscc=typed.upper()) | Q(name__iexact=typed)) if typed else ()
    meant = list(named[:2])
    enterprise = meant[0] if len(meant) == 1 else None
    if not typed:
        enterprise = next((x.enterprise for x in (parent, *chosen) if x and x.enterprise), None)
    number, programme = request.GET.get("campaign", ""), None
    if number.isdecimal() and len(number) < 10:
        offered_for = Programme.objects.restrict(request.user, "campaign.view").filter(
            kind=Programme.Kind.CAMPAIGN
        )
        if request.method == "GET":  # what was written for one that is over comes back, refused
            offered_for = offered_for.filter(closed=None)
        programme = get_object_or_404(offered_for, pk=number)
    refused, status = "", 200
    start: dict[str, Any] = {"origin": Origin.LOOK_BACK if parent else Origin.TARGETED}
    if programme:
        if places := [r.pk for r in programme.regions.all()]:
            offered = offered.filter(region__in=places)
        start |= {"title": programme.title, "text": programme.text}
    form = TransitionForm(INSPECTION.opening, None, initial=start)
    if request.method == "POST":
        try:
            if len(meant) > 1:
                raise Refused(
                    _("Several enterprises are called %s: enter the unified social credit code.")
                    % typed
                )
            if enterprise is None:
                raise Refused(_("There is no enterprise with the code or name %s.") % typed)
            case = services.plan_inspection(
                request.user,
                enterprise,
                request.POST,
                findings=chosen,
                parent=parent,
                token=once.token(request, number, sorted(f.pk for f in chosen)),
                programme=programme,
            )
        except Invalid as error:
            form, refused, status = error.form, str(error), 422
        except Refused as error:
            form = TransitionForm(INSPECTION.opening, None, request.POST)
            refused, status = str(error), 409
        else:
            messages.success(request, _("The inspection is planned. Now set the team."))
            return redirect(case)
    return render(
        request,
        "inspections/new.html",
        {
            "form": form,
            "uscc": typed or (enterprise.uscc if enterprise else ""),
            "enterprises": offered.order_by("name")[:2000],
            "parent": parent,
            "programme": programme,
            "findings": chosen,
            "closed": [] if parent or chosen or programme else selectors.closed_cases(request.user),
            "open_findings": []
            if parent or chosen or programme
            else selectors.new_findings(request.user),
            "refused": refused,
            "token": secrets.token_hex(8),
        },
        status=status,
    )


@require_http_methods(["GET", "POST"])
@requires("inspection.plan")
def plans(request: HttpRequest) -> HttpResponse:
    """The yearly plans with what came of each line; `?year=` chooses one."""
    act = request.POST.get("act", "")
    plan_form = forms.PlanForm(request.POST if act == "plan" else None)
    rows = selectors.plans(request.user)
    year = request.GET.get("year", "")
    plan = rows.filter(year=int(year)).first() if year.isdecimal() and len(year) == 4 else None
    plan = plan or rows.first()
    item_form = forms.PlanItemForm(request.POST if act == "item" else None)
    refused, status = "", 200
    if request.method == "POST":
        status = 422
        try:
            if act == "plan" and plan_form.is_valid():
                plan = services.keep_plan(request.user, **plan_form.cleaned_data)
                return redirect(f"{request.path}?year={plan.year}")
            if act == "item" and plan is not None and item_form.is_valid():
                services.add_item(request.user, plan, **item_form.cleaned_data)
                return redirect(f"{request.path}?year={plan.year}")
        except Refused as error:
            refused = str(error)
    return render(
        request,
        "inspections/plans.html",
        {
            "plans": rows,
            "plan": plan,
            "lines": selectors.plan_lines(request.user, plan) if plan else [],
            "plan_form": plan_form,
            "item_form": item_form,
            "refused": refused,
            "act": act,
        },
        status=status,
    )


@require_http_methods(["GET", "POST"])
@requires("draw.manage")
def from_draw(request: HttpRequest, draw: int) -> HttpResponse:
    """Plan an inspection for each unit drawn."""
    row = get_object_or_404(draw_selectors.draws(request.user).defer(None), pk=draw)
    form = forms.DayForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            opened = services.plan_from_draw(request.user, row, form.cleaned_data["day"])
        except Refused as error:
            form.add_error(None, str(error))
        else:
            count = len(opened)
            messages.success(
                request,
                ngettext("%d inspection is planned.", "%d inspections are planned.", count) % count,
            )
            return redirect(f"{reverse('inspections:list')}?draw={row.name}")
    status = 422 if form.is_bound else 200
    return render(request, "inspections/from_draw.html", {"draw": row, "form": form}, status=status)


# --- on the spot -------------------------------------------------------------------------------


def _own(request: HttpRequest, pk: int) -> Case:
    return get_object_or_404(selectors.inspections(request.user, "case.act"), pk=pk)


@require_GET
@requires("inspection.act")
def spot(request: HttpRequest, pk: int) -> HttpResponse:
    """The page for a phone. It is kept by the browser and works without a connection."""
    case = _own(request, pk)
    me = selectors.member(case, request.user)
    if me is None:
        messages.error(request, _("Only the inspectors of this inspection's team may do this."))
        return redirect(case)
    if case.state not in ON_THE_SPOT:
        return redirect(case)
    data = {
        "user": request.user.pk,
        "me": me.code,
        "items": selectors.items(case),
        "team": [{"code": i.code, "name": str(i.user)} for i in selectors.team(case)],
        "sheet": selectors.sheet(case, request.user),
    }
    answer = render(
        request,
        "inspections/spot.html",
        {
            "case": case,
            "data": data,
            "items": data["items"],
            "planned_day": selectors.day_of(case),
            **selectors.early(case),
        },
    )
    answer["Cache-Control"] = "no-store"  # kept by the service worker alone
    return answer


def _of_its_user(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Nothing passes between a page kept for one user and the login of another on the same phone.

    The page names its user in `X-Page-User`. One opened before pages did so is answered as it was:
    what it holds would be lost otherwise.
    """

    @wraps(view)
    def wrapped(request: HttpRequest, pk: int) -> HttpResponse:
        if request.headers.get("X-Page-User", str(request.user.pk)) == str(request.user.pk):
            return view(request, pk)
        error = _(
            "Somebody else is logged in than the one who opened this page. What was written stays on"
            " this phone and is sent when its writer has logged in again."
        )
        return JsonResponse({"error": error, "other": True}, status=409)

    return wrapped


def _answered(request: HttpRequest, pk: int, act: Any) -> JsonResponse:
    """Do what a phone sent; the sheet as it is now, or what was wrong in one sentence."""
    try:
        said = act()
    except Case.DoesNotExist:
        raise Http404 from None
    except services.NoAnswerError as error:
        return JsonResponse({"error": " ".join(error.messages), "items": error.items}, status=422)
    except ValidationError as error:
        return JsonResponse({"error": " ".join(error.messages)}, status=422)
    except Refused as error:
        case = _own(request, pk)
        return JsonResponse(
            {"error": str(error), "sheet": selectors.sheet(case, request.user)}, status=409
        )
    case = selectors.inspections(request.user).get(pk=pk)
    return JsonResponse({**said, "sheet": selectors.sheet(case, request.user)})


def _body(request: HttpRequest) -> dict[str, Any]:
    if len(request.body) > MAX_BODY:
        raise ValidationError(_("Too much was sent at once."))
    try:
        found = json.loads(request.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValidationError(_("What was sent cannot be read."))
    return found


@require_POST
@requires("inspection.act")
@_of_its_user
def answers(request: HttpRequest, pk: int) -> HttpResponse:
    """Answers from a phone (JSON)."""
    return _answered(
        request,
        pk,
        lambda: services.keep_answers(request.user, pk, _body(request).get("answers")),
    )


@require_POST
@requires("inspection.act")
@_of_its_user
def photos(request: HttpRequest, pk: int) -> HttpResponse:
    """One photo from a phone."""

    def act() -> dict[str, Any]:
        row = services.keep_photo(request.user, pk, request.POST, request.FILES.get("file"))
        return {"uid": str(row.uid), "sha256": row.sha256}

    return _answered(request, pk, act)


@require_POST
@requires("inspection.act")
@_of_its_user
def finish(request: HttpRequest, pk: int) -> HttpResponse:
    """The signatures and the end of the work on the spot (JSON)."""

    def act() -> dict[str, Any]:
        return {"record": services.finish(request.user, pk, _body(request)).sha256}

    return _answered(request, pk, act)


@require_GET
@requires("inspection.act")
@_of_its_user
def state(request: HttpRequest, pk: int) -> HttpResponse:
    """The sheet as it is now: the phone asks when the connection is back."""
    return JsonResponse({"sheet": selectors.sheet(_own(request, pk), request.user)})


@require_GET
@public
def worker(request: HttpRequest) -> HttpResponse:
    """The service worker. It stands here and not under the static files: where it lies says which
    pages it may keep."""
    path = finders.find("inspections/worker.js")
    if path is None:
        raise Http404
    return HttpResponse(
        Path(path).read_bytes(),
        content_type="text/javascript",
        headers={"Cache-Control": "no-cache"},
    )


# --- what is kept ------------------------------------------------------------------------------
# It names, quotes and shows people: each reading leaves an entry, and no copy in the browser.

_KEPT_NOWHERE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store"}


def _read(request: HttpRequest, what: str, subject: str) -> None:
    with transaction.atomic():
        reading(request.user, what, subject)


@require_GET
@requires("case.view")
def photo(request: HttpRequest, uid: Any) -> HttpResponse:
    row = get_object_or_404(Photo.objects.restrict(request.user, "case.view"), uid=uid)
    _read(request, "photo", f"inspection-photo:{row.uid}")
    try:
        stream = row.file.open("rb")
    except FileNotFoundError:
        raise Http404(_("The file is missing on the disk.")) from None
    return FileResponse(stream, content_type=row.content_type, headers=_KEPT_NOWHERE)


def _record(request: HttpRequest, pk: int) -> Record:
    rows = Record.objects.restrict(request.user, "case.view")
    return get_object_or_404(rows.select_related("case__enterprise", "evidence"), case=pk)


@require_GET
@requires("case.view")
def record(request: HttpRequest, pk: int) -> HttpResponse:
    """The signed record as a document; `?format=pdf`: as a file."""
    row = _record(request, pk)
    _read(request, "inspection", f"inspection-record:{pk}")
    context: dict[str, Any] = {
        "record": row,
        "case": row.case,
        "said": row.content,
        "started": parse_datetime(row.content["started"]),
        "ended": parse_datetime(row.content["ended"]),
        "signatures": row.signatures.all(),
        "photos": row.case.photos.all(),
        "may_prove": may(request.user, "evidence.view"),
    }
    photos = {p.get_absolute_url(): p for p in context["photos"]}
    signatures = {
        reverse("inspections:signature", args=[pk, s.pk]): s for s in context["signatures"]
    }

    def picture(source: str) -> bytes | None:
        if source in signatures:
            _read(request, "inspection", f"inspection-signature:{signatures[source].pk}")
            return bytes(signatures[source].picture)
        _read(request, "photo", f"inspection-photo:{photos[source].uid}")
        try:
            with photos[source].file.open("rb") as stream:
                held: bytes = stream.read()
        except FileNotFoundError:
            return None
        return held

    title = f"现场检查笔录 {row.content['enterprise']['name']}"  # the document's own, in Chinese
    answer = paper.answer(
        request, "inspections/record.html", context, title, context["ended"], picture
    )
    answer["Cache-Control"] = "private, no-store"
    return answer


@require_GET
@requires("case.view")
def record_json(request: HttpRequest, pk: int) -> HttpResponse:
    """The record's bytes: their SHA-256 is the one in the evidence log."""
    row = _record(request, pk)
    _read(request, "inspection", f"inspection-record:{pk}")
    return HttpResponse(
        canonical.dumps(row.content),
        content_type="application/json",
        headers={
            **_KEPT_NOWHERE,
            "Content-Disposition": f'attachment; filename="record-{pk}.json"',
        },
    )


@require_GET
@requires("case.view")
def signature(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    row = get_object_or_404(_record(request, pk).signatures, pk=number)
    _read(request, "inspection", f"inspection-signature:{row.pk}")
    return HttpResponse(bytes(row.picture), content_type="image/png", headers=_KEPT_NOWHERE)
