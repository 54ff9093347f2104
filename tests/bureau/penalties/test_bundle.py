"""From the raw telegram over the limit to the decided penalty: one bundle, and not one byte of it
can be changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bureau.cases import city as cases_city
from bureau.penalties import office
from jingwei import hj212
from jingwei.bureau.cases import services
from jingwei.bureau.evidencelog import bundles, sealing
from jingwei.bureau.evidencelog.bundles import ExportError
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.monitoring.services import judge
from jingwei.evidence import bundle
from jingwei.telemetry.ingest import Ingest
from jingwei.telemetry.journal import Journal, Telegram
from sweep import second_machine, size, sweep

pytestmark = pytest.mark.django_db(transaction=True)
NOW = office.NOW
OVER = datetime(2026, 10, 28, 2, tzinfo=UTC)  # 10:00 in Beijing, days before NOW


def over_the_limit(city, data: Path) -> list[bytes]:
    """Three hours of NOx (50 mg/m3 are allowed) as telegrams, judged; one of them is below."""
    point = city.points[0]
    frames = []
    with contextlib.closing(Journal(data / "journal")) as journal:
        for n, value in enumerate(("75.5", "41.2", "83.0")):
            time = OVER + timedelta(hours=n)
            segment = hj212.segment(
                cn="2061",
                st=point.st,
                mn=point.mn,
                pw=point.password,
                qn=hj212.qn(time + timedelta(hours=1, seconds=7)),
                flag=5,
                cp=hj212.data_cp(time, [("a21002", {"Avg": value, "Flag": "N"})]),
            )
            frames.append(hj212.frame(segment))
            journal.append([Telegram(time + timedelta(hours=1), "192.0.2.7:4000", frames[-1])])
        with contextlib.closing(Ingest(data / "journal", data / "lake")) as ingest:
            while ingest.step(1000).telegrams:
                pass
        journal.roll()
    while judge(NOW, "hour").moved:
        pass
    assert sealing.seal_segments(data / "journal", datetime.now(UTC)) == 1
    return frames


@pytest.fixture
def whole(data: Path) -> tuple[object, list[bytes], Path]:
    """The closed penalty, the telegrams sent, and the folder of its bundle."""
    city = office.build()
    frames = over_the_limit(city, data)
    found = Finding.objects.get(kind="exceedance")
    order = services.open_case(
        city.dispatcher, [found], cases_city.DOCUMENT, now=NOW - timedelta(days=3)
    )
    cases_city.bring(city, order, "closed", now=NOW - timedelta(days=2))
    case = office.bring(city, office.open_penalty(city, order), "close")
    bundles.export(f"case:{case.pk}", bundles.gather(case.pk), data / "out")
    return case, frames, data / "out"


def read(folder: Path, name: str):
    return json.loads((folder / name).read_text())


def test_from_the_telegram_to_the_decision(whole) -> None:
    case, frames, folder = whole
    report = bundle.verify(bundle.open_files(folder))
    assert report.proved
    assert (report.absent, report.unchecked) == ([], [])
    manifest = read(folder, "manifest.json")
    entries = {index: read(folder, f"entries/{index}.json") for index in manifest["entries"]}
    assert {e["type"] for e in entries.values()} == {
        "segment", "judgements", "exceedances", "finding", "case_event", "penalty",
    }  # fmt: skip
    # The telegrams over the limit, byte by byte as they came, and none that were below.
    sent = [(folder / f"telegrams/{t['seq']}.bin").read_bytes() for t in manifest["telegrams"]]
    assert len(sent) == 2
    for leaf, frame in zip(sent, (frames[0], frames[2]), strict=True):
        assert leaf.endswith(frame)
    # What was judged of these two hours, and of no other in the same batch.
    rows = [(folder / f"judgements/{j['row']}.txt").read_text() for j in manifest["judgements"]]
    told = [row.rstrip("\n").split("\n") for row in rows]
    assert {numbers for _, _, numbers, _ in told} == {t["seq"] for t in manifest["telegrams"]}
    assert [json.loads(factors)["a21002"]["value"] for *_, factors in told] == [75.5, 83.0]
    batch = entries[manifest["judgements"][0]["entry"]]["content"]
    assert batch["count"] == 3
    # The events of the penalty and of the order before it, with their words.
    contents = {c["path"].removeprefix("contents/"): c["entry"] for c in manifest["contents"]}
    mine = [read(folder, f"contents/event-{n}.json") for n in range(1, case.events.count() + 1)]
    before = [n for n in contents if n.startswith(f"case-{case.parent_id}/event-")]
    assert len([n for n in before if n.endswith(".json")]) == case.parent.events.count()
    assert any(n.endswith(".png") for n in before)
    decided = next(e["changes"]["detail"]["decision"] for e in mine if "decision" in str(e))
    assert decided["amount"] == "200000.00"
    # The proposal names its evidence by the digest of each leaf: all of it is in the bundle.
    proposed = next(
        e["changes"]["detail"]["proposal"]
        for e in mine
        if e["changes"].get("detail", {}).get("proposal")
    )
    leaves = {
        hashlib.sha256((folder / f"entries/{i}.json").read_bytes()).hexdigest() for i in entries
    }
    assert {e["sha256"] for e in proposed["exhibits"]} <= leaves
    kinds = {e["kind"] for e in proposed["exhibits"]}
    assert {"exceedances", "finding", "case_event"} <= kinds
    assert proposed["computed"]["steps"]
    # What the public saw.
    public = next(e["content"] for e in entries.values() if e["type"] == "penalty")
    assert (public["amount"], public["number"]) == ("200000.00", case.number)
    # What people wrote stands in the contents, which can be left out, and not in the log itself.
    assert any("已更换催化剂" in e["text"] for e in mine)
    assert not any("已更换催化剂" in str(e) for e in entries.values())


def test_every_byte_of_every_file_is_refused_with_the_right_reason(whole) -> None:
    _case, _frames, folder = whole
    found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert {n.partition("/")[0] for n in found} == {
        "contents", "entries", "judgements", "telegrams", "manifest.json", "manifest.entry.json",
        "manifest.tlog-proof", "policy", "report.en.html", "report.zh.html", "verify.html",
        "verify.pyz",
    }  # fmt: skip
    assert sweep(folder) == size(folder) > 100_000


def test_a_second_machine_with_python_and_cryptography(whole, bare: Path, tmp_path: Path) -> None:
    _case, _frames, folder = whole
    shutil.copytree(folder, tmp_path / "elsewhere")
    second_machine(bare, tmp_path / "elsewhere")


def test_a_parent_that_is_not_there(db) -> None:
    with pytest.raises(ExportError, match="no case"):
        bundles.gather(999_999)
