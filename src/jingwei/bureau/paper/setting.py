"""Blocks to PDF, by Typst and the fonts of the `pylopdf-fonts-zh-cn` package.

The file is PDF/A-2u (ISO 19005-2): every font is embedded and every glyph has its character, so it
looks the same everywhere and its text can be searched and copied. A character that no font has is
set as its number, 〔U+20BB7〕, and the file says so at its end.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
import unicodedata
from datetime import datetime
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _

from jingwei.bureau.paper.reading import Content

LONGEST = 120  # seconds a document may take
PATIENCE = (
    15  # seconds to wait for the engine: whoever waits holds one of the few threads for pages
)
_ENGINE = Path(__file__).with_name("engine.py")
# Of the fonts inside the engine, what the Chinese ones lack and pages use.
_SPARE = frozenset("₀₁₂₃₄₅₆₇₈₉✗")
# Typst takes all cores for one document; two at once would only take more memory.
_one = Lock()


class NotSetError(Exception):
    """The engine made no file; says why."""


class BusyError(NotSetError):
    """The engine is at another document still."""


def pdf(content: Content, title: str, at: datetime) -> bytes:
    """The file; `title` and the day of `at` stand at the foot of each page and in its properties.

    Raises `NotSetError` where the engine refuses, `BusyError` where it was not free within `PATIENCE`
    seconds. A picture that it cannot read is left out, and the file
    says so.
    """
    with translation.override("zh-hans" if content.language == "zh" else "en"):
        return _set(content, title, at)


def _set(content: Content, title: str, at: datetime) -> bytes:
    lacking: set[str] = set()
    blocks = _known(content.blocks, lacking)
    if lacking:
        named = " ".join(f"U+{ord(c):04X}" for c in sorted(lacking))
        text = _("The fonts of this file lack these characters; their Unicode numbers stand for them: %(named)s")  # fmt: skip
        note = {
            "is": "paragraph",
            "style": "fine",
            "indent": False,
            "runs": [{"text": text % {"named": named}}],
        }
        blocks = [*blocks, note]
    told = {
        "title": _known(title, set()),
        "language": content.language,
        "day": f"{at:%Y-%m-%d}",
        "time": [at.year, at.month, at.day, at.hour, at.minute, at.second],
        "blocks": blocks,
        "missing": _("Picture missing or not readable"),
    }
    with tempfile.TemporaryDirectory(prefix="jingwei-paper-") as folder:
        kinds = []
        for number, data in enumerate(content.pictures):
            Path(folder, str(number)).write_bytes(data)
            kinds.append(_kind(data))
        return _made(folder, told | {"kinds": kinds}, at)


def _made(folder: str, told: dict[str, Any], at: datetime) -> bytes:
    command = [sys.executable, "-I", str(_ENGINE), folder, str(int(at.timestamp()))]
    if not _one.acquire(timeout=PATIENCE):
        raise BusyError(f"The engine was not free within {PATIENCE} s.")
    try:
        done = subprocess.run(  # noqa: S603 - no word of it comes from a reader
            command, input=json.dumps(told).encode(), capture_output=True, timeout=LONGEST
        )
    except subprocess.TimeoutExpired as error:
        raise NotSetError(f"The engine took more than {LONGEST} s.") from error
    finally:
        _one.release()
    if done.returncode:
        raise NotSetError(done.stderr.decode(errors="replace"))
    return done.stdout


def _kind(data: bytes) -> str:
    """The format of a picture by its first bytes; empty: none that can be set."""
    for start, kind in ((b"\x89PNG", "png"), (b"\xff\xd8", "jpg"), (b"<svg", "svg"), (b"RIFF", "webp")):  # fmt: skip
        if data.startswith(start):
            return kind
    return ""


@cache
def _characters() -> frozenset[int]:
    """What both Chinese fonts have: text is set in either."""
    import pylopdf_fonts_zh_cn

    serif, sans = pylopdf_fonts_zh_cn.serif_path(), pylopdf_fonts_zh_cn.sans_path()
    return frozenset(_mapped(serif.read_bytes()) | _mapped(sans.read_bytes()))


def _mapped(font: bytes) -> set[int]:
    """The characters of an OpenType font: format 12 of its table `cmap` (ISO/IEC 14496-22, 5.2.1)."""
    (tables,) = struct.unpack_from(">H", font, 4)
    records = [struct.unpack_from(">4sIII", font, 12 + 16 * n) for n in range(tables)]
    start = next(offset for tag, _sum, offset, _length in records if tag == b"cmap")
    (count,) = struct.unpack_from(">H", font, start + 2)
    found: set[int] = set()
    for n in range(count):
        _platform, _encoding, offset = struct.unpack_from(">HHI", font, start + 4 + 8 * n)
        (form,) = struct.unpack_from(">H", font, start + offset)
        if form != 12:
            continue
        (groups,) = struct.unpack_from(">I", font, start + offset + 12)
        for g in range(groups):
            low, high, _glyph = struct.unpack_from(">III", font, start + offset + 16 + 12 * g)
            found.update(range(low, high + 1))
    return found


def _known(value: Any, lacking: set[str]) -> Any:
    """`value` with every character in its texts that can be set; the others go into `lacking`."""
    if isinstance(value, str):
        return "".join(_letter(c, lacking) for c in value)
    if isinstance(value, list):
        return [_known(v, lacking) for v in value]
    if isinstance(value, dict):
        return {k: _known(v, lacking) for k, v in value.items()}
    return value


def _letter(c: str, lacking: set[str]) -> str:
    if ord(c) in _characters() or c in _SPARE or c == "\n":
        return c
    if c.isspace():
        return " "
    # Marks of direction, joiners, variants and controls: nothing to be seen, and they can deceive.
    if unicodedata.category(c) in ("Cc", "Cf", "Cs") or 0xFE00 <= ord(c) <= 0xFE0F:
        return ""
    lacking.add(c)
    return f"〔U+{ord(c):04X}〕"
