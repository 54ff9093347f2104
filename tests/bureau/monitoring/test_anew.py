"""A year judged anew: what it counts, what it finds, and that no dying worker changes it."""

from __future__ import annotations

import doctest
import json
import signal
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from jingwei.bureau.monitoring import anew, commands
from jingwei.bureau.monitoring.anew import AnewError, Difference, Tally
from jingwei.bureau.monitoring.models import Due, Judgement
from jingwei.bureau.monitoring.observations import day_start
from jingwei.telemetry.executor import Dask, Local
from processes import dask_cluster, database

from .conftest import NOW, City, hour, make_point

DAYS = date(2026, 10, 30), date(2026, 11, 20)  # two months


class Here:
    """Tasks in this process."""

    def run(self, function, tasks):
        for i, one in enumerate(tasks):
            yield i, anew.piece(*one)


def fill(city: City, points: int = 1) -> None:
    """Hours of three days of two months at each point: some over, one without oxygen, one marked."""
    more = [make_point(city.outlet, city.region, n) for n in range(2, points + 1)]
    first = day_start(DAYS[0])
    for p in (city.point, *more):
        for n in range(72):
            value = 90.0 if n % 24 == 5 else 30.0
            sent: dict = {"a21002": (value + n * 1e-3, "D" if n == 7 else "N"), "a19001": 12.0}
            if n == 9:
                del sent["a19001"]
            when = first + timedelta(hours=n)
            city.send(
                when, sent, point=p, take=False, received=when + timedelta(hours=1, minutes=2)
            )
    city.take()
    city.judge(now=NOW)
    city.judge("day", now=NOW)


def look(city: City, by) -> anew.Found:
    points = sorted({city.point.pk, *(p.pk for p in city.outlet.points.all())})
    return anew.run(city.root / "lake", points, *DAYS, NOW, by)


def test_months():
    assert doctest.testmod(anew).failed == 0
    assert list(anew.months(date(2026, 1, 1), date(2026, 1, 1))) == []
    assert len(list(anew.months(date(2024, 1, 1), date(2025, 1, 1)))) == 12


@pytest.mark.django_db
def test_what_stands_is_found_again_and_counted(city: City):
    fill(city)
    found = look(city, Here())
    assert found.differences == []
    assert (found.count, found.waiting) == (0, 0)
    assert found.tallies == {
        (city.point.key, "a21002"): Tally(72, 71, 3, 3, 3, 0),
        (city.point.key, "a19001"): Tally(71, 71, 0, 3, 3, 0),
    }
    assert found.judged == 75
    assert Judgement.objects.count() == 75


@pytest.mark.django_db
def test_what_differs_is_named(city: City):
    fill(city)
    first = day_start(DAYS[0])
    rows = Judgement.objects.filter(period="hour").order_by("time")
    gone, other, due = rows[0], rows[30], rows[50]
    factors = {**other.factors, "a21002": {**other.factors["a21002"], "value": 29.0}}
    before = Judgement.objects.count()
    Judgement.objects.filter(pk=gone.pk).update(stands=False)
    Judgement.objects.filter(pk=other.pk).update(factors=factors)
    Judgement.objects.filter(pk=due.pk).update(factors={})
    Due.objects.create(point=city.point, what="hour", time=due.time, after=NOW)
    Judgement.objects.create(
        point=city.point, period="hour", time=hour(1), judged=NOW, factors={}, telegrams=""
    )
    found = look(city, Here())
    assert found.waiting == 1
    key = city.point.key
    other_at = (first + timedelta(hours=30)).astimezone(hour(0).tzinfo).isoformat()
    assert found.differences == [
        Difference(key, "hour", first.astimezone(hour(0).tzinfo).isoformat(), "absent"),
        Difference(key, "hour", other_at, "other", ("a21002",)),
    ]
    assert found.count == 2, "today is not judged"
    Judgement.objects.filter(time=hour(1)).update(time=hour(36))
    assert look(city, Here()).differences[-1].what == "gone"
    assert Judgement.objects.count() == before + 1, "nothing is written"


@pytest.mark.django_db
def test_a_worker_that_sees_another_database_is_refused(city: City):
    with pytest.raises(AnewError, match="lacks points"):
        list(Here().run(anew.piece, [(str(city.root / "lake"), (9999,), *DAYS, NOW)]))


# Other processes --------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(city: City, monkeypatch, transactional_db) -> City:
    """The city, as processes that this one starts see it."""
    monkeypatch.setenv("JINGWEI_DATABASE", database())
    monkeypatch.setenv("JINGWEI_DATA", str(city.root))
    monkeypatch.delenv("JINGWEI_EXECUTOR", raising=False)
    monkeypatch.setattr(anew, "SHARD", 2)
    fill(city, 5)
    return city


@pytest.fixture
def cluster(elsewhere: City, tmp_path_factory) -> Iterator[tuple[str, list[Any]]]:
    with dask_cluster(tmp_path_factory.mktemp("dask")) as found:
        yield found


@pytest.mark.django_db(transaction=True)
def test_dask_finds_the_same_and_survives_a_worker(elsewhere: City, cluster):
    wanted = look(elsewhere, Here())
    assert len(wanted.tallies) == 10
    address, workers = cluster
    engine = Dask(address)
    try:
        engine.client.wait_for_workers(2, timeout=120)
        assert look(elsewhere, engine) == wanted

        class Killing:
            def run(self, function, tasks):
                assert len(tasks) == 6
                for number, result in enumerate(engine.run(function, tasks)):
                    if number == 0:
                        workers[0].kill()
                    yield result

        assert look(elsewhere, Killing()) == wanted
        assert workers[0].wait() == -signal.SIGKILL
        assert workers[1].poll() is None
    finally:
        engine.close()


@pytest.mark.django_db(transaction=True)
def test_the_command(elsewhere: City, monkeypatch):
    app = typer.Typer()
    commands.attach(app)
    run = CliRunner().invoke
    assert look(elsewhere, Local(1)) == look(elsewhere, Here())
    monkeypatch.setattr(commands, "clock", lambda: NOW)
    asked = ["monitor", "year", "2026", "--processes", "1"]
    done = run(app, [*asked, "--month", "10"])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 10
    assert rows[1] == {"point": elsewhere.point.key, "factor": "a21002", "hours": 48, "valid": 47,
                       "over": 2, "days": 2, "days_valid": 2, "days_over": 0}  # fmt: skip
    assert "0 differ from what stands" in done.stderr
    Judgement.objects.filter(time=day_start(date(2026, 10, 31)), period="hour").update(factors={})
    done = run(app, [*asked, "--point", elsewhere.point.key])
    assert done.exit_code == 1, done.output
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["what"], last["factors"]) == ("other", ["a19001", "a21002"])
    assert run(app, [*asked, "--point", "nobody-31"]).exit_code == 2
    assert "no day is over yet" in run(app, ["monitor", "year", "9000"]).stderr
