"""A question of the demo city's air: whose is it, at one station, for the day before the load."""

from __future__ import annotations

from datetime import datetime, timedelta


def build(anchor: datetime) -> None:
    """Ask; the worker answers after the start."""
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.air import services
    from jingwei.bureau.air.models import Trace
    from jingwei.bureau.registry.models import Point

    station = Point.objects.filter(kind=Point.Kind.AIR_STATION).order_by("pk").first()
    if station is None or Trace.objects.exists():
        return
    end = anchor.replace(minute=0, second=0, microsecond=0)
    dispatcher = User.objects.get(username="dispatcher")
    services.ask(dispatcher, station, "a21004", end - timedelta(hours=24), end)
