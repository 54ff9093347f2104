"""`jingwei decode`: telegrams as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, cast

import typer

if TYPE_CHECKING:
    from jingwei.hj212 import Message

_LINE = 65536  # longest line that is looked at; a telegram has 10,013 bytes at most
# Characters that JSON leaves as they are and that some programs take for the end of a line.
_ESCAPE = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def _lines(source: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """The lines without their ends, and whether they are whole; empty ones are left out."""
    first = True
    while line := source.readline(_LINE + 2):
        if first:
            line, first = line.removeprefix(b"\xef\xbb\xbf"), False
        whole = line.endswith(b"\n") or len(line) <= _LINE
        while not whole and (rest := source.readline(_LINE)):
            if rest.endswith(b"\n"):
                break
        line = line.rstrip(b"\r\n")
        if line.strip():
            yield line.lstrip(b" \t"), whole


def _key(path: Path) -> bytes:
    data = path.read_bytes()
    text = data.strip()
    if len(text) == 32:
        try:
            return bytes.fromhex(text.decode())
        except ValueError:
            pass
    data = data if len(data) == 16 else text
    if len(data) != 16:
        raise typer.BadParameter(f"{path}: a key has 16 bytes, or 32 hexadecimal digits")
    return data


def decode(
    file: Annotated[
        Path | None, typer.Argument(help="What to read; standard input without it.")
    ] = None,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="A raw capture: telegrams are cut by their declared length."),
    ] = False,
    segment: Annotated[
        bool,
        typer.Option("--segment", help="Bare data segments, without '##', length and CRC."),
    ] = False,
    version: Annotated[
        str | None,
        typer.Option("--version", help="2005, 2017 or 2025; without it the telegram is asked."),
    ] = None,
    dialect: Annotated[
        list[str] | None,
        typer.Option(
            "--dialect",
            help="A deviating CRC to accept (may be repeated): lower, unpadded, modbus, swapped, "
            "modbus-swapped, ciphertext. Lower-case digits are accepted without it; with it only "
            "what it names, with 'none' nothing.",
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", help="A file with the SM4 key (16 bytes or 32 hex digits)."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 if any telegram may not be used.")
    ] = False,
) -> None:
    """Print HJ 212 telegrams as JSON, one object a line.

    Telegrams come one a line; what is no telegram gives an object with "ok": false and the reason in "error". Numbers stay the text that was sent.

    Exit codes: 0 = all was read and printed, whatever it was; 1 = with --strict, an object has "ok": false; 2 = a wrong option, or a file that cannot be read.
    """
    from jingwei import hj212

    if raw and segment:
        raise typer.BadParameter("--raw and --segment exclude each other")
    if version is not None and version not in hj212.VERSIONS:
        raise typer.BadParameter(f"--version {version}: wanted one of {', '.join(hj212.VERSIONS)}")
    names = ["lower"] if dialect is None else [name for name in dialect if name != "none"]
    for name in names:
        if name not in hj212.DIALECTS:
            raise typer.BadParameter(
                f"--dialect {name}: wanted one of {', '.join(hj212.DIALECTS)}, none"
            )
    accepted = frozenset(names)

    def read(frame: bytes) -> Message:
        return hj212.decode(frame, version=version, key=key, dialects=accepted)

    def capture(source: BufferedReader) -> Iterator[Message]:
        reader = hj212.Reader()
        more = True
        while more:
            piece = source.read1(_LINE)
            more = bool(piece)
            for part in reader.feed(piece) if more else reader.flush():
                if not isinstance(part, hj212.Rubbish):
                    yield read(part)
                elif part.data.startswith(b"##"):
                    yield read(part.data)  # it begins like a telegram: why it is none is seen there
                else:
                    why = f"no telegram, {len(part.data)} bytes: {part.reason}"
                    yield hj212.Message(False, why, raw=part.data)

    def lines(source: BufferedReader) -> Iterator[Message]:
        for line, whole in _lines(source):
            if not whole:
                why = f"line of more than {_LINE} bytes: no telegram is so long"
                yield hj212.Message(False, why, raw=line)
            elif segment:
                yield hj212.decode_segment(line, version=version, key=key)
            else:
                yield read(line)

    all_ok = True
    out = sys.stdout.buffer
    try:
        key = _key(key_file) if key_file else None
        with file.open("rb") if file else cast(BufferedReader, sys.stdin.buffer) as source:
            for message in capture(source) if raw else lines(source):
                all_ok = all_ok and message.ok
                text = json.dumps(message.to_json(), ensure_ascii=False).translate(_ESCAPE)
                out.write(text.encode() + b"\n")
                if file is None:
                    out.flush()  # somebody may be watching
        out.flush()
    except BrokenPipeError:
        # The reader (`head`, say) has seen enough; what is left must not be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except OSError as error:
        typer.echo(f"jingwei decode: {error.filename or 'input'}: {error.strerror}", err=True)
        if str(error.filename).startswith("##"):
            typer.echo(
                "A telegram goes in by standard input: echo '##…' | jingwei decode", err=True
            )
        raise typer.Exit(2) from None
    if strict and not all_ok:
        raise typer.Exit(1)


def attach(app: typer.Typer) -> None:
    """Adds `jingwei decode`."""
    app.command("decode")(decode)
