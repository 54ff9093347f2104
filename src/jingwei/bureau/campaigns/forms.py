"""Forms of programmes."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jingwei.bureau.accounts.models import Department
from jingwei.bureau.accounts.selectors import department_label
from jingwei.bureau.campaigns.course import leads, matter_choices
from jingwei.bureau.campaigns.models import Programme
from jingwei.bureau.cases.selectors import districts


class _DepartmentField(forms.ModelChoiceField):
    def label_from_instance(self, obj: Department) -> str:
        return department_label(obj)


class _Day(forms.DateInput):
    input_type = "date"

    def __init__(self, **options: Any) -> None:
        super().__init__(format="%Y-%m-%d", **options)


class ProgrammeForm(forms.ModelForm):
    """A list or a campaign; `kind` is said by the page."""

    regions = forms.ModelMultipleChoiceField(
        None, required=False, label=gettext_lazy("Regions"),
        widget=forms.CheckboxSelectMultiple, help_text=gettext_lazy("None chosen: the whole city."),
    )  # fmt: skip
    matters = forms.MultipleChoiceField(
        required=False, label=gettext_lazy("Matters"), widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None chosen: all matters."),
    )  # fmt: skip
    lead = _DepartmentField(None, label=gettext_lazy("Leading department"))

    class Meta:
        model = Programme
        fields = (
            "title", "level", "document", "begins", "ends", "lead", "text", "checklist",
            "regions", "matters",
        )  # fmt: skip
        widgets = {
            "begins": _Day(),
            "ends": _Day(),
            "text": forms.Textarea(attrs={"rows": 4}),
            "checklist": forms.Textarea(attrs={"rows": 4}),
        }

    def __init__(self, kind: str, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["regions"].queryset = districts()
        self.fields["lead"].queryset = leads()
        self.fields["matters"].choices = matter_choices()
        self.fields["text"].max_length = self.fields["checklist"].max_length = 4000
        if kind == Programme.Kind.LIST:
            for name in ("checklist", "regions", "matters"):
                del self.fields[name]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("begins") and data.get("ends") and data["ends"] < data["begins"]:
            self.add_error("ends", _("The last day lies before the first."))
        return data


class SummaryForm(forms.Form):
    day = forms.DateField(label=gettext_lazy("Day of the summary"), widget=_Day())
    text = forms.CharField(
        max_length=4000, label=gettext_lazy("Summary"), widget=forms.Textarea(attrs={"rows": 3})
    )


class RecommendForm(forms.Form):
    """What is recommended against one cause."""

    cause = forms.CharField(max_length=16, widget=forms.HiddenInput)
    measure = forms.CharField(
        max_length=2000, label=gettext_lazy("Measure"), widget=forms.Textarea(attrs={"rows": 3})
    )
    department = _DepartmentField(None, label=gettext_lazy("Who does it"))
    due = forms.DateField(label=gettext_lazy("By when"), widget=_Day())

    def __init__(self, *args: Any, cause: str = "", **options: Any) -> None:
        super().__init__(*args, auto_id=f"id_recommend_{cause}_%s", **options)
        self.fields["department"].queryset = leads()


class SheetForm(forms.Form):
    file = forms.FileField(label=gettext_lazy("Table (.xlsx or .csv)"))


class ShareForm(forms.Form):
    authority = forms.CharField(max_length=80, label=gettext_lazy("Authority"))
    request = forms.CharField(
        max_length=2000, label=gettext_lazy("What is asked of the authority"),
        widget=forms.Textarea(attrs={"rows": 3}),
    )  # fmt: skip
    with_facts = forms.BooleanField(
        required=False, initial=True, label=gettext_lazy("With the facts of the findings")
    )
    days = forms.IntegerField(
        min_value=1, max_value=180, initial=30, label=gettext_lazy("Open for (days)")
    )
