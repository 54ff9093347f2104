"""The question."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jingwei.bureau.air import scenes, selectors
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


class SceneForm(forms.Form):
    """A file of a satellite, and what it does not say itself; `key`: of a file that was looked at."""

    file = forms.FileField(
        label=gettext_lazy("NetCDF file"), required=False,
        widget=forms.FileInput(attrs={"accept": ".nc,.nc4,.h5,.hdf,.he5"}),
        help_text=gettext_lazy("Level 2 or 3 with NO2 or HCHO (TROPOMI, GEMS …), at most 200 MB; larger ones: jingwei air satellite FILE …"),
    )  # fmt: skip
    time = forms.DateTimeField(
        label=gettext_lazy("Taken at"), required=False,
        widget=forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}),
        help_text=gettext_lazy("Only where the file does not say."),
    )  # fmt: skip
    names = forms.CharField(
        label=gettext_lazy("Names of the variables"), required=False, max_length=500,
        help_text=gettext_lazy("Only where they are not found: no2=NAME, hcho=, latitude=, longitude=, time=, quality=, cloud="),
    )  # fmt: skip
    key = forms.CharField(required=False, widget=forms.HiddenInput, max_length=64)

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file is not None and file.size > scenes.LARGEST:
            raise forms.ValidationError(
                _("The file is larger than 200 MB: cut out the city first, or ask the administrator to import it by the command line.")
            )  # fmt: skip
        return file

    def clean_names(self) -> dict[str, str]:
        found = scenes.pairs(self.cleaned_data["names"])
        if found is None:
            raise forms.ValidationError(
                _("Write for example no2=vertical_column latitude=lat; known are %s.")
                % ", ".join(scenes.NAMES)
            )
        return found

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if not found.get("file") and not found.get("key") and "file" not in self.errors:
            self.add_error("file", _("Choose the file."))
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
