"""Everything that reads departments and users."""

from __future__ import annotations

from dataclasses import dataclass

from jingwei.bureau.accounts.models import Department, User
from jingwei.bureau.language import english


def department_label(department: Department | None) -> str:
    """Name of the department in the language of the reader; empty for none."""
    if department is None:
        return ""
    return department.name_en if english() and department.name_en else department.name


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
