"""Pages of the evidence log."""

from __future__ import annotations

import json

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from jingwei.bureau.access import may, requires
from jingwei.bureau.evidencelog import selectors
from jingwei.bureau.evidencelog.models import KINDS, READINGS

ROWS = 50


@require_safe
@requires("evidence.view")
def overview(request: HttpRequest) -> HttpResponse:
    kind, subject = (
        request.GET.get(n, "").replace("\x00", "").strip() for n in ("kind", "subject")
    )
    rows = selectors.entries(request.user, kind=kind, subject=subject)
    return render(
        request,
        "evidencelog/list.html",
        {
            "health": selectors.health(),
            "page": Paginator(rows, ROWS).get_page(request.GET.get("page")),
            "kinds": {k: v for k, v in KINDS.items() if k not in selectors.hidden(request.user)},
            "kind": kind,
            "subject": subject,
            "part": not selectors.everything(request.user),
            "may_see_readings": may(request.user, "reading.view"),
        },
    )


@require_safe
@requires("reading.view")
def readings(request: HttpRequest) -> HttpResponse:
    """Who saw what of protected data: for the auditor."""
    what, who = (request.GET.get(n, "").replace("\x00", "").strip() for n in ("what", "who"))
    rows = selectors.readings(request.user, what=what, who=who)
    return render(
        request,
        "evidencelog/readings.html",
        {
            "page": Paginator(rows, ROWS).get_page(request.GET.get("page")),
            "whats": READINGS,
            "what": what,
            "who": who,
        },
    )


@require_safe
@requires("evidence.view")
def entry(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(selectors.restrict(request.user, "evidence.view"), pk=pk)
    content = json.loads(row.content)
    return render(
        request,
        "evidencelog/entry.html",
        {
            "entry": row,
            "content": content,
            "text": json.dumps(content, ensure_ascii=False, indent=2),
            "proof": selectors.proof(row),
        },
    )


@require_safe
@requires("evidence.view")
def certificate(request: HttpRequest, pk: int) -> HttpResponse:
    """The entry's certificate (C2SP tlog-proof), to be checked offline."""
    row = get_object_or_404(selectors.restrict(request.user, "evidence.view"), pk=pk)
    text = selectors.certificate(row)
    if text is None:
        raise Http404(_("There is no valid checkpoint."))
    return HttpResponse(
        text,
        content_type="text/plain; charset=utf-8",
        headers={
            "Cache-Control": "no-cache",
            "Content-Disposition": f'attachment; filename="{row.index}.tlog-proof"',
        },
    )


@require_safe
@requires("evidence.view")
def checkpoint(request: HttpRequest) -> HttpResponse:
    """The newest checkpoint as the signed note that it is."""
    log = selectors.health().log
    if log is None:
        raise Http404(_("There is no valid checkpoint."))
    return HttpResponse(
        log.note,
        content_type="text/plain; charset=utf-8",
        headers={
            "Cache-Control": "no-cache",
            "Content-Disposition": 'attachment; filename="checkpoint.txt"',
        },
    )
