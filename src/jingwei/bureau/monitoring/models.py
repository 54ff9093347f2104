"""What judgement over the lake leaves behind: exceedances, transmission rates, cursors."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.access import RestrictedQuerySet
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.monitoring.device_models import DeviceCommand as DeviceCommand
from jingwei.bureau.registry.models import Enterprise, PermitLimit, Point


class Exceedance(models.Model):
    """A valid value over a limit for the limit's period (超标).

    A row stands, or it was withdrawn because a later telegram corrected the observation; then it
    stays readable and, where the corrected value exceeds too, names the new row in
    `superseded_by`. `steps` holds the way from the raw value to the verdict, `telegrams` the
    journal numbers behind it.
    """

    class Withdrawn(models.TextChoices):
        """Why a row stands no more: the corrected observation …"""

        CORRECTED = "corrected", _("corrected: another value exceeds")
        WITHIN = "within", _("corrected: within the limit")
        UNIT = "unit", _("corrected: unit does not fit the limit's")
        VALUE_MISSING = "value_missing", _("corrected: no value")
        MARK = "mark", _("corrected: the value is marked as not normal")
        VALUE_NEGATIVE = "value_negative", _("corrected: negative value")
        OXYGEN_MISSING = "oxygen_missing", _("corrected: no oxygen value")
        OXYGEN_MARK = "oxygen_mark", _("corrected: the oxygen value is marked as not normal")
        OXYGEN_NEGATIVE = "oxygen_negative", _("corrected: negative oxygen value")
        OXYGEN_HIGH = "oxygen_high", _("corrected: oxygen not below 21 %")

    point = models.ForeignKey(Point, models.PROTECT, related_name="exceedances")
    factor = models.CharField(_("factor"), max_length=12)
    period = models.CharField(_("period"), max_length=8, choices=PermitLimit.Period)
    time = models.DateTimeField(_("period start"))
    value = models.FloatField(_("judged value"))
    unit = models.CharField(_("unit"), max_length=16)
    limit = models.ForeignKey(PermitLimit, models.PROTECT, related_name="exceedances")
    limit_value = models.FloatField(_("limit"))
    multiple = models.FloatField(
        _("times over the limit"),
        null=True,
        help_text=_("(value - limit) / limit; none over a limit of zero"),
    )
    steps = models.JSONField(_("steps"), default=list)
    telegrams = models.JSONField(_("telegrams"), default=list)
    finding = models.ForeignKey(
        Finding, models.PROTECT, null=True, blank=True, related_name="exceedances"
    )
    judged = models.DateTimeField(_("judged"), auto_now_add=True)
    superseded_by = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="supersedes"
    )
    withdrawn = models.CharField(
        _("withdrawn because"), max_length=16, blank=True, choices=Withdrawn
    )
    evidence = models.ForeignKey(
        EvidenceEntry, models.PROTECT, null=True, blank=True, related_name="+"
    )

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "point__region_id", "enterprise": "point__outlet__enterprise__uscc"}

    class Meta:
        ordering = ["-time", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["point", "factor", "period", "time", "limit"],
                condition=models.Q(withdrawn=""),
                name="exceedance_stands_once",
            )
        ]
        indexes = [
            models.Index(fields=["point", "factor", "-time"]),
            models.Index(fields=["-time", "-id"]),
        ]
        verbose_name = _("exceedance")
        verbose_name_plural = _("exceedances")

    def __str__(self) -> str:
        return f"{self.point} {self.factor} {self.value:g}"

    @property
    def reported(self) -> dict[str, float | None]:
        """What the instrument said: `value`, and `o2` where the value was converted by it."""
        numbers = {step["key"]: step["numbers"] for step in self.steps}
        return {
            "value": numbers.get("raw", {}).get("value"),
            "o2": numbers.get("converted", {}).get("o2"),
        }


class TransmissionDay(models.Model):
    """Hourly data of one point on one local day, counted in values (hours times due factors).

    `expected`: the hours of the day that are due (from `since`: the start of the day, but on the
    point's first day its first hour) times the factors that the point is registered to send.
    """

    point = models.ForeignKey(Point, models.CASCADE, related_name="transmission_days")
    day = models.DateField(_("day"))
    since = models.DateTimeField(_("expected since"))
    expected = models.PositiveIntegerField(_("expected"))
    received = models.PositiveIntegerField(_("received"))
    valid = models.PositiveIntegerField(_("valid"))

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "point__region_id", "enterprise": "point__outlet__enterprise__uscc"}

    class Meta:
        ordering = ["-day", "point"]
        constraints = [models.UniqueConstraint(fields=["point", "day"], name="transmission_once")]
        verbose_name = _("transmission day")
        verbose_name_plural = _("transmission days")

    def __str__(self) -> str:
        return f"{self.point} {self.day}"

    @property
    def rate(self) -> float:
        """Transmitted share times valid share (传输有效率), 0…1."""
        if not self.expected or not self.received:
            return 0.0
        return min(1.0, self.received / self.expected) * (self.valid / self.received)


class EmissionDay(models.Model):
    """The mass of one factor that one point's outlet emitted on one local day, from hourly data.

    `kg` holds what stands in for hours that are not valid too; `substituted` is that part.
    `rules` counts the substituted hours by rule and the ones that nothing stands in for. `peak` is
    the highest measured rate of an hour (kg/h), at `peak_at`; `mean` the mean measured
    concentration of the valid hours.
    """

    point = models.ForeignKey(Point, models.CASCADE, related_name="emission_days")
    factor = models.CharField(_("factor"), max_length=12)
    day = models.DateField(_("day"))
    kg = models.FloatField(_("mass (kg)"))
    substituted = models.FloatField(_("of it substituted (kg)"), default=0)
    hours = models.PositiveSmallIntegerField(_("hours due"))
    valid = models.PositiveSmallIntegerField(_("valid hours"))
    stopped = models.PositiveSmallIntegerField(_("hours stopped"), default=0)
    without = models.PositiveSmallIntegerField(_("hours without a value"), default=0)
    rules = models.JSONField(default=dict)
    mean = models.FloatField(_("mean concentration"), null=True)
    peak = models.FloatField(_("highest rate (kg/h)"), null=True)
    peak_at = models.DateTimeField(null=True)

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "point__region_id", "enterprise": "point__outlet__enterprise__uscc"}

    class Meta:
        ordering = ["day", "point", "factor"]
        constraints = [
            models.UniqueConstraint(fields=["point", "factor", "day"], name="emission_day_once")
        ]
        indexes = [models.Index(fields=["day", "factor"])]
        verbose_name = _("daily emission")
        verbose_name_plural = _("daily emissions")

    def __str__(self) -> str:
        return f"{self.point} {self.factor} {self.day}"


class OrderProposal(models.Model):
    """A draft order that a live trigger proposes. A person issues an order, never the trigger."""

    class State(models.TextChoices):
        OPEN = "open", _("Proposed")
        TAKEN = "taken", _("Taken into a case")
        DECLINED = "declined", _("Declined")

    code = models.CharField(_("rule"), max_length=20)
    version = models.PositiveIntegerField(_("version"))
    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="proposals")
    point = models.ForeignKey(
        Point, models.PROTECT, null=True, blank=True, related_name="proposals"
    )
    triggered = models.DateTimeField(_("triggered"))
    due = models.DateTimeField(_("to be answered by"))
    receiver = models.CharField(_("receiver"), max_length=12)
    severity = models.PositiveSmallIntegerField(_("severity"))
    events = models.JSONField(_("events"), default=list)
    findings = models.ManyToManyField(Finding, blank=True, related_name="proposals")
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.OPEN)
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    decided = models.DateTimeField(_("decided"), null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    evidence = models.ForeignKey(
        EvidenceEntry, models.PROTECT, null=True, blank=True, related_name="+"
    )

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "enterprise__region_id", "enterprise": "enterprise__uscc"}

    class Meta:
        ordering = ["-triggered", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["code", "version", "point", "triggered"], name="proposal_once"
            ),
            models.UniqueConstraint(
                fields=["code", "version", "enterprise", "triggered"],
                condition=models.Q(point=None),
                name="proposal_of_enterprise_once",
            ),
        ]
        verbose_name = _("proposed order")
        verbose_name_plural = _("proposed orders")

    def __str__(self) -> str:
        return f"{self.code} {self.enterprise} {self.triggered:%Y-%m-%d %H:%M}"


class Cursor(models.Model):
    """How far a consumer has read the lake's change feed; moved in the consumer's transaction.

    `counts` adds up what the consumer met on the way (judged, exceeded, unknown points …).
    """

    name = models.CharField(max_length=32, primary_key=True)
    batch = models.BigIntegerField(default=0)
    counts = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.name} {self.batch}"
