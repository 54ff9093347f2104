"""Samples as they are handed in, and what is asked of them."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from jingwei.analysis.air.apportion import study, tables
from jingwei.bureau.air import apportion_selectors as selectors
from jingwei.bureau.air import apportion_tables as words
from jingwei.bureau.air import apportioning
from jingwei.bureau.air.forms import _Station
from jingwei.bureau.air.models import SampleSet

NUMBERS = 10  # numbers of factors tried in one run
# Values times species times squared factors that a quarter of an hour does on one processor.
WORK = 1.5e9
BOTH = 70  # species that displacement in resamples counts as, by its time
USES = (
    ("good", gettext_lazy("good")),
    ("weak", gettext_lazy("weak (errors × 3)")),
    ("bad", gettext_lazy("leave out")),
    ("total", gettext_lazy("total")),
)


def _table(**options: Any) -> forms.FileField:
    """A table that is handed in as a file."""
    widget = forms.FileInput(attrs={"accept": ".csv,.xlsx,.txt"})
    return forms.FileField(widget=widget, **options)


class SamplesForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=120)
    concentrations = _table(
        label=gettext_lazy("Concentrations"),
        help_text=gettext_lazy("CSV or Excel: the time a sample began, then one column a species; at most 5,000 samples."),
    )  # fmt: skip
    uncertainties = _table(
        label=gettext_lazy("Uncertainties"),
        help_text=gettext_lazy("The same head and rows; or the same head and two rows: MDL (limits of detection) and EF (fraction of error)."),
    )  # fmt: skip
    unit = forms.ChoiceField(
        label=gettext_lazy("Unit"),
        choices=[(u, u) for u in tables.UNITS],
        help_text=gettext_lazy("Of the columns whose head names none, as in “As (ng/m3)”."),
    )
    hours = forms.FloatField(
        label=gettext_lazy("Length of a sample (h)"), min_value=0.05, max_value=24 * 31, initial=24,
    )  # fmt: skip
    station = _Station(
        None, label=gettext_lazy("Air station"), required=False,
        empty_label=gettext_lazy("none of the city"),
        help_text=gettext_lazy("Where the samples were taken: its wind shows from where each source comes."),
    )  # fmt: skip
    source = forms.CharField(
        label=gettext_lazy("Taken and analysed by"), max_length=200, required=False
    )

    def __init__(self, user: Any, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["station"].queryset = selectors.stations(user)  # type: ignore[attr-defined]


class ProfilesForm(forms.Form):
    """Profiles of own sources."""

    table = _table(
        label=gettext_lazy("Table of source profiles"),
        help_text=gettext_lazy("CSV or Excel with the columns source, species, fraction, uncertainty: a row for each species of a profile."),
    )  # fmt: skip
    unit = forms.ChoiceField(
        label=gettext_lazy("Unit"),
        choices=(
            ("fraction", gettext_lazy("mass fraction, 0 to 1")),
            ("percent", gettext_lazy("per cent of the mass")),
        ),
    )
    origin = forms.CharField(
        label=gettext_lazy("Measured by"), max_length=200,
        help_text=gettext_lazy("Who sampled and analysed these sources, where and when, or what was published: it stands beside the profiles."),
    )  # fmt: skip


class RunForm(forms.Form):
    """What each species is good for (`use_0` …), how many factors, constraints, sources for CMB."""

    low = forms.IntegerField(
        label=gettext_lazy("Fewest factors"), min_value=2, max_value=study.MOST_FACTORS, initial=3
    )
    high = forms.IntegerField(
        label=gettext_lazy("Most factors"), min_value=2, max_value=study.MOST_FACTORS, initial=8,
        help_text=gettext_lazy("Of several numbers the page says what speaks for which; the same number twice computes that one alone."),
    )  # fmt: skip
    robust = forms.BooleanField(
        label=gettext_lazy("Robust: residuals beyond four uncertainties count less"), required=False,
        initial=True,
    )  # fmt: skip
    both = forms.BooleanField(
        label=gettext_lazy("Bootstrap and displacement together (BS-DISP)"), required=False,
        help_text=gettext_lazy("Displaces the amount and the two main species of each factor in 20 resamples: the widest of the three intervals. Takes some minutes longer."),
    )  # fmt: skip
    forbidden = forms.CharField(
        label=gettext_lazy("Constraints"), required=False, max_length=1000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("A line for each factor that must not have some species, with commas, for example: Ni, V"),
    )  # fmt: skip
    wind = forms.ChoiceField(
        label=gettext_lazy("Wind of the ways of the air"), required=False,
        help_text=gettext_lazy("For the map of where each factor comes from: the stations' own wind, or a gridded file that was handed in for the dispersion model and covers the hours of the samples."),
    )  # fmt: skip
    balance = forms.MultipleChoiceField(
        label=gettext_lazy("Sources for chemical mass balance (CMB)"), required=False,
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip

    def __init__(self, samples: SampleSet, rows: list[Any], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.samples, self.rows = samples, rows
        self.species = [r.screened.species for r in rows]
        offered = selectors.offered(self.species)
        self.fields["balance"].choices = [(s, selectors.source_name(s)) for s in offered]  # type: ignore[attr-defined]
        self.grids = {g.weather: g for g in apportioning.gridded()} if samples.station_id else {}
        choices = [("", _("Own stations")), *((k, words.grid_name(g)) for k, g in self.grids.items())]  # fmt: skip
        self.fields["wind"].choices = choices  # type: ignore[attr-defined]
        if not self.grids:
            del self.fields["wind"]
        for j, row in enumerate(rows):
            self.fields[f"use_{j}"] = forms.ChoiceField(
                choices=USES, initial=row.screened.advice,
                widget=forms.Select(attrs={"aria-label": row.screened.species}),
            )  # fmt: skip

    def lines(self) -> list[tuple[Any, Any]]:
        """The species with their fields."""
        return [(row, self[f"use_{j}"]) for j, row in enumerate(self.rows)]

    def plain(self) -> list[Any]:
        """The fields that are not of a species."""
        names = ("low", "high", "robust", "both", "wind", "forbidden")
        return [self[n] for n in names if n in self.fields]

    def clean_forbidden(self) -> list[list[str]]:
        found = []
        for line in self.cleaned_data["forbidden"].splitlines():
            names = [n.strip() for n in re.split(r"[,，、;；]", line) if n.strip()]
            for name in names:
                if name not in self.species:
                    raise forms.ValidationError(_("“%s” is none of these species.") % name)
            if names:
                found.append(names)
        return found

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or self.cleaned_data
        use = {s: found.get(f"use_{j}", "bad") for j, s in enumerate(self.species)}
        found["use"] = use
        fitted = [s for s, u in use.items() if u in ("good", "weak")]
        if sum(u == "total" for u in use.values()) > 1:
            self.add_error(None, _("Only one species can be the total."))
        if len(fitted) < tables.LEAST_SPECIES:
            self.add_error(None, _("At least %d species must be good or weak.") % tables.LEAST_SPECIES)  # fmt: skip
        for row in self.rows:
            one = row.screened
            if use[one.species] != "bad" and one.why == "nothing":
                self.add_error(None, _("%s has hardly a value above 0: leave it out.") % one.species)  # fmt: skip
        for names in found.get("forbidden") or []:
            for name in names:
                if use[name] == "bad":
                    self.add_error("forbidden", _("%s is left out already.") % name)
        low, high = found.get("low"), found.get("high")
        if low and high:
            self._numbers(found, low, high, len(fitted) + ("total" in use.values()))
        if found.get("balance") and len(found["balance"]) >= len(fitted):
            self.add_error("balance", _("CMB needs more species than sources: choose fewer sources."))  # fmt: skip
        return found

    def _numbers(self, found: dict[str, Any], low: int, high: int, species: int) -> None:
        most = min(self.samples.samples, species) - 1
        if high < low:
            self.add_error("high", _("The last number lies below the first."))
        elif high - low >= NUMBERS:
            self.add_error("high", _("At most %d numbers of factors in one run.") % NUMBERS)
        elif high > most:
            self.add_error("high", ngettext("With these species at most %d factor can be sought.", "With these species at most %d factors can be sought.", most) % most)  # fmt: skip
        elif low < len(found.get("forbidden") or []):
            self.add_error("low", _("There are more constraints than factors."))
        elif self._work(species, high, bool(found.get("both"))) > WORK:
            text = _("This would compute for longer than a quarter of an hour: take fewer species, fewer factors or fewer samples.")  # fmt: skip
            if found.get("both") and self._work(species, high, False) <= WORK:
                text = _("With BS-DISP this would compute for longer than a quarter of an hour: leave it out, or take fewer factors.")  # fmt: skip
            self.add_error("high", text)

    def _work(self, species: int, factors: int, both: bool) -> int:
        return self.samples.samples * species * (species + both * BOTH) * factors**2

    def wanted(self) -> dict[str, Any]:
        """As `Apportionment.wanted` keeps it."""
        found = self.cleaned_data
        grid = self.grids.get(found.get("wind") or "")
        return {
            "wind": grid and {"file": grid.weather, "names": grid.asked_for.get("names") or {}},
            "use": found["use"],
            "factors": list(range(found["low"], found["high"] + 1)),
            "robust": found["robust"],
            "both": found["both"],
            "forbidden": found["forbidden"],
            "balance": found["balance"],
            "own": list(apportioning.in_use().order_by("pk").values_list("pk", flat=True)),
        }


def as_initial(wanted: dict[str, Any], species: list[str]) -> dict[str, Any]:
    """The form as a run had it."""
    return {
        "low": wanted["factors"][0],
        "high": wanted["factors"][-1],
        "robust": wanted["robust"],
        "both": wanted.get("both", False),
        "wind": (wanted.get("wind") or {}).get("file", ""),
        "forbidden": "\n".join(", ".join(names) for names in wanted["forbidden"]),
        "balance": wanted["balance"],
        **{f"use_{j}": wanted["use"].get(s, "bad") for j, s in enumerate(species)},
    }
