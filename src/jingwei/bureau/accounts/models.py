"""Departments, their jurisdictions, and the people in them."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.access import Role


class Department(models.Model):
    """A node of the organisation: one city centre, district centres, grid stations, departments."""

    class Kind(models.TextChoices):
        CITY = "city", _("City centre")
        DISTRICT = "district", _("District centre")
        GRID = "grid", _("Grid station")
        DEPARTMENT = "department", _("Department")

    code = models.CharField(_("code"), max_length=32, unique=True)
    name = models.CharField(_("name"), max_length=80)
    name_en = models.CharField(_("name in English"), max_length=120, blank=True)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="children"
    )

    class Meta:
        ordering = ["code"]
        verbose_name = _("department")
        verbose_name_plural = _("departments")

    def __str__(self) -> str:
        return self.name


class Jurisdiction(models.Model):
    """Department x area x matter. An empty area is the whole city, an empty matter every matter."""

    department = models.ForeignKey(Department, models.CASCADE, related_name="jurisdictions")
    area = models.CharField(_("area code"), max_length=12, blank=True)
    matter = models.CharField(_("matter"), max_length=32, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["department", "area", "matter"], name="jurisdiction_once"
            )
        ]
        verbose_name = _("jurisdiction")
        verbose_name_plural = _("jurisdictions")

    def __str__(self) -> str:
        return f"{self.department} {self.area or '*'} {self.matter or '*'}"


class User(AbstractUser):
    """A person with one role in one department, or the representative of one enterprise."""

    role = models.CharField(_("role"), max_length=16, choices=Role, blank=True)
    department = models.ForeignKey(
        Department, models.PROTECT, null=True, blank=True, related_name="users"
    )
    enterprise_code = models.CharField(
        _("unified social credit code"), max_length=18, blank=True, db_index=True
    )
    phone = models.CharField(_("telephone"), max_length=32, blank=True)

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")

    def __str__(self) -> str:
        return self.get_full_name() or self.username

    def get_full_name(self) -> str:
        """Family name first, without a space, as Chinese names are written."""
        return f"{self.last_name}{self.first_name}"

    def areas(self) -> list[str] | None:
        """Codes of the areas in the user's jurisdiction; None where it is the whole city."""
        if not hasattr(self, "_areas"):
            codes = (
                list(self.department.jurisdictions.values_list("area", flat=True))
                if self.department_id
                else []
            )
            self._areas = None if "" in codes else codes
        return self._areas


class Substitution(models.Model):
    """Who stands in for whom, from the first day to the last (both included, local dates).

    A substitute has the role of the absent person: standing in widens the place of one's work,
    never its kind. `ended`: called off before its last day.
    """

    absent = models.ForeignKey(
        User, models.PROTECT, related_name="absences", verbose_name=_("absent")
    )
    substitute = models.ForeignKey(
        User, models.PROTECT, related_name="substitutions", verbose_name=_("substitute")
    )
    begins = models.DateField(_("first day"))
    ends = models.DateField(_("last day"))
    reason = models.CharField(_("reason"), max_length=200)
    made_by = models.ForeignKey(
        User, models.PROTECT, related_name="+", verbose_name=_("entered by")
    )
    created = models.DateTimeField(_("created"), auto_now_add=True)
    ended = models.DateTimeField(_("called off"), null=True, blank=True)

    class Meta:
        ordering = ["-begins", "-id"]
        indexes = [
            models.Index(
                fields=["absent", "ends"],
                name="substitution_absent",
                condition=models.Q(ended__isnull=True),
            ),
            models.Index(
                fields=["substitute", "ends"],
                name="substitution_substitute",
                condition=models.Q(ended__isnull=True),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends__gte=models.F("begins")), name="substitution_forward"
            ),
            models.CheckConstraint(
                condition=~models.Q(absent=models.F("substitute")), name="substitution_of_another"
            ),
        ]
        verbose_name = _("substitution")
        verbose_name_plural = _("substitutions")

    def __str__(self) -> str:
        return f"{self.substitute} ← {self.absent} {self.begins}…{self.ends}"


class LoginFailure(models.Model):
    """How often a login failed for one name from one address."""

    key = models.CharField(_("name and address, hashed"), max_length=64, primary_key=True)
    count = models.PositiveIntegerField(_("failures"), default=0)
    last = models.DateTimeField(_("last failure"), db_index=True)

    class Meta:
        verbose_name = _("login failure")
        verbose_name_plural = _("login failures")

    def __str__(self) -> str:
        return f"{self.key[:8]} {self.count}"
