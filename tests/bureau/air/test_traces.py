"""Source tracing: real telegrams of stations in the lake, the worker's answer, the pages."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

import world as worlds
from jingwei import hj212
from jingwei.analysis.air import savings
from jingwei.bureau.air import contributions, selectors, services, tasks, tracing
from jingwei.bureau.air.models import AnnualAmount, Trace
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.monitoring.models import Exceedance
from jingwei.bureau.registry.models import Outlet, PermitAmount, PermitLimit, Point
from jingwei.telemetry.ingest import Ingest
from jingwei.telemetry.journal import Journal, Telegram

END = datetime(2026, 11, 20, 4, tzinfo=UTC)
START = END - timedelta(hours=12)
HOURS = 25  # with the lead-in, and the wind at the end
# Around the world's station (116.407, 40.0031): names, offsets in degrees.
PLACES = [(0.0, 0.0), (0.1, 0.05), (-0.08, 0.06), (0.02, -0.09), (-0.06, -0.05)]


@pytest.fixture
def world(db) -> worlds.World:
    """One stack 6 km west of the station, one 6 km east; five stations."""
    world = worlds.build()
    for name, offset in (("DA002", -0.07), ("DA003", 0.07)):
        outlet = Outlet.objects.create(
            enterprise=world.enterprise, code=name, name=name, medium="air",
            longitude=world.station.longitude + offset, latitude=world.station.latitude,
            height=None if name == "DA003" else 30,
        )  # fmt: skip
        PermitAmount.objects.create(
            permit=world.permit, outlet=outlet, factor="a21026", period="year",
            value=Decimal(400), unit="t", source="示例", verified="verified",
            valid_from=date(2024, 1, 1),
        )  # fmt: skip
    for n, (east, north) in enumerate(PLACES[1:], 3):
        Point.objects.create(
            mn=worlds.MN[:-1] + str(n), st="22", name=f"示例站{n}", kind="air_station",
            region=world.region, longitude=world.station.longitude + east,
            latitude=world.station.latitude + north, station_code=f"T{n}", password="123456",
        )  # fmt: skip
    return world


def send(data, world: worlds.World, *, wind: str = "N", value: float = 60.0) -> None:
    """West wind of 2.5 m/s; SO2 of 20 µg/m³ at all stations, `value` at the first."""
    telegrams = []
    stations = Point.objects.filter(kind="air_station").order_by("pk")
    for i, p in enumerate(stations):
        for h in range(HOURS):
            time = START - timedelta(hours=12) + timedelta(hours=h)
            so2 = (value if i == 0 else 20.0) + 0.1 * ((7 * h + i) % 9)
            items = [
                ("a21026", {"Avg": f"{so2:.1f}", "Flag": "N"}),
                ("a01007", {"Avg": f"{2.5 + 0.1 * (h % 4):.1f}", "Flag": wind}),
                ("a01008", {"Avg": f"{262 + 5 * (h % 4)}", "Flag": wind}),
            ]
            segment = hj212.segment(
                cn="2061", st=p.st, mn=p.mn, pw=p.password, qn=hj212.qn(time), flag=5,
                cp=hj212.data_cp(time, items),
            )  # fmt: skip
            telegrams.append(Telegram(END, "192.0.2.7:4000", hj212.frame(segment)))
    journal, ingest = Journal(data / "journal"), Ingest(data / "journal", data / "lake")
    journal.append(telegrams)
    while ingest.step(10_000).telegrams:
        pass
    ingest.close()
    journal.close()


def ask(world: worlds.World, factor: str = "a21026", start: datetime = START) -> Trace:
    return services.ask(world.users["dispatcher"], world.station, factor, start, END)


def test_the_worker_answers_with_the_stack_in_the_wind(world, data) -> None:
    send(data, world)
    trace = ask(world)
    for _tick in range(200):
        tasks.tick(datetime.now(UTC))
        trace.refresh_from_db()
        if trace.state != Trace.State.WAITING:
            break
    assert trace.state == Trace.State.DONE, trace.reason
    first = trace.result["shares"][0]
    assert Outlet.objects.get(pk=first["outlet"]).code == "DA002"
    assert first["basis"] == "permit"
    assert first["rate"] == pytest.approx(400e6 / 8760 / 3600, rel=1e-3)  # 400 t a year in g/s
    assert first["low"] <= first["likely"] <= first["high"]
    # What it adds, as a rate: in proportion to what the known rate adds.
    for k in ("likely", "low", "high"):
        told = first["rate"] * first[k] / first["known"]
        assert first[f"rate_{k}"] == pytest.approx(told, rel=2e-3)
    shares = {Outlet.objects.get(pk=s["outlet"]).code for s in trace.result["shares"]}
    assert "DA003" not in shares  # it stands to leeward
    assert trace.result["increment"] == pytest.approx(40, abs=1.5)
    assert trace.result["said"]["no_height"] == 1
    entry = EvidenceEntry.objects.get(pk=trace.evidence_id)
    assert (entry.kind, entry.subject) == ("trace", f"trace:{trace.pk}")
    assert trace.digest in entry.content


def test_the_same_data_give_the_same_answer(world, data) -> None:
    send(data, world)
    one, two = (services.run(ask(world)) for _ in range(2))
    assert one.pk != two.pk
    assert (one.digest, one.result) == (two.digest, two.result)


def test_a_question_that_waits_is_not_asked_twice(world) -> None:
    assert ask(world) == ask(world)
    assert Trace.objects.count() == 1


@pytest.mark.parametrize(
    ("factor", "wind", "reason"),
    [("a05024", "N", "secondary"), ("a21005", "N", "no_sources"), ("a21026", "D", "wind")],
)
def test_what_cannot_be_answered_is_refused_with_its_reason(
    world, data, factor, wind, reason
) -> None:
    send(data, world, wind=wind)
    trace = services.run(ask(world, factor))
    assert trace.state == Trace.State.REFUSED
    assert trace.reason.startswith(reason)
    assert selectors.why(trace) != trace.reason


def blow(monkeypatch, change) -> None:
    """Change speed and direction (hours + 1, points) of what the stations sent."""
    real = tracing.means

    def means(points, factors, start, hours):
        found = real(points, factors, start, hours)
        if tracing.SPEED in found:
            change(found[tracing.SPEED], found[tracing.DIRECTION])
        return found

    monkeypatch.setattr(tracing, "means", means)


def test_missing_wind_costs_its_hours_and_not_the_answer(world, data, monkeypatch, client) -> None:
    """No wind for six hours of the lead-in, and none at the end of the question."""
    send(data, world)

    def change(speed, _direction) -> None:
        speed[:6] = np.nan
        speed[-6:] = np.nan

    blow(monkeypatch, change)
    trace = services.run(ask(world))
    assert trace.state == Trace.State.DONE, trace.reason
    told = trace.result["said"]
    assert (told["short"], told["unjudged"]) == (3, 3)
    assert len(trace.result["series"]) == len(trace.result["wind"]) == 12
    assert [r[3] is None for r in trace.result["series"]] == [False] * 9 + [True] * 3
    assert Outlet.objects.get(pk=trace.result["shares"][0]["outlet"]).code == "DA002"
    client.force_login(world.users["dispatcher"])
    page = client.get(trace.get_absolute_url()).content.decode()
    assert "少回溯 3 小时" in page
    assert "3 个小时未作判断" in page


def test_a_calm_time_is_judged_without_direction_and_says_so(
    world, data, monkeypatch, client
) -> None:
    send(data, world)

    def change(speed, _direction) -> None:
        speed[:] = 0.2

    blow(monkeypatch, change)
    trace = services.run(ask(world))
    assert trace.state == Trace.State.DONE, trace.reason
    assert trace.result["wind"][0] == [0.2, None]
    client.force_login(world.users["dispatcher"])
    page = client.get(trace.get_absolute_url()).content.decode()
    assert "全程静风" in page


def test_rates_of_monitors_come_before_permits(world, data) -> None:
    from jingwei.bureau.monitoring.models import EmissionDay

    point = world.point
    EmissionDay.objects.create(
        point=point, factor="a21026", day=date(2026, 11, 20), kg=86.4, hours=24, valid=24
    )
    send(data, world)
    question = tracing.question(Trace.objects.select_related("station").get(pk=ask(world).pk))
    told = dict(zip([o.code for o in question.outlets], zip(question.basis, question.rates, strict=True), strict=True))  # fmt: skip
    assert told["DA001"] == ("monitor", pytest.approx(1.0))
    assert told["DA002"][0] == "permit"


def test_of_several_monitors_the_mean_is_taken_and_said(world, data) -> None:
    """The register does not tell whether they watch one duct."""
    from jingwei.bureau.monitoring.models import EmissionDay

    second = Point.objects.create(
        mn=worlds.MN[:-1] + "9", st="31", name="第二台", kind="source", outlet=world.outlet,
        region=world.region, longitude=world.station.longitude, latitude=world.station.latitude,
        password="123456",
    )  # fmt: skip
    row = {"factor": "a21026", "day": date(2026, 11, 20), "hours": 24}
    EmissionDay.objects.create(point=world.point, kg=86.4, valid=24, **row)
    other = EmissionDay.objects.create(point=second, kg=0, valid=0, without=24, **row)
    send(data, world)

    def told() -> tuple[float, Trace]:
        trace = services.run(ask(world))
        question = tracing.question(trace)
        return question.rates[[o.code for o in question.outlets].index("DA001")], trace

    rate, trace = told()
    assert rate == pytest.approx(1.0)  # the second knew nothing
    assert trace.result["said"]["several"] == 0
    EmissionDay.objects.filter(pk=other.pk).update(kg=0.5 * 86.4, valid=24, without=0)
    rate, trace = told()
    assert rate == pytest.approx(0.75)
    assert trace.result["said"]["several"] == 1
    assert any("1 个排放口" in s and "同一烟道" in s for s in selectors.said(trace))


def test_zero_is_known_and_hours_without_a_value_are_not(world) -> None:
    from jingwei.bureau.monitoring.models import EmissionDay

    plane = tracing.weather.Plane(world.station.longitude, world.station.latitude)

    def told() -> dict:
        outlets, rates, basis, _beyond = tracing.emissions("a21026", START, END, plane)
        return {o.code: (b, r) for o, b, r in zip(outlets, basis, rates, strict=True)}

    shut = Outlet.objects.get(code="DA002")
    Point.objects.filter(pk=world.point.pk).update(outlet=shut)
    row = EmissionDay.objects.create(
        point=world.point, factor="a21026", day=date(2026, 11, 20), kg=0, hours=24, valid=0,
        stopped=24,
    )  # fmt: skip
    assert told()["DA002"] == ("monitor", 0.0)
    for more, rate in (({"kg": 43.2, "stopped": 0, "without": 12}, 1.0), ({"kg": 0, "without": 24}, None)):  # fmt: skip
        EmissionDay.objects.filter(pk=row.pk).update(**more)
        if rate is None:
            assert told()["DA002"][0] == "permit"
        else:
            assert told()["DA002"] == ("monitor", pytest.approx(rate))
    own = world.outlet
    PermitLimit.objects.filter(pk=world.limit.pk).update(factor="a21026")
    PermitAmount.objects.filter(outlet=own).delete()
    PermitAmount.objects.filter(outlet=None).delete()
    AnnualAmount.objects.create(outlet=own, factor="a21026", year=2024, tonnes=0)
    assert told()[own.code] == ("inventory", 0.0)


def test_the_inventory_counts_where_neither_monitor_nor_permit_does(world, data, client) -> None:
    """The same order for tracing, dispersion and the forecast, and each source says which it was."""
    added = Outlet.objects.create(
        enterprise=world.enterprise, code="DA004", name="DA004", medium="air",
        longitude=world.station.longitude - 0.05, latitude=world.station.latitude, height=30,
    )  # fmt: skip
    stopped = Outlet.objects.create(
        enterprise=world.enterprise, code="DA005", name="DA005", medium="air",
        longitude=world.station.longitude - 0.06, latitude=world.station.latitude,
    )  # fmt: skip
    two = Outlet.objects.get(code="DA002")
    for outlet, year, tonnes in (
        (added, 2023, 9.0), (added, 2024, 31.536), (two, 2024, 31.536), (stopped, 2023, 9.0),
        (stopped, 2024, 0.0),
    ):  # fmt: skip
        AnnualAmount.objects.create(outlet=outlet, factor="a21026", year=year, tonnes=tonnes)
    send(data, world)
    trace = services.run(ask(world))
    plane = tracing.weather.Plane(world.station.longitude, world.station.latitude)
    outlets, rates, basis, _beyond = tracing.emissions("a21026", START, END, plane)
    told = {o.code: (b, r) for o, r, b in zip(outlets, rates, basis, strict=True)}
    assert told["DA004"] == ("inventory", pytest.approx(1.0))  # g/s, of the newest year
    assert told["DA002"][0] == "permit"
    assert "DA005" not in told  # by the newest year it emits nothing any more
    stacks = contributions.stacks([world.station], END)
    assert stacks is not None
    assert stacks.basis["SO2"][added.pk] == "inventory"
    share = next(s for s in trace.result["shares"] if s["outlet"] == added.pk)
    assert (share["basis"], share["rate"]) == ("inventory", 1.0)
    assert any("1 个排放口按清单年排放量" in s for s in selectors.said(trace))
    assert any("半衰期 4 小时" in s for s in selectors.said(trace))
    client.force_login(world.users["dispatcher"])
    assert "<small>清单</small>" in client.get(trace.get_absolute_url()).content.decode()
    table = client.get(reverse("air:trace_csv", args=[trace.pk])).getvalue().decode("utf-8-sig")
    assert {line.split(",")[3] for line in table.splitlines() if ",DA004," in line} == {"清单"}


def test_a_station_far_off_leaves_no_stack_out(world) -> None:
    """The middle of the stations is where most of them are: one with a wrong longitude moves nothing."""
    near = [world.station, Point(longitude=world.station.longitude + 0.1, latitude=world.station.latitude)]  # fmt: skip
    far = Point(longitude=world.station.longitude - 60.0, latitude=world.station.latitude)
    alone, together = contributions.stacks(near, END), contributions.stacks([*near, far], END)
    assert alone is not None
    assert together is not None
    assert {o.code for o in Outlet.objects.filter(pk__in=together.outlets)} >= {"DA002", "DA003"}
    assert together.outlets == alone.outlets


def test_nitrogen_oxides_count_once_and_in_part(world, data) -> None:
    """Permits and monitors that tell both NOx and NO2: the first, and of it what arrives as NO2."""
    from jingwei.bureau.monitoring.models import EmissionDay

    two, three = (Outlet.objects.get(code=c) for c in ("DA002", "DA003"))
    for outlet, factor, tons in (
        (two, "a21002", 400),
        (two, "a21004", 300),
        (three, "a21004", 300),
    ):
        PermitAmount.objects.create(
            permit=world.permit, outlet=outlet, factor=factor, period="year", value=Decimal(tons),
            unit="t", source="示例", verified="verified", valid_from=date(2024, 1, 1),
        )  # fmt: skip
    for factor, kg in (("a21002", 86.4), ("a21004", 172.8)):
        EmissionDay.objects.create(
            point=world.point, factor=factor, day=date(2026, 11, 20), kg=kg, hours=24, valid=24
        )
    plane = tracing.weather.Plane(world.station.longitude, world.station.latitude)

    def rates(factor):
        outlets, found, *_rest = tracing.emissions(factor, START, END, plane)
        return dict(zip((o.code for o in outlets), found, strict=True))

    no2, a_year = savings.part("NO2"), 1e6 / 8760 / 3600  # g/s of a ton a year
    assert rates("a21004") == {
        "DA001": pytest.approx(no2 * 1.0),
        "DA002": pytest.approx(no2 * 400 * a_year),
        "DA003": pytest.approx(300 * a_year),  # NO2 as emitted is NO2
    }
    EmissionDay.objects.create(
        point=world.point, factor="a34013", day=date(2026, 11, 20), kg=86.4, hours=24, valid=24
    )
    assert rates("a34002")["DA001"] == pytest.approx(savings.part("PM10"))
    assert rates("a34004")["DA001"] == pytest.approx(savings.part("PM2.5"))
    asked = Trace(factor="a21004", result={"said": {"parts": 1}})
    assert any("按 67 % 计为 NO2" in s for s in selectors.said(asked))
    asked.result = {"said": {}}  # answered before parts were counted
    assert any("上限" in s for s in selectors.said(asked))


@pytest.fixture
def answered(world, data) -> Trace:
    send(data, world)
    return services.run(ask(world))


def test_pages_show_the_answer_and_what_was_assumed(answered, world, client: Client) -> None:
    client.force_login(world.users["dispatcher"])
    page = client.get(answered.get_absolute_url()).content.decode()
    assert "DA002" in page
    assert "假定为 15 m" in page
    assert answered.digest[:16] in page
    assert world.station.name in client.get(reverse("air:traces")).content.decode()
    table = client.get(reverse("air:trace_csv", args=[answered.pk])).getvalue().decode("utf-8-sig")
    assert table.splitlines()[1].split(",")[1] == "DA002"


def test_a_district_sees_the_questions_of_its_own_stations(answered, world, client) -> None:
    for user, status in (
        ("district", 200),
        ("district_elsewhere", 404),
        ("auditor", 200),
        ("grid", 403),
        ("enterprise", 403),
    ):
        client.force_login(world.users[user])
        assert client.get(answered.get_absolute_url()).status_code == status, user


def test_the_form_says_what_is_wrong_and_keeps_what_was_typed(world, client: Client) -> None:
    client.force_login(world.users["dispatcher"])
    given = {
        "station": world.station.pk,
        "factor": "a21026",
        "start": "2026-11-10T08:00",
        "end": "2026-11-18T08:00",
    }
    answer = client.post(reverse("air:new"), given)
    assert answer.status_code == 422
    assert "最多 72 小时" in answer.content.decode()
    assert "2026-11-10T08:00" in answer.content.decode()
    answer = client.post(reverse("air:new"), given | {"end": "2026-11-10T20:00"})
    assert answer.status_code == 302
    trace = Trace.objects.get()
    assert (trace.end - trace.start) == timedelta(hours=12)
    assert "hx-trigger" in client.get(answer["Location"]).content.decode()


def test_a_finding_proposes_station_pollutant_and_hours(world, client: Client) -> None:
    finding = worlds.finding(world, facts={"factor": "a21002"})
    client.force_login(world.users["dispatcher"])
    assert reverse("air:new") in client.get(finding.get_absolute_url()).content.decode()
    wanted = selectors.proposed(world.users["dispatcher"], finding, datetime.now(UTC))
    assert wanted["station"].kind == "air_station"
    assert wanted["factor"] == "a21004"  # NOx of a stack is looked for as NO2
    assert timedelta(0) < wanted["end"] - wanted["start"] <= tracing.LONGEST
    page = client.get(reverse("air:new"), {"finding": finding.pk}).content.decode()
    assert finding.title in page


def exceedance(world, **more) -> Exceedance:
    factor = more.get("factor", "a21002")
    limit = PermitLimit.objects.filter(outlet=world.point.outlet, factor=factor).first()
    limit = limit or PermitLimit.objects.create(
        permit=world.permit, outlet=world.point.outlet, factor=factor, period="hour", value=100,
        unit="mg/m³", valid_from=date(2024, 1, 1), source="示例",
    )  # fmt: skip
    about = {
        "point": world.point, "factor": "a21002", "period": "hour", "time": START, "value": 150.0,
        "unit": "mg/m³", "limit": limit, "limit_value": 100.0, "steps": [], "telegrams": [1],
    }  # fmt: skip
    return Exceedance.objects.create(**about | more)


def test_a_station_downwind_is_proposed(world, data, client: Client) -> None:
    """West wind: the nearest station lies to windward of the stack, another to leeward."""
    send(data, world)
    # Between the station far in the west and the world's own, nearer to the one in the west.
    west, east = Point.objects.get(station_code="T4"), world.station
    place = {"longitude": west.longitude + 0.02, "latitude": west.latitude}
    Point.objects.filter(pk=world.point.pk).update(**place)
    world.point.refresh_from_db()
    over = exceedance(world)
    user = world.users["dispatcher"]
    wanted = selectors.proposed_by(user, over, datetime.now(UTC))
    assert wanted["station"] != west
    assert wanted["station"].longitude > world.point.longitude
    under = wanted["downwind"]
    assert under.hours == under.windy > 0
    client.force_login(user)
    asked = {"exceedance": over.pk}
    assert "处于该排放口下风向" in client.get(reverse("air:new"), asked).content.decode()
    # East of all stations nothing lies downwind: the nearest is taken, and that is said.
    far = {"longitude": east.longitude + 0.3, "latitude": east.latitude}
    Point.objects.filter(pk=world.point.pk).update(**far)
    over.point.refresh_from_db()
    wanted = selectors.proposed_by(user, over, datetime.now(UTC))
    assert wanted["downwind"].hours == 0
    assert wanted["station"].station_code == "T3"
    assert "没有空气站处于该排放口下风向" in client.get(reverse("air:new"), asked).content.decode()
    # Further away than a trace reaches no station is proposed.
    Point.objects.filter(pk=world.point.pk).update(longitude=east.longitude + 1.5)
    over.point.refresh_from_db()
    assert selectors.proposed_by(user, over, datetime.now(UTC))["station"] is None
    assert "该排气筒 60 公里内没有空气站" in client.get(reverse("air:new"), asked).content.decode()
    assert client.get(reverse("air:new"), {"exceedance": "²"}).status_code == 200


def test_a_station_out_of_operation_is_refused_with_its_reason(world) -> None:
    trace = services.ask(None, world.station, "a21004", START, START + timedelta(hours=3))
    Point.objects.filter(pk=world.station.pk).update(enabled=False)
    done = services.run(trace)
    assert done.state == Trace.State.REFUSED
    assert "停用" in selectors.why(done)


def test_an_exceedance_leads_to_the_question(world, client: Client) -> None:
    here = {"longitude": world.station.longitude + 0.01, "latitude": world.station.latitude}
    Point.objects.filter(pk=world.point.pk).update(**here)
    world.point.refresh_from_db()
    over = exceedance(world)
    user = world.users["dispatcher"]
    client.force_login(user)
    asked = f"{reverse('air:new')}?exceedance={over.pk}"
    pages = (reverse("monitoring:exceedance", args=[over.pk]), reverse("monitoring:exceedances"))
    for page in pages:
        assert asked in client.get(page).content.decode(), page
    wanted = selectors.proposed_by(user, over, datetime.now(UTC))
    assert wanted["station"] == world.station  # it stands nearest, and no wind is known
    assert wanted["downwind"].windy == 0
    assert wanted["factor"] == "a21004"
    assert (wanted["start"], wanted["end"]) == (START - timedelta(hours=3), START + timedelta(hours=4))  # fmt: skip
    page = client.get(asked).content.decode()
    assert over.point.name in page
    assert f'value="{timezone.localtime(wanted["start"]):%Y-%m-%dT%H:%M}"' in page
    assert "不能追溯" not in page
    assert "---------" not in page
    given = {"station": world.station.pk, "factor": "a21004", "start": "2026-11-19T21:00", "end": "2026-11-20T04:00"}  # fmt: skip
    assert client.post(asked, given).status_code == 302
    assert Trace.objects.get().start == datetime(2026, 11, 19, 13, tzinfo=UTC)
    # Of what no station traces it is said, and something else can be chosen.
    other = exceedance(world, factor="a05002")
    page = client.get(reverse("air:new"), {"exceedance": other.pk}).content.decode()
    assert "不能追溯" in page
    # Neither what was withdrawn nor what went into water is asked for, nor by who may not ask.
    Exceedance.objects.filter(pk=over.pk).update(withdrawn="within")
    assert asked not in client.get(pages[0]).content.decode()
    assert selectors.asked_exceedance(user, str(over.pk)) is None
    Exceedance.objects.filter(pk=over.pk).update(withdrawn="")
    client.force_login(world.users["auditor"])
    assert asked not in client.get(pages[0]).content.decode()
    Outlet.objects.filter(pk=world.point.outlet_id).update(medium="water")
    assert selectors.asked_exceedance(user, str(over.pk)) is None


def test_the_command_prints_the_list(world, data, capsys) -> None:
    import typer
    from typer.testing import CliRunner

    from jingwei.bureau.air import commands

    app = typer.Typer()
    app.callback()(lambda: None)
    commands.attach(app)
    send(data, world)
    run = CliRunner().invoke(
        app,
        ["trace", "--station", world.station.mn, "--from", "2026-11-20 00:00:00",
         "--to", "2026-11-20 12:00:00", "--factor", "a21026"],
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    assert "DA002" in run.output
    wrong = CliRunner().invoke(
        app, ["trace", "--station", "nowhere", "--from", "2026-11-20", "--to", "2026-11-21"]
    )
    assert wrong.exit_code == 2
