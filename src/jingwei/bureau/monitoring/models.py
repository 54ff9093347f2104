"""What judgement over the lake leaves behind: judgements, exceedances, transmission days, cursors;
and the marks that enterprises set, the furnaces they are set for and what becomes of them.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from jingwei.analysis.validity import Rates, rates
from jingwei.bureau.access import RestrictedQuerySet
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.monitoring.detection_models import Detected as Detected
from jingwei.bureau.monitoring.detection_models import DetectionFit as DetectionFit
from jingwei.bureau.monitoring.detection_models import DetectionWatch as DetectionWatch
from jingwei.bureau.monitoring.detection_models import ExceedanceRule as ExceedanceRule
from jingwei.bureau.monitoring.detection_models import PatternLook as PatternLook
from jingwei.bureau.monitoring.detection_models import WeekKinds as WeekKinds
from jingwei.bureau.monitoring.detection_models import WeekProfile as WeekProfile
from jingwei.bureau.monitoring.device_models import DeviceCommand as DeviceCommand
from jingwei.bureau.monitoring.quality_models import QualityCheck as QualityCheck
from jingwei.bureau.monitoring.sending_models import Basis as Basis
from jingwei.bureau.monitoring.sending_models import HourNaming as HourNaming
from jingwei.bureau.monitoring.table_models import ObservationFile as ObservationFile
from jingwei.bureau.registry.models import Enterprise, Outlet, PermitLimit, Point


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
        RANGE = "range", _("corrected: above the instrument's range")
        FLAT = "flat", _("the value does not move")
        FEW = "few", _("too few valid values of the shorter period")
        CLOCK = "clock", _("the device's clock is wrong")
        MARK_UNKNOWN = "mark_unknown", _("corrected: unknown data mark")
        NO_FLOW = "no_flow", _("nothing flowed")
        OXYGEN_INVALID = "oxygen_invalid", _("the oxygen value is not valid")
        FLOW_INVALID = "flow_invalid", _("there is no valid flow")
        EXEMPT = "exempt", _("marked: no basis for an exceedance")
        PART = "part", _("corrected: NO or NO2 is missing")
        OUT_OF_CONTROL = "out_of_control", _("the instrument was out of control")
        STATE = "state", _("temperature, pressure or moisture of the gas is missing")
        LIMIT = "limit", _("the limit does not hold on that day any more")

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


class Judgement(models.Model):
    """What was judged of one hour or day of a point, when, and on which telegrams.

    Append-only: of one period at most one row stands; when other telegrams, marks or limits lead
    to something else, a new row stands and the old one stays as it was. `factors` has for each
    factor (codes of 2017)

        value   as sent or aggregated (None: no number)
        mark    data mark, "" for none
        fault   mask of `analysis.validity.Fault`; absent: valid
        origin  "minutes" or "hours" where the value was aggregated here; "parts" where it was put
                together from other factors; "sample" where nothing came and there is but a sample;
                absent: as the device sent it
        parts   {factor: value} that it was put together from
        state   what was done to bring it to dry gas at standard state, where the point sends another
                (`Basis`): the value as sent, the state, temperature, pressures, moisture
        count   [values received, usable] of the shorter period, where that was looked at
        sent    the converted value of the device itself; of a day from hours: the device's day
        by      the enterprise's mark (`Mark`) that makes it invalid
        check   the failed check (`QualityCheck`) by which it is out of control
        exempt  the mark that keeps a valid value from being a basis for an exceedance
        sample  {number, value, unit, report} of the officers' sample of that time (`Sample`): it is
                what is held against concentration limits, whatever the automatic value
        limits  {limit: [verdict, reason, judged value]}, codes of `analysis.compliance`

    and a day from hours `least` (valid hours it needs), `weighted`, `converted` ({reference oxygen:
    [mean, hours, mean without exempt hours]}), `free` (mean without exempt hours, where there are).
    """

    point = models.ForeignKey(Point, models.CASCADE, related_name="judgements")
    period = models.CharField(_("period"), max_length=8, choices=PermitLimit.Period)
    time = models.DateTimeField(_("period start"))
    judged = models.DateTimeField(_("judged"))
    stands = models.BooleanField(_("stands"), default=True)
    telegrams = models.TextField(
        _("telegrams"), help_text=_("journal numbers, with a blank between")
    )
    factors = models.JSONField(_("factors"), default=dict)

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "point__region_id", "enterprise": "point__outlet__enterprise__uscc"}

    class Meta:
        ordering = ["time", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["point", "period", "time"],
                condition=models.Q(stands=True),
                name="judgement_stands_once",
            )
        ]
        indexes = [models.Index(fields=["point", "period", "time"])]
        verbose_name = _("judgement")
        verbose_name_plural = _("judgements")

    def __str__(self) -> str:
        return f"{self.point_id} {self.period} {self.time}"

    @property
    def numbers(self) -> list[int]:
        """The telegrams' numbers in the journal."""
        return [int(n) for n in self.telegrams.split()]


class Due(models.Model):
    """A period that is to be judged (again) once `after` has passed, though no telegram of its own
    asks for it: minutes of an hour came, hours of a day, a mark was set. Rows are deleted by the
    judgement that they led to; several may ask for one period.
    """

    class What(models.TextChoices):
        HOUR = "hour"
        DAY = "day"
        FURNACE = "furnace"  # the furnace temperatures of a day

    point = models.ForeignKey(Point, models.CASCADE, related_name="+")
    what = models.CharField(max_length=8, choices=What)
    time = models.DateTimeField()
    after = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["what", "after"]),
            models.Index(fields=["point", "what", "time"]),
        ]

    def __str__(self) -> str:
        return f"{self.point_id} {self.what} {self.time}"


class InstrumentRange(models.Model):
    """The end of an instrument's measuring range (量程上限), in the unit in which the point sends."""

    point = models.ForeignKey(Point, models.CASCADE, related_name="ranges")
    factor = models.CharField(_("factor"), max_length=12)
    high = models.FloatField(_("end of range"))

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "point__region_id", "enterprise": "point__outlet__enterprise__uscc"}

    class Meta:
        ordering = ["point", "factor"]
        constraints = [models.UniqueConstraint(fields=["point", "factor"], name="range_once")]
        verbose_name = _("instrument range")
        verbose_name_plural = _("instrument ranges")

    def __str__(self) -> str:
        return f"{self.point} {self.factor} {self.high:g}"


class TransmissionDay(models.Model):
    """Hourly data of one point on one local day, counted in values (hours times due factors).

    `expected`: the hours of the day that are due (from `since`: the start of the day, but on the
    point's first day its first hour) times the factors that the point is registered to send.
    `due`: those hours, without those out of operation by the enterprise's mark of which nothing came.
    `stopped`: those of the values that came with the mark of a source out of service, or that are not
    valid in such marked hours; they are neither expected nor valid in the rates. `hours`: hours of which anything came; of the others nothing
    of the point reports: no link. `faults` counts the values that are not valid by fault
    (`validity.names`; a value can have several). `unsent`: factors that the outlet's limits bind on
    that day and that this point or another of the outlet should send, of which nothing came.
    """

    point = models.ForeignKey(Point, models.CASCADE, related_name="transmission_days")
    day = models.DateField(_("day"))
    since = models.DateTimeField(_("expected since"))
    expected = models.PositiveIntegerField(_("expected"))
    received = models.PositiveIntegerField(_("received"))
    valid = models.PositiveIntegerField(_("valid"))
    stopped = models.PositiveIntegerField(_("stopped"), default=0)
    hours = models.PositiveSmallIntegerField(_("hours with data"), default=0)
    due = models.PositiveSmallIntegerField(_("hours due"), default=0)
    faults = models.JSONField(_("values not valid, by fault"), default=dict)
    unsent = models.JSONField(_("limited, but not sent"), default=list)

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
    def rates(self) -> Rates:
        return day_rates(self.expected, self.received, self.valid, self.stopped)

    @property
    def rate(self) -> float:
        """Transmitted share times valid share (传输有效率), 0…1; 0 where nothing was due."""
        return self.rates.effective or 0.0


def day_rates(expected: int, received: int, valid: int, stopped: int) -> Rates:
    """Transmission, validity and effective transmission rate of the values outside standstill."""
    received = max(0, received - stopped)
    expected = max(received, expected - stopped)
    return rates(expected, received, min(valid, received))


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
    rounds = models.BigIntegerField(
        default=0
    )  # how often it was written: of two at once one gives way
    counts = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.name} {self.batch}"


class Furnace(models.Model):
    """A waste incinerator (焚烧炉): its outlet, and which factors of which point are its thermocouples.

    `middle`, `upper`: codes of the thermocouples of the two sections; both empty: the point sends
    the furnace temperature itself (a01901).
    """

    outlet = models.ForeignKey(Outlet, models.CASCADE, related_name="furnaces")
    name = models.CharField(_("name"), max_length=40)
    point = models.ForeignKey(
        Point, models.PROTECT, related_name="furnaces", verbose_name=_("point of the temperatures")
    )
    middle = models.JSONField(_("thermocouples of the middle section"), default=list, blank=True)
    upper = models.JSONField(_("thermocouples of the upper section"), default=list, blank=True)
    ambient_o2 = models.FloatField(_("oxygen of the ambient air (%)"), default=20.9)

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "outlet__enterprise__region_id", "enterprise": "outlet__enterprise__uscc"}

    class Meta:
        ordering = ["outlet", "name"]
        constraints = [models.UniqueConstraint(fields=["outlet", "name"], name="furnace_once")]
        verbose_name = _("furnace")
        verbose_name_plural = _("furnaces")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("monitoring:furnace", args=[self.pk])


class Mark(models.Model):
    """What an enterprise says of a span of its data (标记). Never changed: withdrawn and set anew.

    An hour belongs to a mark as soon as the mark touches it.
    """

    class Sort(models.TextChoices):
        """Marks of the device, of the working condition (Announcement 2022-21), and the seven and
        four of waste incinerators (Announcement 2019-50)."""

        DEVICE_FAULT = "device_fault", _("Device: fault")
        DEVICE_UPKEEP = "device_upkeep", _("Device: maintenance or calibration")
        DEVICE_TRIAL = "device_trial", _("Device: commissioning")
        COLD_START = "cold_start", _("Condition: cold start")
        WARM_START = "warm_start", _("Condition: warm start")
        SHUTDOWN = "shutdown", _("Condition: shut-down")
        STANDSTILL = "standstill", _("Condition: out of operation")
        PLANT_FAULT = "plant_fault", _("Condition: fault of the plant")
        BAKE = "bake", _("Furnace: heating up")
        START = "start", _("Furnace: start-up")
        STOP = "stop", _("Furnace: shut-down")
        COOL = "cool", _("Furnace: cooling down")
        IDLE = "idle", _("Furnace: out of operation")
        FAULT = "fault", _("Furnace: fault")
        ACCIDENT = "accident", _("Furnace: accident")
        MAINTENANCE = "maintenance", _("Monitoring: CEMS maintenance")
        NO_LINK = "no_link", _("Monitoring: communication broken")
        TEMPERATURE = "temperature", _("Monitoring: furnace temperature abnormal")
        THERMOCOUPLE = "thermocouple", _("Monitoring: thermocouple broken")

    outlet = models.ForeignKey(Outlet, models.PROTECT, related_name="marks")
    furnace = models.ForeignKey(
        Furnace, models.PROTECT, null=True, blank=True, related_name="marks"
    )
    sort = models.CharField(_("mark"), max_length=16, choices=Sort)
    start = models.DateTimeField(_("from"))
    end = models.DateTimeField(_("until"))
    note = models.CharField(_("cause, process, measures"), max_length=300, blank=True)
    refractory = models.BooleanField(_("after work on the refractory lining"), default=False)
    resent = models.BooleanField(_("the data have been sent again"), default=False)
    grounds = models.BooleanField(_("grounds for the longer time"), default=False)
    facilities = models.BooleanField(_("treatment ran as required"), default=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    at = models.DateTimeField(_("set"))
    withdrawn = models.DateTimeField(_("withdrawn"), null=True, blank=True)
    evidence = models.ForeignKey(
        EvidenceEntry, models.PROTECT, null=True, blank=True, related_name="+"
    )

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "outlet__enterprise__region_id", "enterprise": "outlet__enterprise__uscc"}

    class Meta:
        ordering = ["-start", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(end__gt=models.F("start")), name="mark_ends_after_it_starts"
            )
        ]
        indexes = [models.Index(fields=["outlet", "start"])]
        verbose_name = _("mark")
        verbose_name_plural = _("marks")

    def __str__(self) -> str:
        return f"{self.get_sort_display()} {self.start}"


class Sample(models.Model):
    """What officers measured by a lawful sample (执法监测), at a point in an hour or day. It prevails over
    the automatic value of the same time, and one is enough (Order 10 art. 8; measures on
    administrative penalties). Never changed: withdrawn, with the reason, and entered anew.

    `value` in `unit`, as it is to be compared with the limit: at reference oxygen where the limit
    has one.
    """

    point = models.ForeignKey(Point, models.PROTECT, related_name="samples")
    factor = models.CharField(_("factor"), max_length=12)
    period = models.CharField(_("period"), max_length=8, choices=PermitLimit.Period)
    time = models.DateTimeField(_("period start"))
    taken = models.DateTimeField(_("taken"))
    value = models.FloatField(_("value"))
    unit = models.CharField(_("unit"), max_length=16)
    report = models.CharField(_("number of the report"), max_length=80)
    note = models.CharField(_("by whom and why"), max_length=300)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(_("entered"))
    withdrawn = models.DateTimeField(_("withdrawn"), null=True, blank=True)
    why = models.CharField(_("withdrawn because"), max_length=300, blank=True)
    evidence = models.ForeignKey(
        EvidenceEntry, models.PROTECT, null=True, blank=True, related_name="+"
    )

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "point__region_id", "enterprise": "point__outlet__enterprise__uscc"}

    class Meta:
        ordering = ["-taken", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["point", "factor", "period", "time"],
                condition=models.Q(withdrawn=None),
                name="sample_stands_once",
            )
        ]
        verbose_name = _("enforcement sample")
        verbose_name_plural = _("enforcement samples")

    def __str__(self) -> str:
        return f"{self.point} {self.factor} {self.value:g}"


class FurnaceDay(models.Model):
    """The five-minute furnace temperatures of one local day: how many there were, how many were
    counted as below 850 °C (Order 10 art. 7 and 11), the lowest counted.

    `missing`: hours of which one of the five pollutants is missing or not valid without an excuse
    (Order 10 art. 12), by what is the matter: {"missing" or names of faults: hours}.
    """

    furnace = models.ForeignKey(Furnace, models.CASCADE, related_name="days")
    day = models.DateField(_("day"))
    periods = models.PositiveSmallIntegerField(_("five-minute means"))
    below = models.PositiveSmallIntegerField(_("counted below 850 °C"))
    marked = models.PositiveSmallIntegerField(_("below 850 °C, but marked"))
    lowest = models.FloatField(_("lowest"), null=True)
    unexcused = models.PositiveSmallIntegerField(_("hours missing or not valid"), default=0)
    missing = models.JSONField(_("what is the matter with them"), default=dict)

    objects = RestrictedQuerySet.as_manager()
    place = {
        "area": "furnace__outlet__enterprise__region_id",
        "enterprise": "furnace__outlet__enterprise__uscc",
    }

    class Meta:
        ordering = ["-day"]
        constraints = [models.UniqueConstraint(fields=["furnace", "day"], name="furnace_day_once")]
        verbose_name = _("furnace day")
        verbose_name_plural = _("furnace days")

    def __str__(self) -> str:
        return f"{self.furnace} {self.day}"


class Inquiry(models.Model):
    """A suspicious hour of a waste incinerator and what became of it (Announcement 2019-50, 5.2):
    verified and marked within one hour, else ordered, and then answered within six hours.
    """

    class Why(models.TextChoices):
        ZERO = "zero", _("zero")
        CONSTANT = "constant", _("constant")
        RANGE = "range", _("above the instrument's range")
        EXCEEDED = "exceeded", _("over the limit")

    furnace = models.ForeignKey(Furnace, models.CASCADE, related_name="inquiries")
    time = models.DateTimeField(_("hour"))
    factor = models.CharField(_("factor"), max_length=12)
    why = models.CharField(_("why"), max_length=8, choices=Why)
    found = models.DateTimeField(_("found"))
    marked = models.DateTimeField(_("marked"), null=True, blank=True)
    ordered = models.DateTimeField(_("ordered"), null=True, blank=True)
    answered = models.DateTimeField(_("answered"), null=True, blank=True)
    answer = models.CharField(_("answer given"), max_length=300, blank=True)
    void = models.BooleanField(_("no longer so"), default=False)  # corrected since

    objects = RestrictedQuerySet.as_manager()
    place = {
        "area": "furnace__outlet__enterprise__region_id",
        "enterprise": "furnace__outlet__enterprise__uscc",
    }

    class Meta:
        ordering = ["-time", "factor"]
        constraints = [
            models.UniqueConstraint(
                fields=["furnace", "time", "factor", "why"], name="inquiry_once"
            )
        ]
        verbose_name = _("inquiry")
        verbose_name_plural = _("inquiries")

    def __str__(self) -> str:
        return f"{self.furnace} {self.time} {self.factor}"
