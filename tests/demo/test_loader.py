"""The loader on a small part of the city: everything real, two days, three loggers."""

from datetime import UTC, datetime, timedelta

import pytest

from jingwei import hj212
from jingwei.demo import catalogue, city, loader
from jingwei.telemetry import journal, replay
from jingwei.telemetry.lake import Lake

SMALL = city.Part(enterprises=1, stations=1, days=2)
NOW = datetime.now(UTC).replace(second=0, microsecond=0)

pytestmark = pytest.mark.django_db


def telegrams(data):
    return journal.read(data / "journal", limit=1_000_000)


def expected() -> set[bytes]:
    """All frames of the small city's history."""
    devices = list(city.devices())
    return {
        frame for day in loader._days(NOW, 2) for _, frame in loader.day_frames(devices, day, NOW)
    }


def test_the_whole_way_and_loading_again_does_nothing(data):
    from jingwei.bureau.cases.models import Case
    from jingwei.bureau.findings.models import Finding
    from jingwei.bureau.monitoring.models import Exceedance
    from jingwei.bureau.registry.models import Enterprise, Permit, Point, Region
    from jingwei.telemetry.register import Register

    steps = []
    assert loader.load(lambda *step: steps.append(step), SMALL, now=NOW)
    assert steps[0] == ("organisation and enterprises", 0, 1)
    assert steps[-1] == ("tables", 1, 1)
    assert all(0 <= done <= (total or done) for _, done, total in steps)

    # Registry and register.
    assert Region.objects.count() == 17
    enterprise = Enterprise.objects.get()
    assert enterprise.fictional
    assert Permit.objects.get().number == f"{enterprise.uscc}001P"
    assert Point.objects.count() == 3
    register = Register(data / "register.json")
    for point in Point.objects.all():
        assert register.get(point.mn).password == point.password
        assert register.get(point.mn).systems == (point.st,)

    # Journal: the frames of the pure function, each once, in the order of arrival.
    found = telegrams(data)
    assert {t.raw for t in found} == expected()
    assert len(found) == len(expected())
    assert [t.received for t in found] == sorted(t.received for t in found)
    assert found[-1].received <= NOW
    assert {hj212.decode(t.raw).cn for t in found} == {"2061", "2031", "2051"}

    # Lake: what the device said.
    device = next(d for d in city.devices() if d.st == "31")
    hour = datetime.fromtimestamp(replay.floor(NOW - timedelta(hours=5), "hour"), UTC)
    said = dict(replay.Player(replay.Library(catalogue.DATA)).observe(device, hour, "hour"))
    rows = Lake(data / "lake").series(
        device.mn, "31", sorted(said), "hour", hour, hour + timedelta(hours=1)
    )
    assert {r["factor"]: r["value"] for r in rows.to_pylist()} == {
        f: float(v["Avg"]) for f, v in said.items()
    }

    # Judgement: the enterprise's story is an episode that is going on.
    assert Exceedance.objects.exists()
    assert set(Exceedance.objects.values_list("factor", flat=True)) == {"a21002"}
    newest = Exceedance.objects.order_by("-time")[0]
    assert newest.time >= NOW - timedelta(hours=3)
    assert Finding.objects.filter(enterprise=enterprise).count() >= 1

    counts = (len(found), Exceedance.objects.count(), Finding.objects.count(), Case.objects.count())
    assert not loader.load(lambda *step: None, SMALL, now=NOW + timedelta(hours=1))
    assert counts == (
        len(telegrams(data)),
        Exceedance.objects.count(),
        Finding.objects.count(),
        Case.objects.count(),
    )


def test_an_interrupted_load_goes_on_and_doubles_nothing(data):
    from jingwei.bureau.registry.models import Point

    class PowerCutError(Exception):
        pass

    def cut(step, done, total):
        if step == "telegrams by day" and done == 2:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        loader.load(cut, SMALL, now=NOW, cases=False)
    assert telegrams(data)
    points = list(Point.objects.values_list("mn", "st", "replay"))
    assert loader.load(lambda *step: None, SMALL, now=NOW + timedelta(minutes=30), cases=False)
    assert list(Point.objects.values_list("mn", "st", "replay")) == points
    found = telegrams(data)
    assert {t.raw for t in found} == expected()
    assert len(found) == len(expected())


def test_only_in_the_demo_profile(data, settings):
    from dataclasses import replace

    from jingwei.bureau.accounts.models import User

    settings.ENV = replace(settings.ENV, profile="production")
    with pytest.raises(RuntimeError, match="demo profile"):
        loader.load()
    assert not User.objects.exists()


def test_accounts_of_all_roles_can_log_in(client):
    from jingwei.bureau.access import Role
    from jingwei.bureau.accounts.models import Department, User

    city.build_organisation()
    city.build_organisation()  # again: nothing doubles
    assert Department.objects.filter(kind="city").count() == 1
    assert Department.objects.filter(kind="district").count() == 7
    assert Department.objects.filter(kind="grid").count() == 16
    assert Department.objects.filter(kind="department").count() == 5
    assert set(User.objects.exclude(role="").values_list("role", flat=True)) == set(Role)
    shown = [username for username, _ in city.accounts()]
    assert {
        "dispatcher",
        "district1",
        "grid1",
        "department",
        "enterprise",
        "auditor",
        "leader",
        "admin",
    } == (set(shown))
    for username in shown:
        assert client.login(username=username, password=city.PASSWORD), username
    assert User.objects.get(username="admin").is_superuser
    assert User.objects.filter(is_superuser=True).count() == 1

    # Every district has a centre and a grid officer of its own, every enterprise an account.
    for code in catalogue.districts():
        for role in ("district", "grid"):
            users = User.objects.filter(
                role=role, department__jurisdictions__area=code, is_active=True
            )
            assert users.count() == 1, (code, role)
    for e in catalogue.enterprises():
        assert User.objects.filter(role="enterprise", enterprise_code=e.uscc).count() == 1


def test_the_whole_registry(data):
    from jingwei.bureau.registry import services
    from jingwei.bureau.registry.models import Enterprise, Outlet, Permit, PermitLimit, Point

    city.build_registry(NOW)
    assert Enterprise.objects.count() >= 40
    assert not Enterprise.objects.filter(fictional=False).exists()
    assert Point.objects.filter(kind="air_station").count() == 12
    micro = Point.objects.filter(kind="micro_station")
    assert micro.count() == 36
    assert all(p.replay["hourly"] and "虚构" in p.name for p in micro)
    assert not PermitLimit.objects.filter(source="").exists()
    assert not PermitLimit.objects.exclude(verified__in=("verified", "secondary")).exists()
    for permit in Permit.objects.all():
        assert services.permit_flags(permit, NOW.date()) == []
    for outlet in Outlet.objects.all():
        assert outlet.points.exists()
    for point in Point.objects.all():
        assert catalogue.district_at(point.longitude, point.latitude) == point.region_id, point
        assert point.replay["sources"]
        assert point.replay["how"]
        assert point.replay["how_zh"]
        if point.kind == "source" and point.st != "51":
            limited = set(point.outlet.limits.values_list("factor", flat=True))
            assert limited <= set(point.factors)
    assert services.publish_register() == len({p.mn for p in Point.objects.all()})


def test_cases_in_every_state(data, settings):
    """The plans end in the states that their names say, with one enterprise for each case."""
    from jingwei.bureau.cases.models import Case
    from jingwei.bureau.findings.services import notice
    from jingwei.bureau.registry.models import Enterprise
    from jingwei.demo import cases

    wanted = len(cases.PLANS) + len(cases.HANDLING)
    city.build_organisation()
    city.build_registry(NOW, city.Part(enterprises=wanted, stations=0))
    began = NOW - timedelta(days=25)
    for e in Enterprise.objects.all():
        notice(
            kind="exceedance", episode=f"test-{e.pk}", title=e.name, region=e.region, enterprise=e,
            longitude=e.longitude, latitude=e.latitude, began=began, ended=began,
        )  # fmt: skip
    assert cases.build(NOW) == wanted

    def states(flow: str) -> list[str]:
        cases = Case.objects.filter(flow=flow).order_by("opened")
        return list(cases.values_list("state", flat=True))

    assert states("order") == [
        "closed", "closed", "rectifying", "accepted", "verified", "answered", "rectifying",
        "issued", "draft",
    ]  # fmt: skip
    assert states("handling") == ["closed", "rectified", "investigating", "dispatched", "triage"]
    events = {c.pk: c.events.count() for c in Case.objects.all()}
    assert cases.build(NOW) == wanted  # again: nothing is done twice
    assert {c.pk: c.events.count() for c in Case.objects.all()} == events
    overdue = Case.objects.filter(flow="order").order_by("opened")[2]
    assert overdue.due < NOW


def test_findings_of_every_kind_are_filed_once(db, data) -> None:
    from jingwei.bureau.findings.models import Complaint, DispatchRule, Finding, Kind
    from jingwei.demo import findings

    city.build_organisation()
    city.build_registry(NOW, city.Part(enterprises=1, stations=0))
    assert findings.build(NOW) == len(findings.PLANS)
    kinds = set(Finding.objects.values_list("kind", flat=True))
    assert kinds == set(Kind.values) - {"exceedance"}  # those come from the monitors
    counted = [m.objects.count() for m in (Finding, Complaint, DispatchRule)]
    assert counted == [len(findings.PLANS) + 2, 2, len(findings.RULES)]
    findings.build(NOW)
    assert [m.objects.count() for m in (Finding, Complaint, DispatchRule)] == counted


def test_a_list_a_campaign_and_a_hot_spot(db, data) -> None:
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.campaigns import selectors
    from jingwei.bureau.campaigns.models import Item, Programme
    from jingwei.bureau.cases.models import Case
    from jingwei.demo import campaigns, findings

    city.build_organisation()
    city.build_registry(NOW, city.Part(enterprises=1, stations=0))
    findings.build(NOW)
    for _ in range(2):  # the second time does nothing
        campaigns.build(NOW)
        states = [i.case.state for i in Item.objects.order_by("id")]
        assert states == ["rectifying", "assigned", "cleared"]
        kinds = Programme.objects.order_by("kind", "closed").values_list("kind", flat=True)
        assert list(kinds) == ["campaign", "campaign", "list"]
        past = Programme.objects.get(kind="campaign", closed__isnull=False)
        dispatcher = User.objects.get(username="dispatcher")
        found = selectors.causes(dispatcher, past)
        assert [(c.code, c.count) for c in found] == [("upkeep", 2)]
        assert [p["cause"].code for p in selectors.proposals(found, past)] == ["upkeep"]
        assert Case.objects.filter(flow="four_step").count() == 1
