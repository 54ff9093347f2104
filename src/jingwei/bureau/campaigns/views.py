"""Lists, campaigns, four steps, shared cases."""

from __future__ import annotations

import base64
import secrets
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from jingwei.bureau import once
from jingwei.bureau.access import may, public, requires
from jingwei.bureau.accounts.calendar import sentences
from jingwei.bureau.accounts.models import Department
from jingwei.bureau.accounts.selectors import department_label
from jingwei.bureau.campaigns import acting, forms, selectors, services, sheets
from jingwei.bureau.campaigns.course import CAMPAIGN, matter_choices
from jingwei.bureau.campaigns.flows import ANSWER
from jingwei.bureau.campaigns.models import Programme, Share
from jingwei.bureau.cases import selectors as cases
from jingwei.bureau.cases.errors import Invalid, Refused
from jingwei.bureau.cases.forms import TransitionForm
from jingwei.bureau.cases.models import Case
from jingwei.bureau.cases.views import shown_facts
from jingwei.bureau.findings.export import csv_response, xlsx_response
from jingwei.bureau.findings.ratelimit import within
from jingwei.bureau.findings.selectors import day as day_of
from jingwei.bureau.findings.services import Refused as TableRefused
from jingwei.bureau.findings.written import written

SALT = "campaigns.sheet"
KINDS = {"lists": Programme.Kind.LIST, "campaigns": Programme.Kind.CAMPAIGN}


# --- lists and campaigns -----------------------------------------------------------------------


@require_GET
@requires("campaign.view")
def index(request: HttpRequest) -> HttpResponse:
    rows = selectors.programmes(request.user)
    return render(
        request,
        "campaigns/index.html",
        {
            "lists": [p for p in rows if p.kind == Programme.Kind.LIST],
            "campaigns": [p for p in rows if p.kind == Programme.Kind.CAMPAIGN],
            "today": timezone.localdate(),
            "may_manage": may(request.user, "campaign.manage"),
        },
    )


@require_http_methods(["GET", "POST"])
@requires("campaign.manage")
def new(request: HttpRequest, kind: str) -> HttpResponse:
    form = forms.ProgrammeForm(KINDS[kind], request.POST or None)
    if request.method == "POST" and form.is_valid():
        deed = once.token(request, kind)
        programme = services.begin(request.user, KINDS[kind], form.cleaned_data, token=deed)
        messages.success(request, _("It is entered."))
        return redirect(programme)
    status = 422 if form.errors else 200
    context = {"form": form, "kind": kind, "token": secrets.token_hex(8)}
    return render(request, "campaigns/new.html", context, status=status)


def _programme(request: HttpRequest, pk: int, action: str = "campaign.view") -> Programme:
    rows = Programme.objects.restrict(request.user, action).select_related("lead")
    found: Programme = get_object_or_404(rows, pk=pk)
    return found


@require_GET
@requires("campaign.view")
def programme(request: HttpRequest, pk: int) -> HttpResponse:
    row = _programme(request, pk)
    return _show(request, row)


def _show(request: HttpRequest, row: Programme, status: int = 200, **forms_: Any) -> HttpResponse:
    """The page; `forms_`: the form that came back, by the name the page knows it by. Where the page
    has that form no more, it shows why, and the texts for copying."""
    if forms_:
        row.refresh_from_db()
    own = list(selectors.own_cases(request.user, row))
    whole, departments = selectors.board(own)
    context = {
        "programme": row,
        "whole": whole,
        "departments": departments,
        "may_manage": may(request.user, "campaign.manage") and not row.closed,
        "may_report": may(request.user, "campaign.report") and not row.closed,
        "seen": row.changes.count(),
        "token": secrets.token_hex(8),
        "query": request.GET,
        **forms_,
    }
    if context["may_manage"]:
        context["acts"] = _acts(row, context.pop("act", None))
    if row.kind == Programme.Kind.LIST:
        context["items"] = selectors.items(request.user, row, request.GET)
        context["sheet_form"] = context.get("sheet_form") or forms.SheetForm()
        context |= _outcome(request, row, forms_.get("recommend_form"))
        context |= _homeless(row, context, *forms_.values())
        return render(request, "campaigns/list.html", context, status=status)
    context |= {
        "inspections": (planned := selectors.inspections(request.user, row)),
        "inspected": sum(bool(case.issued) for case in planned),
        "may_inspect": may(request.user, "inspection.plan") and not row.closed,
        "cases": sorted(own, key=lambda c: -c.pk)[:50],
        "figures": selectors.figures(request.user, row),
        **_outcome(request, row, forms_.get("recommend_form")),
        "summaries": row.summaries.select_related("actor")[:60],
        "teams": row.teams.select_related("region").prefetch_related("members__department"),
        "happened": selectors.happened(row),
        "summary_form": context.get("summary_form")
        or forms.SummaryForm(initial={"day": min(timezone.localdate(), row.last_day)}),
        "matters": dict(matter_choices()),
    }
    context |= _homeless(row, context, *forms_.values())
    return render(request, "campaigns/campaign.html", context, status=status)


def _homeless(row: Programme, context: dict[str, Any], *sent: Any) -> dict[str, Any]:
    """What is shown of a form that came back and stands nowhere on the page."""
    there = [*context.get("acts", {}).values(), *(p["form"] for p in context["proposals"])]
    if row.kind == Programme.Kind.LIST:
        there += [context["sheet_form"]] if context["may_manage"] else []
    elif context["may_report"]:
        there.append(context["summary_form"])
    for form in sent:
        if not any(form is one for one in there):
            wrong = [sentence for found in form.errors.values() for sentence in found]
            over = (
                [_("It is over: “%(state)s”.") % {"state": row.at.label}] if row.closed else wrong
            )
            why = form.non_field_errors() or over
            return {"refused": " ".join(why), "left_over": written(form)}
    return {}


def _acts(row: Programme, bound: TransitionForm | None = None) -> dict[str, TransitionForm]:
    """The forms of what may be done to a programme now, by the act's name."""
    # "untie" has a form for each team.
    steps = [s for s in CAMPAIGN.transitions if row.state in s.sources and s.name != "untie"]
    if row.kind == Programme.Kind.LIST:
        steps = [s for s in steps if s.name == "conclude"]
    sent = bound.transition.name if bound else ""
    return {s.name: bound if bound and s.name == sent else TransitionForm(s, row) for s in steps}


def _outcome(
    request: HttpRequest, row: Programme, bound: forms.RecommendForm | None = None
) -> dict[str, Any]:
    """What came of a programme: evaluation, causes, recommendations and what is proposed."""
    found = selectors.causes(request.user, row)
    may_conclude = may(request.user, "campaign.manage")  # who sees the cases of the whole city
    proposed = selectors.proposals(found, row) if may_conclude else []
    sent = bound.data.get("cause") if bound is not None else None
    for one in proposed:
        again = one["cause"].code == sent
        one["form"] = (
            bound if again else forms.RecommendForm(initial=one["initial"], cause=one["cause"].code)
        )
    return {
        "causes": found,
        "evaluation": selectors.shown_evaluation(row),
        "recommendations": selectors.recommendations(row),
        "proposals": proposed,
        "may_recommend": may_conclude,
    }


@require_http_methods(["POST"])
@requires("campaign.manage")
def act(request: HttpRequest, pk: int, what: str) -> HttpResponse:
    """An act of the flow `course.CAMPAIGN`."""
    row = _programme(request, pk, "campaign.manage")
    step = CAMPAIGN.transition(what)
    if step is None or not step.sources:
        raise Http404
    seen = request.POST.get("seen", "")
    known = int(seen) if seen.isdecimal() and len(seen) < 10 else 0
    form = TransitionForm(step, row, request.POST)
    deed = once.token(request, pk, what)
    try:
        if what == "untie":
            team = request.POST.get("team", "")
            number = int(team) if team.isdecimal() and len(team) < 10 else 0
            acting.remove_team(request.user, row, number, request.POST.get("text", ""))
        elif what == "team":
            if not form.is_valid():
                return _show(request, row, 422, act=form)
            said = {**form.cleaned_data}
            acting.add_team(request.user, row, reason=said.pop("text"), token=deed, **said)
        elif what == "conclude":
            figures = selectors.figures(request.user, row)
            text = request.POST.get("text", "")
            acting.conclude(request.user, row.pk, text, figures, seen=known, token=deed)
        else:
            how = {"amend": acting.amend, "call_off": acting.call_off}[what]
            how(request.user, row.pk, request.POST, seen=known, token=deed)
    except Invalid as error:
        return _show(request, row, 422, act=error.form)
    except Refused as error:
        form.add_error(None, str(error))
        return _show(request, row, 409, act=form)
    messages.success(request, _("It is saved."))
    return redirect(row)


@require_http_methods(["POST"])
@requires("campaign.report")
def write(request: HttpRequest, pk: int, what: str) -> HttpResponse:
    """A daily summary, a recommendation or its withdrawal, an evaluation."""
    row = _programme(request, pk, "campaign.report")
    deed = once.token(request, pk, what)
    if what in ("evaluate", "withdraw"):
        try:
            if what == "evaluate":
                services.evaluate(request.user, row, token=deed)
            else:
                number = request.POST.get("recommendation", "")
                services.withdraw(
                    request.user, row, int(number) if number.isdecimal() and len(number) < 10 else 0
                )
        except Refused as error:
            messages.error(request, str(error))
        else:
            messages.success(request, _("It is saved."))
        return redirect(row)
    if what == "recommend":
        return _recommend(request, row, forms.RecommendForm(request.POST), deed)
    if what != "summary":
        raise Http404
    form = forms.SummaryForm(request.POST)
    if not form.is_valid():
        return _show(request, row, 422, summary_form=form)
    data = form.cleaned_data
    try:
        figures = selectors.figures(request.user, row, data["day"])
        services.summarise(request.user, row, data["day"], data["text"], figures, token=deed)
    except Refused as error:
        form.add_error(None, str(error))
        return _show(request, row, 409, summary_form=form)
    messages.success(request, _("It is saved."))
    return redirect(row)


def _recommend(
    request: HttpRequest, row: Programme, form: forms.RecommendForm, deed: str
) -> HttpResponse:
    status = 422
    if form.is_valid():
        try:
            services.recommend(request.user, row, token=deed, **form.cleaned_data)
        except Refused as error:
            form.add_error(None, str(error))
            status = 409
        else:
            messages.success(request, _("It is saved."))
            return redirect(row)
    return _show(request, row, status, recommend_form=form)


@require_GET
@requires("campaign.view")
def report(request: HttpRequest, pk: int) -> HttpResponse:
    """The closing report of a campaign or list, to be printed."""
    row = _programme(request, pk)
    own = list(selectors.own_cases(request.user, row))
    whole, departments = selectors.board(own)
    return render(
        request,
        "campaigns/report.html",
        {
            "programme": row,
            "whole": whole,
            "departments": departments,
            "figures": selectors.figures(request.user, row),
            **_outcome(request, row),
            "summaries": row.summaries.all(),
            "happened": selectors.happened(row),
            "whose": selectors.whose(request.user),
            "printed": timezone.now(),
        },
    )


# --- items of a list -----------------------------------------------------------------------------


@require_GET
@requires("campaign.manage")
def template(request: HttpRequest) -> HttpResponse:
    """An empty table with the headings in the reader's language and a line that explains."""
    head = [str(label) for label, _need in sheets.COLUMNS.values()]
    need = [
        ("#" if i == 0 else "")
        + sheets.HINTS.get(name, _("required") if must else _("may be empty"))
        for i, (name, (_label, must)) in enumerate(sheets.COLUMNS.items())
    ]
    return xlsx_response(_("Rectification list") + ".xlsx", head, [need])


@require_http_methods(["POST"])
@requires("campaign.manage")
def enter(request: HttpRequest, pk: int) -> HttpResponse:
    """Look at a table, then enter it: the file travels signed between the two steps."""
    row = _programme(request, pk, "campaign.manage")
    confirmed = request.POST.get("sheet", "")
    if confirmed:
        try:
            data = base64.b64decode(signing.loads(confirmed, salt=SALT, max_age=3600))
        except (signing.BadSignature, ValueError):
            messages.error(
                request, _("The preview is older than an hour: hand the table in again.")
            )
            return redirect(row)
    else:
        form = forms.SheetForm(request.POST, request.FILES)
        if not form.is_valid():
            return _show(request, row, 422, sheet_form=form)
        data = form.cleaned_data["file"].read(sheets.LARGEST + 1)
    try:
        rows, problems = sheets.read(row, data)
        deed = once.token(request, pk)
        # Sent twice, its numbers stand in the list already.
        if confirmed and (not problems or services.entered(request.user, deed)):
            count = services.enter(request.user, row, rows, token=deed)
            messages.success(
                request, _("%d items are entered and handed to their departments.") % count
            )
            return redirect(row)
    except (Refused, TableRefused) as error:
        form = forms.SheetForm()
        form.errors["file"] = [str(error)]
        return _show(request, row, 422, sheet_form=form)
    return render(
        request,
        "campaigns/preview.html",
        {
            "programme": row,
            "rows": rows,
            "problems": problems,
            "token": secrets.token_hex(8),
            "sheet": ""
            if problems
            else signing.dumps(base64.b64encode(data).decode(), salt=SALT, compress=True),
        },
        status=422 if problems else 200,
    )


@require_GET
@requires("campaign.view")
def export(request: HttpRequest, pk: int) -> HttpResponse:
    row = _programme(request, pk)
    header = [
        _("Number"), _("Title"), _("Problem"), _("Lead department"), _("Responsible leader"),
        _("Region"), _("Enterprise"), _("Measures"), _("Target"), _("To be done by"), _("State"),
        _("Cleared"), _("Milestones"),
    ]  # fmt: skip
    lines = (
        (
            i.number,
            i.case.title,
            i.case.text,
            department_label(i.case.department),
            i.case.detail.get("leader", ""),
            i.case.region.label,
            i.case.enterprise.name if i.case.enterprise else "",
            i.case.detail.get("measures", ""),
            i.case.detail.get("target", ""),
            timezone.localtime(i.case.due).date().isoformat() if i.case.due else "",
            i.case.state_label,
            i.case.closed,
            "；".join(
                f"{m['day']} {m['text']}" + (f" ✓{m['done']}" if m.get("done") else "")
                for m in i.case.detail.get("milestones", [])
            ),
        )
        for i in selectors.items(request.user, row, request.GET)
    )
    if request.GET.get("form") == "xlsx":
        return xlsx_response(_("Rectification list") + ".xlsx", header, lines)
    return csv_response(_("Rectification list") + ".csv", header, lines)


@require_GET
@requires("campaign.view")
def responsibility(request: HttpRequest, department: int) -> HttpResponse:
    """The responsibility list of a department, to be printed."""
    lead = get_object_or_404(Department, pk=department)
    return render(
        request,
        "campaigns/responsibility.html",
        {
            "department": department_label(lead),
            "items": selectors.responsibilities(request.user, lead),
            "printed": timezone.now(),
        },
    )


# --- four steps ----------------------------------------------------------------------------------


@require_GET
@requires("campaign.view")
def four_steps(request: HttpRequest) -> HttpResponse:
    today = timezone.localdate()
    first = day_of(request.GET, "from") or today - timedelta(days=89)
    last = day_of(request.GET, "to") or today
    steps, table = selectors.four_steps(request.user, first, last)
    if (kind := request.GET.get("form")) in ("csv", "xlsx"):
        header = [_("Region"), *steps, _("Source found"), _("All")]
        lines = ((r["region"], *r["cells"], r["source"], r["all"]) for r in table)
        response = csv_response if kind == "csv" else xlsx_response
        return response(f"four-steps.{kind}", header, lines)
    totals = [sum(column) for column in zip(*(r["cells"] for r in table), strict=True)]
    return render(
        request,
        "campaigns/four_steps.html",
        {
            "steps": steps,
            "table": table,
            "totals": totals,
            "all": sum(r["all"] for r in table),
            "source": sum(r["source"] for r in table),
            "first": first,
            "last": last,
            "may_share": may(request.user, "campaign.share"),
        },
    )


# --- shared cases --------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@requires("campaign.share")
def shares(request: HttpRequest) -> HttpResponse:
    """Cases shared with other authorities; `?case=` opens the form for one."""
    wanted = request.GET.get("case", "").strip()[:64]
    case = cases.numbered(request.user, wanted) if wanted else None
    form, link = forms.ShareForm(request.POST or None), ""
    if request.method == "POST" and request.POST.get("revoke", "").isdecimal():
        made = get_object_or_404(selectors.shares(request.user), pk=int(request.POST["revoke"]))
        services.revoke(request.user, made.pk)
        messages.success(request, _("The link is closed."))
        return redirect("campaigns:shares")
    status = 404 if wanted and case is None else 200
    if request.method == "POST" and case is not None:
        status = 422
        if form.is_valid():
            try:
                deed = once.token(request, case.pk)
                _made, token = services.share(request.user, case.pk, form=deed, **form.cleaned_data)
                link = request.build_absolute_uri(reverse("campaigns:shared", args=[token]))
                form, status = forms.ShareForm(), 200
            except Refused as error:
                form.add_error(None, str(error))
    return render(
        request,
        "campaigns/shares.html",
        {
            "case": case,
            "wanted": wanted,
            "form": form,
            "token": secrets.token_hex(8),
            "link": link,
            "rows": selectors.shares(request.user),
            "now": timezone.now(),
        },
        status=status,
    )


@never_cache
@require_http_methods(["GET", "POST"])
@public
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """The neighbour's side of a shared case: what is shared, and its answers. No login."""
    now = timezone.now()
    if not within("shared", request.META["REMOTE_ADDR"], 60, timedelta(minutes=1), now):
        return render(request, "campaigns/shared_gone.html", {"busy": True}, status=429)
    made = selectors.shared(token)
    if made is None:
        return _gone(request)
    sent = (request.POST, request.FILES) if request.method == "POST" else ()
    form = TransitionForm(ANSWER, made.case, *sent)
    if request.method == "POST" and form.is_valid():
        try:
            services.answer(made, form, token=once.token(request, made.pk))
        except Refused as error:
            if selectors.shared(token) is None:
                return _gone(request)
            form.add_error(None, str(error))
        else:
            messages.success(request, _("Your answer has been received."))
            return redirect(request.path)
    if request.method == "GET":
        services.opened(made)
    return render(
        request,
        "campaigns/shared.html",
        {
            "share": made,
            **_part(made),
            "form": form,
            "token": secrets.token_hex(8),
            "answers": selectors.answers(made),
        },
        status=422 if form.errors else 200,
    )


def _gone(request: HttpRequest) -> HttpResponse:
    """A link that is not in force, with what was to be answered by it, for copying."""
    sent = TransitionForm(ANSWER, None, request.POST, request.FILES)
    context = {"left_over": written(sent)}
    return render(request, "campaigns/shared_gone.html", context, status=404)


def _part(made: Share) -> dict[str, Any]:
    """What the neighbour sees of a case."""
    case: Case = made.case
    return {
        "case": case,
        "facts": shown_facts(cases.facts(case)) if made.with_facts else [],
        "derivation": sentences(case.derivation),
    }
