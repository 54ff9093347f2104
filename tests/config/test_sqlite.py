"""Waiting for SQLite's write lock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import OperationalError
from django.db.utils import ConnectionHandler

from jingwei.config.environment import database


@pytest.fixture(autouse=True)
def _databases_of_its_own(django_db_blocker) -> Iterator[None]:  # type: ignore[no-untyped-def]
    with django_db_blocker.unblock():
        yield


def connections(path: Path, timeout: float) -> ConnectionHandler:
    said = database(f"sqlite:///{path}")
    said["OPTIONS"] = {**said["OPTIONS"], "timeout": timeout}  # type: ignore[dict-item]
    return ConnectionHandler({"default": said, "other": dict(said)})


def patience(connection: object) -> int:
    with connection.cursor() as cursor:  # type: ignore[attr-defined]
        return int(cursor.execute("PRAGMA busy_timeout").fetchone()[0])


def test_whoever_writes_waits_for_the_lock(tmp_path: Path) -> None:
    both = connections(tmp_path / "some.sqlite3", 60)
    first, waited = both["default"], []
    first.cursor().execute("CREATE TABLE t (n integer)")
    first.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    first.cursor().execute("INSERT INTO t VALUES (1)")

    def second() -> None:
        mine = both["other"]  # one of this thread
        mine.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
        mine.cursor().execute("INSERT INTO t VALUES (2)")
        mine.commit()
        waited.append(patience(mine))
        mine.close()

    thread = threading.Thread(target=second)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive(), "it did not wait"
    first.commit()
    thread.join(60)
    assert waited == [60_000]  # single statements wait as before
    assert first.cursor().execute("SELECT count(*) FROM t").fetchone()[0] == 2
    first.close()


def test_in_the_end_it_says_that_the_database_is_locked(tmp_path: Path) -> None:
    both = connections(tmp_path / "some.sqlite3", 0.1)
    first, other = both["default"], both["other"]
    first.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    with pytest.raises(OperationalError, match="locked"):
        other.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    assert patience(other) == 100
    first.rollback()
    first.close()
    other.close()


def test_other_errors_are_told_at_once(tmp_path: Path) -> None:
    both = connections(tmp_path / "some.sqlite3", 60)
    first = both["default"]
    first.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    with pytest.raises(OperationalError, match="within a transaction"):
        first._start_transaction_under_autocommit()
    first.rollback()
    first.close()
