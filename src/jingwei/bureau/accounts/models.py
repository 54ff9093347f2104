"""Departments, their jurisdictions, and the people in them."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.access import Role
from jingwei.bureau.prepared import Prepared


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

    def places(self) -> list[tuple[str, str]]:
        """(area, matter) of the own jurisdiction; an empty one is all areas, or all matters."""
        if not hasattr(self, "_places"):
            self._places: list[tuple[str, str]] = (
                _places(self.department_id) if self.department_id else []
            )
        return self._places

    def areas(self) -> list[str] | None:
        """Codes of the areas in the user's jurisdiction, those of whom he stands in for included;
        None where it is the whole city."""
        codes = {area for person in self.acts_for() for area, _matter in person.places()}
        return None if "" in codes else sorted(codes)

    def acts_for(self) -> list[User]:
        """The user, and whom he stands in for today: people of the same role."""
        if not hasattr(self, "_acts_for"):
            today = timezone.localdate()
            ids = _absent(self.pk, today) if self.role and self.pk else []
            absent = User.objects.filter(pk__in=ids, role=self.role).order_by("pk") if ids else ()
            self._acts_for: list[User] = [self, *absent]
        return self._acts_for

    def department_ids(self) -> set[int]:
        """The own department, and those of the people whom the user stands in for today."""
        return {p.department_id for p in self.acts_for() if p.department_id}


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


class CalendarChange(models.Model):
    """One change of the calendar of working days, on top of the published one (`standards`).

    Rows are only ever added: the latest one of a date is in force, and what was in force at an
    earlier time can always be told.
    """

    class Kind(models.TextChoices):
        REST = "rest", _("Day off")
        WORK = "work", _("Make-up working day")
        ORDINARY = "ordinary", _("No exception: as in any week")
        PUBLISHED = "published", _("As published")
        YEAR = "year", _("The year is entered in full")  # date: its first of January

    date = models.DateField(_("date"), db_index=True)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind)
    name = models.CharField(_("name"), max_length=40, blank=True)
    name_en = models.CharField(_("name in English"), max_length=60, blank=True)
    source = models.CharField(_("source"), max_length=200, help_text=_("Notice and its number"))
    reason = models.CharField(_("reason"), max_length=200)
    by = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("entered by"))
    at = models.DateTimeField(_("entered"))

    class Meta:
        ordering = ["id"]
        verbose_name = _("change of the calendar")
        verbose_name_plural = _("changes of the calendar")

    def __str__(self) -> str:
        return f"{self.date} {self.kind}"


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


# Asked at every request.
_places: Prepared[tuple[str, str]] = Prepared(
    lambda department: Jurisdiction.objects.filter(department=department).values_list(
        "area", "matter"
    )
)
_absent: Prepared[int] = Prepared(
    lambda substitute, today: (
        Substitution.objects.filter(
            substitute=substitute, ended=None, begins__lte=today, ends__gte=today
        )
        .order_by()
        .values_list("absent", flat=True)
    )
)


class SavedFilter(models.Model):
    """A view of a list that somebody wants to find again: the query of its URL.

    `page`: the URL name of the list, one of `lists.KEEPABLE`.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="saved_filters")
    page = models.CharField(_("list"), max_length=40)
    name = models.CharField(_("name"), max_length=40)
    query = models.CharField(_("query"), max_length=500)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "page", "name"], name="saved_filter_once_a_list"
            )
        ]
        verbose_name = _("saved filter")
        verbose_name_plural = _("saved filters")

    def __str__(self) -> str:
        return self.name
