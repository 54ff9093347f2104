"""Falsified, faulty, bypassed: contradictions in monitor data, with evidence an officer can use."""

from typing import TYPE_CHECKING, Any

from jingwei.analysis.detection.finding import Evidence, Finding, Findings, Reason, Share, Words
from jingwei.analysis.detection.monitor import Monitor

if TYPE_CHECKING:
    from jingwei.analysis.detection.suite import Suite

__all__ = ["Evidence", "Finding", "Findings", "Monitor", "Reason", "Share", "Suite", "Words"]


def __getattr__(name: str) -> Any:
    # The suite brings the compiler along, which processes that only show findings do without.
    if name == "Suite":
        from jingwei.analysis.detection.suite import Suite

        return Suite
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
