"""Everything that reads departments and users."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from jingwei.bureau.access import CITY_WIDE
from jingwei.bureau.accounts.models import Department, Substitution, User
from jingwei.bureau.language import english
from jingwei.standards import matters


def department_label(department: Department | None) -> str:
    """Name of the department in the language of the reader; empty for none."""
    if department is None:
        return ""
    return department.name_en if english() and department.name_en else department.name


class Reach:
    """A user as a key: all that decides today what he may see and whose turn it is. While it stays
    the same, the same question is asked again (`Prepared`)."""

    def __init__(self, user: Any) -> None:
        self.user = user
        people = [
            (p.pk, p.is_superuser, p.enterprise_code, p.department_id, *sorted(p.places()))
            for p in user.acts_for()
        ]
        self.key = (user.role, user.is_superuser, user.enterprise_code, *people)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reach) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True)
class Profile:
    """`chain`: the department below those above it; `matters`: None where all of them."""

    chain: list[str]
    matters: list[str] | None


def profile(user: User) -> Profile:
    """Department with those above it, and matters of `user`."""
    chain: list[str] = []
    department = user.department
    while department is not None:
        chain.insert(0, department_label(department))
        department = department.parent
    matters = (
        set(user.department.jurisdictions.values_list("matter", flat=True))
        if user.department
        else set()
    )
    return Profile(chain, None if "" in matters else sorted(matters))


def people(
    role: str = "",
    *,
    area: str | None = None,
    matter: str | None = None,
    department: Department | None = None,
    enterprise: str = "",
) -> QuerySet[User]:
    """The active people of a role and a place: those whose turn it is, or who are to be told.

    `area`: code of a region that their jurisdiction holds (roles that work for the whole city are
    found whatever the area); `matter`: a kind of finding that it holds; `department`: those of one
    department; `enterprise`: the representatives of a unified social credit code.
    """
    found = User.objects.filter(is_active=True)
    if role:
        found = found.filter(role=role)
    if enterprise:
        found = found.filter(enterprise_code=enterprise)
    if department is not None:
        found = found.filter(department=department)
    if area is not None or matter is not None:
        place = Q()
        if area is not None:
            place &= Q(jurisdictions__area="") | Q(jurisdictions__area=area)
        if matter is not None:
            place &= Q(jurisdictions__matter__in=["", *matters.holding(matter)])
        offices = Department.objects.filter(place)
        found = found.filter(Q(department__in=offices) | Q(role__in=CITY_WIDE))
    return found


def substitutions(today: date | None = None) -> QuerySet[Substitution]:
    """The substitutions in force on a day (local date; without one, today)."""
    today = today or timezone.localdate()
    return Substitution.objects.filter(ended=None, begins__lte=today, ends__gte=today)
