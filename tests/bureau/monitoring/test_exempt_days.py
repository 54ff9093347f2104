"""Days that exceed with their exempt hours alone: no exceedance, but a person sees them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from jingwei.analysis.compliance import Reason
from jingwei.bureau.monitoring import exempt_days, steps
from jingwei.bureau.monitoring.models import Exceedance, Furnace, Judgement
from jingwei.bureau.monitoring.observations import day_start
from jingwei.standards import tables

from .conftest import NOW, City
from .test_marks import enterprise, furnace, mark

__all__ = ["enterprise", "furnace"]
pytestmark = pytest.mark.django_db
DAY = datetime(2026, 11, 18, 16, tzinfo=UTC)  # the 19th in Beijing


def day(city: City, enterprise, furnace: Furnace, exempt: int, start: float, rest: float) -> None:
    """24 hours at 11 % O2, the first `exempt` of them of a start-up at `start` mg/m³, else `rest`."""
    for n in range(24):
        nox = start if n < exempt else rest
        city.send(
            DAY + timedelta(hours=n), {"a21002": nox, "a19001": 11.0, "a34013": 20.0}, take=False
        )
    city.take()
    if exempt:
        mark(enterprise, city, "start", DAY, DAY + timedelta(hours=exempt), furnace=furnace)
    city.catch_up()


def found(city: City) -> list[exempt_days.ExemptDay]:
    return exempt_days.of([city.outlet.pk], NOW - timedelta(days=30)).get(city.outlet.pk, [])


def test_a_day_without_enough_hours_that_are_not_exempt_is_listed(city: City, furnace, enterprise):
    """5 of 24 exempt: 19 are left, of which nobody can say a daily mean."""
    day(city, enterprise, furnace, 5, 90.0, 90.0)
    assert not Exceedance.objects.filter(period="day").exists()
    (one,) = found(city)
    assert (one.day, one.factor, one.free) == (date(2026, 11, 19), "a21002", None)
    assert one.mean == pytest.approx(90.0)
    cell = Judgement.objects.get(period="day", stands=True).factors["a21002"]
    assert [v[1] for v in cell["limits"].values()] == [Reason.EXEMPT]


def test_a_day_over_the_limit_through_its_exempt_hours_is_listed_with_the_other_mean(
    city: City, furnace, enterprise
):
    day(city, enterprise, furnace, 4, 300.0, 60.0)
    (one,) = found(city)
    assert (one.mean, one.free) == (pytest.approx(100.0), pytest.approx(60.0))
    assert not Exceedance.objects.filter(period="day").exists()


@pytest.mark.parametrize(
    ("exempt", "start", "rest", "over"),
    [(4, 300.0, 90.0, 1), (0, 0.0, 90.0, 1), (4, 90.0, 50.0, 0), (4, 20.0, 85.0, 0)],
)
def test_other_days_are_not_listed(
    city: City, furnace, enterprise, exempt: int, start: float, rest: float, over: int
):
    day(city, enterprise, furnace, exempt, start, rest)
    assert found(city) == []
    assert Exceedance.objects.filter(period="day", withdrawn="").count() == over


def test_the_steps_say_that_it_is_our_own_reading(
    city: City, furnace, enterprise, dispatcher, client
):
    day(city, enterprise, furnace, 5, 90.0, 90.0)
    client.force_login(dispatcher)
    url = reverse("monitoring:value", args=[city.point.mn, city.point.st])
    query = {"factor": "a21002", "resolution": "day", "time": int(DAY.timestamp())}
    text = client.get(url, query, headers={"accept-language": "zh-hans"}).content.decode()
    for words in (
        "扣除豁免时段的均值", "无均值：剩余有效小时不足 20 个", "部令第10号未规定豁免时段如何从日均值中扣除",
        "此为本系统的理解，须经法制审核，由人工认定", "生态环境部令第 10 号第十条", "不作判定",
    ):  # fmt: skip
        assert words in text
    assert tables.chinese("MEE Order 10 art. 8") == "生态环境部令第 10 号第八条"


def test_a_day_that_exceeds_either_way_shows_both_means(
    city: City, furnace, enterprise, dispatcher, client
):
    day(city, enterprise, furnace, 4, 300.0, 90.0)
    row = Exceedance.objects.get(period="day", withdrawn="")
    step = next(s for s in row.steps if s["key"] == "exempt")
    numbers = step["numbers"]
    assert (numbers["least"], numbers["decides"]) == (20, "no")
    assert numbers["free"] == pytest.approx(90.0)
    (shown,) = [s for s in steps.rendered(row.steps, city.point) if s["key"] == "exempt"]
    assert shown["result"].startswith("90")
    assert shown["note"] == ""


def test_the_pages_of_furnaces_list_such_days(city: City, furnace, dispatcher, client):
    """Of this year, by the clock."""
    now = timezone.now()
    start = day_start(timezone.localtime(now).date())
    row = furnace.outlet.limits.get(period="day")
    Judgement.objects.create(
        point=city.point, period="day", time=start, judged=now, telegrams="1",
        factors={
            "a21002": {
                "value": 90.0, "origin": "hours", "count": [24, 24], "least": 20, "free": None,
                "converted": {"11": [95.5, 24, None]},
                "limits": {str(row.pk): [0, int(Reason.EXEMPT), None]},
            }
        },
    )  # fmt: skip
    client.force_login(dispatcher)
    english = {"accept-language": "en"}
    page = client.get(furnace.get_absolute_url(), headers=english).content.decode()
    assert "Days for a person to decide" in page
    assert "This is our own reading: Order 10 does not say" in page
    assert "95.5" in page
    assert "too few hours left" in page
    assert "Five-minute means of the furnace temperature" in page  # evidence on site
    listed = client.get(reverse("monitoring:furnaces"), headers=english).content.decode()
    assert "1 day to decide" in listed
    assert f"{furnace.get_absolute_url()}#exempt-days" in listed
    Judgement.objects.all().delete()
    assert "to decide" not in client.get(reverse("monitoring:furnaces"), headers=english).content.decode()  # fmt: skip


def test_a_day_is_judged_alike_alone_and_beside_one_with_exempt_hours(
    city: City, furnace, enterprise
):
    """What stands of a day does not depend on the days that were judged in the same go."""
    mark(enterprise, city, "start", DAY, DAY + timedelta(hours=3), furnace=furnace)
    for n in range(48):
        values = {"a21002": 60.0, "a19001": 11.0, "a34013": 20.0}
        city.send(DAY + timedelta(hours=n - 24), values, take=False)
    city.take()
    city.catch_up()
    before, after = (
        row.factors["a21002"]
        for row in Judgement.objects.filter(period="day", stands=True).order_by("time")
    )
    assert "free" in after
    assert "free" not in before
    assert before["converted"]["11"][2] is None
