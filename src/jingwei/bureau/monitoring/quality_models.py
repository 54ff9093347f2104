"""Checks of instruments, which decide whether their data are out of control."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.access import RestrictedQuerySet
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.registry.models import Point


class QualityCheck(models.Model):
    """A check of the instrument of one factor (校准、校验、比对、标样核查), as the enterprise or an officer
    entered it. Never changed: withdrawn, with the reason, and entered anew.

    `counts`: since when it counts; None: entered by the enterprise after 12:00 of the next day and not
    confirmed by an officer.
    """

    class Sort(models.TextChoices):
        DRIFT = "drift", _("Zero or span drift")
        ACCURACY = "accuracy", _("Comparison with the reference method")
        STANDARD = "standard", _("Standard sample or gas")

    point = models.ForeignKey(Point, models.PROTECT, related_name="quality_checks")
    factor = models.CharField(_("factor"), max_length=12)
    sort = models.CharField(_("kind of check"), max_length=10, choices=Sort)
    time = models.DateTimeField(_("checked"))
    passed = models.BooleanField(_("passed"))
    result = models.CharField(_("result and what is allowed"), max_length=200)
    report = models.CharField(_("number of the record"), max_length=80, blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(_("entered"))
    counts = models.DateTimeField(_("counts since"), null=True, blank=True)
    confirmer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    withdrawn = models.DateTimeField(_("withdrawn"), null=True, blank=True)
    why = models.CharField(_("withdrawn because"), max_length=300, blank=True)
    evidence = models.ForeignKey(
        EvidenceEntry, models.PROTECT, null=True, blank=True, related_name="+"
    )

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "point__region_id", "enterprise": "point__outlet__enterprise__uscc"}

    class Meta:
        ordering = ["-time", "-id"]
        indexes = [models.Index(fields=["point", "factor", "time"])]
        verbose_name = _("check of an instrument")
        verbose_name_plural = _("checks of instruments")

    def __str__(self) -> str:
        return f"{self.point} {self.factor} {self.time}"
