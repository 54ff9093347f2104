"""The tabs of the room, by what the user may see."""

from __future__ import annotations

from typing import Any

from django import template
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.access import may

register = template.Library()

TABS = (
    ("inspections:list", _("Inspections"), "inspection.view"),
    ("inspections:plans", _("Yearly plan"), "inspection.plan"),
    ("inspections:draws", _("Random draws"), "draw.view"),
    ("inspections:pool", _("Inspector pool"), "draw.view"),
    ("inspections:grades", _("Credit and risk"), "draw.view"),
    ("inspections:draws-own", _("My tickets"), "draw.own"),
)


@register.inclusion_tag("inspections/tabs.html", takes_context=True)
def inspection_tabs(context: dict[str, Any]) -> dict[str, Any]:
    request = context["request"]
    here = request.resolver_match.view_name
    return {
        "room_tabs": [
            {"url": reverse(view), "label": label, "current": view == here}
            for view, label, action in TABS
            if may(request.user, action)
        ]
    }
