"""How lists say time, and in which order they stand."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import translation

from bureau.cases.city import NOW, bring, open_case
from jingwei.bureau.cases import selectors
from jingwei.bureau.cases.templatetags.deadlines import left


@pytest.mark.parametrize(
    ("ahead", "zh", "en"),
    [
        (timedelta(days=11, hours=5), "11天", "11 days"),
        (timedelta(days=3, hours=15, minutes=40), "3天15小时", "3 days 15 hours"),
        (timedelta(days=1), "1天", "1 day"),
        (timedelta(hours=1, minutes=59), "1小时", "1 hour"),
        (timedelta(minutes=40, seconds=59), "40分钟", "40 minutes"),
        (timedelta(seconds=5), "0分钟", "0 minutes"),
    ],
)
def test_how_long_is_left(ahead, zh, en):
    with time_machine.travel(NOW, tick=False):
        for language, wanted in (("zh-hans", zh), ("en", en)):
            with translation.override(language):
                assert left(NOW + ahead) == wanted


def test_the_list_begins_with_the_most_urgent_and_ends_with_what_is_over(city):
    calm, late, over, draft = (open_case(city, number) for number in range(1, 5))
    bring(city, over, "withdrawn")
    bring(city, calm, "issued", now=NOW + timedelta(days=3))
    bring(city, late, "issued", now=NOW)
    found = list(selectors.search(city.dispatcher, {}))
    clocks = [case.clock for case in found]
    assert clocks == sorted(clocks)
    assert found.index(late) < found.index(calm)
    assert found[-1] == over
    assert {draft, calm, late, over} == set(found)
    assert list(selectors.search(city.dispatcher, {"state": "withdrawn"})) == [over]
