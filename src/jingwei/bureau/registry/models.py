"""Regions, enterprises, permits, outlets, points: "one enterprise, one file"."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.access import RestrictedQuerySet
from jingwei.bureau.evidencelog.models import EvidenceEntry
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
        PAPER = "paper", _("Paper")
        HEATING = "heating", _("Heat supply (boilers)")
        CERAMICS = "ceramics", _("Ceramics and bricks")
        OTHER = "other", _("Other")

    uscc = models.CharField(
        _("unified social credit code"),
        max_length=18,
        unique=True,
        validators=[RegexValidator(r"^[0-9A-HJ-NPQRTUWXY]{18}$", _("18 digits and letters"))],
    )
    name = models.CharField(_("name"), max_length=120)
    # One a line, the oldest first: what was written under an old name is looked for by it.
    former_names = models.TextField(_("former names"), blank=True, editable=False)
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

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "enterprise__region_id", "enterprise": "enterprise__uscc"}

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

    def get_absolute_url(self) -> str:
        return reverse("registry:permit", args=[self.pk])


class PermitVersion(models.Model):
    """A permit as it was issued or changed; written once, withdrawn only while nothing rests on it.

    What a version permits are the limits and amounts that are in force on its first day. `ended`
    holds what it put an end to, `[table, row, last day before]`, so that it can be taken back.
    """

    class Act(models.TextChoices):
        ISSUED = "issued", _("First issued")
        CHANGED = "changed", _("Changed")
        EXTENDED = "extended", _("Extended")
        REISSUED = "reissued", _("Applied for anew")

    permit = models.ForeignKey(Permit, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(_("version"))
    act = models.CharField(_("what was done"), max_length=12, choices=Act)
    in_force = models.DateField(_("in force from"))
    category = models.CharField(_("category"), max_length=16, choices=Permit.Category)
    valid_from = models.DateField(_("valid from"))
    valid_to = models.DateField(_("valid to"))
    note = models.CharField(_("reason"), max_length=300, blank=True)
    ended = models.JSONField(default=list, editable=False)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    at = models.DateTimeField(_("entered"), auto_now_add=True)
    evidence = models.ForeignKey(
        EvidenceEntry, models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["permit", "number"]
        constraints = [
            models.UniqueConstraint(fields=["permit", "number"], name="permit_version_once")
        ]
        verbose_name = _("permit version")
        verbose_name_plural = _("permit versions")

    def __str__(self) -> str:
        return f"{self.permit} {self.number}"


class Outlet(models.Model):
    """A discharge outlet (排放口): DA001 for air, DW001 for water.

    `facility`: what discharges here, where the industry does not say it: start-up and shut-down
    windows are those of a boiler or a sintering machine, not of the whole works.
    """

    class Facility(models.TextChoices):
        POWER_UNIT = "power_unit", _("Power unit")
        BOILER = "boiler", _("Boiler")
        CEMENT_KILN = "cement_kiln", _("Cement kiln")
        SINTER = "sinter", _("Sintering machine")
        CERAMIC_KILN = "ceramic_kiln", _("Ceramics or brick kiln")
        OTHER = "other", _("Other facility")

    enterprise = models.ForeignKey(Enterprise, models.CASCADE, related_name="outlets")
    code = models.CharField(_("code"), max_length=8)
    name = models.CharField(_("name"), max_length=80)
    medium = models.CharField(_("medium"), max_length=8, choices=Medium)
    longitude = models.FloatField(_("longitude"), validators=LONGITUDE)
    latitude = models.FloatField(_("latitude"), validators=LATITUDE)
    height = models.FloatField(_("height (m)"), null=True, blank=True)
    diameter = models.FloatField(_("inner diameter (m)"), null=True, blank=True)
    facility = models.CharField(
        _("facility"),
        max_length=16,
        choices=Facility,
        blank=True,
        help_text=_(
            "Empty: as is usual in the industry. Decides on start-up and shut-down windows."
        ),
    )
    basin = models.CharField(
        _("basin"), max_length=40, blank=True, help_text=_("Of the water that receives it")
    )

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
    `assumed`: the national line that holds where the permit says nothing; it gives way to a row of the
    permit's own, and has ended before it began where it never holds any more.
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
    version = models.ForeignKey(
        PermitVersion, models.PROTECT, null=True, blank=True, related_name="limits", editable=False
    )
    assumed = models.BooleanField(
        _("national line, assumed"), default=False, db_default=False, editable=False
    )

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "permit__enterprise__region_id", "enterprise": "permit__enterprise__uscc"}

    class Meta:
        ordering = ["outlet", "factor", "period", "valid_from"]
        constraints = [
            models.UniqueConstraint(
                fields=["outlet", "factor", "period", "lower", "valid_from"],
                condition=models.Q(assumed=False),
                name="limit_version_once",
            ),
            models.CheckConstraint(condition=models.Q(value__gte=0), name="limit_not_negative"),
        ]
        verbose_name = _("permit limit")
        verbose_name_plural = _("permit limits")

    def __str__(self) -> str:
        return f"{self.outlet.code} {self.factor} {self.value:g} {self.unit}"

    @property
    def never(self) -> bool:
        """Whether it holds on no day (any more)."""
        return self.valid_to is not None and self.valid_to < self.valid_from


class PermitAmount(models.Model):
    """How much mass of a factor is permitted: an hour (the emission rate), a month or a year.

    Of one outlet, or of the whole enterprise where `outlet` is empty. `value` in `unit`: kg/h for
    the rate, t or kg for a month or a year.
    """

    class Period(models.TextChoices):
        RATE = "rate", _("Emission rate")
        MONTH = "month", _("Monthly amount")
        YEAR = "year", _("Yearly amount")

    permit = models.ForeignKey(Permit, models.CASCADE, related_name="amounts")
    outlet = models.ForeignKey(
        Outlet, models.CASCADE, null=True, blank=True, related_name="amounts"
    )
    factor = models.CharField(_("factor"), max_length=12)
    period = models.CharField(_("period"), max_length=8, choices=Period)
    value = models.DecimalField(_("permitted amount"), max_digits=16, decimal_places=6)
    unit = models.CharField(_("unit"), max_length=16)
    source = models.CharField(_("source"), max_length=200)
    verified = models.CharField(_("how sure"), max_length=12, choices=PermitLimit.Verified)
    valid_from = models.DateField(_("in force from"))
    valid_to = models.DateField(_("in force to"), null=True, blank=True)
    version = models.ForeignKey(
        PermitVersion, models.PROTECT, null=True, blank=True, related_name="amounts", editable=False
    )

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "permit__enterprise__region_id", "enterprise": "permit__enterprise__uscc"}

    class Meta:
        ordering = ["permit", "outlet", "factor", "period", "valid_from"]
        constraints = [
            models.UniqueConstraint(
                fields=["permit", "outlet", "factor", "period", "valid_from"],
                name="amount_version_once",
            ),
            models.UniqueConstraint(
                fields=["permit", "factor", "period", "valid_from"],
                condition=models.Q(outlet=None),
                name="amount_of_enterprise_once",
            ),
            models.CheckConstraint(condition=models.Q(value__gte=0), name="amount_not_negative"),
        ]
        verbose_name = _("permitted amount")
        verbose_name_plural = _("permitted amounts")

    def __str__(self) -> str:
        where = self.outlet.code if self.outlet else self.permit.enterprise.name
        return f"{where} {self.factor} {self.value:g} {self.unit}"


class MonitoringPlan(models.Model):
    """One line of the permit's self-monitoring plan (自行监测方案): what, how often, by what means.

    `times` measurements `every` period; reported and published within so many days of the sampling
    (empty: the permit does not say). An automatic line is carried out by the outlet's monitor.
    """

    class Means(models.TextChoices):
        MANUAL = "manual", _("Manual")
        AUTOMATIC = "automatic", _("Automatic")

    class Every(models.TextChoices):
        DAY = "day", pgettext_lazy("frequency", "day")
        WEEK = "week", _("week")
        MONTH = "month", _("month")
        QUARTER = "quarter", _("quarter")
        HALF_YEAR = "half_year", _("half-year")
        YEAR = "year", _("year")

    permit = models.ForeignKey(Permit, models.CASCADE, related_name="plans")
    outlet = models.ForeignKey(Outlet, models.CASCADE, related_name="plans")
    factor = models.CharField(_("factor"), max_length=12)
    means = models.CharField(_("means"), max_length=10, choices=Means)
    every = models.CharField(_("frequency"), max_length=10, choices=Every)
    times = models.PositiveSmallIntegerField(
        _("times a period"), default=1, validators=[MinValueValidator(1), MaxValueValidator(200)]
    )
    report_days = models.PositiveSmallIntegerField(_("report within (days)"), null=True, blank=True)
    publish_days = models.PositiveSmallIntegerField(
        _("publish within (days)"), null=True, blank=True
    )
    source = models.CharField(_("source"), max_length=200, blank=True)
    valid_from = models.DateField(_("in force from"))
    valid_to = models.DateField(_("in force to"), null=True, blank=True)

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "permit__enterprise__region_id", "enterprise": "permit__enterprise__uscc"}

    class Meta:
        ordering = ["outlet", "factor", "valid_from"]
        constraints = [
            models.UniqueConstraint(
                fields=["outlet", "factor", "means", "valid_from"], name="plan_line_once"
            )
        ]
        verbose_name = _("monitoring plan")
        verbose_name_plural = _("monitoring plans")

    def __str__(self) -> str:
        return f"{self.outlet.code} {self.factor} {self.times}/{self.every}"


class ManualResult(models.Model):
    """One manual measurement of self-monitoring. Never changed: a correction is a new row that the
    old one names in `replaced_by`."""

    outlet = models.ForeignKey(Outlet, models.CASCADE, related_name="results")
    factor = models.CharField(_("factor"), max_length=12)
    sampled = models.DateField(_("sampled"))
    value = models.DecimalField(_("value"), max_digits=14, decimal_places=6)
    unit = models.CharField(_("unit"), max_length=16)
    below_detection = models.BooleanField(_("below the limit of detection"), default=False)
    laboratory = models.CharField(_("laboratory"), max_length=120, blank=True)
    report = models.CharField(_("number of the test report"), max_length=80, blank=True)
    reported = models.DateField(_("reported"))
    published = models.DateField(_("published"), null=True, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    at = models.DateTimeField(_("entered"), auto_now_add=True)
    replaced_by = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="replaces"
    )
    evidence = models.ForeignKey(
        EvidenceEntry, models.PROTECT, null=True, blank=True, related_name="+"
    )

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "outlet__enterprise__region_id", "enterprise": "outlet__enterprise__uscc"}

    class Meta:
        ordering = ["-sampled", "-id"]
        indexes = [models.Index(fields=["outlet", "factor", "-sampled"])]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(reported__gte=models.F("sampled")), name="result_after_sampling"
            )
        ]
        verbose_name = _("manual result")
        verbose_name_plural = _("manual results")

    def __str__(self) -> str:
        return f"{self.outlet.code} {self.factor} {self.sampled}"


class TriggerRule(models.Model):
    """One version of a trigger of supervision orders. A change is a new version; at most one
    version of a code is live. Where a code has no version, the preset of `standards` stands.

    `simulation`: the last trial on history: `at`, `since`, `until`, how many `orders` and of how many
    `enterprises`, and the `rule` as it was tried. Without one a version does not go live.
    """

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        LIVE = "live", _("Live")
        ENDED = "ended", _("Ended")

    class Per(models.TextChoices):
        POINT = "point", _("each point")
        ENTERPRISE = "enterprise", _("each enterprise")

    class Receiver(models.TextChoices):
        ENTERPRISE = "enterprise", _("Enterprise")
        DISTRICT = "district", _("District centre")
        CITY = "city", _("City centre")

    code = models.CharField(_("rule"), max_length=20)
    version = models.PositiveIntegerField(_("version"))
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.DRAFT)
    event = models.CharField(_("event"), max_length=40)
    count = models.PositiveIntegerField(_("how often"), validators=[MinValueValidator(1)])
    window_hours = models.FloatField(_("within (hours)"), validators=[MinValueValidator(0)])
    per = models.CharField(_("counted for"), max_length=12, choices=Per)
    receiver = models.CharField(_("receiver"), max_length=12, choices=Receiver)
    deadline_hours = models.FloatField(_("deadline (hours)"), validators=[MinValueValidator(0.5)])
    severity = models.PositiveSmallIntegerField(
        _("severity"), validators=[MinValueValidator(1), MaxValueValidator(3)]
    )
    verified = models.CharField(_("how sure"), max_length=12)
    source = models.CharField(_("source"), max_length=200)
    note = models.CharField(_("reason"), max_length=300, blank=True)
    since = models.DateTimeField(_("live since"), null=True, blank=True)
    until = models.DateTimeField(_("live until"), null=True, blank=True)
    simulation = models.JSONField(default=dict, blank=True, editable=False)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    at = models.DateTimeField(_("entered"), auto_now_add=True)
    evidence = models.ForeignKey(
        EvidenceEntry, models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["code", "version"]
        constraints = [
            models.UniqueConstraint(fields=["code", "version"], name="trigger_version_once"),
            models.UniqueConstraint(
                fields=["code"], condition=models.Q(state="live"), name="trigger_live_once"
            ),
        ]
        verbose_name = _("trigger rule")
        verbose_name_plural = _("trigger rules")

    def __str__(self) -> str:
        return f"{self.code} {self.version}"


class Point(models.Model):
    """What one logger reports for one outlet or station (监测点); key: MN + ST."""

    class Kind(models.TextChoices):
        SOURCE = "source", _("Pollution source")
        AIR_STATION = "air_station", _("Ambient air station")
        MICRO_STATION = "micro_station", _("Micro-station")

    # What hangs in the ambient air, for everybody to see. Micro-stations (low-cost sensors) are
    # indicative: wherever a standard or the city's air is judged, AIR_STATION alone is meant.
    AMBIENT = (Kind.AIR_STATION, Kind.MICRO_STATION)

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


class Device(models.Model):
    """What the gateway knows of one logger (MN) beside the password and version of its points.

    A logger without a row has the defaults: any address, the printed check sum, no key.
    """

    class Form(models.TextChoices):
        RAW = "raw", _("raw bytes")
        HEX = "hex", _("hexadecimal digits")
        BASE64 = "base64", "Base64"
        LITERAL = "literal", _("text {0x..,0x..}")

    mn = models.CharField(_("device number (MN)"), max_length=27, unique=True)
    networks = models.JSONField(_("allowed networks"), default=list, blank=True)
    dialects = models.JSONField(_("accepted check sums"), default=list, blank=True)
    keys = models.JSONField(_("SM4 keys, sealed"), default=list, blank=True, editable=False)
    form = models.CharField(_("form of ciphertext"), max_length=8, choices=Form, default=Form.RAW)
    pull = models.BooleanField(_("pull missing data"), default=True)
    pull_from = models.PositiveSmallIntegerField(
        _("pull from (hour)"), default=0, validators=[MaxValueValidator(23)]
    )
    pull_until = models.PositiveSmallIntegerField(
        _("pull until (hour)"), default=24, validators=[MaxValueValidator(24)]
    )

    class Meta:
        ordering = ["mn"]
        verbose_name = _("device")
        verbose_name_plural = _("devices")

    def __str__(self) -> str:
        return self.mn
