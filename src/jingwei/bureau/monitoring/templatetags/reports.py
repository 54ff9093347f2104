"""Words and shares as the reports show them."""

from __future__ import annotations

from collections.abc import Iterable

from django import template

from jingwei.bureau.language import english, factor_name
from jingwei.bureau.registry.models import PermitLimit

register = template.Library()


@register.simple_tag
def factor(code: str) -> str:
    """The name of a factor in the reader's language."""
    return factor_name(code)


@register.filter
def factors(codes: Iterable[str]) -> str:
    """The names of factors, with a comma between."""
    return (", " if english() else "、").join(factor_name(code) for code in sorted(codes))


@register.simple_tag
def percent(share: float | None) -> str:
    """A share of 0…1 in per cent; a dash for none.

    >>> percent(0.1234), percent(None)
    ('12.3 %', '–')
    """
    return "–" if share is None else f"{100 * share:.1f} %"


@register.simple_tag
def sure(verified: str) -> str:
    """How sure a row of the tables is, in words."""
    return str(dict(PermitLimit.Verified.choices).get(verified, verified))
