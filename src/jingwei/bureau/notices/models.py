"""Messages to people, the ways each wants them, and the outbox of what leaves the house."""

from __future__ import annotations

from typing import NamedTuple

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.accounts.models import Department
from jingwei.bureau.language import english


class Kind(NamedTuple):
    """A kind of message: what the settings page calls it, and the ways it takes unless told."""

    label: str | Promise
    ways: tuple[str, ...] = ()


class Way(models.TextChoices):
    """How a message leaves the house; in the console it always is."""

    MAIL = "mail", _("E-mail")
    ROBOT = "robot", _("Group robot or interface of the department")


# What the rooms tell; a new kind takes its place here.
KINDS: dict[str, Kind] = {
    "turn": Kind(_("Something waits for me"), (Way.MAIL,)),
    "overdue": Kind(_("Deadlines missed and escalations"), (Way.MAIL, Way.ROBOT)),
    "case": Kind(_("News in my cases")),
    "finding": Kind(_("New findings in my jurisdiction")),
    "handover": Kind(_("Substitution and hand-over"), (Way.MAIL,)),
    "system": Kind(_("State of the system"), (Way.MAIL,)),
}


class Message(models.Model):
    """One message to one person, in both languages. `key`: what is told once is told once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="messages")
    # Told because they stand in for this person.
    instead_of = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    kind = models.CharField(_("kind"), max_length=16)
    key = models.CharField(_("key"), max_length=120)
    text_zh = models.TextField(_("text in Chinese"))
    text_en = models.TextField(_("text in English"))
    url = models.CharField(_("page"), max_length=300, blank=True)
    urgent = models.BooleanField(_("urgent"), default=False)
    created = models.DateTimeField(_("created"))
    read = models.DateTimeField(_("read"), null=True, blank=True)

    class Meta:
        ordering = ["-created", "-id"]
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="message_once")]
        indexes = [
            models.Index(fields=["user", "-created", "-id"], name="message_in_time"),
            models.Index(
                fields=["user"], name="message_unread", condition=models.Q(read__isnull=True)
            ),
            models.Index(fields=["created"], name="message_age"),
            models.Index(
                fields=["url"], name="message_to_do", condition=models.Q(read__isnull=True)
            ),
        ]
        verbose_name = _("message")
        verbose_name_plural = _("messages")

    def __str__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """The text in the language of the reader."""
        return self.text_en if english() else self.text_zh

    @property
    def kind_label(self) -> str | Promise:
        return KINDS[self.kind].label if self.kind in KINDS else self.kind

    def get_absolute_url(self) -> str:
        return reverse("notices:open", args=[self.pk])


class Preference(models.Model):
    """What a person chose: which kinds by which ways, when not to be disturbed, which language.

    `ways` holds only what was chosen: {kind: [way, …]}; a kind that is not in it takes the ways
    of `KINDS`. Between `quiet_from` and `quiet_to` (local time) only urgent messages leave.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="preference")
    ways = models.JSONField(_("ways"), default=dict)
    quiet_from = models.TimeField(_("quiet from"), null=True, blank=True)
    quiet_to = models.TimeField(_("quiet until"), null=True, blank=True)
    language = models.CharField(_("language of e-mails"), max_length=8, default="zh-hans")

    class Meta:
        verbose_name = _("preference")
        verbose_name_plural = _("preferences")

    def __str__(self) -> str:
        return str(self.user)

    def chosen(self, kind: str) -> tuple[str, ...]:
        """The ways of a kind."""
        return tuple(self.ways.get(kind, KINDS[kind].ways))


class Channel(models.Model):
    """A group robot or interface to which the messages of a department's people go.

    People of a department without one of its own use that of the next department above.
    """

    class Format(models.TextChoices):
        WECOM = "wecom", _("WeCom group robot")
        DINGTALK = "dingtalk", _("DingTalk group robot")
        JSON = "json", _("JSON with signature")

    name = models.CharField(_("name"), max_length=60)
    department = models.ForeignKey(
        Department, models.CASCADE, related_name="channels", verbose_name=_("department")
    )
    format = models.CharField(_("format"), max_length=12, choices=Format)
    address = models.URLField(
        _("address"),
        max_length=500,
        help_text=_("Only hosts that JINGWEI_WEBHOOK_HOSTS names are asked."),
    )
    secret = models.CharField(
        _("secret"),
        max_length=200,
        blank=True,
        help_text=_("Signs what is sent: DingTalk's secret, or the key of the HMAC."),
    )
    active = models.BooleanField(_("active"), default=True)

    class Meta:
        ordering = ["department__code", "id"]
        verbose_name = _("robot or interface")
        verbose_name_plural = _("robots and interfaces")

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One row of the outbox: a message that must leave the house by one way.

    Written in the transaction of the message, sent by `tasks.tick`, any number of times until it
    is gone (at least once), then kept as sent; what cannot be sent is dead, stays to be looked at,
    and can be sent again. `due`: not before; while it is being sent, the end of the lease.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting to be sent")
        SENT = "sent", _("Sent")
        DEAD = "dead", _("Given up")

    message = models.ForeignKey(Message, models.CASCADE, related_name="deliveries")
    way = models.CharField(_("way"), max_length=8, choices=Way)
    channel = models.ForeignKey(
        Channel, models.CASCADE, null=True, blank=True, related_name="deliveries"
    )
    # Ids of all whom a robot's one message is for.
    people = models.JSONField(_("recipients"), default=list)
    key = models.CharField(max_length=64, unique=True)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.WAITING)
    created = models.DateTimeField(_("created"), default=timezone.now)
    due = models.DateTimeField(_("next attempt"))
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    error = models.CharField(_("last error"), max_length=300, blank=True)
    sent = models.DateTimeField(_("sent"), null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["due"], name="delivery_due", condition=models.Q(state="waiting")),
            models.Index(fields=["state", "-id"], name="delivery_state"),
            models.Index(fields=["channel", "sent"], name="delivery_rate"),
        ]
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")

    def __str__(self) -> str:
        return f"{self.way} {self.message_id} {self.state}"
