"""Every byte of a bundle is changed, one after the other, in memory: each must be refused, with its reason."""

from __future__ import annotations

import functools
import json
import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from jingwei.evidence import bundle
from jingwei.evidence.bundle import BundleError
from jingwei.evidence.note import Verifier

# What everything hangs on. Which reason is said depends on the place: a key, a signature, a form.
REASONS = {
    "manifest.json": r"manifest\.json is not the one that the log's entry manifest\.entry\.json names",
    "manifest.entry.json": r"manifest\.(entry\.json is no|entry\.json: |tlog-proof: ).*",
    "manifest.tlog-proof": r"manifest\.tlog-proof: .*",
    "policy": r"policy(:| is not the file).*|manifest\.tlog-proof: .*|the policy names no log",
    "log-sm2.pub": r"log-sm2\.pub(:| is not the file).*|manifest\.tlog-proof: .*",
}

DIFFERS = " is not the file that was exported: its SHA-256 differs"


class Memory:
    """The files of a bundle in memory (`bundle.Files`)."""

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, bytes | bytearray] = {
            p.relative_to(folder).as_posix(): p.read_bytes()
            for p in folder.rglob("*")
            if p.is_file()
        }

    def names(self) -> list[str]:
        return list(self.files)

    def chunks(self, name: str) -> Iterator[bytes | bytearray]:
        yield self.files[name]

    def compare_frame(self) -> None:
        """There is none."""


def reason(files: bundle.Files) -> str:
    """Empty where all is proved, else why not."""
    try:
        report = bundle.verify(files)
    except BundleError as error:
        return str(error)
    return next((item.why for item in report.items if not item.proved), "")


def sweep(folder: Path) -> int:
    """Change every byte of every file, one at a time, to another value; returns how many there were.

    Bytes of what everything hangs on (`REASONS`) go through the whole verifier, which remembers what
    signatures it has seen. Of any other file the first, middle and last byte do; all its bytes go
    through the comparison with the manifest, which comes before any other file is believed.
    """
    files, chance, tried = Memory(folder), random.Random(212), 0
    sums = json.loads(files.files["manifest.json"])["files"]
    remembered = functools.lru_cache(100_000)(Verifier.verify)
    with mock.patch.object(Verifier, "verify", remembered):
        assert reason(files) == ""
        for name, good in sorted(files.files.items()):
            root = name in REASONS
            wanted = re.compile(REASONS[name] if root else re.escape(name + DIFFERS), re.DOTALL)
            thorough = range(len(good)) if root else {0, len(good) // 2, len(good) - 1}
            data = files.files[name] = bytearray(good)
            for at, byte in enumerate(good):
                data[at] = byte ^ chance.randrange(1, 256)
                if at in thorough:
                    files.files[name] = bytes(data)
                    found = reason(files)
                    files.files[name] = data
                else:
                    found = compared(files, name, sums[name])
                assert wanted.fullmatch(found), (name, at, data[at], found)
                data[at] = byte
                tried += 1
            files.files[name] = good
        assert reason(files) == ""
    return tried


def size(folder: Path) -> int:
    """Bytes in all files of a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def compared(files: bundle.Files, name: str, wanted: str) -> str:
    """What the verifier's own comparison with the manifest says of one file."""
    try:
        bundle._compare_files(files, [name], {name: wanted}, None)
    except BundleError as error:
        return str(error)
    return ""


def verified(python: Path, folder: Path) -> tuple[int, str]:
    """Exit status and words of the verifier that lies in the bundle, run by `python` (`bare`)."""
    done = subprocess.run(
        [python, "-I", "-X", "utf8", folder / "verify.pyz", folder],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def second_machine(python: Path, folder: Path) -> None:
    """A copy of the bundle, verified by what lies in it: whole, then one changed byte in a file of
    each kind."""
    count = len(bundle.verify(bundle.open_files(folder)).items)
    code, text = verified(python, folder)
    assert code == 0, text
    assert f"ALL PROVED 全部证实: {count} / {count}" in text
    kinds: dict[str, Path] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if name != "verify.pyz":  # it is what runs here; `sweep` changes it
            kinds.setdefault(re.sub(r"[0-9]+", "0", name), path)
    for path in kinds.values():
        name, good = path.relative_to(folder).as_posix(), path.read_bytes()
        path.write_bytes(good[:-2] + bytes([good[-2] ^ 1]) + good[-1:])
        code, text = verified(python, folder)
        path.write_bytes(good)
        wanted = REASONS.get(name, re.escape(name + DIFFERS))
        assert code == 1
        assert re.fullmatch(f"NOT VALID 无效: (?:{wanted})", text.strip(), re.DOTALL), (name, text)
    assert verified(python, folder)[0] == 0
