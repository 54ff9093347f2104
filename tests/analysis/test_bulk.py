"""The compiled judgement gives what `compliance.judge_hours` gives, to the last bit; pieces."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jingwei.analysis import bulk
from jingwei.analysis.bulk import Limits, judge
from jingwei.analysis.compliance import Limit, Reason, _significant, judge_hours

NAN = float("nan")
MARKS = ["N", "", "D", "M"]
NORMAL = np.array([True, True, False, False])
HOURS, OXYGEN = 6, 3
UNITS = [("mg/m³", "mg/m³"), ("µg/m³", "mg/m³"), ("mg/L", "mg/m³")]  # given, of the limit


def test_examples_of_the_docstrings():
    assert doctest.testmod(bulk).failed == 0


decimals = st.integers(-10, 10**7).map(lambda n: n / 1000)
values = decimals | st.floats() | st.sampled_from([NAN, 0.0, -1.0, 1e15, 1.1e15, 100.0])
rules = st.tuples(
    st.none() | decimals.map(abs),  # bound
    st.sampled_from(UNITS),
    st.sampled_from([None, 3.0, 6.0, 11.0]),
    st.booleans(),
    st.sampled_from([None, 1000.0]),
)


@st.composite
def tables(draw):
    """Two points, three factors and oxygen, some hours each."""
    limits = [[draw(rules) for _ in range(3)] for _ in range(2)]
    rows = []
    for p in range(2):
        for f in range(4):
            for h in draw(st.lists(st.integers(0, HOURS - 1), unique=True, max_size=HOURS)):
                v = draw(
                    st.sampled_from([NAN, -1.0, 0.0, 8.0, 12.5, 20.99, 21.0])
                    if f == OXYGEN
                    else values
                )
                rows.append((p, f, h, v, draw(st.integers(0, 3))))
    order = draw(st.permutations(rows))
    return limits, sorted(order, key=lambda r: r[0])  # within a point any order


def arrays(rows):
    ints = [np.array([r[i] for r in rows], dtype=np.int32) for i in (0, 1, 2, 4)]
    return ints[0], ints[1], ints[2], np.array([r[3] for r in rows], dtype=float), ints[3]


def table(rules):
    made = Limits.empty(2, 4)
    for p in range(2):
        for f in range(3):
            bound, (given_, unit), reference, lower, high = rules[p][f]
            if bound is not None:
                made.put(
                    p, f, bound, unit, given=given_, reference_o2=reference, lower=lower, high=high
                )
    return made


@given(tables())
@settings(deadline=None)
def test_the_compiled_rule_is_the_rule(case):
    rules_, rows = case
    got = judge(*arrays(rows), limits=table(rules_), normal=NORMAL, oxygen=OXYGEN)
    for p in range(2):
        o2 = {r[2]: (r[3], MARKS[r[4]]) for r in rows if r[:2] == (p, OXYGEN)}
        for f in range(4):
            at = [i for i, r in enumerate(rows) if r[:2] == (p, f)]
            rule = rules_[p][f] if f < 3 else (None,)
            if rule[0] is None:
                assert all(got.reason[at] == Reason.NO_LIMIT)
                assert not got.verdict[at].any()
                continue
            bound, (given_, unit), reference, lower, high = rule
            wanted = judge_hours(
                [rows[i][3] for i in at],
                [MARKS[rows[i][4]] for i in at],
                [o2.get(rows[i][2], (NAN, "N"))[0] for i in at],
                [o2.get(rows[i][2], (NAN, "N"))[1] for i in at],
                limit=Limit(bound, unit, reference, lower),
                unit=given_,
                normal=frozenset({"", "N"}),
                high=high,
            )
            for name in ("reason", "verdict", "value", "multiple"):
                np.testing.assert_array_equal(getattr(got, name)[at], getattr(wanted, name), name)


@given(st.floats(allow_nan=True))
@example(1000.0)
@example(999.9999999999999)
@example(5e-324)
@example(1.7976931348623157e308)
@settings(deadline=None)
def test_rounding_to_significant_digits_is_the_same(x):
    with np.errstate(over="ignore", under="ignore"):
        wanted = _significant(np.array([x]))[0]
    np.testing.assert_array_equal(bulk._digits(x, bulk.POWERS), wanted)


@given(st.integers(-(10**11), 10**11), st.integers(-8, 8))
def test_a_decimal_of_eleven_digits_stays_what_it_is(n, places):
    text = float(f"{n}e{places}")
    assert _significant(np.array([text]))[0] == text


@given(tables(), st.integers(1, 9))
@settings(deadline=None)
def test_splitting_into_pieces_does_not_matter(case, size):
    rules_, rows = case
    columns, limits = arrays(rows), table(rules_)
    whole = judge(*columns, limits=limits, normal=NORMAL, oxygen=OXYGEN)
    cut = list(bulk.pieces(columns[0], size))
    assert [i for s in cut for i in range(s.start, s.stop)] == list(range(len(rows)))
    room = bulk.buffers(len(rows))
    for s in cut:
        part = judge(
            *(c[s] for c in columns), limits=limits, normal=NORMAL, oxygen=OXYGEN, out=room
        )
        for name in ("reason", "verdict", "value", "multiple"):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[s])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1, 0, 0, 1.0, 0), (0, 0, 0, 1.0, 0)], "sorted"),
        ([(2, 0, 0, 1.0, 0)], "sorted"),
        ([(0, 4, 0, 1.0, 0)], "factor"),
        ([(0, 0, -1, 1.0, 0)], "hour"),
        ([(0, 0, 0, 1.0, 4)], "mark"),
    ],
)
def test_codes_outside_their_tables_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        judge(*arrays(rows), limits=Limits.empty(2, 4), normal=NORMAL)


def test_bad_limits_and_lengths_are_refused():
    limits = Limits.empty(1, 1)
    with pytest.raises(ValueError, match="limit"):
        limits.put(0, 0, -1.0, "mg/m³", given="mg/m³")
    with pytest.raises(ValueError, match="oxygen"):
        limits.put(0, 0, 1.0, "mg/m³", given="mg/m³", reference_o2=21.0)
    point, factor, hour, _, mark = arrays([(0, 0, 0, 1.0, 0)])
    with pytest.raises(ValueError, match="differ in length"):
        judge(point, factor, hour, np.zeros(2), mark, limits=limits, normal=NORMAL)
    columns, room = arrays([(0, 0, 0, 1.0, 0)]), bulk.buffers(0)
    with pytest.raises(ValueError, match="buffers of 0"):
        judge(*columns, limits=limits, normal=NORMAL, out=room)


def page(rows) -> bulk.Page:
    """A page of (mn, st, factor, hour, value, flag) as a file has them; the dictionaries as they come."""

    def word(i):
        known = list(dict.fromkeys(r[i] for r in rows if r[i] is not None))
        return bulk.Words(
            np.array([known.index(r[i]) if r[i] is not None else -1 for r in rows], np.int32), known
        )

    return bulk.Page(
        word(0), word(1), word(2), word(5),
        np.array([1000 + int(r[3] * bulk.HOUR_US) for r in rows], dtype=np.int64),
        np.array([r[4] for r in rows], dtype=float),
    )  # fmt: skip


DESK = bulk.Desk(
    points={("A", "31"): 0, ("C", "32"): 1},
    version=np.array([0, 1], dtype=np.int8),
    columns=({"02": 0, "S01": 1}, {"a21026": 0, "a19001": 1}),
    words=({"": True, "N": True}, {"": True, "M": True}),
    rest=2,
)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_words_become_places_by_the_version_of_their_point(size):
    rows = [
        ("A", "31", "02", 0, 1.0, "N"), ("A", "31", "02", 23, 2.0, "M"),
        ("A", "31", "a21026", 1, 3.0, None), ("A", "31", "02", 24, 9.0, "N"),
        ("A", "32", "02", 0, 9.0, "N"), ("B", "31", "02", 0, 9.0, "N"),
        ("C", "32", "a19001", 2, 4.0, "M"), ("C", "32", "a19001", 2.5, 9.0, "M"),
        ("C", "32", "a21026", 3, 5.0, "N"),
    ]  # fmt: skip
    seen = np.zeros((2, 3), dtype=np.uint32)
    got, odd = [], 0
    for r in bulk.encode(page(rows), DESK, 1000, seen, size, bulk.Room.of(2)):
        normal = DESK.normal[r.mark]
        got += zip(*(x.tolist() for x in (r.point, r.factor, r.hour, r.value, normal)), strict=True)
        odd += r.odd
    assert got == [
        (0, 0, 0, 1.0, True), (0, 0, 23, 2.0, False), (0, 2, 1, 3.0, True), (1, 1, 2, 4.0, True),
        (1, 0, 3, 5.0, False),
    ]  # fmt: skip
    assert odd == 2, "of the next day, and at no full hour"
    assert seen.tolist() == [[1 | 1 << 23, 0, 2], [8, 4, 0]]


def test_nothing_is_judged_to_nothing():
    got = judge(*arrays([]), limits=Limits.empty(1, 1), normal=NORMAL)
    assert len(got.value) == 0
