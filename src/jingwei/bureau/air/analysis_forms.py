"""What to analyse: read from the address, so that a page can be sent to a colleague."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from jingwei.bureau.air.readings import DIRECTION, SPEED, offered
from jingwei.bureau.air.trend import default_step
from jingwei.bureau.air.yearly import name as item_name
from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring import selectors as monitoring
from jingwei.bureau.monitoring.observations import current_code
from jingwei.bureau.registry.models import Point
from jingwei.standards import evaluation, geo

DEFAULT = 30  # days
MOST = 4  # factors in one picture
AVERAGES = [
    ("hour", pgettext_lazy("averaging", "Hour")),
    ("day", pgettext_lazy("averaging", "Day")),
    ("day8", gettext_lazy("Day, ozone as largest 8-hour mean")),
    ("week", pgettext_lazy("averaging", "Week")),
    ("month", pgettext_lazy("averaging", "Month")),
]


class _Day(forms.DateField):
    widget = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})


class _Point(forms.ModelChoiceField):
    def label_from_instance(self, obj: Point) -> str:
        if obj.outlet_id and obj.outlet is not None:
            return f"{obj.outlet.enterprise.name} · {obj.name}"
        return f"{obj.name} · {obj.region.label}"


class PeriodForm(forms.Form):
    """Point and period. What the address lacks is filled in; what it has stays as it was typed.

    The list offers the air stations; an outlet comes by its address, from its own page.
    """

    longest = 366  # days
    span = DEFAULT
    stations_only = False

    point = _Point(None, label=pgettext_lazy("analysis", "Station or point"))
    start = _Day(label=gettext_lazy("From"))
    end = _Day(label=gettext_lazy("To"))

    def __init__(self, user: Any, asked: QueryDict, today: date) -> None:
        data = asked.copy()
        points = monitoring.points(user, "air.view").filter(enabled=True)
        listed = points.filter(kind=Point.Kind.AIR_STATION)
        if not self.stations_only and data.get("point", "").isdecimal():
            listed = listed | points.filter(pk=int(data["point"]))
        listed = listed.order_by("kind", "name")
        if "point" not in data and (first := listed.first()):
            data["point"] = str(first.pk)
        if "end" not in data:
            data["end"] = today.isoformat()
        if "start" not in data:
            data["start"] = (today - timedelta(days=self.span - 1)).isoformat()
        self.asked = asked
        super().__init__(data)
        self.fields["point"].queryset = listed  # type: ignore[attr-defined]
        self.today = today

    def chosen(self) -> Point | None:
        """The point before anything else is looked at: it says which factors there are."""
        text = self.data.get("point", "")
        field = self.fields["point"]
        return field.queryset.filter(pk=int(text)).first() if text.isdecimal() else None  # type: ignore[attr-defined]

    def others(self) -> list[tuple[str, str]]:
        """What the address says that this page does not ask: it is kept for the other pages."""
        return [
            (name, value)
            for name, values in self.asked.lists()
            if name not in self.fields
            for value in values
        ]

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or self.cleaned_data
        start, end = found.get("start"), found.get("end")
        if start and end:
            if end < start:
                self.add_error("end", _("The end lies before the beginning."))
            elif start > self.today:
                self.add_error("start", _("The period has not begun yet."))
            elif (end - start).days >= self.longest:
                self.add_error(
                    "end",
                    _("At most %d days on this page: choose a shorter period.") % self.longest,
                )
        return found


class FactorForm(PeriodForm):
    """With one factor."""

    factor = forms.ChoiceField(label=gettext_lazy("Factor"))

    def __init__(self, user: Any, asked: QueryDict, today: date) -> None:
        super().__init__(user, asked, today)
        codes = self.codes()
        if "factor" not in self.data and codes:
            self.data["factor"] = codes[0]
        for code in self.data.getlist("factor"):
            if code not in codes:
                codes.append(code)
        self.fields["factor"].choices = [(c, factor_name(c)) for c in codes]  # type: ignore[attr-defined]

    def codes(self) -> list[str]:
        point = self.chosen()
        return offered(point) if point else []


class TimeForm(FactorForm):
    """With up to `MOST` factors and the averaging."""

    factor = forms.MultipleChoiceField(
        label=gettext_lazy("Factors"), widget=forms.CheckboxSelectMultiple
    )
    average = forms.ChoiceField(label=gettext_lazy("Averaging"), choices=AVERAGES)

    def __init__(self, user: Any, asked: QueryDict, today: date) -> None:
        super().__init__(user, asked, today)
        self.data.setdefault("average", "hour")

    def clean_factor(self) -> list[str]:
        found: list[str] = self.cleaned_data["factor"]
        if len(found) > MOST:
            raise forms.ValidationError(_("At most %d factors in one picture.") % MOST)
        return found


class _Wind(forms.ModelChoiceField):
    def label_from_instance(self, obj: Point) -> str:
        return f"{obj.name} · {obj.region.label}"


class WindForm(FactorForm):
    """With the station whose wind is taken and the quantile of the CPF.

    Without a choice the wind is the point's own where it sends some, else that of the nearest
    station that does.
    """

    wind = _Wind(None, label=gettext_lazy("Wind of"), required=False)
    quantile = forms.TypedChoiceField(
        label=gettext_lazy("High values from"),
        coerce=float,
        choices=[
            (q, format_lazy("{} %", round(100 * float(q)))) for q in ("0.5", "0.75", "0.9", "0.95")
        ],
    )

    def __init__(self, user: Any, asked: QueryDict, today: date) -> None:
        super().__init__(user, asked, today)
        self.data.setdefault("quantile", "0.75")
        field = self.fields["wind"]
        blowing = [p.pk for p in windy(user)]
        field.queryset = (  # type: ignore[attr-defined]
            monitoring.points(user, "air.view").filter(pk__in=blowing).order_by("name")
        )
        self.user = user
        field.empty_label = _("Own or nearest")  # type: ignore[attr-defined]

    def source(self) -> Point | None:
        """Whose wind is taken; None where nobody sends wind."""
        chosen: Point | None = self.cleaned_data["wind"]
        return chosen or nearest_wind(self.user, self.cleaned_data["point"])


def windy(user: Any) -> list[Point]:
    """The air stations that send wind."""
    stations = monitoring.points(user, "air.view").filter(kind=Point.Kind.AIR_STATION, enabled=True)
    return [p for p in stations if has_wind(p)]


def nearest_wind(user: Any, point: Point) -> Point | None:
    """The point itself where it sends wind, else the nearest station that does."""
    if has_wind(point):
        return point
    return min(windy(user), key=lambda p: away(p, point), default=None)


def has_wind(point: Point) -> bool:
    return {SPEED, DIRECTION} <= {current_code(f, point.version) for f in point.factors}


def away(one: Point, other: Point) -> float:
    """Metres between two points."""
    return geo.distance((one.longitude, one.latitude), (other.longitude, other.latitude))


class TrendForm(FactorForm):
    """With the means whose trend is sought, the season and the weather."""

    longest = 3660
    span = 366
    by_hour = 366

    step = forms.ChoiceField(
        label=gettext_lazy("Averaging"),
        choices=[
            ("day", pgettext_lazy("averaging", "Day")),
            ("week", pgettext_lazy("averaging", "Week")),
            ("month", pgettext_lazy("averaging", "Month")),
        ],
    )
    season = forms.ChoiceField(
        label=gettext_lazy("Season"),
        choices=[("out", gettext_lazy("Taken out")), ("in", gettext_lazy("Left in"))],
    )
    weather = forms.ChoiceField(
        label=gettext_lazy("Weather"),
        choices=[("in", gettext_lazy("Left in")), ("out", gettext_lazy("Taken out"))],
    )

    def __init__(self, user: Any, asked: QueryDict, today: date) -> None:
        super().__init__(user, asked, today)
        self.data.setdefault("season", "out")
        self.data.setdefault("weather", "in")
        if "step" not in self.data:
            try:
                span = date.fromisoformat(self.data["end"]) - date.fromisoformat(self.data["start"])
            except ValueError:
                span = timedelta(0)
            self.data["step"] = default_step(span.days + 1)

    def clean(self) -> dict[str, Any]:
        found = super().clean()
        start, end = found.get("start"), found.get("end")
        if start and end and not self.errors:
            days = (end - start).days + 1
            if found.get("weather") == "out" and days > self.by_hour:
                self.add_error("weather", _("The weather is taken out of at most %d days: choose a shorter period.") % self.by_hour)  # fmt: skip
            if found.get("step") == "day" and days > self.by_hour:
                self.add_error("step", _("Daily means of at most %d days: choose weeks or months.") % self.by_hour)  # fmt: skip
        return found


class WaysForm(FactorForm):
    """With how far back, how often, how many clusters, and the cells of the maps."""

    longest = 93
    stations_only = True
    most = 800  # ways; their distances grow with the square

    back = forms.TypedChoiceField(
        label=gettext_lazy("Hours back"),
        coerce=int,
        choices=[(n, format_lazy("{} h", n)) for n in (6, 12, 24, 48)],
    )
    every = forms.TypedChoiceField(
        label=gettext_lazy("Arrivals every"),
        coerce=int,
        choices=[(n, format_lazy("{} h", n)) for n in (1, 3, 6)],
    )
    method = forms.ChoiceField(
        label=gettext_lazy("Alike by"),
        choices=[
            ("angle", gettext_lazy("Direction (angle)")),
            ("euclid", gettext_lazy("Direction and speed (Euclid)")),
        ],
    )
    clusters = forms.TypedChoiceField(
        label=gettext_lazy("Clusters"), coerce=int, choices=[(n, str(n)) for n in range(2, 9)]
    )
    quantile = forms.TypedChoiceField(
        label=gettext_lazy("High values from"),
        coerce=float,
        choices=[
            (q, format_lazy("{} %", round(100 * float(q)))) for q in ("0.5", "0.75", "0.9", "0.95")
        ],
    )
    size = forms.TypedChoiceField(
        label=gettext_lazy("Cells"),
        coerce=int,
        choices=[(n, format_lazy("{} km", n)) for n in (5, 10, 20)],
    )

    def __init__(self, user: Any, asked: QueryDict, today: date) -> None:
        super().__init__(user, asked, today)
        usual = {"back": "12", "every": "3", "method": "angle", "clusters": "4", "quantile": "0.75"}
        for name, value in {**usual, "size": "5"}.items():
            self.data.setdefault(name, value)

    def clean(self) -> dict[str, Any]:
        found = super().clean()
        start, end, every = found.get("start"), found.get("end"), found.get("every")
        if start and end and every and not self.errors:
            ways = 24 * ((end - start).days + 1) // every
            if ways > self.most:
                self.add_error("every", _("%(n)d ways, at most %(most)d: choose a shorter period or fewer arrivals.") % {"n": ways, "most": self.most})  # fmt: skip
        return found


class TaylorForm(FactorForm):
    """With what is compared, and of which hours ahead."""

    longest = 93
    stations_only = True

    compare = forms.ChoiceField(
        label=gettext_lazy("Compare"),
        choices=[
            ("lead", gettext_lazy("Forecast by hours ahead")),
            ("station", gettext_lazy("Forecast by station")),
            ("stations", gettext_lazy("Other stations with this one")),
        ],
    )
    ahead = forms.ChoiceField(
        label=gettext_lazy("Hours ahead"),
        choices=[(s, s.replace("-", "–")) for s in ("1-6", "7-12", "13-24", "25-48", "1-48")],
    )

    def __init__(self, user: Any, asked: QueryDict, today: date) -> None:
        super().__init__(user, asked, today)
        self.data.setdefault("compare", "lead")
        self.data.setdefault("ahead", "1-48")


class YearForm(forms.Form):
    """Year, and the pollutant by which the stations are listed."""

    year = forms.TypedChoiceField(label=gettext_lazy("Year"), coerce=int)
    item = forms.ChoiceField(label=gettext_lazy("Pollutant"))

    def __init__(self, asked: QueryDict, today: date) -> None:
        data = asked.copy()
        data.setdefault("year", str(today.year))
        data.setdefault("item", "pm25")
        self.asked, self.today = asked, today
        super().__init__(data)
        years = range(today.year, 2012, -1)
        self.fields["year"].choices = [(str(y), str(y)) for y in years]  # type: ignore[attr-defined]
        self.fields["item"].choices = [(i, item_name(i)) for i in evaluation.ITEMS]  # type: ignore[attr-defined]

    def others(self) -> list[tuple[str, str]]:
        return [(n, v) for n, vs in self.asked.lists() if n not in self.fields for v in vs]
