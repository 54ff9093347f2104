"""Full text over cases: Chinese found by any two characters that stand together.

Neither database cuts Chinese into words, and the trigrams of SQLite's FTS5 need three characters;
so a case's text is cut into pairs of neighbouring characters here ("超标排放" → 超标 标排 排放), which
both index as they are: FTS5 on SQLite, a GIN index over the array of pairs on PostgreSQL. Pairs in
a row must stand in a row in the text too, so a match is exact. A single character is looked for in
the pairs without the index.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import Q
from django.db.models.expressions import RawSQL

if TYPE_CHECKING:
    from jingwei.bureau.cases.models import Case
    from jingwei.bureau.registry.models import Enterprise

LONGEST = 2000  # characters of the requirement that are indexed
TOGETHER = 500  # cases that are compared with the index at once
FEW = 1000  # so many found are looked up once, and not in every statement of a page
_BREAK = re.compile(r"[^0-9a-z\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003134f]+")


def segments(text: str) -> list[str]:
    """Runs of letters, digits and Chinese characters, in one width and case."""
    return [s for s in _BREAK.split(unicodedata.normalize("NFKC", text).lower()) if s]


def pairs(segment: str) -> list[str]:
    """Neighbouring characters two by two; a lone character is itself."""
    return [segment[i : i + 2] for i in range(len(segment) - 1)] or [segment]


def words(text: str) -> str:
    """A text as it is indexed: its pairs, with a bar between what does not belong together."""
    return " | ".join(" ".join(pairs(s)) for s in segments(text))


def text_of(case: Case) -> str:
    """What of a case is found."""
    parts = [case.number or "", case.title, case.text[:LONGEST]]
    if case.enterprise_id:
        # A migration before `former_names` indexes too.
        former = getattr(case.enterprise, "former_names", "")
        parts += [case.enterprise.name, case.enterprise.uscc, former]
    return words("\n".join(parts))


def store(case: Case, *, new: bool = False) -> None:
    """Index a case, new or changed; in the transaction of the act."""
    with connection.cursor() as cursor:
        if not new:
            cursor.execute("DELETE FROM cases_casetext WHERE rowid = %s", [case.pk])
        cursor.execute(
            "INSERT INTO cases_casetext (rowid, words) VALUES (%s, %s)", [case.pk, text_of(case)]
        )


def renamed(enterprise: Enterprise) -> None:
    """Index the cases of an enterprise by its new name too; in the transaction of the renaming."""
    from jingwei.bureau.cases.models import Case

    for case in list(Case.objects.filter(enterprise=enterprise).select_related("enterprise")):
        store(case)


def matching(query: str) -> Q:
    """The cases whose text holds every part of the query; all where it holds nothing to look for."""
    found = Q()
    for segment in segments(query)[:8]:
        found &= Q(pk__in=_holding(pairs(segment[:50])))
    return found


_ALL = "SELECT rowid FROM cases_casetext"
_LIKE = _ALL + " WHERE words LIKE %s"
_MATCH = _ALL + " WHERE cases_casetext MATCH %s"
_FOUND = "SELECT jingwei_found(%s::text[], %s)"  # the web server may not read the words (`rows`)


def _holding(wanted: list[str]) -> RawSQL | list[int]:
    """The cases themselves where they are few, else the statement that finds them. The statements are
    constants; what a user typed is a parameter of letters and spaces."""
    row = " ".join(wanted)
    if connection.vendor == "postgresql":
        sql, given = _FOUND, [wanted if len(row) > 1 else [], f"%{row}%"]
    elif len(row) == 1:
        sql, given = _LIKE, [f"%{row}%"]
    else:
        sql, given = _MATCH, [f'"{row}"']
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} LIMIT {FEW + 1}", given)
        found = [pk for (pk,) in cursor.fetchall()]
    return found if len(found) <= FEW else RawSQL(sql, given)  # noqa: S611


def outdated() -> Iterator[int]:
    """Cases that are found by another text than their own, or by none. Reads every text."""
    from jingwei.bureau.cases.models import Case

    cases = Case.objects.select_related("enterprise").only(
        "number",
        "title",
        "text",
        "enterprise__name",
        "enterprise__former_names",
        "enterprise__uscc",
    )
    last = 0
    while some := list(cases.filter(pk__gt=last).order_by("pk")[:TOGETHER]):
        first, last = some[0].pk, some[-1].pk
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT rowid, words FROM cases_casetext WHERE rowid BETWEEN %s AND %s",
                [first, last],
            )
            indexed = dict(cursor.fetchall())
        for case in some:
            if indexed.get(case.pk) != text_of(case):
                yield case.pk


def fill() -> None:
    """Index what is not indexed as it is now: after an upgrade."""
    from jingwei.bureau.cases.models import Case

    for pk in list(outdated()):
        store(Case.objects.select_related("enterprise").get(pk=pk))
