"""What to compute: hours, outlets, weather, and what leaves the air."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jingwei.analysis.air import meteorology
from jingwei.analysis.air.field.tables import FieldError
from jingwei.analysis.air.weather import Plane
from jingwei.bureau.air import dispersion_selectors as selectors
from jingwei.bureau.air import grid_words, scenes, weather_tables
from jingwei.bureau.air.dispersion import LONGEST
from jingwei.bureau.air.forms import _Hour
from jingwei.bureau.air.selectors import factors
from jingwei.bureau.air.tracing import HOUR
from jingwei.bureau.registry.models import Enterprise, Outlet

COMING = 48  # hours


class _Outlets(forms.ModelMultipleChoiceField):
    def label_from_instance(self, obj: Outlet) -> str:
        return f"{obj.enterprise.name} {obj.code} {obj.name}"


class DispersionForm(forms.Form):
    factor = forms.ChoiceField(label=gettext_lazy("Pollutant"))
    period = forms.ChoiceField(
        label=gettext_lazy("Time"),
        choices=[("past", gettext_lazy("Hours that are over")), ("coming", gettext_lazy("The coming 48 hours"))],
    )  # fmt: skip
    start = _Hour(label=gettext_lazy("Start of the time"), required=False)
    end = _Hour(
        label=gettext_lazy("End of the time"), required=False,
        help_text=gettext_lazy("Full hours, at most 72."),
    )  # fmt: skip
    which = forms.ChoiceField(
        label=gettext_lazy("Outlets"),
        choices=[
            ("all", gettext_lazy("All outlets")), ("industry", gettext_lazy("Of an industry")),
            ("region", gettext_lazy("Of a division")), ("outlets", gettext_lazy("Chosen ones")),
        ],
    )  # fmt: skip
    industry = forms.ChoiceField(
        label=gettext_lazy("Industry"), required=False, choices=Enterprise.Industry.choices
    )
    region = forms.ChoiceField(label=gettext_lazy("Division"), required=False)
    outlets = _Outlets(
        None, label=gettext_lazy("Chosen outlets"), required=False,
        widget=forms.SelectMultiple(attrs={"size": 8}),
        help_text=gettext_lazy("Several with Ctrl or ⌘."),
    )  # fmt: skip
    weather = forms.ChoiceField(
        label=gettext_lazy("Weather"),
        choices=[
            ("stations", gettext_lazy("Own stations, for coming hours the weather forecast")),
            ("table", gettext_lazy("A table (CSV, Excel)")),
            ("grid", gettext_lazy("A gridded file (NetCDF, GRIB)")),
        ],
    )  # fmt: skip
    file = forms.FileField(
        label=gettext_lazy("File of weather"), required=False,
        widget=forms.FileInput(attrs={"accept": ".csv,.xlsx,.nc,.nc4,.grib,.grib2,.grb,.grb2"}),
        help_text=gettext_lazy("At most 200 MB. Hours before the first one are used too, six at most."),
    )  # fmt: skip
    names = forms.CharField(
        label=gettext_lazy("Names of the variables"), required=False, max_length=300,
        help_text=gettext_lazy("Of a gridded file, only where they are not found: u=NAME, v=, zi=, heat=, ustar=, temperature=, rain=, time=, latitude=, longitude="),
    )  # fmt: skip
    half_life = forms.FloatField(
        label=gettext_lazy("Half-life in the air (hours)"), required=False, min_value=0.1, max_value=1000,
        help_text=gettext_lazy("SO2: 4 hours in cities (HJ 2.2-2018). Empty: nothing is lost."),
    )  # fmt: skip
    deposition = forms.BooleanField(
        label=gettext_lazy("Dry deposition"), required=False,
        help_text=gettext_lazy("SO2 only: resistances of Wesely (1989)."),
    )  # fmt: skip
    washout = forms.BooleanField(
        label=gettext_lazy("Wash-out by rain"), required=False,
        help_text=gettext_lazy("SO2: Maul (1978); particles: Baklanov and Sørensen (2001); not for NO2 and CO."),
    )  # fmt: skip
    rain_mm = forms.FloatField(
        label=gettext_lazy("Rain where none is known (mm/h)"), required=False, min_value=0, max_value=100,
        help_text=gettext_lazy("Stations do not report rain. Empty: none."),
    )  # fmt: skip
    key = forms.CharField(required=False, widget=forms.HiddenInput, max_length=64)

    GROUPS = (
        ("hours", gettext_lazy("What and when"), ("factor", "period", "start", "end")),
        ("sources", gettext_lazy("Outlets"), ("which", "industry", "region", "outlets")),
        ("sky", gettext_lazy("Weather"), ("weather", "file", "names")),
        ("losses", gettext_lazy("What leaves the air"), ("half_life", "deposition", "washout", "rain_mm")),
    )  # fmt: skip

    def __init__(self, user: Any, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.user = user
        self.content: bytes | None = None
        self.kept = ""
        self.fields["factor"].choices = factors()  # type: ignore[attr-defined]
        self.fields["region"].choices = selectors.regions()  # type: ignore[attr-defined]
        self.fields["outlets"].queryset = selectors.outlets(user)  # type: ignore[attr-defined]

    @property
    def groups(self) -> list[tuple[str, Any, list[Any]]]:
        return [(key, title, [self[n] for n in names]) for key, title, names in self.GROUPS]

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        self._time(found)
        if found.get("which") == "outlets" and not found.get("outlets"):
            self.add_error("outlets", _("Choose one outlet or more."))
        if found.get("which") == "region" and not found.get("region"):
            self.add_error("region", _("No division has a registered air outlet."))
        self._weather(found)
        return found

    def _time(self, found: dict[str, Any]) -> None:
        now = selectors.now_hour()
        if found.get("period") == "coming":
            found |= {"start": now, "end": now + COMING * HOUR}
            reach = selectors.forecast_end(now)
            if found.get("weather") == "stations" and (reach is None or reach <= now):
                self.add_error("weather", _("No weather forecast reaches beyond now: the administrator hands one in (jingwei air weather FILE), or choose a file."))  # fmt: skip
            return
        start, end = found.get("start"), found.get("end")
        for name, value in (("start", start), ("end", end)):
            if not value and name not in self.errors:
                self.add_error(name, _("Give the time."))
        if not start or not end:
            return
        start, end = (m.replace(minute=0, second=0, microsecond=0) for m in (start, end))
        found |= {"start": start, "end": end}
        if end - start < timedelta(hours=1):
            self.add_error("end", _("The end must be an hour after the beginning or more."))
        elif end - start > LONGEST * HOUR:
            self.add_error("end", _("At most 72 hours: choose a shorter time."))
        elif end > now:
            self.add_error("end", _("These hours are not over yet."))

    def _weather(self, found: dict[str, Any]) -> None:
        kind = found.get("weather")
        if kind not in ("table", "grid"):
            return
        file = found.get("file")
        if file is not None:
            if file.size > scenes.LARGEST:
                self.add_error("file", _("The file is larger than 200 MB: cut out the area and the hours first."))  # fmt: skip
                return
            key, path = scenes.hold(file, self.user)
        else:
            key, held = found.get("key", ""), scenes.held(found.get("key", ""), self.user)
            if held is None:
                self.add_error("file", _("Choose the file."))
                return
            path = held
        found["file_name"] = path.name
        try:
            if kind == "table":
                self._table(found, path)
            else:
                self._grid(found, path)
        except (weather_tables.TableError, FieldError) as error:
            text = grid_words.why(error) if isinstance(error, FieldError) else str(error)
            self.add_error("file", _("The file cannot be used as weather: %s") % text)
            scenes.let_go(path)
            return
        self.content, self.kept = path.read_bytes(), path.name
        self.data = self.data.copy()
        self.data["key"] = key

    def _table(self, found: dict[str, Any], path: Path) -> None:
        given = weather_tables.read(path.read_bytes())
        start, end = found.get("start"), found.get("end")
        if (
            start
            and end
            and not any(start <= t < end and x.speed == x.speed for t, x in given.items())
        ):
            raise weather_tables.TableError(_("It has no wind of the chosen hours."))

    def _grid(self, found: dict[str, Any], path: Path) -> None:
        text = found.get("names", "").replace(",", " ")
        names = dict(p.partition("=")[::2] for p in text.split())
        if not all(names.values()) or set(names) - set(meteorology.NAMES):
            self.add_error("names", _("Write for example u=wind_east v=wind_north; known are %s.") % ", ".join(meteorology.NAMES))  # fmt: skip
            return
        found["names"] = names
        first = selectors.outlets(self.user).first()
        at = (first.longitude, first.latitude) if first else (116.4, 39.9)
        meteorology.read(path, Plane(*at), names=names or None)

    def asked_for(self) -> dict[str, Any]:
        """As `Dispersion.asked_for` keeps it."""
        told = self.cleaned_data
        out: dict[str, Any] = {"which": told["which"], "weather": told["weather"]}
        if told["which"] == "outlets":
            out["outlets"] = sorted(o.pk for o in told["outlets"])
        elif told["which"] != "all":
            out[told["which"]] = told[told["which"]]
        if told["weather"] != "stations":
            out["file_name"] = told["file_name"]
            if told["weather"] == "grid" and told["names"]:
                out["names"] = told["names"]
        out |= {k: told[k] for k in ("half_life", "deposition", "washout", "rain_mm")}
        return out


class InventoryForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("Table (CSV, Excel)"),
        widget=forms.FileInput(attrs={"accept": ".csv,.xlsx"}),
        help_text=gettext_lazy("One row for each outlet, pollutant and year; the template shows the columns."),
    )  # fmt: skip
