"""Grades of warning for heavy pollution."""

from __future__ import annotations

import pytest

from jingwei.standards import heavy


@pytest.mark.parametrize(
    ("days", "grade"),
    [
        ((100, 150, 150), None),
        ((100, 151, 100), None),  # one day of moderate pollution
        ((100, 151, 151), "yellow"),
        ((100, 201, 100), "yellow"),
        ((100, 151, 151, 151), "orange"),
        ((100, 201, 201, 100), "orange"),
        ((201, 201, 201), "orange"),
        ((201, 301, 201), "red"),
        ((201, 151, 301), "orange"),  # three days over 150; not three over 200
        ((160, None, 160), None),  # a day that is not known ends the row
        ((), None),
    ],
)
def test_grades(days, grade) -> None:
    found = heavy.grade(days)
    assert (found.key if found else None) == grade


def test_days_before_count_but_a_row_must_reach_into_the_days_ahead() -> None:
    assert heavy.grade((160, 160, 90, 90), ahead=2) is None
    found = heavy.grade((160, 160, 160, 90), ahead=2)
    assert found is not None
    assert found.key == "orange"
    assert (found.first, found.last) == (0, 2)


def test_every_grade_has_its_source() -> None:
    assert [g.key for g in heavy.GRADES] == ["yellow", "orange", "red"]
    assert all(g.rule and g.source and g.verified == "secondary" for g in heavy.GRADES)
