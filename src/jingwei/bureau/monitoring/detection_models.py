"""What the detectors leave behind: how an outlet was learnt, what they watch, what they raised; and
the patterns of an industry: kinds of week, and when exceedances come."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.access import RestrictedQuerySet
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.registry.models import Enterprise, Outlet


class DetectionFit(models.Model):
    """What was learnt of an outlet's honest habits, from which rows, by which program.

    The same rows, settings and program give the same fit bit for bit: `sha256` is over the rows
    from `since` to `until` (`Monitor.sha256`), `program` over the detectors' source, `settings` is what
    else went in (columns with factor, point and role; targets; limits; shares of the budget; spans
    left out). `learnt` is what the laboratory says of it (`suite.summary`): quality out of time,
    gate, realised false rates, reasons.
    """

    outlet = models.ForeignKey(Outlet, models.CASCADE, related_name="detection_fits")
    since = models.DateTimeField(_("learnt from"))
    until = models.DateTimeField(_("learnt until"))
    made = models.DateTimeField(_("made"))
    rows = models.PositiveIntegerField(_("rows"))
    sha256 = models.CharField("SHA-256", max_length=64)
    program = models.CharField(_("program"), max_length=64)
    settings = models.JSONField(default=dict)
    learnt = models.JSONField(default=dict)
    evidence = models.ForeignKey(
        EvidenceEntry, models.PROTECT, null=True, blank=True, related_name="+"
    )

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "outlet__enterprise__region_id", "enterprise": "outlet__enterprise__uscc"}

    class Meta:
        ordering = ["-made", "-id"]
        indexes = [models.Index(fields=["outlet", "-made"])]
        verbose_name = _("fit of the detectors")
        verbose_name_plural = _("fits of the detectors")

    def __str__(self) -> str:
        return f"{self.outlet_id} {self.until}"


class DetectionWatch(models.Model):
    """Where the detectors stand with one outlet: its fit, how far it is judged, what stays unjudged.

    `judged` is the end of the last row judged. `hours` counts all hours that were ever judged:
    what the budget of false cases is spent over. `reasons` say why something is not judged
    (`Reason.to_json`); `watched` which of the detectors that need data of their own have them, and
    why not; `treatment` the hours of treatment off while producing, by month (`detecting_plain`).
    `due`: when the outlet is looked at next.
    """

    outlet = models.OneToOneField(Outlet, models.CASCADE, related_name="detection_watch")
    fit = models.ForeignKey(DetectionFit, models.SET_NULL, null=True, blank=True, related_name="+")
    judged = models.DateTimeField(_("judged until"), null=True, blank=True)
    looked = models.DateTimeField(_("looked at"), null=True, blank=True)
    due = models.DateTimeField(_("due"), db_index=True)
    hours = models.PositiveIntegerField(_("hours judged"), default=0)
    coverage = models.JSONField(default=dict)
    reasons = models.JSONField(default=list)
    watched = models.JSONField(default=list)
    treatment = models.JSONField(default=list)
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)
    error = models.CharField(max_length=300, blank=True)
    evidence = models.ForeignKey(
        EvidenceEntry, models.PROTECT, null=True, blank=True, related_name="+"
    )

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "outlet__enterprise__region_id", "enterprise": "outlet__enterprise__uscc"}

    class Meta:
        ordering = ["outlet"]
        verbose_name = _("watch of the detectors")
        verbose_name_plural = _("watches of the detectors")

    def __str__(self) -> str:
        return f"{self.outlet_id} {self.judged}"


class Detected(models.Model):
    """What the detectors raised, one an outlet in seven days; the evidence sheet of its finding.

    `sheet` is the laboratory's finding as JSON (`Finding.to_json`): sentence, numbers, series,
    formula, parameters, SHA-256 of the input rows. `rate`: how often honest history of this outlet
    shows the like, in cases a month (0 for exact contradictions). `found`: the end of the first row
    with which it could be known.
    """

    class Grade(models.TextChoices):
        EVIDENCE = "evidence", pgettext_lazy("grade", "Evidence")
        INSPECTION = "inspection", pgettext_lazy("grade", "To be checked")
        SCREENING = "screening", pgettext_lazy("grade", "Screening")

    class Tier(models.TextChoices):
        EXACT = "exact", pgettext_lazy("tier", "Exact contradiction")
        STATISTICAL = "statistical", pgettext_lazy("tier", "Statistical")
        RULE = "rule", pgettext_lazy("tier", "Regulator's rule")

    finding = models.OneToOneField(Finding, models.PROTECT, related_name="detected")
    outlet = models.ForeignKey(Outlet, models.PROTECT, related_name="detected")
    fit = models.ForeignKey(DetectionFit, models.SET_NULL, null=True, related_name="detected")
    detector = models.CharField(_("detector"), max_length=32)
    factor = models.CharField(_("factor"), max_length=16)
    tier = models.CharField(_("tier"), max_length=12, choices=Tier)
    grade = models.CharField(_("grade"), max_length=12, choices=Grade)
    began = models.DateTimeField(_("began"))
    ended = models.DateTimeField(_("ended"))
    found = models.DateTimeField(_("could be known"))
    p_value = models.FloatField(_("p value"))
    rate = models.FloatField(_("rate in honest history (cases a month)"), default=0)
    budget = models.FloatField(_("budget (false cases an outlet and month)"))
    sheet = models.JSONField(default=dict)
    noticed = models.DateTimeField(_("raised"))
    evidence = models.ForeignKey(
        EvidenceEntry, models.PROTECT, null=True, blank=True, related_name="+"
    )

    objects = RestrictedQuerySet.as_manager()
    place = {
        "area": "finding__region_id",
        "enterprise": "outlet__enterprise__uscc",
        "matter": "finding__kind",
    }

    class Meta:
        ordering = ["-found", "-id"]
        indexes = [
            models.Index(fields=["outlet", "-found"]),
            models.Index(fields=["-found", "-id"], name="detected_by_time"),
            models.Index(fields=["detector", "-found"]),
        ]
        verbose_name = _("result of the detectors")
        verbose_name_plural = _("results of the detectors")

    def __str__(self) -> str:
        return f"{self.outlet_id} {self.detector} {self.found}"


class PatternLook(models.Model):
    """When an outlet's patterns were looked at, in which hours, by which rows.

    Once a week. `sha256`: of the rows read (`Monitor.sha256`), `weather` of the city's series beside
    them. `events`: factor -> exceedances counted (None: no limit on the scale of what is sent);
    `reasons`: factor ("" for all) -> why there is no profile.
    """

    outlet = models.OneToOneField(Outlet, models.CASCADE, related_name="pattern_look")
    due = models.DateTimeField(_("due"), db_index=True)
    looked = models.DateTimeField(_("looked at"), null=True, blank=True)
    since = models.DateTimeField(_("from"), null=True, blank=True)
    until = models.DateTimeField(_("to"), null=True, blank=True)
    rows = models.PositiveIntegerField(_("rows"), default=0)
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)
    weather = models.CharField(_("SHA-256 of the weather"), max_length=64, blank=True)
    program = models.CharField(_("program"), max_length=64, blank=True)
    parameters = models.JSONField(default=dict)
    events = models.JSONField(default=dict)
    reasons = models.JSONField(default=dict)
    error = models.CharField(max_length=300, blank=True)

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "outlet__enterprise__region_id", "enterprise": "outlet__enterprise__uscc"}

    class Meta:
        ordering = ["outlet"]
        verbose_name = _("look at patterns")
        verbose_name_plural = _("looks at patterns")

    def __str__(self) -> str:
        return f"{self.outlet_id} {self.until}"


class WeekKindsQuerySet(models.QuerySet):
    def restrict(self, user: Any, action: str) -> WeekKindsQuerySet:
        """Those of the industries and factors of which the user sees an outlet."""
        seen = WeekProfile.objects.restrict(user, action).order_by()
        return self.filter(pk__in=seen.values("kinds"))


class WeekKinds(models.Model):
    """The kinds of week of an industry and factor, over all outlets of the city.

    `centers`: mean week of each kind (168 hours from Monday 0 o'clock, mean 1), the kind with most
    outlets first, `sizes` outlets each. `strength`: number of kinds tried -> prediction strength. `sha256`: over
    the profiles that went in, in the outlets' order.
    """

    industry = models.CharField(_("industry"), max_length=24, choices=Enterprise.Industry)
    factor = models.CharField(_("factor"), max_length=16)
    made = models.DateTimeField(_("made"))
    since = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("to"))
    outlets = models.PositiveIntegerField(_("outlets"))
    sizes = models.JSONField(default=list)
    centers = models.JSONField(default=list)
    strength = models.JSONField(default=dict)
    parameters = models.JSONField(default=dict)
    sha256 = models.CharField("SHA-256", max_length=64)
    program = models.CharField(_("program"), max_length=64)

    objects = WeekKindsQuerySet.as_manager()

    class Meta:
        ordering = ["industry", "factor"]
        constraints = [
            models.UniqueConstraint(fields=["industry", "factor"], name="week_kinds_once")
        ]
        verbose_name = _("kinds of week")
        verbose_name_plural = _("kinds of week")

    def __str__(self) -> str:
        return f"{self.industry} {self.factor}"


class WeekProfile(models.Model):
    """The week of an outlet's factor and where it stands in its industry (`profiles.Standing`).

    `week`: 168 hours from Monday 0 o'clock, mean 1. `kind`: number of its kind from 0. `peers`,
    `distance`, `p`, `q`, `hours` are None where its kind has too few outlets to compare with.
    """

    outlet = models.ForeignKey(Outlet, models.CASCADE, related_name="week_profiles")
    factor = models.CharField(_("factor"), max_length=16)
    week = models.JSONField(default=list)
    kinds = models.ForeignKey(
        WeekKinds, models.SET_NULL, null=True, blank=True, related_name="profiles"
    )
    kind = models.PositiveSmallIntegerField(_("kind"), null=True, blank=True)
    peers = models.PositiveIntegerField(_("outlets compared with"), null=True, blank=True)
    distance = models.FloatField(_("departure"), null=True, blank=True)
    p = models.FloatField("p", null=True, blank=True)
    q = models.FloatField("q", null=True, blank=True)
    hours = models.JSONField(default=list)

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "outlet__enterprise__region_id", "enterprise": "outlet__enterprise__uscc"}

    class Meta:
        ordering = ["outlet", "factor"]
        constraints = [
            models.UniqueConstraint(fields=["outlet", "factor"], name="week_profile_once")
        ]
        verbose_name = _("weekly profile")
        verbose_name_plural = _("weekly profiles")

    def __str__(self) -> str:
        return f"{self.outlet_id} {self.factor}"


class ExceedanceRule(models.Model):
    """When an outlet's factor exceeds (`associations.Rule`): conditions, counts, Fisher's p, adjusted q."""

    outlet = models.ForeignKey(Outlet, models.CASCADE, related_name="exceedance_rules")
    factor = models.CharField(_("factor"), max_length=16)
    items = models.JSONField(default=list)
    events = models.PositiveIntegerField(_("exceedances under the condition"))
    all_events = models.PositiveIntegerField(_("exceedances"))
    rows = models.FloatField(_("share of the time"))
    lift = models.FloatField(_("lift"))
    p = models.FloatField("p")
    q = models.FloatField("q")

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "outlet__enterprise__region_id", "enterprise": "outlet__enterprise__uscc"}

    class Meta:
        ordering = ["p", "-lift", "id"]
        verbose_name = _("rule of exceedances")
        verbose_name_plural = _("rules of exceedances")

    def __str__(self) -> str:
        return f"{self.outlet_id} {self.factor} {self.items}"
