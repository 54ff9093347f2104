"""Anchors: places outside the log where its checkpoints are written down as well.

`Anchor` is the interface; a chain or OpenTimestamps would be another adapter. The one here is a
file, on a medium that only takes appends (WORM store, a share of another office). Switched on by
the file `anchor` in the log's folder, one line: the path to append to.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from jingwei.evidence.note import Checkpoint

ANCHOR = "anchor"
MAX_LINE = 1_000
_LINE = re.compile(r"(\S+) (0|[1-9][0-9]{0,18}) ([A-Za-z0-9+/]{43}=) ([^\r\n]{1,500})")


class AnchorError(Exception):
    """A checkpoint could not be anchored, or an anchor contradicts the log; the text says why."""


class Anchor(Protocol):
    """A place that keeps what it was told, and when."""

    def anchor(self, moment: datetime, checkpoint: Checkpoint) -> None:
        """Write the checkpoint down; on return it is there for good. Raises `AnchorError`."""

    def anchored(self) -> Iterator[tuple[datetime, str, int, bytes]]:
        """All that was written: time, origin, size, root. Raises `AnchorError`."""


class FileAnchor:
    """One line a checkpoint: time, size, base64 root, origin."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def anchor(self, moment: datetime, checkpoint: Checkpoint) -> None:
        when = moment.astimezone(UTC).isoformat(timespec="seconds")
        root = base64.b64encode(checkpoint.root).decode()
        line = f"{when} {checkpoint.size} {root} {checkpoint.origin}\n"
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(fd, line.encode())
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise AnchorError(f"cannot append to {self.path}: {error.strerror}") from None

    def anchored(self) -> Iterator[tuple[datetime, str, int, bytes]]:
        try:
            with self.path.open("rb") as file:
                for number, raw in enumerate(iter(lambda: file.readline(MAX_LINE), b""), 1):
                    line = raw.decode(errors="replace").removesuffix("\n")
                    found = _LINE.fullmatch(line)
                    try:
                        if not found:
                            raise ValueError
                        moment = datetime.fromisoformat(found[1])
                    except ValueError:
                        raise AnchorError(f"line {number} of {self.path} is no anchor") from None
                    yield moment, found[4], int(found[2]), base64.b64decode(found[3])
        except OSError as error:
            raise AnchorError(f"cannot read {self.path}: {error.strerror}") from None


def configured(folder: Path) -> Anchor | None:
    """The anchor that the log's folder names; None where there is none."""
    if not (folder / ANCHOR).exists():
        return None
    try:
        path = (folder / ANCHOR).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AnchorError(f"cannot read {ANCHOR}: {error}") from None
    if not path:
        raise AnchorError(f"{ANCHOR} names no file")
    return FileAnchor(Path(path))
