"""Everything that reads messages: everybody reads his own."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, QuerySet

from jingwei.bureau.access import may
from jingwei.bureau.notices.models import KINDS, Channel, Delivery, Message, Preference
from jingwei.bureau.prepared import Prepared


def messages(user: Any) -> QuerySet[Message]:
    """The messages of this user, the latest first."""
    if not may(user, "notice.view"):
        return Message.objects.none()
    return Message.objects.filter(user=user).select_related("instead_of")


_unread: Prepared[int] = Prepared(
    lambda user: Message.objects.filter(user=user, read=None).order_by().values_list("pk")
)


def unread(user: Any) -> int:
    """How many of them are unread."""
    return _unread.count(user.pk) if may(user, "notice.view") else 0


def search(user: Any, query: Any) -> QuerySet[Message]:
    """The list by its URL: `unread`, `kind`, `q` (in either language)."""
    rows = messages(user)
    if query.get("unread"):
        rows = rows.filter(read=None)
    if query.get("kind") in KINDS:
        rows = rows.filter(kind=query["kind"])
    text = query.get("q", "").strip()[:100].replace("\0", "")
    if text:
        rows = rows.filter(text_zh__icontains=text) | rows.filter(text_en__icontains=text)
    return rows


def preference(user: Any) -> Preference:
    """What the user chose; unsaved where nothing was chosen yet."""
    return Preference.objects.filter(user=user).first() or Preference(user=user)


def deliveries(user: Any, query: Any) -> QuerySet[Delivery]:
    """The outbox by its URL: `state` (all without), the latest first."""
    if not may(user, "notice.outbox"):
        return Delivery.objects.none()
    rows = Delivery.objects.select_related("message__user", "channel")
    state = query.get("state")
    return rows.filter(state=state) if state in Delivery.State.values else rows


def delivery_counts() -> dict[str, int]:
    """How many deliveries are in each state."""
    found = Delivery.objects.order_by().values_list("state").annotate(n=Count("pk"))
    return dict.fromkeys(Delivery.State.values, 0) | dict(found)


def channels() -> QuerySet[Channel]:
    return Channel.objects.select_related("department")
