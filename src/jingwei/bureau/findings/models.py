"""The one stream of findings: what a machine or a person noticed. A finding accuses nobody."""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
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


def _salt() -> str:
    return secrets.token_hex(16)


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
        MERGED = "merged", _("Merged")

    class Source(models.TextChoices):
        """How it came in."""

        SYSTEM = "system", _("This system")
        FORM = "form", _("Filed by hand")
        FILE = "file", _("Imported file")
        API = "api", _("Machine interface")
        PUBLIC = "public", _("Public page")

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
    # A person said how severe it is: no later notice changes it.
    graded = models.BooleanField(_("severity decided by a person"), default=False)
    source = models.CharField(_("source"), max_length=8, choices=Source, default=Source.SYSTEM)
    title = models.CharField(_("title"), max_length=200)
    region = models.ForeignKey(Region, models.PROTECT, related_name="findings")
    enterprise = models.ForeignKey(
        Enterprise, models.PROTECT, null=True, blank=True, related_name="findings"
    )
    point = models.ForeignKey(Point, models.PROTECT, null=True, blank=True, related_name="findings")
    longitude = models.FloatField(_("longitude"), validators=LONGITUDE)
    latitude = models.FloatField(_("latitude"), validators=LATITUDE)
    address = models.CharField(_("address"), max_length=200, blank=True)
    began = models.DateTimeField(_("began"))
    ended = models.DateTimeField(_("last seen"))
    confidence = models.CharField(_("how sure"), max_length=200, blank=True)
    facts = models.JSONField(_("facts"), default=dict, help_text=_("What the evidence shows"))
    innocent = models.JSONField(_("innocent explanations"), default=list)
    next_check = models.CharField(_("what to check next"), max_length=300, blank=True)
    reason = models.CharField(_("reason for dismissal"), max_length=300, blank=True)
    created = models.DateTimeField(_("created"), auto_now_add=True)
    # The clock (`clock`): set when it comes in, kept by every edit, running while it is new.
    due = models.DateTimeField(_("to be decided by"), null=True, blank=True)
    derivation = models.JSONField(_("how that was reckoned"), default=list, blank=True)
    escalated = models.PositiveSmallIntegerField(_("escalated to level"), default=0)
    escalate_at = models.DateTimeField(_("next escalation"), null=True, blank=True)
    # When it was told that it came in, or rose; empty: still to be told.
    announced = models.DateTimeField(_("told"), null=True, blank=True)
    # Goes into the digest of what people wrote, so that nobody can guess the text from the log.
    salt = models.CharField(max_length=32, default=_salt, editable=False)
    # What it was merged into (never itself merged), and what it was split from.
    merged_into = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="merged"
    )
    split_from = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="split"
    )
    imported = models.ForeignKey(
        "ImportFile", models.PROTECT, null=True, blank=True, related_name="findings"
    )
    filed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    evidence = models.ForeignKey(
        EvidenceEntry, models.PROTECT, null=True, blank=True, related_name="+"
    )

    objects = FindingQuerySet.as_manager()
    place = {"area": "region_id", "enterprise": "enterprise__uscc", "matter": "kind"}

    class Meta:
        ordering = ["-ended", "-id"]
        indexes = [
            models.Index(fields=["state", "-ended"]),
            models.Index(fields=["point", "kind", "-ended"]),
            models.Index(fields=["region", "-ended"]),
            models.Index(fields=["enterprise", "-ended"]),
            models.Index(fields=["latitude", "longitude"], name="finding_place"),
            models.Index(
                fields=["escalate_at"],
                name="finding_escalation_due",
                condition=models.Q(state="new", escalate_at__isnull=False),
            ),
            models.Index(
                fields=["id"],
                name="finding_untold",
                condition=models.Q(state="new", announced__isnull=True),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state="merged", merged_into__isnull=False)
                | (~models.Q(state="merged") & models.Q(merged_into__isnull=True)),
                name="finding_merged_into",
            )
        ]
        verbose_name = _("finding")
        verbose_name_plural = _("findings")

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("findings:finding", args=[self.pk])

    @property
    def overdue(self) -> bool:
        """Whether nobody has decided on it in time."""
        new = self.state == Finding.State.NEW
        return new and self.due is not None and self.due <= timezone.now()


class Decision(models.Model):
    """What a person decided about a finding, and why. A row is written once and never changed.

    `data`: what else it says: the severity before and after, the finding merged into or kept
    apart from, what was split off.
    """

    class Action(models.TextChoices):
        DISMISS = "dismiss", _("Dismissed")
        REOPEN = "reopen", _("Reopened")
        GRADE = "grade", _("Severity decided")
        MERGE = "merge", _("Merged")
        UNMERGE = "unmerge", _("Merging undone")
        APART = "apart", _("Kept apart")
        SPLIT = "split", pgettext_lazy("finding", "Split")

    finding = models.ForeignKey(Finding, models.PROTECT, related_name="decisions")
    action = models.CharField(_("decision"), max_length=8, choices=Action)
    reason = models.CharField(_("reason"), max_length=300)
    data = models.JSONField(_("particulars"), default=dict)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(_("time"))
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, related_name="+")

    class Meta:
        ordering = ["id"]
        verbose_name = _("decision")
        verbose_name_plural = _("decisions")

    def __str__(self) -> str:
        return f"{self.finding_id} {self.action}"


class FileQuerySet(RestrictedQuerySet):
    def restrict(self, user: Any, action: str) -> FileQuerySet:
        """What the bureau collected is the bureau's: an enterprise sees none of it."""
        rows = super().restrict(user, action)
        outside = getattr(user, "role", "") == Role.ENTERPRISE and not user.is_superuser
        return rows.none() if outside else rows


class FindingFile(models.Model):
    """A photo or document of a finding; its digests were taken of the bytes as they came in and
    stand in the evidence log."""

    finding = models.ForeignKey(Finding, models.PROTECT, related_name="files")
    name = models.CharField(_("original name"), max_length=200)
    content_type = models.CharField(_("content type"), max_length=40)
    size = models.PositiveBigIntegerField(_("size (bytes)"))
    sha256 = models.CharField("SHA-256", max_length=64)
    sm3 = models.CharField("SM3", max_length=64)
    file = models.FileField(_("file"), max_length=120)
    added = models.DateTimeField(_("added"), auto_now_add=True)
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, related_name="+")

    objects = FileQuerySet.as_manager()
    place = {"area": "finding__region_id", "enterprise": "finding__enterprise__uscc"}

    class Meta:
        ordering = ["id"]
        verbose_name = _("file of a finding")
        verbose_name_plural = _("files of findings")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("findings:file", args=[self.pk])

    @property
    def is_image(self) -> bool:
        return self.content_type.startswith("image/")


class DispatchRule(models.Model):
    """Area × matter → department (分派规则).

    An empty area is the whole city, an empty matter every kind; the rule with both empty is the
    default. Of the rules in force the one with the longest area wins, then one with a matter. A
    rule is never changed: a new one takes its place, and it is retired.
    """

    class State(models.TextChoices):
        TEST = "test", _("Test")
        LIVE = "live", pgettext_lazy("rule", "In force")
        RETIRED = "retired", _("Retired")

    area = models.CharField(_("area code"), max_length=12, blank=True)
    matter = models.CharField(_("matter"), max_length=16, choices=Kind, blank=True)
    department = models.ForeignKey(
        "accounts.Department",
        models.PROTECT,
        related_name="dispatch_rules",
        verbose_name=_("department"),
    )
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.TEST)
    reason = models.CharField(_("reason"), max_length=300)
    created = models.DateTimeField(_("created"), auto_now_add=True)
    changed = models.DateTimeField(_("last change"), auto_now=True)

    class Meta:
        ordering = ["area", "matter", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["area", "matter"],
                condition=models.Q(state="live"),
                name="dispatch_rule_in_force_once",
            )
        ]
        verbose_name = _("dispatch rule")
        verbose_name_plural = _("dispatch rules")

    def __str__(self) -> str:
        return f"{self.area or '*'} {self.matter or '*'} → {self.department}"


class ImportFile(models.Model):
    """A file of findings as it was handed in: kept with its digests, whether imported or not."""

    class State(models.TextChoices):
        PREVIEW = "preview", _("To be confirmed")
        FAULTY = "faulty", _("With errors")
        DONE = "done", _("Imported")

    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    name = models.CharField(_("original name"), max_length=200)
    size = models.PositiveBigIntegerField(_("size (bytes)"))
    sha256 = models.CharField("SHA-256", max_length=64, db_index=True)
    sm3 = models.CharField("SM3", max_length=64)
    file = models.FileField(_("file"), max_length=120)
    state = models.CharField(_("state"), max_length=8, choices=State)
    rows = models.PositiveIntegerField(_("rows"), default=0)
    created = models.PositiveIntegerField(_("new findings"), default=0)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(_("time"), auto_now_add=True)
    evidence = models.ForeignKey(
        EvidenceEntry, models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["-id"]
        verbose_name = _("imported file")
        verbose_name_plural = _("imported files")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("findings:import", args=[self.pk])


class Complaint(models.Model):
    """What the public page took in: its finding, and the receipt with which the reporter asks how
    it stands. Of the receipt only its SHA-256 is kept: it has 80 random bits."""

    finding = models.OneToOneField(Finding, models.PROTECT, related_name="complaint")
    receipt = models.CharField(max_length=64, unique=True)
    at = models.DateTimeField(_("time"), auto_now_add=True)

    class Meta:
        verbose_name = _("complaint")
        verbose_name_plural = _("complaints")

    def __str__(self) -> str:
        return f"{self.finding_id}"


class Identity(models.Model):
    """Who reported: sealed under a key of its own, which lies outside the database.

    When that key is erased nobody can read the row any more, not even from an old copy of the
    database; the row and its entry in the evidence log stay.
    """

    complaint = models.OneToOneField(Complaint, models.PROTECT, related_name="identity")
    sealed = models.BinaryField()
    erased = models.DateTimeField(_("erased"), null=True, blank=True)
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("protected identity")
        verbose_name_plural = _("protected identities")

    def __str__(self) -> str:
        return f"identity {self.pk}"


class Tally(models.Model):
    """How often something was done in a window of time, over all processes and restarts."""

    key = models.CharField(max_length=80, primary_key=True)
    count = models.PositiveIntegerField(default=0)
    until = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.key} {self.count}"
