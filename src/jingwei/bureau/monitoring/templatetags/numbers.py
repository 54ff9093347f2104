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
def faults(mask: int) -> str:
    """The reasons of a mask of `analysis.validity.Fault`, in the reader's language."""
    from jingwei.bureau.monitoring.steps import fault_texts  # late: it needs the models

    return fault_texts(mask)
