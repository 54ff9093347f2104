"""For superusers: furnaces with their thermocouples, instrument ranges and bases of concentrations and
how points name hours; to be looked at, marks,
enforcement samples and what was asked of furnaces."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jingwei.bureau.accounts.admin import Page, ReadOnly
from jingwei.bureau.monitoring import bases
from jingwei.bureau.monitoring.models import (
    Basis,
    Furnace,
    HourNaming,
    Inquiry,
    InstrumentRange,
    Mark,
    Sample,
)
from jingwei.bureau.monitoring.observations import local_day


@admin.register(Furnace)
class FurnaceAdmin(Page):
    list_display = ("name", "outlet", "point")
    search_fields = ("name", "outlet__enterprise__name")
    autocomplete_fields = ("outlet", "point")


class _DeclaredForm(forms.ModelForm):
    """A basis or a range; what it has judged again is said first, and done once that is agreed to."""

    again = forms.BooleanField(
        label=gettext_lazy("Judge what it touches again"), required=False,
        help_text=gettext_lazy(
            "Hours and days that were judged already are judged again by the new entry; what was"
            " judged before stays readable. How many there are is said before anything is saved."
        ),
    )  # fmt: skip

    def _post_clean(self) -> None:
        super()._post_clean()
        if self.errors:
            return
        try:
            bases.check(self.instance)
        except ValidationError as error:
            for name, told in error.message_dict.items():
                self.add_error(name if name in self.fields else None, told)
            return
        found = bases.touched(self.instance)
        if found and not self.cleaned_data.get("again"):
            self.add_error(
                "again",
                _(
                    "%(hours)d hours and %(days)d days from %(first)s to %(last)s were judged already"
                    " and will be judged again; %(exceedances)d exceedances stand among them. Tick"
                    " this box and save again, or go back: nothing has been saved yet."
                )
                % {
                    "hours": len(found.hours), "days": len(found.days),
                    "first": local_day(found.days[0]), "last": local_day(found.days[-1]),
                    "exceedances": found.exceedances,
                },
            )  # fmt: skip


class _Declared(Page):
    """What decides about values is corrected, never deleted: judgements rest on it."""

    form = _DeclaredForm
    autocomplete_fields = ("point",)
    list_select_related = ("point",)
    search_fields = ("point__name", "point__mn", "factor")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("point", "factor") if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        found = bases.declare(request.user, obj)
        if found:
            messages.warning(
                request,
                _("%(hours)d hours and %(days)d days are judged again in the next minutes.")
                % {"hours": len(found.hours), "days": len(found.days)},
            )


@admin.register(InstrumentRange)
class InstrumentRangeAdmin(_Declared):
    list_display = ("point", "factor", "high")


@admin.register(Basis)
class BasisAdmin(_Declared):
    list_display = ("point", "factor", "state", "since")
    list_filter = ("state",)


@admin.register(HourNaming)
class HourNamingAdmin(Page):
    list_display = ("point", "name", "hours", "agree", "ahead", "since", "weighed")
    list_filter = ("name",)
    list_select_related = ("point",)
    search_fields = ("point__name", "point__mn")
    autocomplete_fields = ("point",)


@admin.register(Mark)
class MarkAdmin(ReadOnly, Page):
    list_display = ("outlet", "furnace", "sort", "start", "end", "at", "withdrawn")
    list_filter = ("sort",)
    list_select_related = ("outlet", "furnace")
    search_fields = ("outlet__enterprise__name", "note")


@admin.register(Sample)
class SampleAdmin(ReadOnly, Page):
    list_display = ("point", "factor", "taken", "value", "unit", "report", "withdrawn")
    list_select_related = ("point",)
    search_fields = ("point__name", "point__mn", "factor", "report")


@admin.register(Inquiry)
class InquiryAdmin(ReadOnly, Page):
    list_display = ("furnace", "time", "factor", "why", "found", "marked", "ordered", "answered")
    list_filter = ("why",)
    list_select_related = ("furnace",)
    search_fields = ("furnace__name", "furnace__outlet__enterprise__name", "factor")
