"""When something was: a span that ends with a day is shown by the day, not by the next one's 00:00."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from django import template
from django.utils import timezone

register = template.Library()


@register.filter
def end(moment: datetime) -> str:
    """The end of a span: midnight is 24:00 of the day that ends."""
    local = timezone.localtime(moment)
    if local.time() != time.min:
        return f"{local:%Y-%m-%d %H:%M}"
    return f"{local - timedelta(days=1):%Y-%m-%d} 24:00"


@register.filter
def span(finding: Any) -> str:
    """From when to when: days where both ends are midnights."""
    began, ended = timezone.localtime(finding.began), timezone.localtime(finding.ended)
    if ended <= began:
        return f"{began:%Y-%m-%d %H:%M}"
    last = ended - timedelta(days=1)
    if began.time() == ended.time() == time.min:
        days = [f"{began:%Y-%m-%d}", f"{last:%Y-%m-%d}"]
        return " – ".join(dict.fromkeys(days))
    return f"{began:%Y-%m-%d %H:%M} – {end(finding.ended)}"
