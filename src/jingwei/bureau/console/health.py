"""How each component is, from heartbeats and light checks; no check waits or does heavy work.

A component is "ok", "degraded" (it works, but somebody should look) or "down". The whole is "down"
only where no page can be shown (the database); where anything else is not ok it is "degraded",
because the console must stay open to the people who then have to act.

What `components()` says is public: states and numbers, no paths and no error texts.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.evidencelog import selectors as evidencelog
from jingwei.telemetry import health, journal
from jingwei.telemetry.lake import Lake

OK, DEGRADED, DOWN = "ok", "degraded", "down"
SILENT = 15.0  # seconds after its last beat when a process (one beat each 2 s) counts as stopped
REMEMBERED = 24 * 3600.0  # seconds for which a replay of the demo that ended is still told of
DISK_DEGRADED = 0.05  # share of the disk that is free
DISK_DOWN = 64 * 1024 * 1024  # bytes

Component = dict[str, Any]


def _database() -> Component:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError:
        return {"status": DOWN}
    return {"status": OK}


def _gone(beat: dict[str, Any]) -> bool:
    """Whether the process of this beat has ended. Known only on the host where it ran."""
    if beat.get("host") != socket.gethostname():
        return False
    try:
        os.kill(beat["pid"], 0)  # asks, and sends nothing
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # another user's process: it lives
    return False


def _process(beat: dict[str, Any] | None) -> Component:
    """A process by its last beat; one that reports errors of its own is degraded."""
    if beat is None or beat.get("age") is None:
        return {"status": DOWN}
    found: Component = {"status": OK, "age": round(beat["age"], 1)}
    if beat["age"] > SILENT or beat.get("state") == "stopped" or _gone(beat):
        found["status"] = DOWN
    elif beat.get("errors") or beat.get("problem") or beat.get("state", OK) != OK:
        found["status"] = DEGRADED
    for figure in ("connections", "devices", "telegrams"):
        if figure in beat:
            found[figure] = beat[figure]
    return found


def _journal(root: Path) -> Component:
    segments = journal.segments(root) if root.is_dir() else []
    if not segments:
        return {"status": OK if root.is_dir() else DOWN, "segments": 0}
    try:
        segments[-1].meta()
    except journal.JournalError:
        return {"status": DEGRADED, "segments": len(segments)}
    return {"status": OK, "segments": len(segments)}


def _lake(root: Path) -> Component:
    return {"status": OK, "batch": Lake(root).batch()}


def _evidence() -> Component:
    log = evidencelog.health()
    status = DOWN if log.problem else DEGRADED if log.late else OK
    return {"status": status, "waiting": log.waiting}


def _disk(data: Path) -> Component:
    usage = shutil.disk_usage(data)
    share = usage.free / usage.total
    status = DOWN if usage.free < DISK_DOWN else DEGRADED if share < DISK_DEGRADED else OK
    return {"status": status, "free_bytes": usage.free, "free_share": round(share, 3)}


def _gateways(beats: dict[str, Any], count: int) -> Component:
    """The gateway that is worst; its figures are its own."""
    names = ["gateway", *(f"gateway-{n}" for n in range(2, count + 1))]
    found = [_process(beats.get(name)) for name in names]
    return max(found, key=lambda one: (OK, DEGRADED, DOWN).index(one["status"]))


def components() -> dict[str, Component]:
    """State and figures of every component; a check that fails makes its component "down"."""
    env = settings.ENV
    database = _database()
    beats = health.read(env.run) if env.run.is_dir() else {}
    checks: dict[str, Callable[[], Component]] = {
        "gateway": lambda: _gateways(beats, env.gateways),
        "worker": lambda: _process(beats.get("worker")),
        "ingest": lambda: _process(beats.get("ingest")),
        "journal": lambda: _journal(env.journal),
        "lake": lambda: _lake(env.lake),
        "evidence": _evidence,
        "disk": lambda: _disk(env.data),
    }
    for name, wanted in (("mqtt", env.mqtt), ("forward", env.forward)):
        if wanted:
            checks[name] = lambda name=name: _process(beats.get(name))  # type: ignore[misc]
    replay = beats.get("replay", {})
    if env.demo and (replay.get("age") or 0.0) < REMEMBERED and "pid" in replay:
        checks["replay"] = lambda: _process(replay)
    found = {"database": database}
    for name, check in checks.items():
        if name == "evidence" and database["status"] == DOWN:
            found[name] = {"status": DOWN}
            continue
        try:
            found[name] = check()
        except Exception:  # whatever it is: this component cannot be used
            found[name] = {"status": DOWN}
    return found


def overall(found: dict[str, Component]) -> str:
    """ "ok", "degraded" or "down" for the whole system."""
    if found["database"]["status"] == DOWN:
        return DOWN
    return OK if all(c["status"] == OK for c in found.values()) else DEGRADED


LABELS = {
    "database": _("Database"),
    "gateway": _("Gateway"),
    "worker": _("Worker"),
    "ingest": _("Ingest"),
    "journal": _("Journal"),
    "lake": _("Data lake"),
    "evidence": _("Evidence log"),
    "disk": _("Disk"),
    "mqtt": _("MQTT intake"),
    "forward": _("Forwarding"),
    "replay": _("Replay"),
}


def row(name: str, found: Component) -> dict[str, Any]:
    """A component as the system page shows it: label, state, figures in words."""
    figures = []
    if "age" in found:
        figures.append(gettext("last sign of life %(seconds)s s ago") % {"seconds": found["age"]})
    if "connections" in found:
        figures.append(
            ngettext("%(count)d connection", "%(count)d connections", found["connections"])
            % {"count": found["connections"]}
        )
    if "telegrams" in found:
        figures.append(
            ngettext(
                "%(count)d telegram since the start",
                "%(count)d telegrams since the start",
                found["telegrams"],
            )
            % {"count": found["telegrams"]}
        )
    if "segments" in found:
        figures.append(
            ngettext("%(count)d segment", "%(count)d segments", found["segments"])
            % {"count": found["segments"]}
        )
    if "batch" in found:
        figures.append(gettext("batch %(number)d") % {"number": found["batch"]})
    if "waiting" in found:
        figures.append(
            ngettext(
                "%(count)d entry waits for its number",
                "%(count)d entries wait for their number",
                found["waiting"],
            )
            % {"count": found["waiting"]}
        )
    if "free_bytes" in found:
        figures.append(
            gettext("%(size)s free (%(share)s %%)")
            % {
                "size": filesizeformat(found["free_bytes"]),
                "share": f"{found['free_share'] * 100:.0f}",
            }
        )
    return {
        "label": LABELS[name],
        "status": found["status"],
        "figures": " · ".join(figures),
    }
