"""Query options: what is read, what is refused by name, and filters against plain Python."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.bureau.api.odata import (
    COMPARE,
    QueryError,
    UnsupportedError,
    between,
    expression,
    holds,
    options,
    ordered,
)

NOON = datetime(2026, 3, 10, 4, tzinfo=UTC)
SPOT = {"type": "Point", "coordinates": [116.4, 39.9]}
ROW = {"name": "O'Neill 站", "result": 12.5, "phenomenonTime": NOON, "none": None, "spot": SPOT}


def value(path):
    return ROW.get(path[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("result gt 12", True),
        ("12 lt result", True),
        ("result le 12.5 and result ge 1.25e1", True),
        ("result eq 1 or result eq 2 or name eq 'O''Neill 站'", True),
        ("not (result gt 12)", False),
        ("not result gt 12 or result gt 12", True),
        ("result eq 1 and result eq 1 or result gt 1", True),  # and binds closer
        ("result eq 1 and (result eq 1 or result gt 1)", False),
        ("phenomenonTime ge 2026-03-10T04:00:00Z", True),
        ("phenomenonTime gt 2026-03-10T12:00:00+08:00", False),
        ("phenomenonTime eq 2026-03-10T12:00:00 08:00", True),  # a + that was not quoted
        ("contains(name,'Neill')", True),
        ("substringof('Neill', name) eq true", True),
        ("startswith(name,'O') and not endswith(name,'O')", True),
        ("none eq null and name ne null", True),
        ("none gt 1 or none lt 1", False),
        ("name gt 1", False),
        ("phenomenonTime ge 2026-03-10 and phenomenonTime lt 2026-03-11", True),
        ("year(phenomenonTime) eq 2026 and month(phenomenonTime) eq 3", True),
        ("hour(phenomenonTime) eq 4", True),  # UTC
        ("date(phenomenonTime) eq 2026-03-10", True),
        ("phenomenonTime lt now()", True),
        ("tolower(name) eq 'o''neill 站' and length(name) eq 9", True),
        ("contains(toupper(name),'NEILL')", True),
        ("year(none) eq 2026", False),
        ("st_within(spot, geography'POLYGON((116 39, 117 39, 117 40, 116 40, 116 39))')", True),
        ("st_within(spot, geography'POLYGON((116.5 39, 117 39, 117 40, 116.5 39))')", False),
        (
            "geo.intersects(spot, geography'SRID=4326;POLYGON((116 39,117 39,117 40,116 40,116 39))')",
            True,
        ),
        ("not st_within(name, geography'POLYGON((116 39,117 39,117 40,116 39))')", True),
    ],
)
def test_filters(text, expected):
    assert holds(expression(text), value) is expected


@pytest.mark.parametrize(
    ("given_", "error", "reason"),
    [
        ({"$top": "-1"}, QueryError, "whole number"),
        ({"$skip": "１"}, QueryError, "whole number"),
        ({"$count": "yes"}, QueryError, "true or false"),
        ({"$resultFormat": "CSV"}, UnsupportedError, "resultFormat is not offered"),
        ({"$filter": "phenomenonTime gt 2026-13-10"}, QueryError, "no day"),
        ({"$filter": "tolower(" * 60 + "a" + ")" * 60 + " eq 'a'"}, QueryError, "too many"),
        ({"$filter": "st_within(a, geography'POINT(1 2)')"}, UnsupportedError, "POLYGON"),
        ({"$filter": "st_within(a, geography'POLYGON((1 2, 3 4, 1 2))')"}, QueryError, "corners"),
        ({"$filter": "st_within(a, geography'POLYGON((1, 3 4, 1 2))')"}, QueryError, "wanted"),
        ({"$filter": "result"}, QueryError, "wanted one of eq"),
        ({"$filter": "result gt"}, QueryError, "the end"),
        ({"$filter": "result gt 1 1"}, QueryError, "too much"),
        ({"$filter": "(result gt 1"}, QueryError, r"wanted '\)'"),
        ({"$filter": "result gt ;"}, QueryError, "cannot be read"),
        ({"$filter": "geo.distance(location, 1) lt 1"}, UnsupportedError, "geo.distance"),
        ({"$filter": "result add 1 gt 2"}, UnsupportedError, "add"),
        ({"$filter": "phenomenonTime gt 2026-13-10T00:00:00Z"}, QueryError, "no time"),
        ({"$filter": "(" * 60 + "a eq 1" + ")" * 60}, QueryError, "too many"),
        ({"$filter": "not " * 60 + "a eq 1"}, QueryError, "too many"),
        ({"$filter": "a eq 1 or " * 1000 + "a eq 1"}, QueryError, "4000"),
        ({"$filter": "1 eq 1 and " * 100 + "1 eq 1"}, QueryError, "at most 100 comparisons"),
        ({"$filter": "not(1 eq 1)or " * 100 + "1 eq 1"}, QueryError, "at most 100 comparisons"),
        ({"$orderby": "result up"}, UnsupportedError, "asc or desc"),
        ({"$expand": "A(B"}, QueryError, "not closed"),
        ({"$expand": "A($top)"}, QueryError, "no option"),
        ({"$expand": "A/B/C/D/E/F"}, QueryError, "deeper"),
    ],
)
def test_what_is_wrong_is_named(given_, error, reason):
    with pytest.raises(error, match=reason):
        options(given_)


def test_expand_is_read_in_both_forms():
    found = options({"$expand": "Thing,Observations($top=2;$orderby=phenomenonTime desc;"
                                "$filter=result gt 1;$expand=FeatureOfInterest),Thing/Locations"})  # fmt: skip
    assert set(found.expand) == {"Thing", "Observations"}
    assert set(found.expand["Thing"].expand) == {"Locations"}
    inner = found.expand["Observations"]
    assert (inner.top, inner.orderby) == (2, ((("phenomenonTime",), True),))
    assert set(inner.expand) == {"FeatureOfInterest"}
    assert options({"$select": "id,name"}).select == ("@iot.id", "name")
    assert options({"$top": "999999", "other": "x"}).top == 1000


@given(st.text(alphabet="()'adntoresultgt 0123,.-@/Z:T", max_size=60))
def test_any_text_is_a_filter_or_one_error(text):
    try:
        holds(expression(text), value)
    except QueryError:
        return


trees = st.recursive(
    st.tuples(st.sampled_from(COMPARE), st.integers(-3, 3)),
    lambda inner: (
        st.tuples(st.sampled_from(["and", "or"]), inner, inner) | st.tuples(st.just("not"), inner)
    ),
    max_leaves=12,
)


def written(tree):
    if tree[0] in ("and", "or"):
        return f"({written(tree[1])} {tree[0]} {written(tree[2])})"
    return f"not ({written(tree[1])})" if tree[0] == "not" else f"x {tree[0]} {tree[1]}"


def python(tree, x):
    if tree[0] == "and":
        return python(tree[1], x) and python(tree[2], x)
    if tree[0] == "or":
        return python(tree[1], x) or python(tree[2], x)
    if tree[0] == "not":
        return not python(tree[1], x)
    y = tree[1]
    return {"eq": x == y, "ne": x != y, "gt": x > y, "ge": x >= y, "lt": x < y, "le": x <= y}[
        tree[0]
    ]


@given(trees, st.integers(-3, 3))
def test_filters_say_what_python_says(tree, x):
    assert holds(expression(written(tree)), lambda path: x) is python(tree, x)


def moments(tree):
    if tree[0] in ("and", "or"):
        return f"({moments(tree[1])} {tree[0]} {moments(tree[2])})"
    if tree[0] == "not":
        return f"not ({moments(tree[1])})"
    return f"t {tree[0]} 2026-03-{tree[1] + 10:02}T00:00:00Z"


@given(trees, st.integers(-3, 3))
def test_the_bounds_of_a_time_leave_nothing_out(tree, day):
    found = expression(moments(tree))
    time = datetime(2026, 3, day + 10, tzinfo=UTC)
    low, high = between(found, ("t",))
    if holds(found, lambda path: time):
        assert low is None or low <= time
        assert high is None or time <= high


def test_order_puts_what_is_missing_last():
    rows = [{"a": 2}, {"a": None}, {"a": 1}, {"a": float("nan")}]

    def get(row, path):
        return row[path[0]]

    assert [r["a"] for r in ordered(rows, ((("a",), False),), get)][:2] == [1, 2]
    assert [r["a"] for r in ordered(rows, ((("a",), True),), get)][:2] == [2, 1]
