"""What the forms of a penalty ask beyond the kernel's kinds of fields."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.bureau.cases.flow import Field, Text
from jingwei.bureau.cases.models import Case
from jingwei.bureau.language import english
from jingwei.bureau.penalties import proposal
from jingwei.standards import discretion, law


class GradesWidget(forms.MultiWidget):
    """One choice for each factor of the sheet, each with its name before it."""

    template_name = "penalties/grades.html"

    def __init__(
        self, factors: tuple[discretion.Factor, ...], measured: dict[str, Decimal]
    ) -> None:
        self.factors, self.measured = factors, measured
        super().__init__(
            {
                f.key: forms.Select(
                    choices=[
                        (g.number, f"{g.en if english() else g.zh} · {g.percent.normalize():f} %")
                        for g in f.grades
                    ]
                )
                for f in factors
            }
        )

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        for factor, part in zip(self.factors, context["widget"]["subwidgets"], strict=True):
            part["label"] = factor.en if english() else factor.zh
            part["measured"] = self.measured.get(factor.measure)
        return context

    def decompress(self, value: Any) -> list[Any]:
        return [(value or {}).get(f.key) for f in self.factors]

    def id_for_label(self, id_: str) -> str:
        return f"{id_}_{self.factors[0].key}"


class GradesField(forms.MultiValueField):
    """The grade's number for each factor, as a dictionary."""

    def __init__(
        self, factors: tuple[discretion.Factor, ...], measured: dict[str, Decimal], **options: Any
    ) -> None:
        self.factors, self.keys = factors, [f.key for f in factors]
        super().__init__(
            [
                forms.TypedChoiceField(choices=[(g.number, g.number) for g in f.grades], coerce=int)
                for f in factors
            ],
            widget=GradesWidget(factors, measured),
            **options,
        )

    def compress(self, data_list: list[Any]) -> dict[str, int]:
        return dict(zip(self.keys, data_list, strict=True)) if data_list else {}

    def spoken(self, value: dict[str, int]) -> str:
        """What was chosen, in words."""
        return "; ".join(
            f"{f.en}: {g.en}" if english() else f"{f.zh}：{g.zh}"
            for f in self.factors
            for g in f.grades
            if value.get(f.key) == g.number
        )


def grades(field: Field, case: Case | None) -> forms.Field:
    """The factors of the sheet in force; where no table has one, nothing is asked."""
    found = proposal.bases(case, timezone.now()) if case else ()
    sheet = proposal.sheet(case, found[0].penalty) if case and found else None
    if case is None or sheet is None or not sheet.factors:
        return forms.CharField(required=False, widget=forms.HiddenInput)
    told = (case.detail.get("proposal") or {}).get("grades") or {}
    initial = proposal.suggested(case, sheet)
    return GradesField(
        sheet.factors,
        proposal.measured(case),
        label=field.label,
        help_text=field.help,
        initial={key: told.get(key, grade) for key, grade in initial.items()},
    )


def yuan(field: Field, case: Case | None) -> forms.Field:
    """Money in yuan with two decimals."""
    return forms.DecimalField(
        label=field.label,
        required=field.required,
        help_text=field.help,
        min_value=Decimal("0.01"),
        max_digits=14,
        decimal_places=2,
        initial=field.initial(case) if field.initial else None,
        widget=forms.NumberInput(attrs={"step": "0.01", "inputmode": "decimal"}),
    )


def offences(case: Case | None) -> list[tuple[str, Text]]:
    language = 1 if english() else 0
    return [(key, names[language]) for key, names in law.offences().items()]


def circumstances(case: Case | None) -> list[tuple[str, Text]]:
    """Heavier and lighter circumstances that law and table know for this case."""
    found = proposal.bases(case, timezone.now()) if case else ()
    if case is None or not found:
        return []
    sheet = proposal.sheet(case, found[0].penalty)
    rows = (
        discretion.circumstances_for(sheet, found[0].penalty)
        if sheet
        else [c for c in discretion.circumstances() if c.table == "*"]
    )
    kinds = {"heavier": _("heavier"), "lighter": _("lighter")}
    return [(c.key, f"{kinds[c.kind]}: {c.en if english() else c.zh}") for c in rows]


def grounds(case: Case | None) -> list[tuple[str, Text]]:
    """The rows of the list of acts that are not punished that may fit the case's offence."""
    offence = case.detail["offence"] if case else "*"
    return [
        (m.key, f"{m.key} {m.en if english() else m.zh}")
        for m in discretion.minor()
        if m.offence in ("*", offence)
    ]
