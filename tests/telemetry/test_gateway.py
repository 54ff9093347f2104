"""The gateway over real TCP: what is acknowledged, refused, cut off, kept, counted."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections import OrderedDict
from dataclasses import replace
from datetime import timedelta

import pytest

from jingwei import hj212
from jingwei.telemetry import health, journal, tally
from jingwei.telemetry.gateway import Gateway, Limits
from jingwei.telemetry.register import FRESH

MN = "010000A8900016F000169DC0"
NOON = hj212.moment("20260310120000")


class Client:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.cutter = hj212.Reader()
        self.answers: list[hj212.Message] = []

    def send(self, *frames):
        self.writer.write(b"".join(f + b"\r\n" for f in frames))

    async def wait_for(self, count):
        """The first `count` answers."""
        while len(self.answers) < count:
            data = await asyncio.wait_for(self.reader.read(1 << 16), 20)
            assert data, "the gateway has cut the connection"
            self.answers += [hj212.decode(f) for f in self.cutter.feed(data)]
        return self.answers

    async def ended(self):
        """Wait until the gateway ends the connection; what still came."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while chunk := await asyncio.wait_for(self.reader.read(1 << 16), 20):
                data += chunk
        return data


class Site:
    """A gateway in this process and clients of it."""

    def __init__(self, house, **limits):
        self.house = house
        self.gateway = Gateway(
            house.journal, house.refused, house.root / "register.json", house.run,
            limits=replace(Limits(), **limits),
        )  # fmt: skip
        self.clients = []

    async def __aenter__(self):
        self.port = await self.gateway.start("127.0.0.1", 0)
        return self

    async def __aexit__(self, *_):
        for client in self.clients:
            client.writer.close()
        await self.gateway.stop()

    async def client(self):
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client

    async def until(self, condition):
        for _ in range(2000):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"never came: {dict(self.gateway.counts)}")

    def refused(self):
        return [(t.reason, t.raw) for t in journal.read(self.house.refused)]


@pytest.fixture
def play(house):
    """Run a coroutine function with a site: `play(act, idle=…)`."""
    house.devices()

    def run(act, **limits):
        async def main():
            async with Site(house, **limits) as site:
                await asyncio.wait_for(act(site), 60)
            return site

        return asyncio.run(main())

    return run


def frames(make, count, **more):
    return [make(NOON + timedelta(hours=i), **more) for i in range(count)]


def test_a_telegram_is_in_the_journal_before_its_answer_comes(play, frame, house):
    sent = frames(frame, 5)

    async def act(site):
        client = await site.client()
        for n, one in enumerate(sent, 1):
            client.send(one)
            answers = await client.wait_for(n)
            assert answers[-1].cn == "9014"
            assert answers[-1].qn == hj212.decode(one).qn
            assert house.raws() == sent[:n]

    site = play(act)
    assert site.gateway.counts["answered"] == 5
    (telegram, *_) = journal.read(house.journal)
    assert telegram.peer.startswith("127.0.0.1:")


def test_many_clients_in_pieces_and_at_once(play, frame, house):
    each = 40

    async def act(site):
        async def one(number):
            client = await site.client()
            mine = frames(frame, each, qn=None, values={"a21026": str(number)})
            stream = b"".join(f + b"\r\n" for f in mine)
            for at in range(0, len(stream), 777):
                client.writer.write(stream[at : at + 777])
                await asyncio.sleep(0)
            answers = await client.wait_for(each)
            assert [a.qn for a in answers] == [hj212.decode(f).qn for f in mine], "in order"

        await asyncio.gather(*(one(n) for n in range(50)))

    site = play(act)
    assert len(house.raws()) == 50 * each
    assert site.gateway.counts["refused:rubbish"] == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"mn": "F" * 24}, "unknown_mn"), ({"pw": "000000"}, "password"), ({}, "crc")],
)
def test_a_refused_telegram_is_kept_apart_and_the_next_one_taken(
    play, frame, house, change, reason
):
    bad, good = frame(**change), frame(NOON + timedelta(hours=1))
    if not change:
        bad = bad.replace(b"12.5", b"12.6")

    async def act(site):
        client = await site.client()
        client.send(bad, good)
        (answer,) = await client.wait_for(1)
        assert answer.qn == hj212.decode(good).qn
        await site.until(lambda: site.refused())

    site = play(act)
    assert house.raws() == [good]
    assert site.refused() == [(reason, bad)]
    assert site.gateway.counts[f"refused:{reason}"] == 1
    table = health.read_table(house.run, "gateway")
    assert table["peers"]["127.0.0.1"]["refused"] == {reason: 1}
    mn = change.get("mn", MN)
    if reason == "unknown_mn":
        assert table["strangers"][mn]["refused"] == {reason: 1}
    else:
        assert table["devices"][mn]["refused"] == {reason: 1}
    assert table["devices"][MN]["accepted"] == 1
    assert table["devices"][MN]["cn"] == "2061"


def test_an_oversized_telegram_is_refused_and_the_line_goes_on(play, frame, house):
    big = frame(values={f"a{i:05}": "1" * 60 for i in range(70)})
    assert len(big) > 5200
    liar = b"##9999" + frame()[6:]
    longest = frame(values={f"a{i:05}": "1" * 60 for i in range(40)})
    assert 3000 < len(longest) < 4096

    async def act(site):
        client = await site.client()
        client.send(big, frame(), liar, longest)
        await client.wait_for(2)
        await site.until(lambda: sum(len(raw) for _, raw in site.refused()) >= len(big + liar))

    site = play(act)
    assert house.raws() == [frame(), longest]
    assert site.refused()[0][0] == "oversized"
    assert b"".join(raw for _, raw in site.refused()).replace(b"\r\n", b"") == big + liar
    assert site.gateway.counts["refused:oversized"] == 2


def test_rubbish_between_good_telegrams_does_not_add_up(play, frame, house):
    async def act(site):
        client = await site.client()
        for n in range(1, 6):
            client.writer.write(b"x" * 600 + b"\r\n")
            client.send(frame(NOON + timedelta(hours=n)))
            await client.wait_for(n)

    site = play(act, rubbish=1000)
    assert site.gateway.counts["refused:rubbish"] == 5
    assert site.gateway.counts["cut:rubbish"] == 0
    assert len(house.raws()) == 5


def test_half_a_telegram_is_kept_with_its_reason_when_the_line_breaks(play, frame, house):
    half = frame()[:-30]

    async def act(site):
        client = await site.client()
        client.writer.write(half)
        await client.writer.drain()
        await asyncio.sleep(0.05)
        client.writer.close()
        await site.until(lambda: site.refused())

    site = play(act)
    assert site.refused() == [("half", half)]
    assert house.raws() == []


def test_a_client_that_sends_a_byte_now_and_then_is_cut_off(play, frame):
    async def act(site):
        slow, honest = await site.client(), await site.client()
        one = frame()

        async def drip():
            with contextlib.suppress(ConnectionError):
                for byte in one:
                    slow.writer.write(bytes([byte]))
                    await slow.writer.drain()
                    await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        for n in range(1, 6):
            honest.send(frame(NOON + timedelta(hours=n)))
            await honest.wait_for(n)
            await asyncio.sleep(0.05)
        assert await slow.ended() == b""
        await dripping
        honest.send(frame(NOON + timedelta(hours=9)))
        await honest.wait_for(6)

    site = play(act, half=0.4)
    assert site.gateway.counts["cut:half"] == 1
    assert sum(site.gateway.counts[k] for k in site.gateway.counts if k.startswith("cut:")) == 1
    ((reason, raw),) = site.refused()
    assert reason == "half"
    assert frame().startswith(raw)
    assert site.gateway.peers["127.0.0.1"].cut == {"half": 1}


def test_a_silent_client_is_cut_off_and_a_sending_one_is_not(play, frame):
    async def act(site):
        silent, sending = await site.client(), await site.client()
        ended = asyncio.create_task(silent.ended())
        n = 0
        while not ended.done():
            n += 1
            sending.send(frame(NOON + timedelta(hours=n)))
            await sending.wait_for(n)
            await asyncio.sleep(0.05)

    site = play(act, idle=0.5)
    assert site.gateway.counts["cut:idle"] == 1


@pytest.mark.parametrize("stream", [b"x" * 1000, b"##9999" + b"y" * 994, b"#" * 1000, b"\0" * 1000])
def test_an_endless_telegram_is_cut_off_in_bounded_memory(play, stream):
    async def act(site):
        client = await site.client()

        async def pour():
            with contextlib.suppress(ConnectionError):
                for _ in range(100_000):
                    client.writer.write(stream)
                    await client.writer.drain()

        pouring = asyncio.create_task(pour())
        await client.ended()
        await asyncio.wait_for(pouring, 20)

    site = play(act, rubbish=32 << 10)
    assert site.gateway.counts["cut:rubbish"] == 1
    kept = site.refused()
    assert {reason for reason, _ in kept} <= {"rubbish", "half", "oversized"}
    assert sum(len(raw) for _, raw in kept) < 600_000


def test_line_ends_without_end_are_no_telegram_and_count_as_silence(play):
    async def act(site):
        client = await site.client()

        async def pour():
            with contextlib.suppress(ConnectionError):
                while True:
                    client.writer.write(b"\r\n")
                    await client.writer.drain()
                    await asyncio.sleep(0.01)

        pouring = asyncio.create_task(pour())
        await client.ended()
        await asyncio.wait_for(pouring, 20)

    assert play(act, idle=0.5).gateway.counts["cut:idle"] == 1


def test_a_client_that_is_refused_again_and_again_is_cut_off(play, frame):
    async def act(site):
        client = await site.client()
        client.send(*frames(frame, 300, pw="000000"))
        await client.ended()

    site = play(act, refused=100)
    assert site.gateway.counts["cut:refused"] == 1
    assert site.gateway.counts["refused:password"] == 101
    assert len(site.refused()) == 101


def test_a_device_that_sends_too_fast_is_read_slowly_and_at_last_shut_out(play, frame, house):
    """What it sends is in order, so nothing else would stop it; another device is not touched."""
    other = "A" * 24
    house.devices(MN, other)
    frames = [frame(NOON + timedelta(minutes=n), cn="2051") for n in range(5000)]

    async def act(site):
        client, calm = await site.client(), await site.client()
        client.send(*frames[:500])
        await client.wait_for(500)
        counts = site.gateway.counts
        assert counts["slowed"] == 1, "all of the first ones are taken, and then it must wait"
        (line,) = (c for c in site.gateway.connections if "rate" in c.holds)
        assert line.mns == {MN}
        client.send(*frames[500:])
        calm.send(frame(NOON, mn=other))
        await calm.wait_for(1)
        await client.ended()
        assert counts["cut:flood"] == counts["refused:flood"] == 1
        taken = counts["accepted"]
        assert taken < len(frames)
        again = await site.client()
        again.send(frames[-1])
        await again.ended()
        assert counts["cut:flood"] == 2, "and it stays out for a while"
        for _ in range(200):
            back = await site.client()
            back.send(frames[-1])
            with contextlib.suppress(AssertionError, ConnectionError):
                await back.wait_for(1)
                break
            await asyncio.sleep(0.1)
        else:
            raise AssertionError("shut out for ever")
        assert site.gateway.devices[MN].slowed == counts["slowed"]
        await site.gateway.desk._remember(all_=True)
        kinds = {kind: count for mn, kind, count, _ in site.gateway.desk.book.errors(0, MN)}
        assert (
            kinds
            == {
                "slowed": counts["slowed"],
                "flood": counts["refused:flood"],
                "cut:flood": 1,  # of a line that was cut before the device was heard, the address bears it
            }
        )

    play(act, row=450, rate=300.0, flood=1.0, shut=5.0)
    assert {t.reason for t in journal.read(house.refused)} <= {"flood", "half"}


def test_what_a_device_sends_in_its_time_is_never_too_fast(play, frame, monkeypatch):
    async def act(site):
        client = await site.client()
        for n in range(40):
            client.send(frame(NOON + timedelta(minutes=n)))
            await client.wait_for(n + 1)
            await asyncio.sleep(0.01)
        assert site.gateway.counts["slowed"] == 0

    play(act, row=5, rate=100_000.0)


@pytest.mark.parametrize("limit", ["refused_kept", "refused_kept_all"])
def test_only_so_much_that_was_refused_is_kept(play, frame, limit):
    async def act(site):
        client = await site.client()
        client.send(*frames(frame, 100, pw="000000"))
        client.send(frame())
        await client.wait_for(1)
        await site.until(lambda: site.refused())

    site = play(act, **{limit: 10_000})
    assert site.gateway.counts["refused:password"] == 100
    assert 10 < len(site.refused()) < 40
    assert site.gateway.counts["refused_not_kept"] == 100 - len(site.refused())


def test_connections_are_limited_in_all_and_by_peer(play, frame):
    async def act(site):
        clients = [await site.client() for _ in range(3)]
        for n, client in enumerate(clients[:2]):
            client.send(frame(NOON + timedelta(hours=n)))
            await client.wait_for(1)
        assert await clients[2].ended() == b""
        clients[0].writer.close()
        await site.until(lambda: len(site.gateway.connections) == 1)
        again = await site.client()
        again.send(frame(NOON + timedelta(hours=7)))
        await again.wait_for(1)

    assert play(act, connections_per_peer=2).gateway.counts["cut:too_many_of_peer"] == 1
    assert play(act, connections=2).gateway.counts["cut:too_many"] == 1


def test_a_client_that_does_not_take_its_answers_is_cut_off(play, frame, monkeypatch):
    async def act(site):
        client = await site.client()
        client.writer.transport.pause_reading()
        sock = client.writer.get_extra_info("socket")
        assert sock is not None
        many = b"".join(f + b"\r\n" for f in frames(frame, 500))

        async def pour():
            with contextlib.suppress(ConnectionError):
                while True:
                    client.writer.write(many)
                    await client.writer.drain()

        pouring = asyncio.create_task(pour())
        await site.until(lambda: site.gateway.counts["cut:unread"])
        pouring.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pouring

    site = play(act, unread=0.5, row=1 << 30)
    assert site.gateway.counts["cut:unread"] == 1
    assert site.gateway.waiting == 0


@pytest.mark.parametrize(("own", "all_"), [(20_000, 10 << 20), (10 << 20, 20_000)])
def test_a_full_disk_stops_answers_and_reading_and_loses_nothing(play, frame, house, own, all_):
    """The disk is full in the middle of a commit, and has room again later."""
    total = 4000
    write, room = os.pwrite, [0]

    def small(fd, parts, at):
        room[0], some = 0, b"".join(parts)[: room[0]]
        if not some:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, some, at)

    def refused(fd, data, at):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def act(site):
        client = await site.client()
        client.send(frame())
        await client.wait_for(1)
        room[0] = 100  # of a first commit that is larger; nothing after it
        with pytest.MonkeyPatch.context() as disk:
            disk.setattr(os, "pwritev", small)
            disk.setattr(os, "pwrite", refused)
            sent = frames(frame, total)[1:]

            async def pour():
                for one in sent:
                    client.send(one)
                    await client.writer.drain()

            pouring = asyncio.create_task(pour())
            await site.until(lambda: site.gateway.problem)
            assert "No space left" in site.gateway.problem
            await site.until(lambda: any(c.holds for c in site.gateway.connections))
            answered = site.gateway.counts["answered"]
            site.gateway._beat()
            beat = health.read(house.run)["gateway"]
            assert beat["state"] == "stalled"
            assert "No space left" in beat["problem"]
            await asyncio.sleep(0.3)
            # What was answered is in the journal; what is not there was not answered.
            assert site.gateway.counts["answered"] == answered == len(house.raws()) < total
            assert site.gateway.waiting <= 20_000 + 2 * (256 << 10), "at most one reading more"

        await client.wait_for(total)
        await pouring
        site.gateway._beat()
        assert health.read(house.run)["gateway"]["state"] == "ok"

    site = play(act, waiting_per_connection=own, waiting=all_)
    assert house.raws() == frames(frame, total)
    assert site.gateway.waiting == 0


def test_stopping_writes_and_answers_what_has_come(play, frame, house):
    async def act(site):
        client = await site.client()
        client.send(*frames(frame, 200))
        await client.wait_for(1)
        await site.gateway.stop()
        got = len(client.answers)
        rest = await client.ended()
        got += len(client.cutter.feed(rest))
        assert got == len(house.raws()) >= 1
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", site.port)

    play(act)
    (segment,) = journal.segments(house.journal)
    assert segment.meta()["state"] == "rolled"
    assert health.read(house.run)["gateway"]["state"] == "stopped"


def test_the_table_of_peers_is_bounded(monkeypatch):
    monkeypatch.setattr(tally, "TABLE_SIZE", 3)
    table = OrderedDict()
    kept = tally.recent(table, "open", tally.Peer, lambda p: not p.open)
    kept.open = 1
    for n in range(10):
        tally.recent(table, str(n), tally.Peer, lambda p: not p.open)
    assert list(table) == ["open", "8", "9"]


def test_a_change_of_the_register_counts_a_moment_later(play, frame, house):
    async def act(site):
        client = await site.client()
        client.send(frame(mn="E" * 24))
        await site.until(lambda: site.refused())
        house.devices(MN, "E" * 24)
        await asyncio.sleep(2 * FRESH)
        client.send(frame(mn="E" * 24))
        await client.wait_for(1)
        house.devices(MN)
        await asyncio.sleep(2 * FRESH)
        client.send(frame(mn="E" * 24))
        await site.until(lambda: len(site.refused()) == 2)

    site = play(act)
    assert [reason for reason, _ in site.refused()] == ["unknown_mn"] * 2
