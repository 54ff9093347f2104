"""Heavy-pollution episodes: the computer proposes a graded warning, a person decides, ends, and says why."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.bureau.air.models import Episode, Forecast
from jingwei.bureau.evidencelog.services import record
from jingwei.evidence import canonical, digest
from jingwei.standards import heavy

OPEN = (Episode.State.PROPOSED, Episode.State.DECLARED)


def propose(
    days: list[dict[str, Any]], forecast: Forecast | None = None, ahead: int | None = None
) -> Episode | None:
    """A warning of the grade that the days reach; None where they reach none or an open episode
    covers them. `days` as `forecasting.days` gives them, a day that is not there ends a row of them;
    `ahead`: how many of the last count as still to come (all, if not given).

    A proposal that nobody has decided yet is brought up to date; a declared episode that is not
    enough any more gets a new proposal that names it.
    """
    if not days:
        return None
    known_of = {date.fromisoformat(d["day"]): d["aqi"] for d in days}
    begin, end_ = min(known_of), max(known_of)
    dates = [begin + timedelta(k) for k in range((end_ - begin).days + 1)]
    if ahead is not None:
        coming = sorted(known_of)[len(known_of) - ahead :]
        ahead = sum(d >= coming[0] for d in dates) if coming else 0
    found = heavy.grade([known_of.get(d) for d in dates], ahead)
    if found is None:
        return None
    first, last = dates[found.first], dates[found.last]
    level = found.grade.level
    with transaction.atomic():
        known = Episode.objects.select_for_update().filter(state__in=OPEN).first()
        if known is not None and known.level >= level and known.last >= last:
            return None
        facts = {"level": level, "first": first, "last": last, "days": days, "forecast": forecast}
        if known is not None and known.state == Episode.State.PROPOSED:
            for name, value in facts.items():
                setattr(known, name, value)
            row = known
        else:
            row = Episode(previous=known, **facts)
        row.save()
        row.evidence = _record(row, "proposed")
        row.save(update_fields=["evidence"])
        return row


def decide(user: Any, row: Episode, declare: bool, level: int, note: str) -> None:
    """Declare at a grade (that of the proposal or another, then with a reason) or dismiss with a
    reason. Raises ValidationError."""
    with transaction.atomic():
        row = Episode.objects.select_for_update().get(pk=row.pk)
        if row.state != Episode.State.PROPOSED:
            raise ValidationError(_("This was decided meanwhile: load the page anew."))
        if not note.strip() and (not declare or level != row.level):
            raise ValidationError(_("Say why: a reason is needed to dismiss or to choose another grade."))  # fmt: skip
        row.state = Episode.State.DECLARED if declare else Episode.State.DISMISSED
        if declare:
            row.level = level
        row.note, row.actor, row.decided = note.strip(), user, timezone.now()
        row.evidence = _record(row, row.state, user)
        row.save()
        if declare and row.previous and row.previous.state == Episode.State.DECLARED:
            old = row.previous
            old.state, old.ended, old.end_note = Episode.State.ENDED, row.decided, _("Replaced by a new grade.")  # fmt: skip
            old.evidence = _record(old, old.state, user)
            old.save()


def end(user: Any, row: Episode, note: str) -> None:
    """Lift a declared warning, with a reason. Raises ValidationError."""
    with transaction.atomic():
        row = Episode.objects.select_for_update().get(pk=row.pk)
        if row.state != Episode.State.DECLARED:
            raise ValidationError(_("This was decided meanwhile: load the page anew."))
        if not note.strip():
            raise ValidationError(_("Say why the warning is lifted."))
        row.state, row.end_note, row.ended = Episode.State.ENDED, note.strip(), timezone.now()
        row.evidence = _record(row, row.state, user)
        row.save()


def _record(row: Episode, act: str, user: Any = None) -> Any:
    return record(
        "episode",
        f"episode:{row.pk}",
        {
            "act": str(act), "level": row.level, "first": row.first, "last": row.last,
            "forecast": row.forecast.digest if row.forecast else "",
            "days": digest.both(canonical.dumps(row.days)),
        },
        actor=str(getattr(user, "pk", "") or ""),
        said={"note": row.note, "end_note": row.end_note},
    )  # fmt: skip
