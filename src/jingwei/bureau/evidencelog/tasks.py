"""Periodic work of the room."""

from __future__ import annotations

from datetime import datetime

from jingwei.bureau.evidencelog import services


def tick(now: datetime) -> None:
    """Number the waiting entries, then let the witnesses cosign the newest checkpoint.

    Witnesses that are slow hold nothing up (`services.attest`).
    Raises `LogError` where the log cannot be written: the entries wait.
    """
    services.sequence()
    services.attest(now)
