"""Users, departments and their jurisdictions, for superusers: nobody else has rights in the admin.

What a person may do follows from the role alone (see `bureau.access`), so Django's groups and
permissions are not offered here.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db import models
from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.access import see
from jingwei.bureau.accounts.models import Department, Jurisdiction, User

admin.site.site_header = admin.site.site_title = _("Jingwei administration")
admin.site.index_title = _("Users and reference data")
admin.site.unregister(Group)

_has_permission = admin.site.has_permission


def _seen(request: HttpRequest) -> bool:
    """The pages of the administration are no views of ours: they say here whose rows they read."""
    see(request.user)
    return _has_permission(request)


admin.site.has_permission = _seen


def _label(field: models.Field) -> str:
    """What a relation is called: the other side's name, which is translated, and not the field's."""
    return _("superior") if field.name == "parent" else field.related_model._meta.verbose_name


class SuperusersOnly:
    """Superusers only, whatever permissions a staff account was given."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)


class ReadOnly:
    """To be looked at: rows that services alone write, each with its entry in the evidence log."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Page(SuperusersOnly, admin.ModelAdmin):
    """A model in the admin: paged, its relations named in the language of the reader."""

    list_per_page = 50

    def __init__(self, model: type[models.Model], site: admin.AdminSite) -> None:
        super().__init__(model, site)
        self._relations = {f.name: f for f in model._meta.fields if f.is_relation}

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        kwargs["labels"] = {name: capfirst(_label(f)) for name, f in self._relations.items()}
        return super().get_form(request, *args, **kwargs)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [self._column(name) for name in super().get_list_display(request)]

    def _column(self, name: str) -> Any:
        if name not in self._relations:
            return name

        @admin.display(description=_label(self._relations[name]), ordering=name)
        def column(row: models.Model) -> Any:
            return getattr(row, name)

        return column


@admin.register(User)
class UserAdmin(Page, DjangoUserAdmin):
    """People: role, place, password. A superuser enters the admin; nobody else does."""

    list_display = ("username", "last_name", "first_name", "role", "department", "is_active")
    list_filter = ("role", "is_active", "is_superuser")
    list_select_related = ("department",)
    search_fields = ("username", "last_name", "first_name", "phone", "enterprise_code")
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    _place = ("role", "department", "enterprise_code")
    _person = ("last_name", "first_name", "phone", "email")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Role and place"), {"fields": _place}),
        (_("Person"), {"fields": _person}),
        (_("Access"), {"fields": ("is_active", "is_superuser", "last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "usable_password", "password1", "password2")}),
        (_("Role and place"), {"fields": _place}),
        (_("Person"), {"fields": _person}),
    )

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        obj.is_staff = obj.is_superuser
        super().save_model(request, obj, form, change)


class _Jurisdictions(SuperusersOnly, admin.StackedInline):
    model = Jurisdiction
    fields = (("area", "matter"),)
    extra = 1


@admin.register(Department)
class DepartmentAdmin(Page):
    list_display = ("code", "name", "name_en", "kind", "parent")
    list_filter = ("kind",)
    list_select_related = ("parent",)
    search_fields = ("code", "name", "name_en")
    inlines = (_Jurisdictions,)
