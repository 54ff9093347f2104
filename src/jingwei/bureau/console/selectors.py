"""What home, shell and system page show, from the selectors of the rooms."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import floor
from typing import Any

from django.conf import settings
from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from jingwei.bureau.access import CITY_WIDE, Role, may
from jingwei.bureau.accounts.models import Department
from jingwei.bureau.accounts.selectors import department_label
from jingwei.bureau.cases import selectors as cases
from jingwei.bureau.findings import selectors as findings
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.monitoring import selectors as monitoring
from jingwei.bureau.notices import selectors as notices
from jingwei.bureau.prepared import Prepared
from jingwei.bureau.registry.models import Enterprise, Point, Region
from jingwei.telemetry import health, journal
from jingwei.telemetry.intake import masked

SHOWN = 8  # rows of each list beside the map; the rest is one click away
FEW = 4  # where there are more lists, so that each has its head on the first screen
TASKS_FIRST = (Role.GRID, Role.DEPARTMENT, Role.ENTERPRISE)
OVERSEES = (Role.DISPATCHER, Role.DISTRICT, Role.LEADER, Role.AUDITOR)


_city: Prepared[Region] = Prepared(
    lambda: Region.objects.filter(parent=None).defer("geometry").order_by("code")[:1]
)


def city_name() -> str:
    """Name of the city: the region that has none above it; empty before regions are loaded."""
    region = _city.first()
    return region.label if region else ""


def workplace(user: Any) -> str:
    """Department of the user, or name of the enterprise."""
    if user.role == Role.ENTERPRISE:
        enterprise = Enterprise.objects.filter(uscc=user.enterprise_code).first()
        return enterprise.name if enterprise else user.enterprise_code
    return department_label(user.department)


def area_names(user: Any) -> list[str] | None:
    """Names of the areas in the user's jurisdiction; None for the whole city."""
    codes = user.areas()
    if codes is None:
        return None
    return [r.label for r in Region.objects.filter(code__in=codes).defer("geometry")]


def own_areas(user: Any) -> list[str] | None:
    """Codes of the areas that the map shows first; None where it is the whole city.

    An enterprise has no area, only its points: an empty list.
    """
    if user.is_superuser or user.role in CITY_WIDE:
        return None
    return [] if user.role == Role.ENTERPRISE else user.areas()


def waiting_count(user: Any) -> int:
    """How many cases need this user now; 1,000 stands for more."""
    return cases.waiting_count(user)


def new_findings(user: Any) -> Any:
    """Findings in the user's jurisdiction that nobody has judged yet, by their deadline."""
    new = findings.findings(user).filter(state=Finding.State.NEW).order_by("due", "pk")
    return new.defer("region__geometry")


def new_findings_count(user: Any) -> int:
    """How many of them there are, for those who judge them; 0 for everybody else."""
    return findings.new_count(user) if may(user, "finding.judge") else 0


@dataclass(frozen=True)
class Load:
    """The cases of one department now."""

    label: str
    under_way: int
    late: int
    risen: int  # escalated beyond the district


def loads(user: Any, now: datetime) -> list[Load]:
    """The departments with cases under way, the latest first."""
    rows = (
        cases.opened(user)
        .order_by()
        .values("department")
        .annotate(
            under_way=Count("pk"),
            late=Count("pk", filter=Q(clock__lte=now)),
            risen=Count("pk", filter=Q(escalated__gte=2)),
        )
    )
    names = {d.pk: department_label(d) for d in Department.objects.all()}
    found = [Load(names[r["department"]], r["under_way"], r["late"], r["risen"]) for r in rows]
    return sorted(found, key=lambda load: (-load.late, -load.risen, -load.under_way))


@dataclass(frozen=True)
class Side:
    """What stands beside the map. Lists are cut to `SHOWN`; the totals are not."""

    now: datetime
    figures: monitoring.KeyFigures
    states: Mapping[str, int]
    case_figures: Mapping[str, Any]
    waiting: list[Any]
    waiting_total: int
    findings: list[Finding]
    findings_total: int
    clocks: list[Any]  # cases whose clock rises next, for those who oversee others
    departments: list[Load]  # for the leaders
    messages: list[Any]  # unread ones, for those who come to do their tasks
    findings_late: int = 0

    @property
    def transmission_percent(self) -> str:
        """Rounded down to a tenth: 99.96 % is not 100 %."""
        rate = self.figures.transmission
        return "" if rate is None else f"{floor(rate * 1000) / 10:g}"

    @property
    def exceedances_url(self) -> str:
        """The exceedances whose period began today."""
        return f"{reverse('monitoring:exceedances')}?since={timezone.localdate(self.now)}"


def side(user: Any, now: datetime | None = None) -> Side:
    """Key figures, and what needs this user now."""
    now = now or timezone.now()
    states = monitoring.point_states(user, now)
    # Micro-stations fall out often and are indicative: they do not count among the figures.
    states = [state for state in states if state.point.kind != Point.Kind.MICRO_STATION]
    if user.role == Role.ENTERPRISE:  # its own points; ambient stations are on the map
        states = [state for state in states if state.point.kind == Point.Kind.SOURCE]
    waiting = cases.waiting_for(user).defer("region__geometry")
    new = new_findings(user)
    late = Count("pk", filter=Q(due__lte=now))
    counted = new.order_by().aggregate(total=Count("pk"), late=late)
    oversees = user.is_superuser or user.role in OVERSEES
    shown = FEW if oversees else SHOWN
    rising = cases.cases(user).filter(escalate_at__isnull=False).order_by("escalate_at", "pk")
    unread = notices.messages(user).filter(read=None)
    return Side(
        now=now,
        figures=monitoring.key_figures(user, now, states),
        states=Counter(state.state for state in states),
        case_figures=cases.key_figures(user, now),
        waiting=list(waiting[:shown]),
        waiting_total=waiting.count(),
        findings=list(new[:shown]),
        findings_total=counted["total"],
        findings_late=counted["late"],
        clocks=list(rising[:shown]) if oversees else [],
        departments=loads(user, now)[:SHOWN] if user.role == Role.LEADER else [],
        messages=list(unread[:FEW]) if user.role in TASKS_FIRST else [],
    )


@dataclass(frozen=True)
class Refused:
    """A telegram that the gateway did not take. `text`: as it came, made readable."""

    received: datetime
    peer: str
    reason: str
    text: str
    size: int


REFUSED_KEPT = 2_000  # of the newest segments: what the page looks at


def refused_telegrams(reason: str = "") -> tuple[Counter[str], list[Refused]]:
    """Refused telegrams by reason, and those of one reason (or all), the newest first.

    Looks at the newest segments up to about 2,000 telegrams; older ones stay in the store.
    """
    telegrams: list[journal.Telegram] = []
    root = settings.ENV.refused
    for segment in reversed(journal.segments(root) if root.is_dir() else []):
        try:
            with segment.open() as view:
                last = view.last()
            rows, _ = segment.read(max(0, last - REFUSED_KEPT))
        except (journal.BrokenSegmentError, sqlite3.OperationalError):
            continue
        telegrams += reversed(rows)
        if len(telegrams) >= REFUSED_KEPT:
            break
    counts = Counter(t.reason for t in telegrams)
    chosen = [t for t in telegrams if not reason or t.reason == reason]
    return counts, [
        Refused(t.received, t.peer, t.reason, readable(t.raw), len(t.raw)) for t in chosen
    ]


def readable(raw: bytes, longest: int = 2_000) -> str:
    """Bytes as text: UTF-8 where it is, `\\x..` where it is not, the device password hidden."""
    return masked(raw[:longest]) + (" …" if len(raw) > longest else "")


def process_errors() -> list[tuple[str, str]]:
    """What processes say is wrong with them now: (process or part, text)."""
    found = []
    for name, beat in _beats().items():
        for text in (beat.get("error"), beat.get("problem")):
            if text:
                found.append((name, str(text)))
        for part, text in (beat.get("errors") or {}).items():
            found.append((f"{name} · {part}", str(text)))
    return found


@dataclass(frozen=True)
class Peer:
    """One address at the gateway since its start."""

    address: str
    open: int
    accepted: int
    refused: list[tuple[str, int]]  # reason, telegrams
    cut: list[tuple[str, int]]  # reason, connections that the gateway ended
    last: datetime | None


@dataclass(frozen=True)
class Gateway:
    """What the gateway says of itself; `age` in seconds, None where it says nothing."""

    age: float | None
    peers: list[Peer]
    strangers: list[str]  # MNs that are not in the register


def gateway() -> Gateway:
    """The gateways' tables of addresses and devices, as last written, added up."""
    folder = settings.ENV.run / "tables"
    names = sorted(p.stem for p in folder.glob("gateway*.json")) if folder.is_dir() else []
    tables = [table for name in names if (table := health.read_table(settings.ENV.run, name))]
    by_address: dict[str, list[dict[str, Any]]] = {}
    for table in tables:
        for address, row in table.get("peers", {}).items():
            by_address.setdefault(address, []).append(row)

    def added(rows: list[dict[str, Any]], name: str) -> list[tuple[str, int]]:
        return sum((Counter(row.get(name, {})) for row in rows), Counter()).most_common()

    peers = [
        Peer(
            address=address,
            open=sum(row.get("open", 0) for row in rows),
            accepted=sum(row.get("accepted", 0) for row in rows),
            refused=added(rows, "refused"),
            cut=added(rows, "cut"),
            last=parse_datetime(max(row.get("last") or "" for row in rows)),
        )
        for address, rows in by_address.items()
    ]
    return Gateway(
        age=min((table["age"] for table in tables), default=None),
        peers=sorted(peers, key=lambda p: (-sum(n for _, n in p.refused), -p.open, p.address)),
        strangers=sorted({mn for table in tables for mn in table.get("strangers", {})}),
    )


def _beats() -> dict[str, dict[str, Any]]:
    return health.read(settings.ENV.run) if settings.ENV.run.is_dir() else {}
