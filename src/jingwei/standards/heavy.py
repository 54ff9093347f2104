"""Graded warning of heavy pollution (重污染天气预警分级) from the daily index of consecutive days.

The uniform grades of the Ministry's guidance of 2024 (环大气〔2024〕6号, 关于进一步优化重污染天气应对机制的指导意见):
yellow, orange, red by the forecast daily AQI; "48 hours" and "72 hours" count as two and three days, as
Beijing's plan of 2023 words them. Both are known here from secondary sources alone (reports on the start
of warnings), so every grade says so; where the local plan is stricter, the local plan holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_SOURCE: Final = "环大气〔2024〕6号；北京市空气重污染应急预案（2023年修订）"


@dataclass(frozen=True, slots=True)
class Grade:
    """A grade of warning. `level`: 1 yellow, 2 orange, 3 red; `rule` as it is worded."""

    level: int
    key: str
    zh: str
    en: str
    rule: str
    rule_en: str
    source: str = _SOURCE
    verified: str = "secondary"


GRADES: Final = (
    Grade(
        1, "yellow", "黄色", "Yellow",
        "预测日AQI>200，或日AQI>150持续2天（48小时）及以上",
        "Daily AQI above 200, or above 150 for two days (48 h) or more",
    ),
    Grade(
        2, "orange", "橙色", "Orange",
        "预测日AQI>200持续2天（48小时），或日AQI>150持续3天（72小时）及以上",
        "Daily AQI above 200 for two days (48 h), or above 150 for three days (72 h) or more",
    ),
    Grade(
        3, "red", "红色", "Red",
        "预测日AQI>200持续3天（72小时），且其中1天（24小时）日AQI>300",
        "Daily AQI above 200 for three days (72 h), on one of them above 300",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Warned:
    """A grade that is reached and the days that reach it, by their number from the first given."""

    grade: Grade
    first: int
    last: int

    @property
    def key(self) -> str:
        return self.grade.key


def grade(days: Sequence[int | None], ahead: int | None = None) -> Warned | None:
    """The highest grade that consecutive days reach; None where none does.

    `days`: daily AQI, the oldest first, None where it is not known (which ends a row of days);
    `ahead`: how many of the last ones are still to come (all, if not given) — a row of days counts
    only where it reaches into them.
    """
    begin = 0 if ahead is None else len(days) - ahead
    best: Warned | None = None
    for bound in (150, 200):
        for first, last in _rows(days, bound):
            if last < begin:
                continue
            length = last - first + 1
            level = 0
            if bound == 150:
                level = 2 if length >= 3 else 1 if length >= 2 else 0
            else:
                top = max(d for d in days[first : last + 1] if d is not None)
                level = 3 if length >= 3 and top > 300 else 2 if length >= 2 else 1
            if level and (best is None or level > best.grade.level):
                best = Warned(GRADES[level - 1], first, last)
    return best


def _rows(days: Sequence[int | None], bound: int) -> list[tuple[int, int]]:
    """First and last of each row of days above a bound."""
    found: list[tuple[int, int]] = []
    for k, value in enumerate(days):
        if value is None or value <= bound:
            continue
        if found and found[-1][1] == k - 1:
            found[-1] = (found[-1][0], k)
        else:
            found.append((k, k))
    return found
