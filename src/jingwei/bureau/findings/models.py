"""The one stream of findings: what a machine or a person noticed. A finding accuses nobody."""

from __future__ import annotations

from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.accounts.access import RestrictedQuerySet
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.registry.models import LATITUDE, LONGITUDE, Enterprise, Point, Region


class Kind(models.TextChoices):
    """The eleven scenario kinds."""

    EXCEEDANCE = "exceedance", _("Monitor exceedance")
    FALSIFICATION = "falsification", _("Suspected data falsification")
    OFFLINE = "offline", _("Monitor offline or late")
    POWER = "power", _("Electricity and treatment contradict")
    AIR_HOTSPOT = "air_hotspot", _("Ambient air hot spot")
    WATER = "water", _("Surface water deterioration")
    SATELLITE = "satellite", _("Satellite hot grid")
    BARE_LAND = "bare_land", _("Bare land")
    FIRE = "fire", _("Straw burning or fire point")
    PATROL = "patrol", _("Patrol, video or drone")
    COMPLAINT = "complaint", _("Complaint or whistle-blower")


class Finding(models.Model):
    """One episode, however many hours it lasts: `episode` is unique in the database."""

    class State(models.TextChoices):
        NEW = "new", _("New")
        IN_CASE = "in_case", _("In a case")
        DISMISSED = "dismissed", _("Dismissed")

    class Severity(models.IntegerChoices):
        LOW = 1, _("Low")
        MEDIUM = 2, _("Medium")
        HIGH = 3, _("High")

    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    episode = models.CharField(_("episode key"), max_length=120, unique=True)
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.NEW)
    severity = models.PositiveSmallIntegerField(
        _("severity"), choices=Severity, default=Severity.MEDIUM
    )
    title = models.CharField(_("title"), max_length=200)
    region = models.ForeignKey(Region, models.PROTECT, related_name="findings")
    enterprise = models.ForeignKey(
        Enterprise, models.PROTECT, null=True, blank=True, related_name="findings"
    )
    point = models.ForeignKey(
        Point, models.PROTECT, null=True, blank=True, related_name="findings"
    )
    longitude = models.FloatField(_("longitude"), validators=LONGITUDE)
    latitude = models.FloatField(_("latitude"), validators=LATITUDE)
    began = models.DateTimeField(_("began"))
    ended = models.DateTimeField(_("last seen"))
    confidence = models.CharField(_("how sure"), max_length=200, blank=True)
    facts = models.JSONField(_("facts"), default=dict, help_text=_("What the evidence shows"))
    innocent = models.JSONField(_("innocent explanations"), default=list)
    next_check = models.CharField(_("what to check next"), max_length=300, blank=True)
    reason = models.CharField(_("reason for dismissal"), max_length=300, blank=True)
    created = models.DateTimeField(_("created"), auto_now_add=True)
    evidence = models.ForeignKey(
        EvidenceEntry, models.PROTECT, null=True, blank=True, related_name="+"
    )

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "region_id", "enterprise": "enterprise__uscc"}

    class Meta:
        ordering = ["-ended", "-id"]
        indexes = [
            models.Index(fields=["state", "-ended"]),
            models.Index(fields=["point", "kind", "-ended"]),
        ]
        verbose_name = _("finding")
        verbose_name_plural = _("findings")

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("findings:finding", args=[self.pk])
