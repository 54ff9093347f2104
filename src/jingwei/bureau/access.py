"""Who may do what: the one place.

Two questions are asked of every request:

* may this *role* do this *action*? — `PERMISSIONS`, asked by `@requires(action)` on the view
  and by `may(user, action)` in services and templates;
* which *rows* may this user see? — `RestrictedQuerySet.restrict(user, action)`, by the
  jurisdiction of the user's department and, for an enterprise, by its own file. On PostgreSQL the
  database asks this once more (`rows`).

A view without `@requires` or `@public` is an error that a test finds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _

from jingwei.bureau import rows
from jingwei.standards import matters


class Role(models.TextChoices):
    DISPATCHER = "dispatcher", _("City dispatcher")
    DISTRICT = "district", _("District officer")
    GRID = "grid", _("Grid officer")
    DEPARTMENT = "department", _("Department liaison")
    ENTERPRISE = "enterprise", _("Enterprise")
    AUDITOR = "auditor", _("Auditor")
    LEADER = "leader", _("Leader")


_ALL = frozenset(Role)
_OFFICE = _ALL - {Role.ENTERPRISE}
CITY_WIDE = frozenset({Role.DISPATCHER, Role.AUDITOR, Role.LEADER})  # see every row

PERMISSIONS: dict[str, frozenset[Role]] = {
    "home.view": _ALL,
    "account.view": _ALL,
    "enterprise.view": _ALL,
    "point.view": _ALL,
    "point.raw": _ALL,
    "mark.set": frozenset({Role.ENTERPRISE}),
    "check.enter": frozenset({Role.DISPATCHER, Role.DISTRICT, Role.ENTERPRISE}),
    "check.confirm": frozenset({Role.DISPATCHER, Role.DISTRICT}),
    "sample.enter": frozenset({Role.DISPATCHER, Role.DISTRICT}),
    "telemetry.health": _OFFICE,
    "finding.view": _ALL,
    "finding.judge": frozenset({Role.DISPATCHER, Role.DISTRICT}),
    "case.view": _ALL,
    "case.open": frozenset({Role.DISPATCHER}),
    "case.handle": frozenset({Role.DISPATCHER, Role.DISTRICT}),
    "case.statistics": _OFFICE - {Role.DEPARTMENT},
    "case.act": _ALL - {Role.AUDITOR},
    "evidence.view": _OFFICE - {Role.GRID, Role.DEPARTMENT},
    "finding.file": frozenset({Role.DISPATCHER, Role.DISTRICT, Role.GRID, Role.DEPARTMENT}),
    "finding.import": frozenset({Role.DISPATCHER, Role.DISTRICT}),
    "dispatch.manage": frozenset({Role.DISPATCHER}),
    "identity.open": frozenset({Role.DISPATCHER}),
    "reading.view": frozenset({Role.AUDITOR}),
    "api.admin": frozenset(),  # superusers alone
    "notice.view": _ALL,
    "organisation.view": _OFFICE,
    "substitution.own": _OFFICE,
    "substitution.any": frozenset({Role.DISPATCHER}),
    "calendar.change": frozenset(),  # superusers alone
    "notice.outbox": frozenset(),  # superusers alone
    "device.view": _OFFICE,
    "device.command": frozenset({Role.DISPATCHER, Role.DISTRICT}),
    "device.adopt": frozenset({Role.DISPATCHER}),
    "device.settings": frozenset(),  # administrators
    "permit.edit": frozenset({Role.DISPATCHER}),
    "plan.edit": frozenset({Role.DISPATCHER}),
    "result.enter": frozenset({Role.DISPATCHER, Role.DISTRICT, Role.ENTERPRISE}),
    "rule.view": _ALL,
    "trigger.view": _OFFICE,
    "trigger.edit": frozenset({Role.DISPATCHER}),
    "proposal.decide": frozenset({Role.DISPATCHER}),
    "draw.view": _OFFICE,
    "draw.manage": frozenset({Role.DISPATCHER}),
    "draw.own": frozenset({Role.ENTERPRISE}),
    "inspection.view": _ALL,
    "inspection.plan": frozenset({Role.DISPATCHER, Role.DISTRICT}),
    "inspection.act": frozenset({Role.DISPATCHER, Role.DISTRICT, Role.GRID}),
    "penalty.view": _ALL - {Role.DEPARTMENT},
    "penalty.file": frozenset({Role.DISPATCHER, Role.DISTRICT}),
    "air.view": frozenset({Role.DISPATCHER, Role.DISTRICT, Role.LEADER, Role.AUDITOR}),
    "air.trace": frozenset({Role.DISPATCHER, Role.DISTRICT}),
    "air.disperse": frozenset({Role.DISPATCHER, Role.DISTRICT}),
    # Give up a computation that another asked for; who asked may give up his own.
    "air.cancel": frozenset({Role.DISPATCHER}),
    "air.forecast": frozenset({Role.DISPATCHER}),
    "air.decide": frozenset({Role.DISPATCHER}),
    "campaign.view": _OFFICE,
    "campaign.manage": frozenset({Role.DISPATCHER}),
    "campaign.report": frozenset({Role.DISPATCHER, Role.DISTRICT}),
    "campaign.share": frozenset({Role.DISPATCHER}),
    "detection.view": _OFFICE,
    "observation.enter": frozenset({Role.DISPATCHER, Role.DISTRICT}),
}


def may(user: Any, action: str) -> bool:
    """Whether the user's role allows the action (`KeyError` for an action that is not in the table)."""
    allowed = PERMISSIONS[action]
    if not user.is_authenticated or not user.is_active:
        return False
    return bool(user.is_superuser or user.role in allowed)


def see(user: Any) -> None:
    """Let the database know whose rows this request may read (`rows`): the places of the own
    department and of those whom the user stands in for, as `RestrictedQuerySet.reach` takes them."""
    if not rows.on() or not user.is_authenticated or not user.is_active:
        return
    areas: set[str] = set()
    pairs: set[str] = set()
    people = user.acts_for()
    if any(person.is_superuser or person.role in CITY_WIDE for person in people):
        rows.see_all()
        return
    own = user.enterprise_code if user.role == Role.ENTERPRISE else ""
    for area, matter in () if own else (place for person in people for place in person.places()):
        areas.add(area)
        pairs |= {f"{area}/{kind}" for kind in (matters.kinds(matter) if matter else ("",))}
    departments = set() if own else user.department_ids()
    rows.see(areas, pairs, departments, {person.pk for person in people}, own)


def requires(action: str) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """Demand a login and a role that may do `action`: else the login page, or 403."""
    PERMISSIONS[action]

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            # Imported late: Django's auth views need the user model, which needs `Role`.
            from django.contrib.auth.views import redirect_to_login

            if not request.user.is_authenticated:
                return redirect_to_login(page_of(request))
            if not may(request.user, action):
                raise PermissionDenied
            see(request.user)
            return view(request, *args, **kwargs)

        guarded.access = action  # type: ignore[attr-defined]
        return guarded

    return decorate


def page_of(request: HttpRequest) -> str:
    """The page on which the browser is: of a form that was sent the one that showed it, since many
    an act has no page of its own."""
    came = urlsplit(request.META.get("HTTP_REFERER", ""))
    if request.method in ("GET", "HEAD") or came.netloc != request.get_host():
        return request.get_full_path()
    path = came._replace(scheme="", netloc="", fragment="").geturl()
    # A path that begins with // would be the address of another site.
    return path if url_has_allowed_host_and_scheme(path, None) else request.get_full_path()


def public(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Say that a view is meant to be open to everybody."""

    @wraps(view)
    def open_view(*args: Any, **kwargs: Any) -> HttpResponse:
        rows.see_all()  # such a page chooses itself what it shows
        return view(*args, **kwargs)

    open_view.access = None  # type: ignore[attr-defined]
    return open_view


NOTHING = models.Q(pk__in=[])


class RestrictedQuerySet(models.QuerySet):
    """Rows with a place. The model says where its place stands:

    `place = {"area": "region_id", "enterprise": "enterprise__uscc", "matter": "kind"}` — the
    lookups of the region's code, of the enterprise's unified social credit code and, where rows
    are about something, of the kind of finding that a matter of the jurisdiction holds.
    """

    def restrict(self, user: Any, action: str) -> RestrictedQuerySet:
        """The rows on which `user` may do `action`: the own ones, and those of whom the user
        stands in for today; none without the role."""
        if not may(user, action):
            return self.none()
        whole = NOTHING
        for person in user.acts_for():
            reach = self.reach(person)
            if reach is None:
                return self
            whole |= reach
        return self.filter(whole)

    def reach(self, user: Any) -> models.Q | None:
        """The rows in the jurisdiction of one person; None for all."""
        if user.is_superuser or user.role in CITY_WIDE:
            return None
        place: dict[str, str] = self.model.place
        if user.role == Role.ENTERPRISE:
            if not user.enterprise_code or "enterprise" not in place:
                return NOTHING
            return models.Q(**{place["enterprise"]: user.enterprise_code})
        areas: dict[str, set[str]] = {}
        for area, matter in user.places():
            areas.setdefault(matter if "matter" in place else "", set()).add(area)
        whole = NOTHING
        for matter, codes in areas.items():
            about = {place["matter"] + "__in": sorted(matters.kinds(matter))} if matter else {}
            where = {} if "" in codes else {place["area"] + "__in": sorted(codes)}
            if not about and not where:
                return None
            whole |= models.Q(**about, **where)
        return whole

    def absent(self, user: Any, pk: Any) -> Any:
        """In whose place `user` reaches this row today; None where the own jurisdiction holds it."""
        people = user.acts_for()
        for person in people if len(people) > 1 else ():
            reach = self.reach(person)
            if reach is None or self.filter(reach, pk=pk).exists():
                return None if person == user else person
        return None
