"""Reference data for superusers: nobody else has permissions in the admin.

The same refusals hold here as in `services`: a wrong check character, overlapping limits, a point
whose logger has another password. What names a row (code, MN, ST) and a limit's value are set once.
"""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.accounts.admin import Page, ReadOnly
from jingwei.bureau.language import factor_name
from jingwei.bureau.registry import changes, selectors, services
from jingwei.bureau.registry.models import (
    Enterprise,
    ManualResult,
    MonitoringPlan,
    Outlet,
    Permit,
    PermitAmount,
    PermitLimit,
    PermitVersion,
    Point,
    Region,
    TriggerRule,
)
from jingwei.standards import codes


class _CheckedForm(forms.ModelForm):
    """A form that refuses what `services` refuses, with the same words."""

    def check_row(self) -> None:
        match self.instance:
            case Enterprise():
                services.check_enterprise(self.instance)
            case Permit():
                services.check_permit(self.instance)
            case PermitLimit():
                services.check_limit(self.instance)
            case Point():
                services.check_point(self.instance)

    def _post_clean(self) -> None:
        super()._post_clean()
        if self.errors:
            return
        try:
            self.check_row()
        except ValidationError as error:
            known = {
                name if name in self.fields else None: messages
                for name, messages in error.message_dict.items()
            }
            for name, messages in known.items():
                self.add_error(name, messages)


class _Factors(forms.CharField):
    """Codes of factors as people write them: "a21002, a19001"."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:
        if isinstance(value, list):
            return value
        return list(dict.fromkeys(re.findall(r"[^\s,;，、；]+", value or "")))


class _PointForm(_CheckedForm):
    factors = _Factors(
        label=_("Factors"),
        help_text=_("Codes of HJ 212, separated by commas: a21002, a19001"),
        widget=admin.widgets.AdminTextareaWidget(attrs={"rows": 3}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        version = cleaned.get("version")
        if version in codes.VERSIONS:
            for code in cleaned.get("factors", ()):
                if codes.factor(code, version) is None:
                    self.add_error("factors", _("%(code)s is no factor of HJ 212") % {"code": code})
        return cleaned


class _Reference(Page):
    form = _CheckedForm
    once: tuple[str, ...] = ()  # fields that cannot change after the row was made

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.once if obj else ()


@admin.register(Region)
class RegionAdmin(_Reference):
    list_display = ("code", "name", "name_en", "parent", "source")
    search_fields = ("code", "name", "name_en")
    autocomplete_fields = ("parent",)
    once = ("code",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return (
            super()
            .get_queryset(request)
            .select_related("parent")
            .defer("geometry", "parent__geometry")
        )


@admin.register(Enterprise)
class EnterpriseAdmin(_Reference):
    list_display = ("name", "uscc", "industry", "region", "fictional")
    list_filter = ("industry", "fictional")
    search_fields = ("name", "uscc")
    autocomplete_fields = ("region",)
    once = ("uscc",)

    def save_model(self, request: HttpRequest, obj: Enterprise, form: Any, change: bool) -> None:
        if change:
            services.change_enterprise(obj)
        else:
            super().save_model(request, obj, form, change)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("region").defer("region__geometry")


@admin.register(Outlet)
class OutletAdmin(_Reference):
    list_display = ("code", "name", "medium", "facility", "enterprise")
    list_filter = ("medium", "facility")
    list_select_related = ("enterprise",)
    search_fields = ("code", "name", "enterprise__name")
    autocomplete_fields = ("enterprise",)
    once = ("enterprise", "code", "medium")


@admin.register(Permit)
class PermitAdmin(_Reference):
    list_display = ("number", "enterprise", "category", "valid_from", "valid_to")
    list_filter = ("category",)
    list_select_related = ("enterprise",)
    search_fields = ("number", "enterprise__name")
    autocomplete_fields = ("enterprise",)
    once = ("enterprise",)


@admin.register(PermitLimit)
class PermitLimitAdmin(_Reference):
    """A limit is never rewritten: let it end, and add the one that follows."""

    list_display = (
        "permit",
        "outlet",
        "factor",
        "period",
        "value",
        "unit",
        "valid_from",
        "valid_to",
        "verified",
    )
    list_filter = ("period", "verified")
    list_select_related = ("permit", "outlet")
    search_fields = ("permit__number", "permit__enterprise__name", "factor")
    autocomplete_fields = ("permit", "outlet")
    once = (
        "permit",
        "outlet",
        "factor",
        "period",
        "value",
        "unit",
        "reference_o2",
        "lower",
        "source",
        "verified",
        "valid_from",
    )

    def save_model(self, request: HttpRequest, obj: PermitLimit, form: Any, change: bool) -> None:
        for row in changes.enter_limit(request.user, obj):
            messages.info(
                request,
                _(
                    "The national line of %(outlet)s, %(limit)s, held because the permit said nothing."
                    " It gives way to the permit's own from %(day)s on; days that were judged since"
                    " then are judged again."
                )
                % {"outlet": row.outlet, "limit": f"{factor_name(row.factor)} {selectors.plain(row.value)} "
                   f"{codes.symbol(row.unit)}", "day": obj.valid_from},
            )  # fmt: skip


@admin.register(Point)
class PointAdmin(_Reference):
    """A change of a point is told to the gateway as soon as it is committed."""

    list_display = ("name", "mn", "st", "kind", "outlet", "enabled")
    list_filter = ("kind", "st", "enabled")
    list_select_related = ("outlet",)
    search_fields = ("name", "mn", "outlet__enterprise__name")
    autocomplete_fields = ("outlet", "region")
    form = _PointForm
    once = ("mn", "st")

    def save_model(self, request: HttpRequest, obj: Point, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        transaction.on_commit(services.publish_register)

    def delete_model(self, request: HttpRequest, obj: Point) -> None:
        super().delete_model(request, obj)
        transaction.on_commit(services.publish_register)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        super().delete_queryset(request, queryset)
        transaction.on_commit(services.publish_register)


# What pages and services write: to be looked at -------------------------------------------------


@admin.register(PermitAmount)
class PermitAmountAdmin(ReadOnly, Page):
    list_display = (
        "permit",
        "outlet",
        "factor",
        "period",
        "value",
        "unit",
        "valid_from",
        "valid_to",
    )
    list_filter = ("period", "verified")
    list_select_related = ("permit", "outlet")
    search_fields = ("permit__number", "permit__enterprise__name", "factor")


@admin.register(PermitVersion)
class PermitVersionAdmin(ReadOnly, Page):
    list_display = ("permit", "number", "act", "in_force", "valid_from", "valid_to", "actor")
    list_filter = ("act",)
    list_select_related = ("permit", "actor")
    search_fields = ("permit__number", "permit__enterprise__name", "note")


@admin.register(MonitoringPlan)
class MonitoringPlanAdmin(ReadOnly, Page):
    list_display = (
        "permit",
        "outlet",
        "factor",
        "means",
        "times",
        "every",
        "valid_from",
        "valid_to",
    )
    list_filter = ("means", "every")
    list_select_related = ("permit", "outlet")
    search_fields = ("permit__number", "permit__enterprise__name", "factor")


@admin.register(ManualResult)
class ManualResultAdmin(ReadOnly, Page):
    list_display = ("outlet", "factor", "sampled", "value", "unit", "report", "published")
    list_select_related = ("outlet",)
    search_fields = ("outlet__enterprise__name", "factor", "report")


@admin.register(TriggerRule)
class TriggerRuleAdmin(ReadOnly, Page):
    list_display = ("code", "version", "event", "count", "window_hours", "deadline_hours")
    search_fields = ("code",)
