from __future__ import annotations

import json
from datetime import timedelta

import pytest
import typer
from typer.testing import CliRunner

from jingwei import hj212
from jingwei.telemetry import commands
from jingwei.telemetry.journal import Journal, Telegram

NOON = hj212.moment("20260310120000")


@pytest.fixture
def jingwei(house):
    app = typer.Typer()
    commands.attach(app)

    def run(*arguments):
        result = CliRunner().invoke(app, [*arguments, "--data", str(house.root)])
        return result.exit_code, [json.loads(x) for x in result.stdout.splitlines()], result.stderr

    return run


def test_telegrams_are_listed_and_shown(house, frame, jingwei):
    sent = [frame(NOON + timedelta(hours=n), mn=f"{n % 2:024}") for n in range(4)]
    seqs = house.put(sent)
    code, rows, _ = jingwei("telegrams")
    assert code == 0
    assert [r["raw"].encode() for r in rows] == sent
    assert [r["seq"] for r in rows] == seqs
    assert rows[0]["peer"] == "192.0.2.1:4000"
    assert "reason" not in rows[0]
    assert [r["seq"] for r in jingwei("telegrams", "--mn", f"{1:024}")[1]] == seqs[1::2]
    assert [r["seq"] for r in jingwei("telegrams", "--limit", "1")[1]] == seqs[-1:]
    assert [r["seq"] for r in jingwei("telegrams", str(seqs[2]))[1]] == [seqs[2]]
    assert len(jingwei("telegrams", "--since", "2026-03-10T13:00")[1]) == 4, "local time"
    assert len(jingwei("telegrams", "--since", "2026-03-10T13:01")[1]) == 0


def test_refused_telegrams_have_their_reason_and_every_byte(house, jingwei):
    Journal(house.refused).append([Telegram(NOON, "192.0.2.1:1", b"\xff\x00##", "rubbish")])
    (row,) = jingwei("telegrams", "--refused")[1]
    assert row["reason"] == "rubbish"
    assert row["raw"] == "\\xff\x00##"
    assert jingwei("telegrams", "--refused", "--since", "1h")[1] == []


def test_mistakes_are_said_in_one_sentence(house, jingwei):
    code, _, error = jingwei("telegrams", "12345")
    assert code == 1
    assert "12345" in error or "sqlite" in error
    code, _, error = jingwei("telegrams", "--since", "yesterday")
    assert code == 2
    assert "yesterday" in error
    for listen in ("9212", "127.0.0.1:99999", "127.0.0.1:", ":9"):
        code, _, error = jingwei("gateway", "--listen", listen)
        assert code == 2
        assert "wanted HOST:PORT" in error
