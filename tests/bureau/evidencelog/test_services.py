"""Recording in the act's transaction, numbering once, crashes between database and disk, guards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import translation
from django.utils.translation import gettext_lazy

from bureau.evidencelog.material import entries, numbers
from jingwei.bureau.evidencelog import checks, services, tasks
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.services import commitment, record, sequence
from jingwei.evidence import attest as attestation
from jingwei.evidence import canonical, digest
from jingwei.evidence.canonical import CanonicalError
from jingwei.evidence.log import Log, LogError, open_log
from jingwei.evidence.note import COSIGNATURE, KeyFile
from racing import together

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def test_an_entry_says_what_was_done(data: Path) -> None:
    with translation.override("en"), transaction.atomic():
        row = record(
            "case_event",
            "case:12",
            {
                "deadline": datetime(2026, 11, 30, 10, tzinfo=UTC),
                "day": date(2026, 11, 21),
                "value": Decimal("1.230"),
                "state": gettext_lazy("a lazy text"),
                "list": (1, 2.5, None),
                "uid": uuid.UUID(int=7),
            },
            actor="li.lei",
        )
    row.refresh_from_db()
    said = canonical.loads(row.content.encode())
    assert said["content"] == {
        "deadline": "2026-11-30T10:00:00.000000Z",
        "day": "2026-11-21",
        "value": "1.230",
        "state": "a lazy text",
        "list": [1, 2.5, None],
        "uid": "00000000-0000-0000-0000-000000000007",
    }
    assert said["digest"] == digest.both(canonical.dumps(said["content"]))
    assert (said["type"], said["schema"], said["subject"]) == ("case_event", 1, "case:12")
    assert said["id"] == str(row.uid)
    assert datetime.fromisoformat(said["time"]) == row.created
    assert row.index is None
    # No name in the log: a commitment that salt and actor open.
    assert "li.lei" not in row.content
    assert said["actor"] == commitment("li.lei", row.salt)
    assert list(checks.check()) == []


def test_two_entries_of_one_actor_do_not_show_it(data: Path) -> None:
    with transaction.atomic():
        first, second = (record("order", "order:1", {}, actor="7") for _ in range(2))
    assert json.loads(first.content)["actor"] != json.loads(second.content)["actor"]


def test_only_in_a_transaction_and_with_it(data: Path) -> None:
    with pytest.raises(transaction.TransactionManagementError, match="in the transaction"):
        record("finding", "finding:1", {})
    with transaction.atomic():
        record("finding", "finding:1", {})
        transaction.set_rollback(True)
    assert not EvidenceEntry.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        (("", "case:1", {}), ValueError, "wants a kind"),
        (("x" * 33, "case:1", {}), ValueError, "wants a kind"),
        (("case", "", {}), ValueError, "a subject"),
        (("case", "x" * 121, {}), ValueError, "a subject"),
        (("photo", "photo:1", {"bytes": b"x"}), CanonicalError, r"\$\.bytes: bytes has no JSON"),
        (("photo", "photo:1", {"v": float("nan")}), CanonicalError, "no JSON number"),
        (("photo", "photo:1", {"at": datetime(2026, 1, 1)}), CanonicalError, "no time zone"),
        (("photo", "photo:1", {"pixels": "x" * 70_000}), ValueError, "by digest"),
    ],
)
def test_bad_entries_are_refused(data: Path, arguments, error, reason: str) -> None:
    with transaction.atomic(), pytest.raises(error, match=reason):
        record(*arguments)


def test_numbers_are_dense_and_in_order(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "BATCH", 40)
    assert sequence() == 0
    entries(100)
    assert sequence(limit=60) == 80
    entries(5)
    tasks.tick(NOW)
    assert numbers() == list(range(105))
    tasks.tick(NOW)
    log = open_log(data / "evidence")
    for row in EvidenceEntry.objects.all():
        assert log.reader.entry(row.index, 105) == row.content.encode()
    assert list(checks.check()) == []


def test_it_must_not_run_in_a_transaction(data: Path) -> None:
    entries(1)
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        sequence()
    assert numbers() == [None]


def test_a_second_sequencer_steps_back(data: Path) -> None:
    entries(3)
    with Log(data / "evidence"):
        assert sequence() == 0
    assert sequence() == 3


def test_two_sequencers_at_once(data: Path) -> None:
    """Threads with their own connections: every entry gets one number, the log each entry once."""

    def work() -> None:
        for _ in range(10):
            sequence()

    def add() -> None:
        for _ in range(10):
            entries(7)

    assert together(work, work, work, add) == [None] * 4
    sequence()
    assert sorted(numbers()) == list(range(70))
    assert open_log(data / "evidence").checkpoint.size == 70
    assert list(checks.check()) == []


def test_a_crash_between_disk_and_database(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On disk, but not marked: recognised by its bytes, not written a second time."""
    entries(4)
    with monkeypatch.context() as patch:
        patch.setattr(services, "_mark", lambda rows: None)
        sequence(limit=1)
    assert numbers() == [None] * 4
    assert open_log(data / "evidence").checkpoint.size == 4
    assert list(checks.check()) == []  # the sequencer will see to it: no difference
    entries(2)
    assert sequence() == 6
    assert numbers() == list(range(6))
    assert open_log(data / "evidence").checkpoint.size == 6
    assert list(checks.check()) == []


def test_rows_lost_by_an_old_backup_are_named_and_the_log_goes_on(data: Path) -> None:
    entries(2)
    sequence()
    with Log(data / "evidence") as log:
        log.append([b'{"id":"00000000-0000-0000-0000-000000000000"}', b"no JSON at all"])
    entries(1)
    sequence()
    assert numbers() == [0, 1, 4]
    assert list(checks.check()) == ["leaf 2 has no row in the database"]


def test_a_log_set_back_is_not_written(data: Path) -> None:
    entries(2)
    sequence()
    (data / "evidence").rename(data / "lost")
    entries(1)
    with pytest.raises(LogError, match="the database knows leaf 1"):
        tasks.tick(NOW)
    assert numbers() == [0, 1, None]
    assert any("the database knows leaf 1" in problem for problem in checks.check())


WRITER = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "jingwei.config.settings"
import django; django.setup()
from django.conf import settings
from django.db import connections, transaction
from jingwei.bureau.evidencelog.services import record, sequence
n = 0
print("ready", flush=True)
while True:
    with transaction.atomic():
        for i in range(n % 5 + 1):
            record("case_event", f"case:{n}", {"i": i})
    sequence()
    n += 1
"""


def test_kill_9_of_the_sequencer(data: Path) -> None:
    """Real processes on the real database: after each kill the next goes on, and all agrees."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        url = f"sqlite:///{database['NAME']}"
    else:
        url = (
            f"postgresql://{database['USER']}:{database['PASSWORD']}@{database['HOST']}"
            f":{database['PORT'] or 5432}/{database['NAME']}"
        )
    environment = {**os.environ, "JINGWEI_DATA": str(data), "JINGWEI_DATABASE": url}
    for run in range(4):
        before = EvidenceEntry.objects.count()
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER], env=environment, stdout=subprocess.PIPE
        )
        assert writer.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 60
        while EvidenceEntry.objects.count() < before + 20:
            assert writer.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005 * (run + 1))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        assert list(checks.check()) == []
        sequence()
        found = sorted(numbers())
        assert found == list(range(len(found)))
        assert open_log(data / "evidence").checkpoint.size == len(found)
        assert list(checks.check()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "order"},
        {"subject": "case:2"},
        {"content": "{}"},
        {"created": NOW},
        {"uid": uuid.UUID(int=1)},
        {"index": None},
        {"index": 99},
        {"actor": "9"},
        {"salt": "00"},
        {"actor": ""},
        {"id": 10_000},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_database_refuses_a_change(data: Path, change: dict) -> None:
    with transaction.atomic():
        row = record("case_event", "case:1", {}, actor="8")
    sequence()
    with pytest.raises(DatabaseError, match="an evidence entry is never changed"):
        EvidenceEntry.objects.filter(pk=row.pk).update(**change)
    before, after = row, EvidenceEntry.objects.get()
    assert (before.content, before.actor, before.salt) == (after.content, after.actor, after.salt)
    assert after.index == 0


def test_the_database_refuses_to_delete(data: Path) -> None:
    row = entries(1)[0]
    with pytest.raises(DatabaseError, match="an evidence entry is never deleted"):
        row.delete()
    with pytest.raises(DatabaseError, match="an evidence entry is never deleted"):
        EvidenceEntry.objects.all().delete()
    assert EvidenceEntry.objects.count() == 1


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL knows no REPLACE")
@pytest.mark.parametrize("key", ["id", "uid", '"index"'])
def test_the_database_refuses_to_replace(data: Path, key: str) -> None:
    """A REPLACE deletes the row in its way without asking the trigger of DELETE."""
    row, other = entries(2)
    sequence()
    table = EvidenceEntry._meta.db_table
    columns = {c: c for c in ("uid", "kind", "subject", "content", "actor", "salt", "created")}
    columns |= {"id": "77", "uid": "'u'", '"index"': "77", "content": "'{}'", key: key}
    with (
        pytest.raises(IntegrityError, match="an evidence entry is never replaced"),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            f"INSERT OR REPLACE INTO {table} ({', '.join(columns)})"
            f" SELECT {', '.join(columns.values())} FROM {table} WHERE id = %s",
            [row.pk],
        )
    assert sorted(EvidenceEntry.objects.values_list("pk", flat=True)) == [row.pk, other.pk]
    assert EvidenceEntry.objects.get(pk=row.pk).content == row.content


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL knows no REPLACE")
def test_an_entry_does_not_take_the_number_of_another(data: Path) -> None:
    row = entries(1)[0]
    sequence()
    waiting = entries(1)[0]
    statement = f'UPDATE OR REPLACE {EvidenceEntry._meta.db_table} SET "index" = 0 WHERE id = %s'
    with (
        pytest.raises(IntegrityError, match="an evidence entry is never replaced"),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement, [waiting.pk])
    assert EvidenceEntry.objects.get(index=0).pk == row.pk


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite knows no TRUNCATE")
def test_the_database_refuses_to_truncate(data: Path) -> None:
    entries(1)
    with (
        pytest.raises(IntegrityError, match="an evidence entry is never deleted"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"TRUNCATE {EvidenceEntry._meta.db_table} CASCADE")
    assert EvidenceEntry.objects.count() == 1


def test_an_actor_can_be_erased_and_the_proof_stays(data: Path) -> None:
    with transaction.atomic():
        row = record("case_event", "case:1", {}, actor="8")
    sequence()
    services.erase_actor(row)
    row.refresh_from_db()
    assert (row.actor, row.salt, row.index) == ("", "", 0)
    assert list(checks.check()) == []


@contextmanager
def without_guards() -> Iterator[None]:
    """As for one who has taken the guards away; they are put back."""
    guards = import_module("jingwei.bureau.evidencelog.migrations.0004_replace")
    with connection.schema_editor() as editor:
        guards.unguard(None, editor)
        guards.first.unguard(None, editor)
    try:
        yield
    finally:
        with connection.schema_editor() as editor:
            guards.guard(None, editor)


def unguarded(statement: str, *values: object) -> None:
    """Change a row as one does who has taken the guards away, and put them back."""
    with without_guards(), connection.cursor() as cursor:
        cursor.execute(statement, values)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("content", None, "row {pk} (leaf 1) has another content than the log's entry"),
        ("kind", "order", "row {pk} (leaf 1): its type is not what its content says"),
        ("subject", "case:2", "row {pk} (leaf 1): its subject is not what its content says"),
        ("created", NOW, "row {pk} (leaf 1): its time is not what its content says"),
        ("actor", "9", "row {pk} (leaf 1): its actor is not the one that was committed to"),
        ("index", 7, "the database knows leaf 7, the log has 3 entries"),
        ("index", None, "leaf 1 has no row in the database"),
    ],
)
def test_a_changed_row_is_found(data: Path, column: str, value: object, reason: str) -> None:
    with transaction.atomic():
        for n in range(3):
            record("case_event", "case:1", {"n": n}, actor="8")
    sequence()
    row = EvidenceEntry.objects.get(index=1)
    if column == "content":
        value = row.content.replace('"n":1', '"n":2')
    if column == "created" and connection.vendor == "sqlite":
        value = "2026-11-21 03:00:00"
    table = EvidenceEntry._meta.db_table
    unguarded(f'UPDATE {table} SET "{column}" = %s WHERE id = %s', value, row.pk)
    problems = list(checks.check())
    assert problems == [reason.format(pk=row.pk)]


def test_a_removed_row_is_found(data: Path) -> None:
    entries(3)
    sequence()
    unguarded(f'DELETE FROM {EvidenceEntry._meta.db_table} WHERE "index" = %s', 1)
    assert list(checks.check()) == ["leaf 1 has no row in the database"]


def test_a_changed_waiting_row_is_found(data: Path) -> None:
    row = entries(1)[0]
    text = row.content.replace('"n":0', '"n":5')
    unguarded(f"UPDATE {EvidenceEntry._meta.db_table} SET content = %s", text)
    assert list(checks.check()) == [
        f"waiting evidence entry {row.pk}: its digest is not what its content says"
    ]


def test_a_lost_guard_is_found(data: Path) -> None:
    with without_guards():
        found = list(checks.check())
    assert [problem.split(":")[0] for problem in found] == [
        f"the table of evidence entries has lost its guard {name}"
        for name in checks.TRIGGERS[connection.vendor]
    ]
    assert list(checks.check()) == []


@pytest.mark.parametrize("name", ["tile/entries/000.p/3", "tile/0/000.p/3", "checkpoint"])
def test_a_changed_byte_on_disk_is_found(data: Path, name: str) -> None:
    entries(3)
    sequence()
    path = data / "evidence/log" / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
    assert len(list(checks.check())) == 1
    path.write_bytes(whole)
    assert list(checks.check()) == []


def test_the_tick_keeps_checkpoints(data: Path) -> None:
    """Every minute at most; all of them are compared by the check."""
    for minute in range(3):
        entries(2)
        tasks.tick(NOW + timedelta(minutes=minute, seconds=1))
        entries(1)
        tasks.tick(NOW + timedelta(minutes=minute, seconds=30))
    folder = data / "evidence/log"
    assert open_log(data / "evidence").reader.kept() == [2, 5, 8]
    assert list(checks.check()) == []
    path = folder / "checkpoints/005"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    (problem,) = checks.check()
    assert problem.startswith("the kept checkpoint checkpoints/005 is damaged: ")
    path.write_bytes((folder / "checkpoints/002").read_bytes())
    (problem,) = checks.check()
    assert problem == "the kept checkpoint checkpoints/005 is of size 2"


def test_a_bad_policy_stops_no_entry(data: Path) -> None:
    entries(1)
    (data / "evidence").mkdir()
    (data / "evidence/policy").write_text("rubbish\n")
    tasks.tick(NOW)
    assert numbers() == [0]


class _Hanging(BaseHTTPRequestHandler):
    """A witness that takes a checkpoint and says nothing until it is let go."""

    asked, go = threading.Event(), threading.Event()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.set()
        assert self.go.wait(60)
        self.send_error(503)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_witness_that_hangs_holds_up_nothing(data: Path) -> None:
    entries(2)
    services.sequence()
    folder = data / "evidence"
    _Hanging.asked.clear()
    _Hanging.go.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hanging)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    key = KeyFile("slow.example", bytes(range(32)), COSIGNATURE).verifier
    (folder / "policy").write_text(
        f"log {(folder / 'log.pub').read_text().strip()}\n"
        f"witness slow {key} http://127.0.0.1:{server.server_port}\nquorum slow\n"
    )
    now = datetime.now(UTC)
    try:
        tasks.tick(now)
        assert _Hanging.asked.wait(10)
        # Asked, and not answered: the tick is over all the same, and the log grows on.
        assert attestation.read_state(folder).at == ""
        entries(3)
        tasks.tick(now)
        assert numbers() == [0, 1, 2, 3, 4]
        assert services.attest(now) is None
    finally:
        _Hanging.go.set()
    while (state := services.attest(now)) is None:
        pass
    server.shutdown()
    server.server_close()
    # The end of that round: the checkpoint it began with is kept, without the quorum.
    assert (state.size, state.witnessed) == (2, 0)
    assert "answers 503" in state.witnesses["slow"].problem
    assert attestation.read_state(folder) == state
    assert list(checks.check()) == []


def test_what_a_round_raises_is_raised_once(data: Path) -> None:
    entries(1)
    services.sequence()
    (data / "evidence/log/checkpoint").write_text("rubbish")
    with pytest.raises(LogError, match="checkpoint is damaged"):
        services.attest(datetime.now(UTC))
    assert services._round is None


@pytest.mark.parametrize("name", ["log.key", "policy"])
def test_a_damaged_key_or_policy_is_a_difference(data: Path, name: str) -> None:
    with transaction.atomic():
        record("case_event", "case:1", {})
    sequence()
    path = data / "evidence" / name
    key = (data / "evidence/log.pub").read_text().strip()
    (data / "evidence/policy").write_text(f"log {key}\nquorum none\n")
    assert list(checks.check()) == []
    whole = path.read_bytes()
    for at in range(12, len(whole) - 3, 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        [problem] = checks.check()
        assert ("line 1 of the policy" if name == "policy" else "the signing key") in problem or (
            "no quorum" in problem or "line 2" in problem
        )
    path.write_bytes(whole)
    if name == "log.key":
        path.unlink()
        KeyFile.create(path, "another")
        [problem] = checks.check()
        assert "is not the one in force" in problem
