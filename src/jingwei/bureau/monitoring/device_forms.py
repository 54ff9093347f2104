"""Forms of the device pages."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from ipaddress import ip_network
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring import device_labels as labels
from jingwei.bureau.registry.models import Device, Outlet, Point, Region
from jingwei.hj212 import DIALECTS, Value, Values, command
from jingwei.hj212.catalogue import FIELDS
from jingwei.standards import codes
from jingwei.telemetry.keys import read_key

_ANY = [("", _("All"))]
# Told by the system, not typed: the time, the new key.
_OWN = frozenset(("SystemTime", "SKCreateTime", "NewSK"))
DIALECT_LABELS = {
    "lower": _("lower-case digits"),
    "unpadded": _("without leading zeros"),
    "modbus": "CRC-16/Modbus",
    "swapped": _("low byte first"),
    "modbus-swapped": _("CRC-16/Modbus, low byte first"),
    "ciphertext": _("over the ciphertext"),
}


class DeviceFilter(forms.Form):
    q = forms.CharField(label=_("Search"), required=False, max_length=80)
    state = forms.ChoiceField(
        label=_("State"), required=False, choices=[*_ANY, *labels.STATES.items()]
    )
    version = forms.ChoiceField(
        label=_("Protocol"), required=False, choices=[*_ANY, *[(v, v) for v in codes.VERSIONS]]
    )
    error = forms.CharField(label=_("Error"), required=False, max_length=60)
    region = forms.ChoiceField(label=_("Region"), required=False)

    def __init__(self, data: Any, regions: list[Any], errors: list[Any]) -> None:
        super().__init__(data)
        self.fields["region"].choices = [*_ANY, *regions]
        self.fields["error"].widget = forms.Select(choices=[*_ANY, *errors])


def _local(name: str) -> forms.DateTimeField:
    return forms.DateTimeField(
        label=labels.PARAMETERS[name],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"],
    )


class CommandForm(forms.Form):
    """The parameters of one command to one point, made from the protocol's own grammar."""

    def __init__(self, cn: str, point: Point, data: Any = None) -> None:
        super().__init__(data)
        self.cn, self.point = cn, point
        found = command(cn, point.version)
        shape = found.down if found else None
        self.known = shape is not None
        for name in shape.params if shape else ():
            if name in _OWN or (cn == "1072"):
                continue
            field = self._field(name)
            field.required = name in shape.required
            if name not in shape.required and name in ("PolId", "BeginTime", "EndTime"):
                # A log, or the real-time data of 2025, can be asked for of a span.
                if name == "PolId" or cn not in ("2011", "3020"):
                    continue
                field.initial = None
            self.fields[name] = field
        if shape and shape.items:
            self.fields["Info"] = forms.CharField(label=labels.PARAMETERS["Info"], max_length=200)
        if cn == "1072":
            self.fields["NewPW"] = forms.RegexField(
                r"^[0-9A-Za-z]{6}$",
                label=labels.PARAMETERS["NewPW"],
                help_text=_("Six digits or letters. The register takes it when the device has confirmed."),
                widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
                error_messages={"invalid": _("A device password has six digits or letters.")},
            )  # fmt: skip
        self.fields["reason"] = forms.CharField(
            label=_("Reason"), max_length=400, widget=forms.Textarea(attrs={"rows": 2})
        )

    def _field(self, name: str) -> forms.Field:
        label = labels.PARAMETERS.get(name, name)
        kind = FIELDS[name]
        if name == "PolId":
            version = self.point.version
            return forms.ChoiceField(
                label=label,
                choices=[(f, f"{factor_name(f, version)} {f}") for f in self.point.factors],
            )
        if name in ("BeginTime", "EndTime"):
            hour = timezone.localtime().replace(minute=0, second=0, microsecond=0)
            field = _local(name)
            field.initial = hour - timedelta(hours=24 if name == "BeginTime" else 1)
            return field
        if name == "InfoId":
            choices = labels.informations(self.cn, self.point.version)
            return forms.ChoiceField(label=label, choices=choices)
        if name == "CalibrationType":
            return forms.ChoiceField(
                label=label, choices=[("0", _("zero point")), ("1", _("span"))]
            )
        if kind.kind == "integer" and kind.among:
            return forms.TypedChoiceField(
                label=label, coerce=int, choices=[(n, n) for n in sorted(kind.among)]
            )
        if kind.kind == "integer":
            return forms.IntegerField(label=label, min_value=kind.low, max_value=kind.high)
        if kind.kind in ("clock", "hhmm"):
            return forms.TimeField(label=label, widget=forms.TimeInput(attrs={"type": "time"}))
        return forms.CharField(label=label, max_length=80)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        first, last = cleaned.get("BeginTime"), cleaned.get("EndTime")
        if first and last:
            if last < first:
                self.add_error("EndTime", _("The time ends before it begins."))
            elif last - first > timedelta(days=366):
                self.add_error("EndTime", _("At most a year can be asked for at once."))
        return cleaned

    def wanted(self) -> tuple[dict[str, Values], tuple[tuple[str, dict[str, Value]], ...]]:
        """Parameters and items, typed as the protocol wants them."""
        params: dict[str, Values] = {}
        for name, value in self.cleaned_data.items():
            if name in ("reason", "Info") or value in (None, ""):
                continue
            if isinstance(value, time):
                value = value.replace(microsecond=0)
            if isinstance(value, datetime):
                value = value.replace(second=0, microsecond=0)
            integer = FIELDS[name].kind == "integer"
            params[name] = int(value) if integer else value
        if self.cn == "1072" and self.point.version == "2005":
            params = {"PW": params["NewPW"]}
        items: tuple[tuple[str, dict[str, Value]], ...] = ()
        if "Info" in self.cleaned_data:
            items = ((str(params["InfoId"]), {"Info": self.cleaned_data["Info"]}),)
        return params, items


class _Networks(forms.CharField):
    """Networks as people write them, one a line."""

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:
        found = []
        for text in re.findall(r"[^\s,;，；]+", value or ""):
            try:
                found.append(str(ip_network(text, strict=False)))
            except ValueError:
                raise forms.ValidationError(
                    _("%(text)s is no network; wanted 10.1.0.0/16 or 192.0.2.7") % {"text": text}
                ) from None
        return list(dict.fromkeys(found))


class SettingsForm(forms.Form):
    """What the register says of a logger."""

    version = forms.ChoiceField(
        label=_("Protocol"), choices=[(v, f"HJ 212-{v}") for v in codes.VERSIONS]
    )
    password = forms.CharField(
        label=_("New password"),
        required=False,
        max_length=9,
        help_text=_("Leave empty to keep the present one. Only for what was changed at the device itself: the command \"Set access password\" changes both."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )  # fmt: skip
    networks = _Networks(
        label=_("Allowed networks"),
        required=False,
        help_text=_("One a line, for example 10.1.0.0/16. Empty: from any address."),
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    dialects = forms.MultipleChoiceField(
        label=_("Accepted deviations of the check sum"),
        required=False,
        choices=[(d, DIALECT_LABELS[d]) for d in DIALECTS],
        help_text=_("The check sum of the standard is always accepted."),
        widget=forms.CheckboxSelectMultiple,
    )
    key = forms.CharField(
        label=_("SM4 key"),
        required=False,
        max_length=40,
        help_text=_("32 hexadecimal digits or 16 characters, as registered with the ministry's host. Leave empty to keep what is there; it is never shown."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )  # fmt: skip
    form = forms.ChoiceField(label=_("Form of ciphertext"), choices=Device.Form.choices)
    pull = forms.BooleanField(
        label=_("Pull missing data by itself"),
        required=False,
        help_text=_("Hours and days that did not come are asked for, slowly and a few times."),
    )
    pull_from = forms.IntegerField(label=_("Pull from (hour)"), min_value=0, max_value=23)
    pull_until = forms.IntegerField(label=_("Pull until (hour)"), min_value=1, max_value=24)

    def clean_password(self) -> str:
        password = str(self.cleaned_data["password"])
        if re.search(r"[;,=&#\s]", password):
            raise forms.ValidationError(_("A password has no space and none of ; , = & #"))
        return password

    def clean_key(self) -> str:
        key = str(self.cleaned_data["key"])
        if key:
            try:
                read_key(key)
            except ValueError:
                raise forms.ValidationError(
                    _("An SM4 key has 32 hexadecimal digits, or 16 printable characters.")
                ) from None
        return key

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("key") and cleaned.get("version") != "2025":
            self.add_error("key", _("Only devices of HJ 212-2025 encrypt."))
        if cleaned.get("pull_until", 24) <= cleaned.get("pull_from", 0):
            self.add_error("pull_until", _("The end must lie after the beginning."))
        return cleaned


class AdoptForm(forms.Form):
    """A point for a device that was unknown."""

    name = forms.CharField(label=_("Name"), max_length=80)
    kind = forms.ChoiceField(label=_("Kind"), choices=Point.Kind.choices)
    outlet = forms.ModelChoiceField(
        label=_("Outlet"),
        queryset=Outlet.objects.none(),
        required=False,
        help_text=_("For a pollution source."),
    )
    region = forms.ModelChoiceField(
        label=_("Region"), queryset=Region.objects.none(), required=False,
        help_text=_("For a station; a source has its enterprise's."),
    )  # fmt: skip
    longitude = forms.FloatField(
        label=_("Longitude"), min_value=-180, max_value=180, required=False,
        help_text=_("Empty: that of the outlet."),
    )  # fmt: skip
    latitude = forms.FloatField(label=_("Latitude"), min_value=-90, max_value=90, required=False)
    st = forms.ChoiceField(label=pgettext_lazy("protocol", "System type (ST)"))
    version = forms.ChoiceField(
        label=_("Protocol"), choices=[(v, f"HJ 212-{v}") for v in codes.VERSIONS]
    )
    factors = forms.MultipleChoiceField(
        label=_("Factors"), widget=forms.CheckboxSelectMultiple, required=False
    )
    password = forms.CharField(
        label=_("Password"),
        required=False,
        max_length=9,
        help_text=_("Empty: the one that the device sends."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, stranger: Any, data: Any = None, **more: Any) -> None:
        version = stranger.version if stranger.version in codes.VERSIONS else "2017"
        super().__init__(data, **more)
        self.fields["outlet"].queryset = Outlet.objects.select_related("enterprise").order_by(
            "enterprise__name", "code"
        )
        self.fields["outlet"].label_from_instance = lambda o: f"{o.enterprise.name} · {o}"
        self.fields["region"].queryset = Region.objects.defer("geometry").exclude(parent=None)
        self.fields["region"].label_from_instance = lambda r: r.label
        self.fields["st"].choices = [
            (st, f"{st} {found.zh if found else ''}".strip())
            for st in stranger.seen.get("st", ())
            for found in [codes.system(st, version)]
        ]
        self.fields["factors"].choices = [
            (f, f"{factor_name(f, version)} {f}") for f in stranger.seen.get("factors", ())
        ]
        self.fields["version"].initial = version
        self.fields["factors"].initial = list(stranger.seen.get("factors", ()))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        outlet = cleaned.get("outlet")
        if cleaned.get("kind") == Point.Kind.SOURCE:
            if outlet is None:
                self.add_error("outlet", _("Choose the outlet that the device watches."))
                return cleaned
            cleaned["region"] = outlet.enterprise.region
            for name in ("longitude", "latitude"):
                if cleaned.get(name) is None:
                    cleaned[name] = getattr(outlet, name)
        else:
            cleaned["outlet"] = None
            for name in ("region", "longitude", "latitude"):
                if cleaned.get(name) is None and name not in self.errors:
                    self.add_error(name, _("A station needs this."))
        return cleaned
