"""Closed days of the lake on S3-compatible storage: a real server (rclone's) and real readers.

The journal and the running days stay on the machine; what is moved is read, corrected and derived
anew as before.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from tests.telemetry.conftest import MN, make_frame

from jingwei.telemetry import remote
from jingwei.telemetry.catalog import LakeError, catalog
from jingwei.telemetry.executor import Local
from jingwei.telemetry.fsck import check
from jingwei.telemetry.rebuild import rebuild

DAY = date(2026, 3, 10)
MIDNIGHT = datetime(2026, 3, 9, 16, 0, tzinfo=UTC)
OVER = MIDNIGHT + timedelta(hours=27, minutes=5)
STORE = "s3://lake/city"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    """A S3 server over a folder, and the environment that every S3 tool reads."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "lake").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [Path(sys.executable).with_name("rclone"), "serve", "s3", folder, "--addr",
         f"127.0.0.1:{port}", "--auth-key", "key,secret", "--config", os.devnull],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    before = dict(os.environ)
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "cn-north-1",
    }
    try:
        for _ in range(200):
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield folder, process
    finally:
        process.kill()
        process.wait()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def moved(house, server):
    """Two days, the first closed and moved."""
    folder, _ = server
    shutil.rmtree(folder / "lake")
    (folder / "lake").mkdir()
    remote.filesystem("s3").invalidate_cache()
    house.put(
        [
            make_frame(MIDNIGHT + timedelta(minutes=10 * i), {"a21026": f"{i}.5"}, cn="2051")
            for i in range(150)
        ],
        OVER - timedelta(hours=1),
    )
    ingest = house.ingest(lambda: OVER)
    ingest.step()
    ingest.tidy()
    house.before = whole(house)
    assert ingest.move(STORE, 5) == 1
    assert ingest.move(STORE, 5) == 0
    return house


def whole(house):
    rows = house.lake.series(MN, "31", None, "minute", MIDNIGHT, MIDNIGHT + timedelta(days=2))
    return rows["value"].to_pylist()


def paths(house):
    with catalog(house.lake.root) as db:
        return [p for (p,) in db.execute("SELECT path FROM file ORDER BY day, path")]


def objects(server):
    return sorted(p.relative_to(server[0]).as_posix() for p in server[0].rglob("*.parquet"))


def derive(house, **options):
    found = rebuild(
        house.journal, house.lake.root, DAY, DAY, Local(1), now=OVER + timedelta(hours=1), **options
    )
    return [(d.resolution, d.same, d.replaced) for d in found]


_ELSEWHERE = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
from jingwei.telemetry.lake import Lake
start = datetime.fromisoformat(sys.argv[2])
print(Lake(Path(sys.argv[1])).scan("minute", start, start + timedelta(days=2)).num_rows)
"""


def test_a_moved_day_is_read_as_before_by_any_process(moved, server):
    first, second = paths(moved)
    assert first.startswith("s3://lake/city/minute/2026-03-10/")
    assert remote.scheme(second) == ""
    assert objects(server) == [first.removeprefix("s3://")]
    assert whole(moved) == moved.before == [i + 0.5 for i in range(150)]
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, moved.lake.root, MIDNIGHT.isoformat()],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "150\n"
    moved.ingest(lambda: OVER + timedelta(minutes=15)).step()
    assert not list((moved.lake.root / "minute" / "2026-03-10").glob("*")), "no longer here"
    assert whole(moved) == moved.before
    assert list(check(moved.journal, moved.refused, moved.lake.root, full=True)) == []
    assert derive(moved, only_compare=True) == [("minute", True, False)]


def test_what_comes_late_for_a_moved_day(moved, server):
    (first, _), later = paths(moved), OVER + timedelta(minutes=30)
    moved.put([make_frame(MIDNIGHT, {"a21026": "99"}, cn="2051")], later)
    ingest = moved.ingest(lambda: later + timedelta(minutes=2))
    ingest.step()
    assert whole(moved) == [99.0, *moved.before[1:]]
    ingest.tidy()
    ingest.move(STORE, 5)
    assert whole(moved) == [99.0, *moved.before[1:]]
    again, _ = paths(moved)
    assert again.startswith("s3://")
    assert objects(server) == sorted(p.removeprefix("s3://") for p in (first, again))
    moved.ingest(lambda: later + timedelta(minutes=20)).step()
    assert objects(server) == [again.removeprefix("s3://")], "the one it replaced is deleted"
    assert list(check(moved.journal, moved.refused, moved.lake.root, full=True)) == []


def test_a_day_that_is_lost_there_is_derived_from_the_journal(moved, server):
    (lost,) = objects(server)
    remote.remove(f"s3://{lost}")
    assert any("missing" in line for line in check(moved.journal, moved.refused, moved.lake.root))
    with pytest.raises(LakeError):
        whole(moved)
    assert derive(moved) == [("minute", False, True)]
    assert whole(moved) == moved.before


def test_a_store_that_does_not_answer_holds_nothing_up(house, server, moved):
    _, process = server
    os.kill(process.pid, signal.SIGSTOP)
    try:
        other = "s3://lake/elsewhere"
        environment = os.environ["AWS_ENDPOINT_URL"]
        os.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"  # nobody listens there
        later = OVER + timedelta(days=1, minutes=5)
        moved.put([make_frame(OVER, cn="2051")], later)
        ingest = moved.ingest(lambda: later)
        script = (
            "import sys; from pathlib import Path; from jingwei.telemetry.ingest import Ingest\n"
            "from datetime import datetime\n"
            "now = datetime.fromisoformat(sys.argv[3])\n"
            "ingest = Ingest(Path(sys.argv[1]), Path(sys.argv[2]), clock=lambda: now)\n"
            f"ingest.step(); ingest.tidy()\ntry: ingest.move({other!r})\n"
            "except OSError as error: print('refused:', type(error).__name__)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, moved.journal, moved.lake.root, later.isoformat()],
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        assert done.stdout.startswith("refused:")
        rows = moved.lake.series(
            MN, "31", None, "minute", MIDNIGHT + timedelta(days=1), OVER + timedelta(hours=1)
        )
        assert rows.num_rows == 7, "what lies here is read"
    finally:
        os.environ["AWS_ENDPOINT_URL"] = environment
        os.kill(process.pid, signal.SIGCONT)
        ingest.close()


def test_a_copy_that_was_killed_is_made_again_or_deleted(moved, server, monkeypatch):
    from jingwei.telemetry import ingest as ingest_module

    later = OVER + timedelta(days=1, minutes=5)
    ingest = moved.ingest(lambda: later)
    ingest.tidy()  # the second day is over too

    def killed(path, place):
        remote.put(path, place)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ingest_module, "put", killed)
        with pytest.raises(KeyboardInterrupt):
            ingest.move(STORE)
    assert len(objects(server)) == 2
    assert [remote.scheme(p) for p in paths(moved)] == ["s3", ""], "not in the lake"
    assert whole(moved) == moved.before
    moved.ingest(lambda: later + timedelta(hours=25)).step()
    assert len(objects(server)) == 1, "what nobody names is deleted a day later"
    assert ingest.move(STORE) == 1
    assert whole(moved) == moved.before


@pytest.mark.parametrize("text", ["s3://", "bucket", "s3:/x"])
def test_the_setting(text, monkeypatch):
    from jingwei.config import environment

    monkeypatch.setenv("JINGWEI_LAKE_STORE", text)
    with pytest.raises(environment.SettingError, match="wanted a folder such as s3://bucket/lake"):
        environment.read()
    monkeypatch.setenv("JINGWEI_LAKE_STORE", STORE)
    assert environment.read().lake_store == STORE


def test_a_scheme_that_is_not_there(tmp_path):
    with pytest.raises(remote.RemoteError, match="nowhere:// cannot be used"):
        remote.put(tmp_path, "nowhere://x/y")
