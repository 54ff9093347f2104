"""What the verifier says of bundles that were made to deceive or to break it."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import shutil
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jingwei.evidence import bundle, merkle, proof
from jingwei.evidence.bundle import BundleError
from jingwei.evidence.note import Checkpoint, Verifier, parse_note, sign_note
from jingwei.evidence.verify import main
from packed import ONE, TWO, build, entry

PEM = (
    b"-----BEGIN CERTIFICATE-----\n"
    + base64.encodebytes(b"x" * 30)
    + b"-----END CERTIFICATE-----\n"
)
LATER = (datetime.now(UTC) + timedelta(days=365)).isoformat()
# Manifests that the log has named, and what is said of them, here and by the browser page.
MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "nothing": (lambda m: m.update(entries=[], contents=[]), "names no entry: there is nothing"),
    "entry twice": (lambda m: m["entries"].append(0), "names one of the entries twice"),
    "content twice": (lambda m: m["contents"].append(dict(m["contents"][0])), "contents twice"),
    "content of two entries": (
        lambda m: m["contents"].append({"path": "contents/a.json", "entry": 1}), "contents twice"
    ),
    "stamps": (
        lambda m: m.update(stamps=[{"path": f"{n}", "size": 1} for n in range(9)]),
        "names more than 8 stamps",
    ),
    "many": (lambda m: m.update(entries=list(range(50_001))), "names more than 50000 entries"),
    "absent": (
        lambda m: m.update(absent=[{"what": "", "why": ""}] * 50_001), "more than 50000 absent"
    ),
    "values": (lambda m: m.update(absent=[{}] * 200_001), "has more than 400000 values"),
    "empty values": (lambda m: m.update(entries=[0] * 400_001), "has more than 400000 values"),
    "escapes": (lambda m: m.update(case="\n" * 400_001), "has more than 400000 values"),
    "long": (lambda m: m.update(case="x" * 2**23), "manifest.json is longer than 8388608 bytes"),
    "future": (lambda m: m.update(made=LATER), "manifest.json is dated in the future"),
    "no date": (lambda m: m.update(made="today"), "is no manifest of a bundle"),
    "unlisted content": (
        lambda m: m["contents"].append({"path": "contents/b.json", "entry": 0}),
        "is no manifest of a bundle",
    ),
}  # fmt: skip


def told(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main([str(path)])
    out, err = capsys.readouterr()
    return code, out + err


def test_a_good_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = told(build(tmp_path / "out"), capsys)
    assert (code, "ALL PROVED 全部证实: 2 / 2" in text) == (0, True)


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests(tmp_path: Path, name: str) -> None:
    change, reason = MANIFESTS[name]
    with pytest.raises(BundleError, match=reason):
        bundle.verify(bundle.open_files(build(tmp_path / "out", change)))


def test_an_entry_of_another_log_of_the_policy(tmp_path: Path) -> None:
    report = bundle.verify(bundle.open_files(build(tmp_path / "out", signer=TWO)))
    assert [item.why for item in report.items] == [
        "it is of another log: log.example/two",
        "entry 0 is not proved",
    ]


def test_texts_spoof_no_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoof = "x\nproved     已证实  entry 7\r\x1b[2K\u202e\u2028"
    code, text = told(
        build(tmp_path / "out", lambda m: m.update(case=spoof), subject=spoof), capsys
    )
    assert code == 0
    assert text.count(r"x\nproved     已证实  entry 7\r\x1b[2K\u202e\u2028") == 2
    assert not any(line.startswith("proved     已证实  entry 7") for line in text.splitlines())
    assert not set(text) & set("\r\x1b\u202e\u2028")
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/policy\x1b[31m\nALL PROVED").symlink_to("x")
    assert "\x1b" not in told(tmp_path / "out", capsys)[1]


@pytest.mark.parametrize("encoding", ["ascii", "gbk"])
def test_a_terminal_without_unicode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    build(tmp_path / "out", subject="case:\U0001f3ed")
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    assert main([str(tmp_path / "out")]) == 0
    sys.stdout.flush()
    assert rb"\U0001f3ed" in raw.getvalue()


def test_paths_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path / ("x" * 300), tmp_path / "none"):
        code, text = told(path, capsys)
        assert (code, text.count("\n")) == (1, 1)
        assert "NOT VALID" in text
    (build(tmp_path / "out") / "/".join("d" * 30)).mkdir(parents=True)
    assert "nested deeper than 8" in told(tmp_path / "out", capsys)[1]


def zipped(folder: Path, target: Path) -> bytes:
    with target.open("wb") as file:
        for chunk in bundle.pack(bundle.open_files(folder)):
            file.write(chunk)
    return target.read_bytes()


def test_the_directory_of_a_zip_is_bounded_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tmp_path / "bad.zip"
    whole = zipped(build(tmp_path / "out"), bad)
    assert bundle.verify(bundle.open_files(bad)).proved
    monkeypatch.setattr(zipfile, "ZipFile", lambda _: pytest.fail("its directory was read"))
    end = len(whole) - 22

    def record(count: int, length: int) -> bytes:
        told = count.to_bytes(2, "little") * 2 + length.to_bytes(4, "little")
        return whole[end : end + 8] + told + whole[end + 16 :]

    length = int.from_bytes(whole[end + 12 : end + 16], "little")
    for data, reason in (
        (whole[:end] + record(50_001, length), "more than 50000 files"),
        (whole[:end] + record(7, 2**25), "directory is longer than"),
        (bytes(2**24 + 99) + whole[:end] + record(7, 2**24 + 1), "directory is longer than"),
        (whole[:end] + record(3, length), "does not have the 3 files"),
        (whole[:end] + b"PK\x06\x07" + bytes(16) + whole[end:], "more than 50000 files"),
        (whole + b"x", "no bundle"),
        (b"", "no bundle"),
    ):
        bad.write_bytes(data)
        with pytest.raises(BundleError, match=reason):
            bundle.open_files(bad)


def leaves(count: int, *, checkpoints: bool) -> tuple[dict[str, bytes], Callable[..., object]]:
    """Files of `count` entries in one tree, with certificates under one checkpoint or one each, and
    the change of the manifest that names them."""
    data = [entry("case_event", f"case:{n}", {"n": n}) for n in range(count)]
    tree = merkle.Tree(map(merkle.leaf_hash, data))
    files: dict[str, bytes] = {}
    for n, leaf in enumerate(data):
        size = n + 1 if checkpoints else count
        text = Checkpoint(ONE.name, size, tree.root(size)).text()
        note = sign_note(text, [ONE])
        steps = tuple(tree.inclusion_proof(n, size))
        files[f"entries/{n}.json"] = leaf
        files[f"entries/{n}.tlog-proof"] = str(proof.Certificate(n, steps, note)).encode()
    return files, lambda m: m.update(entries=list(range(count)), contents=[])


def test_each_checkpoint_is_verified_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """300 entries under one checkpoint cost no more signatures than one, and of many different ones
    no more than eight are looked at."""
    calls: list[Verifier] = []
    verify = Verifier.verify
    monkeypatch.setattr(
        Verifier, "verify", lambda self, *rest: calls.append(self) or verify(self, *rest)
    )
    files, change = leaves(300, checkpoints=False)
    assert bundle.verify(bundle.open_files(build(tmp_path / "a", change, more=files))).proved
    assert len(calls) == 4
    calls.clear()
    files, change = leaves(300, checkpoints=True)
    report = bundle.verify(bundle.open_files(build(tmp_path / "b", change, more=files)))
    assert [item.why for item in report.items] == [""] * 7 + [
        "the bundle has more than 8 different checkpoints"
    ] * 293
    assert len(calls) == 16


def test_a_signature_that_comes_again_and_again_is_verified_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[Verifier] = []
    verify = Verifier.verify
    monkeypatch.setattr(
        Verifier, "verify", lambda self, *rest: calls.append(self) or verify(self, *rest)
    )
    note = sign_note("x\n", [ONE])
    line = note.rpartition("\n\n")[2]
    assert parse_note(note + 99 * line, ONE.verifier).verified == (ONE.verifier,)
    assert len(calls) == 1


def overlapping(whole: bytes) -> bytes:
    """The same zip, with one more file in its directory whose bytes lie within another's."""
    end = len(whole) - 22
    count = int.from_bytes(whole[end + 10 : end + 12], "little")
    length = int.from_bytes(whole[end + 12 : end + 16], "little")
    directory = whole[end - length : end]
    at = directory.index(b"contents/a.json")
    again = directory[at - 46 : at] + b"contents/b.json"
    told = (count + 1).to_bytes(2, "little") * 2 + (length + len(again)).to_bytes(4, "little")
    return whole[:end] + again + whole[end : end + 8] + told + whole[end + 16 :]


def test_files_within_one_another_are_not_read(tmp_path: Path) -> None:
    """What is read is never more than what is there: 50,000 names for one long file would be."""
    bad = tmp_path / "bad.zip"
    bad.write_bytes(overlapping(zipped(build(tmp_path / "out"), bad)))
    with pytest.raises(BundleError, match="the zip around the files was changed"):
        bundle.verify(bundle.open_files(bad))


CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium found on this machine")
def test_the_browser_page_says_the_same(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    wanted = {name: (change, {}, reason) for name, (change, reason) in MANIFESTS.items()}
    wanted |= {
        "good": (lambda _: None, {}, "ALL PROVED: case:1, 2 / 2"),
        "log": (lambda _: None, {"signer": TWO}, "NOT ALL IS PROVED: case:1, 0 / 2"),
        "spoof": (lambda m: m.update(case="x\n\u202e"), {}, r"PROVED: x\u{a}\u{202e}, 2 / 2"),
        "stamp": (
            lambda m: m.update(stamps=[{"path": "stamps/1.tsr", "size": 1}]),
            {"more": {"stamps/1.tsr": b"x", "stamps/roots.pem": PEM}},
            f"comes from the bundle: SHA-256 {hashlib.sha256(b'x' * 30).hexdigest()}",
        ),
    }
    many, change = leaves(20, checkpoints=True)
    wanted["checkpoints"] = (
        change,
        {"more": many},
        "the bundle has more than 8 different checkpoints",
    )
    one, change = leaves(20, checkpoints=False)
    wanted["one checkpoint"] = change, {"more": one}, "ALL PROVED: case:1, 20 / 20"
    whole = zipped(build(tmp_path / "frame"), tmp_path / "frame.zip")
    end = len(whole) - 22
    directory = end - int.from_bytes(whole[end + 12 : end + 16], "little")
    chance = random.Random(212)
    forged = {
        f"byte {at}": (
            whole[:at] + bytes([whole[at] ^ chance.randrange(1, 256)]) + whole[at + 1 :],
            "NOT VALID",
        )
        for at in (*range(30), *range(directory, directory + 46), *range(end, len(whole)))
    }
    frame = "the zip around the files was changed"
    forged["date"] = whole[:12] + b"?" + whole[13:], frame
    forged["inner"] = overlapping(whole), frame
    forged["more"] = whole + b"x", "it is no zip file of a bundle"
    forged["before"] = b"x" + whole, frame
    forged["cut"] = whole[:-30], "it is no zip file of a bundle"
    forged["empty"] = b"", "it is no zip file of a bundle"
    forged["many"] = (whole[: end + 10] + b"\xff\xff" + whole[end + 12 :], "more than 50000 files")
    long = (2**25).to_bytes(4, "little")
    forged["long"] = whole[: end + 12] + long + whole[end + 16 :], "the zip's directory is longer"
    page_file = Path(bundle.__file__).with_name("verify.html")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(page_file.as_uri())

        def outcome(target: Path) -> str:
            page.evaluate("document.getElementById('verdict').className = ''")
            page.set_input_files("#zip", target)
            page.wait_for_selector("#verdict.good, #verdict.bad")
            return f"{page.text_content('#verdict')}\n{page.text_content('#items')}"

        for name, (change, more, reason) in wanted.items():
            target = tmp_path / f"{name}.zip"
            zipped(build(tmp_path / name, change, **more), target)
            assert reason in outcome(target), name
        for number, (name, (data, reason)) in enumerate(forged.items()):
            target = tmp_path / f"forged-{number}.zip"
            target.write_bytes(data)
            assert reason in outcome(target), name
        browser.close()
