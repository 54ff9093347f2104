"""Penalties: the list, the documents, a computation before it is sent, the public page."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone, translation
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET

from jingwei.bureau import paper
from jingwei.bureau.access import may, public, requires
from jingwei.bureau.accounts import lists
from jingwei.bureau.cases.models import Case
from jingwei.bureau.cases.selectors import districts, issuer, last_event
from jingwei.bureau.cases.selectors import facts as facts_of
from jingwei.bureau.cases.views import doubts, shown_facts
from jingwei.bureau.evidencelog.public import limited
from jingwei.bureau.evidencelog.services import reading
from jingwei.bureau.findings.export import csv_response, xlsx_response
from jingwei.bureau.language import english
from jingwei.bureau.penalties import acts, fields, selectors
from jingwei.bureau.penalties.flow import PENALTY
from jingwei.evidence import digest
from jingwei.standards import discretion, law, money

PAGE = 50


@require_GET
@requires("penalty.view")
def listing(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    found = selectors.search(request.user, request.GET)
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    rows = [selectors.row(case, now) for case in page.object_list]
    return render(
        request,
        "penalties/list.html",
        {
            "page": page,
            "rows": rows,
            "totals": selectors.totals([selectors.row(case, now) for case in found]),
            "states": [(s.name, s.label) for s in PENALTY.states],
            "offences": fields.offences(None),
            "districts": districts(),
            "query": request.GET,
            "saved": lists.shown(request.user, "penalties:list"),
        },
    )


def _table(request: HttpRequest) -> tuple[list[Any], Iterator[tuple[Any, ...]]]:
    now = timezone.now()
    header = [
        _("Document number"), _("Title"), _("State"), _("Enterprise"), _("District"),
        _("Offence"), _("Opened"), _("Amount (yuan)"), _("Surcharge (yuan)"), _("Paid (yuan)"),
        _("Published"), _("Closed"),
    ]  # fmt: skip
    rows = (
        (
            case.number,
            case.title,
            case.state_label,
            case.enterprise.name,
            case.region.label,
            row["offence"],
            case.opened,
            row["amount"],
            row["owed"]["surcharge"] if row["owed"] else None,
            row["owed"]["paid"] if row["owed"] else None,
            row["published"],
            case.closed,
        )
        for case in selectors.search(request.user, request.GET).iterator(chunk_size=1000)
        for row in [selectors.row(case, now)]
    )
    return header, rows


@require_GET
@requires("penalty.view")
def export(request: HttpRequest) -> HttpResponse:
    return csv_response(_("Penalties") + ".csv", *_table(request))


@require_GET
@requires("penalty.view")
def export_xlsx(request: HttpRequest) -> HttpResponse:
    return xlsx_response(_("Penalties") + ".xlsx", *_table(request))


@require_GET
@requires("penalty.file")
def compute(request: HttpRequest, pk: int) -> HttpResponse:
    """What the table gives for a form that has not been sent: a fragment."""
    case = get_object_or_404(Case.objects.restrict(request.user, "case.act"), pk=pk, flow="penalty")
    return render(
        request,
        "penalties/computation.html",
        {"computed": selectors.computed_now(case, request.GET), "is_preview": True},
    )


# --- documents --------------------------------------------------------------------------------


@require_GET
@requires("penalty.view")
def notice(request: HttpRequest, pk: int) -> HttpResponse:
    """The advance notice (行政处罚事先告知书); `?format=pdf`: as a file."""
    label = gettext_noop("Advance notice of a penalty")
    return _document(request, pk, "notice", "notify", "penalties/notice.html", label)


@require_GET
@requires("penalty.view")
def decision(request: HttpRequest, pk: int) -> HttpResponse:
    """The decision (行政处罚决定书); `?format=pdf`: as a file."""
    label = gettext_noop("Decision on an administrative penalty")
    return _document(request, pk, "decision", "decide", "penalties/decision.html", label)


def _document(
    request: HttpRequest, pk: int, part: str, transition: str, template: str, label: str
) -> HttpResponse:
    case = get_object_or_404(selectors.penalties(request.user), pk=pk)
    told = case.detail.get(part)
    if not told:
        raise Http404
    with transaction.atomic():  # it names and quotes people: who reads it is on record
        reading(request.user, "penalty", f"penalty-{part}:{pk}")
    event = last_event(case, transition)
    proposed, rechecked = last_event(case, "propose"), last_event(case, "recheck")
    facts, told_of = facts_of(case), case.detail["proposal"]
    unsure = doubts(facts)
    if told_of["verified"] != "verified":
        cite = told_of["cite_en"] if english() else told_of["cite_zh"]
        unsure.append(_("%s: text not compared with the gazette") % cite)
    with translation.override("zh-hans"):  # the document speaks the language of the office
        context: dict[str, Any] = {
            **selectors.panel(case, request.user),
            "case": case,
            "told": told,
            "at": parse_datetime(told["at"]),
            "amount": Decimal(told["amount"]),
            "capital": money.capital(Decimal(told["amount"])),
            "facts": shown_facts(facts),
            "doubts": unsure,
            "offence": acts.done(case.detail["offence"], facts),
            "found": proposed.text if proposed else "",
            "reasons": event.text if event else "",
            "rechecked": rechecked,
            "circumstances": [
                c
                for c in discretion.circumstances()
                if c.key in case.detail["proposal"]["circumstances"]
                and c.table in ("*", "code", _table_of(case))
            ],
            "issuer": issuer(),
            "entry": event.evidence if event else None,
            "sha256": digest.sha256(event.evidence.content.encode()).hex() if event else "",
            "printed": timezone.now(),
            "procedure": law.procedure(),
        }
        title = f"{_(label)} {told['number']}"
    answer = paper.answer(request, template, context, title, context["at"])
    answer["Cache-Control"] = "private, no-store"
    return answer


def _table_of(case: Case) -> str:
    sheet = discretion.sheets().get(case.detail["proposal"]["sheet"])
    return sheet.table.key if sheet else ""


# --- the public -------------------------------------------------------------------------------


@require_GET
@limited
@public
def published(request: HttpRequest) -> HttpResponse:
    """The decisions that were published: no person, no case file."""
    page = Paginator(selectors.published(request.GET), PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "penalties/public.html",
        {
            "page": page,
            "rows": selectors.public_rows(page.object_list),
            "offences": fields.offences(None),
            "query": request.GET,
            "inside": may(request.user, "penalty.view"),
        },
    )


def _published_table(request: HttpRequest) -> tuple[list[Any], Iterator[tuple[Any, ...]]]:
    header = [
        _("Document number"), _("Enterprise"), _("Unified social credit code"), _("Offence"),
        _("Legal basis"), _("Amount (yuan)"), _("Decided"), _("Published"), _("Leaf number"),
    ]  # fmt: skip
    rows = (
        (
            row["number"],
            row["enterprise"],
            row["uscc"],
            row["offence"],
            row["basis"],
            row["amount"],
            row["decided"],
            row["published"],
            row["entry"].index if row["entry"] else None,
        )
        for row in selectors.public_rows(selectors.published(request.GET))
    )
    return header, rows


@require_GET
@limited
@public
def published_export(request: HttpRequest) -> HttpResponse:
    return csv_response("published-penalties.csv", *_published_table(request))


@require_GET
@limited
@public
def published_export_xlsx(request: HttpRequest) -> HttpResponse:
    return xlsx_response("published-penalties.xlsx", *_published_table(request))
