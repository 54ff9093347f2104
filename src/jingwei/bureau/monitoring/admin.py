"""Reference data of this room for superusers: furnaces with their thermocouples, instrument ranges."""

from django.contrib import admin

from jingwei.bureau.accounts.admin import Page
from jingwei.bureau.monitoring.models import Furnace, InstrumentRange


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
