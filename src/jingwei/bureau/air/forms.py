"""The question."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jingwei.bureau.air import selectors
from jingwei.bureau.air.models import Episode
from jingwei.bureau.air.tracing import LONGEST
from jingwei.bureau.registry.models import Point


class _Station(forms.ModelChoiceField):
    def label_from_instance(self, obj: Point) -> str:
        return f"{obj.name} · {obj.region.label}"


class _Hour(forms.DateTimeField):
    widget = forms.DateTimeInput(
        format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local", "step": "3600"}
    )


class TraceForm(forms.Form):
    """Station, pollutant, hours; a finding is said by the address."""

    station = _Station(None, label=gettext_lazy("Air station"))
    factor = forms.ChoiceField(label=gettext_lazy("Pollutant"))
    start = _Hour(label=gettext_lazy("Start of the time"))
    end = _Hour(
        label=gettext_lazy("End of the time"), help_text=gettext_lazy("Full hours, at most 72.")
    )

    def __init__(self, user: Any, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["station"].queryset = selectors.stations(user)  # type: ignore[attr-defined]
        self.fields["factor"].choices = selectors.factors()  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        start, end = found.get("start"), found.get("end")
        if start and end:
            start, end = (m.replace(minute=0, second=0, microsecond=0) for m in (start, end))
            found |= {"start": start, "end": end}
            if end - start < timedelta(hours=1):
                self.add_error("end", _("The end must be an hour after the beginning or more."))
            elif end - start > LONGEST:
                self.add_error("end", _("At most 72 hours: choose a shorter time."))
            elif end > timezone.now():
                self.add_error("end", _("These hours are not over yet."))
        return found


class DecisionForm(forms.Form):
    """What a person makes of a proposed warning, or why it is lifted."""

    level = forms.TypedChoiceField(
        label=gettext_lazy("Grade"), coerce=int, choices=Episode.Level.choices, required=False
    )
    note = forms.CharField(
        label=gettext_lazy("Reason"), max_length=2000, required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )  # fmt: skip
