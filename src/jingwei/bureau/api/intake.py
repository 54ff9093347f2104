"""Observations that other systems send: into the same journal as every telegram."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from jingwei.bureau.api.problems import Problem, Wrong
from jingwei.bureau.registry.models import Point
from jingwei.telemetry.envelope import VALUE, EnvelopeError, check_time, envelope
from jingwei.telemetry.journal import Journal, Telegram

_writers: dict[Path, Journal] = {}
_lock = threading.Lock()


def _writer() -> Journal:
    """The process's own writer: a segment for each request would be a file for each."""
    root = settings.ENV.journal
    with _lock:
        if root not in _writers:
            _writers[root] = Journal(root)
        return _writers[root]


def take(user: Any, system: str, sent: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Store entries durably, all or none: (entries, values). `sent`: as `schemas.ObservationIn`,
    numbers as the text that was sent. Raises `Problem` with everything that is wrong,
    `JournalError` where the journal cannot be written."""
    now = datetime.now(UTC)
    points = {
        (p.mn, p.st): p
        for p in Point.objects.restrict(user, "observation.enter").filter(
            mn__in={str(entry["mn"]).replace("\x00", "") for entry in sent}
        )
    }
    wrong: list[Wrong] = []
    raws: list[bytes] = []
    values = 0
    seen: dict[tuple[str, ...], int] = {}
    for number, entry in enumerate(sent):
        at = f"/observations/{number}"
        point = points.get((entry["mn"], entry["st"]))
        if point is None or not point.enabled:
            wrong.append(Wrong(f"{at}/mn", _("There is no such device in force, or not for you.")))
            continue
        try:
            time = _time(entry["time"], now)
        except ValueError as error:
            wrong.append(Wrong(f"{at}/time", str(error)))
            continue
        key = (entry["mn"], entry["st"], entry["resolution"], time.isoformat())
        before = seen.setdefault(key, number)
        if before != number:
            text = _("The same device and time as entry %d.") % before
            wrong.append(Wrong(at, text))
            continue
        items, errors = _items(entry["values"], entry["resolution"], f"{at}/values")
        wrong += errors
        if errors:
            continue
        try:
            source = {"kind": "rest", "system": system}
            raws.append(envelope(*key[:2], entry["resolution"], time, items, source))
            values += len(items)
        except EnvelopeError as error:
            wrong.append(Wrong(f"{at}/values", str(error)))
    if wrong:
        raise Problem(422, "observation", _("Nothing was taken: mend what is named below."), wrong)
    _writer().append([Telegram(now, f"rest:{system}", raw) for raw in raws])
    return len(raws), values


def _time(text: str, now: datetime) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            _("Wanted a time of ISO 8601 such as 2026-11-01T08:00:00+08:00.")
        ) from None
    if found.tzinfo is None:
        raise ValueError(_("The time lacks its zone, such as +08:00."))
    check_time(found, now)
    return found


def _items(
    values: Mapping[str, Any], resolution: str, at: str
) -> tuple[dict[str, dict[str, str]], list[Wrong]]:
    main, items, wrong = VALUE[resolution], {}, []
    for code, value in values.items():
        if isinstance(value, str):
            items[code] = {main: value}
        elif isinstance(value, dict) and all(isinstance(v, str) for v in value.values()) and value:
            fields = dict(value)
            if "value" in fields:
                fields = {main: fields.pop("value"), **fields}
            if "flag" in fields:
                fields["Flag"] = fields.pop("flag")
            items[code] = fields
        else:
            pointer = code.replace("~", "~0").replace("/", "~1")
            text = _("Wanted a number, or an object such as {value, flag}.")
            wrong.append(Wrong(f"{at}/{pointer}", text))
    return items, wrong
