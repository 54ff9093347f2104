"""What was asked of the air and what was answered; what is forecast of it."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.access import RestrictedQuerySet
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.registry.models import Outlet, Point, Region


class State(models.TextChoices):
    """Of something that the worker computes."""

    WAITING = "waiting", _("Being computed")
    DONE = "done", pgettext_lazy("computation", "Done")
    REFUSED = "refused", _("Not possible")


class Trace(models.Model):
    """Which sources may be behind what a station measured from `start` to `end`.

    `result` is as `tracing.answer` gives it; `digest` the SHA-256 of all that went in, so that
    anybody with the same data can see whether he asks the same. An answer is never changed: who
    doubts it asks again.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Being computed")
        DONE = "done", _("Answered")
        REFUSED = "refused", _("No answer possible")

    station = models.ForeignKey(Point, models.PROTECT, related_name="traces")
    factor = models.CharField(_("factor"), max_length=12)
    start = models.DateTimeField(_("from"))
    end = models.DateTimeField(_("until"))
    finding = models.ForeignKey(
        Finding, models.PROTECT, null=True, blank=True, related_name="traces"
    )
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    asked = models.DateTimeField(_("asked"), default=timezone.now)
    started = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.WAITING)
    reason = models.CharField(_("why there is no answer"), max_length=300, blank=True)
    digest = models.CharField(max_length=64, blank=True)
    result = models.JSONField(default=dict)
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, null=True, related_name="+")

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "station__region_id"}

    class Meta:
        ordering = ["-asked", "-pk"]
        indexes = [
            models.Index(
                fields=["asked"], condition=models.Q(state="waiting"), name="trace_waiting"
            )
        ]
        verbose_name = _("source tracing")
        verbose_name_plural = _("source tracings")

    def __str__(self) -> str:
        return f"{self.station} {self.factor} {self.start:%Y-%m-%d %H:%M}"

    def get_absolute_url(self) -> str:
        return reverse("air:trace", args=[self.pk])


class ForecastModel(models.Model):
    """What was learned of the city's air. The bytes lie in `forecasting.place(digest)`; `about` is as
    `forecasting.fit` gives it: what went in, and how it did on the days that it has not seen."""

    asked = models.DateTimeField(_("asked"), default=timezone.now)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    started = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.WAITING)
    reason = models.CharField(max_length=300, blank=True)
    until = models.DateTimeField(_("learned until"), null=True)
    digest = models.CharField(max_length=64, blank=True)
    about = models.JSONField(default=dict)
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-asked", "-pk"]
        verbose_name = _("learned forecast")
        verbose_name_plural = _("learned forecasts")

    def __str__(self) -> str:
        return f"{self.asked:%Y-%m-%d %H:%M} {self.state}"


class WeatherForecast(models.Model):
    """A forecast of the city's weather, as handed in: `hours` from `start` on, each as
    `analysis.air.forecast.history.WEATHER`, null where it says nothing."""

    received = models.DateTimeField(default=timezone.now)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    source = models.CharField(_("source"), max_length=120)
    start = models.DateTimeField(_("from"))
    hours = models.JSONField(default=list)
    digest = models.CharField(max_length=64)

    class Meta:
        ordering = ["-received", "-pk"]
        verbose_name = _("weather forecast")
        verbose_name_plural = _("weather forecasts")

    def __str__(self) -> str:
        return f"{self.source} {self.start:%Y-%m-%d %H:%M}"


class Forecast(models.Model):
    """48 hours ahead from the end of the hour `start`, for every station. `about` is as
    `forecasting.run` gives it for the city; `digest` the SHA-256 of all that went in. A run is never
    changed; one made long after its start is a hindcast and shown as such."""

    start = models.DateTimeField(_("start"), unique=True)
    asked = models.DateTimeField(_("asked"), default=timezone.now)
    started = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.WAITING)
    reason = models.CharField(max_length=300, blank=True)
    model = models.ForeignKey(ForecastModel, models.PROTECT, null=True, related_name="forecasts")
    weather = models.ForeignKey(WeatherForecast, models.PROTECT, null=True, related_name="+")
    digest = models.CharField(max_length=64, blank=True)
    about = models.JSONField(default=dict)
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-start"]
        verbose_name = _("forecast")
        verbose_name_plural = _("forecasts")

    @property
    def hindsight(self) -> bool:
        """What it was made with had learned from hours after its start: it looks better than it could
        have been."""
        made = self.model
        return bool(made and made.until and made.until > self.start + timedelta(hours=1))

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M}"


class StationForecast(models.Model):
    """One station's part of a forecast; `result` is as `forecasting.run` gives it."""

    forecast = models.ForeignKey(Forecast, models.CASCADE, related_name="stations")
    station = models.ForeignKey(Point, models.PROTECT, related_name="forecasts")
    result = models.JSONField(default=dict)

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "station__region_id"}

    class Meta:
        ordering = ["forecast", "station"]
        constraints = [
            models.UniqueConstraint(fields=["forecast", "station"], name="forecast_station")
        ]
        verbose_name = _("forecast of a station")
        verbose_name_plural = _("forecasts of stations")

    def __str__(self) -> str:
        return f"{self.forecast} {self.station}"

    def get_absolute_url(self) -> str:
        return reverse("air:station", args=[self.station_id])


class Episode(models.Model):
    """A heavy-pollution episode: proposed by the computer from the daily index (`days`, as
    `forecasting.days` gives them, with the chances of those to come), decided by a person. `previous`:
    the declared one that it would raise or prolong."""

    class State(models.TextChoices):
        PROPOSED = "proposed", _("Proposed, to be decided")
        DECLARED = "declared", _("Warning in force")
        DISMISSED = "dismissed", pgettext_lazy("warning", "Dismissed")
        ENDED = "ended", pgettext_lazy("warning", "Lifted")

    class Level(models.IntegerChoices):
        YELLOW = 1, _("Yellow")
        ORANGE = 2, _("Orange")
        RED = 3, _("Red")

    proposed = models.DateTimeField(_("proposed"), default=timezone.now)
    forecast = models.ForeignKey(Forecast, models.PROTECT, null=True, related_name="episodes")
    previous = models.ForeignKey("self", models.PROTECT, null=True, related_name="+")
    level = models.PositiveSmallIntegerField(_("grade"), choices=Level)
    first = models.DateField(_("first day"))
    last = models.DateField(_("last day"))
    days = models.JSONField(default=list)
    state = models.CharField(_("state"), max_length=9, choices=State, default=State.PROPOSED)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    decided = models.DateTimeField(_("decided"), null=True)
    note = models.TextField(_("reason"), blank=True)
    ended = models.DateTimeField(null=True)
    end_note = models.TextField(blank=True)
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-proposed", "-pk"]
        verbose_name = _("heavy-pollution episode")
        verbose_name_plural = _("heavy-pollution episodes")

    def __str__(self) -> str:
        return f"{self.first} {self.get_level_display()}"

    def get_absolute_url(self) -> str:
        return reverse("air:episode", args=[self.pk])


class Gas(models.TextChoices):
    NO2 = "no2", "NO₂"
    HCHO = "hcho", _("Formaldehyde (sign of VOC)")


class SatelliteScene(models.Model):
    """Columns of one gas over the city at one time, in the cells of `grid` (as
    `hotgrids.told`): `values` row by row from the south-west, µmol/m², null where nothing was seen;
    `seen` of the city's `cells`. `synthetic`: the file says that it was not measured."""

    gas = models.CharField(_("gas"), max_length=8, choices=Gas)
    taken = models.DateTimeField(_("taken"))
    day = models.DateField(_("day"), db_index=True)
    source = models.CharField(_("source"), max_length=120)
    name = models.CharField(_("file"), max_length=200)
    synthetic = models.BooleanField(_("made up, not measured"), default=False)
    notes = models.JSONField(default=list)
    received = models.DateTimeField(_("received"), default=timezone.now)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    sha256 = models.CharField("SHA-256", max_length=64)
    grid = models.JSONField(default=dict)
    values = models.JSONField(default=list)
    seen = models.PositiveIntegerField(_("cells seen"))
    cells = models.PositiveIntegerField(_("cells of the city"))
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-taken", "gas"]
        constraints = [
            models.UniqueConstraint(fields=["sha256", "gas", "taken"], name="satellite_scene_once")
        ]
        verbose_name = _("satellite scene")
        verbose_name_plural = _("satellite scenes")

    def __str__(self) -> str:
        return f"{self.get_gas_display()} {self.taken:%Y-%m-%d %H:%M}"


class HotGrid(models.Model):
    """Which cells of the city are high again and again over the days `first` to `last`; with a `region`
    its cells of 500 m alone, by micro-stations. `result` is as
    `hotgrids.compute` gives it, but for the cells; `digest` the SHA-256 of all that went in. A run is
    never changed."""

    asked = models.DateTimeField(_("asked"), default=timezone.now)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    started = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.WAITING)
    reason = models.CharField(max_length=300, blank=True)
    first = models.DateField(_("first day"))
    last = models.DateField(_("last day"))
    region = models.ForeignKey(Region, models.PROTECT, null=True, blank=True, related_name="+")
    digest = models.CharField(max_length=64, blank=True)
    result = models.JSONField(default=dict)
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-asked", "-pk"]
        verbose_name = _("run of the hot grids")
        verbose_name_plural = _("runs of the hot grids")

    def __str__(self) -> str:
        return f"{self.first} – {self.last}"


class HotCell(models.Model):
    """A cell that is high again and again: `name` says where it lies on the grid of its `size` (m),
    whatever the run;
    `group`: the connected area; `q`: false discovery rate; `gi`: Gi* with its neighbours, `near` its
    false discovery rate; `layers`: what each layer says, as `hotgrids.compute` gives it."""

    run = models.ForeignKey(HotGrid, models.CASCADE, related_name="cells")
    name = models.CharField(_("cell"), max_length=12)
    size = models.PositiveIntegerField(_("size"), default=3000)
    group = models.PositiveIntegerField(_("area"))
    region = models.ForeignKey(Region, models.PROTECT, related_name="+")
    longitude = models.FloatField(_("longitude"))
    latitude = models.FloatField(_("latitude"))
    p = models.FloatField()
    q = models.FloatField()
    gi = models.FloatField(null=True)
    near = models.FloatField(default=1.0)
    strength = models.FloatField()
    layers = models.JSONField(default=dict)
    finding = models.ForeignKey(
        Finding, models.PROTECT, null=True, blank=True, related_name="hot_cells"
    )

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "region_id"}

    class Meta:
        ordering = ["run", "q", "-strength", "name"]
        constraints = [
            models.UniqueConstraint(fields=["run", "size", "name"], name="hot_cell_once")
        ]
        verbose_name = _("hot cell")
        verbose_name_plural = _("hot cells")

    def __str__(self) -> str:
        return f"{self.run} {self.name}"


class EpisodeEffect(models.Model):
    """What a response changed: `result` is as `effects.compute` gives it; `digest` the SHA-256 of all
    that went in."""

    episode = models.OneToOneField(Episode, models.CASCADE, related_name="effect")
    asked = models.DateTimeField(default=timezone.now)
    started = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.WAITING)
    reason = models.CharField(max_length=300, blank=True)
    digest = models.CharField(max_length=64, blank=True)
    result = models.JSONField(default=dict)
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-asked", "-pk"]
        verbose_name = _("effect of a response")
        verbose_name_plural = _("effects of responses")

    def __str__(self) -> str:
        return str(self.episode)


class SampleSet(models.Model):
    """Chemical analyses of samples as they were handed in, checked (`analysis.air.apportion.tables`).

    `table`: times (start of each sample, local wall clock, ISO), species, values and errors row by
    row (null: missing). `station`: where the samples were taken, if it is a station of the city: its
    wind says from where each source comes. `source`: who took them, where. `synthetic`: made up."""

    name = models.CharField(_("name"), max_length=120)
    source = models.CharField(_("source"), max_length=200, blank=True)
    station = models.ForeignKey(Point, models.PROTECT, null=True, blank=True, related_name="+")
    hours = models.FloatField(_("length of a sample in hours"), default=24.0)
    unit = models.CharField(_("unit"), max_length=12, default="µg/m³")
    synthetic = models.BooleanField(_("made up, not measured"), default=False)
    received = models.DateTimeField(_("received"), default=timezone.now)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    files = models.JSONField(default=list)
    notes = models.JSONField(default=list)
    table = models.JSONField(default=dict)
    samples = models.PositiveIntegerField(_("samples"))
    digest = models.CharField(max_length=64, unique=True)
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-received", "-pk"]
        verbose_name = _("set of samples")
        verbose_name_plural = _("sets of samples")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("air:samples", args=[self.pk])


class SourceProfile(models.Model):
    """What an own source emits, as it was handed in, checked (`analysis.air.apportion.own`).

    `rows`: species, mass fraction, uncertainty; `origin`: who measured it, where and when. Never
    changed: a profile that is wrong is withdrawn (`ended`), runs that used it keep it."""

    name = models.CharField(_("source"), max_length=120)
    origin = models.CharField(_("measured by"), max_length=200)
    rows = models.JSONField(default=list)
    file = models.JSONField(default=dict)
    received = models.DateTimeField(_("received"), default=timezone.now)
    ended = models.DateTimeField(_("withdrawn"), null=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["name", "-received"]
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(ended=None), name="source_profile_once"
            )
        ]
        verbose_name = _("source profile")
        verbose_name_plural = _("source profiles")

    def __str__(self) -> str:
        return self.name


class Apportionment(models.Model):
    """Who made what was in the samples. `wanted`: species, numbers of factors, constraints, sources, own
    profiles by their keys; `result` as `apportioning.compute` gives it; `digest` the SHA-256 of all that
    went in; `progress`: step, done, of how many. A run is never changed: who wants it otherwise asks again."""

    samples = models.ForeignKey(SampleSet, models.PROTECT, related_name="runs")
    asked = models.DateTimeField(_("asked"), default=timezone.now)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    started = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.WAITING)
    reason = models.CharField(max_length=300, blank=True)
    progress = models.JSONField(default=dict)
    wanted = models.JSONField(default=dict)
    digest = models.CharField(max_length=64, blank=True)
    result = models.JSONField(default=dict)
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-asked", "-pk"]
        verbose_name = _("source apportionment")
        verbose_name_plural = _("source apportionments")

    def __str__(self) -> str:
        return f"{self.samples} {self.asked:%Y-%m-%d %H:%M}"

    def get_absolute_url(self) -> str:
        return reverse("air:apportionment", args=[self.pk])


class AnnualAmount(models.Model):
    """What an outlet emits in a year by an inventory, as handed in: for outlets that neither a monitor
    watches nor a permit gives an amount."""

    outlet = models.ForeignKey(Outlet, models.CASCADE, related_name="annual_amounts")
    factor = models.CharField(_("factor"), max_length=12)
    year = models.PositiveSmallIntegerField(_("year"))
    tonnes = models.FloatField(_("tonnes a year"))
    source = models.CharField(_("source"), max_length=120, blank=True)
    received = models.DateTimeField(_("received"), default=timezone.now)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, null=True, related_name="+")

    objects = RestrictedQuerySet.as_manager()
    place = {"area": "outlet__enterprise__region_id"}

    class Meta:
        ordering = ["outlet", "factor", "-year"]
        constraints = [
            models.UniqueConstraint(fields=["outlet", "factor", "year"], name="annual_amount_once")
        ]
        verbose_name = _("annual amount of an inventory")
        verbose_name_plural = _("annual amounts of an inventory")

    def __str__(self) -> str:
        return f"{self.outlet} {self.factor} {self.year}"


class Dispersion(models.Model):
    """What registered outlets add to the air from `start` to `end`, hour by hour and cell by cell.

    `asked_for` is as `forms.DispersionForm` gives it: which outlets, which weather, what leaves the air;
    `weather` the SHA-256 of a file of weather that was handed in; `field` that of the NetCDF file in
    `dispersion.folder()`; `result` as `dispersion.compute` gives it. A run is never changed.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Being computed")
        DONE = "done", pgettext_lazy("computation", "Done")
        REFUSED = "refused", _("Not possible")
        CANCELLED = "cancelled", pgettext_lazy("computation", "Cancelled")

    factor = models.CharField(_("factor"), max_length=12)
    start = models.DateTimeField(_("from"))
    end = models.DateTimeField(_("until"))
    asked_for = models.JSONField(default=dict)
    weather = models.CharField(max_length=64, blank=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    asked = models.DateTimeField(_("asked"), default=timezone.now)
    started = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)
    state = models.CharField(_("state"), max_length=9, choices=State, default=State.WAITING)
    progress = models.PositiveSmallIntegerField(_("progress (%)"), default=0)
    reason = models.CharField(max_length=300, blank=True)
    digest = models.CharField(max_length=64, blank=True)
    field = models.CharField(max_length=64, blank=True)
    result = models.JSONField(default=dict)
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-asked", "-pk"]
        verbose_name = _("run of the dispersion model")
        verbose_name_plural = _("runs of the dispersion model")

    def __str__(self) -> str:
        return f"{self.factor} {self.start:%Y-%m-%d %H:%M}"

    def get_absolute_url(self) -> str:
        return reverse("air:dispersion", args=[self.pk])
