"""Commands to devices, as the office keeps them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.access import RestrictedQuerySet
from jingwei.bureau.registry.models import Point


class DeviceCommand(models.Model):
    """One command to a device: who asked for it, why, and how it ended.

    `token` names it in the command book that the gateway works off; secrets (a new password, a
    new key) are not in `params`. `actor` is empty where the system pulls missing data by itself.
    """

    class State(models.TextChoices):
        WAITING = "waiting", pgettext_lazy("command", "Waiting for the device")
        SENT = "sent", pgettext_lazy("command", "Under way")
        DONE = "done", pgettext_lazy("command", "Done")
        REFUSED = "refused", pgettext_lazy("command", "Refused by the device")
        FAILED = "failed", pgettext_lazy("command", "Failed")
        EXPIRED = "expired", pgettext_lazy("command", "Expired")
        CANCELLED = "cancelled", pgettext_lazy("command", "Cancelled")

    token = models.UUIDField(_("identifier"), default=uuid.uuid4, unique=True, editable=False)
    point = models.ForeignKey(Point, models.PROTECT, related_name="commands")
    cn = models.CharField(_("command (CN)"), max_length=4)
    params = models.JSONField(_("parameters"), default=dict)
    reason = models.CharField(_("reason"), max_length=400, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.WAITING)
    result = models.JSONField(_("result"), default=dict)
    created = models.DateTimeField(_("created"))
    expires = models.DateTimeField(_("expires"))
    finished = models.DateTimeField(_("finished"), null=True, blank=True)

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "point__region_id", "enterprise": "point__outlet__enterprise__uscc"}

    class Meta:
        ordering = ["-created", "-id"]
        indexes = [
            models.Index(fields=["point", "-created"], name="command_of_point"),
            models.Index(
                fields=["created"], name="command_open", condition=models.Q(finished__isnull=True)
            ),
        ]
        verbose_name = _("device command")
        verbose_name_plural = _("device commands")

    def __str__(self) -> str:
        return f"{self.cn} {self.point.mn}"
