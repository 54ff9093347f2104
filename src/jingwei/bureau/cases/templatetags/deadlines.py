"""Deadlines as people say them."""

from __future__ import annotations

from datetime import datetime, time

from django import template
from django.utils import timezone

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
def past(moment: datetime) -> bool:
    """Whether the moment is over."""
    return moment <= timezone.now()


@register.filter
def at(values: list[object], index: int) -> object:
    """One of a list, by its place."""
    return values[index]
