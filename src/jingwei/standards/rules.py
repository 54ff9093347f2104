"""Rules for automatic monitoring data: validity, marks, substitution, incineration, anomalies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from jingwei.standards import tables


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `full_text`: its source was read in full; otherwise `status` says how it is known."""

    id: str
    topic: str
    rule: str
    parameters: str
    status: str
    source: str

    @property
    def full_text(self) -> bool:
        return self.status == "full text"


@cache
def rows() -> tuple[Rule, ...]:
    """All rules of `data/rules.csv`, in its order."""
    return tuple(Rule(**r) for r in tables.read("rules.csv"))


@cache
def rule(id: str) -> Rule:
    """The rule with that id; KeyError for an unknown one."""
    return {r.id: r for r in rows()}[id]
