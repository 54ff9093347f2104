"""A form that is sent twice acts once; another one from the same page acts anew."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.http import HttpRequest

_NOT_SAID = ("token", "csrfmiddlewaretoken")


def token(request: HttpRequest, *about: object) -> str:
    """What stands for this very deed: the page's token (the field `token`), `about` what it is done,
    and everything that was said, files by name and size; 32 hexadecimal digits, empty without a token.

    A page that the browser shows again (Back) carries its old token: were that alone the key, a
    second act or a corrected text would be answered with the first one, as if it had been done.
    """
    given = request.POST.get("token", "")
    if not given:
        return ""
    said = sorted((n, v) for n, v in request.POST.lists() if n not in _NOT_SAID)
    files = sorted((n, f.name, f.size) for n, some in request.FILES.lists() for f in some)
    deed = json.dumps([given, [str(a) for a in about], said, files])
    return hashlib.sha256(deed.encode()).hexdigest()[:32]


def key(user: Any, token: str) -> str | None:
    """What a row of the act that this user does by this deed is found again by; None without one."""
    return f"act:{user.pk}:{token[:64]}" if token else None
