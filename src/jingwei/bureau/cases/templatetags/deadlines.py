"""Deadlines as people say them."""

from __future__ import annotations

from datetime import datetime, time

from django import template
from django.utils import timezone
from django.utils.translation import get_language, ngettext

register = template.Library()


@register.filter
def deadline(moment: datetime | None, pattern: str = "%Y-%m-%d") -> str:
    """Local date and time; the end of a day, stored as 23:59:59, is its 24:00."""
    if moment is None:
        return ""
    local = timezone.localtime(moment)
    clock = "24:00" if local.time() == time(23, 59, 59) else f"{local:%H:%M}"
    return f"{local.strftime(pattern)} {clock}"


@register.filter
def left(moment: datetime) -> str:
    """How long it is until then, in one way everywhere: 11 days; 3 days 15 hours; 40 minutes."""
    minutes = max(int((moment - timezone.now()).total_seconds() // 60), 0)
    days, hours = minutes // 1440, minutes // 60 % 24
    parts = []
    if days:
        parts.append(ngettext("%d day", "%d days", days) % days)
    if hours and days < 10:
        parts.append(ngettext("%d hour", "%d hours", hours) % hours)
    if minutes < 60:
        parts.append(ngettext("%d minute", "%d minutes", minutes) % minutes)
    joint = "" if (get_language() or "").startswith("zh") else " "
    return joint.join(parts)


@register.filter
def past(moment: datetime) -> bool:
    """Whether the moment is over."""
    return moment <= timezone.now()


@register.filter
def at(values: list[object], index: int) -> object:
    """One of a list, by its place."""
    return values[index]
