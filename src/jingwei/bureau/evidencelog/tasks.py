"""Periodic work of the room."""

from __future__ import annotations

from datetime import datetime

from jingwei.bureau.evidencelog import services


def tick(now: datetime) -> None:
    """Number the waiting entries. Raises `LogError` where the log cannot be written: they wait."""
    services.sequence()
