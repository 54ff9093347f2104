"""Document numbers (文号): prefix〔year〕number号, dense in each year."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from jingwei.bureau.cases.models import Counter


def document_number(now: datetime, prefix: str = "") -> str:
    """The next number of the year in the series of `prefix`, the setting's where it is empty.

    Inside the caller's transaction, which holds the row's lock.
    A rolled-back transaction gives its number back, so the series has no holes.
    """
    year = timezone.localtime(now).year
    name = f"{prefix or settings.ENV.document_prefix}〔{year}〕"
    Counter.objects.get_or_create(name=name)
    Counter.objects.filter(name=name).update(last=F("last") + 1)
    return f"{name}{Counter.objects.get(name=name).last}号"
