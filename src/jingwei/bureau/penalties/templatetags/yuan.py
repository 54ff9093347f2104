"""Money in templates: grouped by thousands in every language, as the computation writes it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import template

register = template.Library()


@register.filter
def yuan(value: Any) -> str:
    """ "200,000.00"; nothing for None."""
    return "" if value is None else f"{Decimal(value):,.2f}"


@register.filter
def whole_yuan(value: Any) -> str:
    """ "200,000", rounded."""
    return "" if value is None else f"{Decimal(value):,.0f}"
