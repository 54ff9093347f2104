"""Periodic work: answer what was asked."""

from __future__ import annotations

from datetime import datetime

from jingwei.bureau.air import services


def tick(now: datetime) -> None:
    services.work(now)
