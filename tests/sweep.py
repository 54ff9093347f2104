"""One byte of a bundle after the other is changed, in memory: each must be refused, with its reason."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from jingwei.evidence import bundle
from jingwei.evidence.bundle import BundleError

# What everything hangs on. Which reason is said depends on the place: a key, a signature, a form.
REASONS = {
    "manifest.json": r"manifest\.json is not the one that the log's entry manifest\.entry\.json names",
    "manifest.entry.json": r"manifest\.(entry\.json is no|entry\.json: |tlog-proof: ).*",
    "manifest.tlog-proof": r"manifest\.tlog-proof: .*",
    "policy": r"policy(:| is not the file).*|manifest\.tlog-proof: .*|the policy names no log",
    "log-sm2.pub": r"log-sm2\.pub(:| is not the file).*|manifest\.tlog-proof: .*",
}


class Memory:
    """The files of a bundle in memory (`bundle.Files`)."""

    def __init__(self, folder: Path) -> None:
        self.files = {
            p.relative_to(folder).as_posix(): p.read_bytes()
            for p in folder.rglob("*")
            if p.is_file()
        }

    def names(self) -> list[str]:
        return list(self.files)

    def chunks(self, name: str) -> Iterator[bytes]:
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


def sweep(folder: Path, *, each: int) -> int:
    """Change single bytes of every file, to another value each; returns how many changes were tried.

    Of the files in `REASONS` every byte (of a long one 100 times `each` at least), of the others the
    first, the last and `each` evenly between.
    """
    files, chance, tried = Memory(folder), random.Random(212), 0
    assert reason(files) == ""
    for name, good in sorted(files.files.items()):
        wanted = REASONS.get(
            name, re.escape(f"{name} is not the file that was exported: its SHA-256 differs")
        )
        most = 100 * each if name in REASONS else each
        step = max(1, len(good) // most)
        for at in {*range(0, len(good), step), len(good) - 1}:
            value = good[at] ^ chance.randrange(1, 256)
            files.files[name] = good[:at] + bytes([value]) + good[at + 1 :]
            found = reason(files)
            assert re.fullmatch(wanted, found, re.DOTALL), (name, at, value, found)
            tried += 1
        files.files[name] = good
    assert reason(files) == ""
    return tried


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
        wanted = REASONS.get(
            name, re.escape(f"{name} is not the file that was exported: its SHA-256 differs")
        )
        assert code == 1
        assert re.fullmatch(f"NOT VALID 无效: (?:{wanted})", text.strip(), re.DOTALL), (name, text)
    assert verified(python, folder)[0] == 0
