"""The form of a finding of each kind: what a person, a file or another system may say.

One form checks all three, so a row of an import or a request of a system is refused for the same
reasons, in the same words, as a page.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jingwei.bureau.findings.files import FilesField
from jingwei.bureau.findings.kinds import SCENARIOS, Input, Scenario
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.registry.models import Enterprise, Point, Region
from jingwei.standards import codes, geo

AHEAD = timedelta(minutes=10)  # clocks differ
DATUMS = (
    ("wgs84", gettext_lazy("WGS-84 / CGCS2000 (GPS, Tianditu)")),
    ("gcj02", gettext_lazy("GCJ-02 (AMap, Tencent)")),
    ("bd09", gettext_lazy("BD-09 (Baidu)")),
)
NO_DEGREES = {"invalid": gettext_lazy("Write degrees as a decimal number, such as 116.397.")}


class Desk:
    """Who files, and what is looked up for each finding: once for a whole import."""

    def __init__(self, user: Any) -> None:
        self.user = user

    @cached_property
    def regions(self) -> list[Region]:
        """Regions of the user's jurisdiction, the smallest first; the city itself, which has
        regions below it, is no place."""
        areas = None if self.user.is_superuser else self.user.areas()
        parents = set(Region.objects.exclude(parent=None).values_list("parent", flat=True))
        rows = Region.objects.exclude(pk__in=parents)
        return list(rows if areas is None else rows.filter(pk__in=areas))

    def region_at(self, longitude: float, latitude: float) -> Region | None:
        return next(
            (r for r in self.regions if geo.contains(r.geometry, longitude, latitude)), None
        )


def _factor(text: str) -> str:
    """The code of a factor given by its code or one of its names; `ValidationError`."""
    if codes.factor(text):
        return text
    wanted = text.casefold()
    for code, factor in codes.factors().items():
        if wanted in (factor.name("zh-hans").casefold(), factor.name("en").casefold()):
            return code
    raise ValidationError(_("“%s” is no factor of HJ 524 or HJ 525.") % text)


class FactorField(forms.CharField):
    def clean(self, value: Any) -> str:
        text = super().clean(value).strip()
        return _factor(text) if text else ""


class MomentField(forms.DateTimeField):
    """A time, also as it is written in Chinese (2026年1月31日 8:00)."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"})
    default_error_messages = {
        "invalid": gettext_lazy("This is no time: write it as 2026-01-31 08:00."),
    }
    written = str.maketrans("年月日", "-- ")

    def to_python(self, value: Any) -> datetime | None:
        if isinstance(value, str) and "年" in value:
            value = value.translate(self.written).strip()
        return super().to_python(value)


def _field(asked: Input) -> forms.Field:
    options: dict[str, Any] = {
        "label": asked.caption,
        "required": asked.required,
        "help_text": asked.help,
    }
    match asked.kind:
        case "number":
            widget = forms.NumberInput(attrs={"step": "any"})
            return forms.FloatField(min_value=-1e15, max_value=1e15, widget=widget, **options)
        case "choice":
            return forms.ChoiceField(choices=[("", "—"), *asked.choices], **options)
        case "factor":
            return FactorField(max_length=60, **options)
        case "line":
            return forms.CharField(max_length=1000 if asked.name == "said" else 200, **options)
    raise ValueError(f"input {asked.name}: unknown kind {asked.kind!r}")


class FindingForm(forms.Form):
    """A finding of one kind. After `is_valid()`: `said` are the values for `services.notice`."""

    title = forms.CharField(
        label=gettext_lazy("Title"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Left empty: made from kind and place."),
    )
    began = MomentField(label=gettext_lazy("Began"))
    ended = MomentField(label=gettext_lazy("Last noticed"), required=False)
    address = forms.CharField(label=gettext_lazy("Address"), max_length=200, required=False)
    longitude = forms.FloatField(
        label=gettext_lazy("Longitude"),
        widget=forms.NumberInput(attrs={"step": "any"}),
        error_messages=NO_DEGREES,
    )
    latitude = forms.FloatField(
        label=gettext_lazy("Latitude"),
        widget=forms.NumberInput(attrs={"step": "any"}),
        error_messages=NO_DEGREES,
    )
    datum = forms.ChoiceField(
        label=gettext_lazy("Coordinates are in"), choices=DATUMS, required=False
    )
    region = forms.CharField(label=gettext_lazy("District"), max_length=60, required=False)
    enterprise = forms.CharField(
        label=gettext_lazy("Enterprise"),
        max_length=120,
        required=False,
        help_text=gettext_lazy("Unified social credit code or full name; empty where unknown."),
    )
    point = forms.CharField(
        label=gettext_lazy("Point"),
        max_length=40,
        required=False,
        help_text=gettext_lazy("Device number and system type, such as 0123…-31."),
    )
    severity = forms.TypedChoiceField(
        label=gettext_lazy("Severity"), choices=Finding.Severity.choices, coerce=int, required=False
    )
    confidence = forms.CharField(label=gettext_lazy("How sure"), max_length=200, required=False)
    innocent = forms.CharField(
        label=gettext_lazy("Innocent explanations"),
        max_length=1000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("One a line: what else it could be."),
    )
    next_check = forms.CharField(
        label=gettext_lazy("What to check next"), max_length=300, required=False
    )

    def __init__(
        self, kind: str, desk: Desk, *args: Any, uploads: bool = True, **options: Any
    ) -> None:
        self.scenario: Scenario = SCENARIOS[kind]
        self.desk = desk
        self.extra: dict[str, Any] = {}  # facts that no input asks for: a series to be drawn
        super().__init__(*args, **options)
        self.fields["region"].widget = forms.Select(
            choices=[("", _("By the place on the map")), *((r.pk, r.label) for r in desk.regions)]
        )
        if not self.scenario.point:
            del self.fields["point"]
        for asked in self.scenario.inputs:
            self.fields[asked.name] = _field(asked)
        if uploads:
            self.fields["files"] = FilesField(
                photos=False, label=_("Photos and documents"), required=False
            )

    def _group(self, names: Iterator[str] | tuple[str, ...]) -> list[forms.BoundField]:
        return [self[name] for name in names if name in self.fields]

    @property
    def what(self) -> list[forms.BoundField]:
        return [self[asked.name] for asked in self.scenario.inputs]

    @property
    def about(self) -> list[forms.BoundField]:
        return self._group(("title", "began", "ended", "enterprise", "point"))

    @property
    def where(self) -> list[forms.BoundField]:
        return self._group(("address", "region", "datum", "longitude", "latitude"))

    @property
    def weight(self) -> list[forms.BoundField]:
        return self._group(("severity", "confidence", "innocent", "next_check", "files"))

    def clean_region(self) -> Region | None:
        text = self.cleaned_data["region"].strip()
        if not text:
            return None
        for region in self.desk.regions:
            if text in (region.code, region.name, region.name_en):
                return region
        raise ValidationError(_("“%s” is no district of your area.") % text)

    def clean_enterprise(self) -> Enterprise | None:
        text = self.cleaned_data["enterprise"].strip()
        if not text:
            return None
        seen = Enterprise.objects.restrict(self.desk.user, "enterprise.view")
        found = list(seen.filter(uscc=text.upper())[:1]) or list(seen.filter(name=text)[:2])
        if len(found) != 1:
            raise ValidationError(
                _("“%s” is no enterprise of your area; give its code or its full name.") % text
            )
        return found[0]

    def clean_point(self) -> Point | None:
        text = self.cleaned_data["point"].strip()
        if not text:
            return None
        mn, _dash, st = text.rpartition("-")
        seen = Point.objects.restrict(self.desk.user, "point.view")
        found = seen.filter(mn=mn, st=st).select_related("outlet__enterprise").first()
        if found is None:
            raise ValidationError(_("“%s” is no point of your area.") % text)
        return found

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        began, ended = said.get("began"), said.get("ended")
        for name, moment in (("began", began), ("ended", ended)):
            if moment and moment > timezone.now() + AHEAD:
                self.add_error(name, _("This time has not come yet."))
        if began and ended and ended < began:
            self.add_error("ended", _("It cannot end before it begins."))
        self._clean_place(said)
        enterprise, point = said.get("enterprise"), said.get("point")
        if point and enterprise and point.enterprise and point.enterprise != enterprise:
            self.add_error("point", _("The point belongs to another enterprise."))
        return said

    def _clean_place(self, said: dict[str, Any]) -> None:
        longitude, latitude = said.get("longitude"), said.get("latitude")
        if longitude is None or latitude is None:
            return
        datum = said.get("datum") or "wgs84"
        try:
            place = geo.to_wgs84(longitude, latitude, datum)
        except ValueError:
            if self._at(latitude, longitude, datum):
                text = _("Longitude and latitude are exchanged.")
            else:
                text = _(
                    "No place in this datum: longitude -180 to 180, latitude -90 to 90, in degrees."
                )
            self.add_error("longitude", text)
            return
        said["longitude"], said["latitude"] = place
        if said.get("region") is None and "region" not in self.errors:
            said["region"] = self.desk.region_at(*place)
            if said["region"] is None:
                self.add_error("longitude", _("The place is outside of your area."))

    def _at(self, longitude: float, latitude: float, datum: str) -> Region | None:
        try:
            return self.desk.region_at(*geo.to_wgs84(longitude, latitude, datum))
        except ValueError:
            return None

    @property
    def said(self) -> dict[str, Any]:
        """The values for `services.notice`, but kind and episode."""
        data = self.cleaned_data
        point = data.get("point")
        facts = {
            asked.name: data[asked.name]
            for asked in self.scenario.inputs
            if data[asked.name] not in (None, "")
        } | self.extra
        region = data["region"]
        return {
            "title": data["title"] or self._title(region),
            "region": region,
            "enterprise": data["enterprise"] or (point.enterprise if point else None),
            "point": point,
            "longitude": data["longitude"],
            "latitude": data["latitude"],
            "address": data["address"],
            "began": data["began"],
            "ended": data["ended"] or data["began"],
            "severity": data["severity"] or self.scenario.severity,
            "confidence": data["confidence"],
            "facts": facts,
            "innocent": [line.strip() for line in data["innocent"].splitlines() if line.strip()],
            "next_check": data["next_check"],
        }

    def _title(self, region: Region) -> str:
        where = self.cleaned_data["enterprise"] or self.cleaned_data["address"] or region.name
        return _("%(where)s: %(kind)s") % {"where": where, "kind": self.scenario.kind.label}


def starting(kind: str) -> dict[str, Any]:
    """What a new form says before somebody has written anything."""
    scenario = SCENARIOS[kind]
    return {
        "began": timezone.localtime().strftime("%Y-%m-%dT%H:%M"),
        "severity": scenario.severity,
        "datum": "wgs84",
        "innocent": "\n".join(str(text) for text in scenario.innocent),
        "next_check": str(scenario.check),
    }
