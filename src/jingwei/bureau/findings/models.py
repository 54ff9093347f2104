"""The one stream of findings: what a machine or a person noticed. A finding accuses nobody."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.access import RestrictedQuerySet, Role
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


# What an enterprise may read before an order names it: what its own monitors say. The other
# kinds are the bureau's suspicion or somebody's report; telling would warn one or betray the other.
OPEN_TO_ENTERPRISE = (Kind.EXCEEDANCE, Kind.OFFLINE)


class FindingQuerySet(RestrictedQuerySet):
    def restrict(self, user: Any, action: str) -> FindingQuerySet:
        rows = super().restrict(user, action)
        if getattr(user, "role", "") == Role.ENTERPRISE and not user.is_superuser:
            return rows.filter(kind__in=OPEN_TO_ENTERPRISE)
        return rows


class Finding(models.Model):
    """One episode, however many hours it lasts: `episode` is unique in the database."""

    class State(models.TextChoices):
        NEW = "new", _("New")
        IN_CASE = "in_case", _("In a case")
        DISMISSED = "dismissed", _("Dismissed")

    class Severity(models.IntegerChoices):
        LOW = 1, pgettext_lazy("severity", "Low")
        MEDIUM = 2, pgettext_lazy("severity", "Medium")
        HIGH = 3, pgettext_lazy("severity", "High")

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
    point = models.ForeignKey(Point, models.PROTECT, null=True, blank=True, related_name="findings")
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

    objects = FindingQuerySet.as_manager()
    place = {"area": "region_id", "enterprise": "enterprise__uscc"}

    class Meta:
        ordering = ["-ended", "-id"]
        indexes = [
            models.Index(fields=["state", "-ended"]),
            models.Index(fields=["point", "kind", "-ended"]),
            models.Index(fields=["region", "-ended"]),
            models.Index(fields=["enterprise", "-ended"]),
        ]
        verbose_name = _("finding")
        verbose_name_plural = _("findings")

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("findings:finding", args=[self.pk])


class Decision(models.Model):
    """What a person decided about a finding, and why. A row is written once and never changed."""

    class Action(models.TextChoices):
        DISMISS = "dismiss", _("Dismissed")
        REOPEN = "reopen", _("Reopened")

    finding = models.ForeignKey(Finding, models.PROTECT, related_name="decisions")
    action = models.CharField(_("decision"), max_length=8, choices=Action)
    reason = models.CharField(_("reason"), max_length=300)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(_("time"))
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, related_name="+")

    class Meta:
        ordering = ["id"]
        verbose_name = _("decision")
        verbose_name_plural = _("decisions")

    def __str__(self) -> str:
        return f"{self.finding_id} {self.action}"
