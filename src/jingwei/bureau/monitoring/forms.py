"""The filters of the lists, read from the URL. A wrong value is named beside its field."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.language import factor_name
from jingwei.bureau.registry.models import PermitLimit, Point

STATE_LABELS = {
    "normal": _("Normal"),
    "watch": _("Watch"),
    "abnormal": _("Abnormal"),
    "offline": _("Offline"),
}
RESOLUTION_LABELS = {
    "realtime": _("Real-time"),
    "minute": _("Minute"),
    "hour": _("Hour"),
    "day": _("Day"),
}
SPAN_LABELS = {
    "24h": _("24 hours"),
    "3d": _("3 days"),
    "7d": _("7 days"),
    "30d": _("30 days"),
}
_ANY = [("", _("All"))]


class PointFilter(forms.Form):
    q = forms.CharField(label=_("Search"), required=False, max_length=80)
    state = forms.ChoiceField(
        label=_("State"), required=False, choices=[*_ANY, *STATE_LABELS.items()]
    )
    kind = forms.ChoiceField(label=_("Kind"), required=False, choices=[*_ANY, *Point.Kind.choices])
    region = forms.ChoiceField(label=_("Region"), required=False)

    def __init__(self, data: Any, regions: list[tuple[str, str]]) -> None:
        super().__init__(data)
        self.fields["region"].choices = [*_ANY, *regions]


class ExceedanceFilter(forms.Form):
    STANDING, WITHDRAWN = "standing", "withdrawn"

    q = forms.CharField(label=_("Search"), required=False, max_length=80)
    factor = forms.CharField(label=_("Factor"), required=False, max_length=12)
    period = forms.ChoiceField(
        label=_("Period"), required=False, choices=[*_ANY, *PermitLimit.Period.choices]
    )
    since = forms.DateField(
        label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    until = forms.DateField(
        label=_("To"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    show = forms.ChoiceField(
        label=_("Validity"),
        required=False,
        choices=[
            ("", _("Standing")),
            (WITHDRAWN, _("Withdrawn after correction")),
            ("all", _("All")),
        ],
    )

    def __init__(self, data: Any, factors: list[tuple[str, str]]) -> None:
        super().__init__(data)
        self.fields["factor"].widget = forms.Select(choices=[*_ANY, *factors])

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or self.cleaned_data
        since, until = found.get("since"), found.get("until")
        if since and until and until < since:
            self.add_error("until", _("The end lies before the beginning."))
        return found


class SeriesForm(forms.Form):
    """Which series a point's page shows; what is missing or wrong gives way to the default."""

    factor = forms.ChoiceField(label=_("Factor"), required=False)
    resolution = forms.ChoiceField(
        label=_("Resolution"), required=False, choices=list(RESOLUTION_LABELS.items())
    )
    span = forms.ChoiceField(label=_("Period"), required=False, choices=list(SPAN_LABELS.items()))

    def __init__(self, data: Any, factors: list[str], version: str) -> None:
        super().__init__(data)
        self.fields["factor"].choices = [(f, factor_name(f, version)) for f in factors]
        self.factors = factors

    def chosen(self) -> tuple[str, str, str]:
        """Factor, resolution, span; the factor is "" where the point has none."""
        good = self.cleaned_data if self.is_valid() else {}
        return (
            good.get("factor") or next(iter(self.factors), ""),
            good.get("resolution") or "hour",
            good.get("span") or "7d",
        )

    def settled(self) -> SeriesForm:
        """The form with what is shown filled in."""
        factor, resolution, span = self.chosen()
        form = SeriesForm(None, self.factors, "2017")
        form.fields["factor"].choices = self.fields["factor"].choices
        form.initial = {"factor": factor, "resolution": resolution, "span": span}
        return form
