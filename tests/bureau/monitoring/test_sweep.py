"""A span swept by arrays finds the exceedances of the judgement: no more, no less, whatever was sent."""

from __future__ import annotations

import doctest
import random
from datetime import date, timedelta

import pytest
from typer.testing import CliRunner

from jingwei.bureau.monitoring import commands, judging, samples, sweep
from jingwei.bureau.monitoring.models import Basis, Due, Exceedance
from jingwei.bureau.monitoring.observations import day_start, seconds
from jingwei.telemetry.lake import Lake

from .conftest import NOW, City, hour, limit, make_enterprise, make_point, make_user
from .test_rules import mark

pytestmark = pytest.mark.django_db
DAYS = date(2026, 11, 17), date(2026, 11, 20)
HOUR = timedelta(hours=1)
FIRST = day_start(DAYS[0])
FACTORS = ("a21002", "a21026", "a34013")


def swept(city: City) -> set[tuple[str, str, str]]:
    """Exceedances by (point, hour, factor), where none stands."""
    assert not Exceedance.objects.exists()
    found = look(city)
    assert {d.what for d in found.differences} <= {"absent"}
    assert found.count == len(found.differences)
    return {(d.point, d.time, d.factors[0]) for d in found.differences}


def look(city: City) -> sweep.Found:
    keys = tuple(p.pk for p in points(city))
    return sweep.piece(str(city.root / "lake"), keys, *DAYS, NOW)


def points(city: City) -> list:
    return sorted(type(city.point).objects.select_related("outlet"), key=lambda p: p.pk)


def judged(city: City) -> set[tuple[str, str, str]]:
    """The same of the judgement, asked for every time at which an hour was sent to begin."""
    every = set(range(seconds(FIRST), seconds(day_start(DAYS[1])), 300))  # every five minutes
    touched = {p: set(every) for p in points(city)}
    work = judging.Work(Lake(city.root / "lake"), NOW, judging.Report())
    return {
        (v.point.key, v.time.isoformat(), v.limit.factor)
        for v in work.hours(touched)[1]
        if v.exceedance is not None and seconds(v.time) in every
    }


def close(city: City) -> None:
    """Make the files of the days that are over final: sorted, in groups of rows."""
    city.take()
    city.ingest._clock = lambda: NOW + timedelta(days=9)
    city.ingest.tidy()


def one_of_each(city: City) -> list:
    """Five sources: two of 2017, one of 2005, wastewater, one that sends NO and NO2."""
    more = [make_point(city.outlet, city.region, 2)]
    for n, kind in ((3, "2005"), (4, "water"), (5, "parts")):
        _, permit, outlet = make_enterprise(city.region, n)
        if kind == "water":
            type(outlet).objects.filter(pk=outlet.pk).update(medium="water", code="DW001")
            outlet.refresh_from_db()
            limit(outlet, permit, "w01018", "50", unit="mg/L", reference_o2=None)
            limit(outlet, permit, "w01001", "9", unit="", reference_o2=None)
            limit(outlet, permit, "w01001", "6", unit="", reference_o2=None, lower=True)
            more.append(make_point(outlet, city.region, n, st="32"))
            continue
        for factor in FACTORS:
            limit(outlet, permit, factor)
        more.append(make_point(outlet, city.region, n, version=kind if kind == "2005" else "2017"))
    for factor in FACTORS[1:]:
        limit(city.outlet, city.permit, factor, reference_o2=None if factor == "a34013" else 6.0)
    return [city.point, *more]


OLD = {"a21002": "03", "a21026": "02", "a34013": "01", "a19001": "S01"}  # codes of 2005


def fill(city: City, seed: int, own: list) -> None:
    rng = random.Random(seed)
    for p in own:
        for n in range(72):
            when = FIRST + n * HOUR
            if p.st == "32":
                sent = {
                    "w01018": rng.choice([20.0, 50.0, 50.1]) + 0.0,
                    "w01001": rng.uniform(5, 10),
                }
            else:
                sent = {f: rng.choice([40.0, 66.0, 66.6666, 70.0, 90.0]) for f in FACTORS}
                sent["a19001"] = rng.choice([6.0, 11.0, 12.5, 20.9, 21.0, -1.0])
            marked = {
                f: (x, rng.choice("NNNNNNNNDFCM") if rng.random() < 0.3 else "N")
                for f, x in sent.items()
                if rng.random() < 0.93
            }
            if p.version == "2005":
                marked = {OLD[f]: x for f, x in marked.items()}
            elif p.mn.endswith("5") and "a21002" in marked and rng.random() < 0.6:
                value, letter = marked.pop("a21002")
                marked |= {"a21003": (value / 2, letter), "a21004": (5.0 + n % 7, letter)}
            roll = rng.random()
            if roll < 0.1:  # minutes alone
                for m in range(0, 60, 10):
                    city.send(
                        when + timedelta(minutes=m),
                        marked,
                        point=p,
                        resolution="minute",
                        take=False,
                    )
                continue
            if roll < 0.13:
                continue
            early = rng.random() < 0.02
            city.send(when + timedelta(minutes=5 * early), marked, point=p, take=False)
            if rng.random() < 0.1:  # sent again, corrected
                again = {
                    f: (x * rng.choice([0.5, 1.0, 2.0]), letter)
                    for f, (x, letter) in marked.items()
                }
                city.send(when, again, point=p, take=False)
    city.take()


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_sweep_finds_what_the_judgement_finds(city: City, dispatcher, seed: int, closed: bool):
    """Marks, gaps, minutes, NO and NO2, old codes, repeats, hours out of turn, floors, water."""
    own = one_of_each(city)
    fill(city, seed, own)
    user = make_user("enterprise", enterprise=city.outlet.enterprise.uscc)
    mark(user, city, "device_fault", FIRST + 5 * HOUR, FIRST + 9 * HOUR)
    mark(user, city, "cold_start", FIRST + 30 * HOUR, FIRST + 34 * HOUR)
    for n, value in ((12, 130.0), (13, 10.0), (14, 130.0)):
        samples.enter(
            dispatcher, city.point, factor="a21002", period="hour",
            taken=FIRST + n * HOUR + timedelta(minutes=20), value=value, report=f"环监〔2026〕{n}号",
            note="现场监测", now=NOW,
        )  # fmt: skip
    if closed:
        close(city)
        (part,) = Lake(city.root / "lake")._files("hour", FIRST, FIRST + HOUR)
        assert part.closed
    Due.objects.all().delete()  # what is to be judged again is no difference
    wanted = judged(city)
    assert len({p for p, *_ in wanted}) == 5, "every source is over a limit at some hour"
    assert swept(city) == wanted


def test_a_basis_and_a_rate_are_judged_whole(city: City):
    """Wet gas becomes more when it is dry, and a rate is none that the arrays compute."""
    limit(city.outlet, city.permit, "a21026", "0.5", unit="kg/h", reference_o2=None)
    other = make_point(city.outlet, city.region, 2)
    Basis.objects.create(
        point=city.point, factor="a21002", state="stack_wet", since=date(2026, 1, 1)
    )
    for n in range(6):
        values = {"a21002": 50.0, "a19001": 6.0 + n / 10, "a01012": 120.0, "a01014": 40.0 + n,
                  "a01013": 0.0, "a01006": 101.3, "a21026": 30.0 + n, "a00000": 10.0 + n}  # fmt: skip
        for p in (city.point, other):
            city.send(FIRST + n * HOUR, values, point=p, take=False)
    city.take()
    wanted = judged(city)
    assert {f for _, _, f in wanted} == {"a21002", "a21026"}
    assert swept(city) == wanted


def test_a_limit_holds_from_its_day_on(city: City):
    """Two versions of a permit within a task: each day by its own."""
    row = city.limits["hour"]
    row.valid_to = DAYS[0]
    row.save()
    limit(city.outlet, city.permit, value="200", valid_from=date(2026, 11, 18))
    for n in (3, 27, 51):
        city.send(FIRST + n * HOUR, {"a21002": 90.0 if n < 51 else 150.0, "a19001": 12.0})
    assert swept(city) == judged(city)
    assert len(judged(city)) == 2


def test_what_stands_is_held_against_it(city: City):
    for n in range(4):
        city.send(FIRST + n * HOUR, {"a21002": 90.0 + n, "a19001": 12.0})
    city.catch_up()
    found = look(city)
    assert (found.count, found.waiting, found.judged) == (0, 0, 4)
    assert {k: (t.hours, t.over) for k, t in found.tallies.items()} == {
        (city.point.key, "a21002"): (4, 4)
    }
    first, second, third, fourth = Exceedance.objects.order_by("time")
    first.delete()
    Exceedance.objects.filter(pk=second.pk).update(value=222.0)
    Exceedance.objects.filter(pk=third.pk).update(time=FIRST + 20 * HOUR)
    Exceedance.objects.filter(pk=fourth.pk).update(value=222.0)
    Due.objects.create(point=city.point, what="hour", time=FIRST + 3 * HOUR, after=NOW)
    found = look(city)
    assert [(d.time[11:13], d.what) for d in found.differences] == [
        ("16", "absent"), ("17", "other"), ("18", "absent"), ("12", "gone"),
    ]  # fmt: skip
    assert (found.count, found.waiting) == (4, 1)


def test_the_command_says_hours_and_exceedances(city: City, monkeypatch):
    import typer

    class Here:
        def run(self, _function, tasks):
            for i, one in enumerate(tasks):
                yield i, sweep.piece(*one)

    monkeypatch.setattr("jingwei.telemetry.executor.executor", lambda *_: Here())
    monkeypatch.setattr(commands, "clock", lambda: NOW)
    city.send(FIRST, {"a21002": 90.0, "a19001": 12.0})
    city.catch_up()
    app = typer.Typer()
    commands.attach(app)
    app.callback()(lambda: None)
    command = ["monitor", "year", "2026", "--month", "11", "--exceedances"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    line = f'{{"point": "{city.point.key}", "factor": "a21002", "hours": 1, "over": 1}}'
    assert line in done.output
    assert "1 hours judged whole of 1 points, 0 differ from what stands" in done.output
    Exceedance.objects.all().delete()
    assert CliRunner().invoke(app, command).exit_code == 1


def test_spans():
    assert doctest.testmod(sweep).failed == 0
    assert hour(0)  # the clock of these tests
