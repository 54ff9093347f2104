"""Slowing down whoever guesses passwords.

Failures are counted for a name from an address, in the database, so that all web processes and
all restarts know of them. The first five cost nothing; after that each failure demands a pause
that doubles up to a quarter of an hour, during which not even the right password is looked at.
A name alone is not locked: that would let a stranger lock an officer out from anywhere.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from math import ceil

from django.db import transaction
from django.db.models import F

from jingwei.bureau.accounts.models import LoginFailure

FREE = 5  # failures without a pause
FIRST_PAUSE = 15  # seconds after the failure that follows them; doubles with every further one
LONGEST_PAUSE = 15 * 60
FORGET = timedelta(hours=1)


def _key(name: str, address: str) -> str:
    return hashlib.sha256(f"{name.strip().casefold()}\n{address}".encode()).hexdigest()


def wait(name: str, address: str, now: datetime) -> int:
    """Whole seconds until a login for `name` from `address` is looked at again; 0: at once."""
    row = LoginFailure.objects.filter(key=_key(name, address), last__gt=now - FORGET).first()
    if row is None or row.count <= FREE:
        return 0
    pause = min(FIRST_PAUSE * 2 ** min(row.count - FREE - 1, 16), LONGEST_PAUSE)
    return max(0, ceil(pause - (now - row.last).total_seconds()))


@transaction.atomic
def failed(name: str, address: str, now: datetime) -> None:
    """Count a failure; forget those that are older than an hour."""
    LoginFailure.objects.filter(last__lte=now - FORGET).delete()
    row, created = LoginFailure.objects.get_or_create(
        key=_key(name, address), defaults={"count": 1, "last": now}
    )
    if not created:
        LoginFailure.objects.filter(pk=row.pk).update(count=F("count") + 1, last=now)


def succeeded(name: str, address: str) -> None:
    """A right password from this address clears its failures."""
    LoginFailure.objects.filter(key=_key(name, address)).delete()
