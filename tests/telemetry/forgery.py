"""A segment's telegrams changed by someone who knows the form: every check sum is right again."""

from __future__ import annotations

from collections.abc import Callable

from jingwei.telemetry import blocks
from jingwei.telemetry.journal import Segment
from jingwei.telemetry.packing import Record


def forge(segment: Segment, change: Callable[[list[Record]], list[Record]]) -> None:
    """`change` gets the records of a segment that is not packed, and gives those to stand there."""
    with segment.open() as view:
        records = change(list(view.records()))
    other = segment.log.with_suffix(".forged")
    writer = blocks.Writer(other)
    for _, received, peer, reason, raw in records:
        writer.append([received], [peer], [reason], [raw])
    writer.close()
    other.rename(segment.log)
