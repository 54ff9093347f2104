"""What a permit permits, line by line, as people type it or a file brings it.

A line is a limit (hourly or daily mean) or an amount (rate, month, year). It is checked here with
the same words whether it comes from the form or from a file; nothing is guessed: a line without a
period, with an unknown factor or a unit of another kind is refused with what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jingwei.bureau.language import factor_name
from jingwei.bureau.registry.models import Medium, Outlet, PermitAmount, PermitLimit
from jingwei.standards import codes, units

WHOLE = "*"  # stands for the whole enterprise where an outlet is asked for
MOST = 400  # lines of one permit
PERIODS = (*PermitLimit.Period.choices, *PermitAmount.Period.choices)
WANTED = {"rate": "kg/h", "month": "kg", "year": "kg"}


@dataclass(frozen=True, slots=True)
class Line:
    """One limit or amount; `outlet` is its code, `WHOLE` for the enterprise."""

    outlet: str
    factor: str
    period: str
    value: Decimal
    unit: str
    reference_o2: float | None = None
    lower: bool = False
    source: str = ""
    verified: str = "verified"

    @property
    def key(self) -> tuple[str, str, str, bool]:
        return self.outlet, self.factor, self.period, self.lower

    @property
    def amount(self) -> bool:
        return self.period in WANTED


def line_of(row: PermitLimit | PermitAmount) -> Line:
    """A stored limit or amount as a line."""
    limit = row if isinstance(row, PermitLimit) else None
    return Line(
        outlet=row.outlet.code if row.outlet else WHOLE,
        factor=row.factor,
        period=str(row.period),
        value=row.value.normalize(),
        unit=codes.symbol(row.unit),
        reference_o2=limit.reference_o2 if limit else None,
        lower=limit.lower if limit else False,
        source=row.source,
        verified=str(row.verified),
    )


def plain_unit(unit: str) -> str:
    """A unit's symbol; a mass "a year" or "a month" is the mass: the period says the rest.

    >>> plain_unit("t/a"), plain_unit("毫克/立方米"), plain_unit("kg/h")
    ('t', 'mg/m³', 'kg/h')
    """
    text = unit.strip()
    for end in ("/a", "/年", "/月", "/m", "/y", "/month", "/year"):
        text = text.removesuffix(end) if not text.endswith(("mg/m", "g/m")) else text
    return codes.symbol(
        {"吨": "t", "千克": "kg", "公斤": "kg", "千克/小时": "kg/h"}.get(text, text)
    )


@cache
def _names() -> dict[str, str]:
    """Chinese and English names of the factors of HJ 212-2017, lower case, with their codes."""
    found: dict[str, str] = {}
    for code, factor in codes.factors("2017").items():
        for name in (factor.zh, factor.en):
            if name:
                found.setdefault(name.lower(), code)
    return found


def factor_code(text: str) -> str:
    """The code for a code or a name of HJ 212-2017; "" where there is none."""
    asked = text.strip().split(" ")[0] if codes.factor(text.strip().split(" ")[0]) else text.strip()
    if codes.factor(asked):
        return asked
    return _names().get(asked.lower(), "")


class LineForm(forms.Form):
    """One line. `outlets`: those of the enterprise, by code. The line is in `.line` once valid."""

    outlet = forms.ChoiceField(label=gettext_lazy("Outlet"), required=False)
    factor = forms.CharField(
        label=gettext_lazy("Factor"),
        max_length=60,
        widget=forms.TextInput(attrs={"list": "factors", "size": 10}),
    )
    period = forms.ChoiceField(
        label=gettext_lazy("Period"), choices=[("", "—"), *PERIODS], required=False
    )
    value = forms.DecimalField(
        label=gettext_lazy("Limit"), min_value=0, max_digits=14, decimal_places=6,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "size": 7}),
    )  # fmt: skip
    unit = forms.CharField(
        label=gettext_lazy("Unit"), max_length=16, required=False,
        widget=forms.TextInput(attrs={"list": "units", "size": 6}),
    )  # fmt: skip
    reference_o2 = forms.FloatField(
        label=gettext_lazy("Reference oxygen (%)"), required=False,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "size": 3}),
    )  # fmt: skip
    lower = forms.BooleanField(label=gettext_lazy("Lower bound"), required=False)
    source = forms.CharField(
        label=gettext_lazy("Source"), max_length=200, widget=forms.TextInput(attrs={"size": 22})
    )
    verified = forms.ChoiceField(
        label=gettext_lazy("How sure"), choices=PermitLimit.Verified.choices, initial="verified"
    )

    def __init__(self, *args: Any, outlets: Mapping[str, Outlet], **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.outlets = outlets
        self.fields["outlet"].choices = [
            ("", "—"),
            *((code, code) for code in outlets),
            (WHOLE, _("Whole enterprise")),
        ]
        self.line: Line | None = None

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            self._period(found)
            return found
        self._period(found)
        code = self._factor(found)
        self._place(found, code)
        unit = self._unit(found, code)
        self._oxygen(found)
        if not self.errors:
            self.line = Line(
                outlet=found["outlet"],
                factor=code,
                period=found["period"],
                value=found["value"].normalize(),
                unit=unit,
                reference_o2=found["reference_o2"],
                lower=found["lower"],
                source=found["source"].strip(),
                verified=found["verified"],
            )
        return found

    def _period(self, found: dict[str, Any]) -> None:
        if "period" in found and not found["period"]:
            self.add_error(
                "period",
                _("A limit without a period cannot be judged: choose what it is a limit of."),
            )

    def _factor(self, found: dict[str, Any]) -> str:
        code = factor_code(found["factor"])
        if not code:
            self.add_error(
                "factor",
                _("%(code)s is no factor of HJ 212-2017: take its code or its name from the list.")
                % {"code": found["factor"]},
            )
        return code

    def _place(self, found: dict[str, Any], code: str) -> None:
        outlet, period = found.get("outlet"), found.get("period")
        if not outlet:
            self.add_error("outlet", _("Choose an outlet."))
        elif outlet == WHOLE and period and period not in ("month", "year"):
            self.add_error(
                "outlet", _("Only a monthly or yearly amount can be of the whole enterprise.")
            )
        elif outlet in self.outlets and code:
            medium = self.outlets[outlet].medium
            if {"a": Medium.AIR, "w": Medium.WATER}.get(code[0], medium) != medium:
                self.add_error(
                    "factor",
                    _("%(factor)s is not measured at %(outlet)s: it is for another medium.")
                    % {"factor": factor_name(code), "outlet": outlet},
                )

    def _unit(self, found: dict[str, Any], code: str) -> str:
        unit = plain_unit(found["unit"])
        period = found.get("period")
        if not code or not period:
            return unit
        if wrong := misfit(code, period, unit):
            self.add_error("unit", wrong)
        return unit

    def _oxygen(self, found: dict[str, Any]) -> None:
        o2, amount = found["reference_o2"], found.get("period") in WANTED
        if o2 is not None and not 0 <= o2 < 21:
            self.add_error("reference_o2", _("Reference oxygen must be from 0 to below 21 %"))
        elif o2 is not None and amount:
            self.add_error(
                "reference_o2", _("An amount has no reference oxygen: leave this empty.")
            )
        if found["lower"] and amount:
            self.add_error("lower", _("An amount is no lower bound."))


def unit_of(code: str) -> str:
    """The unit in which a factor (code of 2017) is reported by sources; "" where it has none."""
    return codes.unit(code, "2017", "31" if code.startswith("a") else "32")


def misfit(code: str, period: str, unit: str) -> str:
    """One sentence where a limit or amount of a factor (code of 2017) cannot be in a unit; "" where it
    can."""
    wanted = WANTED.get(period) or unit_of(code)
    if not wanted or units.scale(unit, wanted) is not None:
        return ""
    return _("“%(unit)s” does not fit: %(factor)s is judged in %(wanted)s here.") % {
        "unit": unit or "—", "factor": factor_name(code), "wanted": wanted,
    }  # fmt: skip


class _Lines(forms.BaseFormSet):
    """The lines of one permit: none twice."""

    def clean(self) -> None:
        seen: dict[tuple[str, str, str, bool], int] = {}
        for number, form in enumerate(self.forms, 1):
            line = form.line if form not in self.deleted_forms else None
            if line is None:
                continue
            if line.key in seen:
                form.add_error(
                    "factor",
                    _("Line %(line)d says the same outlet, factor and period: keep one of them.")
                    % {"line": seen[line.key]},
                )
            seen.setdefault(line.key, number)

    @property
    def lines(self) -> list[Line]:
        return [f.line for f in self.forms if f.line is not None and f not in self.deleted_forms]


def line_set(outlets: Iterable[Outlet], *args: Any, extra: int = 0, **kw: Any) -> Any:
    """A formset of lines for an enterprise with these outlets."""
    made = forms.formset_factory(
        LineForm, formset=_Lines, extra=extra, can_delete=True, max_num=MOST, absolute_max=MOST + 50
    )
    by_code = {o.code: o for o in outlets}
    return made(*args, prefix="line", form_kwargs={"outlets": by_code}, **kw)


def initial_of(line: Line) -> dict[str, Any]:
    """A line as the initial values of its form."""
    return {
        "outlet": line.outlet,
        "factor": line.factor,
        "period": line.period,
        "value": f"{line.value:f}",
        "unit": line.unit,
        "reference_o2": line.reference_o2,
        "lower": line.lower,
        "source": line.source,
        "verified": line.verified,
    }
