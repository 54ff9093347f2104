"""Periodic work: answer what was asked, learn and forecast what is due, look for hot grids,
apportion samples."""

from __future__ import annotations

from datetime import datetime

from jingwei.bureau.air import (
    apportion_services,
    dispersion_services,
    forecast_services,
    hotgrid_services,
    services,
)


def tick(now: datetime) -> None:
    services.work(now)
    dispersion_services.work(now)
    forecast_services.work(now)
    hotgrid_services.work(now)
    apportion_services.work(now)
