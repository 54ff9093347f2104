"""What came with a form, in words: given back by `findings/left_over.html` where the page that
answers has the form no more."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.choices import flatten_choices
from django.utils.translation import gettext as _

from jingwei.bureau.findings.files import display_name


def written(form: forms.BaseForm) -> list[tuple[str, str]]:
    """(label, text) of each field that was filled in on a bound form, valid or not: choices by
    their labels, boxes as Yes or No, of files the names, for a browser does not keep them."""
    rows = [(str(bound.label), _text(form, bound)) for bound in form.visible_fields()]
    return [(label, text) for label, text in rows if text.strip()]


def _text(form: forms.BaseForm, bound: forms.BoundField) -> str:
    if isinstance(bound.field, forms.FileField):
        names = [display_name(f.name) for f in form.files.getlist(bound.html_name)]
        return _("Please choose again: %s") % "、".join(names) if names else ""
    value: Any = bound.value()
    if isinstance(bound.field, forms.BooleanField):
        said = _("Yes") if value else _("No")
        return said if value or bound.initial else ""
    if spoken := getattr(
        bound.field, "spoken", None
    ):  # a field of a room says what its value means
        try:
            return str(spoken(bound.field.clean(value)))
        except ValidationError:
            pass
    labels = {str(k): str(v) for k, v in flatten_choices(getattr(bound.field, "choices", ()))}
    several = value if isinstance(value, list | tuple) else [value]
    return "、".join(labels.get(str(v), str(v)) for v in several if v not in (None, ""))
