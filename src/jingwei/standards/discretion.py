"""Penalty discretion (行政处罚裁量): from facts to an amount, every step shown, exact in yuan.

Two published tables stand in `data/discretion/`, each with its dates, its source and how sure it
is. They reckon differently:

weights  (Guangdong 2021, art. 6)  a starting percentage plus the percentages of the grades chosen,
         at most 100 %, at least the sheet's floor; times the highest fine of the law
tiers    (Jiangmen 2020)  the facts put the act into a tier with its own range; within it the
         middle, its top with a heavier and its bottom with a lighter circumstance (art. 5, 6, 8);
         the third tier reckons an amount from the number of factors and how far they were over

Whatever a table says, the amount lies within the lawful range. Circumstances for which a table
gives no figure change nothing by themselves: the person who decides weighs them, with reasons.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any, Final

from jingwei.standards import tables
from jingwei.standards.law import Penalty, yuan

HUNDRED: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class Table:
    """A published table of discretion, in force `since` … `until`; `area` is how the codes of the
    regions begin for which it was made (GB/T 2260)."""

    key: str
    area: str
    issuer_zh: str
    issuer_en: str
    title_zh: str
    title_en: str
    number: str
    model: str
    since: date
    until: date | None
    verified: str
    source: str

    def in_force(self, on: date) -> bool:
        return self.since <= on and (self.until is None or on <= self.until)


@dataclass(frozen=True, slots=True)
class Grade:
    """One grade of a factor; `least` ≤ the measured value < `below` where it can be measured."""

    number: int
    zh: str
    en: str
    percent: Decimal
    least: Decimal | None
    below: Decimal | None


@dataclass(frozen=True, slots=True)
class Factor:
    """What is weighed. `measure` names the fact that gives the grade, "" where a person must see.

    Measures: "factors" (over the limit), "multiple" (the largest excess over the limit in limits:
    value / limit - 1), "repeats" (offences of this kind in two years, this one included), "flow"
    (t a day), "days".
    """

    key: str
    zh: str
    en: str
    measure: str
    grades: tuple[Grade, ...]

    def grade(self, number: int) -> Grade:
        for grade in self.grades:
            if grade.number == number:
                return grade
        raise ValueError(f"{self.key}: there is no grade {number}")

    def measured(self, value: Decimal) -> Grade | None:
        """The grade that a measured value falls into."""
        for grade in self.grades:
            if (
                grade.least is not None
                and grade.least <= value
                and (grade.below is None or value < grade.below)
            ):
                return grade
        return None


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier with its range in yuan; `more` the yuan for each further (ordinary, special) factor."""

    number: int
    zh: str
    en: str
    lowest: Decimal
    highest: Decimal
    more: tuple[Decimal, Decimal] | None
    step: Decimal | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """The part of a table that is for one offence, with the rules of law that it is made for."""

    key: str
    table: Table
    offence: str
    rules: tuple[str, ...]
    title_zh: str
    title_en: str
    start: Decimal
    floor: Decimal
    note_zh: str
    factors: tuple[Factor, ...]
    tiers: tuple[Tier, ...]


@dataclass(frozen=True, slots=True)
class Circumstance:
    """A reason to punish more or less: "heavier" or "lighter".

    `of` says what `least` … `most` per cent are taken off: "amount"; "tier" moves within the tier;
    "" where the rule gives no figure.
    """

    table: str
    key: str
    kind: str
    zh: str
    en: str
    of: str
    least: Decimal | None
    most: Decimal | None
    cite_zh: str
    verified: str
    source: str


@dataclass(frozen=True, slots=True)
class Minor:
    """A row of the list of acts that are not punished, with all its conditions.

    `factors` and `below` are those of its conditions that can be measured: at most so many factors
    over the limit, and less than so many limits over it; None where it names none.
    """

    key: str
    offence: str
    zh: str
    en: str
    conditions_zh: str
    conditions_en: str
    factors: int | None
    below: Decimal | None
    verified: str
    source: str

    def may_fit(self, offence: str, factors: int, multiple: Decimal, repeats: int) -> bool:
        """Whether what was measured speaks for it; the other conditions are for a person to see."""
        return (
            self.offence == offence
            and self.factors is not None
            and self.below is not None
            and factors <= self.factors
            and multiple < self.below
            and repeats == 1
        )


def _decimal(text: str) -> Decimal | None:
    return Decimal(text) if text else None


@cache
def discretion_tables() -> dict[str, Table]:
    """All rows of `data/discretion/tables.csv` by key."""
    return {
        r["table"]: Table(
            key=r["table"],
            area=r["area"],
            issuer_zh=r["issuer_zh"],
            issuer_en=r["issuer_en"],
            title_zh=r["title_zh"],
            title_en=r["title_en"],
            number=r["number"],
            model=r["model"],
            since=date.fromisoformat(r["since"]),
            until=date.fromisoformat(r["until"]) if r["until"] else None,
            verified=r["verified"],
            source=r["source"],
        )
        for r in tables.read("discretion/tables.csv")
    }


@cache
def sheets() -> dict[str, Sheet]:
    """Every sheet with its factors or tiers, by key."""
    factors: dict[str, dict[str, list[dict[str, str]]]] = {}
    for row in tables.read("discretion/factors.csv"):
        factors.setdefault(row["sheet"], {}).setdefault(row["factor"], []).append(row)
    tiers: dict[str, list[Tier]] = {}
    for row in tables.read("discretion/tiers.csv"):
        tiers.setdefault(row["sheet"], []).append(
            Tier(
                number=int(row["tier"]),
                zh=row["text_zh"],
                en=row["text_en"],
                lowest=Decimal(row["lowest"]),
                highest=Decimal(row["highest"]),
                more=(Decimal(row["more_ordinary"]), Decimal(row["more_special"]))
                if row["more_ordinary"]
                else None,
                step=_decimal(row["step"]),
            )
        )
    return {
        r["sheet"]: Sheet(
            key=r["sheet"],
            table=discretion_tables()[r["table"]],
            offence=r["offence"],
            rules=tuple(r["rules"].split()),
            title_zh=r["title_zh"],
            title_en=r["title_en"],
            start=_decimal(r["start"]) or Decimal(0),
            floor=_decimal(r["floor"]) or Decimal(0),
            note_zh=r["note_zh"],
            factors=tuple(_factor(rows) for rows in factors.get(r["sheet"], {}).values()),
            tiers=tuple(tiers.get(r["sheet"], ())),
        )
        for r in tables.read("discretion/sheets.csv")
    }


def _factor(rows: Sequence[Mapping[str, str]]) -> Factor:
    return Factor(
        key=rows[0]["factor"],
        zh=rows[0]["factor_zh"],
        en=rows[0]["factor_en"],
        measure=rows[0]["measure"],
        grades=tuple(
            Grade(
                number=int(r["grade"]),
                zh=r["grade_zh"],
                en=r["grade_en"],
                percent=Decimal(r["percent"]),
                least=_decimal(r["least"]),
                below=_decimal(r["below"]),
            )
            for r in rows
        ),
    )


@cache
def circumstances() -> tuple[Circumstance, ...]:
    """All rows of `data/discretion/adjustments.csv`."""
    return tuple(
        Circumstance(
            table=r["table"],
            key=r["key"],
            kind=r["kind"],
            zh=r["text_zh"],
            en=r["text_en"],
            of=r["of"],
            least=_decimal(r["least"]),
            most=_decimal(r["most"]),
            cite_zh=r["cite_zh"],
            verified=r["verified"],
            source=r["source"],
        )
        for r in tables.read("discretion/adjustments.csv")
    )


def circumstances_for(sheet: Sheet, basis: Penalty) -> tuple[Circumstance, ...]:
    """Those that the law, and the sheet's own table, know for a decision on that basis."""
    known = {"*", sheet.table.key, *(("code",) if basis.rule.startswith("CODE") else ())}
    return tuple(c for c in circumstances() if c.table in known)


@cache
def minor() -> tuple[Minor, ...]:
    """All rows of `data/discretion/minor.csv`; offence "*" fits every offence."""
    return tuple(
        Minor(
            key=r["key"],
            offence=r["offence"],
            zh=r["title_zh"],
            en=r["title_en"],
            conditions_zh=r["conditions_zh"],
            conditions_en=r["conditions_en"],
            factors=int(r["factors"]) if r["factors"] else None,
            below=_decimal(r["below"]),
            verified=r["verified"],
            source=r["source"],
        )
        for r in tables.read("discretion/minor.csv")
    )


# --- reckoning --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a computation: what, which formula, its result, where it stands."""

    zh: str
    en: str
    formula: str
    result: str
    source_zh: str = ""

    def to_json(self) -> dict[str, str]:
        return {
            "zh": self.zh,
            "en": self.en,
            "formula": self.formula,
            "result": self.result,
            "source": self.source_zh,
        }


@dataclass(frozen=True, slots=True)
class Result:
    """The amount in yuan and how it came about; `open` are the circumstances left to a person."""

    amount: Decimal
    lowest: Decimal
    highest: Decimal
    steps: tuple[Step, ...]
    open: tuple[Circumstance, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "amount": str(self.amount),
            "lowest": str(self.lowest),
            "highest": str(self.highest),
            "steps": [s.to_json() for s in self.steps],
            "open": [c.key for c in self.open],
        }


def compute(
    sheet: Sheet,
    basis: Penalty,
    grades: Mapping[str, int],
    chosen: Mapping[str, Decimal | None] | Collection[str] = (),
    *,
    excesses: Sequence[tuple[Decimal, bool]] = (),
    tier: int | None = None,
) -> Result:
    """What `sheet` proposes within the lawful range of `basis`.

    `grades`: the grade's number for every factor of a sheet of weights. `chosen`: circumstances by
    key, with the percentage where the rule leaves a span (None takes the least). For a sheet of
    tiers: the `tier`, and the `excesses` (value / limit - 1, whether a special pollutant) of every
    factor over its limit. Raises ValueError for a factor without grade, an unknown grade, factor,
    tier or circumstance, a percentage outside its span, and a basis that the sheet is not made for.
    """
    if basis.rule not in sheet.rules:
        raise ValueError(f"{sheet.key} is not made for {basis.rule}")
    known = {c.key: c for c in circumstances_for(sheet, basis)}
    asked: dict[str, Decimal | None] = (
        dict(chosen) if isinstance(chosen, Mapping) else dict.fromkeys(chosen)
    )
    if unknown := set(asked) - set(known):
        raise ValueError(f"unknown circumstances: {', '.join(sorted(unknown))}")
    picked = [known[key] for key in sorted(asked)]
    lowest, highest = Decimal(basis.lowest), Decimal(basis.highest)
    steps = [
        Step(
            "法定罚款幅度",
            "Lawful range of the fine",
            f"{_money(lowest)} … {_money(highest)}",
            f"{_money(lowest)} … {_money(highest)}",
            basis.cite_zh,
        )
    ]
    if sheet.table.model == "weights":
        amount = _weights(sheet, highest, grades, steps)
    else:
        amount = _tiers(sheet, tier, excesses, picked, steps)
    for c in picked:
        if c.of == "amount" and c.least is not None and c.most is not None:
            told = asked[c.key]
            share = c.least if told is None else told
            if not c.least <= share <= c.most:
                raise ValueError(f"{c.key}: {share} % is outside {c.least} … {c.most} %")
            reduced = amount * (HUNDRED - share) / HUNDRED
            steps.append(
                Step(
                    c.zh, c.en,
                    f"{_money(amount)} × (100 % − {_plain(share)} %)",
                    _money(reduced), c.cite_zh,
                )
            )  # fmt: skip
            amount = reduced
    within = min(max(amount, lowest), highest)
    if within != amount:
        steps.append(
            Step(
                "不得超出法定幅度",
                "Kept within the lawful range",
                f"min(max({_money(amount)}, {_money(lowest)}), {_money(highest)})",
                _money(within),
                basis.cite_zh,
            )
        )
    within = yuan(within)
    steps.append(Step("计算金额", "Computed amount", _money(within), _money(within)))
    return Result(
        amount=within,
        lowest=lowest,
        highest=highest,
        steps=tuple(steps),
        open=tuple(c for c in picked if not c.of),
    )


def _weights(
    sheet: Sheet, highest: Decimal, grades: Mapping[str, int], steps: list[Step]
) -> Decimal:
    if unknown := set(grades) - {f.key for f in sheet.factors}:
        raise ValueError(f"{sheet.key} has no factor {', '.join(sorted(unknown))}")
    if missing := [f.key for f in sheet.factors if f.key not in grades]:
        raise ValueError(f"{sheet.key}: no grade for {', '.join(missing)}")
    source = f"{sheet.table.title_zh} {sheet.title_zh.partition(' ')[0]}"
    total, parts = sheet.start, [_plain(sheet.start)]
    steps.append(Step("裁量起点", "Starting point", f"{parts[0]} %", f"{parts[0]} %", source))
    for factor in sheet.factors:
        grade = factor.grade(grades[factor.key])
        total += grade.percent
        parts.append(_plain(grade.percent))
        steps.append(
            Step(
                f"{factor.zh}：{grade.zh}",
                f"{factor.en}: {grade.en}",
                f"+ {parts[-1]} %",
                f"{_plain(total)} %",
                source,
            )
        )
    bounded = max(min(total, HUNDRED), sheet.floor)
    limits = f"，不足 {_plain(sheet.floor)} % 按 {_plain(sheet.floor)} % 计" if sheet.floor else ""
    steps.append(
        Step(
            f"裁量百分值总和（不超过 100 %{limits}）",
            "Sum of the percentages (at most 100 %"
            + (f", at least {_plain(sheet.floor)} %)" if sheet.floor else ")"),
            " + ".join(parts) + f" = {_plain(total)} %",
            f"{_plain(bounded)} %",
            sheet.note_zh,
        )
    )
    amount = bounded * highest / HUNDRED
    steps.append(
        Step(
            "罚款金额＝裁量百分值总和×法定最高罚款",
            "Sum of the percentages times the highest fine",
            f"{_plain(bounded)} % × {_money(highest)}",
            _money(amount),
            sheet.note_zh,
        )
    )
    return amount


def _tiers(
    sheet: Sheet,
    number: int | None,
    excesses: Sequence[tuple[Decimal, bool]],
    picked: Sequence[Circumstance],
    steps: list[Step],
) -> Decimal:
    tier = next((t for t in sheet.tiers if t.number == number), None)
    if tier is None:
        raise ValueError(f"{sheet.key} has no tier {number}")
    source = f"{sheet.table.title_zh} {sheet.title_zh.partition(' ')[0]}"
    span = f"{_money(tier.lowest)} … {_money(tier.highest)}"
    steps.append(
        Step(f"第{tier.number}档：{tier.zh}", f"Tier {tier.number}: {tier.en}", span, span, source)
    )
    moved = {c.key for c in picked if c.of == "tier"}
    if tier.more is not None and tier.step is not None:
        amount, formula = _graded(tier, excesses)
        steps.append(
            Step(
                "按超标因子数和超标倍数增加",
                "More for each factor and for how far it was over",
                formula, _money(amount), source,
            )
        )  # fmt: skip
    elif "top" in moved and "bottom" not in moved:
        amount = tier.highest
    elif "bottom" in moved and "top" not in moved:
        amount = tier.lowest
    else:
        amount = (tier.lowest + tier.highest) / 2
        steps.append(
            Step(
                "不具从重、从轻情节的，适中处罚",
                "Neither heavier nor lighter: the middle",
                f"({_money(tier.lowest)} + {_money(tier.highest)}) ÷ 2",
                _money(amount),
                "《江门市…裁量标准规定（试行）》第八条",
            )
        )
    return amount


def _graded(tier: Tier, excesses: Sequence[tuple[Decimal, bool]]) -> tuple[Decimal, str]:
    """The third tier: the lowest, more for each further factor, 10,000 yuan a step over the limit.

    Which factor is the first is not said; a special one is where there is one, as a further special
    factor costs more (own reading, the milder one; an amount never falls when something gets worse).
    A step is one limit for ordinary pollutants (rounded half up), half a limit for special ones
    (rounded up).
    """
    assert tier.more is not None
    assert tier.step is not None
    if not excesses:
        raise ValueError("tier 3 is reckoned from the factors over the limit: none is given")
    amount, terms = tier.lowest, [_money(tier.lowest)]
    ordered = sorted(excesses, key=lambda e: (not e[1], -e[0]))
    for further in ordered[1:]:
        amount += tier.more[further[1]]
        terms.append(_money(tier.more[further[1]]))
    for multiple, special in ordered:
        count = (
            (multiple / Decimal("0.5")).to_integral_value(ROUND_CEILING)
            if special
            else multiple.to_integral_value(ROUND_HALF_UP)
        )
        amount += count * tier.step
        terms.append(f"{_plain(count)} × {_money(tier.step)}")
    bounded = min(amount, tier.highest)
    text = " + ".join(terms)
    return bounded, text if bounded == amount else f"min({text}, {_money(tier.highest)})"


def tier_of(sheet: Sheet, excesses: Sequence[tuple[Decimal, bool]], repeats: int) -> int:
    """The tier that measured facts give: the heaviest that fits (Jiangmen art. 14)."""
    if repeats >= 3:
        return 4
    if len(excesses) != 1:
        return 3
    multiple, special = excesses[0]
    if special:
        return 2 if multiple < Decimal("0.5") else 3
    return 1 if multiple < 1 else 3


def _money(amount: Decimal) -> str:
    text = f"{amount:,.2f}"
    return text.removesuffix(".00")


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
