"""Witnesses: the protocol's answers, the server's bounds, three real processes and a forked log."""

from __future__ import annotations

import base64
import concurrent.futures
import http.client
import http.server
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jingwei.evidence import attest, merkle, parse_checkpoint, witness
from jingwei.evidence.log import Log, LogError, open_log
from jingwei.evidence.note import COSIGNATURE, Checkpoint, KeyFile, NoteError, Verifier, sign_note
from jingwei.evidence.policy import Party
from jingwei.evidence.tiles import kept_path
from jingwei.evidence.witness import AnswerError, ForkError, RefusalError, Server, Witness, request

LOG = KeyFile("log.example/one", bytes(range(32)))
TREE = merkle.Tree(merkle.leaf_hash(b"%d" % i) for i in range(40))
OTHER = merkle.Tree(merkle.leaf_hash(b"x%d" % i) for i in range(40))


def note(size: int, tree: merkle.Tree = TREE, signer: KeyFile = LOG) -> str:
    return sign_note(Checkpoint("log.example/one", size, tree.root(size)).text(), [signer])


def make(folder: Path) -> Witness:
    KeyFile.create(folder / witness.KEY, "w1.example", COSIGNATURE)
    return Witness(folder, [LOG.verifier])


def grow(one: Witness, old: int, new: int, tree: merkle.Tree = TREE) -> Checkpoint:
    proof = tree.consistency_proof(old, new) if old else []
    line = one.add_checkpoint(request(old, proof, note(new, tree)))
    return parse_checkpoint(note(new, tree) + line, [LOG.verifier, one.signer.verifier])


def refused(one: Witness, body: bytes) -> tuple[int, str]:
    with pytest.raises(RefusalError) as caught:
        one.add_checkpoint(body)
    return caught.value.status, caught.value.text


def test_it_cosigns_what_grows(tmp_path: Path) -> None:
    one = make(tmp_path)
    for old, new in ((0, 0), (0, 1), (1, 1), (1, 7), (7, 8), (8, 33), (33, 33)):
        opened = grow(one, old, new)
        ((key, moment),) = opened.times
        assert key == one.signer.verifier
        assert abs(moment - datetime.now(UTC).timestamp()) < 60
    kept = one.latest(witness._hash("log.example/one"))
    opened = parse_checkpoint(kept, [LOG.verifier, one.signer.verifier])
    assert (opened.size, opened.root, len(opened.verified)) == (33, TREE.root(33), 2)
    # Another process with the same folder goes on from there.
    again = Witness(tmp_path, [LOG.verifier])
    assert refused(again, request(8, [], note(33))) == (409, "33\n")
    assert grow(again, 33, 34).size == 34


def test_the_answers_of_the_specification(tmp_path: Path) -> None:
    """C2SP tlog-witness, add-checkpoint: one case for each status."""
    one = make(tmp_path)
    grow(one, 0, 7)
    proof = TREE.consistency_proof(7, 20)
    stranger = KeyFile("log.example/one", b"x" * 32)
    unknown = sign_note(Checkpoint("log.example/two", 7, TREE.root(7)).text(), [LOG])
    flipped = [bytes([proof[0][0] ^ 1]) + proof[0][1:], *proof[1:]]
    for body, status in (
        (request(7, proof, unknown), 404),
        (request(7, proof, note(20, signer=stranger)), 403),
        (request(7, proof, note(20).replace("\n20\n", "\n21\n")), 403),
        (request(21, [], note(20)), 400),
        (request(6, proof, note(20)), 409),
        (request(0, [], note(20)), 409),
        (request(20, [], note(20)), 409),
        (request(7, flipped, note(20)), 422),
        (request(7, proof[:-1], note(20)), 422),
        (request(7, [*proof, proof[0]], note(20)), 422),
        (request(7, [], note(20)), 422),
        (request(7, [], note(7, OTHER)), 409),
        (request(7, [TREE.root(1)], note(7)), 422),
        (request(7, OTHER.consistency_proof(7, 20), note(20, OTHER)), 422),
        (b"", 400),
        (b"\xff\n\n", 400),
        (b"old 7\n" + note(20).encode(), 400),
        (b"old 07\n\n" + note(20).encode(), 400),
        (b"old -1\n\n" + note(20).encode(), 400),
        (b"old 9999999999999999999\n\n" + note(20).encode(), 400),
        (b"old 7\nAAAA\n\n" + note(20).encode(), 400),
        (request(7, proof[:1] * 64, note(20)), 400),
        (request(7, proof, note(20)[:-5]), 400),
        (request(7, proof, "log.example/one\n7\n"), 400),
    ):
        found, text = refused(one, body)
        assert (found, body) == (status, body)
        assert text.endswith("\n")
        assert text.count("\n") == 1
    assert refused(one, request(9, [], note(20)))[1] == "7\n"
    empty = sign_note(Checkpoint("log.example/one", 0, TREE.root(1)).text(), [LOG])
    assert refused(make(tmp_path / "new"), request(0, [], empty))[0] == 422
    assert refused(Witness(tmp_path / "new", [LOG.verifier]), request(0, proof, note(20)))[0] == 422
    assert grow(one, 7, 20).size == 20
    with pytest.raises(RefusalError) as caught:
        one.latest("0" * 64)
    assert caught.value.status == 404


def test_signatures_of_strangers_are_not_kept(tmp_path: Path) -> None:
    one = make(tmp_path)
    stranger = KeyFile("s.example", b"s" * 32)
    text = Checkpoint("log.example/one", 7, TREE.root(7)).text()
    one.add_checkpoint(request(0, [], sign_note(text, [stranger, LOG])))
    assert "s.example" not in one.latest(witness._hash("log.example/one"))


def test_check_and_store_is_one_step(tmp_path: Path) -> None:
    """Twenty threads offer different successors of size 7: one wins, the others conflict."""
    one = make(tmp_path)
    grow(one, 0, 7)
    trees = [
        merkle.Tree(
            [merkle.leaf_hash(b"%d" % i) for i in range(7)] + [merkle.leaf_hash(b"t%d" % n)] * 5
        )
        for n in range(20)
    ]

    def offer(tree: merkle.Tree) -> int:
        try:
            one.add_checkpoint(request(7, tree.consistency_proof(7, 12), note(12, tree)))
        except RefusalError as refusal:
            return refusal.status
        return 200

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(offer, trees))
    assert sorted(answers) == [200, *[409] * 19]


@contextmanager
def served(server: http.server.HTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def party(url: str, one: KeyFile) -> Party:
    return Party("w1", one.verifier, url)


def ask(target: Party, size: int, known: int, tree: merkle.Tree = TREE, **more: float) -> str:
    text = note(size, tree)
    checkpoint = parse_checkpoint(text, LOG.verifier)
    return witness.submit(target, text, checkpoint, tree.consistency_proof, known, **more)


def test_over_http(tmp_path: Path) -> None:
    one = make(tmp_path)
    with served(Server(("127.0.0.1", 0), one)) as url:
        target = party(url, one.signer)
        for size, known in ((5, 0), (9, 5), (20, 0), (30, 11), (30, 30)):  # 409 helps where wrong
            line = ask(target, size, known)
            assert parse_checkpoint(note(size) + line, [LOG.verifier, target.key]).times
        with pytest.raises(ForkError, match="has cosigned 30 entries, the log has 20"):
            ask(target, 20, 0)
        with pytest.raises(ForkError, match="finds another history: the proof leads to"):
            ask(target, 35, 30, OTHER)
        with pytest.raises(ForkError, match="another history of 30 entries: the root of 30"):
            ask(target, 30, 30, OTHER)
        with pytest.raises(AnswerError, match="answers 404: wanted POST"):
            ask(party(url + "/elsewhere", one.signer), 35, 30)
        with pytest.raises(AnswerError, match="no valid cosignature: no signature by a trusted"):
            ask(party(url, KeyFile("w1.example", b"y" * 32, COSIGNATURE)), 35, 30)
        host = url.removeprefix("http://")
        connection = http.client.HTTPConnection(host)
        for method, path, headers, status in (
            ("GET", f"/{witness._hash('log.example/one')}/checkpoint", {}, 200),
            ("GET", "/x", {}, 404),
            ("GET", f"/{'0' * 64}/checkpoint", {}, 404),
            ("POST", "/add-checkpoint", {"Content-Length": "999999999"}, 413),
            ("POST", "/add-checkpoint", {"Transfer-Encoding": "chunked"}, 411),
            ("POST", "/add-checkpoint", {"Content-Length": "-1"}, 411),
            ("DELETE", "/", {}, 501),
        ):
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            text = response.read()
            assert response.status == status
            assert b"Traceback" not in text
            if status == 200:
                kept = parse_checkpoint(text, [LOG.verifier, target.key])
                assert kept.size == 35
                assert len(kept.verified) == 2
        connection.request("POST", "/add-checkpoint", request(3, [], note(9)))
        response = connection.getresponse()
        assert (response.status, response.read()) == (409, b"35\n")
        assert response.headers["Content-Type"] == "text/x.tlog.size"


def test_many_and_slow_connections_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witness, "CONNECTIONS", 2)
    monkeypatch.setattr(witness, "LIFETIME", 0.5)
    one = make(tmp_path)
    with served(Server(("127.0.0.1", 0), one)) as url:
        host, port = url.removeprefix("http://").split(":")
        slow = [socket.create_connection((host, int(port))) for _ in range(2)]
        for connection in slow:
            connection.sendall(b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 100\r\n\r\nold")
        third = socket.create_connection((host, int(port)))
        assert third.recv(1000).startswith(b"HTTP/1.1 503 ")
        for connection in slow:  # hung up on after their time, whatever they do
            connection.settimeout(30)
            answer = connection.recv(1000)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
            connection.close()
        third.close()
        target = party(url, one.signer)
        deadline = time.monotonic() + 30
        line = ""
        while not line and time.monotonic() < deadline:
            with suppress(AnswerError):
                line = ask(target, 5, 0)
        assert line


class Liar(http.server.BaseHTTPRequestHandler):
    """A witness that answers what the test wants."""

    answer = (200, b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, body = type(self).answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


KEY = KeyFile("w1.example", b"w" * 32, COSIGNATURE)
LATER = KeyFile("w1.example", b"w" * 32, COSIGNATURE)
LATER.clock = lambda: datetime.now(UTC).timestamp() + 3600


def signed(signer: KeyFile, size: int) -> bytes:
    return witness.signature_line(
        Checkpoint("log.example/one", size, TREE.root(size)).text(), signer
    ).encode()


def moved(signer: KeyFile, text: str) -> bytes:
    """A signature over another text, with the line that makes the checkpoint a part of that."""
    return b"junk\n\n" + witness.signature_line(f"{text}\njunk\n", signer).encode()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, moved(KEY, Checkpoint("log.example/one", 9, TREE.root(9)).text())), "empty line"),
        ((200, b""), "no valid cosignature"),
        ((200, b"\xff\xff"), "no valid cosignature: the note is not UTF-8"),
        ((200, b"hello\n"), "signature line is malformed"),
        ((200, signed(KEY, 5)), "the signature of w1.example is false"),  # replayed
        ((200, signed(LOG, 9)), "no signature by a trusted key"),
        ((200, signed(LATER, 9)), "dates its cosignature in the future"),
        ((200, signed(KEY, 9)[:-1]), "no valid cosignature"),
        ((200, b"x" * 70_000), "more than 65536 bytes"),
        ((200, signed(KEY, 9) * 200), "no valid cosignature"),
        ((409, b"4\n"), "conflict again and again"),
        ((409, b"lots\n"), "conflict again and again"),
        ((409, b"-4\n"), "conflict again and again"),
        ((409, b"44\n"), "has cosigned 44 entries, the log has 9"),
        ((500, b"\x1b[31mred"), r"answers 500: \?\[31mred"),
        ((302, b""), "answers 302: without a reason"),
    ],
)
def test_bad_answers(answer: tuple[int, bytes], reason: str) -> None:
    handler = type("Liar", (Liar,), {"answer": answer})
    with (
        served(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)) as url,
        pytest.raises(AnswerError, match=reason),
    ):
        ask(party(url, KEY), 9, 0)


def test_a_good_answer_among_strangers() -> None:
    stranger = KeyFile("s.example", b"s" * 32, COSIGNATURE)
    answer = 200, signed(stranger, 9) + signed(KEY, 9)
    handler = type("Liar", (Liar,), {"answer": answer})
    with served(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)) as url:
        assert ask(party(url, KEY), 9, 0).startswith("— w1.example ")


def test_a_witness_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(AnswerError, match="cannot be reached"):
            ask(party(url, KEY), 9, 0, timeout=0.3)
    for url in ("http://127.0.0.1:1", "ftp://x", "http://", "http://[", "http://x:y"):
        with pytest.raises(AnswerError):
            ask(party(url, KEY), 9, 0)


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(NoteError, match="cannot read the signing key"):
        Witness(tmp_path, [])
    KeyFile.create(tmp_path / witness.KEY, "log.example/x")
    with pytest.raises(NoteError, match="is no key of a witness"):
        Witness(tmp_path, [])


# -- three real processes


@contextmanager
def process(folder: Path, name: str, key: Verifier) -> Iterator[str]:
    """`jingwei witness` as somebody else runs it; yields the line for the policy file."""
    command = [sys.executable, "-m", "jingwei.cli", "witness", folder, "--name", name]
    with subprocess.Popen(
        [*command, "--log", str(key), "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            line = running.stdout.readline()
            assert line.startswith("witness NAME "), running.stderr.read()
            yield line.replace("NAME", name)
            running.terminate()
            assert running.wait(30) == 0
        finally:
            running.kill()


def test_three_witnesses_and_a_forked_log(tmp_path: Path) -> None:
    """Two witnesses know the log, the third has seen its fork: 2 of 3 is reached for the one,
    not for the other; and a log set back is refused by all."""
    folder = tmp_path / "log"
    begin = [b"entry %d" % i for i in range(300)]
    with Log(folder, origin="log.example/city") as log:
        log.append(begin)
        key = log.signer.verifier
    shutil.copytree(folder, tmp_path / "fork")
    with Log(folder) as log:
        log.append([b"the truth"] * 10)
    with Log(tmp_path / "fork") as log:
        log.append([b"a lie"] * 20)
    with (
        process(tmp_path / "a", "a.example", key) as a,
        process(tmp_path / "b", "b.example", key) as b,
        process(tmp_path / "c", "c.example", key) as c,
    ):
        lines = [a, b, c]
        text = f"log {key}\n{''.join(lines)}group two 2 a.example b.example c.example\nquorum two\n"
        (tmp_path / "fork" / attest.POLICY).write_text(f"log {key}\n{c}quorum c.example\n")
        assert attest.attest(tmp_path / "fork").witnessed == 320
        (folder / attest.POLICY).write_text(text)
        state = attest.attest(folder)
        assert (state.size, state.witnessed, state.problem) == (310, 310, "")
        assert {n: (s.size, s.fork) for n, s in state.witnesses.items()} == {
            "a.example": (310, False),
            "b.example": (310, False),
            "c.example": (0, True),
        }
        assert "c.example has cosigned 320 entries, the log has 310" in (
            state.witnesses["c.example"].problem
        )
        policy = attest.read_policy(folder)
        opened = open_log(folder)
        assert set(policy.cosigners(policy.open(opened.note))) == {"a.example", "b.example"}
        assert opened.reader.kept() == [310]
        # The fork gets no quorum, whatever it does.
        (tmp_path / "fork" / attest.POLICY).write_text(text)
        with Log(tmp_path / "fork") as log:
            log.append([b"another lie"] * 30)
        lost = attest.attest(tmp_path / "fork", every=timedelta(0))
        assert lost.witnessed == 320  # of its own small policy before
        assert "the quorum two is not reached: cosigned by c.example" in lost.problem
        assert [n for n, s in lost.witnesses.items() if s.fork] == ["a.example", "b.example"]
        assert "finds another history" in lost.witnesses["a.example"].problem
        # Growing goes on, c included in what is asked, and refusing.
        with Log(folder) as log:
            log.append([b"more"])
        assert attest.attest(folder).size == 310  # within the minute nothing happens
        later = attest.attest(folder, datetime.now(UTC) + timedelta(minutes=2))
        assert (later.size, later.witnessed) == (311, 311)
        assert later.witnesses["c.example"].fork
        note_before = open_log(folder).note
        attest.attest(folder, datetime.now(UTC) + timedelta(minutes=9))
        assert open_log(folder).note == note_before  # nobody signs one checkpoint twice
    # With the witnesses gone, the log goes on and says what is missing.
    with Log(folder) as log:
        log.append([b"more"])
    alone = attest.attest(folder, every=timedelta(0))
    assert (alone.size, alone.witnessed) == (312, 311)
    assert "the quorum two is not reached" in alone.problem
    assert "cannot be reached" in alone.witnesses["a.example"].problem
    assert open_log(folder).reader.kept() == [310, 311, 312]


@pytest.mark.parametrize("where", ["answer", "line"])
def test_a_rogue_witness_does_not_break_the_quorum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Two of three cosign; the third signs another text that ends like the checkpoint's note."""
    folder = tmp_path / "log"
    with Log(folder, origin="log.example/city") as log:
        log.append([b"entry"] * 3)
        key = log.signer.verifier
    with ExitStack() as stack:
        lines = []
        for name in ("a.example", "b.example"):
            KeyFile.create(tmp_path / name / witness.KEY, name, COSIGNATURE)
            one = Witness(tmp_path / name, [key])
            url = stack.enter_context(served(Server(("127.0.0.1", 0), one)))
            lines.append(f"witness {name} {one.signer.verifier} {url}\n")
        answer = 200, moved(KEY, open_log(folder).checkpoint.text())
        rogue = type("Liar", (Liar,), {"answer": answer})
        url = stack.enter_context(served(http.server.ThreadingHTTPServer(("127.0.0.1", 0), rogue)))
        lines.insert(0, f"witness w1.example {KEY.verifier} {url}\n")
        if where == "line":  # what comes through `submit` is looked at once more
            honest = witness.submit
            monkeypatch.setattr(
                witness,
                "submit",
                lambda party, *rest: (
                    answer[1].decode().partition("\n\n")[2]
                    if party.key == KEY.verifier
                    else honest(party, *rest)
                ),
            )
        group = "group two 2 w1.example a.example b.example\nquorum two\n"
        (folder / attest.POLICY).write_text(f"log {key}\n{''.join(lines)}{group}")
        state = attest.attest(folder)
    assert (state.size, state.witnessed, state.problem) == (3, 3, "")
    problem = "empty line" if where == "answer" else "the signature of w1.example is false"
    assert problem in state.witnesses["w1.example"].problem
    policy = attest.read_policy(folder)
    opened = policy.open(open_log(folder).note)
    assert set(policy.cosigners(opened)) == {"a.example", "b.example"}


def test_without_a_policy_checkpoints_are_kept(tmp_path: Path) -> None:
    assert attest.attest(tmp_path).size == 0
    now = datetime.now(UTC)
    for n in range(3):
        with Log(tmp_path) as log:
            log.append([b"x"] * 999)
        state = attest.attest(tmp_path, now + n * timedelta(minutes=2))
        assert (state.problem, state.witnesses) == ("", {})
    log = open_log(tmp_path)
    assert log.reader.kept() == [999, 1998, 2997]
    for size in log.reader.kept():
        path = log.reader.folder / kept_path(size)
        assert parse_checkpoint(path.read_bytes(), log.verifier).size == size


def test_a_policy_that_comes_later_does_not_wait_for_an_entry(tmp_path: Path) -> None:
    """The newest checkpoint was kept without witnesses; they are asked as soon as there are some."""
    folder, now = tmp_path / "log", datetime.now(UTC)
    with Log(folder) as log:
        log.append([b"x"])
        key = log.signer.verifier
    assert attest.attest(folder, now).witnessed == 0
    KeyFile.create(tmp_path / "w" / witness.KEY, "w.example", COSIGNATURE)
    one = Witness(tmp_path / "w", [key])
    with served(Server(("127.0.0.1", 0), one)) as url:
        line = f"log {key}\nwitness w {one.signer.verifier} {url}\n"
        (folder / attest.POLICY).write_text(f"{line}quorum w\n")
        state = attest.attest(folder, now + timedelta(minutes=2))
    assert (state.witnessed, state.problem) == (1, "")
    asked = state.at
    assert attest.attest(folder, now + timedelta(minutes=4)).at == asked  # done: nobody is asked
    (folder / attest.POLICY).unlink()
    state = attest.attest(folder, now + timedelta(minutes=6))
    assert (state.witnessed, state.witnesses) == (0, {})


def test_bad_policy_and_state(tmp_path: Path) -> None:
    with Log(tmp_path) as log:
        log.append([b"x"])
    for text, reason in (
        ("rubbish\n", "line 1 of the policy"),
        (f"log {LOG.verifier}\nquorum none\n", "does not name this log"),
    ):
        (tmp_path / attest.POLICY).write_text(text)
        assert reason in attest.attest(tmp_path, every=timedelta(0)).problem
    for data in (b"", b"[]", b"\xff", b'{"witnesses": 3}', b"[" * 100_000):
        (tmp_path / attest.STATE).write_bytes(data)
        assert attest.read_state(tmp_path).size == 0
    with Log(tmp_path) as log:
        foreign = base64.b64encode(merkle.EMPTY_ROOT).decode()
        text = sign_note(f"{log.signer.name}\n1\n{foreign}\n", [log.signer])
        with pytest.raises(LogError, match="of another history"):
            log.keep(text)
        with pytest.raises(LogError, match="no signature"):
            log.keep(note(1))
