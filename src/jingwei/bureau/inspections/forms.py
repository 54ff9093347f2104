"""What the pages about draws ask."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from jingwei.bureau.accounts.models import User
from jingwei.bureau.inspections import drawing
from jingwei.bureau.inspections.models import Draw, Inspector, Origin, Recusal
from jingwei.bureau.registry.models import Enterprise, Region
from jingwei.evidence import draw as rules

_MISSING = (
    ("void", gettext_lazy("The draw is void and planned anew")),
    ("without", gettext_lazy("Draw without it")),
)


class _Moment(forms.DateTimeField):
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class DrawForm(forms.Form):
    """A new draw: from what, by whom, and which sources of the seed, named beforehand."""

    purpose = forms.CharField(label=gettext_lazy("Purpose"), max_length=300)
    region = forms.ChoiceField(label=gettext_lazy("District"), required=False)
    industries = forms.MultipleChoiceField(
        label=gettext_lazy("Industries"),
        choices=Enterprise.Industry.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None ticked: all industries."),
    )
    team = forms.IntegerField(
        label=gettext_lazy("Inspectors for each unit"), min_value=0, max_value=10, initial=2,
        help_text=gettext_lazy("At least two act on the spot; 0 draws no inspectors."),
    )  # fmt: skip
    load = forms.IntegerField(
        label=gettext_lazy("Units for each inspector, at most"),
        min_value=1,
        max_value=1000,
        initial=5,
    )
    lottery = forms.CharField(
        label=gettext_lazy("Lottery and number of its issue"),
        max_length=100,
        required=False,
        help_text=gettext_lazy("For example: 双色球 2026139 期，红球"),
    )
    lottery_time = _Moment(label=gettext_lazy("Time of its drawing"), required=False)
    lottery_count = forms.IntegerField(
        label=gettext_lazy("Count of numbers"), min_value=1, max_value=20, initial=6
    )
    lottery_low = forms.IntegerField(
        label=gettext_lazy("Lowest number"), min_value=0, max_value=9999, initial=1
    )
    lottery_high = forms.IntegerField(
        label=gettext_lazy("Highest number"), min_value=1, max_value=9999, initial=33
    )
    lottery_missing = forms.ChoiceField(
        label=gettext_lazy("If it gives no value"), choices=_MISSING
    )
    parties = forms.CharField(
        label=gettext_lazy("Parties that commit and reveal"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy(
            "One a line, at least three: discipline inspection, justice bureau, an association of"
            " enterprises. Each gets a page of its own."
        ),
    )
    reveal_time = _Moment(label=gettext_lazy("Reveals end at"), required=False)
    parties_missing = forms.ChoiceField(
        label=gettext_lazy("If a party does not reveal"), choices=_MISSING, initial="without"
    )
    drand_time = _Moment(
        label=gettext_lazy("Round of drand (quicknet) at"),
        required=False,
        help_text=gettext_lazy(
            "Imported as a file. Its BLS signature is not verified here and the record says so;"
            " anybody can compare the round with a drand client."
        ),
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason of the redraw"), max_length=300, required=False
    )

    def __init__(self, *args: Any, redraw: bool = False, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.fields["region"].choices = [
            ("", _("The whole city")),
            *((r.pk, r.label) for r in Region.objects.exclude(parent=None).defer("geometry")),
        ]
        self.fields["reason"].required = redraw
        if not redraw:
            del self.fields["reason"]

    def clean_parties(self) -> list[str]:
        names = list(
            dict.fromkeys(n.strip() for n in self.cleaned_data["parties"].splitlines() if n.strip())
        )
        if names and len(names) < rules.MIN_PARTIES:
            raise ValidationError(_("At least three parties, one a line."))
        if any(len(name) > 80 or not name.isprintable() for name in names):
            raise ValidationError(_("A party's name has at most 80 printable characters."))
        return names

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        now = timezone.now()
        sources: list[dict[str, Any]] = []
        if data.get("parties"):
            sources.append(
                {
                    "kind": "parties",
                    "name": "承诺—公布",
                    "time": self._future("reveal_time", now),
                    "missing": data.get("parties_missing"),
                    "parties": [],
                }
            )
        if data.get("lottery"):
            low, high = data.get("lottery_low"), data.get("lottery_high")
            if low is not None and high is not None and low >= high:
                self.add_error("lottery_high", _("Must be more than the lowest number."))
            sources.append(
                {
                    "kind": "numbers",
                    "name": data["lottery"],
                    "time": self._future("lottery_time", now),
                    "missing": data.get("lottery_missing"),
                    "count": data.get("lottery_count"),
                    "low": low,
                    "high": high,
                    "ordered": False,
                }
            )
        if data.get("drand_time"):
            self._future("drand_time", now)
            sources.append(drawing.drand_source(data["drand_time"]))
        if len(sources) < drawing.MIN_SOURCES and not self.errors:
            self.add_error(
                None,
                _("Name at least two independent sources of the seed: a lottery, parties, drand."),
            )
        data["sources"] = sources
        return data

    def _future(self, name: str, now: datetime) -> str:
        moment = self.cleaned_data.get(name)
        if moment is None:
            if name not in self.errors:
                self.add_error(name, _("Give the time at which its value becomes known."))
            return ""
        if moment <= now:
            self.add_error(name, _("The time must lie in the future."))
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def numbers(text: str) -> list[int]:
    """Numbers of a lottery as somebody types them: parted by blanks, commas or the like."""
    parts = text.replace("，", " ").replace("、", " ").replace(",", " ").split()
    if not parts or not all(p.isascii() and p.isdecimal() and len(p) < 6 for p in parts):
        raise ValidationError(_("Type the numbers parted by blanks."))
    return [int(p) for p in parts]


def drand_round(text: str) -> dict[str, Any]:
    """A drand round as the network's HTTP interface gives it."""
    try:
        found = json.loads(text[:10_000])
        return {name: found[name] for name in ("round", "randomness", "signature")}
    except (ValueError, KeyError, TypeError):
        raise ValidationError(
            _("Paste the round as JSON with round, randomness and signature.")
        ) from None


class InspectorForm(forms.ModelForm):
    """An entry of the pool."""

    qualifications = forms.MultipleChoiceField(
        label=gettext_lazy("Qualified for"),
        choices=Enterprise.Industry.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None ticked: all industries."),
    )

    class Meta:
        model = Inspector
        fields = ("user", "code", "certificate", "qualifications", "active")

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        people = User.objects.filter(is_active=True, role__in=("district", "grid"))
        taken = Inspector.objects.exclude(pk=self.instance.pk).values("user")
        self.fields["user"].queryset = people.exclude(pk__in=taken).order_by("username")
        if self.instance.pk:
            # What stands for a person in published draws does not change.
            self.fields["code"].disabled = self.fields["user"].disabled = True


class RecusalForm(forms.Form):
    """Somebody does not inspect an enterprise."""

    uscc = forms.CharField(label=gettext_lazy("Unified social credit code"), max_length=18)
    reason = forms.ChoiceField(label=pgettext_lazy("act", "Reason"), choices=Recusal.Reason.choices)
    note = forms.CharField(
        label=gettext_lazy("Note (stays in the office)"), max_length=200, required=False
    )


class PlanForm(forms.Form):
    """The plan of a year."""

    year = forms.IntegerField(label=gettext_lazy("Year"), min_value=2000, max_value=2100)
    text = forms.CharField(
        label=gettext_lazy("What the plan says"),
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class PlanItemForm(forms.Form):
    """One line of a plan."""

    origin = forms.ChoiceField(label=gettext_lazy("Kind of inspection"), choices=Origin.choices)
    title = forms.CharField(label=gettext_lazy("Title"), max_length=120)
    count = forms.IntegerField(
        label=gettext_lazy("Number of inspections"), min_value=1, max_value=100_000
    )
    until = forms.DateField(
        label=gettext_lazy("To be done by"), widget=forms.DateInput(attrs={"type": "date"})
    )
    draw = forms.ModelChoiceField(
        label=gettext_lazy("Random draw"),
        queryset=Draw.objects.filter(item=None).exclude(plan_sha256=""),
        required=False,
    )


class DayForm(forms.Form):
    """The day for which inspections are planned."""

    day = forms.DateField(
        label=gettext_lazy("Planned for"), widget=forms.DateInput(attrs={"type": "date"})
    )
