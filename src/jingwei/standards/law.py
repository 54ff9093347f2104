"""The law of automatic monitoring data: duties and penalties of State Council Order 820.

《生态环境监测条例》 is in force since 2026-01-01; an act is judged by the text of its day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final

from jingwei.standards import tables

IN_FORCE: Final = date(2026, 1, 1)
RECORD_YEARS: Final = 5  # R820-26: raw records are kept so long at least

DUTIES: Final = (
    ("R820-23", "发现自动监测设备传输异常应当及时报告并检修", "Report an abnormal transmission and repair it"),
    ("R820-25", "不得虚假标记自动监测设备运行状态或者设施工况", "No false marks of device state or facility condition, no change of parameters without permission"),
    ("R820-26", "原始监测记录保存期限不得少于五年", "Keep raw records for five years at least"),
)  # fmt: skip
"""Rule, duty in Chinese and English (retold, not quoted)."""


@dataclass(frozen=True, slots=True)
class Penalty:
    """A fine of `lowest` to `highest` yuan; `serious` the range of serious cases, None if the same."""

    rule: str
    article: int
    zh: str
    en: str
    who: str
    lowest: int
    highest: int
    serious: tuple[int, int] | None
    also: str
    verified: str
    source: str


@cache
def penalties() -> tuple[Penalty, ...]:
    """All rows of `data/penalties.csv`."""
    return tuple(
        Penalty(
            rule=r["rule"],
            article=int(r["article"]),
            zh=r["offence_zh"],
            en=r["offence_en"],
            who=r["who"],
            lowest=int(r["lowest"]),
            highest=int(r["highest"]),
            serious=(int(r["serious_lowest"]), int(r["serious_highest"]))
            if r["serious_lowest"]
            else None,
            also=r["also"],
            verified=r["verified"],
            source=r["source"],
        )
        for r in tables.read("penalties.csv")
    )


def fine(rule: str, on: date, *, who: str = "enterprise", serious: bool = False) -> tuple[int, int]:
    """The range of the fine in yuan for an act on that day.

    Raises ValueError for an act before the regulation was in force and where it knows no such rule
    or offender.

    >>> fine("R820-44", date(2026, 5, 1))
    (100000, 1000000)
    """
    if on < IN_FORCE:
        raise ValueError(f"{on}: State Council Order 820 is in force since {IN_FORCE} only")
    for p in penalties():
        if p.rule == rule and p.who == who:
            return p.serious if serious and p.serious else (p.lowest, p.highest)
    raise ValueError(f"{rule}: no fine for {who!r} in the table")


def keep_until(recorded: date) -> date:
    """The last day on which a raw record must still be there (R820-26).

    >>> keep_until(date(2024, 2, 29)), keep_until(date(2026, 3, 1))
    (datetime.date(2029, 2, 28), datetime.date(2031, 3, 1))
    """
    try:
        return recorded.replace(year=recorded.year + RECORD_YEARS)
    except ValueError:
        return recorded.replace(year=recorded.year + RECORD_YEARS, day=28)
