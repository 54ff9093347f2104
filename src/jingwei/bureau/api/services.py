"""Everything that writes for other systems: tokens, findings, answers that are given again."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.bureau.access import may
from jingwei.bureau.accounts.models import User
from jingwei.bureau.api.models import SCOPES, Request, Token
from jingwei.bureau.api.problems import Problem, Wrong
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings.forms import Desk, FindingForm
from jingwei.bureau.findings.kinds import SCENARIOS
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.findings.services import Refused, notice, reasoned

LONGEST = 730  # days that a token may live
KEPT = timedelta(days=2)  # answers to requests with an idempotency key
TOUCH = timedelta(minutes=1)  # `last_used` is written at most so often
BATCH = 500
SERIES = 2_000  # values of a series that comes with a finding


def issue(
    admin: User, *, name: str, user: User, scopes: Sequence[str], days: int
) -> tuple[Token, str]:
    """A new token; it and its text, which is told once. Raises `Refused`."""
    if not may(admin, "api.admin"):
        raise Refused(_("Only an administrator may issue tokens."))
    name = " ".join(name.split())
    if not name or len(name) > 80:
        raise Refused(_("Name the system, in at most 80 characters."))
    if not scopes or not set(scopes) <= set(SCOPES):
        raise Refused(_("Choose what the token is good for."))
    if not 1 <= days <= LONGEST:
        raise Refused(_("A token lives for 1 to %d days.") % LONGEST)
    if user.is_superuser or not user.is_active:
        raise Refused(_("A token acts for an active user who is no administrator."))
    text = f"jw_{secrets.token_urlsafe(32)}"
    with transaction.atomic():
        token = Token.objects.create(
            name=name,
            user=user,
            hint=text[:9],
            digest=_digest(text),
            scopes=sorted(set(scopes)),
            created_by=admin,
            expires=timezone.now() + timedelta(days=days),
        )
        _record(admin, token, "issued")
    return token, text


@transaction.atomic
def revoke(admin: User, pk: int, reason: str) -> Token:
    """End a token at once. Raises `Refused`, `Token.DoesNotExist`."""
    if not may(admin, "api.admin"):
        raise Refused(_("Only an administrator may revoke tokens."))
    reasoned(reason)
    token = Token.objects.select_for_update().get(pk=pk)
    if token.revoked:
        raise Refused(_("The token is revoked already."))
    token.revoked = timezone.now()
    token.save(update_fields=["revoked"])
    _record(admin, token, "revoked")
    return token


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _record(admin: User, token: Token, act: str) -> None:
    content = {"token": token.pk, "act": act, "scopes": token.scopes, "expires": token.expires}
    record("api.token", f"token:{token.pk}", content, actor=str(admin.pk))


def known(text: str) -> Token | None:
    """The good token of this text; None for any other."""
    token = Token.objects.filter(digest=_digest(text)).select_related("user__department").first()
    return token if token and token.good() else None


def used(token: Token, now: datetime) -> None:
    """Write down that the token is in use; seldom, so that reading does not wait for writing."""
    Token.objects.filter(pk=token.pk).filter(
        Q(last_used=None) | Q(last_used__lt=now - TOUCH)
    ).update(last_used=now)


def once(
    token: Token, key: str, body: bytes, act: Callable[[], tuple[int, Any]]
) -> tuple[int, Any, bool]:
    """Do `act` once for this key: (status, answer, whether it was given before).

    What fails leaves nothing, so the same key may be tried again. Raises `Problem` where the key
    was used for another request.
    """
    if not key:
        with transaction.atomic():
            return (*act(), False)
    if len(key) > 80 or not key.isprintable():
        raise Problem(400, "idempotency-key", _("The idempotency key has at most 80 characters."))
    named = hashlib.sha256(body).hexdigest()
    with transaction.atomic():
        try:
            with transaction.atomic():
                row = Request.objects.create(token=token, key=key, body=named)
        except IntegrityError:
            row = Request.objects.get(token=token, key=key)
            if row.body != named:
                raise Problem(
                    422,
                    "idempotency-key",
                    _("This idempotency key was used for another request. Use a new one."),
                ) from None
            return row.status, row.answer, True
        row.status, row.answer = act()
        row.save(update_fields=["status", "answer"])
        return row.status, row.answer, False


def forget(now: datetime) -> None:
    """Delete answers that nobody asks for again."""
    Request.objects.filter(at__lt=now - KEPT).delete()


# --- findings --------------------------------------------------------------------------------


def file(user: User, given: Sequence[Mapping[str, Any]], where: str) -> list[tuple[Finding, bool]]:
    """File findings, all or none: (finding, new) of each. Raises `Problem` with everything that is
    wrong; `where` begins the pointers of its errors."""
    if not may(user, "finding.file"):
        raise Problem(403, "role", _("The user of this token may not file findings."))
    desk = Desk(user)
    forms: list[FindingForm] = []
    wrong: list[Wrong] = []
    for number, item in enumerate(given):
        at = where.replace("*", str(number))
        form, errors = _form(desk, item, at)
        forms.append(form)
        wrong += errors
    references = [(i["kind"], i["reference"]) for i in given if i.get("reference")]
    if len(set(references)) != len(references):
        wrong.append(Wrong(where, _("The same reference stands twice.")))
    if wrong:
        raise Problem(422, "finding", _("Nothing was filed: mend what is named below."), wrong)
    with transaction.atomic():
        return [_file(user, item, form) for item, form in zip(given, forms, strict=True)]


def _form(desk: Desk, item: Mapping[str, Any], where: str) -> tuple[FindingForm, list[Wrong]]:
    facts = dict(item["facts"])
    series = facts.pop("series", None)
    asked = {i.name for i in SCENARIOS[item["kind"]].inputs}
    wrong = [
        Wrong(f"{where}/facts/{name}", _("This kind has no such fact."))
        for name in facts
        if name not in asked
    ]
    if series is not None and not _is_series(series):
        wrong.append(
            Wrong(
                f"{where}/facts/series",
                _("Wanted: {name, unit, data: [[time, value], …]}, at most %d values.") % SERIES,
            )
        )
    plain = {k: v for k, v in item.items() if k not in ("facts", "innocent", "kind", "reference")}
    values = {**plain, "innocent": "\n".join(item["innocent"]), **facts}
    data = {name: "" if value is None else str(value) for name, value in values.items()}
    form = FindingForm(item["kind"], desk, data, uploads=False)
    for name, errors in form.errors.items():
        at = f"{where}/facts/{name}" if name in asked else f"{where}/{name}"
        wrong += [Wrong(at, str(error)) for error in errors]
    if series is not None:
        form.extra["series"] = series
    return form, wrong


def _is_series(given: Any) -> bool:
    if not isinstance(given, Mapping) or not isinstance(given.get("data"), list):
        return False
    data = given["data"]
    return len(data) <= SERIES and all(
        isinstance(row, list)
        and len(row) == 2
        and isinstance(row[0], str)
        and len(row[0]) <= 40
        and (row[1] is None or (isinstance(row[1], int | float) and not isinstance(row[1], bool)))
        for row in data
    )


def _file(user: User, item: Mapping[str, Any], form: FindingForm) -> tuple[Finding, bool]:
    reference = item.get("reference") or secrets.token_hex(12)
    return notice(
        kind=item["kind"],
        episode=f"api/{item['kind']}/{user.pk}/{reference}",
        source=Finding.Source.API,
        filed_by=user,
        **form.said,
    )
