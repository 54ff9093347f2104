"""What detection hands on: a finding, and the reason where there can be none."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

NOT_ESTIMATED = 1e-6  # stands for the p of exact findings where none is known: it only sorts them


@dataclass(frozen=True)
class Words:
    """One text in the two languages of the house."""

    zh: str
    en: str

    def to_json(self) -> dict[str, str]:
        return {"zh": self.zh, "en": self.en}


@dataclass(frozen=True)
class Reason:
    """Why something is not judged. `column` "" = the whole outlet; `code` for programs."""

    code: str
    column: str
    text: Words

    def __str__(self) -> str:
        return self.text.en

    def to_json(self) -> dict[str, Any]:
        return {"code": self.code, "column": self.column, "text": self.text.to_json()}


@dataclass(frozen=True)
class Share:
    """Estimated share of the emission that the reports hide (fractions).

    low, high: as honest stretches of that length scatter (1.645 deviations to both sides); how often
    that range holds the truth is measured in docs/validation.
    """

    estimate: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        return {"estimate": self.estimate, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Evidence:
    """What an officer can recompute.

    numbers: at most a handful, named. series: name -> values over the shown rows (None = missing),
    beginning at `series_start`, one every step. formula and parameters: how the score comes about.
    sha256: of the input rows first..last of the monitor judged (`Monitor.sha256`).
    """

    numbers: dict[str, Any]
    series: dict[str, list[float | None]]
    series_start: datetime
    formula: str
    parameters: dict[str, Any]
    sha256: str
    rows: tuple[int, int]

    def to_json(self) -> dict[str, Any]:
        return {
            "numbers": self.numbers,
            "series": self.series,
            "series_start": self.series_start.isoformat(),
            "formula": self.formula,
            "parameters": self.parameters,
            "sha256": self.sha256,
            "rows": list(self.rows),
        }


@dataclass(frozen=True)
class Finding:
    """One case of one outlet: a contradiction, how rare it is, what else could explain it.

    start, end: the suspicious stretch (end = end of its last row). found: the end of the first row
    with which it could be known. score: -log10 of the rate (per outlet and month) at which honest
    history shows the like. p_value: chance of such a thing in an honest month. tier: exact |
    statistical | rule; for an exact one without "p" among its numbers it is `NOT_ESTIMATED`. grade: evidence | inspection | screening, by that rate (0.01, 0.1, 1).
    hidden_share: None where no model may say. also: the other detectors that raised this case.
    """

    detector: str
    factor: str
    start: datetime
    end: datetime
    found: datetime
    score: float
    p_value: float
    tier: str
    grade: str
    sentence: Words
    evidence: Evidence
    innocent_explanations: tuple[
        tuple[Words, Words], ...
    ]  # (explanation, the check that settles it)
    next_check: Words
    hidden_share: Share | None = None
    also: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "detector": self.detector,
            "factor": self.factor,
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "found": self.found.isoformat(),
            "score": self.score,
            "p_value": self.p_value,
            "tier": self.tier,
            "grade": self.grade,
            "sentence": self.sentence.to_json(),
            "hidden_share": None if self.hidden_share is None else self.hidden_share.to_json(),
            "evidence": self.evidence.to_json(),
            "innocent_explanations": [
                {"explanation": a.to_json(), "check": b.to_json()}
                for a, b in self.innocent_explanations
            ],
            "next_check": self.next_check.to_json(),
            "also": list(self.also),
        }

    def line(self) -> str:
        """One line of JSON; the same finding gives the same bytes."""
        return json.dumps(self.to_json(), ensure_ascii=False, sort_keys=True, allow_nan=False)


class Findings(list[Finding]):
    """The findings of one run, and why something was not judged (`reasons`)."""

    def __init__(self, found: Iterable[Finding] = (), reasons: Iterable[Reason] = ()) -> None:
        super().__init__(found)
        self.reasons: tuple[Reason, ...] = tuple(reasons)


def digits(x: Any, figures: int = 6) -> Any:
    """Numbers cut to so many significant figures, so that a last bit cannot make a difference;
    NaN and infinite become None. Walks into dicts, lists and tuples."""
    if isinstance(x, dict):
        return {str(k): digits(v, figures) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return [digits(v, figures) for v in x]
    if isinstance(x, bool | str) or x is None:
        return x
    if isinstance(x, int):
        return x
    value = float(x)
    if not math.isfinite(value):
        return None
    return float(f"{value:.{figures}g}")


@dataclass
class Draft:
    """A case in the making; rows count in the stretch judged."""

    detector: str
    factor: str
    first: int
    last: int
    found: int
    rarity: float
    tier: str
    numbers: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    also: list[str] = field(default_factory=list)
