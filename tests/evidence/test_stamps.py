"""Time stamps and anchors: published answers, an authority of our own by OpenSSL, forgeries."""

from __future__ import annotations

import importlib
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import packed
from jingwei.evidence import anchors, attest, digest, stamps
from jingwei.evidence.log import Log, open_log
from jingwei.evidence.policy import PolicyError
from jingwei.evidence.stamps import NotInstalledError, StampError
from jingwei.evidence.verify import run

VECTORS = Path(__file__).parent.parent / "data/vectors/rfc3161"
try:
    importlib.import_module("rfc3161_client")
    INSTALLED = True
except ImportError:
    INSTALLED = False
needs_client = pytest.mark.skipif(not INSTALLED, reason="rfc3161-client is not installed")


def verify(folder: str, name: str, message: bytes = b"hello") -> datetime:
    roots = (VECTORS / folder / "ts_chain.pem").read_bytes()
    return stamps.verify((VECTORS / folder / name).read_bytes(), message, roots)


@needs_client
@pytest.mark.parametrize(
    ("folder", "name", "moment"),
    [
        ("sigstage", "response-sha256.tsr", "2025-05-09T11:58:55+00:00"),
        ("sigstage", "response-sha384.tsr", "2025-05-09T11:58:55+00:00"),
        ("sigstage", "response-sha512.tsr", "2025-05-09T11:58:56+00:00"),
        ("test_tsa", "response.tsr", "2024-10-08T15:40:32+00:00"),
        # Certificates of others among those that came along change nothing.
        ("test_tsa", "response-injected-certs.tsr", "2024-10-08T15:40:32+00:00"),
    ],
)
def test_good_vectors(folder: str, name: str, moment: str) -> None:
    assert verify(folder, name).isoformat() == moment
    with pytest.raises(StampError, match="Mismatch between messages"):
        verify(folder, name, b"hallo")


@needs_client
@pytest.mark.parametrize(
    ("folder", "name", "reason"),
    [
        ("sigstage", "response-invalid-signature.tsr", "Unable to verify pkcs7 signature"),
        ("sigstage", "response-no-embedded-cert.tsr", "Certificates neither found"),
        ("test_tsa", "other_response.tsr", "Unable to verify pkcs7 signature"),
        ("sigstore.mock", "response-expired.tsr", "does not hold"),
    ],
)
def test_bad_vectors(folder: str, name: str, reason: str) -> None:
    with pytest.raises(StampError, match=reason):
        verify(folder, name)


@needs_client
def test_rubbish() -> None:
    good = (VECTORS / "sigstage/response-sha256.tsr").read_bytes()
    roots = (VECTORS / "sigstage/ts_chain.pem").read_bytes()
    for bad in (b"", b"x", good[:-1], good[: len(good) // 2], b"\x30\x84\xff\xff\xff\xff" * 9):
        with pytest.raises(StampError, match="does not hold"):
            stamps.verify(bad, b"hello", roots)
    with pytest.raises(StampError, match="longer than 65536"):
        stamps.verify(good + bytes(70_000), b"hello", roots)
    with pytest.raises(StampError, match="no PEM"):
        stamps.verify(good, b"hello", b"rubbish")
    leaf = b"".join(roots.partition(b"-----END CERTIFICATE-----\n")[:2])
    with pytest.raises(StampError, match="there is no root"):
        stamps.verify(good, b"hello", leaf)


def openssl(*arguments: object, folder: Path) -> None:
    done = subprocess.run(
        ["openssl", *map(str, arguments)], cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


CONFIG = """
[tsa]
serial = serial
crypto_device = builtin
signer_cert = tsa.crt
signer_key = tsa.key
certs = ca.crt
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
signer_digest = sha256
ess_cert_id_alg = sha256
"""


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[tuple[str, bytes, list[int]]]:
    """A time stamp authority by OpenSSL: address, root certificate, and what it shall answer."""
    folder = tmp_path / "tsa"
    folder.mkdir()
    (folder / "cnf").write_text(CONFIG)
    (folder / "serial").write_text("01\n")
    (folder / "ext").write_text("extendedKeyUsage = critical,timeStamping\n")
    new = ["-newkey", "rsa:2048", "-nodes"]
    openssl(
        "req",
        "-x509",
        *new,
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
        "-subj",
        "/CN=CA",
        folder=folder,
    )
    openssl("req", *new, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=TSA", folder=folder)
    openssl("x509", "-req", "-in", "tsa.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", 2,
            "-extfile", "ext", "-out", "tsa.crt", folder=folder)  # fmt: skip
    behaviour = [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            if behaviour[0] != -1 or not (folder / "query").exists():  # -1: answers the first again
                (folder / "query").write_bytes(query)
            openssl("ts", "-reply", "-config", "cnf", "-section", "tsa", "-queryfile", "query",
                    "-out", "reply", folder=folder)  # fmt: skip
            self.send_response(abs(behaviour[0]) if behaviour[0] != -1 else 200)
            self.end_headers()
            self.wfile.write((folder / "reply").read_bytes() * (50 if behaviour[0] == 201 else 1))

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield (
        f"http://127.0.0.1:{server.server_address[1]}/",
        (folder / "ca.crt").read_bytes(),
        behaviour,
    )
    server.shutdown()
    thread.join()
    server.server_close()


@needs_client
def test_an_authority_of_our_own(authority: tuple[str, bytes, list[int]]) -> None:
    url, roots, behaviour = authority
    answer = stamps.fetch(url, b"message", roots)
    moment = stamps.verify(answer, b"message", roots)
    assert abs(moment - datetime.now(UTC)) < timedelta(minutes=1)
    with pytest.raises(StampError, match="does not hold"):
        stamps.fetch(url, b"message", (VECTORS / "test_tsa/ts_chain.pem").read_bytes())
    behaviour[0] = -1  # the stamp of another request, good in itself
    with pytest.raises(StampError, match="Nonce mismatch"):
        stamps.fetch(url, b"message", roots)
    for status, reason in (
        (201, "longer than"),
        (302, "answers 302"),
        (500, "answers 500"),
    ):
        behaviour[0] = status
        with pytest.raises(StampError, match=reason):
            stamps.fetch(url, b"message", roots)
    for bad in ("ftp://x", "file:///etc/passwd", "rubbish"):
        with pytest.raises(StampError, match="is no address"):
            stamps.fetch(bad, b"message", roots)
    with pytest.raises(StampError, match="cannot be reached"):
        stamps.fetch("http://127.0.0.1:1/", b"message", roots)


@needs_client
def test_stamps_of_a_bundle_want_certificates_from_elsewhere(
    tmp_path: Path, authority: tuple[str, bytes, list[int]]
) -> None:
    url, roots, _ = authority
    leaf = packed.entry("case_event", "case:1", {"body": digest.both(packed.CONTENT)})
    answer = stamps.fetch(url, packed.text_of(packed.ONE, leaf).encode(), roots)
    folder = packed.build(
        tmp_path / "out",
        lambda m: m.update(stamps=[{"path": "stamps/1.tsr", "size": 1}]),
        more={"stamps/1.tsr": answer, "stamps/roots.pem": roots},
    )
    (tmp_path / "own.pem").write_bytes(roots)
    found = run(folder, tsa_file=tmp_path / "own.pem")
    assert (found.proved, len(found.items), found.unchecked) == (True, 3, [])
    (mark,) = stamps.fingerprints(roots)
    found = run(folder)
    assert (found.proved, len(found.items)) == (True, 2)
    assert (
        f"the authority's certificate comes from the bundle (SHA-256 {mark})"
        in (found.unchecked[0])
    )
    found = run(folder, tsa_file=VECTORS / "test_tsa/ts_chain.pem")
    assert "does not hold" in found.items[-1].why
    with pytest.raises(PolicyError, match="cannot read"):
        run(folder, tsa_file=tmp_path / "none")


@needs_client
def test_the_log_is_stamped_by_the_hour(
    tmp_path: Path, authority: tuple[str, bytes, list[int]]
) -> None:
    url, roots, behaviour = authority
    folder = tmp_path / "log"
    with Log(folder):
        (folder / stamps.TSA).write_text(url + "\n")
        (folder / stamps.ROOTS).write_bytes(roots)
    now = datetime.now(UTC)
    found = []
    for minutes, status in ((0, 200), (10, 200), (59, 200), (61, 500), (70, 200), (122, 200)):
        behaviour[0] = status
        with Log(folder) as log:
            log.append([b"x"])
        state = attest.attest(folder, now + timedelta(minutes=minutes))
        found.append((state.size, state.stamped, bool(state.stamp_problem)))
    assert found == [
        (1, 1, False), (2, 1, False), (3, 1, False), (4, 1, True), (5, 1, True), (6, 6, False)
    ]  # fmt: skip
    log = open_log(folder)
    for size in (1, 6):
        answer = (log.reader.folder / f"checkpoints/00{size}.tsr").read_bytes()
        text = (log.reader.folder / f"checkpoints/00{size}").read_text().rpartition("\n\n")[0]
        assert stamps.verify(answer, f"{text}\n".encode(), roots)
        with pytest.raises(StampError, match="Mismatch"):
            stamps.verify(answer, text.encode(), roots)
    assert log.reader.kept() == [1, 2, 3, 4, 5, 6]


@needs_client
def test_stamps_and_anchors_that_are_switched_on_later_do_not_wait_for_an_entry(
    tmp_path: Path, authority: tuple[str, bytes, list[int]]
) -> None:
    """And what fails for one does not hold up the other; it is tried again after an hour."""
    url, roots, behaviour = authority
    folder, now = tmp_path / "log", datetime.now(UTC)
    with Log(folder) as log:
        log.append([b"x"])
    assert attest.attest(folder, now).size == 1
    (folder / stamps.ROOTS).write_bytes(roots)
    (folder / stamps.TSA).write_text(url + "\n")
    (folder / anchors.ANCHOR).write_text(f"{tmp_path}\n")  # a folder: nothing is appended to it
    behaviour[0] = 500
    found = []
    for minutes, status in ((2, 500), (9, 200), (63, 200), (140, 200)):
        behaviour[0] = status
        if minutes == 140:
            (folder / anchors.ANCHOR).write_text(f"{tmp_path / 'worm'}\n")
        state = attest.attest(folder, now + timedelta(minutes=minutes))
        found.append((state.stamped, bool(state.stamp_problem), state.anchored))
    assert found == [(0, True, 0), (0, True, 0), (1, False, 0), (1, False, 1)]
    asked = state.at
    assert attest.attest(folder, now + timedelta(minutes=300)).at == asked


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log goes on, and the state says what is missing."""

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(stamps.importlib, "import_module", missing)
    with pytest.raises(NotInstalledError, match="pip install rfc3161-client"):
        stamps.verify(b"", b"", b"")
    with Log(tmp_path) as log:
        log.append([b"x"])
    (tmp_path / stamps.TSA).write_text("http://127.0.0.1:1/\n")
    state = attest.attest(tmp_path)
    assert "cannot read tsa and tsa.pem" in state.stamp_problem
    (tmp_path / stamps.ROOTS).write_bytes(b"x")
    with Log(tmp_path) as log:
        log.append([b"y"])
    state = attest.attest(tmp_path, datetime.now(UTC) + timedelta(hours=2))
    assert (state.size, state.problem) == (2, "")
    assert "rfc3161-client" in state.stamp_problem


def test_the_file_anchor(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    worm = tmp_path / "worm.txt"
    now = datetime(2026, 11, 21, 3, tzinfo=UTC)
    with Log(folder, origin="log.example/one"):
        (folder / anchors.ANCHOR).write_text(f"{worm}\n")
    roots = []
    for hour in range(3):
        with Log(folder) as log:
            log.append([b"x"] * 5)
            roots.append(log.root())
        state = attest.attest(folder, now + timedelta(hours=2 * hour))
        assert (state.anchored, state.anchor_problem) == (5 * (hour + 1), "")
    found = list(anchors.configured(folder).anchored())
    assert found == [
        (now + timedelta(hours=2 * n), "log.example/one", 5 * (n + 1), roots[n]) for n in range(3)
    ]
    worm.write_text(worm.read_text().replace(" 5 ", " 05 "))
    with pytest.raises(anchors.AnchorError, match=r"line 1 of .* is no anchor"):
        list(anchors.FileAnchor(worm).anchored())
    worm.write_bytes(b"x" * 5_000)
    with pytest.raises(anchors.AnchorError, match="line 1"):
        list(anchors.FileAnchor(worm).anchored())
    (folder / anchors.ANCHOR).write_text(f"{tmp_path}\n")
    with Log(folder) as log:
        log.append([b"x"])
    state = attest.attest(folder, now + timedelta(hours=9))
    assert "cannot append to" in state.anchor_problem
    assert state.size == 16
