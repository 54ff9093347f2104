from __future__ import annotations

from typing import Any

from django import template

register = template.Library()


@register.filter
def at(found: dict[Any, Any], key: Any) -> Any:
    """What a mapping has for a key; blank where it has nothing."""
    return found.get(key, "")
