"""What the shell needs on every page: navigation by work, the city, who is here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import get_language, gettext_lazy, ngettext, pgettext_lazy
from django.utils.translation import gettext as _

from jingwei.bureau.access import may
from jingwei.bureau.console import selectors
from jingwei.bureau.notices import selectors as notices

TABS = (
    "duty",
    "findings",
    "cases",
    "monitoring",
)  # at the foot of a phone, by icon; then the others
NAV_COOKIE = "nav"  # "narrow" while the user keeps the navigation narrow; written by console.js


_address = lru_cache(maxsize=None)(reverse)  # of pages without parameters


@dataclass(frozen=True)
class Section:
    """One entry of the navigation: the room it leads to and the action that opens it."""

    icon: str
    label: str
    room: str
    view: str
    action: str


SECTIONS = (
    Section("duty", gettext_lazy("Duty"), "console", "console:home", "home.view"),
    Section(
        "monitoring", gettext_lazy("Monitoring"), "monitoring", "monitoring:points", "point.view"
    ),
    Section("air", pgettext_lazy("navigation", "Air"), "air", "air:forecast", "air.view"),
    Section("findings", gettext_lazy("Findings"), "findings", "findings:list", "finding.view"),
    Section("cases", gettext_lazy("Cases"), "cases", "cases:list", "case.view"),
    Section(
        "campaigns", gettext_lazy("Campaigns"), "campaigns", "campaigns:index", "campaign.view"
    ),
    Section(
        "inspections",
        gettext_lazy("Inspections"),
        "inspections",
        "inspections:list",
        "inspection.view",
    ),
    Section("penalties", gettext_lazy("Penalties"), "penalties", "penalties:list", "penalty.view"),
    Section(
        "enterprises", gettext_lazy("Enterprises"), "registry", "registry:list", "enterprise.view"
    ),
    Section(
        "evidence", gettext_lazy("Evidence"), "evidencelog", "evidencelog:list", "evidence.view"
    ),
    Section(
        "organisation",
        gettext_lazy("Organisation"),
        "console",
        "console:organisation",
        "organisation.view",
    ),
    Section("system", gettext_lazy("System"), "console", "console:system", "telemetry.health"),
)


@dataclass(frozen=True)
class Entry:
    """A section as this user sees it on this page."""

    icon: str
    label: str
    url: str
    current: bool = False  # the page is in the section
    here: bool = False  # the page is where the entry leads
    count: int = 0
    count_label: str = ""


class Shell:
    """Everything is worked out when the template asks for it: fragments and files pay nothing."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request

    @property
    def collapsed(self) -> bool:
        return self.request.COOKIES.get(NAV_COOKIE) == "narrow"

    @cached_property
    def sections(self) -> list[Entry]:
        """The sections that the user's role opens, each with its count of things to do."""
        user = self.request.user
        match = self.request.resolver_match
        here = match.view_name if match else ""
        system = here == "console:system"
        found = []
        for section in SECTIONS:
            if not may(user, section.action):
                continue
            current = bool(match) and (
                here == section.view or here.startswith(section.view + "-")
                if section.room == "console" or system
                else match.app_name == section.room
            )
            count, label = self._count(section.room)
            found.append(
                Entry(
                    section.icon,
                    str(section.label),
                    _address(section.view),
                    current,
                    section.view == here,
                    count,
                    label,
                )
            )
        if user.is_superuser and user.is_staff:
            found.append(Entry("admin", _("Administration"), _address("admin:index")))
        return found

    @property
    def tabs(self) -> list[Entry]:
        """The four sections at the foot of a phone."""
        known = {icon: n for n, icon in enumerate(TABS)}
        return sorted(self.sections, key=lambda entry: known.get(entry.icon, len(TABS)))[:4]

    def _count(self, room: str) -> tuple[int, str]:
        if room == "cases":
            count = selectors.waiting_count(self.request.user)
            return count, ngettext("waits for you", "wait for you", count)
        if room == "findings":
            return selectors.new_findings_count(self.request.user), _("new")
        return 0, ""

    @cached_property
    def unread(self) -> int:
        """Messages that this user has not read."""
        return notices.unread(self.request.user)

    @cached_property
    def city(self) -> str:
        return selectors.city_name()

    @property
    def post(self) -> str:
        """Role and place of the user: "District officer · Haidian district centre"."""
        user: Any = self.request.user
        where = self.workplace
        role = user.get_role_display() or (_("Administrator") if user.is_superuser else "")
        return " · ".join(part for part in (role, where) if part)

    @property
    def workplace(self) -> str:
        return selectors.workplace(self.request.user)

    @property
    def areas(self) -> list[str] | None:
        """Names of the areas in the user's jurisdiction; None for the whole city."""
        return selectors.area_names(self.request.user)

    @property
    def other_language(self) -> tuple[str, str]:
        """Code and own name of the language that the user may switch to."""
        return ("en", "English") if get_language() != "en" else ("zh-hans", "简体中文")

    @property
    def time_zone(self) -> str:
        return settings.TIME_ZONE

    @property
    def tiles(self) -> str:
        return settings.ENV.tiles_url


def shell(request: HttpRequest) -> dict[str, object]:
    """Context processor: `shell` for `console/base.html`."""
    return {"shell": Shell(request)}
