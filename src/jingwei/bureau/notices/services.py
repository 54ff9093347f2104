"""Everything that writes messages: telling people, reading, choosing ways, sending again."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, time, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from jingwei.bureau.accounts import selectors as accounts
from jingwei.bureau.accounts.models import Department, User
from jingwei.bureau.notices.models import KINDS, Channel, Delivery, Message, Preference, Way
from jingwei.bureau.prepared import Prepared

Text = str | Promise | Callable[[], str]
LONGEST = 1000  # characters of a message


def tell(
    to: User | Department | QuerySet[User] | Iterable[User | Department],
    text: Text,
    *,
    kind: str,
    url: str = "",
    key: str = "",
    urgent: bool = False,
    besides: User | None = None,
    now: datetime | None = None,
) -> int:
    """Write one message a recipient in the caller's transaction; how many were written.

    `to`: people, departments (all who are active in it now), or a query of people, as
    `accounts.selectors.people(role, area=…)` gives it; people who come with their preference
    (`select_related`) are not read again. Whoever stands in for one of them is told
    too. `text`: a lazy translation, or a function that says it (for texts with parts); it is
    rendered here in Chinese and in English. `kind`: one of `models.KINDS`. `url`: a page of this
    system. `key`: the same recipient is told the same key once. `urgent`: quiet hours do not hold
    it back. `besides`: whoever did it himself need not be told.

    Nothing is sent here: the ways that each recipient chose become rows of the outbox. Raises
    `TransactionManagementError` outside of `transaction.atomic`, and `ValueError` for an unknown
    kind, an empty text, or an address that is not a page of this system.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "tell() must run in the transaction of the act that it tells of"
        )
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of message: add it to notices.models.KINDS")
    if url and (not url.startswith("/") or url.startswith("//")):
        raise ValueError(f"{url!r} is no page of this system")
    if len(key) > 120:
        raise ValueError("the key of a message has at most 120 characters")
    now = now or timezone.now()
    zh, en = said(text)
    recipients = _recipients(to, now)
    if besides is not None:
        recipients.pop(besides.pk, None)
    if key and recipients:
        told = Message.objects.filter(key=key, user__in=recipients).values_list(
            "user_id", flat=True
        )
        for pk in list(told):
            del recipients[pk]
    if not recipients:
        return 0
    key = key or uuid.uuid4().hex
    # Two machines that tell the same at once: the second one's rows are passed over.
    Message.objects.bulk_create(
        [
            Message(
                user=user,
                instead_of=instead_of,
                kind=kind,
                key=key,
                text_zh=zh,
                text_en=en,
                url=url,
                urgent=urgent,
                created=now,
            )
            for user, instead_of, _away in recipients.values()
        ],
        ignore_conflicts=True,
    )
    _post(recipients, kind, key, urgent, now)
    return len(recipients)


def settle(kind: str, url: str, *, now: datetime) -> int:
    """What was to be done on this page is done, by whomever: nobody need read the messages of this
    kind that said so. How many there were."""
    waiting = _waiting(url, kind)
    return Message.objects.filter(pk__in=waiting).update(read=now) if waiting else 0


_waiting: Prepared[int] = Prepared(
    lambda url, kind: (
        Message.objects.filter(url=url, read=None, kind=kind)
        .order_by()
        .values_list("pk", flat=True)
    )
)


def said(text: Text) -> tuple[str, str]:
    """A text in Chinese and in English."""
    found = []
    for language in ("zh-hans", "en"):
        with translation.override(language):
            found.append(str(text() if callable(text) else text).strip()[:LONGEST])
    if not all(found):
        raise ValueError("a message without a text")
    return found[0], found[1]


_standing_in: Prepared[tuple[int, int]] = Prepared(
    lambda today: (
        accounts.substitutions(today)
        .filter(substitute__is_active=True)
        .order_by("pk")
        .values_list("absent", "substitute")
    )
)
_Recipients = dict[int, tuple[User, User | None, bool]]  # who, in whose place, is he away


def _recipients(
    to: User | Department | QuerySet[User] | Iterable[User | Department], now: datetime
) -> _Recipients:
    """Everybody who is to be told, substitutes included, by id."""
    known: list[User] = []
    people: QuerySet[User] | None = None
    if isinstance(to, QuerySet):
        people = to
    else:
        parts = [to] if isinstance(to, User | Department) else list(to)
        known = [p for p in parts if isinstance(p, User) and "preference" in p._state.fields_cache]
        if len(known) < len(parts):
            wanted = Q(pk__in=[p.pk for p in parts if isinstance(p, User)])
            departments = [p.pk for p in parts if isinstance(p, Department)]
            if departments:
                wanted |= Q(department__in=departments)
            people = User.objects.filter(wanted)
    users = [user for user in known if user.is_active]
    if people is not None:
        users += people.filter(is_active=True).select_related("preference")
    found: _Recipients = {user.pk: (user, None, False) for user in users}
    if not found:
        return found
    standing_in = [pair for pair in _standing_in(timezone.localdate(now)) if pair[0] in found]
    substitutes = (
        User.objects.select_related("preference").in_bulk({s for _a, s in standing_in})
        if standing_in
        else {}
    )
    for one, other in standing_in:
        absent = found[one][0]
        found[one] = (absent, found[one][1], True)
        found.setdefault(other, (substitutes[other], absent, False))
    return found


def _post(recipients: _Recipients, kind: str, key: str, urgent: bool, now: datetime) -> None:
    """The outbox: one row an e-mail, one row a robot for all who share it."""
    env = settings.ENV
    mail: dict[int, datetime] = {}
    robot: dict[int, datetime] = {}
    for pk, (user, _instead_of, away) in recipients.items():
        if away:  # reads it when back; the substitute is told now
            continue
        preference = getattr(user, "preference", None)
        ways = preference.chosen(kind) if preference else KINDS[kind].ways
        due = now if urgent or preference is None else after_quiet_hours(preference, now)
        if Way.MAIL in ways and user.email and env.mail:
            mail[pk] = due
        if Way.ROBOT in ways and user.department_id and env.webhook_hosts:
            robot[pk] = due
    if not mail and not robot:
        return
    channels = channel_of({recipients[pk][0].department_id for pk in robot}) if robot else {}
    messages = {
        m.user_id: m for m in Message.objects.filter(key=key, user__in=[*mail, *robot]).only("user")
    }
    rows = [
        Delivery(
            message=messages[pk],
            way=Way.MAIL,
            people=[pk],
            key=f"mail:{messages[pk].pk}",
            created=now,
            due=due,
        )
        for pk, due in mail.items()
    ]
    groups: dict[tuple[int, datetime], list[int]] = {}
    for pk, due in robot.items():
        channel = channels.get(recipients[pk][0].department_id)
        if channel is not None:
            groups.setdefault((channel.pk, due), []).append(pk)
    rows += [
        Delivery(
            message=messages[people[0]],
            way=Way.ROBOT,
            channel_id=channel,
            people=people,
            key=f"robot:{channel}:{messages[people[0]].pk}",
            created=now,
            due=due,
        )
        for (channel, due), people in groups.items()
    ]
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)


def channel_of(departments: Iterable[int]) -> Mapping[int, Channel]:
    """The channel of each department: its own, else that of the next one above with one."""
    wanted = set(departments)
    channels: dict[int, Channel] = {}
    for channel in Channel.objects.filter(active=True).order_by("-pk"):
        channels[channel.department_id] = channel  # several: the oldest one
    if not channels:
        return {}
    above = dict(Department.objects.values_list("pk", "parent_id"))
    found = {}
    for department in wanted:
        at: int | None = department
        while at is not None and at not in channels:
            at = above.get(at)
        if at is not None:
            found[department] = channels[at]
    return found


def after_quiet_hours(preference: Preference, now: datetime) -> datetime:
    """`now`, or the end of the quiet hours that `now` lies in."""
    begin, end = preference.quiet_from, preference.quiet_to
    if begin is None or end is None or begin == end:
        return now
    local = timezone.localtime(now)
    if not _within(local.time(), begin, end):
        return now
    until = local.replace(hour=end.hour, minute=end.minute, second=0, microsecond=0)
    if until <= local:
        until += timedelta(days=1)
    return until.astimezone(UTC)


def _within(at: time, begin: time, end: time) -> bool:
    return begin <= at < end if begin < end else at >= begin or at < end


# --- readers -------------------------------------------------------------------------------------


def mark_read(rows: QuerySet[Message], now: datetime | None = None) -> int:
    """Mark messages as read; how many were not."""
    return rows.filter(read=None).update(read=now or timezone.now())


def mark_unread(rows: QuerySet[Message]) -> int:
    """Mark messages as unread again."""
    return rows.update(read=None)


@transaction.atomic
def prefer(
    user: User,
    *,
    email: str,
    ways: Mapping[str, Iterable[str]],
    quiet_from: time | None,
    quiet_to: time | None,
    language: str,
) -> Preference:
    """Keep what a person chose."""
    User.objects.filter(pk=user.pk).update(email=email)
    kept, _made = Preference.objects.update_or_create(
        user=user,
        defaults={
            "ways": {kind: list(ways.get(kind, ())) for kind in KINDS},
            "quiet_from": quiet_from,
            "quiet_to": quiet_to,
            "language": language,
        },
    )
    return kept


# --- outbox --------------------------------------------------------------------------------------


def send_again(rows: QuerySet[Delivery], now: datetime | None = None) -> int:
    """Take dead deliveries up again, as if for the first time; how many."""
    return rows.filter(state=Delivery.State.DEAD).update(
        state=Delivery.State.WAITING, attempts=0, due=now or timezone.now()
    )


@transaction.atomic
def try_channel(user: User, channel: Channel, now: datetime | None = None) -> Delivery:
    """Put a test message to the channel into the outbox; only `user` is mentioned."""
    now = now or timezone.now()
    zh, en = said(lambda: _("Test message: this robot is connected to Jingwei."))
    message = Message.objects.create(
        user=user, kind="system", key=uuid.uuid4().hex, text_zh=zh, text_en=en, created=now
    )
    return Delivery.objects.create(
        message=message,
        way=Way.ROBOT,
        channel=channel,
        people=[user.pk],
        key=f"robot:{channel.pk}:{message.pk}",
        created=now,
        due=now,
    )
