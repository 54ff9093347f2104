"""Numbers as people write them."""

from __future__ import annotations

import math
from typing import Any

from django import template

register = template.Library()


@register.filter
def plain(x: Any) -> str:
    """Six significant digits without exponent and without idle zeros; a dash for no number.

    >>> plain(50.46), plain(1234567.89), plain(None)
    ('50.46', '1234568', '–')
    """
    if x is None or x == "" or not math.isfinite(x):
        return "–"
    places = 0 if x == 0 else min(9, max(0, 5 - math.floor(math.log10(abs(x)))))
    text = f"{x:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@register.filter
def short(x: Any, beside: Any = None) -> str:
    """Four significant digits, thousands in groups: for what was computed. As many more as tell it
    from the limit that stands `beside` it.

    >>> short(135.2481), short(1234567.89), short(0.012345), short(50.0004, 50), short(None)
    ('135.2', '1,234,568', '0.01235', '50.0004', '–')
    """
    if x is None or x == "" or not math.isfinite(x):
        return "–"
    places = 0 if x == 0 else min(9, max(0, 3 - math.floor(math.log10(abs(x)))))
    while beside is not None and places < 9 and x != beside and round(x, places) == beside:
        places += 1
    text = f"{x:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@register.filter
def faults(mask: int) -> str:
    """The reasons of a mask of `analysis.validity.Fault`, in the reader's language."""
    from jingwei.bureau.monitoring.steps import fault_texts  # late: it needs the models

    return fault_texts(mask)
