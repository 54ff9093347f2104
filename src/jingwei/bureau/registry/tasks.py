"""Periodic work of the registry."""

from __future__ import annotations

from datetime import datetime

from jingwei.bureau.registry import services


def tick(now: datetime) -> None:
    """Publish the device register where the points have changed."""
    services.publish_register()
