"""What the verifier says of bundles that were made to deceive or to break it."""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jingwei.evidence import bundle
from jingwei.evidence.bundle import BundleError
from jingwei.evidence.verify import main
from packed import TWO, build

PEM = (
    b"-----BEGIN CERTIFICATE-----\n"
    + base64.encodebytes(b"x" * 30)
    + b"-----END CERTIFICATE-----\n"
)
LATER = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
# Manifests that the log has named, and what is said of them, here and by the browser page.
MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "nothing": (lambda m: m.update(entries=[], contents=[]), "names no entry: there is nothing"),
    "entry twice": (lambda m: m["entries"].append(0), "names one of the entries twice"),
    "content twice": (lambda m: m["contents"].append(dict(m["contents"][0])), "contents twice"),
    "many": (lambda m: m.update(entries=list(range(50_001))), "names more than 50000 entries"),
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
    page_file = Path(bundle.__file__).with_name("verify.html")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        for name, (change, more, reason) in wanted.items():
            target = tmp_path / f"{name}.zip"
            zipped(build(tmp_path / name, change, **more), target)
            page.goto(page_file.as_uri())
            page.set_input_files("#zip", target)
            page.wait_for_selector("#verdict.good, #verdict.bad")
            text = f"{page.text_content('#verdict')}\n{page.text_content('#items')}"
            assert reason in text, name
        browser.close()
