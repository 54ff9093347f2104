"""Home, health, system page, JS translations, and error pages."""

from __future__ import annotations

import hashlib
import logging
import secrets

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import get_template
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import condition, require_safe
from django.views.i18n import JavaScriptCatalog

from jingwei.bureau.access import Role, may, page_of, public, requires, see
from jingwei.bureau.console import health, selectors

log = logging.getLogger("jingwei.web")
PAGE = 50
_catalogs: dict[str, bytes] = {}


def _catalog(request: HttpRequest, language: str) -> bytes:
    """The JS translations of all rooms in one language; worked out once a process."""
    if language not in dict(settings.LANGUAGES):
        raise Http404
    if language not in _catalogs:
        rooms = [f"jingwei.bureau.{room}" for room in settings.ROOMS]
        with translation.override(language):
            _catalogs[language] = JavaScriptCatalog.as_view(packages=rooms)(request).content
    return _catalogs[language]


@public
@require_safe
@cache_control(max_age=600, public=True)
@condition(etag_func=lambda r, language: f'"{hashlib.sha256(_catalog(r, language)).hexdigest()}"')
def catalog(request: HttpRequest, language: str) -> HttpResponse:
    """`gettext` for our modules, as a plain script."""
    return HttpResponse(_catalog(request, language), content_type="text/javascript; charset=utf-8")


@requires("home.view")
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """The map, and beside it what needs this user now."""
    context = {**_side(request), "own_areas": selectors.own_areas(request.user)}
    return render(request, "console/home.html", context)


@requires("home.view")
@never_cache
def home_side(request: HttpRequest) -> HttpResponse:
    """The part beside the map alone, asked for again and again by the page."""
    return render(request, "console/side.html", _side(request))


def _side(request: HttpRequest) -> dict[str, object]:
    user = request.user
    ailing = []
    if may(user, "telemetry.health"):
        found = health.components()
        ailing = [health.row(n, c) for n, c in found.items() if c["status"] != health.OK]
    return {
        "side": selectors.side(user),
        "ailing": ailing,
        "looked": timezone.now(),
        "acts": may(user, "case.act"),
        "own": user.role == Role.ENTERPRISE,
        "tasks_first": user.role in selectors.TASKS_FIRST,
    }


@requires("telemetry.health")
@never_cache
def system(request: HttpRequest) -> HttpResponse:
    """How each component is, who is connected to the gateway, and what it refused."""
    reason = request.GET.get("reason", "")
    counts, refused = selectors.refused_telegrams(reason)
    found = health.components()
    return render(
        request,
        "console/system.html",
        {
            "overall": health.overall(found),
            "rows": [health.row(name, found[name]) for name in found],
            "errors": selectors.process_errors(),
            "gateway": selectors.gateway(),
            "reason": reason,
            "reasons": counts.most_common(),
            "page": Paginator(refused, PAGE).get_page(request.GET.get("page")),
        },
    )


@public
@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """State of the system as JSON: 200 while pages can be shown, 503 where they cannot."""
    found = health.components()
    status = health.overall(found)
    return JsonResponse(
        {"status": status, "components": found}, status=503 if status == health.DOWN else 200
    )


def _error(
    request: HttpRequest, code: int, title: str, what: str, detail: str = "", again: str = ""
) -> HttpResponse:
    if code == 404:  # of an address that leads to no view, which would have let the rows be seen
        see(request.user)
    context = {"code": code, "title": title, "what": what, "detail": detail, "again": again}
    return render(request, "console/errors/page.html", context, status=code)


def error_400(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _error(
        request,
        400,
        _("This request cannot be understood"),
        _("The address or the form sent something that is not allowed. Go back and try again."),
    )


def error_403(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _error(
        request,
        403,
        _("Your role does not open this page"),
        _("If you need it for your work, ask the administrator of your department."),
        detail=str(exception or ""),
    )


def error_404(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _error(
        request,
        404,
        _("There is no such page"),
        _("It does not exist, or it lies outside your jurisdiction. Check the address."),
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _error(
        request,
        403,
        _("This form is no longer valid"),
        _(
            "It was open for a long time, or you have logged in again since. Nothing was saved."
            " What you typed is kept in this browser: load the page again and send it once more."
        ),
        again=page_of(request),
    )


def error_500(request: HttpRequest) -> HttpResponse:
    """Needs no database, no session, no context processor: any of them may be what failed."""
    number = secrets.token_hex(4)
    log.error("error page %s for %s %s", number, request.method, request.path)
    content = get_template("console/errors/500.html").render(
        {
            "language": translation.get_language() or settings.LANGUAGE_CODE,
            "static_url": settings.STATIC_URL,
            "now": timezone.localtime().strftime("%Y-%m-%d %H:%M:%S"),
            "number": number,
        }
    )
    return HttpResponse(content, status=500)
