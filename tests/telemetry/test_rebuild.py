"""Days of the lake from the journal: the same bytes, whatever ran the tasks and whatever died."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from jingwei import hj212
from jingwei.telemetry import commands, executor, seal
from jingwei.telemetry.catalog import LakeError, catalog, transaction
from jingwei.telemetry.executor import Dask, ExecutorError, Local
from jingwei.telemetry.fsck import check
from jingwei.telemetry.journal import Journal, Telegram
from jingwei.telemetry.rebuild import rebuild, roll_up
from processes import dask_cluster

MN = "010000A8900016F00016{:04X}"
DAY = date(2026, 3, 10)
MIDNIGHT = datetime(2026, 3, 9, 16, 0, tzinfo=UTC)
LATER = datetime(2026, 3, 12, 4, 0, tzinfo=UTC)


def fill(house, points=12, minutes=600):
    """A day of minutes and hours in several segments, some telegrams twice, some corrected."""
    rng = random.Random(8)
    writer = Journal(house.journal)
    kept: list[bytes] = []
    for minute in range(0, minutes, 5):
        at = MIDNIGHT + timedelta(minutes=minute)
        batch = []
        for point in range(points):
            items = [
                (code, {"Avg": f"{rng.uniform(0, 99):.3f}", "Flag": "N"})
                for code in ("a21026", "a21002", "a34013", "a19001")
            ]
            for cn in ("2051", "2061") if minute % 60 == 0 else ("2051",):
                text = hj212.segment(
                    cn=cn, st="31", mn=MN.format(point), pw="123456", qn=hj212.qn(at), flag=5,
                    cp=hj212.data_cp(at, items),
                )  # fmt: skip
                batch.append(hj212.frame(text).rstrip())
        if kept and minute % 50 == 0:
            batch += rng.sample(kept, 5)  # sent again
        kept += batch
        received = at + timedelta(minutes=6)
        writer.append([Telegram(received, "192.0.2.1:1", raw) for raw in batch])
        if minute % 150 == 0:
            writer.roll()
    writer.append([Telegram(LATER, "192.0.2.1:1", b"##rubbish")])
    writer.close()


@pytest.fixture
def full(house):
    fill(house)
    ingest = house.ingest(lambda: LATER)
    while ingest.step(700).telegrams:
        pass
    ingest.tidy()
    return house


def files(house) -> dict[tuple[str, str], list[bytes]]:
    with catalog(house.lake.root) as db:
        found = db.execute("SELECT resolution, day, path FROM file ORDER BY path").fetchall()
    out: dict[tuple[str, str], list[bytes]] = {}
    for resolution, day, path in found:
        out.setdefault((resolution, day), []).append((house.lake.root / path).read_bytes())
    return out


def derive(house, engine=None, **options):
    found = rebuild(
        house.journal, house.lake.root, DAY, DAY, engine or Local(2), now=LATER, **options
    )
    return sorted(found, key=lambda day: day.resolution)


def test_a_closed_day_is_bit_for_bit_what_the_journal_says(full):
    before = files(full)
    assert {len(some) for some in before.values()} == {1}
    hour, minute = derive(full, only_compare=True)
    assert (hour.resolution, hour.rows, hour.had, hour.same) == ("hour", 480, 480, True)
    assert (minute.rows, minute.same, minute.replaced) == (12 * 120 * 4, True, False)
    assert [d.same for d in derive(full)] == [True, True]
    assert files(full) == before


def test_what_was_split_and_what_was_sent_again_with_a_new_qn_is_derived_alike(house):
    """Across segments and batches: an item cut between two packets, repetitions, a value that is
    corrected and taken back."""
    rng = random.Random(3)
    at = MIDNIGHT + timedelta(hours=3)
    writer = Journal(house.journal)

    def send(pno: int, items: str, point: int, qn: int) -> None:
        text = hj212.segment(
            cn="2061", st="32", mn=MN.format(point), pw="123456", flag=5, pnum=2, pno=pno,
            qn=hj212.qn(at + timedelta(seconds=qn)), cp=f"DataTime={hj212.seconds(at)};{items}",
        )  # fmt: skip
        received = at + timedelta(hours=1, seconds=qn)
        writer.append([Telegram(received, "192.0.2.1:1", hj212.frame(text).rstrip())])

    for point in range(20):
        sent = [
            (1, "w01001-Avg=7;w01018-Avg=5,w01018-Min=1"), (2, "w01018-Max=9,w01018-Flag=N"),
            (1, "w01001-Avg=7;w01018-Avg=6,w01018-Min=1"), (2, "w01018-Max=8,w01018-Flag=D"),
        ]  # fmt: skip
        for k in range(12):
            send(*rng.choice(sent), point, k)
            if not rng.randrange(30):
                writer.roll()
    writer.append([Telegram(LATER, "192.0.2.1:1", b"##rubbish")])
    writer.close()
    ingest = house.ingest(lambda: LATER)
    while ingest.step(rng.randrange(1, 9)).telegrams:
        pass
    ingest.tidy()
    before = files(house)
    (hour,) = derive(house, Local(1), only_compare=True)
    assert 40 < hour.rows < 20 * 12 * 2, "some were repetitions, some corrections"
    assert hour.same
    assert files(house) == before


def test_a_lost_a_damaged_and_a_forged_file_are_made_again(full):
    before = files(full)
    with catalog(full.lake.root) as db:
        paths = [full.lake.root / p for (p,) in db.execute("SELECT path FROM file ORDER BY path")]
    paths[0].unlink()
    content = bytearray(paths[1].read_bytes())
    content[len(content) // 2] ^= 1
    paths[1].write_bytes(content)
    assert list(check(full.journal, full.refused, full.lake.root, full=True))
    assert [(d.same, d.replaced) for d in derive(full)] == [(False, True), (False, True)]
    assert files(full) == before
    assert list(check(full.journal, full.refused, full.lake.root, full=True)) == []


def test_packed_segments_give_the_same(full):
    for sealed in seal.seal(full.journal, LATER):
        seal.recorded(full.journal, sealed.name)
    assert seal.pack(full.journal, 100) > 3
    assert [d.same for d in derive(full)] == [True, True]


def test_what_arrives_meanwhile_stays_beside(full):
    late = hj212.frame(
        hj212.segment(
            cn="2061", st="31", mn=MN.format(1), pw="123456", qn=hj212.qn(LATER), flag=5,
            cp=hj212.data_cp(MIDNIGHT + timedelta(hours=20), [("a21026", {"Avg": "7"})]),
        )
    ).rstrip()  # fmt: skip

    class Meanwhile(Local):
        def run(self, function, tasks):
            if function.__name__ == "write_day":
                full.put([late], LATER)
                full.ingest(lambda: LATER).step()
            return super().run(function, tasks)

    with catalog(full.lake.root) as db:
        (path,) = db.execute("SELECT path FROM file WHERE resolution = 'hour'").fetchone()
    (full.lake.root / path).unlink()
    hour, _ = derive(full, Meanwhile(1))
    assert (hour.rows, hour.replaced) == (480, True)
    at = MIDNIGHT + timedelta(hours=20)
    table = full.lake.series(MN.format(1), "31", ["a21026"], "hour", at, at + timedelta(hours=1))
    assert table.column("value").to_pylist() == [7]


def test_a_day_that_is_not_over_is_left_to_ingest(full):
    found = rebuild(
        full.journal, full.lake.root, DAY, DAY, Local(1),
        now=MIDNIGHT + timedelta(hours=24, minutes=5),
    )  # fmt: skip
    assert list(found) == []


def _slow_square(number: int, folder: str) -> int:
    Path(folder, f"{number}-{os.getpid()}").touch()
    time.sleep(0.3)
    return number * number


def _deadly(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def _kill_one(folder: Path) -> None:
    while not any(folder.iterdir()):
        time.sleep(0.02)
    pid = int(next(folder.iterdir()).name.partition("-")[2])
    os.kill(pid, signal.SIGKILL)


def test_a_killed_process_costs_time_and_nothing_else(tmp_path):
    killer = threading.Thread(target=_kill_one, args=(tmp_path,))
    killer.start()
    found = dict(Local(2).run(_slow_square, [(k, str(tmp_path)) for k in range(6)]))
    killer.join()
    assert found == {k: k * k for k in range(6)}
    assert len(list(tmp_path.iterdir())) > 6, "something was done twice"


def test_a_task_that_always_kills_its_process_ends_with_a_reason():
    with pytest.raises(ExecutorError, match=r"1 tasks ended their process 3 times.*_deadly"):
        list(Local(1).run(_deadly, [(1,)]))


@pytest.fixture
def cluster(tmp_path):
    with dask_cluster(tmp_path) as found:
        yield found


def test_dask_gives_the_same_and_survives_a_worker(full, cluster):
    address, workers = cluster
    before = files(full)
    engine = Dask(address)
    try:
        engine.client.wait_for_workers(2, timeout=60)
        assert [d.same for d in derive(full, engine)] == [True, True]
        with catalog(full.lake.root) as db:
            for (path,) in db.execute("SELECT path FROM file"):
                (full.lake.root / path).unlink()

        class Killing:
            def run(self, function, tasks):
                results = engine.run(function, tasks)
                for number, result in enumerate(results):
                    if function.__name__ == "scan_segment" and number == 0:
                        workers[0].kill()
                    yield result

        assert [d.replaced for d in derive(full, Killing())] == [True, True]
        assert files(full) == before
        assert workers[0].wait() == -signal.SIGKILL
        assert workers[1].poll() is None
    finally:
        engine.close()


def sums(house) -> dict[tuple[str, str], bytes]:
    with catalog(house.lake.root) as db:
        found = db.execute(
            "SELECT f.resolution, r.step, r.path FROM rollup r JOIN file f ON f.path = r.source"
        ).fetchall()
    return {(of, step): (house.lake.root / path).read_bytes() for of, step, path in found}


def forget_sums(house):
    with catalog(house.lake.root) as db, transaction(db):
        for (path,) in db.execute("SELECT path FROM rollup"):
            (house.lake.root / path).unlink()
        db.execute("DELETE FROM rollup")
        db.execute("UPDATE file SET again = NULL")


def add_up(house, engine):
    return sorted(roll_up(house.journal, house.lake.root, engine, now=LATER))


DAYS = [("hour", str(DAY)), ("minute", str(DAY))]


def test_closed_days_are_added_up_by_tasks_in_other_processes(full):
    before = sums(full)
    assert set(before) == {("hour", "day"), ("minute", "hour"), ("minute", "day")}
    assert add_up(full, Local(2)) == [], "nothing is due"
    forget_sums(full)
    assert add_up(full, Local(2)) == DAYS
    assert sums(full) == before
    assert list(check(full.journal, full.refused, full.lake.root, full=True)) == []
    assert not list((full.lake.root / "rebuild").iterdir())


def test_a_day_merged_anew_meanwhile_keeps_no_sum_of_the_file_before(full):
    """Ingest closed the day again, with what came late, while the old file was added up."""
    before = sums(full)
    forget_sums(full)

    class Meanwhile(Local):
        def run(self, function, tasks):
            for number, result in super().run(function, tasks):
                if number == 0:
                    late = hj212.frame(
                        hj212.segment(
                            cn="2061", st="31", mn=MN.format(1), pw="123456", qn=hj212.qn(LATER),
                            flag=5, cp=hj212.data_cp(MIDNIGHT, [("a21026", {"Avg": "7"})]),
                        )
                    ).rstrip()  # fmt: skip
                    full.put([late], LATER)
                    ingest = full.ingest(lambda: LATER + timedelta(minutes=2))
                    ingest.step()
                    ingest.tidy()
                yield number, result

    add_up(full, Meanwhile(1))
    after = sums(full)
    assert set(after) == set(before)
    assert after["hour", "day"] != before["hour", "day"]
    assert list(check(full.journal, full.refused, full.lake.root, full=True)) == []
    assert all(d.same for d in derive(full, only_compare=True))


def test_dask_adds_up_the_same_and_survives_a_worker(full, cluster):
    address, workers = cluster
    before = sums(full)
    forget_sums(full)
    engine = Dask(address)
    try:
        engine.client.wait_for_workers(2, timeout=60)

        class Killing:
            def run(self, function, tasks):
                for number, result in enumerate(engine.run(function, tasks)):
                    if number == 0:
                        workers[0].kill()
                    yield result

        assert add_up(full, Killing()) == DAYS
        assert sums(full) == before
        assert workers[0].wait() == -signal.SIGKILL
        assert workers[1].poll() is None
    finally:
        engine.close()


def test_the_command(full, monkeypatch):
    monkeypatch.delenv("JINGWEI_EXECUTOR", raising=False)
    app = typer.Typer()
    commands.attach(app)
    run = CliRunner().invoke
    base = ["lake", "rebuild", "--data", str(full.root), "--processes", "1"]
    done = run(app, [*base, "--from", "2026-03-10", "--check"])
    assert done.exit_code == 0, done.output
    assert [json.loads(line)["same"] for line in done.output.splitlines()] == [True, True]
    with catalog(full.lake.root) as db:
        (path,) = db.execute("SELECT path FROM file WHERE resolution = 'hour'").fetchone()
    (full.lake.root / path).unlink()
    assert run(app, [*base, "--from", "2026-03-10", "--check"]).exit_code == 1
    assert run(app, [*base, "--from", "2026-03-10"]).exit_code == 0
    assert run(app, [*base, "--from", "2026-03-10", "--check"]).exit_code == 0
    assert run(app, [*base, "--from", "yesterday"]).exit_code == 2
    forget_sums(full)
    sum_up = ["lake", "roll-up", "--data", str(full.root), "--processes", "1"]
    done = run(app, sum_up)
    assert done.exit_code == 0, done.output
    assert sorted(json.loads(line)["resolution"] for line in done.output.splitlines()) == [
        "hour",
        "minute",
    ]
    assert run(app, [*sum_up[:2], "--data", str(full.root / "nowhere")]).exit_code == 2
    assert run(app, [*base, "--from", "2026-03-10", "--to", "2026-03-01"]).exit_code == 2
    nobody = run(app, [*base, "--from", "2026-03-10", "--executor", "tcp://127.0.0.1:9"])
    assert nobody.exit_code == 1
    assert "no Dask scheduler answers" in nobody.output


def test_the_executor_is_chosen_by_its_setting():
    assert isinstance(executor.executor("", 3), Local)
    assert executor.executor("", 3).processes == 3


def test_a_day_whose_telegrams_were_deleted_by_rule_is_not_derived_from_the_rest(full):
    """It would lose what the journal has no more."""
    from jingwei.telemetry import retention

    for sealed in seal.seal(full.journal, LATER):
        seal.recorded(full.journal, sealed.name)
    with pytest.raises(retention.RetentionError, match="kept for 5 years at least"):
        retention.before(LATER, 4)
    first = next(retention.old(full.journal, LATER.replace(year=2099)))
    before = files(full)
    retention.prune(first, LATER)
    with pytest.raises(LakeError, match="cannot be derived: telegrams that it comes from"):
        derive(full)
    assert files(full) == before
