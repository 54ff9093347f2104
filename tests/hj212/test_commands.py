"""`jingwei decode`, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jingwei.hj212 import frame, sm4

from .samples import HEAD, rows

KEYS = [
    "ok", "error", "version", "qn", "st", "cn", "mn", "flag", "pnum", "pno", "data_time", "rf",
    "items", "params", "crc", "problems",
]  # fmt: skip
PROGRAM = (
    "import typer; from jingwei.hj212.commands import attach;"
    "app = typer.Typer(pretty_exceptions_enable=False); attach(app);"
    "app.command('other')(lambda: None); app()"
)
GOOD = frame(f"{HEAD}CP=&&DataTime=20240601080000;w01018-Avg=1.230&&")


def run(
    *arguments: str, data: bytes = b"", code: int = 0
) -> tuple[list[dict[str, Any]], subprocess.CompletedProcess[bytes]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "decode", *arguments],
        input=data, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    return [json.loads(line) for line in done.stdout.decode().splitlines()], done


def test_the_corpus_line_by_line(tmp_path: Path) -> None:
    frames = [r for r in rows() if r["kind"] == "frame"]
    file = tmp_path / "telegrams.txt"
    file.write_bytes(b"".join(r["raw"].encode() + b"\r\n" for r in frames))
    objects, _ = run(str(file))
    assert [o["ok"] for o in objects] == [r["crc_ok"] for r in frames]
    assert all(list(o) == KEYS for o in objects)
    assert all(list(o["crc"]) == ["given", "computed", "ok", "dialect"] for o in objects)
    segments = [r for r in rows() if r["kind"] == "segment"]
    text = "\n".join(r["raw"] for r in segments).encode()
    objects, _ = run("--segment", data=text)
    assert [o["crc"]["computed"] for o in objects] == [r["crc_computed"] for r in segments]
    assert all(o["ok"] for o in objects)


def test_numbers_stay_text() -> None:
    (one,), _ = run(data=GOOD)
    assert one["items"] == [{"code": "w01018", "Avg": "1.230"}]
    assert (one["flag"], one["pnum"], one["data_time"]) == (5, None, "20240601080000")


def test_bad_lines_are_answered_one_by_one() -> None:
    lines = [
        b"\xef\xbb\xbfhello",
        b"",
        b"##",
        b"\xff\xfe\x00",
        b"x" * 200_000,
        GOOD.rstrip(),
        b"  " + GOOD,
    ]
    objects, _ = run(data=b"\n".join(lines))
    assert [o["ok"] for o in objects] == [False] * 4 + [True] * 2
    assert objects[3]["error"] == "line of more than 65536 bytes: no telegram is so long"
    assert all(list(o) == KEYS for o in objects)


def test_raw_capture() -> None:
    key = b"0123456789abcdef"
    sealed = frame(f"{HEAD.replace('Flag=5', 'Flag=9')}CP=&&DataTime=20240601080000&&", key=key)
    bad = b"##0999" + GOOD[6:]
    stream = b"noise" + GOOD + bad + sealed + GOOD + b"**" + GOOD.rstrip() + GOOD[:40]
    objects, _ = run("--raw", data=stream)
    assert [o["ok"] for o in objects] == [False, True, False, False, True, True, False]
    assert objects[0]["error"].startswith("no telegram, 5 bytes")
    assert objects[2]["error"].startswith("wrong length: 999 declared")
    assert objects[3]["error"] == "encrypted, and no key was given"
    assert objects[6]["error"].startswith("incomplete")


@pytest.mark.parametrize("text", [b"0123456789abcdef", b"30313233343536373839616263646566\n"])
def test_key_file(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "key").write_bytes(text)
    head = HEAD.replace("Flag=5", "Flag=9")
    raw = frame(f"{head}CP=&&DataTime=20240601080000&&", key=b"0123456789abcdef", form="literal")
    (one,), _ = run("--key-file", str(tmp_path / "key"), data=raw)
    assert one["ok"]
    assert one["data_time"] == "20240601080000"
    assert "literal" in sm4.FORMS


def test_versions_and_dialects() -> None:
    (one,), _ = run("--version", "2025", data=GOOD)
    assert one["version"] == "2025"
    lower = next(
        raw for n in range(100)
        if (raw := frame(HEAD.replace("223", f"{n:03}") + "CP=&&&&"))[-6:-2].lower() != raw[-6:-2]
    )  # fmt: skip
    lower = lower[:-6] + lower[-6:].lower()
    assert [o["ok"] for o in run(data=lower)[0]] == [True]
    assert [o["ok"] for o in run("--dialect", "none", data=lower)[0]] == [False]
    assert [o["crc"]["dialect"] for o in run("--dialect", "modbus", data=lower)[0]] == ["lower"]


def test_exit_codes(tmp_path: Path) -> None:
    run("--strict", data=GOOD)
    run("--strict", data=GOOD + b"bad\n", code=1)
    _, done = run(str(tmp_path / "missing"), code=2)
    assert b"No such file" in done.stderr
    run("--version", "2016", code=2)
    run("--dialect", "morse", code=2)
    run("--raw", "--segment", code=2)
    (tmp_path / "short").write_bytes(b"123")
    run("--key-file", str(tmp_path / "short"), code=2)
    assert run(data=b"")[0] == []


def test_a_reader_that_has_seen_enough() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "decode"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        try:
            process.stdin.write(GOOD * 2000)
            process.stdin.close()
        except BrokenPipeError:
            process.stdin = None
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_every_object_is_one_line() -> None:
    body = f"{HEAD.replace('2051', '3020')}CP=&&DataTime=20240601080000;i11001-Info=//a\u2028b\x85c//&&"
    (one,), done = run(data=frame(body))
    assert one["items"][0]["Info"] == "//a\u2028b\x85c//"
    assert len(done.stdout.decode().splitlines()) == 1
