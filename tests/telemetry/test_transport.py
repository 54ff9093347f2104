"""TLS, and several gateways on one port: real certificates, real processes."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import signal
import socket
import ssl
import subprocess
import sys
from collections import Counter
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jingwei import hj212
from jingwei.telemetry import book, health, journal
from jingwei.telemetry.book import Book
from jingwei.telemetry.gateway import Gateway, Limits, tls_context

MNS = [f"{i:024}" for i in range(24)]
NOON = hj212.moment("20260310120000")


def certificate(folder, name, issuer=None):
    """A self-made certificate (or one issued by another): paths of chain and key, and the pair."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), True)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    chain, private = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, private, (made, key)


async def serve(house, tls, act, **limits):
    gateway = Gateway(
        house.journal, house.refused, house.root / "register.json", house.run,
        limits=Limits(**limits),
    )  # fmt: skip
    port = await gateway.start("127.0.0.1", 0, tls=tls)
    try:
        await asyncio.wait_for(act(gateway, port), 30)
    finally:
        await gateway.stop()


async def ask(port, frame, **more):
    """The first answer to a telegram; None where the connection ends without."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **more)
    try:
        writer.write(frame + b"\r\n")
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            for piece in hj212.Reader().feed(await asyncio.wait_for(reader.read(4096), 10)):
                return hj212.decode(piece)
        return None
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


def test_telegrams_by_tls_with_a_self_made_certificate(tmp_path, house, frame):
    house.devices()
    chain, key, _pair = certificate(tmp_path, "gateway")

    async def act(gateway, port):
        trusting = ssl.create_default_context(cafile=str(chain))
        answer = await ask(port, frame(), ssl=trusting, server_hostname="localhost")
        assert answer.cn == "9014"
        assert house.raws() == [frame()]
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(port, frame(), ssl=ssl.create_default_context(), server_hostname="localhost")
        assert await ask(port, frame(NOON + timedelta(hours=3))) is None, "no TLS, no answer"
        assert len(house.raws()) == 1

    asyncio.run(serve(house, tls_context(chain, key), act))


def test_a_client_must_show_its_certificate_where_that_is_wanted(tmp_path, house, frame):
    house.devices()
    chain, key, pair = certificate(tmp_path, "authority")
    own, own_key, _ = certificate(tmp_path, "logger", pair)

    async def act(gateway, port):
        with_own = ssl.create_default_context(cafile=str(chain))
        with_own.load_cert_chain(own, own_key)
        answer = await ask(port, frame(), ssl=with_own, server_hostname="localhost")
        assert answer.cn == "9014"
        without = ssl.create_default_context(cafile=str(chain))
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            late = await ask(
                port, frame(NOON + timedelta(hours=2)), ssl=without, server_hostname="localhost"
            )
            assert late is None
        assert len(house.raws()) == 1

    asyncio.run(serve(house, tls_context(chain, key, chain), act))


def test_a_client_that_never_shakes_hands_is_cut_off(tmp_path, house):
    chain, key, _pair = certificate(tmp_path, "gateway")

    async def act(gateway, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(10), 20) == b""
        writer.close()

    asyncio.run(serve(house, tls_context(chain, key), act, handshake=0.5))


def test_a_wrong_certificate_is_one_clear_line(tmp_path):
    (tmp_path / "bad.pem").write_text("no certificate")
    for options in (["--tls-cert", str(tmp_path / "bad.pem")], ["--tls-key", str(tmp_path / "bad.pem")]):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "jingwei.cli", "gateway", "--listen", "127.0.0.1:1",
             "--data", str(tmp_path), *options],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert "TLS" in done.stderr
        assert "Traceback" not in done.stderr


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(root, port, name):
    process = subprocess.Popen(
        [sys.executable, "-m", "jingwei.cli", "gateway", "--listen", f"127.0.0.1:{port}",
         "--data", str(root), "--name", name, "--reuse-port"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert "listening" in process.stdout.readline()
    return process


def test_two_gateways_share_a_port_a_journal_and_the_book(house, frame):
    """Each writes segments of its own in one folder; one is killed, the other serves on."""
    house.devices(*MNS)
    port = free_port()
    both = [start(house.root, port, name) for name in ("gateway", "gateway-2")]
    acknowledged = Counter()

    async def logger(number, rounds):
        mn, hour = MNS[number % len(MNS)], 0
        while hour < rounds:
            one = frame(NOON + timedelta(hours=hour), mn=mn, values={"a21026": str(number)})
            with contextlib.suppress(OSError, TimeoutError):
                answer = await ask(port, one)
                if answer is not None and answer.cn == "9014":
                    acknowledged[one] += 1
                    hour += 1

    async def play():
        await asyncio.gather(*(logger(n, 8) for n in range(len(MNS))))
        both[0].kill()
        both[0].wait()
        await asyncio.gather(*(logger(n, 2) for n in range(100, 100 + len(MNS))))

    try:
        asyncio.run(asyncio.wait_for(play(), 120))
        counts = Counter(house.raws())
        assert set(acknowledged) <= set(counts), "nothing that was acknowledged is lost"
        beats = health.read(house.run)
        assert {"gateway", "gateway-2"} <= set(beats)
    finally:
        both[1].send_signal(signal.SIGTERM)
        assert both[1].wait(20) == 0
        both[0].kill()
        both[0].wait()
    assert len(journal.segments(house.journal)) >= 2, "the kernel spread the connections"
    assert len(set(counts)) == len(MNS) * 10
    seen = Book(house.root / book.NAME).devices()
    assert set(seen) == set(MNS)
    assert not any(d.connected for d in seen.values() if d.gateway == "gateway-2")
    ingest = house.ingest()
    while ingest.step().telegrams:
        pass
    ingest.close()
    assert house.lake.scan("hour", NOON, NOON + timedelta(days=1)).num_rows == len(MNS) * 8
