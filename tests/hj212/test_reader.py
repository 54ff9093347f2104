"""Frames out of a stream: by declared length only, however the bytes arrive."""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jingwei.hj212 import Reader, Rubbish, decode, frame

from .samples import HEAD, rows

FRAMES = [r["raw"].encode() for r in rows() if r["kind"] == "frame" and r["length_ok"]]
SHORT = frame("QN=20240601085857223;ST=91;CN=9014;PW=123456;MN=M1;Flag=4;CP=&&&&").rstrip()
TRAPS = [
    frame(f"{HEAD}CP=&&".encode() + bytes(part) + b"&&").rstrip()
    for part in (b"&&1C80\r\n##0005", SHORT + b"\r\n" + SHORT, b"##", b"\r\n", b"&&", b"**")
]

Parts = list[bytes | Rubbish]


def _all(stream: bytes, **options: int) -> Parts:
    reader = Reader(**options)
    return reader.feed(stream) + reader.flush()


def _piecewise(stream: bytes, cuts: list[int], **options: int) -> Parts:
    reader = Reader(**options)
    parts: Parts = []
    places = [0, *sorted(c % (len(stream) + 1) for c in cuts), len(stream)]
    for start, stop in itertools.pairwise(places):
        parts += reader.feed(stream[start:stop])
    return parts + reader.flush()


def _bytes(parts: Parts) -> bytes:
    return b"".join(p.data if isinstance(p, Rubbish) else p for p in parts)


pieces = st.one_of(
    st.sampled_from(FRAMES),
    st.sampled_from(TRAPS),
    st.binary(max_size=40),
    st.sampled_from(
        [b"##", b"##0", b"##9999", b"##0012", b"###", b"&&", b"\r\n", b"**", b"##0000"]
    ),
    st.sampled_from(FRAMES).flatmap(lambda f: st.integers(0, len(f)).map(lambda n: f[:n])),
)
streams = st.lists(
    st.tuples(pieces, st.sampled_from([b"\r\n", b"", b"\n", b"**"])), max_size=12
).map(lambda parts: b"".join(a + b for a, b in parts))


@settings(max_examples=300, deadline=None)
@given(streams, st.lists(st.integers(0, 5000), max_size=10))
@example(b"##0012" + SHORT + b"\r\n", [3])
def test_the_way_it_arrives_changes_nothing(stream: bytes, cuts: list[int]) -> None:
    whole = _all(stream)
    assert _piecewise(stream, cuts) == whole
    assert _piecewise(stream, list(range(len(stream)))) == whole
    # Nothing is lost but line ends and stars between frames.
    left = iter(stream)
    assert all(byte in left for byte in _bytes(whole))
    missing = len(stream) - len(_bytes(whole))
    assert missing <= sum(stream.count(c) for c in (b"\r", b"\n", b"*"))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 1000])
def test_limited_rubbish_is_cut_the_same_however_it_arrives(size: int) -> None:
    stream = b"noise\r\n##12x4" + b"z" * 100 + b"\r\n" + SHORT + b"#" * 20 + SHORT + b"tail"
    whole = _all(stream, max_rubbish=size)
    assert _piecewise(stream, list(range(len(stream))), max_rubbish=size) == whole
    rubbish = [p for p in whole if isinstance(p, Rubbish)]
    assert max(len(p.data) for p in rubbish) <= size
    assert [p for p in whole if not isinstance(p, Rubbish)] == [SHORT, SHORT]


def test_a_capture_cut_at_every_byte() -> None:
    frames = [FRAMES[0], TRAPS[0], SHORT]
    stream = b"\r\n".join(frames) + b"\r\n"
    for cut in range(len(stream) + 1):
        first = Reader()
        head = first.feed(stream[:cut])
        assert head + first.feed(stream[cut:]) == frames
        assert first.flush() == []
        # The same with the connection lost at the cut: what was complete stays complete.
        second = Reader()
        parts = second.feed(stream[:cut])
        assert parts == frames[: len(parts)]
        held = second.pending
        rest = second.flush()
        assert sum(len(r.data) for r in rest if isinstance(r, Rubbish)) == held == len(_bytes(rest))
        assert second.pending == 0


def test_a_frame_is_handed_out_before_its_line_end() -> None:
    assert Reader().feed(SHORT) == [SHORT]


@pytest.mark.parametrize("trap", TRAPS)
def test_nothing_inside_a_frame_ends_it(trap: bytes) -> None:
    assert _all(trap + b"\r\n" + SHORT) == [trap, SHORT]


def test_a_segment_of_9999_bytes() -> None:
    body = f"{HEAD}CP=&&".encode()
    longest = frame(body + b"x" * (9999 - len(body) - 2) + b"&&")
    assert longest.startswith(b"##9999")
    assert _all(longest) == [longest.rstrip()]
    assert _piecewise(longest, list(range(0, 10013, 7))) == [longest.rstrip()]
    with pytest.raises(ValueError, match="at most 9999"):
        frame(body + b"x" * 9999 + b"&&")
    small = _all(longest + SHORT, max_segment=1024)
    assert isinstance(small[0], Rubbish)
    assert "over the limit of 1024" in small[0].reason
    assert small[-1] == SHORT


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (b"hello", "no '##' where a frame should begin"),
        (b"#", "no four digits of length behind '##'"),
        (b"##12a4 something", "no four digits of length behind '##'"),
        (b"##0012", "no check sum behind the declared length 12"),
        (b"##0136ST=32;CN=2011;PW=123456;MN=LD130133000015;CP=", "no check sum"),
        (b"##0003QN=20240601085857223;ST=91;CN=9014;CP=&&&&1C80", "no check sum"),
    ],
)
def test_it_goes_on_at_the_next_frame(before: bytes, reason: str) -> None:
    parts = _all(before + SHORT + b"\r\n" + SHORT + b"\r\n")
    assert parts[1:] == [SHORT, SHORT]
    assert isinstance(parts[0], Rubbish)
    assert parts[0].data == before
    assert parts[0].reason.startswith(reason)


def test_telegrams_cut_off_come_apart_one_by_one() -> None:
    cut = [b"##0136ST=32;CN=2011;CP=\r\n", b"##0139ST=32;CN=2011;CP=\r\n"]
    parts = _all(b"".join(cut) + SHORT * 2)
    assert [p.data for p in parts if isinstance(p, Rubbish)] == cut


def test_unpadded_check_sums_and_glued_telegrams() -> None:
    body = next(
        b for n in range(9999)
        if (b := f"QN=20240601085857223;ST=91;CN=9014;PW=123456;MN={n:x};Flag=4;CP=&&&&")
        and frame(b)[-6:-5] == b"0"
    )  # fmt: skip
    unpadded = frame(body)[:-6] + frame(body)[-5:-2]
    parts = _all(unpadded + b"\r\n" + SHORT + SHORT + b"**" + SHORT)
    assert parts == [unpadded, SHORT, SHORT, SHORT]
    message = decode(unpadded, dialects=frozenset({"unpadded"}))
    assert message.ok
    assert message.crc is not None
    assert message.crc.dialect == "unpadded"


def test_a_length_that_says_too_much_does_not_take_the_next_frames_along() -> None:
    bad = b"##0999" + SHORT[6:] + b"\r\n"
    reader = Reader()
    assert reader.feed(bad + SHORT + b"\r\n" + SHORT + b"\r\n") == []  # by length alone: not yet
    parts = reader.flush()
    assert isinstance(parts[0], Rubbish)
    assert parts[0].data == bad
    assert parts[0].reason.startswith("unfinished: ")
    assert parts[1:] == [SHORT, SHORT]
    assert reader.pending == 0
    # With more bytes than it declares, the same comes out without waiting.
    assert [p for p in Reader().feed(bad + SHORT * 20) if not isinstance(p, Rubbish)] == [
        SHORT
    ] * 20


def test_a_beginning_without_end_holds_no_more_than_a_frame() -> None:
    reader = Reader(max_rubbish=1000)
    most = 0
    for _ in range(300):
        reader.feed(b"##9999" + b"1" * 250)
        most = max(most, reader.pending)
    assert most <= 9999 + 10 + 1000 + 256


def test_work_is_linear_in_the_worst_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    # Counted, not timed: every byte of '#', and every false beginning, is judged a few times only.
    calls = 0
    judge = Reader._judge

    def counted(self: Reader, at: int, end: int) -> tuple[int, str]:
        nonlocal calls
        calls += 1
        return judge(self, at, end)

    monkeypatch.setattr(Reader, "_judge", counted)
    for unit in (b"#", b"##9999", b"##0001", b"##0000"):
        stream = unit * (30_000 // len(unit))
        calls = 0
        _all(stream)
        assert calls <= len(stream) + 1


@pytest.mark.parametrize("options", [{"max_segment": -1}, {"max_rubbish": 0}])
def test_limits_must_make_sense(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="max_"):
        Reader(**options)
