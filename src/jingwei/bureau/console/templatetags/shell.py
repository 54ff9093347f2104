"""What stands on every page and seldom changes: made once, then kept as text."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from django import template
from django.template.loader import render_to_string
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language

register = template.Library()


@register.simple_tag
def kept(name: str, items: Iterable[Any] = ()) -> SafeString:
    """A template that knows nothing but `items` (hashable) and the language."""
    return _kept(name, tuple(items), get_language() or "")


@lru_cache(maxsize=500)
def _kept(name: str, items: tuple[Any, ...], language: str) -> SafeString:
    return render_to_string(name, {"items": items, "LANGUAGE_CODE": language})


@register.simple_tag
def options(choices: Iterable[tuple[Any, Any]], chosen: Any = "") -> SafeString:
    """The `<option>`s of (value, label), the chosen one selected."""
    # As plain text: a label marked as safe equals one that is not, and would be kept in its place.
    pairs = tuple([(str(value) + "", str(label) + "") for value, label in choices])
    # `chosen` comes from addresses, where anybody may write anything: the cache knows options alone.
    said = str(chosen) + ""
    return _options(pairs, said if any(said == value for value, _label in pairs) else "")


@lru_cache(maxsize=500)
def _options(pairs: tuple[tuple[str, str], ...], chosen: str) -> SafeString:
    return format_html_join(
        "",
        '<option value="{}"{}>{}</option>',
        (
            (value, SafeString(" selected" if value == chosen else ""), label)
            for value, label in pairs
        ),
    )
