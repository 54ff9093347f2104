"""Profiles of the city's own sources as people hand them in: one row a species of a profile, with its
mass fraction and the uncertainty of that."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jingwei.analysis.air.apportion.profiles import key
from jingwei.analysis.air.apportion.tables import Problem, Row, TableError

MOST_PROFILES, MOST_ROWS = 50, 5_000
LEAST_SPECIES = 3  # fewer fit everything
MOST_SUM = 1.3  # of the fractions: oxides and elements beside ions may count twice; own choice
UNITS = {"fraction": 1.0, "percent": 0.01}
# What the head of a column may be, in English and in Chinese; the first and the last are the usual.
HEADS = {
    "source": ("source", "profile", "污染源", "源名称", "来源", "源类"),
    "species": ("species", "成分", "化学组分", "组分"),
    "value": ("fraction", "mass fraction", "value", "含量", "占比", "质量分数"),
    "error": ("uncertainty", "error", "sd", "标准偏差", "误差", "不确定度"),
}


@dataclass(frozen=True)
class Profile:
    """`rows`: species as written, mass fraction, uncertainty of the fraction (both 0…1)."""

    source: str
    rows: tuple[tuple[str, float, float], ...]


def fractions(rows: Iterable[Sequence[object]]) -> dict[str, tuple[float, float]]:
    """Fraction and error by `profiles.key`, of `Profile.rows`."""
    return {key(str(s)): (float(str(v)), float(str(e))) for s, v, e in rows}


def parse(rows: Sequence[Row], unit: str, taken: Iterable[str] = ()) -> list[Profile]:
    """The profiles of a table; `unit` of its numbers, one of `UNITS`; `taken`: names that other profiles
    have. Raises `TableError` with every problem and its row."""
    given = [(line, [_text(c) for c in cells]) for line, cells in rows]
    given = [(line, cells) for line, cells in given if any(cells)]
    if not given:
        raise TableError([Problem("empty", {"table": "profiles"})])
    head = [c.lower() for c in given[0][1]]
    at = {n: next((k for k, c in enumerate(head) if c in names), None) for n, names in HEADS.items()}  # fmt: skip
    missing = [HEADS[n][0] for n, k in at.items() if k is None]
    if missing:
        raise TableError([Problem("wanted", {"columns": ", ".join(missing)})])
    if len(given) == 1:
        raise TableError([Problem("empty", {"table": "profiles"})])
    if len(given) > MOST_ROWS + 1:
        raise TableError([Problem("long", {"rows": len(given) - 1, "most": MOST_ROWS})])
    places = {n: k for n, k in at.items() if k is not None}
    return _profiles(given[1:], places, UNITS[unit], {t.casefold() for t in taken})


def _profiles(
    given: list[tuple[int, list[str]]], at: dict[str, int], scale: float, taken: set[str]
) -> list[Profile]:
    problems: list[Problem] = []
    found: dict[str, dict[str, tuple[str, float, float]]] = {}
    first: dict[str, int] = {}
    written: dict[str, str] = {}  # a name as it stands first, whatever its case later

    def wrong(kind: str, line: int, **facts: object) -> None:
        problems.append(Problem(kind, {"row": line, **facts}))

    for line, cells in given:
        one = {n: cells[k] if k < len(cells) else "" for n, k in at.items()}
        source, species = one["source"], one["species"]
        if not source or not species or len(source) > 120:
            wrong("unnamed", line)
            continue
        source = written.setdefault(source.casefold(), source)
        first.setdefault(source, line)
        value, error = (_number(one[n]) for n in ("value", "error"))
        if not 0 <= value * scale <= 1:
            wrong("share", line, species=species, text=one["value"] or "–")
        elif not 0 < error * scale <= 1:
            wrong("sigma", line, species=species, text=one["error"] or "–")
        elif key(species) in found.setdefault(source, {}):
            wrong("again", line, species=species, source=source)
        else:
            found[source][key(species)] = (species, value * scale, error * scale)
    for source, line in first.items():
        parts = found.get(source, {}).values()
        total = sum(v for _s, v, _e in parts)
        if source.casefold() in taken:
            wrong("taken", line, source=source)
        elif not problems and sum(v > 0 for _s, v, _e in parts) < LEAST_SPECIES:
            wrong("thin", line, source=source, least=LEAST_SPECIES)
        elif total > MOST_SUM:
            wrong("sum", line, source=source, sum=f"{total:.3g}", most=MOST_SUM)
    if len(first) > MOST_PROFILES:
        problems.append(Problem("sources", {"has": len(first), "most": MOST_PROFILES}))
    if problems:
        raise TableError(problems)
    return [Profile(source, tuple(parts.values())) for source, parts in found.items()]


def _text(cell: object) -> str:
    return "" if cell is None else str(cell).strip().lstrip("\ufeff")


def _number(text: str) -> float:
    """NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
