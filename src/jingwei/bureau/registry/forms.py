"""Forms of the registry's pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jingwei.bureau.registry.models import Permit, PermitVersion

_DAY = {"type": "date"}


def _date(label: Any, **options: Any) -> forms.DateField:
    return forms.DateField(label=label, widget=forms.DateInput(attrs=_DAY, format="%Y-%m-%d"), **options)  # fmt: skip


class PermitForm(forms.Form):
    """What a permit says of itself; the lines stand beside it."""

    number = forms.CharField(label=gettext_lazy("Permit number"), max_length=24)
    act = forms.ChoiceField(label=gettext_lazy("What was done"), choices=PermitVersion.Act.choices)
    category = forms.ChoiceField(label=gettext_lazy("Category"), choices=Permit.Category.choices)
    valid_from = _date(gettext_lazy("Valid from"))
    valid_to = _date(gettext_lazy("Valid to"))
    in_force = _date(
        gettext_lazy("In force from"),
        help_text=gettext_lazy("What is written below holds from this day on."),
    )
    note = forms.CharField(label=gettext_lazy("Reason"), max_length=300, required=False)

    def __init__(self, *args: Any, permit: Permit | None = None, **kw: Any) -> None:
        super().__init__(*args, **kw)
        if permit is not None:
            self.fields["number"].disabled = True
            self.fields["act"].choices = PermitVersion.Act.choices[1:]
            self.fields["note"].required = True

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or self.cleaned_data
        begin, end = found.get("valid_from"), found.get("valid_to")
        if begin and end and end < begin:
            self.add_error("valid_to", _("The permit ends before it begins"))
        return found


class UploadForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy("CSV or Excel workbook (.xlsx), at most 5 MB."),
        widget=forms.FileInput(attrs={"accept": ".csv,.xlsx"}),
    )
