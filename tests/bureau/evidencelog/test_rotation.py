"""Changing the log's key: the entry that tells of it, crashes, the check, bundles before and after."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from bureau.evidencelog.material import entries, numbers, parts, witnesses
from jingwei.bureau.evidencelog import bundles, checks, services
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.evidence import bundle, policy
from jingwei.evidence.keyring import (
    RETIRED,
    SM2_KEY,
    SM2_VERIFIER,
    read_retired,
    read_statement,
)
from jingwei.evidence.log import Log, LogError, open_log
from jingwei.evidence.note import Sm2KeyFile
from world import build

pytestmark = pytest.mark.django_db(transaction=True)


def key(data: Path):
    return open_log(data / "evidence").verifier


def test_an_entry_tells_of_it(data: Path) -> None:
    entries(3)
    services.sequence()
    old = key(data)
    assert services.next_key(actor="6") == services.next_key() != old
    new = services.rotate(actor="7")
    assert key(data) == new
    assert list(checks.check()) == []
    entries(2)
    services.sequence()
    assert numbers() == [0, 1, 2, 3, 4, 5, 6]
    assert list(checks.check()) == []
    made, row = EvidenceEntry.objects.filter(kind="key").order_by("index")
    assert json.loads(made.content)["content"] == {
        "act": "prepared", "origin": old.name, "old": str(old), "new": str(new),
    }  # fmt: skip
    assert (made.actor, row.actor) == ("6", "7")
    told = json.loads(row.content)["content"]
    assert (told["old"], told["new"]) == (str(old), str(new))
    assert read_statement(told["statement"]) == (old.name, old, new)
    again = services.rotate()
    assert again not in (old, new)
    assert list(checks.check()) == []


def test_the_policy_must_know_the_new_key_first(data: Path) -> None:
    entries(1)
    services.sequence()
    old = key(data)
    path = data / "evidence/policy"
    path.write_text(f"log {old}\nquorum none\n")
    with pytest.raises(LogError, match="first give the new key to the policy") as refused:
        services.rotate()
    assert not EvidenceEntry.objects.filter(kind="key").exists()
    path.write_text(f"log {old}\n{str(refused.value).rpartition(': ')[2]}\nquorum none\n")
    new = services.rotate()
    assert str(new) in str(refused.value)
    assert list(checks.check()) == []


WORKER = """
import os, signal, sys
import django; django.setup()
from jingwei.bureau.evidencelog import services
last, done = int(sys.argv[1]), 0
def counted(real):
    def step(*args, **kwargs):
        global done
        done += 1
        if done == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return step
for name in ("fsync", "replace", "link"):
    setattr(os, name, counted(getattr(os, name)))
services.record = counted(services.record)
EvidenceEntry = services.EvidenceEntry
EvidenceEntry.refresh_from_db = counted(EvidenceEntry.refresh_from_db)
services.rotate()
print(done)
"""


def test_kill_9_in_the_middle(data: Path) -> None:
    """Killed at one durable step after the other, on the real database; after each the worker goes
    on, and the next call brings the rotation to its end with one entry for each new key."""
    database = connection.settings_dict
    url = f"sqlite:///{database['NAME']}"
    if connection.vendor == "postgresql":
        url = (
            f"postgresql://{database['USER']}:{database['PASSWORD']}@{database['HOST']}"
            f":{database['PORT'] or 5432}/{database['NAME']}"
        )
    environment = {
        **os.environ,
        "JINGWEI_DATA": str(data),
        "JINGWEI_DATABASE": url,
        "DJANGO_SETTINGS_MODULE": "jingwei.config.settings",
    }
    entries(2)
    services.sequence()
    killed = rotations = 0
    before = key(data)
    for step in (2, 7, 9, 12, 15, 18, 19, 20, 21, 22, 24, 26, 60):
        done = subprocess.run(
            [sys.executable, "-c", WORKER, str(step)],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode in (0, -9), done.stderr
        killed += done.returncode == -9
        entries(1)
        if step % 2 == 0:
            services.sequence()  # the worker
            problems = list(checks.check())
            if key(data) == before:
                # Not made yet; where its entry is there already, the check says so.
                assert all("was not ended: run" in p for p in problems)
        if done.returncode == -9:  # the operator calls again
            assert services.rotate() == key(data)
        services.sequence()
        assert list(checks.check()) == []
        assert key(data) != before
        rotations, before = rotations + 1, key(data)
        assert len(read_retired(data / "evidence")) == rotations
    assert killed > 6
    told = EvidenceEntry.objects.filter(kind="key").order_by("index")
    assert len({row.subject for row in told}) == len(told) == rotations
    found = sorted(numbers())
    assert found == list(range(len(found)))


def test_a_second_key_signs_when_the_log_was_told_of_it(data: Path) -> None:
    entries(1)
    services.sequence()
    new = services.second_key(actor="7")
    row = EvidenceEntry.objects.get(kind="key")
    assert (row.index, row.actor) == (1, "7")
    assert json.loads(row.content)["content"] == {
        "act": "second", "origin": new.name, "first": str(key(data)), "new": str(new),
    }  # fmt: skip
    assert new not in open_log(data / "evidence").checkpoint.verified
    entries(1)
    services.sequence()
    assert new in open_log(data / "evidence").checkpoint.verified
    assert [*checks.check(), *checks.notes()] == []
    with pytest.raises(LogError, match="there is an SM2 key already"):
        services.second_key()
    services.rotate()  # the second key changes as well
    assert open_log(data / "evidence").keys.second != new
    assert [*checks.check(), *checks.notes()] == []


def test_a_second_key_of_which_the_log_was_told_and_that_a_crash_left_unused(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries(1)
    services.sequence()
    with monkeypatch.context() as patch:
        patch.setattr(Log, "use_second_key", lambda *_: (_ for _ in ()).throw(LogError("killed")))
        with pytest.raises(LogError, match="killed"):
            services.second_key(actor="7")
    [problem] = checks.check()
    assert "does not sign: run `jingwei evidence sm2-key` again" in problem
    new = services.second_key(actor="8")
    assert EvidenceEntry.objects.get(kind="key").actor == "7"
    assert new == open_log(data / "evidence").keys.second
    assert list(checks.check()) == []


def test_a_second_key_that_was_put_there_or_taken_away_behind_the_log(data: Path) -> None:
    entries(1)
    services.sequence()
    folder = data / "evidence"
    Sm2KeyFile.create(folder / SM2_KEY, key(data).name)
    entries(1)
    services.sequence()
    assert list(checks.check()) == []
    [note] = checks.notes()
    assert note.startswith(f"no entry tells who made the second key {open_log(folder).keys.second}")
    (folder / SM2_KEY).unlink()
    (folder / SM2_VERIFIER).unlink()
    services.second_key()
    assert [*checks.check(), *checks.notes()] == []
    (folder / SM2_KEY).unlink()
    (folder / SM2_VERIFIER).unlink()
    [problem] = checks.check()
    assert "does not sign" in problem


def test_the_check_finds_a_key_that_was_changed_behind_the_log(data: Path) -> None:
    entries(1)
    services.sequence()
    services.rotate()
    path = data / "evidence" / RETIRED
    good = path.read_text()
    path.write_text("")
    assert "was not ended" in " ".join(checks.check())
    path.write_text(good.replace("2 ", "1 ", 1))
    assert "no entry of the log tells that the key" in " ".join(checks.check())
    path.write_text(good)
    assert list(checks.check()) == []


def test_bundles_before_and_after(data: Path) -> None:
    """One made before stays valid; one made after is proved under the new key alone, tells of the
    change, and wants nothing of the old key."""
    with witnesses(data) as servers:
        given = parts(data)
        bundles.export("case:12", given, data / "before")
        path = data / "evidence/policy"
        old = key(data)
        new = services.next_key()
        path.write_text(path.read_text().replace(f"log {old}", f"log {old}\nlog {new}"))
        for server in servers:
            server.witness._logs[new.name].append(new)
        assert services.rotate() == new
        report = bundles.export("case:12", given, data / "after")
        assert report.proved
        assert len(report.witnesses) >= 1
    kinds = [json.loads(p.read_text())["type"] for p in (data / "after/entries").glob("*.json")]
    assert kinds.count("key") == 2
    own = {
        name: policy.parse(f"log {one}\nquorum none\n")
        for name, one in (("old", old), ("new", new))
    }

    def proved(name: str, trusted: policy.Policy | None = None) -> bool:
        return bundle.verify(bundle.open_files(data / name), trusted).proved

    assert proved("before")
    assert proved("after")
    assert proved("before", own["old"])
    assert proved("after", own["new"])
    for name, trusted in (("after", "old"), ("before", "new")):
        with pytest.raises(bundle.BundleError, match="no signature by a trusted key"):
            proved(name, own[trusted])
    assert list(checks.check()) == []


def test_pages(data: Path, client: Client) -> None:
    world = build()
    services.sequence()
    old = key(data)
    services.rotate()
    public = client.get(reverse("evidencelog:public")).content.decode()
    assert str(old).replace("+", "&#x2B;") in public or str(old) in public
    index = EvidenceEntry.objects.get(kind="key").index
    answer = client.get(reverse("evidencelog:public-entry", args=[index]))
    assert json.loads(answer.content)["content"]["old"] == str(old)
    client.force_login(world.users["auditor"])
    page = client.get(reverse("evidencelog:list")).content.decode()
    assert "Earlier keys" in page or "先前的密钥" in page
