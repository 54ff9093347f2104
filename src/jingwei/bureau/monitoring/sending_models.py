"""What is known of how a point sends: on what basis its concentrations are."""

from __future__ import annotations

from datetime import date

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

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
