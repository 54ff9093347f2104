"""`jingwei replay` and `jingwei demo load` as a user calls them, against a real gateway."""

import asyncio
import math
import threading
from datetime import UTC, datetime, timedelta

import pytest
import typer
from typer.testing import CliRunner

from jingwei.demo import commands
from jingwei.telemetry import journal, register
from jingwei.telemetry.gateway import Gateway
from jingwei.telemetry.ingest import Ingest
from jingwei.telemetry.lake import Lake

MN = "010110105DE0001000000FFF"


@pytest.fixture
def jingwei(tmp_path, monkeypatch):
    monkeypatch.setenv("JINGWEI_DATA", str(tmp_path))
    app = typer.Typer()
    commands.attach(app)
    return lambda *words: CliRunner().invoke(app, [str(w) for w in words])


@pytest.fixture
def gateway(tmp_path):
    """A real gateway in a thread, with one registered device; gives its address."""
    register.write(tmp_path / "register.json", [register.Device(MN, "123456", systems=("31",))])
    loop = asyncio.new_event_loop()
    server = Gateway(
        tmp_path / "journal", tmp_path / "refused", tmp_path / "register.json", tmp_path / "run"
    )
    ready: list[int] = []

    async def begin():
        ready.append(await server.start("127.0.0.1", 0))

    loop.run_until_complete(begin())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield f"127.0.0.1:{ready[0]}"
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_user_plays_a_csv_and_finds_it_in_the_lake(jingwei, gateway, tmp_path):
    values = [40 + 10 * math.sin(n / 3) for n in range(30)]
    path = tmp_path / "stack.csv"
    path.write_text("NOX,CO\n" + "".join(f"{v:.2f},{n}\n" for n, v in enumerate(values)))
    result = jingwei(
        "replay", path, "--mn", MN, "--column", "NOX=a21002", "--column", "CO=a21005",
        "--gateway", gateway, "--once",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "0 unanswered" in result.output

    lake = Ingest(tmp_path / "journal", tmp_path / "lake")
    while lake.step().telegrams:
        pass
    lake.close()
    now = datetime.now(UTC)
    rows = Lake(tmp_path / "lake").series(
        MN, "31", ["a21002"], "hour", now - timedelta(hours=40), now
    ).to_pylist()  # fmt: skip
    found = [r["value"] for r in rows]
    # The rows end with the last complete hour; that one may not have been due yet.
    assert len(found) >= 29
    assert found[:29] == pytest.approx([round(v, 2) for v in values[:29]], abs=0.0006)
    assert {r["time"].minute for r in rows} == {0}


def test_a_csv_with_times_keeps_them(jingwei, gateway, tmp_path):
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=9)
    path = tmp_path / "stack.csv"
    path.write_text(
        "when,NOX\n" + "".join(f"{(start + timedelta(hours=n)).isoformat()},{n + 1}\n" for n in range(9) if n != 4)
    )  # fmt: skip
    result = jingwei(
        "replay", path, "--mn", MN, "--column", "NOX=a21002", "--time", "when",
        "--gateway", gateway, "--once",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    lake = Ingest(tmp_path / "journal", tmp_path / "lake")
    while lake.step().telegrams:
        pass
    rows = Lake(tmp_path / "lake").series(
        MN, "31", ["a21002"], "hour", start, start + timedelta(hours=9)
    ).to_pylist()  # fmt: skip
    got = {int((r["time"] - start).total_seconds() // 3600): r["value"] for r in rows}
    assert {0, 1, 2, 3, 5, 6, 7} <= set(got) <= {0, 1, 2, 3, 5, 6, 7, 8}  # hour 4 is missing
    assert all(value == hour + 1 for hour, value in got.items())


def test_a_device_that_is_not_registered_is_told_so(jingwei, gateway, tmp_path, monkeypatch):
    from jingwei.telemetry import replay_client

    monkeypatch.setattr(replay_client.Fleet.__init__, "__kwdefaults__", {
        **replay_client.Fleet.__init__.__kwdefaults__, "answer_timeout": 0.1,
    })  # fmt: skip
    path = tmp_path / "stack.csv"
    path.write_text("NOX\n1\n2\n")
    result = jingwei(
        "replay", path, "--mn", "9" * 24, "--column", "NOX=a21002", "--gateway", gateway, "--once"
    )
    assert result.exit_code == 1
    assert "no answer" in result.output
    assert "registered" in result.output
    assert not journal.read(tmp_path / "journal")
    assert {t.reason for t in journal.read(tmp_path / "refused")} == {"unknown_mn"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["x.csv"], "FILE needs --mn and --column"),
        (["x.csv", "--mn", "1", "--column", "NOX"], "FILE needs --mn and --column"),
        (["x.csv", "--mn", "1", "--column", "CO=a21005"], "no column CO; it has NOX"),
        (["none.csv", "--mn", "1", "--column", "NOX=a21002"], "none.csv"),
        (["x.csv", "--mn", "1", "--column", "NOX=a21002", "--step", "7m"], "do not divide a day"),
        (["x.csv", "--mn", "1", "--column", "NOX=a21002", "--step", "x"], "wanted a span"),
        (["x.csv", "--mn", "1", "--column", "NOX=a21002", "--gateway", "here"], "HOST:PORT"),
        (["x.csv", "--mn", "1", "--column", "NOX=a21002", "--speed", "0"], "speed"),
    ],
)
def test_wrong_words(jingwei, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("NOX\n1\n2\n")
    result = jingwei("replay", *words)
    assert result.exit_code == 2
    assert says in result.output


def test_a_csv_that_is_no_text(jingwei, tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"NOX\n\xff\xfe\x00\n")
    result = jingwei("replay", path, "--mn", "1", "--column", "NOX=a21002")
    assert result.exit_code == 2
    assert "jingwei:" in result.output


@pytest.mark.django_db
def test_nothing_to_replay(jingwei):
    result = jingwei("replay")
    assert result.exit_code == 2
    assert "jingwei demo load" in result.output


@pytest.mark.django_db
def test_demo_load_in_production_is_refused(jingwei, monkeypatch):
    monkeypatch.setenv("JINGWEI_PROFILE", "production")
    result = jingwei("demo", "load")
    assert result.exit_code == 2
    assert "JINGWEI_PROFILE=demo" in result.output


def test_spans():
    assert [commands.span(t) for t in ("90s", "15m", "1h", "30d")] == [90, 900, 3600, 2592000]
    for text in ("", "0h", "1w", "h", "-1h"):
        with pytest.raises(typer.BadParameter):
            commands.span(text)
