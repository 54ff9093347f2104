"""Supervision orders tried on history: counts, windows, repeats, presets."""

# ruff: noqa: N802 (a test of a rule is named after the rule's id)

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.analysis.triggers import Event, Trigger, presets, simulate

T0 = datetime(2026, 3, 1, tzinfo=UTC)


def at(h, kind="e", point="p", enterprise="E"):
    return Event(kind, T0 + timedelta(hours=h), point, enterprise)


def rule(count=2, window=24, deadline=48, per="point", event="e"):
    return Trigger(
        "R", event, count, timedelta(hours=window), per, "district", timedelta(hours=deadline)
    )


def issued(triggers, events):
    return [(o.issued - T0) / timedelta(hours=1) for o in simulate(triggers, events)]


@pytest.mark.parametrize(
    ("hours", "wanted"),
    [
        ([0], []),
        ([0, 24], [24]),
        ([0, 24.1], []),
        ([0, 0], []),  # the same event sent twice
        ([0, 1, 2, 3, 49], [1]),  # the later ones belong to the open order
        ([0, 1, 50, 51], [1, 51]),
        ([0, 30, 40], [40]),
    ],
)
def test_count_window_and_open_orders(hours, wanted):
    assert issued([rule()], [at(h) for h in hours]) == wanted


def test_one_event_is_enough_without_a_window():
    (order,) = simulate([rule(1, 0)], [at(5)])
    assert (order.subject, order.due) == ("p", T0 + timedelta(hours=53))


def test_subjects_and_kinds_stay_apart():
    events = [at(0, point="p"), at(1, point="q"), at(2, kind="f")]
    assert simulate([rule()], events) == []
    (order,) = simulate([rule(per="enterprise")], events)
    assert (order.subject, [e.point for e in order.events]) == ("E", ["p", "q"])


@given(
    st.lists(
        st.builds(at, st.integers(0, 200), st.sampled_from("ef"), st.sampled_from("pq")),
        max_size=30,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_events_does_not_matter(events, random):
    mixed = events[:]
    random.shuffle(mixed)
    rules = [rule(), rule(3, 48, event="f"), rule(2, 24, per="enterprise")]
    assert simulate(rules, mixed) == simulate(rules, events)


@given(st.lists(st.integers(0, 400), max_size=40), st.integers(1, 4), st.integers(1, 60))
def test_an_order_holds_what_its_rule_asks_for(hours, count, window):
    trigger = rule(count, window)
    orders = simulate([trigger], [at(h) for h in hours])
    seen = set()
    for o in orders:
        assert len(o.events) == count
        assert o.events[-1].time - o.events[0].time <= trigger.window
        assert o.events[-1].time == o.issued
        assert not seen & set(o.events)
        seen |= set(o.events)
    for a, b in zip(orders, orders[1:], strict=False):  # noqa: RUF007
        assert b.issued > a.due


@pytest.mark.parametrize(
    "bad",
    [{"count": 0}, {"window": -1}, {"deadline": 0}, {"count": 2, "window": 0}],
)
def test_bad_rules_are_refused(bad):
    with pytest.raises(ValueError, match="R:"):
        rule(**bad)


def preset(id):
    (found,) = [t for t in presets() if t.rule == id]
    return found


def test_presets_say_on_what_they_rest():
    assert {t.verified for t in presets()} == {"full text", "secondary", "preset"}
    assert all(t.source for t in presets())


def test_preset_M19_5_2():
    trigger = preset("M19-5.2")
    (order,) = simulate([trigger], [at(0, trigger.event)])
    assert order.due - order.issued == timedelta(hours=6)
    assert trigger.receiver == "enterprise"


@pytest.mark.parametrize(
    ("hours", "orders"), [([0, 1, 2], 0), ([0, 5, 10, 23], 1), ([0, 1, 2, 24], 0)]
)
def test_A18_7(hours, orders):
    trigger = preset("A18-7")
    assert len(simulate([trigger], [at(h, trigger.event) for h in hours])) == orders


@pytest.mark.parametrize(("n", "orders"), [(168, 0), (169, 1)])
def test_A18_1(n, orders):
    trigger = preset("A18-1")
    assert len(simulate([trigger], [at(h, trigger.event) for h in range(n)])) == orders
