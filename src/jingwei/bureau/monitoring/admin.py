"""For superusers: furnaces with their thermocouples, instrument ranges and bases of concentrations and
how points name hours; to be looked at, marks,
enforcement samples and what was asked of furnaces."""

from django.contrib import admin

from jingwei.bureau.accounts.admin import Page, ReadOnly
from jingwei.bureau.monitoring.models import (
    Basis,
    Furnace,
    HourNaming,
    Inquiry,
    InstrumentRange,
    Mark,
    Sample,
)


@admin.register(Furnace)
class FurnaceAdmin(Page):
    list_display = ("name", "outlet", "point")
    search_fields = ("name", "outlet__enterprise__name")
    autocomplete_fields = ("outlet", "point")


@admin.register(InstrumentRange)
class InstrumentRangeAdmin(Page):
    list_display = ("point", "factor", "high")
    search_fields = ("point__name", "point__mn", "factor")
    autocomplete_fields = ("point",)


@admin.register(Basis)
class BasisAdmin(Page):
    list_display = ("point", "factor", "state", "since")
    list_filter = ("state",)
    list_select_related = ("point",)
    search_fields = ("point__name", "point__mn", "factor")
    autocomplete_fields = ("point",)


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
