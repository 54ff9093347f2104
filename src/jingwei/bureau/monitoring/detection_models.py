"""What the detectors leave behind: how an outlet was learnt, what they watch, what they raised."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.access import RestrictedQuerySet
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.registry.models import Outlet


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
