"""What was judged, as it is kept: rows that are only added to, each batch of them in the log.

One entry a batch ("judgements") says which rows a judgement added: those of its period with a
number over `after`, up to `last`; how many; when they were judged; and SHA-256 over them in that
order, each as

    point, period start in seconds since 1970, telegrams with a blank between: lines of UTF-8
    factors: JSON with sorted keys, no blanks, numbers as Python writes floats

every line with a line feed. Of the same rows as leaves it names the Merkle root (RFC 9162), so that
one judgement can be proved without showing the others. Not in it is `stands`, which follows from the rows: the newest of a
period of a point stands.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Exists, Max, OuterRef, Q, TextField
from django.db.models.functions import Cast

from jingwei.bureau.evidencelog.bundles import Leaf
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.services import record, time_text
from jingwei.bureau.monitoring.models import Judgement
from jingwei.bureau.monitoring.observations import moment, seconds
from jingwei.bureau.registry.models import PermitLimit, Point
from jingwei.evidence import merkle

KIND = "judgements"

_FORM: dict[str, Any] = {"separators": (",", ":"), "ensure_ascii": False, "sort_keys": True}
_NO_ZERO = re.compile(r"(?<=[:,\[])-0\.0(?=[,\]}])")  # PostgreSQL's numbers know no minus zero
_INSERT = (
    "INSERT INTO monitoring_judgement (point_id, period, time, judged, stands, telegrams, factors)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s)"
)


@dataclass(slots=True)
class Draft:
    """What is said now of one period of a point."""

    point: Point
    second: int
    telegrams: list[int]
    factors: dict[str, Any]

    @property
    def time(self) -> datetime:
        return moment(self.second)


def last() -> int:
    """The number of the newest row."""
    return Judgement.objects.aggregate(last=Max("pk"))["last"] or 0


def store(
    drafts: list[Draft], period: str, now: datetime, subject: str, after: int
) -> tuple[list[Draft], int]:
    """Write what differs from what stands, with an entry in the log that names the batch.

    `after` is the newest row before. Returns the drafts that differed, and of how many periods
    another judgement stood. Must run in the transaction that holds the period's cursor: nobody
    else adds rows of the period then.
    """
    if not drafts:
        return [], 0
    times = [d.second for d in drafts]
    old = {
        (point, seconds(when)): (pk, factors)
        for pk, point, when, factors in Judgement.objects.filter(
            point__in={d.point.pk for d in drafts},
            period=period,
            stands=True,
            time__gte=moment(min(times)),
            time__lte=moment(max(times)),
        ).values_list("pk", "point", "time", "factors")
    }
    changed, gone = [], []
    for d in drafts:
        stood = old.get((d.point.pk, d.second))
        if stood is not None and stood[1] == d.factors:
            continue
        changed.append(d)
        if stood is not None:
            gone.append(stood[0])
    for at in range(0, len(gone), 500):
        Judgement.objects.filter(pk__in=gone[at : at + 500]).update(stands=False)
    if changed:
        sha256, root = _insert(changed, period, now)
        record(
            KIND,
            subject,
            {
                "period": period,
                "after": after,
                "last": last(),
                "count": len(changed),
                "judged": now,
                "sha256": sha256,
                "root": root,
            },
        )
    return changed, len(gone)


def _insert(drafts: list[Draft], period: str, now: datetime) -> tuple[str, str]:
    """`bulk_create` in a third of its time: tens of thousands of rows come in a backlog.

    Returns the batch's SHA-256 and its root.
    """
    stamp = connection.ops.adapt_datetimefield_value
    moments = {s: stamp(moment(s)) for s in {d.second for d in drafts}}
    dumps = json.JSONEncoder(**_FORM).encode
    judged, batch, tree, rows = stamp(now), hashlib.sha256(), merkle.CompactRange(), []
    for d in drafts:
        telegrams, factors = " ".join(map(str, d.telegrams)), dumps(d.factors)
        if "-0.0" in factors:
            factors = _NO_ZERO.sub("0.0", factors)
        leaf = _bytes(d.point.pk, d.second, telegrams, factors)
        batch.update(leaf)
        tree.append(merkle.leaf_hash(leaf))
        rows.append((d.point.pk, period, moments[d.second], judged, True, telegrams, factors))
    with connection.cursor() as cursor:
        cursor.executemany(_INSERT, rows)
    return batch.hexdigest(), tree.root().hex()


def leaves(rows: Iterable[Judgement]) -> tuple[dict[int, Leaf], list[tuple[str, str]]]:
    """The judgements as leaves of their batches, for evidence bundles, and those that no entry holds."""
    found: dict[int, Leaf] = {}
    absent: list[tuple[str, str]] = []
    batches: dict[int, tuple[EvidenceEntry, dict[str, Any], set[int]]] = {}
    for row in rows:
        told = f'"judged":{json.dumps(time_text(row.judged))}'
        for entry in EvidenceEntry.objects.filter(kind=KIND, content__contains=told):
            said = json.loads(entry.content)["content"]
            if said["period"] == row.period and said["after"] < row.pk <= said["last"]:
                batches.setdefault(entry.pk, (entry, said, set()))[2].add(row.pk)
                break
        else:
            absent.append((f"judgement {row.pk}", "no batch in the evidence log holds it"))
    for entry, said, wanted in batches.values():
        tree, places = merkle.Tree(), dict[int, tuple[int, bytes]]()
        for pk, _, leaf in _batch(said):
            if pk in wanted:
                places[pk] = len(tree), leaf
            tree.append(merkle.leaf_hash(leaf))
        if tree.root().hex() != said.get("root"):
            why = "its batch is not as the evidence log says"
            absent += [(f"judgement {pk}", why) for pk in sorted(wanted)]
            continue
        for pk, (at, leaf) in places.items():
            steps = tuple(tree.inclusion_proof(at))
            found[pk] = Leaf(pk, entry, leaf, at, len(tree), steps)
    return found, absent


def _batch(said: Mapping[str, Any]) -> Iterator[tuple[int, datetime, bytes]]:
    """Number, time of judging and bytes of each row that an entry tells of."""
    rows = Judgement.objects.filter(
        period=said["period"], pk__gt=said["after"], pk__lte=said["last"]
    ).order_by("pk")
    for pk, point, when, at, telegrams, text in rows.values_list(
        "pk", "point", "time", "judged", "telegrams", Cast("factors", TextField())
    ).iterator(chunk_size=500):
        yield pk, at, _bytes(point, seconds(when), telegrams, _as_written(text))


def _bytes(point: int, second: int, telegrams: str, factors: str) -> bytes:
    return f"{point}\n{second}\n{telegrams}\n{factors}\n".encode()


# fsck -------------------------------------------------------------------------------------------


def check() -> Iterator[str]:
    """One sentence for each batch that is not as the log says, and for what no batch holds."""
    end = last()  # what a worker adds from now on is left to the next check
    told = dict.fromkeys(PermitLimit.Period.values, 0)
    entries = EvidenceEntry.objects.filter(kind=KIND).order_by("pk")
    for subject, content in entries.values_list("subject", "content").iterator(chunk_size=500):
        said = json.loads(content)["content"]
        if said["after"] >= end:
            continue
        batch, count, judged = hashlib.sha256(), 0, True
        for _pk, at, leaf in _batch(said):
            batch.update(leaf)
            judged = judged and time_text(at) == said["judged"]
            count += 1
        told[said["period"]] += count
        if count != said["count"]:
            yield f"Judgements {subject}: {count}, but the evidence log tells of {said['count']}."
        elif batch.hexdigest() != said["sha256"] or not judged:
            yield f"Judgements {subject}: one at least is not what the evidence log says."
    for period, count in told.items():
        if more := Judgement.objects.filter(period=period, pk__lte=end).count() - count:
            yield f"Judgements ({period}): the evidence log does not tell of {more}."
    newer = Judgement.objects.filter(
        point=OuterRef("point"), period=OuterRef("period"), time=OuterRef("time"),
        pk__gt=OuterRef("pk"),
    )  # fmt: skip
    wrong = Judgement.objects.filter(
        Q(Exists(newer), stands=True) | Q(~Exists(newer), stands=False)
    )
    for pk, stands in wrong.order_by("pk").values_list("pk", "stands").iterator(chunk_size=500):
        yield f"Judgement {pk} {'stands, but is not' if stands else 'is, but does not stand as'} the newest."


def _as_written(text: str) -> str:
    """The factors as `_insert` wrote them, whatever form the database gave the JSON."""
    return json.dumps(json.loads(text, parse_int=_number), **_FORM)


def _number(digits: str) -> int | float:
    # Python writes floats from 1e16 with an exponent, PostgreSQL all their digits.
    return int(digits) if len(digits) < 17 else float(digits)
