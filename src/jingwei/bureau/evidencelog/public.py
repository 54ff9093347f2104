"""What anybody may read of the log, without a login: checkpoints, hashes, and public entries.

Hash tiles tell nothing about an entry that one does not have: every entry holds a random
identifier, so its leaf hash cannot be guessed. Entries themselves are shown one by one and only
of the kinds that are meant for the public; all other numbers answer as if they were not there.
A front web server may serve `log/checkpoint`, `log/tile/<0-9>` and `log/checkpoints` itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from jingwei.bureau.access import public
from jingwei.bureau.evidencelog import selectors, tally
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.evidence import tiles
from jingwei.evidence.tiles import MAX_ENTRY, WIDTH

KINDS = ("segment", "draw", "penalty", "key")
PER_MINUTE = 600  # requests of one address; a monitor that follows the log needs far fewer
_FOR_EVER = "public, max-age=31536000, immutable"
_NEWEST = "public, max-age=10"

View = Callable[..., HttpResponse]


def limited(view: View) -> View:
    """Answer 429 to an address that asks more than `PER_MINUTE` times within one minute."""

    @wraps(view)
    def counted(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        who = request.META.get("REMOTE_ADDR", "")
        path, key = settings.ENV.run / "public-tally", settings.SECRET_KEY.encode()
        if not tally.within(path, key, who, PER_MINUTE, int(time.time() // 60)):
            answer = HttpResponse(_("Too many requests."), status=429, content_type="text/plain")
            answer["Retry-After"] = "60"
            return answer
        return view(request, *args, **kwargs)

    return counted


@require_safe
@public
@limited
def overview(request: HttpRequest) -> HttpResponse:
    """How anybody checks the log, with its key, its policy and the newest checkpoint."""
    answer = render(
        request, "evidencelog/public.html", {"health": selectors.health(), "kinds": KINDS}
    )
    answer["Cache-Control"] = "private, no-cache"
    return answer


@require_safe
@public
@limited
def checkpoint(request: HttpRequest) -> HttpResponse:
    log = selectors.health().log
    if log is None:
        raise Http404
    return _answer(log.note.encode(), "text/plain; charset=utf-8", _NEWEST)


@require_safe
@public
@limited
def kept(request: HttpRequest, digits: str, stamp: str = "") -> HttpResponse:
    """An earlier checkpoint with its cosignatures, or its time stamp."""
    name = f"checkpoints/{digits}{stamp}"
    size = int(digits.replace("/x", "").replace("/", "").replace("x", ""))
    if tiles.kept_path(size) != f"checkpoints/{digits}":
        raise Http404
    kind = "application/timestamp-reply" if stamp else "text/plain; charset=utf-8"
    # Not for ever: cosignatures may be added to a checkpoint while it is the newest.
    return _answer(_file(name), kind, "public, max-age=3600" if stamp else _NEWEST)


@require_safe
@public
@limited
def tile(request: HttpRequest, level: str, digits: str, width: str = "") -> HttpResponse:
    """A hash tile (C2SP tlog-tiles); entry bundles are not public."""
    index = int(digits.replace("/x", "").replace("/", "").replace("x", ""))
    number = int(width.removeprefix(".p/") or WIDTH)
    if int(level) > 7 or not 0 < number <= WIDTH or (width and number == WIDTH):
        raise Http404
    name = tiles.path(int(level), index, number)
    if name != f"tile/{level}/{digits}{width}":
        raise Http404
    log = selectors.health().log
    # Beyond the checkpoint lies what may still be rewritten.
    if log is None or tiles.width_of(int(level), index, log.checkpoint.size) < number:
        raise Http404
    return _answer(_file(name), "application/octet-stream", _FOR_EVER)


@require_safe
@public
@limited
def entry(request: HttpRequest, index: int) -> HttpResponse:
    """The bytes of a public entry: they are the leaf. Every other number is not found."""
    row = EvidenceEntry.objects.filter(index=index, kind__in=KINDS).only("content").first()
    if row is None:
        raise Http404
    return _answer(row.content.encode()[:MAX_ENTRY], "application/json", _FOR_EVER)


@require_safe
@public
@limited
def proof(request: HttpRequest, index: int) -> HttpResponse:
    """The certificate (C2SP tlog-proof) of a public entry under the newest checkpoint."""
    row = EvidenceEntry.objects.filter(index=index, kind__in=KINDS).first()
    text = selectors.certificate(row) if row else None
    if text is None:
        raise Http404
    return _answer(text.encode(), "text/plain; charset=utf-8", _NEWEST)


@require_safe
@public
@limited
def listing(request: HttpRequest) -> HttpResponse:
    """The newest public entries: leaf number, kind, subject, time."""
    rows = EvidenceEntry.objects.filter(kind__in=KINDS, index__isnull=False).order_by("-index")
    found = [
        {
            "leaf": row.index,
            "type": row.kind,
            "subject": row.subject,
            "time": row.created.isoformat(),
        }
        for row in rows.defer("content")[:200]
    ]
    return _answer(json.dumps(found).encode(), "application/json", _NEWEST)


def _file(name: str) -> bytes:
    path: Path = settings.ENV.evidence / "log" / name
    try:
        with path.open("rb") as file:
            return file.read(1 << 20)
    except OSError:
        raise Http404 from None


def _answer(data: bytes, kind: str, caching: str) -> HttpResponse:
    return HttpResponse(
        data,
        content_type=kind,
        headers={"Cache-Control": caching, "Access-Control-Allow-Origin": "*"},
    )
