"""How often a stranger or a system may do something: counted in the database, so over all
processes and restarts. Of an address only a keyed digest is kept."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.crypto import salted_hmac

from jingwei.bureau.findings.models import Tally


def within(what: str, who: str, most: int, window: timedelta, now: datetime) -> bool:
    """Count one more in the current window; False where that is more than `most`."""
    number = int(now.timestamp() // window.total_seconds())
    key = f"{what}:{number}:{salted_hmac(f'tally.{what}', who).hexdigest()[:32]}"
    rows = Tally.objects.filter(key=key)
    if not rows.update(count=F("count") + 1):
        try:
            with transaction.atomic():
                Tally.objects.create(key=key, count=1, until=now + 2 * window)
        except IntegrityError:  # another process was faster
            rows.update(count=F("count") + 1)
    return rows.values_list("count", flat=True)[0] <= most


def forget(now: datetime) -> None:
    """Delete what no window needs any more."""
    Tally.objects.filter(until__lte=now).delete()
