"""What a person chooses, and the robots of a department."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jingwei.bureau.notices.models import KINDS, Channel, Preference, Way
from jingwei.bureau.notices.wire import origin


class PreferenceForm(forms.Form):
    """`ways_<kind>` for each kind, quiet hours, address and language of e-mails."""

    email = forms.EmailField(
        label=gettext_lazy("My e-mail address"),
        required=False,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    language = forms.ChoiceField(
        label=gettext_lazy("Language of e-mails"), choices=settings.LANGUAGES
    )
    quiet_from = forms.TimeField(
        label=gettext_lazy("Do not disturb from"),
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
    )
    quiet_to = forms.TimeField(
        label=gettext_lazy("until"),
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
    )

    def __init__(self, data: Any, chosen: Preference, email: str) -> None:
        initial: dict[str, Any] = {
            "email": email,
            "language": chosen.language,
            "quiet_from": chosen.quiet_from,
            "quiet_to": chosen.quiet_to,
        }
        super().__init__(data, initial=initial)
        for kind, about in KINDS.items():
            self.fields[f"ways_{kind}"] = forms.MultipleChoiceField(
                label=about.label,
                choices=Way.choices,
                required=False,
                widget=forms.CheckboxSelectMultiple,
                initial=list(chosen.chosen(kind)),
            )

    def rows(self) -> list[dict[str, Any]]:
        """One row a kind for the table: its label and a box a way."""
        found = []
        for kind, about in KINDS.items():
            value = self[f"ways_{kind}"].value() or []
            boxes = [
                {"name": f"ways_{kind}", "way": way, "label": label, "on": way in value}
                for way, label in Way.choices
            ]
            found.append({"kind": kind, "label": about.label, "boxes": boxes})
        return found

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if bool(cleaned.get("quiet_from")) != bool(cleaned.get("quiet_to")):
            missing = "quiet_to" if cleaned.get("quiet_from") else "quiet_from"
            if missing not in self.errors:
                self.add_error(missing, _("Give both times, or none."))
        return cleaned

    def values(self) -> dict[str, Any]:
        """As `services.prefer` takes it."""
        said = self.cleaned_data
        return {
            **{name: said[name] for name in ("email", "language", "quiet_from", "quiet_to")},
            "ways": {kind: said[f"ways_{kind}"] for kind in KINDS},
        }


class ChannelForm(forms.ModelForm):
    """A robot; its address must lie on a host that the administrator has named."""

    address = forms.URLField(
        label=gettext_lazy("Address"),
        max_length=500,
        assume_scheme="https",
        help_text=gettext_lazy("Only hosts that JINGWEI_WEBHOOK_HOSTS names are asked."),
    )

    class Meta:
        model = Channel
        fields = ("name", "department", "format", "address", "secret", "active")
        widgets = {"secret": forms.PasswordInput(attrs={"autocomplete": "off"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and self.instance.secret:
            self.fields["secret"].help_text = _("A secret is kept; leave this empty to keep it.")

    def clean_address(self) -> str:
        address = self.cleaned_data["address"]
        allowed = settings.ENV.webhook_hosts
        if origin(address) not in allowed:
            raise ValidationError(
                _("%(origin)s is not allowed. JINGWEI_WEBHOOK_HOSTS names: %(allowed)s")
                % {"origin": origin(address), "allowed": ", ".join(allowed) or _("none")}
            )
        return address

    def clean_secret(self) -> str:
        return self.cleaned_data["secret"] or self.instance.secret
