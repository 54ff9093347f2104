"""What the columns of a table are: the form of a mapping."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from jingwei.bureau.language import english
from jingwei.standards import codes
from jingwei.telemetry.tables import FORMATS

FIELDS = (
    ("", gettext_lazy("value")),
    ("Min", gettext_lazy("lowest value")),
    ("Max", gettext_lazy("highest value")),
    ("Cou", gettext_lazy("cumulative value")),
    ("ZsAvg", gettext_lazy("value, converted")),
    ("ZsMin", gettext_lazy("lowest value, converted")),
    ("ZsMax", gettext_lazy("highest value, converted")),
)
RESOLUTIONS = (
    ("realtime", pgettext_lazy("resolution", "Real-time")),
    ("minute", pgettext_lazy("resolution", "Minute")),
    ("hour", pgettext_lazy("resolution", "Hour")),
    ("day", pgettext_lazy("resolution", "Day")),
)
_CODE = re.compile(r"[0-9A-Za-z_.]{1,24}")


class MappingForm(forms.Form):
    """Device, time and kind of the rows; what each other column is stands in `columns`."""

    device_column = forms.ChoiceField(label=gettext_lazy("Device stands in column"), required=False)
    device = forms.CharField(
        label=gettext_lazy("or all rows are of the device"),
        required=False,
        max_length=80,
        help_text=gettext_lazy("device number (MN), station code or name of the point"),
    )
    st = forms.ChoiceField(label=gettext_lazy("System type"))
    resolution = forms.ChoiceField(label=gettext_lazy("Resolution"), choices=RESOLUTIONS)
    time_column = forms.ChoiceField(label=gettext_lazy("Time stands in column"))
    time_format = forms.ChoiceField(label=gettext_lazy("How times are written"), required=False)
    year = forms.IntegerField(
        label=gettext_lazy("Year, where the times have none"),
        required=False,
        min_value=1990,
        max_value=2100,
    )
    named_by_end = forms.BooleanField(
        label=gettext_lazy("A period is named by its end"), required=False
    )
    missing = forms.CharField(
        label=gettext_lazy("What means no value"),
        required=False,
        max_length=120,
        help_text=gettext_lazy(
            "several with spaces between them, such as -- NA; empty cells anyway"
        ),
    )

    def __init__(
        self,
        header: Sequence[str],
        systems: Sequence[tuple[str, str]],
        mapping: dict[str, Any],
        data: Any = None,
    ) -> None:
        super().__init__(data, initial=_initial(mapping))
        self.header = list(header)
        named = [(name, name) for name in self.header if name]
        self.fields["device_column"].choices = [("", "–"), *named]
        self.fields["time_column"].choices = [("", "–"), *named]
        self.fields["st"].choices = [("", "–"), *systems]
        formats = [*FORMATS, "%m-%d %H:%M"]
        given = mapping.get("time", {}).get("format") or ""
        formats += [given] if given and given not in formats else []
        self.fields["time_format"].choices = [
            ("", _("recognised by itself")), *((f, _shown(f)) for f in formats),
        ]  # fmt: skip
        self.columns = [
            self._column(i, name, mapping.get("factors", {}).get(name, {}))
            for i, name in enumerate(self.header)
            if name
        ]

    def _column(self, i: int, name: str, part: dict[str, Any]) -> dict[str, Any]:
        """One row of the table of columns, as it was typed or as the mapping has it."""
        typed = {
            key: self.data.get(f"{key}-{i}", "").strip()[:80]
            if self.is_bound
            else part.get(key, "")
            for key in ("code", "field", "scale", "flag")
        }
        return {"i": i, "name": name, "error": "", **typed, "scale": typed["scale"] or "1"}

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if not said.get("device_column") and not said.get("device"):
            self.add_error("device", _("Say in which column the device stands, or which it is."))
        if said.get("named_by_end") and said.get("resolution") == "realtime":
            self.add_error("named_by_end", _("A moment has no end."))
        if not any(column["code"] for column in self.columns):
            self.add_error(None, _("Say of at least one column which factor it is."))
        for column in self.columns:
            if not column["code"]:
                continue
            column["code"] = column["code"].split()[0]
            try:
                fine = Decimal(column["scale"]).is_finite() and Decimal(column["scale"]) > 0
            except InvalidOperation:
                fine = False
            if not _CODE.fullmatch(column["code"]):
                column["error"] = _("Wanted a factor's code, such as a21026.")
            elif not fine:
                column["error"] = _("The factor to multiply by must be a positive number.")
            elif column["field"] not in dict(FIELDS):
                column["error"] = _("Choose from the list.")
            elif column["flag"] and column["flag"] not in self.header:
                column["error"] = _("There is no such column.")
            elif column["name"] in (said.get("device_column"), said.get("time_column")):
                column["error"] = _("This column is the device or the time.")
        if any(column["error"] for column in self.columns):
            self.add_error(None, _("Some columns cannot be so; see the table of columns."))
        return said

    def mapping(self) -> dict[str, Any]:
        """What was said, as `tables` takes it."""
        said = self.cleaned_data
        device = (
            {"column": said["device_column"]}
            if said["device_column"]
            else {"value": said["device"].strip()}
        )
        time = {
            "column": said["time_column"],
            "format": said["time_format"],
            "named_by_end": said["named_by_end"],
        }
        return {
            "mn": device,
            "st": {"value": said["st"]},
            "time": time | ({"year": said["year"]} if said["year"] else {}),
            "resolution": said["resolution"],
            "missing": said["missing"].split(),
            "factors": {
                c["name"]: {k: c[k] for k in ("code", "field", "scale", "flag")}
                for c in self.columns
                if c["code"]
            },
        }


def _initial(mapping: dict[str, Any]) -> dict[str, Any]:
    time = mapping.get("time", {})
    return {
        "device_column": mapping.get("mn", {}).get("column", ""),
        "device": mapping.get("mn", {}).get("value", ""),
        "st": mapping.get("st", {}).get("value", ""),
        "resolution": mapping.get("resolution", "hour"),
        "time_column": time.get("column", ""),
        "time_format": time.get("format", ""),
        "year": time.get("year"),
        "named_by_end": time.get("named_by_end", False),
        "missing": " ".join(mapping.get("missing", ())),
    }


def _shown(pattern: str) -> str:
    """A pattern as an example."""
    for sign, text in (("%Y", "2026"), ("%m", "03"), ("%d", "10"), ("%H", "12"), ("%M", "00"),
                       ("%S", "00")):  # fmt: skip
        pattern = pattern.replace(sign, text)
    return pattern


def factor_choices() -> list[tuple[str, str]]:
    """Codes and names for the list beside a column."""
    language = "en" if english() else "zh-hans"
    return [(code, f.name(language)) for code, f in sorted(codes.factors("2017").items())]
