"""What the public may read: checkpoints, hash tiles, public entries; and nothing else."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.urls import reverse

from jingwei.bureau.evidencelog import public, services, tasks
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.services import record, sequence
from jingwei.evidence import merkle, parse_checkpoint, proof, verify_inclusion
from jingwei.evidence.attest import STATE, Standing, State, _write
from jingwei.evidence.log import open_log
from jingwei.evidence.note import COSIGNATURE, KeyFile
from world import build

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "/evidence/public/"


@pytest.fixture(autouse=True)
def _fresh_cache() -> None:
    cache.clear()


def fill(count: int) -> None:
    with transaction.atomic():
        for n in range(count):
            kind = "draw" if n % 10 == 3 else "segment" if n % 10 == 5 else "finding"
            record(kind, f"{kind}:{n}", {"secret" if kind == "finding" else "n": n})
    sequence()


def test_checkpoint_and_tiles_rebuild_the_tree(client: Client, data: Path) -> None:
    """A stranger with nothing but the public files proves a public entry."""
    fill(300)
    answer = client.get(BASE + "checkpoint")
    assert answer["Cache-Control"] == "public, max-age=10"
    checkpoint = parse_checkpoint(answer.content, open_log(data / "evidence").verifier)
    hashes = b""
    for name in ("tile/0/000", "tile/0/001.p/44"):
        answer = client.get(BASE + name)
        assert answer["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer["Content-Type"] == "application/octet-stream"
        hashes += answer.content
    leaves = [hashes[i : i + 32] for i in range(0, len(hashes), 32)]
    assert merkle.root_hash(leaves) == checkpoint.root
    entry = client.get(BASE + "entries/23").content
    assert json.loads(entry)["subject"] == "draw:23"
    assert merkle.leaf_hash(entry) == leaves[23]
    found = proof.parse(client.get(BASE + "entries/23/proof").content)
    verify_inclusion(leaves[23], 23, 300, found.steps, checkpoint.root)
    listed = json.loads(client.get(BASE + "entries").content)
    assert {row["type"] for row in listed} == {"draw", "segment"}
    assert len(listed) == 60


def test_protected_entries_cannot_be_told_from_missing_ones(client: Client, data: Path) -> None:
    fill(20)
    there, missing = client.get(BASE + "entries/0"), client.get(BASE + "entries/999")
    assert there.status_code == missing.status_code == 404
    texts = [re.sub(rb'Token": "[^"]*"', b"", answer.content) for answer in (there, missing)]
    assert texts[0].replace(b"entries/0", b"entries/999") == texts[1]
    assert client.get(BASE + "entries/0/proof").status_code == 404
    texts = [
        client.get(BASE + name).content for name in ("", "checkpoint", "entries", "tile/0/000.p/20")
    ]
    assert all(b"secret" not in text and b"finding:" not in text for text in texts)


@pytest.mark.parametrize(
    "name",
    [
        "tile/entries/000.p/20",
        "tile/entries/000",
        "tile/0/000",  # not full yet
        "tile/0/000.p/21",  # beyond the checkpoint
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/999",
        "tile/0/001.p/1",
        "tile/00/000.p/20",
        "tile/9/000.p/1",
        "tile/0/x000/000.p/20",
        "tile/0/..%2F..%2Fstate.json",
        "tile/0/../../../log.key",
        "checkpoints/999",
        "checkpoints/x000/020",
        "checkpoints/020.tsr",
        "checkpoints/../../log.key",
        "entries/-1",
        "entries/99999999999999999999999",
        "log.key",
        "state.json",
    ],
)
def test_everything_else_is_not_found(client: Client, data: Path, name: str) -> None:
    fill(20)
    assert client.get(BASE + name).status_code == 404
    assert client.get(BASE + "tile/0/000.p/20").status_code == 200


def test_kept_checkpoints_and_stamps(client: Client, data: Path) -> None:
    fill(20)
    tasks.tick(datetime.now(UTC))
    answer = client.get(BASE + "checkpoints/020")
    assert answer["Cache-Control"] == "public, max-age=10"
    assert parse_checkpoint(answer.content, open_log(data / "evidence").verifier).size == 20
    (data / "evidence/log/checkpoints/020.tsr").write_bytes(b"stamp")
    answer = client.get(BASE + "checkpoints/020.tsr")
    assert (answer.content, answer["Content-Type"]) == (b"stamp", "application/timestamp-reply")


def test_before_the_first_entry(client: Client, data: Path) -> None:
    assert client.get(BASE).status_code == 200
    for name in ("checkpoint", "tile/0/000.p/1", "entries/0"):
        assert client.get(BASE + name).status_code == 404
    assert client.get(BASE + "entries").content == b"[]"


def test_it_is_limited(client: Client, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "PER_MINUTE", 5)
    monkeypatch.setattr(public.time, "time", lambda: 1_795_000_000.0)
    codes = [client.get(BASE + "entries").status_code for _ in range(7)]
    assert codes == [200] * 5 + [429] * 2
    answer = client.get(BASE + "checkpoint")
    assert (answer.status_code, answer["Retry-After"]) == (429, "60")
    assert client.get(BASE + "entries", REMOTE_ADDR="10.0.0.9").status_code == 200
    monkeypatch.setattr(public.time, "time", lambda: 1_795_000_061.0)
    assert client.get(BASE + "entries").status_code == 200


def test_nothing_can_be_written(client: Client, data: Path) -> None:
    for name in ("", "checkpoint", "entries", "entries/1", "tile/0/000", "checkpoints/001"):
        assert client.post(BASE + name).status_code == 405


def test_the_health_page_says_how_others_stand(client: Client, data: Path) -> None:
    client.force_login(build().users["auditor"])
    client.cookies["django_language"] = "en"
    url = reverse("evidencelog:list")
    assert "no witnesses set up" in client.get(url).content.decode()
    fill(5)
    key = open_log(data / "evidence").verifier
    (data / "evidence/policy").write_text(f"log {key}\nquorum none\n")
    state = State(size=5, witnessed=5, stamped=4, anchor_problem="cannot append to /worm")
    state.witnesses = {
        "Gaoxin": Standing(5, "2026-11-21T03:00:00+00:00"),
        "Notary": Standing(2, "", "Notary finds another history: x", fork=True),
    }
    _write(data / "evidence" / STATE, state)
    text = client.get(url).content.decode()
    for part in (
        "A witness has seen another history of this log",
        "Notary finds another history: x",
        "of 4 entries",
        "cannot append to /worm",
        "quorum reached",
        "2026-11-21 11:00:00",
    ):
        assert part in text, part
    lines = [
        f"witness {name} {KeyFile(name, seed * 32, COSIGNATURE).verifier}"
        for name, seed in (("gx", b"1"), ("jw", b"2"))
    ]
    told = ["log " + str(key), *lines, "group all 2 gx jw", "quorum all", ""]
    (data / "evidence/policy").write_text("\n".join(told))
    second = services.second_key()
    for language, wanted in (("en", "2 of gx, jw"), ("zh-hans", "gx, jw 中至少 2 个")):
        client.cookies["django_language"] = language
        for page in (url, BASE):
            text = html.unescape(client.get(page).content.decode())
            assert wanted in text
            assert str(second) in text
    client.cookies["django_language"] = "en"
    (data / "evidence/policy").write_text("rubbish\n")
    assert "line 1 of the policy" in client.get(url).content.decode()


def test_the_certificate_of_an_entry(client: Client, data: Path) -> None:
    fill(3)
    row = EvidenceEntry.objects.get(index=1)
    url = reverse("evidencelog:certificate", args=[row.pk])
    assert client.get(url).status_code == 302
    client.force_login(build().users["auditor"])
    answer = client.get(url)
    assert answer["Content-Disposition"] == 'attachment; filename="1.tlog-proof"'
    found = proof.parse(answer.content)
    checkpoint = parse_checkpoint(found.note, open_log(data / "evidence").verifier)
    leaf = merkle.leaf_hash(row.content.encode())
    verify_inclusion(leaf, 1, 3, found.steps, checkpoint.root)
    assert url in client.get(row.get_absolute_url()).content.decode()
    with transaction.atomic():
        waiting = record("finding", "finding:9", {})
    assert client.get(reverse("evidencelog:certificate", args=[waiting.pk])).status_code == 404


def test_anchors_and_stamps_are_compared(data: Path) -> None:
    from jingwei.bureau.evidencelog import checks

    worm = data / "worm"
    fill(4)
    (data / "evidence/anchor").write_text(f"{worm}\n")
    now = datetime.now(UTC)
    tasks.tick(now)
    fill(4)
    tasks.tick(now + timedelta(hours=2))
    assert list(checks.check()) == []
    first, second = worm.read_text().splitlines()
    changed = second.replace(" 8 ", " 7 ")
    worm.write_text(f"{first}\n{changed}\n")
    (problem,) = checks.check()
    assert "names another root for 7 entries" in problem
    worm.write_text(f"{first}\n{second.replace(' 8 ', ' 9 ')}\n")
    (problem,) = checks.check()
    assert "of more than it has" in problem
