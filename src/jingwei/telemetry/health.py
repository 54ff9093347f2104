"""Heartbeats: every process says in a small file that it lives and how it is.

`<run>/<name>.json` is replaced atomically at each beat; anyone may read it. Tables that are too
large to be read at every look (one row a device) go to `<run>/tables/<name>.json`.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def _write(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, default=str).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as f:
                f.write(text)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno != errno.ENOSPC or not path.exists():
            raise
        # The disk is full, and just now the beat matters: write into the room the old one has.
        with path.open("r+b") as f:
            f.write(text.ljust(path.stat().st_size))


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    content["age"] = max(
        0.0, (datetime.now(UTC) - datetime.fromisoformat(content["time"])).total_seconds()
    )
    return content


def beat(run_dir: Path, name: str, **details: Any) -> None:
    """Say that `name` lives now. `details` must be JSON; a full disk raises `OSError`."""
    _write(
        run_dir / f"{name}.json",
        {
            "time": datetime.now(UTC).isoformat(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            **details,
        },
    )


def read(run_dir: Path) -> dict[str, dict[str, Any]]:
    """The last beat of every process, with its `age` in seconds; an unreadable one has `error`."""
    beats: dict[str, dict[str, Any]] = {}
    for path in sorted(run_dir.glob("[!.]*.json")):
        try:
            beats[path.stem] = _read(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            beats[path.stem] = {"error": f"{path.name} cannot be read: {error}", "age": None}
    return beats


def table(run_dir: Path, name: str, **content: Any) -> None:
    """Replace the large table `name` (for example the gateway's devices and peers)."""
    _write(
        run_dir / "tables" / f"{name}.json",
        {"time": datetime.now(UTC).isoformat(), "pid": os.getpid(), **content},
    )


def read_table(run_dir: Path, name: str) -> dict[str, Any]:
    """The table as last written, with its `age`; empty where there is none that can be read."""
    try:
        return _read(run_dir / "tables" / f"{name}.json")
    except (OSError, ValueError, KeyError, TypeError):
        return {}
