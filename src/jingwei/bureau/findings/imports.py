"""Tables of findings, CSV or Excel: handed in, looked at row by row, then imported as a whole.

The file is kept as it came, with its digests. A row passes the same form as a finding that is
filed by hand; one bad row and nothing is imported. The same file is imported once, and so is the
same row: by its sender's number, or, whoever hands it in, by all that it says.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from jingwei.bureau.access import Role, may
from jingwei.bureau.accounts.models import User
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings import files
from jingwei.bureau.findings.export import cell
from jingwei.bureau.findings.forms import Desk, FindingForm
from jingwei.bureau.findings.kinds import SCENARIOS
from jingwei.bureau.findings.models import Finding, ImportFile
from jingwei.bureau.findings.services import Refused, notice
from jingwei.bureau.registry import sheets
from jingwei.evidence import canonical, digest
from jingwei.telemetry import sheet

ROWS = 5_000
COLUMNS = 60
LARGEST = 10 * 1024 * 1024
UNPACKED = 200 * 1024 * 1024  # of a workbook: more is no table, but a bomb
SHOWN = 50  # rows of a preview
ERRORS = 200  # of a preview

REFERENCE = "reference"  # the number that the sender gave: the same one again is the same finding
COMMON = (
    "title", "began", "ended", "address", "longitude", "latitude", "datum", "region", "enterprise",
    "point", "severity", "confidence", "innocent", "next_check",
)  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """`row` as the spreadsheet counts; 0 for the table as a whole."""

    row: int
    column: str
    text: str


@dataclass(frozen=True)
class Preview:
    """`rows`: number and cells of the first ones; `problems`: the first ones; `forms`: all good."""

    header: list[str]
    rows: list[tuple[int, list[str]]]
    total: int
    problems: list[Problem]
    more: int
    known: int  # rows that are known already: they extend a finding
    dismissed: int  # rows whose finding was dismissed: it stays so


def columns(kind: str) -> dict[str, str]:
    """Name → heading in the reader's language, in the order of the template."""
    form = FindingForm(kind, Desk(_nobody()), uploads=False)
    names = [n for n in COMMON if n in form.fields]
    asked = [i.name for i in SCENARIOS[kind].inputs]
    found = {REFERENCE: _("Reference number")}
    return found | {n: str(form.fields[n].label) for n in (*names[:1], *asked, *names[1:])}


def _nobody() -> Any:
    from django.contrib.auth.models import AnonymousUser

    user = AnonymousUser()
    user.areas = list  # type: ignore[attr-defined]
    return user


def template(kind: str, form: str) -> HttpResponse:
    """An empty table with the headings in the reader's language, and a second line that explains."""
    headings = columns(kind)
    fields = FindingForm(kind, Desk(_nobody()), uploads=False).fields
    hints = [_hint(name, fields) for name in headings]
    name = f"findings-{kind}.{form}"
    if form not in ("csv", "xlsx"):
        raise Http404
    if form == "csv":
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow([cell(h) for h in headings.values()])
        writer.writerow([cell(f"#{h}") for h in hints])
        data, kind_of = ("\ufeff" + text.getvalue()).encode(), "text/csv; charset=utf-8"
    else:
        from openpyxl import Workbook
        from openpyxl.styles import Font

        book = Workbook()
        sheet = book.active
        sheet.append(list(headings.values()))
        sheet.append([f"#{h}" for h in hints])
        for c in sheet[1]:
            c.font = Font(bold=True)
            sheet.column_dimensions[c.column_letter].width = 18
        sheet.freeze_panes = "A2"
        stream = io.BytesIO()
        book.save(stream)
        data = stream.getvalue()
        kind_of = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return HttpResponse(
        data,
        content_type=kind_of,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
        },
    )


def _hint(name: str, fields: dict[str, Any]) -> str:
    """What is wanted in a column, in one line. A line that begins with # is not read."""
    if name == REFERENCE:
        return _("your own number; may be empty")
    field = fields[name]
    need = _("required") if field.required else _("may be empty")
    if name in ("began", "ended"):
        return f"{need}; 2026-01-31 08:00"
    if name == "region":
        return f"{need}; " + _("code or name; empty: by the place")
    choices = [str(label) for value, label in getattr(field, "choices", []) if value]
    return f"{need}; {' / '.join(choices)}" if choices else need


# --- reading ---------------------------------------------------------------------------------


def table(data: bytes) -> Iterator[tuple[int, list[Any]]]:
    """(row number, cells) of every row that is not empty and no explanation (#); raises `Refused`
    for what is no table."""
    try:
        for number, cells in sheet.rows(
            data, max_bytes=LARGEST, max_rows=ROWS + 2, max_columns=COLUMNS, unpacked=UNPACKED
        ):
            if not str(cells[0] or "").startswith("#"):
                yield number, cells
    except sheet.SheetError as error:
        if error.kind == "rows":
            error.facts["limit"] = ROWS  # but heading and explanation
        raise Refused(sheets.said(error)) from None


@dataclass
class _Row:
    """`key`: what makes it the same row again, `numbered` where that is its sender's number; `said`: for `services.notice`, of a good row."""

    number: int
    key: str
    numbered: bool
    said: dict[str, Any]
    cells: list[str]


def _read(user: User, kind: str, data: bytes) -> tuple[list[str], list[_Row], list[Problem]]:
    rows = table(data)
    try:
        _number, heads = next(rows)
    except StopIteration:
        raise Refused(_("The table is empty.")) from None
    header = [sheet.text(h) for h in heads]
    names, problems = _headings(kind, header)
    if not any(names):
        raise Refused(
            _("The first row names none of the template's columns: download it and fill it in.")
        )
    missing = {p.column for p in problems if not p.row}
    found, seen = [], {}
    choices = _choices(kind)
    form = FindingForm(kind, Desk(user), {}, uploads=False)  # one for all rows: it costs more
    for number, cells in rows:  # to make than to ask
        texts = [sheet.text(c) for c in cells] + [""] * (len(header) - len(cells))
        given = {n: t for n, t in zip(names, texts, strict=False) if n}
        for name, words in choices.items():
            if given.get(name):
                given[name] = words.get(given[name].casefold(), given[name])
        reference = given.pop(REFERENCE, "")[:60]
        key = (
            reference or digest.sha256(canonical.dumps({n: t for n, t in given.items() if t})).hex()
        )
        if key in seen and reference:
            text = _("The reference number stands in row %d too.") % seen[key]
            problems.append(Problem(number, str(_("Reference number")), text))
        elif key in seen:
            text = _("The same as row %d: take one of them out, or number both.") % seen[key]
            problems.append(Problem(number, "", text))
        seen.setdefault(key, number)
        form.data = given
        form.full_clean()
        for name, errors in form.errors.as_data().items():
            label = str(form.fields[name].label) if name in form.fields else ""
            if label not in missing:
                problems += [Problem(number, label, _told(form, name, e)) for e in errors]
        said = {} if form.errors else form.said
        found.append(_Row(number, key, bool(reference), said, texts[: len(header)]))
    if not found:
        problems.append(Problem(0, "", _("The table has a heading, but no rows.")))
    return header, found, problems


def _told(form: FindingForm, name: str, error: ValidationError) -> str:
    if error.code != "invalid_choice":
        return " ".join(error.messages)
    labels = [str(label) for value, label in getattr(form.fields[name], "choices", ()) if value]
    return _("“%(value)s” is none of these: %(choices)s") % {
        "value": form.data[name],
        "choices": " / ".join(labels),
    }


def _headings(kind: str, header: list[str]) -> tuple[list[str], list[Problem]]:
    """The names of the columns: each may be headed by its name, in Chinese or in English."""
    known: dict[str, str] = {}
    for language in ("zh-hans", "en"):
        with translation.override(language):
            known |= {head.casefold(): name for name, head in columns(kind).items()}
    wanted = columns(kind)
    known |= {name: name for name in wanted}
    names, problems = [], []
    for head in header:
        name = known.get(head.casefold(), "")
        if head and not name:
            problems.append(Problem(1, head, _("This column is not known; see the template.")))
        if name and name in names:
            problems.append(Problem(1, head, _("This column stands twice.")))
        names.append(name)
    fields = FindingForm(kind, Desk(_nobody()), uploads=False).fields
    for name, label in wanted.items():
        if name != REFERENCE and fields[name].required and name not in names:
            problems.append(Problem(0, label, _("This column is missing.")))
    return names, problems


def _choices(kind: str) -> dict[str, dict[str, str]]:
    """Words for the values of choices, in both languages: column → word → value."""
    found: dict[str, dict[str, str]] = {}
    for language in ("zh-hans", "en"):
        with translation.override(language):
            fields = FindingForm(kind, Desk(_nobody()), uploads=False).fields
            for name, field in fields.items():
                for value, label in getattr(field, "choices", []):
                    words = found.setdefault(name, {})
                    words[str(label).casefold()] = words[str(value).casefold()] = str(value)
    return found


# --- acts ------------------------------------------------------------------------------------


def visible(user: Any) -> QuerySet[ImportFile]:
    """What the user handed in; the dispatcher sees all."""
    if not may(user, "finding.import"):
        return ImportFile.objects.none()
    rows = ImportFile.objects.select_related("user")
    everything = user.is_superuser or user.role == Role.DISPATCHER
    return rows if everything else rows.filter(user=user)


def hand_in(user: User, kind: str, upload: Any) -> ImportFile:
    """Keep the file and look at it. Raises `Refused` for what is no table, and for a file that was
    imported already."""
    if not may(user, "finding.import"):
        raise Refused(_("Your role may not import findings."))
    if upload.size > LARGEST:
        raise Refused(
            _("The file is too large: at most %d MB; hand it in in parts.") % (LARGEST // 1024**2)
        )
    upload.seek(0)
    data = upload.read()
    named = digest.both(data)
    before = ImportFile.objects.filter(
        sha256=named["sha256"], kind=kind, state=ImportFile.State.DONE
    ).first()
    if before:
        raise Refused(
            _("This file was imported already: %(time)s, by %(who)s.")
            % {"time": f"{timezone.localtime(before.at):%Y-%m-%d %H:%M}", "who": before.user}
        )
    _header, rows, problems = _read(user, kind, data)
    with files.cleared_away() as written, transaction.atomic():
        return ImportFile.objects.create(
            kind=kind,
            name=files.display_name(upload.name),
            size=len(data),
            file=files.store("imports", upload, written),
            state=ImportFile.State.FAULTY if problems else ImportFile.State.PREVIEW,
            rows=len(rows),
            user=user,
            **named,
        )


def _bytes(row: ImportFile) -> bytes:
    try:
        with row.file.open("rb") as stream:
            data = stream.read()
    except OSError:
        raise Refused(_("The file is missing on the disk.")) from None
    if digest.both(data)["sha256"] != row.sha256:
        raise Refused(_("The file is not what was handed in: its digest differs."))
    return data


def preview(user: User, row: ImportFile) -> Preview:
    """What importing the file would do, and what stands against it. Raises `Refused`."""
    header, rows, problems = _read(user, row.kind, _bytes(row))
    known = Finding.objects.filter(episode__in=[_episode(row, r) for r in rows])
    dismissed = known.filter(state=Finding.State.DISMISSED).count()
    return Preview(
        header,
        [(r.number, r.cells) for r in rows[:SHOWN]],
        len(rows),
        problems[:ERRORS],
        max(0, len(problems) - ERRORS),
        known.count() - dismissed,
        dismissed,
    )


def _episode(row: ImportFile, line: _Row) -> str:
    """A number is the sender's own: two people's 1 are not the same finding. A row without one is
    the same, whoever hands it in."""
    whose = f"{row.user_id}/" if line.numbered else ""
    return f"file/{row.kind}/{whose}{line.key}"


def confirm(user: User, pk: int) -> int:
    """Import all rows, or none; how many findings are new. Raises `Refused`,
    `ImportFile.DoesNotExist`."""
    with transaction.atomic():
        row = visible(user).select_for_update(of=("self",)).get(pk=pk)
        if row.state == ImportFile.State.DONE:
            raise Refused(_("The file is imported already."))
        same = ImportFile.objects.filter(
            sha256=row.sha256, kind=row.kind, state=ImportFile.State.DONE
        )
        if same.exists():
            raise Refused(_("The same file was handed in twice and is imported already."))
        _header, rows, problems = _read(user, row.kind, _bytes(row))
        if problems:
            raise Refused(_("The file has errors: correct it and hand it in again."))
        new = 0
        for line in rows:
            finding, created = notice(
                kind=row.kind,
                episode=_episode(row, line),
                source=Finding.Source.FILE,
                filed_by=user,
                **line.said,
            )
            if created:
                new += 1
                finding.imported = row
                finding.save(update_fields=["imported"])
        row.state, row.rows, row.created = ImportFile.State.DONE, len(rows), new
        row.evidence = record(
            "import",
            f"import:{row.pk}",
            {
                "kind": row.kind,
                "rows": len(rows),
                "created": new,
                "file": {"sha256": row.sha256, "sm3": row.sm3},
            },
            actor=str(user.pk),
        )
        row.save(update_fields=["state", "rows", "created", "evidence"])
        return new
