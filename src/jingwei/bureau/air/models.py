"""What was asked of the air, and what was answered."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.access import RestrictedQuerySet
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.registry.models import Point


class Trace(models.Model):
    """Which sources may be behind what a station measured from `start` to `end`.

    `result` is as `tracing.answer` gives it; `digest` the SHA-256 of all that went in, so that
    anybody with the same data can see whether he asks the same. An answer is never changed: who
    doubts it asks again.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Being computed")
        DONE = "done", _("Answered")
        REFUSED = "refused", _("No answer possible")

    station = models.ForeignKey(Point, models.PROTECT, related_name="traces")
    factor = models.CharField(_("factor"), max_length=12)
    start = models.DateTimeField(_("from"))
    end = models.DateTimeField(_("until"))
    finding = models.ForeignKey(
        Finding, models.PROTECT, null=True, blank=True, related_name="traces"
    )
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    asked = models.DateTimeField(_("asked"), default=timezone.now)
    started = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.WAITING)
    reason = models.CharField(_("why there is no answer"), max_length=300, blank=True)
    digest = models.CharField(max_length=64, blank=True)
    result = models.JSONField(default=dict)
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, null=True, related_name="+")

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "station__region_id"}

    class Meta:
        ordering = ["-asked", "-pk"]
        indexes = [
            models.Index(
                fields=["asked"], condition=models.Q(state="waiting"), name="trace_waiting"
            )
        ]
        verbose_name = _("source tracing")
        verbose_name_plural = _("source tracings")

    def __str__(self) -> str:
        return f"{self.station} {self.factor} {self.start:%Y-%m-%d %H:%M}"

    def get_absolute_url(self) -> str:
        return reverse("air:trace", args=[self.pk])
