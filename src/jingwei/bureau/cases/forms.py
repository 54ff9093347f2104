"""Forms made from the fields of a transition."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from jingwei.bureau.accounts.models import Department, User
from jingwei.bureau.accounts.selectors import department_label
from jingwei.bureau.cases.flow import Field, Transition
from jingwei.bureau.findings import files
from jingwei.bureau.findings.files import FilesField

MAX_TEXT = 4000


class PositionField(forms.CharField):
    """ "longitude,latitude,accuracy in metres" in WGS-84, as the browser gives it."""

    widget = forms.HiddenInput

    def clean(self, value: Any) -> dict[str, float] | None:
        text = super().clean(value)
        if not text:
            return None
        try:
            longitude, latitude, accuracy = (float(part) for part in text.split(","))
        except ValueError:
            raise ValidationError(_("The position cannot be read.")) from None
        if not (-180 <= longitude <= 180 and -90 <= latitude <= 90 and 0 <= accuracy < 1e6):
            raise ValidationError(_("The position cannot be read."))
        return {"longitude": longitude, "latitude": latitude, "accuracy": accuracy}


def _form_field(field: Field, case: Any) -> forms.Field:
    if callable(field.kind):
        return field.kind(field, case)
    options: dict[str, Any] = {
        "label": field.label,
        "required": field.required,
        "help_text": field.help,
    }
    if field.initial:
        options["initial"] = field.initial(case)
    empty = [("", "—")]
    match field.kind:
        case "text":
            area = forms.Textarea(attrs={"rows": 4})
            return forms.CharField(max_length=MAX_TEXT, widget=area, **options)
        case "line":
            return forms.CharField(max_length=200, **options)
        case "days":
            return forms.IntegerField(
                min_value=int(field.least or 1), max_value=int(field.most or 180), **options
            )
        case "number":
            return forms.DecimalField(
                min_value=field.least,
                max_value=field.most,
                max_digits=20,
                decimal_places=6,
                widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
                **options,
            )
        case "date":
            return forms.DateField(widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"), **options)
        case "bool":
            return forms.BooleanField(**options)
        case "choice":
            return forms.ChoiceField(choices=[*empty, *_choices(field, case)], **options)
        case "choices":
            boxes = forms.CheckboxSelectMultiple()
            return forms.MultipleChoiceField(choices=_choices(field, case), widget=boxes, **options)
        case "department" | "person":
            found = [*empty, *_choices(field, case)]
            return forms.TypedChoiceField(choices=found, coerce=int, empty_value=None, **options)
        case "departments":
            boxes = forms.CheckboxSelectMultiple()
            return forms.TypedMultipleChoiceField(
                choices=_choices(field, case), coerce=int, widget=boxes, **options
            )
        case "files" | "photos":
            return FilesField(photos=field.kind == "photos", **options)
        case "position":
            return PositionField(**options)
    raise ValueError(f"field {field.name}: unknown kind {field.kind!r}")


def _choices(field: Field, case: Any) -> list[tuple[Any, Any]]:
    if field.choices:
        return field.choices(case)
    if field.kind in ("department", "departments"):
        return [(d.pk, department_label(d)) for d in Department.objects.all()]
    if field.kind == "person" and case is not None:
        people = User.objects.filter(department=case.department_id, is_active=True)
        return [(u.pk, str(u)) for u in people.order_by("username")]
    return []


class TransitionForm(forms.Form):
    """The form of one transition on one case (None: one to be opened), or on what else the flow is of;
    file fields are in `uploads`, the rest in `said`."""

    def __init__(self, transition: Transition, case: Any, *args: Any, **kw: Any) -> None:
        self.transition = transition
        super().__init__(*args, **{"auto_id": f"id_{transition.name}_%s", **kw})
        for field in transition.fields:
            self.fields[field.name] = _form_field(field, case)

    @property
    def has_files(self) -> bool:
        return any(isinstance(f, FilesField) for f in self.fields.values())

    @property
    def said(self) -> dict[str, Any]:
        return {
            name: value
            for name, value in self.cleaned_data.items()
            if not isinstance(self.fields[name], FilesField)
        }

    @property
    def uploads(self) -> list[tuple[str, Any, str]]:
        """(kind, upload, content type) of every file."""
        return [
            ("photo" if content_type in files.IMAGES else "document", upload, content_type)
            for name, field in self.fields.items()
            if isinstance(field, FilesField)
            for upload, content_type in self.cleaned_data[name]
        ]
