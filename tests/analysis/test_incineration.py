"""MEE Order 10 and the marks of Announcement 2019-50, a test for each rule, and accounts by hand."""

# ruff: noqa: N802 (a test of a rule is named after the rule's id)

from __future__ import annotations

import doctest
import itertools
import statistics
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.analysis import incineration as inc
from jingwei.analysis.compliance import Verdict
from jingwei.analysis.incineration import Anomaly, Condition, Duty, Marked, Readings, examine

NAN = float("nan")
BEIJING = timezone(timedelta(hours=8))
T0 = datetime(2026, 3, 1, tzinfo=BEIJING)


def hours(n):
    return timedelta(hours=n)


def test_examples_of_the_docstrings():
    assert doctest.testmod(inc).failed == 0


# Furnace temperature ----------------------------------------------------------------------------


def test_M19_3_4():
    middle = [[900.0, 880.0], [910.0, NAN], [400.0, 890.0]]
    upper = [[860.0, NAN], [870.0, NAN], [880.0, NAN]]
    assert np.array_equal(
        inc.furnace_temperature(middle, upper), [(900 + 870) / 2, NAN], equal_nan=True
    )
    # one coked thermocouple does not pull the median down, as it would a mean
    start, mean = inc.five_minutes([0, 60, 240, 299, 300], [850.0, 860.0, NAN, 870.0, 900.0])
    assert (start.tolist(), mean.tolist()) == ([0, 300], [860.0, 900.0])
    assert inc.five_minutes([0], [NAN])[0].tolist() == []


@given(
    st.lists(
        st.lists(st.floats(0, 1500) | st.just(NAN), min_size=3, max_size=3), min_size=1, max_size=6
    )
)
def test_medians_of_sections_are_those_of_the_working_thermocouples(rows):
    got = inc.furnace_temperature(rows, rows)
    for i in range(3):
        working = [r[i] for r in rows if r[i] == r[i]]
        if working:
            assert got[i] == pytest.approx(statistics.median(working), rel=1e-15)
        else:
            assert np.isnan(got[i])


def test_O10_7():
    below = inc.below_temperature([850.0, 849.9, NAN], [0, 0, 0], [0, 0, 0])
    assert below.tolist() == [False, True, False]


@pytest.mark.parametrize(("times", "violation"), [(5, False), (6, True)])
def test_O10_11(times, violation):
    temperature = np.full(288, 900.0)
    temperature[:times] = 800.0
    normal = np.zeros(288)
    day = np.zeros(288, dtype=int)
    below = inc.below_temperature(temperature, normal, normal)
    assert inc.temperature_days(below, day) == ({0: times} if violation else {})
    for condition in Condition:
        marked = inc.below_temperature(temperature, np.full(288, condition), normal)
        assert marked.any() == (condition == Condition.NORMAL)
    for anomaly in Anomaly:
        marked = inc.below_temperature(temperature, normal, np.full(288, anomaly))
        assert marked.any() == (anomaly not in (Anomaly.TEMPERATURE, Anomaly.THERMOCOUPLE))


def test_below_counts_by_day():
    below = np.ones(12, dtype=bool)
    assert inc.temperature_days(below, np.repeat([1, 2], 6)) == {1: 6, 2: 6}
    assert inc.temperature_days(below, np.repeat([1, 2, 3], 4)) == {}


# Daily means ------------------------------------------------------------------------------------


def test_O10_6():
    assert dict(inc.day_limits()) == {
        "pm": 20.0,
        "nox": 250.0,
        "so2": 80.0,
        "hcl": 50.0,
        "co": 80.0,
    }
    value = np.concatenate((np.full(24, 250.0), np.full(24, 251.0), np.full(24, 400.0)))
    value[48 + 19 :] = NAN
    value[:12], value[12:24] = 500.0, 0.0  # hours over the limit, the day not: daily means count
    days = inc.judge_days(value, np.zeros(72), np.repeat([0, 1, 2], 24), 250.0)
    assert days.value.tolist() == [250.0, 251.0, 400.0]
    assert days.hours.tolist() == [24, 24, 19]
    assert days.verdict.tolist() == [Verdict.WITHIN, Verdict.EXCEEDED, Verdict.NONE]
    both = inc.exceedance_days([days.verdict, [0, 2, 2]])
    assert both.tolist() == [False, True, True]


def test_exempt_hours_are_taken_out_of_a_day_but_never_against_the_plant():
    value = np.full(24, 100.0)
    value[:4] = 2000.0
    exempt = np.zeros(24, dtype=bool)
    judge = lambda: inc.judge_days(value, exempt, np.zeros(24), 250.0)  # noqa: E731
    assert judge().verdict[0] == Verdict.EXCEEDED
    exempt[:4] = True
    assert (judge().counted[0], judge().verdict[0]) == (100.0, Verdict.WITHIN)
    # taking out low hours must not make an exceedance
    value[:4], value[4:] = 0.0, 260.0
    assert judge().value[0] < 250 < judge().counted[0]
    assert judge().verdict[0] == Verdict.WITHIN
    exempt[:] = True
    assert np.isnan(judge().counted[0])


@pytest.mark.parametrize(("exempt", "verdict"), [(4, Verdict.EXCEEDED), (5, Verdict.WITHIN)])
def test_fewer_than_twenty_hours_that_are_not_exempt_make_no_exceedance(exempt: int, verdict: int):
    """Our own reading: Order 10 does not say it."""
    days = inc.judge_days(np.full(24, 300.0), np.arange(24) < exempt, np.zeros(24), 250.0)
    assert days.verdict[0] == verdict
    assert np.isnan(days.counted[0]) == (verdict == Verdict.WITHIN)


@pytest.mark.parametrize(("days", "found"), [(4, {}), (5, {202603: 5}), (6, {202603: 6})])
def test_O10_10a(days, found):
    exceeded = np.arange(31) < days
    assert inc.stop_months(exceeded, np.full(31, 202603)) == found


# Accounts ---------------------------------------------------------------------------------------


def book(condition, anomaly=None, pm=None, year=None, quarter=None):
    n = len(condition)
    return inc.accounts(
        condition,
        np.zeros(n) if anomaly is None else anomaly,
        np.full(n, 10.0) if pm is None else pm,
        np.full(n, 2026) if year is None else year,
        np.full(n, 20261) if quarter is None else quarter,
    )


@pytest.mark.parametrize(
    "mark", [Condition.START, Condition.STOP, Condition.FAULT, Condition.ACCIDENT]
)
def test_O10_10b(mark):
    account = book(np.full(61, mark))
    assert account.exempt.tolist() == [True] * 60 + [False]
    assert account.start_stop[-1] == 61
    # dust above 150, or unknown: not exempt and not booked
    account = book([mark] * 3, pm=[150.0, 150.1, NAN])
    assert account.exempt.tolist() == [True, False, False]
    assert account.start_stop.tolist() == [1, 1, 1]
    # anew each calendar year
    account = book(np.full(120, mark), year=np.repeat([2026, 2027], 60))
    assert account.exempt.all()


def test_the_four_marks_share_one_account():
    marks = np.tile([Condition.START, Condition.STOP, Condition.FAULT, Condition.ACCIDENT], 16)
    assert book(marks).exempt.sum() == 60


@pytest.mark.parametrize("mark", [Condition.BAKE, Condition.COOL])
def test_O10_10c(mark):
    account = book(np.full(701, mark), pm=np.full(701, 900.0))
    assert account.exempt.sum() == 700
    assert not account.exempt[700]
    assert account.bake_cool[-1] == 701


def test_O10_10d():
    account = book(np.full(8760, Condition.IDLE))
    assert account.exempt.all()
    assert account.start_stop[-1] == account.bake_cool[-1] == 0


def test_O10_12():
    n = 62
    condition = np.zeros(n)
    condition[61] = Condition.IDLE
    anomaly = np.full(n, Anomaly.MAINTENANCE)
    account = book(condition, anomaly, quarter=np.repeat([20261, 20262], 31))
    assert account.excused.tolist() == [True] * 30 + [False] + [True] * 31  # the last stands still
    valid = np.zeros(n)
    valid[:5] = 1
    assert np.flatnonzero(inc.unexcused(valid, account)).tolist() == [30]
    # without a mark every lost hour counts
    assert inc.unexcused(np.zeros(3), book(np.zeros(3))).all()
    assert not inc.unexcused(np.zeros(3), book(np.full(3, Condition.IDLE))).any()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(Condition),
            st.sampled_from(Anomaly),
            st.sampled_from([10.0, 200.0, NAN]),
        ),
        min_size=1,
        max_size=300,
    ),
)
def test_accounts_against_a_plain_loop(rows):
    rows = rows * 4
    half = len(rows) // 2
    year = [2026] * half + [2027] * (len(rows) - half)
    got = book([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows], year, year)
    used = {}
    for i, (condition, anomaly, pm) in enumerate(rows):
        if year[i] not in used:
            used[year[i]] = {"s": 0, "b": 0, "m": 0}
        u = used[year[i]]
        moving = condition in (1 + 1, 3, 6, 7) and pm <= 150
        heating = condition in (1, 4)
        u["s"] += moving
        u["b"] += heating
        u["m"] += anomaly == Anomaly.MAINTENANCE and condition != 5
        assert got.exempt[i] == (
            (moving and u["s"] <= 60) or (heating and u["b"] <= 700) or condition == 5
        )
        assert (got.start_stop[i], got.bake_cool[i], got.maintenance[i]) == (u["s"], u["b"], u["m"])


# Marks ------------------------------------------------------------------------------------------


def span(mark, begin, end, **more):
    return Marked(mark, T0 + hours(begin), T0 + hours(end), **more)


def readings(profile, o2=8.0, feeding=None):
    """Five-minute temperatures between the given (hour, °C) corners."""
    at = np.arange(0, profile[-1][0], 1 / 12)
    heat = np.interp(at, [p[0] for p in profile], [p[1] for p in profile])
    return Readings(
        [T0 + hours(float(h)) for h in at],
        heat,
        np.full(len(at), o2),
        None if feeding is None else np.array([feeding(h) for h in at]),
    )


def problems(marks, profile=((0, 900), (300, 900)), **more):
    return [(p.rule, p.key) for p in examine(marks, readings(profile, **more))]


CYCLE = [
    span(Condition.STOP, 10, 12),
    span(Condition.COOL, 12, 30),
    span(Condition.IDLE, 30, 60),
    span(Condition.BAKE, 60, 70),
    span(Condition.START, 70, 73),
]
PROFILE = [(0, 900), (12, 851), (30, 300), (60, 20), (69.5, 860), (73, 880), (100, 900)]


def test_M19_order():
    r = readings(PROFILE, o2=20.5)
    assert examine(CYCLE, r) == []
    assert examine([m for m in CYCLE if m.mark != Condition.IDLE], r)  # a hole: normal operation?
    # without standing still: cooling goes over into baking, above 400 °C
    short = [*CYCLE[:2], span(Condition.BAKE, 30, 40), span(Condition.START, 40, 43)]
    warm = [(0, 900), (12, 851), (30, 500), (39.5, 860), (43, 880), (60, 900)]
    assert problems(short, warm) == []
    # out of order: baking straight after normal operation, starting without baking
    assert ("M19-order", "order") in problems(
        [span(Condition.START, 5, 6), span(Condition.BAKE, 6, 7)]
    )
    assert ("M19-order", "order") in problems([CYCLE[0], span(Condition.IDLE, 12, 20)], o2=20.9)
    # overlapping
    assert ("M19-order", "overlap") in problems(
        [span(Condition.STOP, 1, 5), span(Condition.COOL, 4, 9)]
    )


@pytest.mark.parametrize(
    ("after", "fine"),
    [
        (Condition.BAKE, True),
        (Condition.STOP, True),
        (Condition.IDLE, True),
        (Condition.ACCIDENT, True),
        (Condition.START, False),
    ],
)
def test_what_may_follow_a_fault_in_normal_operation(after, fine):
    marks = [span(Condition.FAULT, 1, 2, note="fan"), span(after, 2, 3, note="x")]
    found = problems(marks, o2=20.9)
    assert (("M19-order", "order") not in found) == fine


def test_a_fault_while_starting_may_go_on_starting():
    marks = [
        span(Condition.START, 1, 2),
        span(Condition.FAULT, 2, 3, note="fan"),
        span(Condition.START, 3, 4),
    ]
    assert problems(marks) == []


@given(st.lists(st.sampled_from(list(Condition)[1:]), min_size=1, max_size=12))
def test_order_is_a_matter_of_neighbours(marks):
    """Without faults a sequence is in order exactly if every step is one of the announcement's."""
    marks = [m for m in marks if m not in (Condition.FAULT, Condition.ACCIDENT)]
    spans = [span(m, i, i + 1) for i, m in enumerate(marks)]
    steps = {(3, 4), (4, 5), (4, 1), (5, 1), (1, 2)}
    wrong = sum(a != b and (int(a), int(b)) not in steps for a, b in itertools.pairwise(marks))
    assert problems(spans).count(("M19-order", "order")) == wrong


def test_M19_4_1_烘炉():
    cold = ((0, 100), (12, 900), (300, 900))
    rule = "M19-4.1-烘炉"
    bake = lambda end, **more: span(Condition.BAKE, 0, end, **more)  # noqa: E731
    assert problems([bake(12)], cold) == []
    assert problems([bake(12.1)], cold) == [(rule, "duration")]
    assert problems([bake(168, refractory=True)], cold) == []
    assert problems([bake(168.1, refractory=True)], cold) == [(rule, "duration")]
    warm = ((0, 400), (12, 900))
    assert problems([bake(12)], warm) == [(rule, "start_temperature")]
    for before in (Condition.COOL, Condition.FAULT, Condition.ACCIDENT):
        marks = [span(before, 0, 1, note="x"), span(Condition.BAKE, 1, 12)]
        assert (rule, "start_temperature") not in problems(marks, ((0, 860), (1, 600), (12, 900)))
    start = [bake(12), span(Condition.START, 12, 13)]
    assert (rule, "end_temperature") in problems(start, ((0, 100), (12, 800), (13, 900)))
    assert problems([bake(12)], cold, feeding=lambda h: h < 1) == [(rule, "feeding")]
    assert problems([bake(12)], cold, feeding=lambda h: h > 12) == []


def test_M19_4_1_启炉():
    rule = "M19-4.1-启炉"
    assert problems([span(Condition.START, 0, 4)]) == []
    assert problems([span(Condition.START, 0, 4.5)]) == [(rule, "duration")]
    assert problems([span(Condition.START, 0, 4)], ((0, 840), (4, 900))) == [(rule, "temperature")]


def test_M19_4_1_停炉():
    rule = "M19-4.1-停炉"
    assert problems([span(Condition.STOP, 0, 4)], ((0, 900), (4, 851), (9, 400))) == []
    assert problems([span(Condition.STOP, 0, 5)], ((0, 900), (5, 800))) == [(rule, "temperature")]


def test_M19_4_1_停炉降温():
    rule = "M19-4.1-停炉降温"
    cool = span(Condition.COOL, 0, 10)
    assert problems([cool], ((0, 851), (9.5, 380), (10, 300))) == []
    assert problems([cool], ((0, 700), (10, 300))) == [(rule, "start_temperature")]
    assert problems([cool], ((0, 851), (10, 500))) == [(rule, "end_temperature")]
    bake = span(Condition.BAKE, 10, 15)
    assert problems([cool, bake], ((0, 851), (10, 500), (15, 900))) == []


def test_M19_4_1_停运():
    idle = span(Condition.IDLE, 0, 10)
    cold = ((0, 20), (10, 20))
    assert problems([idle], cold, o2=18.9) == []
    assert problems([idle], cold, o2=18.8) == [("M19-4.1-停运", "oxygen")]
    assert problems([idle], cold, o2=NAN) == []


@pytest.mark.parametrize("mark", [Condition.FAULT, Condition.ACCIDENT])
def test_故障_and_事故(mark):
    rule = f"M19-4.1-{inc.zh(mark)}"
    assert problems([span(mark, 0, 4, note="引风机跳闸")]) == []
    assert problems([span(mark, 0, 4.1, note="引风机跳闸")]) == [(rule, "duration")]
    assert problems([span(mark, 0, 4, note=" ")]) == [(rule, "note")]


def test_M19_4_1_故障():
    assert inc.zh(Condition.FAULT) == "故障"
    assert problems([span(Condition.FAULT, 0, 5)]) == [
        ("M19-4.1-故障", "duration"),
        ("M19-4.1-故障", "note"),
    ]


def test_M19_4_1_事故():
    assert inc.zh(Condition.ACCIDENT) == "事故"
    assert problems([span(Condition.ACCIDENT, 0, 5)]) == [
        ("M19-4.1-事故", "duration"),
        ("M19-4.1-事故", "note"),
    ]


def test_M19_4_1_7():
    """What no mark covers is normal operation: a stop that simply ends goes back to it wrongly."""
    found = examine(
        [span(Condition.STOP, 0, 2), span(Condition.STOP, 5, 6)], readings(((0, 900), (9, 900)))
    )
    assert [(p.rule, p.key, p.numbers["to"]) for p in found] == [("M19-order", "order", "正常运行")]
    assert not inc.accounts([0], [0], [10.0], [2026], [20261]).exempt.any()


def test_M19_4_2_CEMS维护():
    rule = "M19-4.2-CEMS维护"
    assert problems([span(Anomaly.MAINTENANCE, 0, 2, note="校准, 更换采样泵")]) == []
    assert problems([span(Anomaly.MAINTENANCE, 0, 2)]) == [(rule, "note")]


def test_M19_4_2_通讯中断():
    rule = "M19-4.2-通讯中断"
    assert problems([span(Anomaly.NO_LINK, 0, 2, resent=True)]) == []
    assert problems([span(Anomaly.NO_LINK, 0, 2)]) == [(rule, "not_resent")]


def test_M19_4_2_炉温异常():
    rule = "M19-4.2-炉温异常"
    mark = span(Anomaly.TEMPERATURE, 2, 3, note="全厂停电, 已投油")
    dip = ((0, 900), (2.5, 700), (4, 900))
    assert problems([mark], dip) == []
    assert problems([span(Anomaly.TEMPERATURE, 2, 3)], dip) == [(rule, "note")]
    assert problems([mark]) == [(rule, "not_below")]
    stop = span(Condition.STOP, 2.9, 3.5)
    assert (rule, "not_normal_operation") in problems([mark, stop], dip)


def test_M19_4_2_热电偶故障():
    rule = "M19-4.2-热电偶故障"
    assert problems([span(Anomaly.THERMOCOUPLE, 0, 2, note="中部2号结焦, 已更换")]) == []
    assert problems([span(Anomaly.THERMOCOUPLE, 0, 2)]) == [(rule, "note")]


def test_a_span_that_ends_before_it_starts_is_refused():
    with pytest.raises(ValueError, match="before it starts"):
        span(Condition.STOP, 2, 2)


# Deadlines and evidence -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "times", "wanted", "due"),
    [
        (0.5, {}, Duty.WAITING, 1),
        (1, {}, Duty.WAITING, 1),
        (1.01, {}, Duty.ORDER, 1),
        (9, {"marked": 0.9}, Duty.MARKED, 0.9),
        (9, {"marked": 1.5}, Duty.ORDER, 1),
        (7, {"ordered": 2}, Duty.ORDERED, 8),
        (8.1, {"ordered": 2}, Duty.OVERDUE, 8),
        (20, {"ordered": 2, "answered": 8}, Duty.ANSWERED, 8),
        (20, {"ordered": 2, "answered": 8.1}, Duty.OVERDUE, 8),
    ],
)
def test_M19_5_2(now, times, wanted, due):
    at = {k: T0 + hours(h) for k, h in times.items()}
    assert inc.duty(T0 + hours(now), T0, **at) == (wanted, T0 + hours(due))


def test_the_list_of_evidence_is_whole():
    assert {k for k, _ in inc.EVIDENCE} >= {
        "temperature_5min",
        "daily_means",
        "missing",
        "marks",
        "signature",
    }
