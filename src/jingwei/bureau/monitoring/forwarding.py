"""The page of the forwarding: how far each other platform is, and what it does not take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe

from jingwei.bureau.access import may, requires
from jingwei.telemetry import health
from jingwei.telemetry.places import NAME, Places

SILENT = 15.0  # seconds after its last beat when the process counts as stopped
REASONS = {
    "unanswered": gettext_lazy("not acknowledged"),
    "disconnects": gettext_lazy("the other side disconnects"),
    "muted": gettext_lazy("held back: the other side does not acknowledge this device"),
    "forgotten": gettext_lazy("too many set aside: the oldest are left out"),
    "no_key": gettext_lazy("encrypted without a key"),
    "no_device": gettext_lazy("device not in the register"),
    "too_long": gettext_lazy("longer than a telegram may be"),
    "unreadable": gettext_lazy("cannot be read"),
    "topic": gettext_lazy("no topic can be made of its names"),
}


@dataclass(frozen=True)
class Row:
    """One other platform. `state`: "normal", "abnormal" or "offline"."""

    name: str
    address: str
    state: str
    label: str
    problem: str
    mn: str
    cn: str
    sent: int
    waiting: int
    behind: timedelta
    skipped: int
    aside: int
    why: list[tuple[str, int]]
    last: datetime | None


def rows() -> list[Row]:
    """The targets as the process last said; none where nothing is forwarded."""
    run = settings.ENV.run
    beat = health.read(run).get("forward", {}) if run.is_dir() else {}
    gone = (beat.get("age") or 1e9) > SILENT
    return [_row(name, said, gone) for name, said in sorted((beat.get("targets") or {}).items())]


def _row(name: str, said: dict[str, Any], gone: bool) -> Row:
    state, label = "normal", _("connected")
    if gone:
        state, label = "offline", _("stopped")
    elif not said["connected"]:
        state, label = "abnormal", _("away")
    return Row(
        name=name,
        address=said["address"],
        state=state,
        label=label,
        problem=said["problem"],
        mn="、".join(said["mn"]),
        cn="、".join(said["cn"]),
        sent=said["sent"],
        waiting=said["waiting"],
        behind=timedelta(seconds=int(said["behind"])),
        skipped=said["skipped"],
        aside=said["aside"],
        why=[(str(REASONS.get(why, why)), count) for why, count in sorted(said["why"].items())],
        last=datetime.fromisoformat(said["last"]) if said["last"] else None,
    )


@require_safe
@requires("device.view")
def page(request: HttpRequest) -> HttpResponse:
    """Every platform that telegrams are sent on to: acknowledged, waiting, set aside."""
    context = {"rows": rows(), "may_ask": may(request.user, "device.adopt")}
    return render(request, "monitoring/devices/forwarding.html", context)


@require_POST
@requires("device.adopt")
def again(request: HttpRequest, name: str) -> HttpResponse:
    """Have what was set aside for a platform sent again."""
    if name not in {row.name for row in rows()}:
        raise Http404
    places = Places(settings.ENV.data / NAME)
    try:
        count = places.again(name)
    finally:
        places.close()
    messages.success(
        request,
        ngettext(
            "%(count)d telegram will be sent again.",
            "%(count)d telegrams will be sent again.",
            count,
        )
        % {"count": count},
    )
    return redirect("monitoring:forwarding")
