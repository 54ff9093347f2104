"""Walk all URLs: each demands a login and the right role, and shows nobody another's rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

import world as worlds
from jingwei.bureau.access import PERMISSIONS, Role, may
from jingwei.bureau.air.models import Episode, HotCell, HotGrid, SourceProfile
from jingwei.bureau.monitoring.models import Exceedance, Furnace, OrderProposal, QualityCheck
from jingwei.bureau.registry.models import PermitAmount

# Pages that answer 400 or 404 here, because they want more than the fixture has (an observation
# in the lake, an uploaded file, a finding in the query); their rooms test them.
ASKS_FOR_MORE = {"monitoring:value", "monitoring:series", "monitoring:series_csv", "cases:file"}
ASKS_FOR_MORE |= {"evidencelog:certificate", "evidencelog:checkpoint"}
ASKS_FOR_MORE |= {f"inspections:{name}" for name in ("record", "record-json", "signature", "photo")}
ASKS_FOR_MORE |= {
    f"air:dispersion{part}" for part in ("_tile", "-json", "_export", "_csv", "_shares_csv")
}
ASKS_FOR_MORE |= {"findings:import", "findings:rule", "findings:file", "air:apportionment_csv"}


def walk(
    patterns: list[URLPattern | URLResolver], namespace: str = ""
) -> Iterator[tuple[str, URLPattern]]:
    for entry in patterns:
        if isinstance(entry, URLResolver):
            inner = ":".join(filter(None, [namespace, entry.namespace or ""]))
            yield from walk(entry.url_patterns, inner)
        else:
            yield ":".join(filter(None, [namespace, entry.name or ""])), entry


def views() -> list[tuple[str, URLPattern]]:
    return [
        (name, entry)
        for name, entry in walk(get_resolver().url_patterns)
        if not name.startswith("admin")
    ]


NAMES = [name for name, _ in views()]


def test_every_view_has_a_name_of_its_own() -> None:
    assert all(name and not name.endswith(":") for name in NAMES)
    assert len(NAMES) == len(set(NAMES))
    assert len(NAMES) > 25


@pytest.mark.parametrize("name", NAMES)
def test_every_view_says_who_may_enter(name: str) -> None:
    view = dict(views())[name].callback
    assert hasattr(view, "access"), f"{name} has neither @requires nor @public"
    assert view.access is None or view.access in PERMISSIONS


@pytest.fixture
def arguments(db, data) -> dict[str, object]:
    """A value for every parameter that a URL of the console takes."""
    from jingwei.bureau.cases import services as cases

    world = worlds.build()
    finding = worlds.finding(world)
    case = cases.open_case(
        world.users["dispatcher"],
        [finding],
        {"title": "督办单", "text": "限期整改", "basis": "排污许可证"},
    )
    exceedance = Exceedance.objects.create(
        point=world.point,
        factor="a21002",
        period="hour",
        time=finding.began,
        value=60,
        unit="mg/m³",
        limit=world.limit,
        limit_value=50,
        multiple=0.2,
        finding=finding,
        evidence=finding.evidence,
    )
    proposal = OrderProposal.objects.create(
        code="A18-7",
        version=1,
        enterprise=world.enterprise,
        point=world.point,
        triggered=finding.began,
        due=finding.began,
        receiver="district",
        severity=2,
    )
    return {
        **inspections(world),
        "world": world,
        "proposal": proposal,
        "check": QualityCheck.objects.create(
            point=world.point,
            factor="a21002",
            sort="drift",
            time=finding.began,
            passed=False,
            result="11 %, allowed 10 %",
            user=world.users["auditor"],
            at=finding.began,
        ),
        "amount": PermitAmount.objects.create(
            permit=world.permit,
            outlet=world.outlet,
            factor="a21002",
            period="year",
            value=1000,
            unit="kg",
            source="permit",
            verified="verified",
            valid_from=date(2025, 1, 1),
        ),
        **notices(world),
        "finding": finding,
        "case": case,
        "entry": finding.evidence,
        "exceedance": exceedance,
        "furnace": Furnace.objects.create(outlet=world.outlet, point=world.point, name="1"),
        "penalty": penalty(world),
        "campaign": campaign(world),
        "trace": trace(world),
        "forecast": forecast(world),
        "episode": Episode.objects.create(
            level=1, first=timezone.localdate(), last=timezone.localdate()
        ),
        "hot_cell": hot_cell(world),
        "dispersion": dispersion(world),
        "apportionment": apportionment(),
        "profile": SourceProfile.objects.create(
            name="a stack", origin="measured", rows=[["Fe", 0.1, 0.02]], file={"name": "a.csv"}
        ),
    }


def hot_cell(world: worlds.World) -> object:
    day = timezone.localdate()
    layer = {"seen": 20, "high": 9, "p": 0.001, "strength": 2, "value": 90, "background": 40}
    return HotCell.objects.create(
        run=HotGrid.objects.create(first=day, last=day), name="E000N000", group=1,
        region=world.region, longitude=116.4, latitude=39.9, p=0.001, q=0.01, strength=2,
        layers={"satellite no2": layer},
    )  # fmt: skip


def forecast(world: worlds.World) -> object:
    """48 hours for an air station, all of the same kind."""
    from jingwei.bureau.air.models import Forecast, State, StationForecast

    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    about = {"reach": 48, "silent": [], "dropped": {}, "pollutants": ["PM2.5"], "city": {}}
    row = Forecast.objects.create(start=hour, state=State.DONE, about=about)
    result = {
        "series": {"PM2.5": {"q": [[1.0] * 7] * 48, "damped": [1.0] * 48, "last": 1.0}},
        "aqi": [[2] * 7] * 48,
        "level": [1] * 48,
        "leading": ["PM2.5"] * 48,
        "chance": [[1.0, 0, 0, 0, 0, 0]] * 48,
    }
    StationForecast.objects.create(forecast=row, station=world.station, result=result)
    return row


def trace(world: worlds.World) -> object:
    """A question at an air station that the worker has not answered yet."""
    from jingwei.bureau.air import services

    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    return services.ask(
        world.users["dispatcher"], world.station, "a34004", hour - timedelta(hours=6), hour
    )


def dispersion(world: worlds.World) -> object:
    """A run that the worker has not computed yet."""
    from jingwei.bureau.air import dispersion_services

    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    return dispersion_services.ask(
        world.users["dispatcher"], "a21026", hour - timedelta(hours=6), hour, {"which": "all"}
    )


def apportionment() -> object:
    """Of a set of ten samples of two species, not computed yet."""
    from jingwei.bureau.air.models import Apportionment, SampleSet

    days = [f"2026-01-{day:02}T00:00:00" for day in range(1, 11)]
    values = [[day % 3 + 1.0, day % 4 + 1.0] for day in range(10)]
    table = {"times": days, "species": ["Fe", "Zn"], "values": values, "errors": values}
    table |= {"below": [], "unit": "µg/m³"}
    rows = SampleSet.objects.create(name="a set", samples=10, digest="0" * 64, table=table)
    wanted = {"use": {"Fe": "good", "Zn": "good"}, "factors": [2], "total": "", "robust": True}
    wanted |= {"forbidden": [], "balance": []}
    return Apportionment.objects.create(samples=rows, wanted=wanted)


def campaign(world: worlds.World) -> object:
    """A rectification list without items."""
    from jingwei.bureau.campaigns import services

    day = timezone.localdate()
    lead = world.departments["city"]
    said = {
        "title": "清单",
        "level": "city",
        "document": "",
        "begins": day,
        "ends": day,
        "lead": lead,
    }
    return services.begin(world.users["dispatcher"], "list", said)


def penalty(world: worlds.World) -> object:
    """A penalty that was decided: its documents are there."""
    from jingwei.bureau.cases import services as cases

    now = timezone.now()
    day = timezone.localtime(now).date().isoformat()
    case = cases.open_case(
        world.users["district"],
        (),
        {
            "offence": "air.exceeded", "act_from": day, "act_to": day, "discovered": day,
            "text": "超标",
        },
        flow="penalty",
        enterprise=world.enterprise,
    )  # fmt: skip
    grades = ("number", "pollutant", "place", "period", "multiple", "repeats")
    for who, act, form in (
        ("leader", "approve", {}),
        ("district", "propose", {"text": "超标", **{f"grades_{g}": "1" for g in grades}}),
        ("dispatcher", "pass", {"text": "同意"}),
        ("district", "notify", {"method": "direct", "received": str(timezone.localdate())}),
        ("enterprise", "waive", {}),
        ("leader", "decide", {"amount": "150000", "collective": "on", "text": "同意"}),
    ):
        case.refresh_from_db()
        cases.act(world.users[who], case.pk, act, case.version, form)
    return case


def inspections(world) -> dict[str, object]:
    """A draw that came to nothing, an inspector of the pool, a planned inspection."""
    from jingwei.bureau.inspections import services
    from jingwei.bureau.inspections.models import Draw, Inspector

    made = {"created": timezone.now(), "by": world.users["dispatcher"]}
    lists = {"excluded": {}, "ratios": {}, "team": 2, "load": 5}
    return {
        "draw": Draw.objects.create(
            name="SJ-20261121-1",
            purpose="抽查",
            lists=lists,
            plan_sha256="0" * 64,
            state="void",
            **made,
        ),
        "inspector": Inspector.objects.create(
            code="ZF001", user=world.users["district"], certificate="示例"
        ),
        "inspection": services.plan_inspection(
            world.users["dispatcher"],
            world.enterprise,
            {"title": "检查", "origin": "targeted", "day": timezone.localdate().isoformat()},
        ),
    }


def notices(world: worlds.World) -> dict[str, object]:
    """A robot, and a message to the auditor: everybody opens his own alone."""
    from jingwei.bureau.notices.models import Channel, Message

    return {
        "channel": Channel.objects.create(
            name="robot", department=world.departments["city"], format="json", address="https://x/"
        ),
        "message": Message.objects.create(
            user=world.users["auditor"],
            kind="turn",
            key="1",
            text_zh="a",
            text_en="a",
            created=datetime.now(UTC),
        ),
    }


def url(name: str, entry: URLPattern, things: dict) -> str | None:
    """The URL for the things of the fixture; None where the view needs a thing it does not have."""
    point, case = things["world"].point, things["case"]
    values = {
        "mn": point.mn,
        "st": point.st,
        "uscc": things["world"].enterprise.uscc,
        "transition": "issue",
        "factor": "a21002",
        "resolution": "hour",
        "draw": things["draw"].pk,
        "inspector": things["inspector"].pk,
        "uid": "00000000-0000-4000-8000-000000000000",
        "number": 1,
        "act": "freeze",
        "kind": "patrol",
        "form": "csv",
        "permit": things["world"].permit.pk,
        "code": "A18-7",  # a rule and a trigger
        "proposal": things["proposal"].pk,
        "amount": things["amount"].pk,
        "check": things["check"].pk,
        "department": things["world"].departments["d1"].pk,
        "what": "team",
        "name": "province",  # a platform that telegrams are sent on to
    }
    if name.startswith("air:"):
        values["station"] = things["world"].station.pk
    room = name.split(":")[0]
    values["pk"] = {
        "findings": things["finding"].pk,
        "accounts": 1,  # a saved filter
        "api": 1,  # a token; all of its pages are the administrator's
        "cases": case.pk,
        "inspections": things["inspection"].pk,
        "evidencelog": things["entry"].pk,
        "monitoring": things["furnace" if name == "monitoring:furnace" else "exceedance"].pk,
        "penalties": things["penalty"].pk,
        "air": things["trace"].pk,
        "campaigns": things["campaign"].pk,
        "registry": things["world"].permit.pk,
        "console": things["world"].users["grid"].pk,
        "notices": things["channel"].pk if name == "notices:channel" else things["message"].pk,
    }.get(room)
    if name in ("air:episode", "air:act", "air:effect", "air:effect_compute"):
        values["pk"] = things["episode"].pk
    if name.startswith("air:dispersion"):
        values["pk"] = things["dispersion"].pk
    if name in ("air:samples", "air:samples_ask"):
        values["pk"] = things["apportionment"].samples_id
    if name.startswith("air:apportionment"):
        values["pk"] = things["apportionment"].pk
    if name == "air:profile_withdraw":
        values["pk"] = things["profile"].pk
    if name == "air:raise_cell":
        values["pk"] = things["hot_cell"].pk
    if name == "monitoring:detection_outlet":
        values["pk"] = things["world"].outlet.pk
    if name == "cases:gas_check":
        values["pk"] = things["finding"].pk
    wanted = entry.pattern.regex.groupindex
    if any(values.get(key) is None for key in wanted):
        return None
    return reverse(name, kwargs={key: values[key] for key in wanted})


def test_nobody_enters_without_a_login(arguments, client: Client) -> None:
    tried = 0
    for name, entry in views():
        address = url(name, entry, arguments)
        if entry.callback.access is None or address is None:
            continue
        answers = [a for a in (client.get(address), client.post(address)) if a.status_code != 405]
        assert answers, f"{name} takes neither GET nor POST"
        for answer in answers:
            assert answer.status_code in (302, 401), f"{name}: {answer.status_code}"
            assert answer.status_code == 401 or answer["Location"].startswith("/accounts/login/")
        tried += 1
    assert tried == sum(entry.callback.access is not None for _, entry in views())


def test_each_role_enters_what_the_table_allows(arguments, client: Client) -> None:
    refused = allowed = 0
    for role in Role:
        user = arguments["world"].users[role.value]
        client.force_login(user)
        for name, entry in views():
            address = url(name, entry, arguments)
            action = entry.callback.access
            if action is None or address is None:
                continue
            answer = client.get(address)
            if answer.status_code == 405 and not may(user, action):
                answer = client.post(address)
            if may(user, action):
                # 405: only to be posted; 404: not this user's row (an auditor sees all of them)
                fine = {200, 302, 405} | (set() if role == Role.AUDITOR else {404})
                assert answer.status_code in fine or name in ASKS_FOR_MORE, (
                    f"{role} {name}: {answer.status_code}"
                )
                allowed += 1
            else:
                assert answer.status_code == 403, f"{role} {name}: {answer.status_code}"
                refused += 1
    assert refused
    assert allowed


def test_rows_of_others_are_not_found(arguments, client: Client) -> None:
    """Whoever guesses a number in the address of a page finds nothing."""
    world, case, finding = (arguments[k] for k in ("world", "case", "finding"))
    stranger = world.users["enterprise"]
    stranger.enterprise_code = "91110108MA0000002X"
    stranger.save()
    for user in (stranger, world.users["district_elsewhere"]):
        client.force_login(user)
        for address in (
            reverse("findings:finding", args=[finding.pk]),
            reverse("cases:case", args=[case.pk]),
            reverse("penalties:decision", args=[arguments["penalty"].pk]),
            reverse("registry:enterprise", args=[world.enterprise.uscc]),
            reverse("monitoring:point", args=[world.point.mn, world.point.st]),
        ):
            assert client.get(address).status_code == 404, f"{user.username} {address}"


def test_admin_is_for_superusers(arguments, client: Client) -> None:
    answer = client.get("/admin/", follow=True)
    assert answer.redirect_chain[-1][0] == "/accounts/login/?next=/admin/"
    client.force_login(arguments["world"].users["dispatcher"])
    assert client.get("/admin/", follow=True).status_code == 403
    client.force_login(arguments["world"].users["admin"])
    assert client.get("/admin/").status_code == 200


def test_a_disabled_user_may_nothing(db) -> None:
    user = worlds.build().users["dispatcher"]
    user.is_active = False
    assert not any(may(user, action) for action in PERMISSIONS)
