"""What a finding's `facts` say, as rows that people can read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jingwei.bureau.findings.kinds import SCENARIOS, Input
from jingwei.bureau.language import factor_name
from jingwei.bureau.registry.models import PermitLimit

LABELS = {
    "factor": gettext_lazy("Factor"),
    "period": gettext_lazy("Period"),
    "highest": gettext_lazy("Worst value"),
    "highest_at": gettext_lazy("Time of the worst value"),
    "limit": gettext_lazy("Limit"),
    "lower_bound": gettext_lazy("The limit is a lower bound"),
    "unit": gettext_lazy("Unit"),
    "reference_o2": gettext_lazy("Reference oxygen (%)"),
    "multiple": gettext_lazy("Times over the limit"),
    "hours": gettext_lazy("Hours over the limit"),
    "days": gettext_lazy("Days over the limit"),
    "source": gettext_lazy("Source of the limit"),
    "verified": gettext_lazy("How sure the limit is"),
    "corrected": gettext_lazy("Values corrected since"),
    "emitted": gettext_lazy("Emitted"),
    "permitted": gettext_lazy("Permitted"),
    "substituted": gettext_lazy("Of it substituted (kg)"),
    "projected": gettext_lazy("By the year's end"),
    "low": gettext_lazy("By the year's end at the slowest pace of 30 days"),
    "high": gettext_lazy("By the year's end at the fastest pace of 30 days"),
    "used_up": gettext_lazy("Used up on"),
    "permit": gettext_lazy("Permit"),
    "expired": gettext_lazy("Expired on"),
    "days_with_data": gettext_lazy("Days with data since"),
    "wanted": gettext_lazy("Results wanted"),
    "lacking": gettext_lazy("Results lacking"),
}
_CHOICES = {"period": PermitLimit.Period, "verified": PermitLimit.Verified}


# Facts that are drawn, not told.
_DRAWN = ("series",)


def rows(facts: Mapping[str, Any], kind: str = "") -> Iterator[tuple[str, str]]:
    """(label, text) of every fact, in the order in which they were given; nested ones after
    their parent's label. What the kind's form asks has the label and choices of the form."""
    asked = {i.name: i for i in SCENARIOS[kind].inputs} if kind else {}
    for key, value in facts.items():
        label = str(LABELS.get(key) or str(key).replace("_", " "))
        if key in _DRAWN:
            continue
        if key in asked and value not in (None, ""):
            yield asked[key].caption, _answer(asked[key], value)
        elif isinstance(value, Mapping):
            yield from ((f"{label} · {inner}", text) for inner, text in rows(value))
        elif value not in (None, "", [], False) or key in ("hours", "days"):
            yield label, _text(key, value)


def _answer(asked: Input, value: Any) -> str:
    choices = dict(asked.choices)
    if isinstance(value, str) and value in choices:
        return str(choices[value])
    if asked.kind == "number" and isinstance(value, int | float):
        return f"{value:.10g}"
    return factor_name(str(value)) if asked.kind == "factor" else _text(asked.name, value)


def _text(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return _(", ").join(_text(key, item) for item in value)
    text = str(value)
    if key in _CHOICES and text in _CHOICES[key]:
        return str(_CHOICES[key](text).label)
    if key == "factor":
        return factor_name(text)
    if "T" in text and (moment := _moment(text)):
        return moment
    return text


def _moment(text: str) -> str | None:
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    if moment is None or timezone.is_naive(moment):
        return None
    return date_format(timezone.localtime(moment), "Y-m-d H:i")
