"""Evidence bundles: export, verification here and alone, every changed byte, the browser page."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import transaction

from bureau.evidencelog.material import parts, witnesses
from jingwei.bureau.evidencelog import bundles, checks, selectors, services
from jingwei.bureau.evidencelog.bundles import ExportError, Parts
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.evidence import attest, bundle, canonical, keyring, proof
from jingwei.evidence.bundle import BundleError, Report
from jingwei.evidence.log import Log
from jingwei.evidence.note import KeyFile, Sm2KeyFile
from sweep import reason as why_not
from sweep import size, sweep

pytestmark = pytest.mark.django_db(transaction=True)


def verify(path: Path, **more: object) -> Report:
    return bundle.verify(bundle.open_files(path), **more)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_export_and_verify(data: Path, kind: str) -> None:
    target = data / ("out" if kind == "folder" else "out.zip")
    with witnesses(data, 3):
        bundles.export("case:12", parts(data), target, actor="9")
    report = verify(target)
    assert report.proved
    assert [item.what.partition(":")[0] for item in report.items if "entry" in item.what][:3] == [
        "entry 0",
        "entry 1",
        "entry 2",
    ]
    # entries with the segment's and the batch's, contents, telegrams, judgement
    assert len(report.items) == 4 + 2 + 2 + 1
    assert set(report.witnesses) == {"w0", "w1", "w2"}
    assert (report.absent, report.unchecked) == ([], [])
    exported = EvidenceEntry.objects.get(kind="export")
    assert exported.subject == "case:12"
    assert exported.actor == "9"
    if kind == "folder":
        assert json.loads((target / "manifest.json").read_text())["entries"] == [0, 1, 2, 4]
        leaves = {p.read_bytes()[-11:] for p in (target / "telegrams").glob("*.bin")}
        assert leaves == {b"\x00##0101QN=1", b"\x00##0101QN=6"}
        chinese = (target / "report.zh.html").read_text()
        assert "证据报告" in chinese
        assert "督办 12 号 &lt;高新区&gt;" in chinese
        assert "2 of w0, w1, w2" in (target / "report.en.html").read_text()
        assert "w0, w1, w2 中至少 2 个" in (target / "report.zh.html").read_text()
    with pytest.raises(ExportError, match="is there already"):
        bundles.export("case:12", Parts(), target)
    assert not list(data.glob(".out*"))
    assert {p.stat().st_mode & 0o077 for p in (target, *target.rglob("*"))} == {0}


def run_alone(path: Path, target: Path, *more: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-I", "-X", "utf8", path, target, *more],
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_the_verifier_alone(data: Path, tmp_path: Path) -> None:
    """`verify.pyz` from the bundle, with the bundle's keys and with a policy of one's own."""
    Sm2KeyFile.create(data / "evidence" / keyring.SM2_KEY, "x")
    with Log(data / "evidence", origin="x"):
        pass
    with witnesses(data):
        bundles.export("case:12", parts(data), data / "out.zip")
        with zipfile.ZipFile(data / "out.zip") as archive:
            archive.extract("verify.pyz", data / "alone")
    pyz = data / "alone/verify.pyz"
    code, text = run_alone(pyz, data / "out.zip")
    assert code == 0, text
    assert "ALL PROVED 全部证实: 9 / 9" in text
    assert "These keys come from the bundle itself" in text
    code, text = run_alone(pyz, data / "out.zip", "--policy", str(data / "evidence/policy"))
    assert code == 0
    assert "These keys come" not in text
    other = KeyFile("x", b"o" * 32).verifier
    (data / "strange").write_text(f"log {other}\nquorum none\n")
    code, text = run_alone(pyz, data / "out.zip", "--policy", str(data / "strange"))
    assert (code, text.count("\n")) == (1, 1)
    assert "NOT VALID 无效: manifest.tlog-proof: no signature by a trusted key" in text
    for path, reason in ((data / "none.zip", "neither a folder nor a zip"), (pyz, "is missing")):
        code, text = run_alone(pyz, path)
        assert code == 1
        assert reason in text
    assert run_alone(pyz, data / "out.zip", "--what")[0] == 2
    with zipfile.ZipFile(pyz) as archive:
        sources = b"".join(archive.read(n) for n in archive.namelist() if n.endswith(".py"))
    for stranger in (b"import django", b"import numpy", b"import fcntl", b"jingwei.bureau"):
        assert stranger not in sources


@pytest.mark.once
def test_not_one_byte_of_the_zip_is_free(data: Path) -> None:
    """1,200 places around the files, and some of the files."""
    with witnesses(data, 1):
        bundles.export("case:12", parts(data), data / "out.zip")
    whole = (data / "out.zip").read_bytes()
    with zipfile.ZipFile(data / "out.zip") as archive:
        assert archive.testzip() is None
        first = {
            m.header_offset + i for m in archive.infolist() for i in range(30 + len(m.filename))
        }
        frame = first | set(range(archive.start_dir, len(whole)))
    bad = data / "bad.zip"
    places = random.Random(212).sample(sorted(frame), 1_200)
    for at in (*places, *range(0, len(whole), 400)):
        bad.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert outcome(bad), at
    for other in (b"x" + whole, whole + b"x", whole[:-1], whole[:-22] + whole[-22:] * 2):
        bad.write_bytes(other)
        assert outcome(bad)


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def outcome(folder: Path) -> str:
    """Empty where all is proved, else the reason."""
    try:
        return why_not(bundle.open_files(folder))
    except BundleError as error:
        return str(error)


@pytest.mark.once
def test_each_changed_byte_is_refused_with_the_right_reason(data: Path) -> None:
    """Over all files; and files that are cut, longer, empty, gone, or too many."""
    with witnesses(data, 1):
        bundles.export("case:12", parts(data), data / "out")
    found = names(data / "out")
    assert len(found) == 3 + 1 + 8 + 2 + 4 + 2 + 2 + 2
    assert sweep(data / "out") == size(data / "out")
    for name in found:
        path = data / "out" / name
        whole = path.read_bytes()
        for cut in (whole[:-1], whole + b"\n", b""):
            path.write_bytes(cut)
            assert outcome(data / "out")
        path.unlink()
        assert outcome(data / "out") == f"{name} is missing"
        path.write_bytes(whole)
    assert outcome(data / "out") == ""
    (data / "out/more.txt").write_text("x")
    assert outcome(data / "out") == "'more.txt' does not belong to the bundle"
    (data / "out/more.txt").unlink()
    (data / "out/more.txt").symlink_to(data / "photo.jpg")
    assert outcome(data / "out") == "'more.txt' is no plain file"


class Forger:
    """Somebody who may rewrite manifest and files, but has no key: what would a verifier that
    believed the manifest say of each item?"""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = json.loads((folder / "manifest.json").read_text())

    def verify(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        monkeypatch.setattr(bundle, "_compare_files", lambda *_: None)
        monkeypatch.setattr(bundle, "_manifest", lambda _: self.manifest)
        report = verify(self.folder)
        return [item.why for item in report.items if not item.proved]


def test_what_each_proof_refuses_by_itself(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the hashes of the manifest out of the way, every item still needs its own proof."""
    with witnesses(data, 1):
        bundles.export("case:12", parts(data), data / "out")
    whole = data / "whole"
    (data / "out").rename(whole)
    seq = json.loads((whole / "manifest.json").read_text())["telegrams"][0]["seq"]
    later = json.loads((whole / "entries/1.json").read_text())
    later["time"] = "2099-01-01T00:00:00.000000Z"

    def swap(folder: Path, a: str, b: str) -> None:
        first, second = (folder / a).read_bytes(), (folder / b).read_bytes()
        (folder / a).write_bytes(second)
        (folder / b).write_bytes(first)

    def add(name: str, data: bytes) -> object:
        return lambda f: (f / name).write_bytes((f / name).read_bytes() + data)

    def rewrite(name: str, data: bytes) -> object:
        return lambda f: (f / name).write_bytes(data)

    for change, reasons in (
        (lambda f: swap(f, "entries/1.json", "entries/2.json"), ["the proof leads"] * 2 + ["not proved"] * 2),
        (lambda f: swap(f, "entries/1.tlog-proof", "entries/2.tlog-proof"), ["the proof leads"] * 2 + ["not proved"] * 2),
        (lambda f: (swap(f, "entries/1.json", "entries/2.json"), swap(f, "entries/1.tlog-proof", "entries/2.tlog-proof")), ["the proof is of leaf"] * 2 + ["not proved"] * 2),
        (rewrite("entries/1.json", canonical.dumps(later)), ["the proof leads", "not proved"]),
        (rewrite("entries/1.json", b"{}"), ["is no entry of the log", "not proved"]),
        (rewrite("entries/1.json", b"[" * 60_000), ["is no entry of the log", "not proved"]),
        (rewrite("entries/1.json", b" " * 70_000), ["longer than 65535", "not proved"]),
        (rewrite("entries/1.tlog-proof", b"x" * 400_000), ["longer than", "not proved"]),
        (rewrite("entries/1.tlog-proof", b"\xff"), ["not UTF-8", "not proved"]),
        (add("contents/event-1.json", b" "), ["names no such SHA-256"]),
        (add(f"telegrams/{seq}.bin", b" "), ["the proof leads"]),
        (rewrite(f"telegrams/{seq}.proof", b"index 1\nsize 6\n"), ["the proof is of 6 telegrams"]),
        (rewrite(f"telegrams/{seq}.proof", b"rubbish"), ["wanted index, size"]),
        (rewrite(f"telegrams/{seq}.bin", b"x" * 1_100_000), ["longer than"]),
        (add("judgements/41.txt", b" "), ["the proof leads"]),
        (rewrite("judgements/41.proof", b"index 1\nsize 6\n"), ["the proof is of 6 judgements"]),
    ):  # fmt: skip
        folder = data / "forged"
        shutil.copytree(whole, folder)
        change(folder)
        with monkeypatch.context() as patch:
            found = Forger(folder).verify(patch)
        assert len(found) == len(reasons), found
        for why, reason in zip(found, reasons, strict=True):
            assert reason in why
        shutil.rmtree(folder)
    shutil.copytree(whole, folder)
    forger = Forger(folder)
    forger.manifest["telegrams"][0]["entry"] = 1
    forger.manifest["judgements"][0]["entry"] = forger.manifest["telegrams"][1]["entry"]
    forger.manifest["contents"][0]["entry"] = 2
    forger.manifest["contents"][1]["entry"] = 77
    with monkeypatch.context() as patch:
        assert forger.verify(patch) == [
            "entry 2 names no such SHA-256 and SM3",
            "entry 77 is not proved",
            "entry 1 is no sealed segment",
            f"entry {forger.manifest['telegrams'][1]['entry']} is no batch of judgements",
        ]


def test_future_and_replay(data: Path) -> None:
    with witnesses(data, 1):
        bundles.export("case:12", parts(data), data / "one")
        with transaction.atomic():
            entry = services.record("case_event", "case:14", {"x": 1})
        bundles.export("case:14", Parts("14", [entry]), data / "two")
    early = time.time() - 3_600
    with pytest.raises(BundleError, match="dated in the future"):
        verify(data / "one", now=early)
    for name in ("manifest.entry.json", "manifest.tlog-proof"):
        shutil.copy(data / "one" / name, data / "two" / name)
    assert outcome(data / "two").startswith("manifest.json is not the one")


def test_a_signature_that_nobody_knows(data: Path) -> None:
    """Lines by unknown keys could be changed unseen: a bundle must have none."""
    with witnesses(data, 1):
        bundles.export("case:12", parts(data), data / "out")
    path = data / "out/manifest.tlog-proof"
    text = path.read_text()
    stranger = KeyFile("s.example", b"s" * 32)
    note = proof.parse(text).note
    from jingwei.evidence.note import signature_line

    path.write_text(text + signature_line(note.rpartition("\n\n")[0] + "\n", stranger))
    assert (
        outcome(data / "out")
        == "manifest.tlog-proof: s.example signs with a key that no policy names"
    )


def test_protected_and_unsalted_entries_do_not_leave_the_house(data: Path) -> None:
    """What nobody but an auditor sees is not even named; what has words in clear is said absent."""
    given = parts(data)
    with transaction.atomic():
        for kind in selectors.PROTECTED:
            given.entries.append(services.record(kind, "finding:7", {"what": "identity"}))
        old = services.record("mark", "mark:1", {"act": "set", "note": "王某操作失误"})
        new = services.record("mark", "mark:2", {"act": "set"}, said={"note": "王某操作失误"})
    given.entries += [old, new]
    given.contents.append(("mark.txt", old, b"x"))
    report = bundles.export("case:12", given, data / "out")
    old.refresh_from_db()
    why = "it is from before words and persons were salted, and has some in clear"
    assert report.absent == [(f"entry {old.index}: mark mark:1", why)]
    whole = "\n".join(p.read_text() for p in (data / "out/entries").glob("*.json"))
    assert "mark:2" in whole
    for hidden in ("finding:7", "王某", "mark:1"):
        assert hidden not in whole
    assert not (data / "out/contents/mark.txt").exists()
    assert list(checks.check()) == [
        f"evidence entry {row.pk} tells of a reading that the table of readings lacks"
        for row in EvidenceEntry.objects.filter(kind="reading")
    ]
    [note] = checks.notes()
    assert note.startswith(
        "entries from before words and persons were salted hold some in clear or by a bare digest: mark 1;"
    )


def test_what_is_not_there_is_said(data: Path) -> None:
    """A telegram whose segment is open, and a photo that is gone; without any witness."""
    given = parts(data, sealed=False)
    (data / "photo.jpg").unlink()
    report = bundles.export("case:12", given, data / "out")
    assert report.proved
    assert [why for _, why in report.absent] == ["its journal segment is not sealed yet"] * 2 + [
        "the file is gone from the store"
    ]
    assert "No independent witnesses" in (data / "out/report.en.html").read_text()
    assert "its journal segment is not sealed yet" in (data / "out/report.zh.html").read_text()


def test_without_the_quorum_nothing_is_exported(data: Path) -> None:
    with witnesses(data, 3) as servers:
        given = parts(data)
        services.sequence()
    for server in servers:
        server.server_close()
    with pytest.raises(ExportError, match="the quorum g is not reached: cosigned by none"):
        bundles.export("case:12", given, data / "out")
    assert not (data / "out").exists()
    assert attest.read_state(data / "evidence").witnessed == 0


def test_rooms_are_asked(data: Path, monkeypatch: pytest.MonkeyPatch, settings) -> None:
    given = parts(data)
    room = SimpleNamespace(case=lambda pk: given if pk == 12 else None)
    settings.ROOMS = ["evidencelog", "x"]
    monkeypatch.setattr(
        bundles.importlib.util, "find_spec", lambda n: n.endswith(".x.bundle") or None
    )
    monkeypatch.setattr(bundles.importlib, "import_module", lambda n: room)
    assert bundles.gather(12).title == given.title
    with pytest.raises(ExportError, match="there is no case 13"):
        bundles.gather(13)


@pytest.mark.parametrize("what", ["compressed", "twice", "cut"])
def test_bad_zips(data: Path, what: str) -> None:
    bundles.export("case:12", parts(data), data / "out")
    target = data / "bad.zip"
    method = zipfile.ZIP_DEFLATED if what == "compressed" else zipfile.ZIP_STORED
    with zipfile.ZipFile(target, "w", method) as archive:
        for name in names(data / "out"):
            archive.write(data / "out" / name, name)
        if what == "twice":
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.write(data / "out/policy", "policy")
    if what == "cut":
        target.write_bytes(target.read_bytes()[:-30])
    # Of a cut zip, Python would find the directory of the zip that lies in it: verify.pyz.
    reasons = {"compressed": "is compressed", "twice": "two files of one name", "cut": "no bundle"}
    assert reasons[what] in outcome(target)
    target.write_bytes(target.read_bytes()[:1000])
    assert outcome(target) == "it is no bundle: neither a folder nor a zip file"


CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium found on this machine")
@pytest.mark.once
def test_the_browser_page(data: Path) -> None:
    """verify.html from the bundle, opened as a file, without any server: good, and nine forgeries."""
    with witnesses(data, 2):
        bundles.export("case:12", parts(data), data / "out")

    def zipped(target: Path) -> None:
        with target.open("wb") as file:
            file.writelines(bundle.pack(bundle.open_files(data / "out")))

    zipped(data / "good.zip")
    verdicts = {"good.zip": "全部证实 ALL PROVED: case:12, 9 / 9"}
    seq = json.loads((data / "out/manifest.json").read_text())["telegrams"][0]["seq"]
    for name, reason in {
        "manifest.json": "is not the one that the log's entry names",
        "manifest.entry.json": "NOT VALID",
        "manifest.tlog-proof": "NOT VALID",
        "entries/1.json": "entries/1.json is not the file that was exported",
        "entries/1.tlog-proof": "is not the file that was exported",
        f"telegrams/{seq}.bin": "is not the file that was exported",
        "judgements/41.txt": "is not the file that was exported",
        "policy": "NOT VALID",
        "report.zh.html": "report.zh.html is not the file that was exported",
    }.items():
        whole = (data / "out" / name).read_bytes()
        at = len(whole) - 20
        (data / "out" / name).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        forged = f"bad-{len(verdicts)}.zip"
        zipped(data / forged)
        (data / "out" / name).write_bytes(whole)
        verdicts[forged] = reason

    def look(results: dict[str, str]) -> None:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page()
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            for name in [*verdicts, "out"]:
                page.goto((data / "out/verify.html").as_uri())
                page.set_input_files("#folder" if name == "out" else "#zip", data / name)
                page.wait_for_selector("#verdict.good, #verdict.bad")
                results[name] = page.text_content("#verdict")
            results["asked"] = " ".join(u for u in asked if not u.startswith("file:"))
            browser.close()

    results: dict[str, str] = {}
    worker = threading.Thread(target=look, args=[results])  # Playwright's loop and Django's ORM
    worker.start()
    worker.join()
    assert results.pop("asked") == ""
    assert results.pop("out") == verdicts["good.zip"]
    assert set(results) == set(verdicts)
    for name, reason in verdicts.items():
        assert reason in results[name], (name, results[name])
