"""Forms of the login and of the password."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import ngettext

from jingwei.bureau.accounts import throttle


class LoginForm(AuthenticationForm):
    """Name and password; after too many failures, a pause (see `throttle`)."""

    throttled = False

    def clean(self) -> dict[str, Any]:
        name = self.cleaned_data.get("username") or ""
        address = self.request.META.get("REMOTE_ADDR", "") if self.request else ""
        seconds = throttle.wait(name, address, timezone.now())
        if seconds:
            self.throttled = True
            minutes = -(-seconds // 60)
            raise ValidationError(
                ngettext(
                    "Too many failed logins for this name. Try again in %(seconds)d second.",
                    "Too many failed logins for this name. Try again in %(seconds)d seconds.",
                    seconds,
                )
                % {"seconds": seconds}
                if seconds < 120
                else ngettext(
                    "Too many failed logins for this name. Try again in %(minutes)d minute.",
                    "Too many failed logins for this name. Try again in %(minutes)d minutes.",
                    minutes,
                )
                % {"minutes": minutes},
                code="throttled",
            )
        try:
            cleaned = super().clean()
        except ValidationError:
            throttle.failed(name, address, timezone.now())
            raise
        if self.user_cache is not None:
            throttle.succeeded(name, address)
        return cleaned
