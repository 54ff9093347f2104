"""Tables of observations: handed in, mapped, looked at, then taken in as a whole."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jingwei.bureau.access import Role, may
from jingwei.bureau.accounts.models import User
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings import files
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.monitoring.table_models import ObservationFile
from jingwei.bureau.registry import sheets
from jingwei.bureau.registry.models import Point
from jingwei.evidence import digest
from jingwei.telemetry import sheet, tables
from jingwei.telemetry.journal import JournalError

LARGEST = 20 << 20
SHOWN = 20  # rows of a preview
ACTION = "observation.enter"
PROBLEMS = {
    "device": gettext_lazy("There is no device %s in your area with this system type."),
    "time": gettext_lazy("%s is no time, such as 2026-03-10 12:00."),
    "ahead": gettext_lazy("The time lies in the future, or before 1990."),
    "number": gettext_lazy("%s is no number."),
    "twice": gettext_lazy("%s stands twice in the row."),
    "repeated": gettext_lazy("The same device and time as row %s."),
    "entry": gettext_lazy("The row cannot be taken: %s"),
}


@dataclass(frozen=True)
class Line:
    """One row of the preview: what stands there, and what it becomes or why it cannot."""

    number: int
    cells: list[str]
    time: str
    values: list[str]
    problem: str


@dataclass(frozen=True)
class Error:
    row: int
    column: str
    text: str


@dataclass(frozen=True)
class Look:
    """What taking a table in would do. `wrong`: why the mapping cannot be applied at all."""

    header: list[str]
    lines: list[Line]
    rows: int
    good: int
    values: int
    errors: list[Error]
    more: int
    wrong: str = ""


def visible(user: Any) -> QuerySet[ObservationFile]:
    """What the user handed in; the dispatcher and administrators see all."""
    if not may(user, ACTION):
        return ObservationFile.objects.none()
    rows = ObservationFile.objects.select_related("user")
    everything = user.is_superuser or user.role == Role.DISPATCHER
    return rows if everything else rows.filter(user=user)


def points(user: Any) -> QuerySet[Point]:
    """The points for which the user may take observations in."""
    return Point.objects.restrict(user, ACTION).filter(enabled=True)


def finder(user: Any) -> tables.Find:
    """Devices by number, station code or name, each with its system types."""
    known: dict[tuple[str, str], set[str]] = defaultdict(set)
    for mn, st, name, code in points(user).values_list("mn", "st", "name", "station_code"):
        for word in {mn, name, code} - {""}:
            known[word, st].add(mn)

    def find(name: str, st: str) -> str | None:
        found = known.get((name, st), set())
        return name if name in found else next(iter(found)) if len(found) == 1 else None

    return find


def hand_in(user: User, upload: Any) -> ObservationFile:
    """Keep the file with the mapping that its header suggests. Raises `Refused`."""
    if not may(user, ACTION):
        raise Refused(_("Your role may not take observations in."))
    if upload.size > LARGEST:
        raise Refused(_("The file is too large: at most %d MB.") % (LARGEST >> 20))
    upload.seek(0)
    data = upload.read()
    try:
        mapping = tables.guess(tables.header(data))
    except tables.TableError as error:
        raise Refused(said(error)) from None
    with files.cleared_away() as written, transaction.atomic():
        return ObservationFile.objects.create(
            name=files.display_name(upload.name),
            size=len(data),
            file=files.store("observations", upload, written),
            mapping=mapping,
            user=user,
            **digest.both(data),
        )


def said(error: tables.TableError) -> str:
    """Why a table cannot be read, for the person who handed it in."""
    if isinstance(error.__cause__, sheet.SheetError):
        return sheets.said(error.__cause__)
    return _("The table cannot be used: %s") % error


def content(row: ObservationFile) -> bytes:
    """The file as it was handed in. Raises `Refused`."""
    try:
        with row.file.open("rb") as stream:
            data = stream.read()
    except OSError:
        raise Refused(_("The file is missing on the disk.")) from None
    if digest.both(data)["sha256"] != row.sha256:
        raise Refused(_("The file is not what was handed in: its digest differs."))
    return bytes(data)


@transaction.atomic
def set_mapping(user: User, pk: int, mapping: dict[str, Any]) -> None:
    """Say what the columns are. Raises `Refused`, `ObservationFile.DoesNotExist`."""
    row = visible(user).select_for_update(of=("self",)).get(pk=pk)
    if row.state == ObservationFile.State.DONE:
        raise Refused(_("The table is taken in already."))
    row.mapping = mapping
    row.save(update_fields=["mapping"])


def look(user: User, row: ObservationFile) -> Look:
    """What taking the table in would do, with the first rows. Raises `Refused`."""
    data = content(row)
    try:
        header = tables.header(data)
        table = tables.rows(data)
        next(table)
        first = [(n, cells) for (n, cells), _ in zip(table, range(SHOWN), strict=False)]
    except tables.TableError as error:
        raise Refused(said(error)) from None
    try:
        found = tables.read(row.name, data, row.mapping, find=finder(user))
    except tables.TableError as error:
        wrong = said(error)
        lines = [Line(n, [sheet.text(c) for c in cells], "", [], "") for n, cells in first]
        return Look(header, lines, 0, 0, 0, [], 0, wrong)
    errors = [Error(e.row, e.column, _text(e)) for e in found.errors]
    by_row = {e.row: e.text for e in reversed(errors)}
    made = {}
    for raw in found.envelopes[: SHOWN + len(first)]:
        entry = json.loads(raw)
        made[entry["source"]["row"]] = entry
    lines = []
    for number, cells in first:
        entry = made.get(number)
        lines.append(
            Line(
                number,
                [sheet.text(c) for c in cells],
                _clock(entry["time"]) if entry else "",
                [_value(item) for item in entry["items"]] if entry else [],
                by_row.get(number, ""),
            )
        )
    return Look(
        header,
        lines,
        found.rows,
        len(found.envelopes),
        found.values,
        errors,
        found.more_errors,
    )


def _text(error: tables.RowError) -> str:
    text = str(PROBLEMS[error.kind])
    return text % error.value.strip("'") if "%s" in text else text


def _clock(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:8]} {text[8:10]}:{text[10:12]}:{text[12:14]}"


def _value(item: dict[str, str]) -> str:
    fields = " ".join(f"{k}={v}" for k, v in item.items() if k != "code")
    return f"{item['code']} {fields}"


@transaction.atomic
def take(user: User, pk: int, *, skip_errors: bool = False) -> ObservationFile:
    """Take in all rows, or (`skip_errors`) all that are right, in one durable commit. Raises
    `Refused`, `ObservationFile.DoesNotExist`.

    The journal is written before the database: killed in between, the table may be taken in again,
    and the lake stores its observations once.
    """
    row = visible(user).select_for_update(of=("self",)).get(pk=pk)
    if row.state == ObservationFile.State.DONE:
        raise Refused(_("The table is taken in already."))
    same = ObservationFile.objects.filter(
        sha256=row.sha256, mapping=row.mapping, state=ObservationFile.State.DONE
    ).first()
    if same:
        raise Refused(
            _("This file was taken in already with the same mapping: %(time)s, by %(who)s.")
            % {"time": f"{timezone.localtime(same.taken):%Y-%m-%d %H:%M}", "who": same.user}
        )
    try:
        found = tables.read(row.name, content(row), row.mapping, find=finder(user))
        if found.errors and not skip_errors:
            raise Refused(_("The table has errors: mend them, or have these rows left out."))
        if not found.envelopes:
            raise Refused(_("No row can be taken in."))
        taken = tables.take(
            found, settings.ENV.journal, f"file:{row.name[:60]}", skip_errors=skip_errors
        )
    except tables.TableError as error:
        raise Refused(said(error)) from None
    except JournalError:
        raise Refused(
            _("The journal cannot be written just now: nothing was taken. Try again later.")
        ) from None
    row.state, row.taken = ObservationFile.State.DONE, timezone.now()
    row.rows, row.left_out, row.values = taken, found.rows - taken, found.values
    row.evidence = record(
        "observations",
        f"observations:{row.pk}",
        {
            "file": {"sha256": row.sha256, "sm3": row.sm3},
            "mapping": row.mapping,
            "rows": taken,
            "left_out": row.left_out,
        },
        actor=str(user.pk),
    )
    row.save()
    return row
