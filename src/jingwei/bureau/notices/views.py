"""Messages of a person, what he wants to be told how, and the outbox for the administrator."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages as flash
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jingwei.bureau.access import may, requires
from jingwei.bureau.notices import selectors, services
from jingwei.bureau.notices.forms import ChannelForm, PreferenceForm
from jingwei.bureau.notices.models import KINDS, Channel, Delivery

PAGE = 50


@require_GET
@requires("notice.view")
@never_cache
def listing(request: HttpRequest) -> HttpResponse:
    query = request.GET
    page = Paginator(selectors.search(request.user, query), PAGE).get_page(query.get("page"))
    return render(
        request,
        "notices/list.html",
        {
            "page": page,
            "query": query,
            "kinds": [(name, kind.label) for name, kind in KINDS.items()],
            "outbox": may(request.user, "notice.outbox"),
        },
    )


@require_GET
@requires("notice.view")
@never_cache
def bell(request: HttpRequest) -> HttpResponse:
    """The count in the shell, asked for again and again by the page."""
    return render(request, "notices/bell_answer.html")


@require_GET
@requires("notice.view")
@never_cache
def open_message(request: HttpRequest, pk: int) -> HttpResponse:
    """Go to the page that a message is about; it is read then."""
    message = get_object_or_404(selectors.messages(request.user), pk=pk)
    services.mark_read(selectors.messages(request.user).filter(pk=pk))
    return redirect(message.url or "notices:list")


@require_POST
@requires("notice.view")
def mark(request: HttpRequest) -> HttpResponse:
    """Mark one message (`pk`) or all that the filters show as read; `unread`: as unread again."""
    rows = selectors.search(request.user, request.GET)
    pk = request.POST.get("pk", "")
    if pk:
        rows = selectors.messages(request.user).filter(pk=int(pk) if pk.isdecimal() else 0)
    if request.POST.get("unread"):
        services.mark_unread(rows)
    else:
        services.mark_read(rows)
    back = request.POST.get("next", "")
    fine = url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure())
    return redirect(back if fine else "notices:list")


@require_http_methods(["GET", "POST"])
@requires("notice.view")
@never_cache
def preferences(request: HttpRequest) -> HttpResponse:
    chosen = selectors.preference(request.user)
    form = PreferenceForm(request.POST or None, chosen, request.user.email)
    if request.method == "POST" and form.is_valid():
        services.prefer(request.user, **form.values())
        flash.success(request, _("Your choice is kept."))
        return redirect("notices:settings")
    return render(
        request,
        "notices/settings.html",
        {
            "form": form,
            "mail": bool(settings.ENV.mail),
            "channel": services.channel_of({request.user.department_id}).get(
                request.user.department_id
            )
            if request.user.department_id
            else None,
        },
    )


@require_GET
@requires("notice.outbox")
@never_cache
def outbox(request: HttpRequest) -> HttpResponse:
    query = request.GET
    page = Paginator(selectors.deliveries(request.user, query), PAGE).get_page(query.get("page"))
    return render(
        request,
        "notices/outbox.html",
        {
            "page": page,
            "query": query,
            "counts": selectors.delivery_counts(),
            "states": Delivery.State.choices,
            "channels": selectors.channels(),
            "mail": settings.ENV.mail_from if settings.ENV.mail else "",
            "hosts": settings.ENV.webhook_hosts,
        },
    )


@require_POST
@requires("notice.outbox")
def again(request: HttpRequest) -> HttpResponse:
    """Send one dead delivery (`pk`) again, or all of them."""
    rows = selectors.deliveries(request.user, {})
    pk = request.POST.get("pk", "")
    if pk:
        rows = rows.filter(pk=int(pk) if pk.isdecimal() else 0)
    count = services.send_again(rows)
    flash.success(
        request,
        ngettext(
            "%(count)d message will be sent again.", "%(count)d messages will be sent again.", count
        )
        % {"count": count},
    )
    return redirect("notices:outbox")


@require_http_methods(["GET", "POST"])
@requires("notice.outbox")
@never_cache
def channel(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Add or change a robot; `try`: send it a test message."""
    row = get_object_or_404(Channel, pk=pk) if pk else None
    form = ChannelForm(request.POST or None, instance=row)
    if request.method == "POST" and form.is_valid():
        kept = form.save()
        if "try" in request.POST:
            services.try_channel(request.user, kept)
            flash.success(
                request, _("A test message is on its way; the outbox shows what came of it.")
            )
        else:
            flash.success(request, _("The robot is kept."))
        return redirect("notices:outbox")
    return render(
        request,
        "notices/channel.html",
        {"form": form, "row": row, "hosts": settings.ENV.webhook_hosts},
    )
