"""What the templates of the detectors need."""

from __future__ import annotations

from typing import Any

from django import template

from jingwei.bureau import access

register = template.Library()


@register.filter
def may(user: Any, action: str) -> bool:
    """Whether the user's role allows the action."""
    return access.may(user, action)


@register.filter
def percent(value: float | None) -> str:
    """A number of percent without needless decimals; a dash for none."""
    return "–" if value is None else f"{value:.0f} %"


@register.filter
def figures(value: float | None, count: int = 3) -> str:
    """A number with so many significant figures; a dash for none."""
    if value is None or value != value:
        return "–"
    return "< 1e-12" if 0 < value < 1e-12 else f"{value:.{count}g}"
