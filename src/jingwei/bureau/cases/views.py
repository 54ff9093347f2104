"""Cases: the list, one case with what this user may do, the order, the check on the spot."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone, translation
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from jingwei.bureau import once, paper
from jingwei.bureau.access import Role, may, public, requires
from jingwei.bureau.accounts import lists
from jingwei.bureau.accounts.calendar import sentences
from jingwei.bureau.cases import panels, selectors, services
from jingwei.bureau.cases.errors import Gone, Invalid, Refused, Unknown
from jingwei.bureau.cases.flow import Transition
from jingwei.bureau.cases.flows import FLOWS
from jingwei.bureau.cases.forms import TransitionForm
from jingwei.bureau.cases.models import Case, CaseFile
from jingwei.bureau.cases.pauses import ledger
from jingwei.bureau.evidencelog.services import reading
from jingwei.bureau.findings import files
from jingwei.bureau.findings.export import csv_response, xlsx_response
from jingwei.bureau.findings.selectors import findings as findings_of
from jingwei.bureau.findings.written import written
from jingwei.bureau.language import factor_name
from jingwei.bureau.registry.models import PermitLimit
from jingwei.bureau.rows import beyond
from jingwei.evidence import digest

PAGE = 50


# --- lists -----------------------------------------------------------------------------------


@require_GET
@requires("case.view")
def listing(request: HttpRequest) -> HttpResponse:
    query = request.GET
    rows = selectors.listed(selectors.search(request.user, query))
    page = Paginator(rows, PAGE).get_page(query.get("page"))
    outside = request.user.role == Role.ENTERPRISE
    return render(
        request,
        "cases/list.html",
        {
            "page": page,
            "query": query,
            "flows": [(flow.name, flow.label) for flow in selectors.flows(request.user)],
            "states": selectors.states(request.user, query.get("flow", "")),
            "districts": []
            if outside
            else [(d.pk, d.label) for d in selectors.districts_to_choose()],
            "acts": may(request.user, "case.act"),
            "saved": lists.shown(request.user, "cases:list"),
            "may_count": may(request.user, "case.statistics"),
        },
    )


def _table(request: HttpRequest) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    header = [
        _("Flow"),
        _("Document number"),
        _("Title"),
        _("State"),
        _("Enterprise"),
        _("District"),
        _("Opened"),
        _("Issued"),
        _("Deadline"),
        _("Waiting since"),
        _("To be done by"),
        _("Escalated to level"),
        _("Closed"),
    ]
    rows = (
        (
            c.rules.label,
            c.number,
            c.title,
            c.state_label,
            c.enterprise.name if c.enterprise else "",
            c.region.label,
            c.opened,
            c.issued,
            c.due,
            c.level_since,
            c.next_due,
            c.escalated,
            c.closed,
        )
        for c in selectors.search(request.user, request.GET).iterator(chunk_size=1000)
    )
    return header, rows


@require_GET
@requires("case.view")
def export(request: HttpRequest) -> HttpResponse:
    return csv_response(_("Cases") + ".csv", *_table(request))


@require_GET
@requires("case.view")
def export_xlsx(request: HttpRequest) -> HttpResponse:
    return xlsx_response(_("Cases") + ".xlsx", *_table(request))


@public
@require_GET
def published(request: HttpRequest) -> HttpResponse:
    """For everybody: the orders that were made public."""
    page = Paginator(selectors.published(request.GET), PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "cases/published.html",
        {
            "page": page,
            "orders": [selectors.public(case) for case in page.object_list],
            "query": request.GET,
            "districts": selectors.districts_to_choose(),
        },
    )


def _published_table(request: HttpRequest) -> tuple[list[str], Iterator[list[Any]]]:
    header = [
        _("Document number"),
        _("Summary"),
        _("Enterprise"),
        _("District"),
        _("State"),
        _("Issued"),
        _("Deadline"),
        _("Closed"),
        _("Published"),
    ]
    names = [
        "number",
        "summary",
        "enterprise",
        "district",
        "state",
        "issued",
        "due",
        "closed",
        "published",
    ]
    rows = (
        [order[name] for name in names]
        for order in map(selectors.public, selectors.published(request.GET))
    )
    return header, rows


@public
@require_GET
def published_csv(request: HttpRequest) -> HttpResponse:
    return csv_response("orders.csv", *_published_table(request))


@public
@require_GET
def published_xlsx(request: HttpRequest) -> HttpResponse:
    return xlsx_response("orders.xlsx", *_published_table(request))


# --- open ------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@requires("case.act")
def open_case(request: HttpRequest) -> HttpResponse:
    """The opening form of a flow (`?flow=`, else the one that fits); findings stand in the URL
    (`?finding=1&finding=2`), and so does the case from which it comes (`?parent=`)."""
    ids = {int(i) for i in request.GET.getlist("finding") if i.isdecimal() and len(i) < 19}
    shown = findings_of(request.user, "finding.judge").filter(pk__in=ids).order_by("pk")
    sent = request.method == "POST"  # what the page shows is read if it is shown again
    chosen = list(shown.select_related(None).only("enterprise") if sent else shown)
    offered = selectors.flows_to_open(request.user, chosen)
    name = request.GET.get("flow") or (offered[0].name if offered else "")
    rules = FLOWS.get(name)
    if rules is None or not selectors.may_open(request.user, rules):
        refused = _("Your role may not open a case.")
        if sent and rules:
            form = TransitionForm(rules.opening, None, request.POST, request.FILES)
            context = {"refused": refused, "left_over": written(form)}
            return render(request, "cases/gone.html", context, status=403)
        messages.error(request, refused)
        return redirect("cases:list")
    number = request.GET.get("parent", "")
    parent = (
        get_object_or_404(selectors.cases(request.user), pk=number)
        if number.isdecimal() and len(number) < 19
        else None
    )
    refused, status = "", 200
    if sent:
        try:
            case = services.open_case(
                request.user,
                chosen,
                request.POST,
                flow=rules.name,
                parent=parent,
                files=request.FILES,
                token=once.token(request, rules.name, sorted(ids), number),
            )
        except Invalid as error:
            form, refused, status = error.form, str(error), 422
        except Refused as error:
            form = TransitionForm(rules.opening, None, request.POST, request.FILES)
            refused, status = str(error), 409
        else:
            messages.success(request, _("Done: %(act)s.") % {"act": rules.opening.label})
            return redirect(case)
    else:
        from_parent = list(parent.findings.all()) if parent else []
        initial = rules.draft(chosen or from_parent) if rules.draft else {}
        form = TransitionForm(rules.opening, None, initial=initial)
    findings = list(shown) if sent else chosen
    asked = bool(findings or parent or not rules.needs_findings)
    return render(
        request,
        "cases/open.html",
        {
            "flow": rules,
            "flows": offered,
            "findings": findings,
            "parent": parent,
            "form": form if asked else None,
            "refused": refused,
            "left_over": written(form) if sent and not asked else [],
            "token": secrets.token_hex(8),
        },
        status=status,
    )


# --- one case --------------------------------------------------------------------------------


@require_GET
@requires("case.view")
def case(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(selectors.cases(request.user), pk=pk)
    return render(request, "cases/case.html", _context(request, row))


def _context(
    request: HttpRequest,
    row: Case,
    step: Transition | None = None,
    bound: TransitionForm | None = None,
    refused: str = "",
) -> dict[str, Any]:
    allowed = selectors.allowed(request.user, row)
    shown = step.name if step else request.GET.get("act", "")
    forms = []
    for act in allowed:
        again = step is not None and bound is not None and act.name == step.name
        form = bound if again else TransitionForm(act, row)
        forms.append(
            {
                "step": act,
                "form": form,
                "refused": refused if again else "",
                "open": again or act.name == shown or (act.tone == "primary" and not shown),
            }
        )
    lost = refused and not any(f["refused"] for f in forms)
    return {
        "case": row,
        "forms": forms,
        "refused": refused if lost else "",
        # Written for an act that is not possible any more: shown to be copied, not thrown away.
        "left_over": written(bound) if lost and bound is not None else [],
        "token": secrets.token_hex(8),
        "facts": shown_facts(selectors.facts(row)),
        "visible": set(findings_of(request.user).filter(cases=row).values_list("pk", flat=True)),
        "timeline": selectors.timeline(request.user, row),
        "derivation": sentences(row.derivation),
        "pauses": ledger(row),
        "level_derivation": sentences(row.level_derivation),
        "may_prove": may(request.user, "evidence.view"),
        "may_check": any(act.name == "verify" for act in allowed),
        "papers": row.rules.papers(row, request.user),
        "openings": selectors.openings(request.user, row),
        "children": selectors.cases(request.user).filter(parent=row),
        "parent": selectors.cases(request.user).filter(pk=row.parent_id).first(),
        "parties": row.parties.all(),
        "panels": panels.of(request.user, row),
        **(row.rules.panel_context(row, request.user) if row.rules.panel_context else {}),
    }


def shown_facts(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Stored facts with times and names for a reader."""
    return [
        {
            **finding,
            "began": parse_datetime(finding["began"]),
            "ended": parse_datetime(finding["ended"]),
            "more": finding["count"] - len(finding["rows"]),
            "one_source": len({(row["source"], row["verified"]) for row in finding["rows"]}) == 1,
            "converted": next(
                (_plain(r["reference_o2"]) for r in finding["rows"] if r.get("o2") is not None),
                None,
            ),
            "rows": [
                {
                    **row,
                    "time": parse_datetime(row["time"]),
                    "reported": _plain(row.get("reported")),
                    "o2": _plain(row.get("o2")),
                    **_printed(row["value"], row["limit"]),
                    "factor": factor_name(row["factor"]),
                    "period": str(PermitLimit.Period(row["period"]).label),
                    "verified": str(PermitLimit.Verified(row["verified"]).label),
                    "sure": row["verified"] == PermitLimit.Verified.VERIFIED,
                }
                for row in finding["rows"]
            ],
        }
        for finding in found
    ]


def doubts(found: list[dict[str, Any]]) -> list[str]:
    """The limits in stored facts whose text nobody has compared with the source, once each."""
    sources = {
        (row["source"], row["verified"])
        for finding in found
        for row in finding["rows"]
        if row["verified"] != PermitLimit.Verified.VERIFIED
    }
    return [
        _("Limit from %(source)s: %(verified)s")
        % {"source": source, "verified": PermitLimit.Verified(verified).label}
        for source, verified in sorted(sources)
    ]


def _plain(value: float | None) -> str | None:
    """A number as it was sent: without exponent, without trailing zeros."""
    return None if value is None else f"{Decimal(repr(float(value))).normalize():f}"


def _printed(value: float, limit: float) -> dict[str, str]:
    """Both as texts: a value with two decimals more than its limit, or as many as tell them apart."""
    text = f"{Decimal(repr(limit)).normalize():f}"
    places = 2 + len(text.partition(".")[2])
    while value != limit and float(f"{value:.{places}f}") == limit:
        places += 1
    return {"value": f"{value:.{places}f}".rstrip("0").rstrip("."), "limit": text}


@require_http_methods(["GET", "POST"])
@requires("case.act")
def act(request: HttpRequest, pk: int, transition: str) -> HttpResponse:
    """Do it; what was typed is shown again where it did not come about.

    A GET (after a login that had run out) leads back to the case with the form open, where the
    browser's draft is.
    """
    if request.method == "GET":
        row = get_object_or_404(Case.objects.restrict(request.user, "case.act"), pk=pk)
        step = row.rules.transition(transition)
        if step is None or step is row.rules.opening or step.clock:
            raise Http404
        return redirect(f"{row.get_absolute_url()}?act={step.name}#act-{step.name}")
    posted = request.POST
    version = posted.get("version", "")
    try:
        event = services.act(
            request.user,
            pk,
            transition,
            int(version) if version.isdecimal() and len(version) < 9 else 0,
            posted,
            request.FILES,
            token=once.token(request, pk, transition),
        )
    except (Case.DoesNotExist, Unknown):
        raise Http404 from None
    except Gone as error:
        return _gone(request, pk, transition, str(error))
    except Invalid as error:
        return _again(request, pk, transition, error.form, str(error), 422)
    except Refused as error:
        return _again(request, pk, transition, None, str(error), 409)
    row = event.case
    messages.success(request, _("Done: %(act)s.") % {"act": event.label})
    moved = services.PLACE & event.changes.keys()
    if moved and not selectors.cases(request.user).filter(pk=pk).exists():
        messages.info(request, _("The case is not in your jurisdiction any more."))
        return redirect("cases:list")
    return redirect(row)


def _gone(request: HttpRequest, pk: int, transition: str, refused: str) -> HttpResponse:
    """Somebody was faster, and the case is another's now: what was typed is shown to be copied."""
    with beyond():  # it was the user's when the form was shown
        row = Case.objects.get(pk=pk)
        step = row.rules.transition(transition)
        left = written(TransitionForm(step, row, request.POST, request.FILES)) if step else []
    context = {"refused": refused, "left_over": left}
    return render(request, "cases/gone.html", context, status=409)


def _again(
    request: HttpRequest, pk: int, act: str, form: TransitionForm | None, refused: str, status: int
) -> HttpResponse:
    row = get_object_or_404(selectors.cases(request.user, "case.act"), pk=pk)
    step = row.rules.transition(act)
    form = form or TransitionForm(step, row, request.POST, request.FILES)
    context = _context(request, row, step, form, refused)
    if request.POST.get("page") == "check" and context["may_check"]:
        form.use_required_attribute = False
        return render(request, "cases/check.html", context | {"form": form}, status=status)
    return render(request, "cases/case.html", context, status=status)


@require_GET
@requires("case.act")
def check(request: HttpRequest, pk: int) -> HttpResponse:
    """The page for a phone: verify on the spot."""
    row = get_object_or_404(selectors.cases(request.user, "case.act"), pk=pk)
    context = _context(request, row)
    if not context["may_check"]:
        messages.info(request, _("There is nothing to verify in this case now."))
        return redirect(row)
    form = TransitionForm(row.rules.transition("verify"), row, use_required_attribute=False)
    return render(request, "cases/check.html", context | {"form": form})


@require_GET
@requires("case.view")
def order(request: HttpRequest, pk: int) -> HttpResponse:
    """The order as a document; `?format=pdf`: as a file."""
    row = get_object_or_404(selectors.cases(request.user), pk=pk, flow="order")
    issue = selectors.last_event(row, "issue")
    found = selectors.facts(row)
    with translation.override("zh-hans"):  # the document speaks the language of the office
        facts = shown_facts(found)
        title = f"{row.rules.label} {row.number or row.title}"
    context = {
        "case": row,
        "facts": facts,
        "doubts": doubts(found),
        "issuer": selectors.issuer(),
        "entry": issue.evidence if issue else None,
        "sha256": digest.sha256(issue.evidence.content.encode()).hex() if issue else "",
        "printed": timezone.now(),
    }
    return paper.answer(request, "cases/order.html", context, title, row.issued or row.opened)


@require_GET
@requires("case.view")
def file(request: HttpRequest, pk: int) -> HttpResponse:
    """A file of a case: as what its bytes are, never to be run by the browser.

    Reading what may hold personal data leaves an entry, and no copy in the browser.
    """
    rows = CaseFile.objects.restrict(request.user, "case.view").select_related("event__case")
    row = get_object_or_404(rows, pk=pk)
    if protected := row.protected:
        with transaction.atomic():
            reading(request.user, protected, f"case-file:{row.pk}")
    try:
        stream = row.file.open("rb")
    except FileNotFoundError:
        raise Http404(_("The file is missing in the store.")) from None
    return FileResponse(
        stream,
        as_attachment=not row.is_image or "download" in request.GET,
        filename=files.download_name(row.name, row.content_type),
        headers={
            "Content-Type": row.content_type,
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cache-Control": "private, no-store"
            if protected
            else "private, max-age=3600, immutable",
        },
    )
