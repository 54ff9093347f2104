"""Regions, enterprises, permits, outlets, points: "one enterprise, one file"."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.access import RestrictedQuerySet
from jingwei.bureau.language import english

LONGITUDE = [MinValueValidator(-180), MaxValueValidator(180)]
LATITUDE = [MinValueValidator(-90), MaxValueValidator(90)]


class Medium(models.TextChoices):
    AIR = "air", _("Air")
    WATER = "water", _("Water")


class Region(models.Model):
    """An administrative division; key: its code of GB/T 2260. Geometry: GeoJSON in WGS-84."""

    code = models.CharField(_("code"), max_length=12, primary_key=True)
    name = models.CharField(_("name"), max_length=60)
    name_en = models.CharField(_("name in English"), max_length=60, blank=True)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="children"
    )
    longitude = models.FloatField(_("longitude"), null=True, blank=True, validators=LONGITUDE)
    latitude = models.FloatField(_("latitude"), null=True, blank=True, validators=LATITUDE)
    geometry = models.JSONField(_("boundary"), null=True, blank=True)
    source = models.CharField(_("source"), max_length=200, blank=True)

    class Meta:
        ordering = ["code"]
        verbose_name = _("region")
        verbose_name_plural = _("regions")

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """The name in the language of the reader."""
        return self.name_en if english() and self.name_en else self.name


class Enterprise(models.Model):
    """Who discharges (排污单位); key: unified social credit code (GB 32100-2015)."""

    class Industry(models.TextChoices):
        THERMAL_POWER = "thermal_power", _("Thermal power")
        INCINERATION = "incineration", _("Waste incineration")
        CEMENT = "cement", _("Cement")
        SEWAGE = "sewage", _("Sewage works")
        CHEMICALS = "chemicals", _("Chemicals")
        STEEL = "steel", _("Iron and steel")
        OTHER = "other", _("Other")

    uscc = models.CharField(
        _("unified social credit code"),
        max_length=18,
        unique=True,
        validators=[RegexValidator(r"^[0-9A-HJ-NPQRTUWXY]{18}$", _("18 digits and letters"))],
    )
    name = models.CharField(_("name"), max_length=120)
    industry = models.CharField(_("industry"), max_length=24, choices=Industry)
    region = models.ForeignKey(Region, models.PROTECT, related_name="enterprises")
    address = models.CharField(_("address"), max_length=200, blank=True)
    longitude = models.FloatField(_("longitude"), validators=LONGITUDE)
    latitude = models.FloatField(_("latitude"), validators=LATITUDE)
    contact = models.CharField(_("contact"), max_length=60, blank=True)
    phone = models.CharField(_("telephone"), max_length=32, blank=True)
    fictional = models.BooleanField(_("fictional"), default=False)

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "region_id", "enterprise": "uscc"}

    class Meta:
        ordering = ["name"]
        verbose_name = _("enterprise")
        verbose_name_plural = _("enterprises")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("registry:enterprise", args=[self.uscc])


class Permit(models.Model):
    """A discharge permit (排污许可证)."""

    class Category(models.TextChoices):
        KEY = "key", _("Key management")
        SIMPLIFIED = "simplified", _("Simplified management")
        REGISTERED = "registered", _("Registered")

    enterprise = models.ForeignKey(Enterprise, models.CASCADE, related_name="permits")
    number = models.CharField(_("permit number"), max_length=24, unique=True)
    category = models.CharField(_("category"), max_length=16, choices=Category)
    valid_from = models.DateField(_("valid from"))
    valid_to = models.DateField(_("valid to"))

    class Meta:
        ordering = ["number"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(valid_to__gte=models.F("valid_from")), name="permit_period"
            )
        ]
        verbose_name = _("permit")
        verbose_name_plural = _("permits")

    def __str__(self) -> str:
        return self.number


class Outlet(models.Model):
    """A discharge outlet (排放口): DA001 for air, DW001 for water."""

    enterprise = models.ForeignKey(Enterprise, models.CASCADE, related_name="outlets")
    code = models.CharField(_("code"), max_length=8)
    name = models.CharField(_("name"), max_length=80)
    medium = models.CharField(_("medium"), max_length=8, choices=Medium)
    longitude = models.FloatField(_("longitude"), validators=LONGITUDE)
    latitude = models.FloatField(_("latitude"), validators=LATITUDE)
    height = models.FloatField(_("height (m)"), null=True, blank=True)
    diameter = models.FloatField(_("inner diameter (m)"), null=True, blank=True)

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "enterprise__region_id", "enterprise": "enterprise__uscc"}

    class Meta:
        ordering = ["enterprise", "code"]
        constraints = [
            models.UniqueConstraint(fields=["enterprise", "code"], name="outlet_code_once")
        ]
        verbose_name = _("outlet")
        verbose_name_plural = _("outlets")

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class PermitLimit(models.Model):
    """One limit of a permit: outlet x factor x period, in force from a day to a day.

    `value` is in `unit`; `lower` turns the limit into a floor (furnace temperature).
    Where `reference_o2` (%) is given, the measured value is converted to it before it is compared.
    """

    class Period(models.TextChoices):
        HOUR = "hour", _("Hourly mean")
        DAY = "day", _("Daily mean")

    class Verified(models.TextChoices):
        VERIFIED = "verified", _("Read in the standard")
        SECONDARY = "secondary", _("From a secondary source")
        MEMORY = "memory", _("Not checked against a source")

    permit = models.ForeignKey(Permit, models.CASCADE, related_name="limits")
    outlet = models.ForeignKey(Outlet, models.CASCADE, related_name="limits")
    factor = models.CharField(_("factor"), max_length=12)
    period = models.CharField(_("period"), max_length=8, choices=Period)
    value = models.DecimalField(_("limit"), max_digits=14, decimal_places=6)
    unit = models.CharField(_("unit"), max_length=16)
    reference_o2 = models.FloatField(_("reference oxygen (%)"), null=True, blank=True)
    lower = models.BooleanField(_("lower bound"), default=False)
    source = models.CharField(_("source"), max_length=200)
    verified = models.CharField(_("how sure"), max_length=12, choices=Verified)
    valid_from = models.DateField(_("in force from"))
    valid_to = models.DateField(_("in force to"), null=True, blank=True)

    class Meta:
        ordering = ["outlet", "factor", "period", "valid_from"]
        constraints = [
            models.UniqueConstraint(
                fields=["outlet", "factor", "period", "lower", "valid_from"],
                name="limit_version_once",
            ),
            models.CheckConstraint(condition=models.Q(value__gte=0), name="limit_not_negative"),
        ]
        verbose_name = _("permit limit")
        verbose_name_plural = _("permit limits")

    def __str__(self) -> str:
        return f"{self.outlet.code} {self.factor} {self.value:g} {self.unit}"


class Point(models.Model):
    """What one logger reports for one outlet or station (监测点); key: MN + ST."""

    class Kind(models.TextChoices):
        SOURCE = "source", _("Pollution source")
        AIR_STATION = "air_station", _("Ambient air station")

    mn = models.CharField(_("device number (MN)"), max_length=27)
    st = models.CharField(_("system type (ST)"), max_length=5)
    name = models.CharField(_("name"), max_length=80)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    outlet = models.ForeignKey(Outlet, models.CASCADE, null=True, blank=True, related_name="points")
    region = models.ForeignKey(Region, models.PROTECT, related_name="points")
    longitude = models.FloatField(_("longitude"), validators=LONGITUDE)
    latitude = models.FloatField(_("latitude"), validators=LATITUDE)
    station_code = models.CharField(_("station code"), max_length=12, blank=True)
    factors = models.JSONField(_("factors"), default=list, help_text=_("HJ 524/525 codes"))
    password = models.CharField(_("device password"), max_length=9)
    version = models.CharField(_("protocol version"), max_length=4, default="2017")
    enabled = models.BooleanField(_("enabled"), default=True)
    replay = models.JSONField(
        _("replayed series"),
        null=True,
        blank=True,
        help_text=_("Demo only: which measured series stands in for the instrument"),
    )

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "region_id", "enterprise": "outlet__enterprise__uscc"}

    class Meta:
        ordering = ["mn", "st"]
        constraints = [models.UniqueConstraint(fields=["mn", "st"], name="point_key")]
        verbose_name = _("point")
        verbose_name_plural = _("points")

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> str:
        return f"{self.mn}-{self.st}"

    @property
    def enterprise(self) -> Enterprise | None:
        return self.outlet.enterprise if self.outlet else None

    def get_absolute_url(self) -> str:
        return reverse("monitoring:point", args=[self.mn, self.st])
