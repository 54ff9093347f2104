"""What open cases need of the stores (legal hold)."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Min

from jingwei.bureau.cases.models import Case
from jingwei.telemetry.retention import Hold

MARGIN = timedelta(days=31)  # a day's or month's value is judged on what came before it


def open_cases() -> list[Hold]:
    """The telegrams since the first finding of every case that is not closed."""
    rows = (
        Case.objects.filter(closed=None, findings__isnull=False)
        .values("pk")
        .annotate(since=Min("findings__began"))
        .order_by("pk")
    )
    return [Hold(f"case:{row['pk']}", row["since"] - MARGIN) for row in rows]
