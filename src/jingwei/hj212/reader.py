"""Cuts a stream of bytes into frames, by the declared length alone.

A frame is `##`, four digits (the number of bytes of the data segment), the segment, the check sum
and CR LF (HJ 212-2017 §6.3). Nothing inside a segment is looked for, because `&&`, `##` and CR LF
may all occur in the ciphertext of 2025. Where the bytes behind the declared length are no check
sum, the beginning was no beginning: the reader goes on at the next `##` behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_LINE_END: Final = frozenset(b"\r\n")
_BETWEEN: Final = frozenset(b"\r\n*")
_HASH: Final = 35
_NO_START: Final = "no '##' where a frame should begin"


@dataclass(frozen=True, slots=True)
class Rubbish:
    """Bytes that are no frame, as they came, and why they are none."""

    data: bytes
    reason: str


class Reader:
    """Cuts what a connection delivers into frames.

    `feed` may be called with pieces of any size: the frames and the rubbish are the same as if
    all had come at once. A frame is handed out as soon as its check sum is there, without the CR
    LF behind it (a device that sends none is not kept waiting for its answer); CR, LF and `*`
    between frames are dropped. Bytes that belong to no frame are handed out as `Rubbish` before
    the next frame or the next line that begins like one, when `max_rubbish` of them have come, or
    by `flush`. Work is linear in the
    number of bytes; what is held is at most `max_segment + max_rubbish + 11` bytes.
    """

    __slots__ = ("_between", "_buffer", "_max_rubbish", "_max_segment", "_reason", "_rubbish")

    def __init__(self, *, max_segment: int = 9999, max_rubbish: int = 65536) -> None:
        if max_segment < 0 or max_rubbish < 1:
            raise ValueError("max_segment must be at least 0 and max_rubbish at least 1")
        self._max_segment = max_segment
        self._max_rubbish = max_rubbish
        self._buffer = bytearray()  # what is not decided yet
        self._rubbish = bytearray()  # what is no frame, and why
        self._reason = ""
        self._between = True  # nothing but line ends has come since the last frame

    @property
    def pending(self) -> int:
        """How many bytes are held: an unfinished frame and rubbish not yet handed out."""
        return len(self._buffer) + len(self._rubbish)

    def feed(self, data: bytes) -> list[bytes | Rubbish]:
        """The frames and the rubbish that `data` completes, in the order of the stream."""
        buffer = self._buffer
        buffer += data
        out: list[bytes | Rubbish] = []
        at, end = 0, len(buffer)
        while at < end:
            if self._between and buffer[at] in _BETWEEN:
                at += 1
                continue
            if buffer[at] != _HASH:
                following = buffer.find(b"#", at)
                stop = following if following >= 0 else end
                self._throw(at, stop, _NO_START, out)
                at = stop
                continue
            size, why = self._judge(at, end)
            if size:
                self._hand_out(out)
                out.append(bytes(buffer[at : at + size]))
                at += size
                self._between = True
            elif why:
                self._reject(at, why, out)
                at += 1
            else:
                break
        del buffer[:at]
        return out

    def flush(self) -> list[bytes | Rubbish]:
        """What is left when the stream ends, or when waiting for the end of a frame was in vain.

        An unfinished frame is none: it becomes rubbish up to the next beginning behind its own,
        so a length that said too much does not take the frames after it along.
        """
        out: list[bytes | Rubbish] = []
        while self._buffer:
            why = f"unfinished: {len(self._buffer)} bytes of a frame, and no more came"
            self._reject(0, why, out)
            del self._buffer[:1]
            out += self.feed(b"")
        self._hand_out(out)
        self._between = True
        return out

    def _reject(self, at: int, why: str, out: list[bytes | Rubbish]) -> None:
        """The '#' at `at` begins no frame."""
        if why is not _NO_START and self._rubbish and self._rubbish[-1] in _LINE_END:
            self._hand_out(out)  # a line that begins like a frame: one by one
        self._throw(at, at + 1, why, out)

    def _judge(self, at: int, end: int) -> tuple[int, str]:
        """At a '#': the size of the frame that begins here, or why none does; neither: not yet."""
        buffer = self._buffer
        if at + 1 < end and buffer[at + 1] != _HASH:
            return 0, _NO_START
        digits = buffer[at + 2 : at + 6]
        if digits and not digits.isdigit():
            return 0, "no four digits of length behind '##'"
        if len(digits) < 4:
            return 0, ""
        declared = int(digits)
        if declared > self._max_segment:
            return 0, f"length {declared} is over the limit of {self._max_segment}"
        tail = at + 6 + declared
        if tail >= end:
            return 0, ""
        closed = declared >= 2 and buffer[tail - 2] == buffer[tail - 1] == 38  # '&&'
        for i in range(tail, min(tail + 4, end)):
            if buffer[i] not in _HEX:
                if closed and i > tail and buffer[i] in _LINE_END:
                    return i - at, ""  # a check sum without its leading zeros
                return 0, f"no check sum behind the declared length {declared}"
        if tail + 4 > end:
            return 0, ""
        # Four hexadecimal digits may stand anywhere: without '&&' before them a line end must
        # follow. So a false beginning just before a true frame does not swallow it.
        if closed:
            return tail + 4 - at, ""
        if tail + 4 == end:
            return 0, ""
        if buffer[tail + 4] in _BETWEEN:
            return tail + 4 - at, ""
        return 0, f"no check sum behind the declared length {declared}"

    def _throw(self, start: int, stop: int, why: str, out: list[bytes | Rubbish]) -> None:
        """Adds bytes of the buffer to the rubbish, which keeps the first reason."""
        self._between = False
        while start < stop:
            if not self._rubbish:
                self._reason = why
            piece = self._buffer[start : min(stop, start + self._max_rubbish - len(self._rubbish))]
            self._rubbish += piece
            start += len(piece)
            if len(self._rubbish) == self._max_rubbish:
                self._hand_out(out)

    def _hand_out(self, out: list[bytes | Rubbish]) -> None:
        if self._rubbish:
            out.append(Rubbish(bytes(self._rubbish), self._reason))
            self._rubbish.clear()
