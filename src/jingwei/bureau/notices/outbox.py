"""Empties the outbox: claims what is due, lets threads send it, writes down what came of it.

A row is claimed by moving its `due` to the end of a lease, so two machines never take it at the
same time, and what a killed process had claimed comes up again by itself. The database is touched
here alone, in the worker's own thread; the network in threads alone. A tick waits `BUDGET` for
answers and no longer: what is still under way is looked at in the next one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from jingwei.bureau.accounts.models import User
from jingwei.bureau.notices import robots, wire
from jingwei.bureau.notices.models import Delivery, Way

log = logging.getLogger(__name__)

BUDGET = 0.5  # seconds that a tick waits for the network
LEASE = timedelta(minutes=2)
THREADS = 6
ATTEMPTS = 8
FIRST_PAUSE = timedelta(minutes=1)  # doubled after each failure: 1, 2, 4 … 64 minutes

_pool: ThreadPoolExecutor | None = None
_under_way: dict[int, Future[None]] = {}


def pause(attempts: int) -> timedelta:
    """How long to wait after that many failed attempts."""
    return FIRST_PAUSE * 2 ** (attempts - 1)


def send(now: datetime) -> None:
    """One round: claim, send, and write down what is finished. Must not run in a transaction."""
    global _pool
    _finish()
    free = THREADS - len(_under_way)
    rows = _claim(now, free) if free > 0 else []
    for row in rows:
        if _pool is None:
            _pool = ThreadPoolExecutor(THREADS, thread_name_prefix="outbox")
        try:
            job = _job(row, now)
        except Exception as error:
            log.exception("delivery %s cannot be made ready", row.pk)
            job = _failing(wire.SendError(f"{type(error).__name__}: {error}"))
        _under_way[row.pk] = _pool.submit(job)
    if _under_way:
        wait(_under_way.values(), timeout=BUDGET)
        _finish()


def _claim(now: datetime, count: int) -> list[Delivery]:
    """Rows that are due and nobody else has, at most `count`; robots no faster than they allow."""
    due = Delivery.objects.filter(state=Delivery.State.WAITING, due__lte=now)
    recent = Counter(
        Delivery.objects.filter(
            channel__isnull=False, sent__gt=now - timedelta(minutes=1)
        ).values_list("channel", flat=True)
    )
    recent.update(
        Delivery.objects.filter(pk__in=list(_under_way), channel__isnull=False).values_list(
            "channel", flat=True
        )
    )
    full = [channel for channel, n in recent.items() if n >= robots.PER_MINUTE]
    if full:
        due = due.exclude(channel__in=full)
    taken = []
    for row in (
        due.exclude(pk__in=list(_under_way))
        .select_related("message__user__preference", "channel")
        .order_by("due", "pk")[:count]
    ):
        if row.channel_id:
            if recent[row.channel_id] >= robots.PER_MINUTE:
                continue
            recent[row.channel_id] += 1
        mine = Delivery.objects.filter(
            pk=row.pk, state=Delivery.State.WAITING, due=row.due, attempts=row.attempts
        ).update(due=now + LEASE, attempts=F("attempts") + 1)
        if mine:
            taken.append(row)
    return taken


def _finish() -> None:
    """Write down what the threads have finished."""
    for pk in [pk for pk, future in _under_way.items() if future.done()]:
        future = _under_way[pk]
        error = future.exception()
        row = Delivery.objects.filter(pk=pk, state=Delivery.State.WAITING)
        now = timezone.now()
        if error is None:
            row.update(state=Delivery.State.SENT, sent=now, error="")
        else:
            if not isinstance(error, wire.SendError):
                log.error("delivery %s failed", pk, exc_info=error)
            attempts = row.values_list("attempts", flat=True).first() or 1
            final = getattr(error, "final", False) or attempts >= ATTEMPTS
            row.update(
                state=Delivery.State.DEAD if final else Delivery.State.WAITING,
                due=now + pause(attempts),
                error=str(error)[:300],
            )
        del _under_way[pk]


def _failing(error: Exception) -> Callable[[], None]:
    def job() -> None:
        raise error

    return job


def _job(row: Delivery, now: datetime) -> Callable[[], None]:
    """What a thread does for this row: everything it needs is read here."""
    env = settings.ENV
    message = row.message
    page = env.url + message.url if message.url else ""
    if row.way == Way.MAIL:
        if not env.mail:
            return _failing(wire.SendError("JINGWEI_MAIL is not set"))
        to = message.user.email
        if not to:
            return _failing(wire.SendError("no e-mail address", final=True))
        preference = getattr(message.user, "preference", None)
        language = preference.language if preference else settings.LANGUAGE_CODE
        with translation.override(language):
            text = message.text
            subject = (_("[urgent] %s") if message.urgent else "%s") % text.splitlines()[0]
            subject = _("Jingwei") + ": " + subject[:100]
            foot = _("You choose in the console which messages reach you by e-mail.")
        body = "\n\n".join(filter(None, [text, page, f"-- \n{foot}\n{env.url}/notices/settings/"]))
        return lambda: wire.mail(env.mail_server, env.mail_from, to, subject, body)
    channel = row.channel
    if channel is None or not channel.active:
        return _failing(wire.SendError("the robot is switched off", final=True))
    people = list(User.objects.filter(pk__in=row.people, is_active=True).order_by("pk"))
    notice = robots.Notice(
        id=row.pk,
        kind=message.kind,
        zh=message.text_zh,
        en=message.text_en,
        page=page,
        urgent=message.urgent,
        time=message.created,
        phones=tuple(p.phone for p in people if p.phone),
        users=tuple(p.username for p in people),
    )
    request = robots.FORMATS[channel.format](notice, channel.address, channel.secret, now)
    return lambda: wire.post(request, channel.format, env.webhook_hosts)
