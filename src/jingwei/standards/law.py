"""The law of fines: which text was in force when, what it lets one fine, and how long all may take.

Rows of `data/penalties.csv` are versions: each has the days on which its text was in force. On
2026-08-15 the Ecological and Environmental Code (《生态环境法典》) took the place of ten laws, among
them those of air, water, solid waste and environmental protection (art. 1242). An act is judged by
the text of its day, unless a later text, in force at the decision, is milder (Code, art. 1057).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Final

from jingwei.standards import tables
from jingwei.standards.workdays import Calendar, Derivation, Rule, deadline

RECORD_YEARS: Final = 5  # R820-26: raw records are kept so long at least
CODE: Final = date(2026, 8, 15)  # the Code in force, ten laws repealed (art. 1242)
HEARING: Final = Decimal(200_000)
"""A fine on an enterprise from which on it must be told of its right to a hearing ("larger amount",
Administrative Penalty Law art. 63). From memory: the Measures on Penalties 2023 name 200,000 yuan
where a province has set nothing else; the copy at hand says 500,000. The lower one harms nobody."""
SURCHARGE: Final = Decimal(
    "0.03"
)  # a day, up to the fine itself: Administrative Penalty Law art. 72

DUTIES: Final = (
    ("R820-23", "发现自动监测设备传输异常应当及时报告并检修", "Report an abnormal transmission and repair it"),
    ("R820-25", "不得虚假标记自动监测设备运行状态或者设施工况", "No false marks of device state or facility condition, no change of parameters without permission"),
    ("R820-26", "原始监测记录保存期限不得少于五年", "Keep raw records for five years at least"),
)  # fmt: skip
"""Rule, duty in Chinese and English (retold, not quoted)."""


@dataclass(frozen=True, slots=True)
class Penalty:
    """One version of a fine of `lowest` to `highest` yuan; `serious` the range of serious cases.

    `since` and `until` are the first and the last day of the text (None: still in force). `rank`
    is "law" or "regulation": a law goes before a regulation on the same matter.
    """

    rule: str
    law_zh: str
    law_en: str
    rank: str
    article: int
    cite_zh: str
    cite_en: str
    duty_zh: str
    offence: str
    zh: str
    en: str
    who: str
    lowest: int
    highest: int
    serious: tuple[int, int] | None
    also: str
    also_zh: str
    since: date
    until: date | None
    verified: str
    source: str

    def in_force(self, on: date) -> bool:
        return self.since <= on and (self.until is None or on <= self.until)


@cache
def penalties() -> tuple[Penalty, ...]:
    """All rows of `data/penalties.csv`."""
    return tuple(
        Penalty(
            rule=r["rule"],
            law_zh=r["law_zh"],
            law_en=r["law_en"],
            rank=r["rank"],
            article=int(r["article"]),
            cite_zh=r["cite_zh"],
            cite_en=r["cite_en"],
            duty_zh=r["duty_zh"],
            offence=r["offence"],
            zh=r["offence_zh"],
            en=r["offence_en"],
            who=r["who"],
            lowest=int(r["lowest"]),
            highest=int(r["highest"]),
            serious=(int(r["serious_lowest"]), int(r["serious_highest"]))
            if r["serious_lowest"]
            else None,
            also=r["also"],
            also_zh=r["also_zh"],
            since=date.fromisoformat(r["since"]),
            until=date.fromisoformat(r["until"]) if r["until"] else None,
            verified=r["verified"],
            source=r["source"],
        )
        for r in tables.read("penalties.csv")
    )


def offences(who: str = "enterprise") -> dict[str, tuple[str, str]]:
    """The offences of the table: key → (Chinese, English), in the table's order."""
    return {p.offence: (p.zh, p.en) for p in reversed(penalties()) if p.who == who}


@dataclass(frozen=True, slots=True)
class Applicable:
    """A basis that may be applied, and why: "then" (text of the day of the act) or "milder"."""

    penalty: Penalty
    why: str


def bases(
    offence: str, act: date, decided: date, *, who: str = "enterprise"
) -> tuple[Applicable, ...]:
    """The legal bases of a fine for `offence` done on `act` and decided on `decided`, best first.

    The text of the day of the act; where that is no longer in force at the decision and the text
    that is in force then is milder (lower maximum, or the same and a lower minimum), that one comes
    first (Code art. 1057). Laws come before regulations. Empty where no text was in force.
    """
    rows = [p for p in penalties() if p.offence == offence and p.who == who]
    found = sorted((p for p in rows if p.in_force(act)), key=lambda p: p.rank != "law")
    gone = [p for p in found if not p.in_force(decided)]
    newer = [p for p in rows if p.in_force(decided) and p not in found]
    milder = [
        n
        for n in newer
        if gone and all((n.highest, n.lowest) < (g.highest, g.lowest) for g in gone)
    ]
    return (
        *(Applicable(p, "milder") for p in milder),
        *(Applicable(p, "then") for p in found),
    )


def limitation(ended: date, *, harm: bool, health: bool = False) -> date:
    """The last day on which an act that ended on `ended` may be found and still be punished.

    Two years; five where it harmed life or health (Administrative Penalty Law art. 36), and since
    the Code five where it did harm to the environment (art. 1054), for acts that ended under it.

    >>> limitation(date(2026, 8, 14), harm=True), limitation(date(2026, 8, 15), harm=True)
    (datetime.date(2028, 8, 14), datetime.date(2031, 8, 15))
    """
    return _years(ended, 5 if health or (harm and ended >= CODE) else 2)


@dataclass(frozen=True, slots=True)
class Period:
    """A period of the procedure: `rule` of working or calendar days, its words and its source."""

    step: str
    rule: Rule
    zh: str
    en: str
    cite_zh: str
    cite_en: str
    verified: str
    source: str

    def end(self, start: datetime, calendar: Calendar | None = None) -> tuple[datetime, Derivation]:
        """When the period that starts at `start` (aware) ends, and how that was reckoned; by the
        published calendar where none is given."""
        return deadline(self.rule, start, calendar)


@cache
def procedure() -> dict[str, Period]:
    """All rows of `data/discretion/procedure.csv` by their step."""
    return {
        r["step"]: Period(
            step=r["step"],
            rule=Rule(int(r["amount"]), r["unit"]),  # type: ignore[arg-type]  # Rule refuses others
            zh=r["text_zh"],
            en=r["text_en"],
            cite_zh=r["cite_zh"],
            cite_en=r["cite_en"],
            verified=r["verified"],
            source=r["source"],
        )
        for r in tables.read("discretion/procedure.csv")
    }


def surcharge(
    amount: Decimal, due: date, paid: date, pauses: Iterable[tuple[date, date]] = ()
) -> tuple[Decimal, int]:
    """(yuan, days) added to a fine that is paid on `paid` though it was due on `due`.

    3 % of the fine a day, never more than the fine (Administrative Penalty Law art. 72(1)); days
    within `pauses` (first and last day of a review or lawsuit) do not count (art. 73(3)).

    >>> surcharge(Decimal(240000), date(2026, 9, 1), date(2026, 9, 4))
    (Decimal('21600.00'), 3)
    """
    pauses = tuple(pauses)
    late = [due + timedelta(days=n) for n in range(1, (paid - due).days + 1)]
    days = sum(not any(first <= d <= last for first, last in pauses) for d in late)
    return yuan(min(amount * SURCHARGE * days, amount)), days


def daily(amount: Decimal, ordered: date, rechecked: date) -> tuple[Decimal, int]:
    """(yuan, days) of the consecutive daily penalty: the fine again for each day from the day after
    the correction was ordered to the day on which the recheck found it undone (Code art. 1060;
    before it Environmental Protection Law art. 59)."""
    days = max(0, (rechecked - ordered).days)
    return yuan(amount * days), days


def yuan(amount: Decimal) -> Decimal:
    """Money in yuan with two decimals."""
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def keep_until(recorded: date) -> date:
    """The last day on which a raw record must still be there (R820-26).

    >>> keep_until(date(2024, 2, 29)), keep_until(date(2026, 3, 1))
    (datetime.date(2029, 2, 28), datetime.date(2031, 3, 1))
    """
    return _years(recorded, RECORD_YEARS)


def _years(on: date, years: int) -> date:
    try:
        return on.replace(year=on.year + years)
    except ValueError:
        return on.replace(year=on.year + years, day=28)
