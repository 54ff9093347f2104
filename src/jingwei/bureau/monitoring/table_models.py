"""Tables of observations, as people hand them in."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.evidencelog.models import EvidenceEntry


class ObservationFile(models.Model):
    """A file as it was handed in, with the mapping that says what its columns are."""

    class State(models.TextChoices):
        DRAFT = "draft", pgettext_lazy("table", "Being mapped")
        DONE = "done", pgettext_lazy("table", "Taken in")

    name = models.CharField(_("original name"), max_length=200)
    size = models.PositiveBigIntegerField(_("size (bytes)"))
    sha256 = models.CharField("SHA-256", max_length=64, db_index=True)
    sm3 = models.CharField("SM3", max_length=64)
    file = models.FileField(_("file"), max_length=120)
    mapping = models.JSONField(_("mapping"), default=dict)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.DRAFT)
    rows = models.PositiveIntegerField(_("rows taken in"), default=0)
    left_out = models.PositiveIntegerField(_("rows left out"), default=0)
    values = models.PositiveIntegerField(_("values"), default=0)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(_("time"), auto_now_add=True)
    taken = models.DateTimeField(_("taken in"), null=True, blank=True)
    evidence = models.ForeignKey(
        EvidenceEntry, models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["-id"]
        verbose_name = _("table of observations")
        verbose_name_plural = _("tables of observations")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("monitoring:table", args=[self.pk])
