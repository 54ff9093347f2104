"""The client against small servers on a real socket: acknowledgement, repetition, back-fill."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from jingwei import hj212
from jingwei.demo import catalogue
from jingwei.telemetry import replay
from jingwei.telemetry.replay_client import Clock, Delivered, Fleet

PLAYER = replay.Player(replay.Library(catalogue.DATA))
CHANNELS = (
    replay.Channel("a21002", "gas_turbine", "NOX", 0.5, reference_o2=15, mass=True),
    replay.Channel("a19001", "gas_turbine", "TEY", -0.02, 17.6),
    replay.Channel("a00000", "gas_turbine", "CDP", 30, mass=True),
)


def device(number=1, **rest):
    return replay.Device(f"{number:024d}", "31", "123456", CHANNELS, f"device {number}", **rest)


class Server:
    """Acknowledges what `answers` says; keeps every message in order."""

    def __init__(self, answers=lambda message, count: True):
        self.answers = answers
        self.messages = []
        self.connections = 0
        self.hang_up_after = None

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader, writer):
        self.connections += 1
        frames = hj212.Reader()
        taken = 0
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(4096):
                for frame in frames.feed(data):
                    message = hj212.decode(frame)
                    assert message.ok, message.error
                    self.messages.append(message)
                    taken += 1
                    answer = self.answers(message, len(self.messages))
                    if answer:
                        told = message if answer is True else answer
                        writer.write(hj212.answer("9014", told))
                    await writer.drain()
                    if taken == self.hang_up_after:
                        writer.close()
                        return
        writer.close()

    def of(self, cn):
        return [m for m in self.messages if m.cn == cn]


def ago(**span):
    return datetime.now(UTC) - timedelta(**span)


def fleet(server, devices, delivered, **rest):
    return Fleet(
        PLAYER, devices, "127.0.0.1", server.port, delivered=delivered,
        **{"answer_timeout": 5.0, "once": True, **rest},
    )  # fmt: skip


def test_once_sends_state_realtime_and_all_that_is_due(tmp_path):
    async def main():
        begun = datetime.now(UTC)
        since = ago(hours=26)
        async with Server() as server:
            done = Delivered(tmp_path / "state.json", since)
            found = fleet(server, [device(1), device(2)], done)
            counts = await found.run()
            assert found.failed == 0
        first = f"{1:024d}"
        mine = [m for m in server.messages if m.mn == first]
        assert [m.cn for m in mine[:2]] == ["2021", "2011"]
        hours = [m.time for m in mine if m.cn == "2061"]
        first_hour = since.replace(minute=0, second=0, microsecond=0)
        ended = list(replay.periods(first_hour, datetime.now(UTC), "hour"))
        due = [h for h in ended if device(1).due(h, "hour") <= begun]
        assert len(due) >= 25
        assert hours[: len(due)] == due
        assert hours == ended[: len(hours)]
        assert len([m for m in mine if m.cn == "2031"]) in (0, 1, 2)
        assert len([m for m in mine if m.cn == "2051"]) >= 150
        # What arrives is what the pure function says.
        hour = next(m for m in mine if m.cn == "2061")
        said = PLAYER.observe(device(1), hour.time, "hour")
        assert [(i.code, i.fields) for i in hour.items] == said
        assert counts.delivered == counts.sent == len(server.messages)
        assert len({m.qn for m in mine}) == len(mine)
        assert counts.unanswered == 0

    asyncio.run(main())


def test_what_was_delivered_is_not_sent_again(tmp_path):
    async def main():
        path = tmp_path / "state.json"
        async with Server() as server:
            await fleet(server, [device()], Delivered(path, ago(hours=3))).run()
            before = len(server.of("2061"))
            assert before in (2, 3)
            # `since` no longer counts: the file knows the device.
            await fleet(server, [device()], Delivered(path, ago(hours=30))).run()
        assert len(server.of("2061")) <= before + 1
        assert len(server.of("2011")) == 2

    asyncio.run(main())


def test_a_pause_is_filled_with_old_data_times(tmp_path):
    path = tmp_path / "state.json"
    end = replay.floor(ago(hours=9), "hour")
    path.write_text(json.dumps({"delivered": {device().key: {"hour": end}}}))

    async def main():
        async with Server() as server:
            await fleet(
                server, [device()], Delivered(path, ago(minutes=1)), resolutions=("hour",)
            ).run()
        times = [int(m.time.timestamp()) for m in server.of("2061")]
        assert times[0] == end
        assert times == list(range(end, end + 3600 * len(times), 3600))
        assert len(times) in (8, 9)

    asyncio.run(main())


def test_the_back_fill_has_an_end():
    async def main():
        async with Server() as server:
            back = {"hour": timedelta(hours=5)}
            await fleet(
                server, [device()], Delivered(None, ago(days=900)), resolutions=("hour",), back=back
            ).run()
        assert 4 <= len(server.of("2061")) <= 6

    asyncio.run(main())


def test_without_an_answer_it_sends_again():
    """The first real-time telegram gets no answer; the second, the same bytes, gets one."""

    async def main():
        def answers(message, count):
            return count != 2

        async with Server(answers) as server:
            found = fleet(
                server, [device()], Delivered(None, ago(seconds=1)),
                resolutions=("hour",), answer_timeout=0.1,
            )  # fmt: skip
            counts = await found.run()
        first, second = server.of("2011")
        assert first.raw == second.raw
        assert counts.unanswered == 1
        assert found.failed == 0

    asyncio.run(main())


def test_an_answer_to_something_else_does_not_count():
    async def main():
        async with Server() as server:
            # The second telegram is answered with the QN of the first.
            server.answers = lambda message, count: server.messages[0] if count == 2 else True
            found = fleet(
                server, [device()], Delivered(None, ago(seconds=1)),
                resolutions=("hour",), answer_timeout=0.2,
            )  # fmt: skip
            counts = await found.run()
        assert counts.unanswered == 1
        assert len(server.of("2011")) == 2

    asyncio.run(main())


def test_no_answer_at_all_is_reported_and_nothing_counts_as_delivered(monkeypatch, tmp_path):
    async def main():
        async with Server(lambda message, count: False) as server:
            done = Delivered(tmp_path / "s.json", ago(hours=3))
            found = fleet(server, [device()], done, answer_timeout=0.05)
            counts = await asyncio.wait_for(found.run(), 60)
        assert found.failed == 1
        assert counts.delivered == 0
        assert "no answer to 3 telegrams" in counts.problem
        assert server.connections == 3
        assert not (tmp_path / "s.json").exists()

    asyncio.run(main())


def test_nobody_listens():
    async def main():
        async with Server() as server:
            pass  # a port that was free a moment ago
        found = fleet(server, [device()], Delivered(None, ago(hours=1)))
        counts = await asyncio.wait_for(found.run(), 60)
        assert found.failed == 1
        assert f"127.0.0.1:{server.port}" in counts.problem

    asyncio.run(main())


def test_it_connects_anew_and_loses_nothing():
    async def main():
        async with Server() as server:
            server.hang_up_after = 4
            await fleet(
                server, [device()], Delivered(None, ago(hours=7)), resolutions=("hour",)
            ).run()
        # An hour whose answer was lost with the connection may come twice, none is missing.
        times = sorted({m.time for m in server.of("2061")})
        assert len(times) in (6, 7)
        assert all(b - a == timedelta(hours=1) for a, b in pairwise(times))
        assert server.connections > 1

    asyncio.run(main())


def test_a_silent_device_does_not_connect():
    async def main():
        now = int(datetime.now(UTC).timestamp())
        silent = device(silent=((now - 100, now + 1000),))
        async with Server() as server:
            await fleet(server, [silent], Delivered(None, ago(hours=3))).run()
        assert server.connections == 0

    asyncio.run(main())


def test_stop_ends_it_cleanly(tmp_path):
    async def main():
        stop = asyncio.Event()
        path = tmp_path / "state.json"

        def told(counts):
            if counts.delivered > 20:
                stop.set()

        async with Server() as server:
            found = fleet(server, [device()], Delivered(path, ago(hours=40)), once=False)
            await asyncio.wait_for(found.run(stop, told, every=0.02), 60)
            await asyncio.sleep(0.1)
            count = len(server.messages)
            await asyncio.sleep(0.2)
            assert len(server.messages) == count
        kept = json.loads(path.read_text())["delivered"][device().key]
        assert kept["hour"] == max(int(m.time.timestamp()) for m in server.of("2061")) + 3600 or (
            # the last one may have been under way when it stopped
            kept["hour"] == max(int(m.time.timestamp()) for m in server.of("2061"))
        )

    asyncio.run(main())


def test_live_it_sends_realtime_again_and_again():
    async def main():
        stop = asyncio.Event()
        clock = Clock(ago(hours=3), 3600.0)  # an hour a second

        def told(counts):
            if len(server.of("2061")) >= 2 and len(server.of("2011")) >= 2:
                stop.set()

        async with Server() as server:
            done = Delivered(None, ago(hours=3))
            found = fleet(server, [device()], done, once=False, clock=clock)
            await asyncio.wait_for(found.run(stop, told, every=0.05), 60)
        moments = [m.time for m in server.of("2011")]
        assert moments == sorted(moments)
        # No hour is reported before it has ended on the replay's clock.
        for m in server.of("2061"):
            sent = hj212.moment(m.qn[:14])
            assert sent >= m.time + timedelta(hours=1)

    asyncio.run(main())


def test_clock():
    real = Clock()
    assert abs((real.now() - datetime.now(UTC)).total_seconds()) < 1
    assert 9 < real.wait(real.now() + timedelta(seconds=10)) <= 10
    fast = Clock(ago(hours=1), 60.0)
    assert fast.now() < ago(minutes=58)
    assert 9 < fast.wait(fast.now() + timedelta(minutes=10)) <= 10
    # Past the moment at which it has caught up it runs at the real pace.
    ahead = datetime.now(UTC) + timedelta(hours=1)
    assert 3590 < fast.wait(ahead) <= 3601
    caught = Clock(ago(seconds=1), 1e6)
    assert caught.wait(caught.now() - timedelta(seconds=1)) == 0
    assert caught.now() <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["{", "[]", '{"delivered": {"x": {"hour": "soon"}}}'])
def test_a_broken_state_file_is_named_and_passed_over(tmp_path, text, caplog):
    path = tmp_path / "state.json"
    path.write_text(text)
    since = ago(hours=1)
    assert Delivered(path, since).end("x", "hour") == replay.floor(since, "hour")
    assert "state.json cannot be read" in caplog.text
