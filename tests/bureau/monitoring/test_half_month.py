"""What the flue gas says over half a month, and how often rules fired."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jingwei.bureau.findings.models import Finding
from jingwei.bureau.monitoring import belied, fired
from jingwei.bureau.monitoring.models import Judgement, TransmissionDay
from jingwei.bureau.monitoring.observations import day_start, local_day

from .conftest import NOW, City, hour

pytestmark = pytest.mark.django_db
END = day_start(local_day(NOW))


def lay(city: City, cells, hours: int = 360) -> None:
    """Judged hours up to the end of yesterday; `cells`: what the n-th hour before that says."""
    Judgement.objects.bulk_create(
        Judgement(
            point=city.point, period="hour", time=END - timedelta(hours=n), judged=NOW,
            telegrams="1",
            factors={
                code: {"value": value, "mark": "N"} for code, value in cells(n).items()
            },
        )
        for n in range(1, hours + 1)
    )  # fmt: skip


@pytest.mark.parametrize(("air", "found"), [(300, True), (280, False)])
def test_oxygen_of_air_while_the_flue_gas_is_hot_and_fast(city: City, air: int, found: bool):
    """A18-16: more than 80 % of half a month."""
    lay(city, lambda n: {"a19001": 20.5 if n <= air else 10.0, "a01011": 9.0 + n % 3, "a01012": 120.0,
                         "a21002": 30.0 + n})  # fmt: skip
    assert belied.examine(NOW) == found
    rows = Finding.objects.filter(facts__rule="A18-16")
    assert [f.facts["hours"] for f in rows] == ([air] if found else [])


def test_a_few_days_are_no_half_month(city: City):
    lay(city, lambda n: {"a19001": 20.5, "a01011": 9.0 + n % 3, "a01012": 120.0}, hours=120)
    assert belied.examine(NOW) == 0


@pytest.mark.parametrize(
    ("gap", "high", "found"), [(None, 104.9, True), (None, 106.0, False), (200, 104.9, False)]
)
def test_values_within_five_percent_for_half_a_month(city: City, gap, high: float, found: bool):
    lay(city, lambda n: {"a19001": 10.0 + n % 9} | ({} if n == gap else {"a21002": high if n == 300 else 100.0}))  # fmt: skip
    assert belied.examine(NOW) == found
    rows = Finding.objects.filter(facts__rule="A18-3")
    assert [f.facts["factor"] for f in rows] == (["a21002"] if found else [])
    assert belied.examine(NOW) == 0


def test_findings_that_name_their_rule_are_counted(city: City, dispatcher):
    lay(city, lambda n: {"a19001": 20.5 + n % 3 / 9, "a01011": 9.0 + n % 3, "a01012": 120.0})
    assert belied.examine(NOW) == 2  # the oxygen hardly moves, too
    assert fired.counts(dispatcher)["A18-16"].count == 1


def test_rules_say_how_often_they_fired(city: City, dispatcher):
    for n in range(6):
        if n != 3:
            value = {0: -1.0, 1: (5.0, "C")}.get(n, 90.0 + n)
            city.send(hour(n), {"a21002": value, "a19001": 12.0 + n / 10})
    city.catch_up()
    found = {rule: one.count for rule, one in fired.counts(dispatcher).items()}
    assert TransmissionDay.objects.get().faults == {"negative": 1, "mark": 1}
    wanted = {"A18-3.1": 1, "M22-6": 1, "A18-3.3": 1, "A18-1": 2, "A18-6": 3, "A18-3": 0, "TR": 1}
    assert {rule: found[rule] for rule in wanted} == wanted
    assert {"O10-12", "O10-10a", "O10-10b", "A18-4", "A18-7", "V-air-min", "IX-amount"} <= set(
        found
    )
