"""`jingwei evidence …`: exit codes and one clear line."""

from __future__ import annotations

import getpass
import hashlib
import json
import shutil
from pathlib import Path

import pytest
import typer
from django.contrib.auth import get_user_model
from django.db import transaction
from typer.testing import CliRunner

from jingwei.bureau.evidencelog import commands
from jingwei.bureau.evidencelog.services import commitment, record, sequence
from jingwei.evidence import beacon, draw
from world import build

KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
TESSERA = Path(__file__).parents[2] / "data/vectors/tessera-log"


def run(*arguments: object) -> tuple[int, str]:
    app = typer.Typer()
    commands.attach(app)
    app.callback()(lambda: None)
    result = CliRunner().invoke(app, ["evidence", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def entries(count: int) -> None:
    with transaction.atomic():
        for n in range(count):
            record("case_event", "case:1", {"n": n})


@pytest.mark.django_db(transaction=True)
def test_check(data: Path) -> None:
    entries(3)
    code, text = run("check")
    assert (code, text) == (0, f"There is no log in {data / 'evidence'} yet; 3 entries wait.\n")
    sequence()
    code, text = run("check")
    assert code == 0
    assert "The evidence log is whole: 3 entries, root " in text
    path = data / "evidence/log/tile/entries/000.p/3"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    code, text = run("check")
    assert code == 1
    assert text.startswith("difference: entry 2 in tile/entries/000.p/3 is not the one")


@pytest.mark.django_db
def test_check_cannot_run(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    from jingwei.bureau.evidencelog import checks

    def broken(progress: object) -> list[str]:
        raise OperationalError("no such table")

    monkeypatch.setattr(checks, "check", broken)
    assert run("check") == (2, "the check cannot run: no such table\n")


def test_check_log_of_another(tmp_path: Path) -> None:
    code, text = run("check-log", TESSERA, KEY)
    assert code == 0
    assert "The log example.com/log/testdata is whole: 15 entries" in text
    assert "17 checkpoint(s) agree" in text
    folder = tmp_path / "log"
    shutil.copytree(TESSERA, folder)
    for name, reason in (
        ("checkpoint.7", "difference: checkpoint.7: the signature"),
        ("tile/0/000.p/15", "difference: entry 14"),
        ("tile/0/000.p/4", "difference: tile/0/000.p/4 is not how its tile begins"),
        ("tile/entries/000.p/15", "difference: "),
    ):
        path = folder / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-10] + bytes([whole[-10] ^ 1]) + whole[-9:])
        code, text = run("check-log", folder, KEY)
        assert code == 1
        assert text.startswith(reason), text
        path.write_bytes(whole)
    assert run("check-log", folder, KEY)[0] == 0


def test_check_log_cannot_run(tmp_path: Path) -> None:
    code, text = run("check-log", tmp_path, KEY)
    assert code == 2
    assert "it has no file named checkpoint" in text
    code, text = run("check-log", TESSERA, "nonsense")
    assert code == 2
    assert "NAME+HASH+KEY" in text


@pytest.mark.django_db(transaction=True)
def test_export_and_verify(data: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from jingwei.bureau.evidencelog import bundles
    from jingwei.bureau.evidencelog.models import EvidenceEntry

    entries(2)
    known = bundles.Parts("12", list(EvidenceEntry.objects.all()))
    monkeypatch.setattr(bundles, "gather", lambda pk: known)
    target = data / "case.zip"
    code, text = run("export", 12, target)
    assert (code, text) == (0, f"{target}: 2 items, all proved.\n")
    assert run("export", 12, target) == (1, f"{target} is there already\n")
    code, text = run("verify", target)
    assert code == 0
    assert text.endswith("ALL PROVED 全部证实: 2 / 2\n")
    assert EvidenceEntry.objects.get(kind="export").actor == f"os:{getpass.getuser()}"[:64]
    other = data / "other.zip"
    assert run("export", 12, other, "--as", "wang") == (1, "there is no active account wang\n")
    user = get_user_model().objects.create_user("wang", password="x")
    assert run("export", 12, other, "--as", "wang")[0] == 0
    assert EvidenceEntry.objects.filter(kind="export").latest("pk").actor == str(user.pk)
    target.write_bytes(target.read_bytes().replace(b'"made"', b'"mode"'))
    code, text = run("verify", target)
    assert code == 1
    assert text.count("\n") == 1
    assert "NOT VALID" in text


@pytest.mark.django_db(transaction=True)
def test_export_of_no_case(data: Path) -> None:
    code, text = run("export", 999_999, data / "x.zip")
    assert (code, text) == (1, "there is no case 999999, or it has left no evidence\n")


@pytest.mark.parametrize("command", [("sm2-key",), ("export", 1, "x.zip")])
def test_a_setting_that_cannot_be_used(command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise ValueError("JINGWEI_PORT: wanted a number")

    monkeypatch.setattr("django.setup", refuse)
    code, text = run(*command)
    assert code == 2
    assert "JINGWEI_PORT: wanted a number" in text


@pytest.mark.django_db(transaction=True)
def test_sm2_key(data: Path) -> None:
    from jingwei.bureau.evidencelog.models import EvidenceEntry
    from jingwei.evidence.log import open_log
    from jingwei.evidence.note import Verifier, parse_checkpoint

    entries(1)
    sequence()
    admin = build().users["admin"]
    assert run("sm2-key", "--as", "nobody") == (1, "there is no active account nobody\n")
    code, text = run("sm2-key", "--as", admin.username)
    assert code == 0
    key = Verifier.parse(text)
    assert EvidenceEntry.objects.get(kind="key").actor == str(admin.pk)
    entries(1)
    sequence()
    assert parse_checkpoint(open_log(data / "evidence").note, key).size == 3
    assert run("sm2-key") == (1, "there is an SM2 key already\n")


def witness_command(*arguments: object) -> tuple[int, str]:
    app = typer.Typer()
    commands.attach(app)
    result = CliRunner().invoke(app, ["witness", *map(str, arguments)])
    return result.exit_code, result.output


def test_witness_begins(tmp_path: Path) -> None:
    """Without a log it makes its key and prints the policy's line; bad arguments are one line."""
    code, text = witness_command(tmp_path / "w")
    assert code == 2
    assert "name the witness with --name" in text
    code, first = witness_command(tmp_path / "w", "--name", "w.example")
    assert code == 0
    assert first.startswith("witness NAME w.example+")
    assert witness_command(tmp_path / "w") == (0, first)
    for arguments in (("--log", "x"), ("--listen", "nowhere"), ("--listen", "h:99999")):
        code, text = witness_command(tmp_path / "w", *arguments)
        assert code == 2
        assert text.startswith("the witness cannot run: ")
        assert text.count("\n") == 1


def test_check_log_over_http(tmp_path: Path) -> None:
    """The golden log of Tessera from a plain web server; then one with a changed tile, and none."""
    import functools
    import threading
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    folder = tmp_path / "log"
    shutil.copytree(TESSERA, folder)
    handler = functools.partial(Quiet, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        code, text = run("check-log", f"{url}/log/", KEY)
        assert code == 0
        assert "is whole: 15 entries" in text
        path = folder / "tile/entries/000.p/15"
        path.write_bytes(path.read_bytes()[:-1] + b"!")
        code, text = run("check-log", f"{url}/log", KEY)
        assert code == 1
        assert text.startswith("difference: entry 14 in tile/entries/000.p/15 is not the one")
        path.write_bytes(b"x" * 20_000_000)
        code, text = run("check-log", f"{url}/log", KEY)
        assert (code, "is longer than" in text) == (1, True)
        path.unlink()
        code, text = run("check-log", f"{url}/log", KEY)
        assert (code, "is missing" in text) == (1, True)
        code, text = run("check-log", f"{url}/none", KEY)
        assert (code, "cannot read checkpoint" in text) == (1, True)
    finally:
        server.shutdown()
        server.server_close()
    code, text = run("check-log", url, KEY)
    assert code == 2
    assert text.startswith(f"the check cannot run: {url}/checkpoint cannot be read: ")


@pytest.mark.django_db(transaction=True)
def test_rotate(data: Path) -> None:
    entries(1)
    sequence()
    code, told = run("rotate", "--prepare")
    assert code == 0
    assert (data / "evidence/log-next.key").stat().st_mode & 0o777 == 0o600
    assert (data / "evidence/log.pub").read_text() not in told
    assert run("rotate") == (0, told)
    assert (data / "evidence/log.pub").read_text() == told.removeprefix("log ")
    (data / "evidence/policy").write_text("rubbish\n")
    code, text = run("rotate")
    assert code == 1
    assert text.startswith("line 1 of the policy")


def test_check_draw(tmp_path: Path) -> None:
    """A draw whose seed is a real round of quicknet; then a round that nobody signed."""
    signature = (
        "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125"
        "e342b73a8dd2bacbe47e4b6b63ed5e39"
    )
    source = {
        "kind": "drand", "name": "quicknet", "time": "2023-08-23T15:59:24Z", "missing": "void",
        "chain": beacon.QUICKNET, "genesis": 1692803367, "period": 3, "round": 1000,
    }  # fmt: skip
    plan = draw.freeze(
        "2023-08-test",
        purpose="抽查",
        frozen="2023-08-23T02:00:00Z",
        units=[{"code": f"U{i}", "stratum": "A"} for i in range(9)],
        strata=[{"name": "A", "numerator": 1, "denominator": 3, "minimum": 1}],
        excluded=[],
        inspectors=["I1", "I2"],
        recusals=[],
        team=2,
        load=9,
        sources=[source],
    )
    for name, text in (("good", signature), ("bad", "ab" * 48)):
        randomness = hashlib.sha256(bytes.fromhex(text)).hexdigest()
        value = {"round": 1000, "signature": text, "randomness": randomness}
        (tmp_path / name).write_bytes(draw.canonical(draw.run(plan, [value])))
    assert run("check-draw", tmp_path / "good") == (
        0,
        "The draw 2023-08-test is right; signatures of 1 drand round(s) verified.\n",
    )
    code, text = run("check-draw", tmp_path / "bad")
    assert (code, text) == (1, "not valid: round 1000: the signature is no point of the curve\n")
    (tmp_path / "bad").write_text("{}")
    assert run("check-draw", tmp_path / "bad")[0] == 1
    assert run("check-draw", tmp_path / "none")[0] == 2


@pytest.mark.django_db(transaction=True)
def test_who_changes_the_key_is_committed_to(data: Path) -> None:
    from jingwei.bureau.evidencelog.models import EvidenceEntry

    admin = build().users["admin"]
    entries(1)
    sequence()
    assert run("rotate", "--as", "nobody") == (1, "there is no active account nobody\n")
    assert not EvidenceEntry.objects.filter(kind="key").exists()
    assert run("rotate", "--as", admin.username)[0] == 0
    assert run("rotate")[0] == 0
    first, second = EvidenceEntry.objects.filter(kind="key").order_by("pk")
    assert first.actor == str(admin.pk)
    assert second.actor.startswith("os")
    for row in (first, second):
        assert json.loads(row.content)["actor"] == commitment(row.actor, row.salt)


@pytest.mark.django_db(transaction=True)
def test_check_tells_of_words_in_clear(data: Path) -> None:
    with transaction.atomic():
        record("sample", "sample:1", {"act": "entered", "note": "李某采样"})
        record("draw", "draw:SJ-1", {"act": "commit", "party": "市监委"})
        record("draw", "draw:SJ-1", {"act": "commit", "party": 3}, said={"name": "市监委"})
    sequence()
    code, text = run("check")
    assert code == 0
    assert "hold some in clear or by a bare digest: draw 1, sample 1; they stay" in text
    assert "李某" not in text
