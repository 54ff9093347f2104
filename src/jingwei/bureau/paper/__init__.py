"""Pages as PDF files: what a page shows, set as an A4 document that can be filed.

A view answers with `answer` instead of Django's `render`: `?format=pdf` makes of the same page, with the
same data and under the same permission, a file that says the same. Whatever of `<main>` is printed
(not `.no-print`) is read as headings, paragraphs, lists, tables and pictures (`reading`) and set by
`a4.typ` (`setting`). Texts reach the engine as data, never as its markup. The bytes depend on the
content alone.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.http import content_disposition_header

from jingwei.bureau.paper.reading import Content, read
from jingwei.bureau.paper.setting import BusyError, NotSetError, pdf

__all__ = ["Content", "answer", "pdf", "read"]

log = logging.getLogger("jingwei.web")
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')  # by Windows and Linux


def answer(
    request: HttpRequest,
    template: str,
    context: dict[str, Any],
    title: str,
    at: datetime,
    picture: Callable[[str], bytes | None] = lambda source: None,
) -> HttpResponse:
    """The page; with `?format=pdf` the same as a PDF file.

    `title` and the day of `at` name the file and stand at the foot of its pages; `at` is the time that
    the content speaks of, never that of printing, which would change the bytes. `picture` gives the
    bytes of an `<img>` by its `src`; None: it is missing, which the file says. In the template `paper`
    is true while the file is made. Where no file could be made, a page says so and leads back: 503
    while the engine is at another document, else 500.
    """
    if request.GET.get("format") != "pdf":
        return render(request, template, context)
    html = render_to_string(template, {**context, "paper": True}, request)
    at = timezone.localtime(at)
    name = _NOT_IN_NAMES.sub(" ", title).strip()[:80] + f" {at:%Y-%m-%d}"
    try:
        file = pdf(read(html, picture), title, at)
    except NotSetError as error:
        return _not_set(request, error)
    return HttpResponse(
        file,
        content_type="application/pdf",
        headers={"Content-Disposition": content_disposition_header(True, f"{name}.pdf")},
    )


def _not_set(request: HttpRequest, error: NotSetError) -> HttpResponse:
    busy = isinstance(error, BusyError)
    log.error("no PDF of %s: %s", request.path, error)
    query = request.GET.copy()
    del query["format"]
    response = render(
        request,
        "paper/not_set.html",
        {"busy": busy, "back": request.path + (f"?{query.urlencode()}" if query else "")},
        status=503 if busy else 500,
    )
    if busy:
        response["Retry-After"] = "30"  # seconds, as the page says
    return response
