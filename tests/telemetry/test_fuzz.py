"""Whatever comes over a socket: one precise error, counted, kept, and nothing stopped."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jingwei import hj212
from jingwei.hj212 import sm4
from jingwei.telemetry import journal, register
from jingwei.telemetry.gateway import Gateway, Limits
from jingwei.telemetry.intake import REASONS
from jingwei.telemetry.keys import NAME, KeyBox
from jingwei.telemetry.observations import PROBLEMS

MN, SECRET_MN, OLD_MN = f"{1:024}", f"{2:024}", "12345678901234"
KEY = b"0123456789abcdef"
NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)


def telegram(n=0, *, cp=None, mn=MN, cn="2061", flag=5, key=None, **more):
    cp = cp or f"DataTime={hj212.seconds(NOW - timedelta(hours=n))};a21026-Avg={n},a21026-Flag=N"
    text = hj212.segment(
        cn=cn, st="31", mn=mn, pw="123456", qn=hj212.qn(NOW + timedelta(milliseconds=n)), flag=flag,
        cp=cp, **more,
    )  # fmt: skip
    return hj212.frame(text, key=key)


def awkward():
    """Encrypted telegrams whose ciphertext holds `&&`, CR LF and `##`, one each."""
    found = {}
    for n in range(200_000):
        cp = f"DataTime={hj212.seconds(NOW)};a21026-Avg={n},a21026-Flag=N;" + ";".join(
            f"a{21001 + i}-Avg={n * 7 + i}.25,a{21001 + i}-Flag=N" for i in range(8)
        )
        cipher = sm4.encrypt(cp.encode(), KEY)[: len(cp) // 16 * 16]
        for mark in (b"&&", b"\r\n", b"##"):
            if mark in cipher and mark not in found:
                found[mark] = telegram(n % 1000, cp=cp, mn=SECRET_MN, flag=9, key=KEY)
        if len(found) == 3:
            return list(found.values())
    raise AssertionError("no such ciphertext")


class Site:
    """A gateway in a thread of its own, and clients in this one."""

    def __init__(self, root):
        self.root = root
        box = KeyBox(root / NAME)
        register.write(
            root / "register.json",
            [
                register.Device(MN, "123456"),
                register.Device(SECRET_MN, "123456", "2025", keys=(box.seal(SECRET_MN, KEY),)),
                register.Device(OLD_MN, "123456", "2005"),
            ],
        )
        self.ready, self.halt = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.thread.start()
        assert self.ready.wait(20)

    async def _serve(self):
        self.gateway = Gateway(
            self.root / "journal", self.root / "refused", self.root / "register.json",
            self.root / "run", limits=Limits(rubbish=1 << 20, refused=10_000, half=5.0, linger=0.0),
        )  # fmt: skip
        self.port = await self.gateway.start("127.0.0.1", 0)
        self.ready.set()
        while not self.halt.is_set():
            await asyncio.sleep(0.02)
        await self.gateway.stop()

    def stop(self):
        self.halt.set()
        self.thread.join()

    def raws(self):
        return {t.raw for t in journal.read(self.root / "journal", limit=1 << 30)}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    found = Site(tmp_path_factory.mktemp("fuzz"))
    yield found
    found.stop()


async def send(port, pieces, wanted):
    """Send the pieces one by one; the 9014 that come, at least `wanted` unless the line ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    cutter, answers = hj212.Reader(), []
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)
        while len(answers) < wanted:
            data = await asyncio.wait_for(reader.read(1 << 16), 10)
            if not data:
                break
            # The time may come too: a device that asks for it by 1013 is given it (1012).
            answers += [m for p in cutter.feed(data) if (m := hj212.decode(p)).cn == "9014"]
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return answers


def talk(site, *pieces, wanted):
    return asyncio.run(send(site.port, pieces, wanted))


def test_a_capture_cut_at_every_byte_is_the_same_capture(site):
    parts = [telegram(1), awkward()[0], telegram(2, cp="DataTime=20261120100000;a21026-Avg=7")]
    capture = b"".join(parts)

    async def each():
        for at in range(0, len(capture), 40):
            got = await asyncio.gather(
                *(
                    send(site.port, [capture[:cut], capture[cut:]], 3)
                    for cut in range(at, min(at + 40, len(capture)))
                )
            )
            assert [[a.cn for a in answers] for answers in got] == [["9014"] * 3] * len(got)

    before = site.gateway.counts["accepted"]
    asyncio.run(each())
    assert site.gateway.counts["accepted"] - before == 3 * len(capture)
    assert {p.rstrip() for p in parts} <= site.raws()


def test_one_byte_at_a_time(site):
    capture = telegram(3) + awkward()[1]
    assert len(talk(site, *(capture[i : i + 1] for i in range(len(capture))), wanted=2)) == 2


def test_separators_inside_ciphertext_cut_nothing(site):
    some = awkward()
    answers = talk(site, b"".join(some), wanted=3)
    assert [a.cn for a in answers] == ["9014"] * 3
    assert {s.rstrip(b"\r\n") for s in some} <= site.raws() or {s[:-2] for s in some} <= site.raws()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a21026-Avg=NaN", "not a number"),
        ("a21026-Avg=1e400", "not a number"),
        ("a21026-Avg=１２.５", "not a number"),
        ("a21026-Avg=inf", "not a number"),
        ("a21026-Avg=0x1F", "not a number"),
        ("a21026-Avg=1_000", "not a number"),
        ("a21026-Avg=", "not a number"),
        ("a21026-Avg=1,a21026-Avg=2", "given twice"),
    ],
)
def test_a_value_that_is_none_is_kept_and_named(site, content, problem):
    frame = telegram(cp=f"DataTime=20261120090000;{content}")
    (answer,) = talk(site, frame, wanted=1)
    assert answer.cn == "9014"
    assert frame[:-2] in site.raws()
    said = hj212.decode(frame)
    assert any(p.startswith(problem) for p in said.problems)


@pytest.mark.parametrize(
    ("time", "kind"),
    [("20361120090000", "clock_ahead"), ("20161120090000", "clock_behind"), ("99991231235959", "no_time")],
)  # fmt: skip
def test_a_clock_that_is_years_off_is_acknowledged_and_counted(house, time, kind):
    frame = telegram(cp=f"DataTime={time};a21026-Avg=1")
    house.devices(MN)
    house.put([frame[:-2]], received=NOW)
    ingest = house.ingest(lambda: NOW)
    ingest.step()
    ingest.close()
    assert kind in PROBLEMS
    assert [p.kind for p in house.lake.problems()] == [kind]
    assert [row for row in house.lake.latest(points=[(MN, "31")]) if row.time > NOW] == []


def test_a_log_in_gb18030_is_read_and_named(site):
    text = hj212.segment(
        cn="3020", st="31", mn=MN, pw="123456", qn=hj212.qn(NOW), flag=5,
        cp="DataTime=20261120090000;PolId=a21026;i11001-Info=//仪器维护：更换试剂//",
    ).encode("gb18030")  # fmt: skip
    frame = hj212.frame(text)
    (answer,) = talk(site, frame, wanted=1)
    assert answer.cn == "9014"
    said = hj212.decode(frame)
    assert said.items[0].fields["Info"] == "//仪器维护：更换试剂//"
    assert any(p.startswith("encoding") for p in said.problems)


def test_a_telegram_of_9999_bytes_is_refused_and_the_next_one_taken(site):
    body = b"QN=1;ST=31;CN=2061;PW=123456;MN=" + MN.encode() + b";Flag=5;CP=&&"
    body += b"x" * (9999 - len(body) - 2) + b"&&"
    before = site.gateway.counts.copy()
    (answer,) = talk(site, hj212.frame(body), telegram(5), wanted=1)
    assert answer.cn == "9014"
    after = site.gateway.counts
    refused = {k: after[k] - before[k] for k in after if k.startswith("refused:")}
    assert {k: n for k, n in refused.items() if n} == {"refused:oversized": 1}


def test_packets_without_end(site):
    many = [
        telegram(n, cn="2061", pnum=9999, pno=n + 1, cp=f"DataTime={hj212.seconds(NOW - timedelta(hours=n))};a21026-Avg=1")
        for n in range(100)
    ]  # fmt: skip
    assert len(talk(site, b"".join(many), wanted=100)) == 100
    wrong = [telegram(1, pnum=2, pno=3), telegram(1, pnum=99999, pno=1)]
    (answer,) = talk(site, b"".join(wrong), telegram(6), wanted=1)
    assert answer.cn == "9014"


GOOD = [
    telegram(1), telegram(2, pnum=2, pno=1), telegram(3, cn="9011", cp="QnRtn=1", flag=4),
    telegram(4, mn=SECRET_MN, flag=9, key=KEY), telegram(5, cn="1013", cp="PolId=a21026"),
    hj212.frame(f"QN=20261120120000001;ST=31;CN=2061;PW=123456;MN={OLD_MN};CP=&&DataTime=20261120110000;02-Avg=1&&"),
]  # fmt: skip


@st.composite
def streams(draw):
    """Good telegrams, cut, changed, doubled, with rubbish between, in pieces of any size."""
    stream = b""
    for _ in range(draw(st.integers(1, 4))):
        one = bytearray(draw(st.sampled_from(GOOD)))
        for _ in range(draw(st.integers(0, 3))):
            at = draw(st.integers(0, len(one) - 1))
            match draw(st.integers(0, 3)):
                case 0:
                    one[at] = draw(st.integers(0, 255))
                case 1:
                    del one[at : at + draw(st.integers(1, 30))]
                case 2:
                    one[at:at] = draw(st.sampled_from([b"##", b"&&", b"\r\n", b";", b"=", b"\0", b"##0100", "１".encode(), b"9" * 20]))  # fmt: skip
                case _:
                    one[at:at] = draw(st.binary(max_size=20))
            if not one:
                break
        stream += bytes(one) + draw(st.sampled_from([b"", b"\r\n", b"noise", b"##"]))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(streams())
def test_nothing_that_is_sent_stops_the_gateway(site, pieces):
    talk(site, *pieces, wanted=0)
    (answer,) = talk(site, telegram(7), wanted=1)
    assert answer.cn == "9014"
    kinds = {k.partition(":")[2] for k in site.gateway.counts if k.startswith("refused:")}
    assert kinds <= set(REASONS)
    assert not site.gateway.problem
    assert site.gateway.waiting < 1 << 20
