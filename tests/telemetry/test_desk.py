"""Commands from the book to devices and back: a real gateway, real TCP, replayed loggers."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jingwei import hj212
from jingwei.demo import catalogue
from jingwei.telemetry import book, desk, register, replay
from jingwei.telemetry.book import Book, Command
from jingwei.telemetry.dialogue import Timing
from jingwei.telemetry.gateway import Gateway, Limits
from jingwei.telemetry.keys import NAME, KeyBox
from jingwei.telemetry.replay_client import Delivered, Faults, Fleet

PLAYER = replay.Player(replay.Library(catalogue.DATA))
GAS = (
    replay.Channel("a21002", "gas_turbine", "NOX", 0.5, reference_o2=15, mass=True),
    replay.Channel("a19001", "gas_turbine", "TEY", -0.02, 17.6),
    replay.Channel("a00000", "gas_turbine", "CDP", 30, mass=True),
)
# So many factors that a report takes several packets.
WIDE = tuple(
    replay.Channel(f"a{n:05}", "gas_turbine", "NOX", 0.5 + n, mass=True)
    for n in range(21001, 21025)
)
KEY = b"0123456789abcdef"
MN = f"{7:024d}"
QUICK = Timing(answer=1.0, tries=3, silence=5.0, act=10.0)


def logger(version="2017", channels=GAS, **more):
    return replay.Device(MN, "31", "123456", channels, "logger", version=version, **more)


class House:
    """A gateway, the fleet that connects to it, and the book between them."""

    def __init__(self, house, device, *, faults=None, timing=QUICK, limits=None, **more):
        self.house = house
        self.box = KeyBox(house.root / NAME)
        self.device = device
        self.faults = faults
        self.more = more
        keys = (self.box.seal(device.mn, device.sm4),) if device.sm4 else ()
        register.write(
            house.root / "register.json",
            [
                register.Device(
                    device.mn, device.password, device.version, keys=keys, form=device.form
                )
            ],
        )
        self.book = Book(house.root / book.NAME)
        self.timing, self.limits = timing, limits or Limits()

    def make(self, name="gateway"):
        h = self.house
        gateway = Gateway(
            h.journal, h.refused, h.root / "register.json", h.run, timing=self.timing,
            limits=self.limits, name=name,
        )  # fmt: skip
        gateway.desk._poll = 0.02
        return gateway

    async def __aenter__(self):
        self.gateway = self.make()
        self.port = await self.gateway.start("127.0.0.1", 0)
        self.connect()
        return self

    def connect(self):
        since = datetime.now(UTC)
        self.fleet = Fleet(
            PLAYER, [self.device], "127.0.0.1", self.port, delivered=Delivered(None, since),
            faults=self.faults, site=0.02, answer_timeout=1.0, **self.more,
        )  # fmt: skip
        self.stop = asyncio.Event()
        self.running = asyncio.create_task(self.fleet.run(self.stop))

    async def __aexit__(self, *_):
        self.stop.set()
        await self.running
        await self.gateway.stop()
        self.book.close()

    def ask(self, cn, cp="", *, secret=False, key="", life=60, automatic=False, id_=None):
        now = datetime.now(UTC)
        if secret:
            cp = self.box.seal(self.device.mn, cp.encode())
        command = Command(
            id_ or uuid.uuid4().hex, self.device.mn, "31", cn, cp, secret, key, automatic, now,
            now + timedelta(seconds=life),
        )  # fmt: skip
        self.book.ask(command)
        return command.id

    async def ended(self, id_, states=("done", "refused", "failed", "expired")):
        for _ in range(1500):
            found = self.book.commands([id_])[id_]
            if found.state in states:
                return found
            await asyncio.sleep(0.02)
        raise AssertionError(f"never ended: {found}")

    async def do(self, cn, cp="", **more):
        return await self.ended(self.ask(cn, cp, **more))

    @property
    def responder(self):
        return self.fleet.responders[0]

    def telegrams(self, cn):
        keys = register.Register(self.house.root / "register.json").keys
        from jingwei.telemetry.observations import decode

        return [m for raw in self.house.raws() if (m := decode(raw, keys)).cn == cn]


def play(act, seconds=60):
    asyncio.run(asyncio.wait_for(act(), seconds))


KINDS = [("2005", None, "raw"), ("2017", None, "raw"), ("2025", None, "raw")] + [
    ("2025", KEY, form) for form in ("raw", "base64", "literal")
]


def span(hours):
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return f"BeginTime={hj212.seconds(now - timedelta(hours=hours))};EndTime={hj212.seconds(now - timedelta(hours=1))}"


@pytest.mark.parametrize(("version", "key", "form"), KINDS)
def test_the_clock_is_read_and_set(house, version, key, form):
    async def act():
        wrong = Faults(clock=3600.0)
        async with House(house, logger(version, sm4=key, form=form), faults=wrong) as site:
            found = await site.do("1011")
            assert found.state == "done", found
            told = hj212.moment(found.result["content"][0]["params"]["SystemTime"])
            assert 3590 < (told - datetime.now(UTC)).total_seconds() < 3601
            assert (await site.do("1012", "SystemTime={now}")).state == "done"
            again = await site.do("1011")
            told = hj212.moment(again.result["content"][0]["params"]["SystemTime"])
            assert abs((told - datetime.now(UTC)).total_seconds()) < 3

    play(act)


@pytest.mark.parametrize(("version", "key", "form"), KINDS)
@pytest.mark.parametrize("channels", [GAS, WIDE], ids=["whole", "split"])
def test_history_is_pulled_into_the_journal(house, version, key, form, channels):
    async def act():
        device = logger(version, channels, sm4=key, form=form)
        async with House(house, device) as site:
            found = await site.do("2061", span(5))
            assert found.state == "done", found
            assert found.result["periods"] == found.result["telegrams"] == 5
            assert found.result["ExeRtn"] == 1
            got = site.telegrams("2061")
            assert len({m.time for m in got}) == 5
            assert all(m.split for m in got) == (channels is WIDE)
            if version == "2025":
                assert {m.rf for m in got} == {"1"}
            if key:
                assert not any(b"DataTime" in raw and b"CN=2061" in raw for raw in house.raws())
            counts = site.gateway.counts
            # State and realtime of the wide logger are split as well, or not yet sent.
            assert counts["split:complete"] >= (5 if channels is WIDE else 0)
            assert counts["split:incomplete"] == 0
            assert counts["command:done"] == 1
            none = await site.do("2031", "BeginTime=20400101000000;EndTime=20400102000000")
            assert (none.state, none.result["why"]) == ("done", "no_data")

    play(act)


COMMON = [
    ("1000", "OverTime=5;ReCount=4"), ("1011", "PolId=a21002"), ("1061", ""),
    ("1062", "RtdInterval=60"), ("2011", ""), ("2012", ""), ("2021", ""), ("2022", ""),
    ("2041", "BeginTime=20260301000000;EndTime=20260303000000"),
    ("2051", "BeginTime=20260301000000;EndTime=20260301010000"),
    ("2031", "BeginTime=20260301000000;EndTime=20260303000000"),
    ("3011", "PolId=a21002"), ("3012", "PolId=a21002"), ("3013", "PolId=a21002"),
]  # fmt: skip
NEWER = [
    ("1063", ""), ("1064", "MinInterval=5"), ("3018", "PolId=a21002"), ("3019", "PolId=a21002"),
    ("3020", "PolId=a21002;InfoId=i13004"), ("3020", "PolId=a21002;InfoId=i11001"),
    ("3020", "PolId=a21002;InfoId=i12001"), ("3021", "PolId=a21002;InfoId=i13004;i13004-Info=170"),
]  # fmt: skip
ONLY = {
    "2005": [("1021", "PolId=a21002"), ("1031", ""), ("1041", ""), ("3014", "PolId=a21002;CTime=2")],
    "2017": [
        *NEWER, ("3014", "PolId=a21002"), ("3015", ""), ("3017", "PolId=a21002"),
        ("3016", "PolId=a21002;CstartTime=010000;CTime=4"),
    ],
    "2025": [*NEWER, ("3011", "PolId=a21002;CalibrationType=1"), ("3022", "PolId=w01018"), ("3024", "PolId=w01018")],
}  # fmt: skip


@pytest.mark.parametrize("version", ["2005", "2017", "2025"])
def test_every_command_of_a_version_comes_to_its_end(house, version):
    async def act():
        async with House(house, logger(version)) as site:
            for cn, cp in COMMON + ONLY[version]:
                found = await site.do(cn, cp)
                assert found.state == "done", (cn, found)
                if cn in ("1011", "1021", "1031", "1041", "1061", "1063", "3015", "3017", "3018", "3019", "3020"):  # fmt: skip
                    assert found.result["content"], cn
            assert site.responder.realtime == 60
            assert site.responder.timeout == (5, 4)
            if version != "2005":
                assert site.responder.minutes == 5
                assert site.responder.parameters["i13004"] == "170"
                log = await site.do("3020", "PolId=a21002;InfoId=i11001")
                assert len(log.result["content"]) == 3
                assert "校准完成" in log.result["content"][0]["items"][0]["Info"]
            unknown = await site.do("1234")
            assert unknown.state == "refused"

    play(act, 120)


@pytest.mark.parametrize("version", ["2005", "2017", "2025"])
def test_a_new_password_is_taken_beside_the_old_one_until_the_register_has_it(house, version):
    async def act():
        async with House(house, logger(version)) as site:
            name = "PW" if version == "2005" else "NewPW"
            found = await site.do("1072", f"{name}=654321", secret=True)
            assert found.state == "done"
            assert "654321" not in found.cp
            assert site.responder.device.password == "654321"
            before = len(house.raws())
            assert (await site.do("2011")).state == "done", "asked with the new one"
            assert len(house.raws()) > before
            assert site.gateway.counts["refused:password"] == 0
            assert site.gateway.desk.also(MN) == "654321"
            row = register.load(house.root / "register.json")[MN]
            register.write(house.root / "register.json", [replace(row, password="654321")])
            assert (await site.do("1011")).state == "done"
            await asyncio.sleep(0.1)
            assert site.gateway.desk.also(MN) == ""

    play(act)


def test_two_gateways_take_both_passwords_while_one_is_changed(house, frame):
    """The device comes back to the other gateway, with the new password, before it has said 9012."""

    async def send(port, *telegrams):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"".join(t + b"\r\n" for t in telegrams))
        cutter, answers = hj212.Reader(), 0
        with contextlib.suppress(TimeoutError):
            while answers < len(telegrams):
                answers += len(cutter.feed(await asyncio.wait_for(reader.read(4096), 1)))
        writer.close()
        return answers

    def telegram(pw, minute):
        return frame(datetime(2026, 3, 10, 4, minute, tzinfo=UTC), mn=MN, pw=pw)

    async def act():
        async with House(house, logger()) as site:
            other = site.make("gateway-2")
            port = await other.start("127.0.0.1", 0)
            assert await send(port, telegram("654321", 1)) == 0
            told = []
            real = site.responder.answer

            def answer(message, now):
                if message.cn == "1072":
                    told.append(other.desk.also(MN))
                return real(message, now)

            site.responder.answer = answer
            id_ = site.ask("1072", "NewPW=654321", secret=True)
            assert (await site.ended(id_)).state == "done"
            assert told == ["654321"], "the other gateway knew it before the device did"
            assert await send(port, telegram("654321", 2), telegram("123456", 3)) == 2
            row = register.load(house.root / "register.json")[MN]
            register.write(house.root / "register.json", [replace(row, password="654321")])
            await asyncio.sleep(0.3)
            assert other.desk.also(MN) == site.gateway.desk.also(MN) == ""
            assert await send(port, telegram("123456", 4)) == 0, "only the new one from now on"
            await other.stop()

    play(act)


def test_a_change_of_the_password_that_is_refused_leaves_no_second_password(house):
    async def act():
        async with House(house, logger()) as site:
            other = site.make("gateway-2")
            await other.start("127.0.0.1", 0)
            refusal = site.responder._rtn
            site.responder.answer = lambda message, now: iter([refusal(message, 2)])
            found = await site.do("1072", "NewPW=654321", secret=True)
            assert found.state == "refused"
            await asyncio.sleep(0.2)
            assert other.desk.also(MN) == site.gateway.desk.also(MN) == ""
            await other.stop()

    play(act)


def test_a_key_is_rotated_by_1014_and_telegrams_follow(house):
    new = b"fedcba9876543210"

    async def act():
        async with House(house, logger("2025", sm4=KEY)) as site:
            row = register.load(house.root / "register.json")[MN]
            keys = (site.box.seal(MN, new), *row.keys)
            register.write(house.root / "register.json", [replace(row, keys=keys)])
            await asyncio.sleep(2 * register.FRESH)  # the gateway has it before the device answers
            found = await site.do(
                "1014", "SKCreateTime=20260310120000000;NewSK=fedcba9876543210",
                secret=True, key=row.keys[0],
            )  # fmt: skip
            assert found.state == "done", found
            assert site.responder.device.sm4 == new
            assert (await site.do("2061", span(3))).result["periods"] == 3
            assert site.gateway.counts["refused:wrong_key"] == 0
            assert len(site.telegrams("2061")) == 3

    play(act)


def test_loss_and_doubles_do_not_break_a_history_pull(house):
    async def act():
        faults = Faults(loss=0.25, duplicate=0.3, delay=0.02, seed=3)
        async with House(house, logger(), faults=faults, timing=Timing(0.4, 8, 6.0)) as site:
            site.fleet.answer_timeout = 0.2
            found = await site.do("2061", span(12), life=120)
            assert found.state == "done", found
            assert len({m.time for m in site.telegrams("2061")}) == 12
            assert found.result["periods"] == 12

    play(act)


def test_commands_wait_for_the_device_in_their_order_and_one_at_a_time(house):
    async def act():
        async with House(house, logger()) as site:
            site.stop.set()
            await site.running
            automatic = site.ask("1061", automatic=True)
            first, second = site.ask("1011"), site.ask("1063")
            gone = site.ask("1011", life=0)
            await asyncio.sleep(0.2)
            found = site.book.commands([automatic, first, second, gone])
            assert [found[i].state for i in (automatic, first, second)] == ["waiting"] * 3
            assert found[gone].state == "expired"
            assert site.book.cancel(second, datetime.now(UTC))
            site.connect()
            done = [await site.ended(i) for i in (first, automatic)]
            assert done[0].changed < done[1].changed, "people before the system"
            assert not site.book.cancel(first, datetime.now(UTC))
            assert site.book.commands([second])[second].state == "cancelled"

    play(act)


def test_commands_for_devices_that_are_away_keep_nobody_waiting_who_is_here(tmp_path):
    shelf = Book(tmp_path / book.NAME)
    now = datetime.now(UTC)
    for n in range(6):
        mn = MN if n == 5 else f"{n:024d}"
        shelf.ask(Command(f"c{n}", mn, "31", "1011", "", False, "", False,
                          now + timedelta(seconds=n), now + timedelta(days=1)))  # fmt: skip
    assert [c.id for c in shelf.waiting(limit=5)] == [f"c{n}" for n in range(5)]
    assert [c.id for c in shelf.waiting([MN, "elsewhere"], limit=5)] == ["c5"]
    assert [c.id for c in shelf.waiting([MN], limit=7)] == [f"c{n}" for n in range(6)]
    assert shelf.waiting([], limit=5) == []
    shelf.close()


def test_asking_twice_with_one_id_asks_once(house):
    async def act():
        async with House(house, logger()) as site:
            one = site.ask("1011", id_="same")
            site.ask("1061", id_="same")
            assert (await site.ended(one)).cn == "1011"
            assert len(site.book.waiting()) == 0
            assert site.gateway.counts["commands"] == 1

    play(act)


def test_a_lost_line_begins_again_what_is_safe_and_not_what_is_not(house):
    async def act():
        async with House(house, logger(), timing=Timing(30, 3, 30, 30)) as site:
            site.fleet.site = 100.0
            wash = site.ask("3013", "PolId=a21002")
            await site.ended(wash, ("sent",))
            await asyncio.sleep(0.1)
            for line in list(site.gateway.connections):
                line.transport.abort()
            found = await site.ended(wash)
            assert (found.state, found.result["why"]) == ("failed", "line")

    play(act)


def test_a_gateway_that_starts_anew_finds_what_the_old_one_had_taken(house):
    async def act():
        async with House(house, logger()) as site:
            await site.do("1011")
            site.stop.set()
            await site.running
            read, wash = site.ask("1061"), site.ask("3013", "PolId=a21002")
            now = datetime.now(UTC)
            assert site.book.take(read, "gateway", now)
            assert not site.book.take(wash, "gateway", now), "one at a time"
            await site.gateway.stop()
            site.gateway = site.make()
            site.port = await site.gateway.start("127.0.0.1", 0)
            site.connect()
            assert (await site.ended(read)).state == "done"
            assert (await site.ended(wash)).state == "done"
            site.stop.set()
            await site.running
            other = site.ask("3013", "PolId=a21002")
            assert site.book.take(other, "gateway", now)
            await site.gateway.stop()
            site.gateway = site.make()
            site.port = await site.gateway.start("127.0.0.1", 0)
            found = await site.ended(other)
            assert (found.state, found.result["why"]) == ("failed", "restart")

    play(act)


def test_a_device_that_asks_for_the_time_gets_it(house, frame):
    async def act():
        async with House(house, logger()) as site:
            site.stop.set()
            await site.running
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            text = hj212.segment(
                cn="1013", st="31", mn=MN, pw="123456", qn=hj212.qn(datetime.now(UTC)), flag=5,
                cp="PolId=a21002",
            )  # fmt: skip
            writer.write(hj212.frame(text))
            cutter, got = hj212.Reader(), []
            while len(got) < 2:
                got += [hj212.decode(f) for f in cutter.feed(await reader.read(4096))]
            assert [m.cn for m in got] == ["9013", "1012"]
            assert abs((hj212.moment(got[1].params["SystemTime"]) - datetime.now(UTC)).total_seconds()) < 3  # fmt: skip
            assert got[1].params["PolId"] == "a21002"
            writer.close()

    play(act)


def test_a_device_that_asks_for_a_key_is_written_down(house, frame):
    async def act():
        async with House(house, logger()) as site:
            site.stop.set()
            await site.running
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            text = hj212.segment(
                cn="1014", st="31", mn=MN, pw="123456", qn=hj212.qn(datetime.now(UTC)), flag=9,
                cp="SKCreateTime=20260310120000",
            )  # fmt: skip
            for _ in range(2):
                writer.write(hj212.frame(text))
                answer = hj212.decode((await reader.readuntil(b"\n")).rstrip())
                assert answer.cn in ("9013", "9014")  # by the version that is registered
            for _ in range(500):
                if site.book.wishes():
                    break
                await asyncio.sleep(0.01)
            ((mn, cn, st, at),) = site.book.wishes()
            assert (mn, cn, st) == (MN, "1014", "31")
            site.book.settled(mn, cn, at)
            assert site.book.wishes() == []
            writer.close()

    play(act)


def test_the_book_remembers_devices_errors_and_strangers(house, frame, monkeypatch):
    monkeypatch.setattr(desk, "WRITE", 0.05)
    monkeypatch.setattr(desk, "AGAIN", 0.0)

    async def act():
        async with House(house, logger()) as site:
            for _ in range(500):
                seen = site.book.devices().get(MN)
                if seen and seen.accepted:
                    break
                await asyncio.sleep(0.02)
            assert seen.connected
            assert seen.last is not None
            assert b"MN=" + MN.encode() in seen.raw
            _reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(frame(mn=MN, pw="000000") + b"\r\n" + frame(mn="F" * 24) + b"\r\n")
            writer.write(frame(mn="F" * 24, cn="2011", values={"w01018": "3"}) + b"\r\n")
            for _ in range(500):
                if site.book.strangers() and site.book.devices()[MN].bad:
                    break
                await asyncio.sleep(0.02)
            seen = site.book.devices()[MN]
            assert (seen.reason, seen.connected) == ("password", True)
            assert ("password", 1) in [(k, n) for _, k, n, _ in site.book.errors(0, MN)]
            await asyncio.sleep(0.2)
            (stranger,) = site.book.strangers()
            assert (stranger.mn, stranger.count) == ("F" * 24, 2)
            assert stranger.seen == {"st": ["31"], "cn": ["2011", "2061"], "factors": ["a21026", "w01018"]}  # fmt: skip
            writer.close()
            site.stop.set()
            await site.running
            for _ in range(500):
                if not site.book.devices()[MN].connected:
                    break
                await asyncio.sleep(0.02)
            assert not site.book.devices()[MN].connected

    play(act)


def test_what_names_no_device_is_charged_to_the_only_one_of_the_line(house, frame, monkeypatch):
    monkeypatch.setattr(desk, "WRITE", 0.05)
    long = hj212.frame(b"x" * 9997 + b"&&")

    async def act():
        async with House(house, logger()) as site:
            _, stranger = await asyncio.open_connection("127.0.0.1", site.port)
            stranger.write(b"x" * 11_000 + long)  # of nobody
            _, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(frame(mn=MN) + b"\r\n" + long + frame(mn=MN) + b"\r\n")
            writer.write(b"x" * 80_000)
            for _ in range(500):
                found = {kind: n for _, kind, n, _ in site.book.errors(0, MN)}
                if "cut:rubbish" in found:
                    break
                await asyncio.sleep(0.02)
            assert found.pop("rubbish") in (7, 8), "what was read before the cut, by 10 kB"
            assert found == {"cut:rubbish": 1, "oversized": 1}
            stranger.close()
            writer.close()

    play(act)


def test_split_packets_that_never_end_are_bounded_and_counted(house):
    async def act():
        async with House(house, logger()) as site:
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            now = datetime.now(UTC)
            for n in range(200):
                text = hj212.segment(
                    cn="2061", st="31", mn=MN, pw="123456", qn=hj212.qn(now + timedelta(milliseconds=n)),
                    flag=5, pnum=9999, pno=n + 1,
                    cp=f"DataTime={hj212.seconds(now - timedelta(hours=n % 50))};a21026-Avg={n}",
                )  # fmt: skip
                writer.write(hj212.frame(text))
            cutter, answers = hj212.Reader(), 0
            while answers < 200:
                answers += len(cutter.feed(await reader.read(1 << 16)))
            line = next(c for c in site.gateway.connections if c.parts is not None)
            assert line.parts.open <= desk.SPLIT_OPEN
            assert site.gateway.counts["split:incomplete"] >= 200 - desk.SPLIT_OPEN - 150
            assert len(site.telegrams("2061")) == 200, "each packet is kept as it came"
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    play(act)


def test_split_packets_of_all_connections_together_are_bounded(house):
    """Each holds less than it may, many hold more than all may: the largest gives up its oldest."""

    async def act():
        async with House(house, logger()) as site:
            site.gateway.desk.split_limit = 20_000
            now = datetime.now(UTC)
            lines = []
            for k in range(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
                lines.append((reader, writer))
                for n in range(3 if k else 30):
                    at = hj212.seconds(now - timedelta(hours=10 * k + n % 5))
                    text = hj212.segment(
                        cn="2061", st="31", mn=MN, pw="123456",
                        qn=hj212.qn(now + timedelta(milliseconds=100 * k + n)), flag=5, pnum=99,
                        pno=n + 1, cp=f"DataTime={at};" + ";".join(f"a{c}-Avg=1" for c in range(21001, 21061)),
                    )  # fmt: skip
                    writer.write(hj212.frame(text))
                cutter, answers = hj212.Reader(), 0
                while answers < (3 if k else 30):
                    answers += len(cutter.feed(await reader.read(1 << 16)))
            desk_ = site.gateway.desk
            held = [c.parts.size for c in site.gateway.connections if c.parts is not None]
            assert sum(held) == desk_.split_bytes <= 20_000
            assert len(held) == 5
            assert min(held) > 0, "who holds little keeps it"
            assert site.gateway.counts["split:incomplete"] > 0
            for _, writer in lines:
                writer.close()
            for _ in range(200):
                if desk_.split_bytes == 0:
                    break
                await asyncio.sleep(0.02)
            assert (desk_.split_bytes, desk_._splitting) == (0, set())

    play(act)


def test_a_broken_book_stops_no_telegram(house, frame):
    (house.root).mkdir(parents=True, exist_ok=True)
    (house.root / book.NAME).write_bytes(b"this is no database" * 100)

    async def act():
        site = House(house, logger())
        site.gateway = site.make()
        port = await site.gateway.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(frame(mn=MN) + b"\r\n")
        (answer,) = hj212.Reader().feed(await reader.read(4096))
        assert hj212.decode(answer).cn == "9014"
        assert "devices.sqlite" in site.gateway.desk.problem
        writer.close()
        await site.gateway.stop()

    play(act)
