"""What is known of how a point sends: on what basis its concentrations are, how it names hours."""

from __future__ import annotations

from datetime import date

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.access import RestrictedQuerySet
from jingwei.bureau.registry.models import Point


class Basis(models.Model):
    """The state of the gas on which a point sends a concentration, where it is not the dry gas at
    standard state that HJ 212-2017 App. D has a device send. Without a row: as App. D; the newest row
    whose day has come counts.

    `barometer`: the air pressure of the place (kPa), for devices that do not send it (a01006).
    """

    class State(models.TextChoices):
        STANDARD = "standard", _("standard state, dry (as HJ 212-2017 App. D)")
        WET = "wet", _("standard state, wet")
        STACK = "stack", _("state of the stack, dry")
        STACK_WET = "stack_wet", _("state of the stack, wet")

    point = models.ForeignKey(Point, models.CASCADE, related_name="bases")
    factor = models.CharField(_("factor"), max_length=12)
    state = models.CharField(_("state of the gas"), max_length=10, choices=State)
    since = models.DateField(_("since"), default=date(2017, 5, 1))
    barometer = models.FloatField(
        _("air pressure of the place (kPa)"), null=True, blank=True,
        validators=[MinValueValidator(50), MaxValueValidator(110)],
    )  # fmt: skip

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "point__region_id", "enterprise": "point__outlet__enterprise__uscc"}

    class Meta:
        ordering = ["point", "factor", "since"]
        constraints = [
            models.UniqueConstraint(fields=["point", "factor", "since"], name="basis_once")
        ]
        verbose_name = _("basis of a concentration")
        verbose_name_plural = _("bases of concentrations")

    def __str__(self) -> str:
        return f"{self.point} {self.factor} {self.get_state_display()}"


class HourNaming(models.Model):
    """Whether a point names its hours by their start, as HJ 212 has it, or by their end, as weighed
    from many telegrams (`naming.py`).

    `name`: empty as long as it cannot be told. `hours`: of the hours weighed last, those that spoke
    for one of the two; `agree`: those of them that spoke for the start; `ahead`: by how many
    seconds the device's real-time data are ahead of their reception (negative: behind).
    """

    class Name(models.TextChoices):
        START = "start", pgettext_lazy("name of an hour", "start")
        END = "end", pgettext_lazy("name of an hour", "end")

    point = models.OneToOneField(Point, models.CASCADE, related_name="naming")
    name = models.CharField(_("hours are named by"), max_length=5, choices=Name, blank=True)
    hours = models.PositiveSmallIntegerField(_("hours weighed"), default=0)
    agree = models.PositiveSmallIntegerField(_("of them named by the start"), default=0)
    ahead = models.IntegerField(_("clock ahead (s)"), null=True)
    since = models.DateTimeField(_("since"), null=True)
    weighed = models.DateTimeField(_("weighed"))

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "point__region_id", "enterprise": "point__outlet__enterprise__uscc"}

    class Meta:
        ordering = ["point"]
        verbose_name = _("naming of hours")
        verbose_name_plural = _("namings of hours")

    def __str__(self) -> str:
        return f"{self.point} {self.name}"

    @property
    def wrong_by(self) -> int:
        """By how many minutes the clock is ahead, 0 where it is not more than clocks may differ."""
        return round(self.ahead / 60) if self.ahead is not None and self.ahead > 600 else 0
