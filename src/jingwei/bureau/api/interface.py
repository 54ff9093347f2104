# ruff: noqa: B008 (so django-ninja is told of parameters)
"""The machine interface, version 1. Each operation names the scope that its token must have, and
reads through the same `restrict` as the pages, as the user for whom the token acts."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from math import isnan
from typing import Any, Literal

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from ninja import NinjaAPI, Path, Query
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.security import HttpBearer

from jingwei.bureau.access import may, see
from jingwei.bureau.api import intake, schemas, services
from jingwei.bureau.api.problems import Problem, Wrong, answer
from jingwei.bureau.cases import selectors as cases
from jingwei.bureau.findings import ratelimit
from jingwei.bureau.findings import selectors as findings
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.monitoring import selectors as monitoring
from jingwei.bureau.registry.models import Point
from jingwei.telemetry.journal import JournalError
from jingwei.telemetry.lake import LakeError

log = logging.getLogger(__name__)

PER_MINUTE = 600  # requests of one token
FAILURES = 60  # wrong tokens of one address in an hour
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LARGEST_PAGE = 500
DEEPEST = 100_000  # rows that pages reach; who wants more filters by time
OBSERVATIONS = 5_000  # in one answer
# How long a period of observations may be asked for at once.
SPAN = {
    "realtime": timedelta(days=1),
    "minute": timedelta(days=7),
    "hour": timedelta(days=93),
    "day": timedelta(days=1100),
}
# What a scope demands of the user for whom the token acts.
ACTIONS = {
    "findings:read": "finding.view",
    "findings:write": "finding.file",
    "cases:read": "case.view",
    "exceedances:read": "point.view",
    "points:read": "point.view",
    "observations:read": "point.view",
    "observations:write": "observation.enter",
}


class Scope(HttpBearer):
    """`Authorization: Bearer jw_…` of a token with this scope."""

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope

    def authenticate(self, request: HttpRequest, token: str) -> Any:
        now = timezone.now()
        found = services.known(token)
        if found is None:
            if not ratelimit.within(
                "api-failed", request.META.get("REMOTE_ADDR", ""), FAILURES, HOUR, now
            ):
                raise _too_many(HOUR)
            return None
        if not ratelimit.within("api", str(found.pk), PER_MINUTE, MINUTE, now):
            raise _too_many(MINUTE)
        if self.scope not in found.scopes:
            raise Problem(403, "scope", _("This token lacks the scope %s.") % self.scope)
        if not may(found.user, ACTIONS[self.scope]):
            raise Problem(403, "role", _("The user of this token may not do this."))
        services.used(found, now)
        request.user = found.user
        see(found.user)
        return found


def scoped(scope: str) -> dict[str, Any]:
    """What an operation that demands a scope says to the interface and to its description."""
    return {"auth": Scope(scope), "openapi_extra": {"x-scope": scope}}


def _too_many(window: timedelta) -> Problem:
    return Problem(
        429,
        "rate",
        _("Too many requests. Wait, or ask for more rows at once."),
        headers={"Retry-After": str(int(window.total_seconds()))},
    )


api = NinjaAPI(
    title="Jingwei 泾渭",
    version="1",
    description="Supervision of pollution: findings and observations in; findings, cases,"
    " exceedances, points and observations out. Times are ISO 8601 with zone, places WGS-84.",
    docs_url=None,
    openapi_url=None,
    urls_namespace="api-v1",
)
ERRORS = dict.fromkeys((400, 401, 403, 404, 409, 422, 429, 503), schemas.ProblemOut)


# --- errors ----------------------------------------------------------------------------------


@api.exception_handler(Problem)
def _problem(request: HttpRequest, error: Problem) -> HttpResponse:
    return answer(request, error)


@api.exception_handler(AuthenticationError)
def _unknown(request: HttpRequest, _error: AuthenticationError) -> HttpResponse:
    text = _("A valid token is wanted: Authorization: Bearer jw_… It may be expired or revoked.")
    return answer(request, Problem(401, "token", text, headers={"WWW-Authenticate": "Bearer"}))


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    wrong = []
    for one in error.errors:
        place = [str(p) for p in one.get("loc", ())]
        # ("body", "given", "findings", 3, "began"): the name of the parameter is ours.
        where = "/" + "/".join(place[2:]) if place[:1] == ["body"] else "/".join(place[1:])
        wrong.append(Wrong(where, str(one.get("msg", ""))))
    text = _("The request does not fit the interface; see what is named below.")
    return answer(request, Problem(422, "request", text, wrong))


@api.exception_handler(Http404)
def _missing(request: HttpRequest, _error: Http404) -> HttpResponse:
    return answer(request, Problem(404, "missing", _("There is no such thing, or not for you.")))


@api.exception_handler(HttpError)
def _refused(request: HttpRequest, error: HttpError) -> HttpResponse:
    return answer(request, Problem(error.status_code, "request", str(error)))


@api.exception_handler(LakeError)
def _lake(request: HttpRequest, _error: LakeError) -> HttpResponse:
    text = _("The observations cannot be read just now. Try again later.")
    return answer(request, Problem(503, "store", text, headers={"Retry-After": "60"}))


@api.exception_handler(Exception)
def _failed(request: HttpRequest, error: Exception) -> HttpResponse:
    log.exception("%s %s failed", request.method, request.path, exc_info=error)
    text = _("A fault of ours. It is recorded; try again later.")
    return answer(request, Problem(500, "failure", text))


# --- parts -----------------------------------------------------------------------------------


PageNumber = Query(1, ge=1, description="Page, from 1")
PageSize = Query(100, ge=1, le=LARGEST_PAGE, description="Rows of a page")


def _page(
    request: HttpRequest, rows: QuerySet, page: int, size: int, make: Callable[[Any], Any]
) -> dict[str, Any]:
    first = (page - 1) * size
    if first + size > DEEPEST:
        text = _("Pages reach %d rows: filter by time.") % DEEPEST
        raise Problem(422, "page", text, [Wrong("page", text)])
    found = list(rows[first : first + size + 1])
    following = _address(request, page=page + 1) if len(found) > size else None
    return {"items": [make(row) for row in found[:size]], "next": following}


def _address(request: HttpRequest, **changes: Any) -> str:
    query = request.GET.copy()
    for name, value in changes.items():
        query[name] = str(value)
    return f"{request.path}?{query.urlencode()}"


def _finding(f: Finding) -> dict[str, Any]:
    return {
        "id": f.pk,
        "kind": f.kind,
        "state": f.state,
        "severity": f.severity,
        "title": f.title,
        "source": f.source,
        "region": f.region_id,
        "enterprise": f.enterprise.uscc if f.enterprise else None,
        "point": f.point.key if f.point else None,
        "longitude": f.longitude,
        "latitude": f.latitude,
        "address": f.address,
        "began": f.began,
        "ended": f.ended,
        "facts": f.facts,
        "innocent": f.innocent,
        "confidence": f.confidence,
        "next_check": f.next_check,
        "merged_into": f.merged_into_id,
        "leaf": f.evidence.index if f.evidence else None,
    }


# --- findings --------------------------------------------------------------------------------


@api.get("/findings", **scoped("findings:read"), response={200: schemas.Findings, **ERRORS})
def list_findings(
    request: HttpRequest,
    kind: str = "",
    state: str = "",
    region: str = "",
    enterprise: str = "",
    point: str = Query("", description="MN-ST"),
    first: str = Query("", alias="from", description="Day, YYYY-MM-DD"),
    last: str = Query("", alias="to", description="Day, YYYY-MM-DD"),
    q: str = Query("", description="Part of title or enterprise"),
    sort: Literal["", "ended", "began", "severity"] = "",
    page: int = PageNumber,
    size: int = PageSize,
) -> Any:
    """Findings, latest first. from and to: local days that the episode touches."""
    rows = findings.search(request.user, request.GET).select_related("evidence")
    return _page(request, rows, page, size, _finding)


@api.get(
    "/findings/{int:pk}", **scoped("findings:read"), response={200: schemas.FindingOut, **ERRORS}
)
def one_finding(request: HttpRequest, pk: int) -> Any:
    """One finding."""
    rows = findings.findings(request.user).select_related("evidence")
    return _finding(get_object_or_404(rows, pk=pk))


@api.post(
    "/findings",
    **scoped("findings:write"),
    response={200: schemas.Filed, 201: schemas.Filed, **ERRORS},
)
def file_finding(request: HttpRequest, given: schemas.FindingIn) -> Any:
    """File a finding. 201: it is new; 200: its reference was known. With the header
    Idempotency-Key the same request again gets the same answer."""

    def act() -> tuple[int, Any]:
        row, new = services.file(request.user, [given.dict()], "")[0]
        return 201 if new else 200, {"id": row.pk, "created": new}

    return _once(request, act)


@api.post(
    "/findings/batch",
    **scoped("findings:write"),
    response={200: schemas.BatchOut, **ERRORS},
)
def file_findings(request: HttpRequest, given: schemas.BatchIn) -> Any:
    """File up to 500 findings, all or none."""

    def act() -> tuple[int, Any]:
        items = [item.dict() for item in given.findings]
        done = services.file(request.user, items, "/findings/*")
        return 200, {"findings": [{"id": f.pk, "created": new} for f, new in done]}

    return _once(request, act)


def _once(request: HttpRequest, act: Callable[[], tuple[int, Any]]) -> HttpResponse:
    key = request.headers.get("Idempotency-Key", "")
    body = f"{request.path}\n".encode() + request.body
    status, said, before = services.once(request.auth, key, body, act)  # type: ignore[attr-defined]
    headers = {"Cache-Control": "no-store", **({"Idempotency-Replayed": "true"} if before else {})}
    return JsonResponse(said, status=status, headers=headers)


# --- cases, exceedances, points, observations --------------------------------------------------


@api.get("/cases", **scoped("cases:read"), response={200: schemas.Cases, **ERRORS})
def list_cases(
    request: HttpRequest,
    flow: str = "",
    state: str = "",
    region: str = "",
    first: str = Query("", alias="from", description="Day, YYYY-MM-DD"),
    last: str = Query("", alias="to", description="Day, YYYY-MM-DD"),
    q: str = Query("", description="Part of title, number or enterprise"),
    page: int = PageNumber,
    size: int = PageSize,
) -> Any:
    """Cases, newest first. from and to: local days of opening; state may be "open"."""
    rows = cases.search(request.user, request.GET).order_by("-opened", "-pk")
    return _page(request, rows, page, size, _case)


@api.get("/cases/{int:pk}", **scoped("cases:read"), response={200: schemas.CaseOut, **ERRORS})
def one_case(request: HttpRequest, pk: int) -> Any:
    """One case."""
    return _case(get_object_or_404(cases.cases(request.user), pk=pk))


def _case(c: Any) -> dict[str, Any]:
    return {
        "id": c.pk,
        "flow": c.flow,
        "state": c.state,
        "number": c.number,
        "title": c.title,
        "region": c.region_id,
        "enterprise": c.enterprise.uscc if c.enterprise else None,
        "department": c.department.code if c.department else None,
        "opened": c.opened,
        "issued": c.issued,
        "due": c.due,
        "closed": c.closed,
    }


@api.get(
    "/exceedances", **scoped("exceedances:read"), response={200: schemas.Exceedances, **ERRORS}
)
def list_exceedances(
    request: HttpRequest,
    point: str = Query("", description="MN-ST"),
    factor: str = "",
    period: Literal["", "hour", "day"] = "",
    since: datetime | None = Query(None, description="Periods that begin at this time or later"),
    until: datetime | None = Query(None, description="Periods that begin before this time"),
    page: int = PageNumber,
    size: int = PageSize,
) -> Any:
    """Values over a limit, latest first; stands is false where a correction took it back."""
    rows = monitoring.exceedances(request.user)
    mn, _dash, st = point.rpartition("-")
    for name, value in (
        ("point__mn", mn),
        ("point__st", st if mn else ""),
        ("factor", factor),
        ("period", period),
        ("time__gte", _aware(since)),
        ("time__lt", _aware(until)),
    ):
        if value:
            rows = rows.filter(**{name: _clean(value)})
    return _page(request, rows, page, size, _exceedance)


def _exceedance(e: Any) -> dict[str, Any]:
    return {
        "id": e.pk,
        "point": e.point.key,
        "factor": e.factor,
        "period": e.period,
        "time": e.time,
        "value": e.value,
        "unit": e.unit,
        "limit": e.limit_value,
        "multiple": e.multiple,
        "source": e.limit.source,
        "stands": not e.withdrawn,
        "finding": e.finding_id,
    }


@api.get("/points", **scoped("points:read"), response={200: schemas.Points, **ERRORS})
def list_points(
    request: HttpRequest,
    kind: Literal["", "source", "air_station", "micro_station"] = "",
    region: str = "",
    page: int = PageNumber,
    size: int = PageSize,
) -> Any:
    """Monitoring points, by MN and ST."""
    rows = monitoring.points(request.user)
    if kind:
        rows = rows.filter(kind=kind)
    if region:
        rows = rows.filter(region=_clean(region))
    return _page(request, rows.order_by("mn", "st"), page, size, _point)


def _point(p: Point) -> dict[str, Any]:
    return {
        "key": p.key,
        "mn": p.mn,
        "st": p.st,
        "name": p.name,
        "kind": p.kind,
        "region": p.region_id,
        "enterprise": p.enterprise.uscc if p.enterprise else None,
        "outlet": p.outlet.code if p.outlet else None,
        "longitude": p.longitude,
        "latitude": p.latitude,
        "factors": p.factors,
        "enabled": p.enabled,
    }


@api.get(
    "/points/{mn}/{st}/observations",
    **scoped("observations:read"),
    response={200: schemas.Observations, **ERRORS},
)
def observations(
    request: HttpRequest,
    mn: str = Path(..., max_length=27),
    st: str = Path(..., max_length=5),
    resolution: Literal["realtime", "minute", "hour", "day"] = "hour",
    since: datetime = Query(..., description="From this time on"),
    until: datetime | None = Query(None, description="Before this time; else now"),
    factor: list[str] = Query([], max_length=40, description="Codes; none: all"),
    after: str = Query("", max_length=80, description="Comes with next of the answer before"),
) -> Any:
    """Observations as received, the latest reception of each, by factor and time. At most 5,000 in
    one answer, and of a bounded period: 1 day real-time, 7 days minute, 93 days hour, 1,100 days
    day values."""
    point = get_object_or_404(monitoring.points(request.user), mn=_clean(mn), st=_clean(st))
    start, end = _aware(since), _aware(until) or timezone.now()
    assert start is not None
    if end - start > SPAN[resolution]:
        text = _("At most %(days)d days of %(resolution)s values at once.") % {
            "days": SPAN[resolution].days,
            "resolution": resolution,
        }
        raise Problem(422, "period", text, [Wrong("since", text)])
    table = monitoring.lake().series(mn, st, factor or None, resolution, start, end)
    rows = table.select(["factor", "time", "value", "zs", "flag", "received"]).to_pylist()
    begin = _begin(rows, after)
    shown = rows[begin : begin + OBSERVATIONS]
    more = begin + OBSERVATIONS < len(rows)
    last = shown[-1] if shown else None
    following = (
        _address(
            request, after=f"{last['factor']}~{last['time'].isoformat()}", until=end.isoformat()
        )
        if more and last
        else None
    )
    return {
        "point": point.key,
        "resolution": resolution,
        "unit": {f: monitoring.value_unit(f, point) for f in sorted({r["factor"] for r in shown})},
        "items": [
            {
                "factor": r["factor"],
                "time": r["time"],
                "value": _number(r["value"]),
                "reduced": _number(r["zs"]),
                "flag": r["flag"] or "",
                "received": r["received"],
            }
            for r in shown
        ],
        "next": following,
    }


@api.post(
    "/observations",
    **scoped("observations:write"),
    response={201: schemas.Taken, **ERRORS},
)
def send_observations(request: HttpRequest, given: schemas.ObservationsIn) -> Any:
    """Send observations of registered devices, up to 2,000 entries: all or none. When the answer
    comes they are durable in the journal; the lake has them seconds later. The same entry again is
    stored once. With the header Idempotency-Key the same request again gets the same answer."""

    def act() -> tuple[int, Any]:
        # Read anew, so that numbers stay the text that was sent.
        sent = json.loads(request.body, parse_float=str, parse_int=str)["observations"]
        taken, values = intake.take(request.user, request.auth.name, sent)  # type: ignore[attr-defined]
        return 201, {"taken": taken, "values": values}

    return _once(request, act)


@api.exception_handler(JournalError)
def _journal(request: HttpRequest, _error: JournalError) -> HttpResponse:
    text = _(
        "The journal cannot be written just now: nothing was taken. Send the same again later."
    )
    return answer(request, Problem(503, "store", text, headers={"Retry-After": "60"}))


def _begin(rows: list[dict[str, Any]], after: str) -> int:
    """Where the answer goes on: behind the factor and time that the last one ended with."""
    if not after:
        return 0
    factor, _tilde, text = after.partition("~")
    moment = parse_datetime(text) if re.fullmatch(r"[0-9T:.+\-]{10,40}", text) else None
    if moment is None or timezone.is_naive(moment):
        raise Problem(422, "page", _("“after” is not of an answer of ours."))
    return sum((r["factor"], r["time"]) <= (factor, moment) for r in rows)


def _number(value: float | None) -> float | None:
    return None if value is None or isnan(value) else value


def _aware(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


def _clean(value: Any) -> Any:
    """PostgreSQL takes no NUL in a text."""
    return value.replace("\x00", "") if isinstance(value, str) else value
