"""One dialogue, message by message, with a clock of the test's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingwei import hj212
from jingwei.hj212 import Message
from jingwei.telemetry.dialogue import WHY, Dialogue, Order, Timing

MN = "010000A8900016F000169DC0"
WALL = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
TIMING = Timing(answer=10, tries=3, silence=60, act=600, longest=3600)


def dialogue(cn="1011", cp="", version="2017", **more):
    order = Order("1", MN, "31", cn, cp, version, "123456", **more)
    return Dialogue(order, 0.0, lambda: WALL, TIMING)


def answer(talk, cn, **params):
    """What the device says, as the gateway would have read it off the wire."""
    version = talk.order.version
    request = hj212.decode(talk.frame(), version=version)
    return hj212.decode(hj212.answer(cn, request, **params), version=version)


def data(talk, cn, when, qn=None, **more):
    items = (("a21026", {"Avg": "1.5", "Flag": "N"}),)
    return Message(
        True, version=talk.order.version, qn=qn or "20260310120000001", st="31", cn=cn, mn=MN,
        data_time=when, items=tuple(hj212.Item(c, dict(f)) for c, f in items), **more,
    )  # fmt: skip


@pytest.mark.parametrize("version", ["2005", "2017", "2025"])
def test_request_accept_data_result(version):
    talk = dialogue(version=version)
    request = hj212.decode(talk.tick(0.0), version=version)
    assert request.ok, request.error
    assert (request.cn, request.mn, request.pw, request.qn) == ("1011", MN, "123456", talk.qn)
    assert request.wants_answer
    assert talk.tick(1.0) is None
    assert talk.hear(answer(talk, "9011", QnRtn=1), 2.0)
    assert talk.state == "accepted"
    up = hj212.upload(
        "1011", version=version, st="31", mn=MN, pw="123456", number=talk.qn, answer=False,
        params={"SystemTime": WALL} | ({"QN": talk.qn} if version == "2005" else {}),
    )  # fmt: skip
    assert talk.hear(hj212.decode(hj212.frame(up), version=version), 3.0)
    assert talk.hear(answer(talk, "9012", ExeRtn=1), 4.0)
    assert talk.state == "done"
    assert talk.result["content"][0]["params"]["SystemTime"] == "20260310120000"
    assert (talk.result["QnRtn"], talk.result["ExeRtn"]) == (1, 1)
    assert not talk.hear(answer(talk, "9012", ExeRtn=2), 5.0), "it is over"


def test_an_unanswered_request_goes_out_three_times_with_one_qn():
    talk = dialogue()
    sent = {float(t): f for t in range(60) if (f := talk.tick(float(t)))}
    assert list(sent) == [0.0, 10.0, 20.0]
    assert len({hj212.decode(f).qn for f in sent.values()}) == 1
    assert (talk.state, talk.result["why"]) == ("failed", "no_answer")


@pytest.mark.parametrize(
    ("rtn", "state"), [(1, "accepted"), (2, "refused"), (3, "refused"), (100, "refused")]
)
def test_what_the_device_says_to_the_request(rtn, state):
    talk = dialogue()
    talk.tick(0.0)
    talk.hear(answer(talk, "9011", QnRtn=rtn), 1.0)
    assert (talk.state, talk.result["QnRtn"]) == (state, rtn)


@pytest.mark.parametrize(
    ("rtn", "state", "why"),
    [(1, "done", None), (2, "failed", "execution"), (5, "failed", "execution"), (100, "done", "no_data")],
)  # fmt: skip
def test_how_the_device_says_it_ended(rtn, state, why):
    talk = dialogue()
    talk.tick(0.0)
    talk.hear(answer(talk, "9012", ExeRtn=rtn), 1.0)
    assert (talk.state, talk.result.get("why")) == (state, why)
    assert why is None or why in WHY


def test_a_notice_is_done_with_9013():
    talk = dialogue("2012")
    talk.tick(0.0)
    assert talk.hear(answer(talk, "9013"), 1.0)
    assert talk.state == "done"


def test_another_dialogue_s_answers_are_not_taken():
    talk = dialogue()
    talk.tick(0.0)
    other = Dialogue(talk.order, 0.0, lambda: WALL, TIMING, qn="20200101000000000")
    assert not talk.hear(answer(other, "9011", QnRtn=1), 1.0)
    assert not talk.hear(data(talk, "2061", "20260310100000"), 1.0)
    assert talk.state == "sent"


def test_history_counts_what_lies_in_its_time():
    talk = dialogue("2061", "BeginTime=20260310000000;EndTime=20260310030000")
    talk.tick(0.0)
    talk.hear(answer(talk, "9011", QnRtn=1), 1.0)
    for hour in range(4):
        assert talk.hear(data(talk, "2061", f"202603100{hour}0000"), 2.0 + hour)
    assert not talk.hear(data(talk, "2061", "20260310120000"), 7.0), "the present hour"
    assert not talk.hear(data(talk, "2051", "20260310010000"), 7.0)
    packet = data(talk, "2061", "20260310020000", pnum=2, pno=1)
    assert talk.hear(packet, 8.0)
    assert talk.result["telegrams"] == 4, "a packet counts when its telegram is whole"
    talk.hear(answer(talk, "9012", ExeRtn=1), 9.0)
    assert talk.state == "done"
    assert talk.result["periods"] == 4
    assert talk.result["first"] == "2026-03-09T16:00:00+00:00"
    assert "content" not in talk.result, "the data are in the journal"


def test_history_that_goes_to_no_lake_is_kept_with_its_command():
    talk = dialogue("2062", "BeginTime=20260310000000;EndTime=20260310030000")
    talk.tick(0.0)
    talk.hear(answer(talk, "9011", QnRtn=1), 1.0)
    assert talk.hear(data(talk, "2062", "20260310010000"), 2.0)
    (content,) = talk.result["content"]
    assert content["time"] == "20260310010000"
    assert content["items"] == [{"code": "a21026", "Avg": "1.5", "Flag": "N"}]


def test_silence_after_data_ends_it_and_after_nothing_fails_it():
    talk = dialogue("2061", "BeginTime=20260310000000;EndTime=20260310030000")
    talk.tick(0.0)
    talk.hear(data(talk, "2061", "20260310010000"), 1.0)
    assert talk.state == "accepted", "data came without 9011"
    assert talk.tick(60.0) is None
    assert talk.state == "accepted"
    talk.tick(62.0)
    assert (talk.state, talk.result["why"]) == ("done", "no_result")
    talk = dialogue()
    talk.tick(0.0)
    talk.hear(answer(talk, "9011", QnRtn=1), 1.0)
    talk.tick(62.0)
    assert (talk.state, talk.result["why"]) == ("failed", "no_result")


def test_what_is_done_at_the_site_has_more_time():
    talk = dialogue("3011", "PolId=a21026")
    talk.tick(0.0)
    talk.hear(answer(talk, "9011", QnRtn=1), 1.0)
    talk.tick(500.0)
    assert talk.state == "accepted"
    talk.tick(700.0)
    assert talk.state == "failed"


def test_unasked_realtime_data_do_not_keep_a_dialogue_alive():
    talk = dialogue("2011")
    talk.tick(0.0)
    talk.hear(answer(talk, "9011", QnRtn=1), 1.0)
    for second in range(2, 62, 10):
        talk.hear(data(talk, "2011", f"2026031012{second:02}00"), float(second))
        talk.tick(float(second))
    talk.tick(62.0)
    assert talk.state == "done"


def test_the_time_is_that_of_the_sending():
    times = iter([WALL, WALL, WALL.replace(second=40)])
    talk = Dialogue(
        Order("1", MN, "31", "1012", "SystemTime={now}", "2017", "123456"), 0.0,
        lambda: next(times), TIMING,
    )  # fmt: skip
    assert b"SystemTime=20260310120000" in talk.tick(0.0)
    assert b"SystemTime=20260310120040" in talk.tick(20.0)


def test_a_new_key_goes_out_under_the_old_one():
    old = b"0123456789abcdef"
    talk = dialogue("1014", "SKCreateTime=20260310120000000;NewSK=fedcba9876543210", "2025", key=old)  # fmt: skip
    frame = talk.tick(0.0)
    assert b"fedcba9876543210" not in frame
    assert hj212.decode(frame, key=old).params["NewSK"] == "fedcba9876543210"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["9011", "9012", "9013", "9014", "2061", "1011"]),
            st.integers(-5, 120),
            st.sampled_from(["1", "2", "100", "", "x", "１", "99999999999"]),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_whatever_a_device_says_the_dialogue_ends_once_and_in_time(said):
    talk = dialogue("2061", "BeginTime=20260310000000;EndTime=20260310030000")
    now, ended = 0.0, 0
    for cn, seconds, code, own in said:
        now += abs(seconds)
        talk.tick(now)
        was = talk.over
        talk.hear(
            Message(
                True, version="2017", qn=talk.qn if own else "1", cn=cn, mn=MN, st="31",
                params={"QnRtn": code, "ExeRtn": code}, data_time="20260310010000",
            ),
            now,
        )  # fmt: skip
        ended += talk.over and not was
    while not talk.over:
        now += 5
        talk.tick(now)
        assert now < 5000
    assert talk.state in ("done", "refused", "failed")
    assert ended <= 1


def test_data_sent_as_an_interaction_are_taken():
    """lua-HJ212 answers 1061 with ST=91, the system of the interaction commands."""
    talk = dialogue("1061")
    talk.tick(0.0)
    talk.hear(answer(talk, "9011", QnRtn=1), 1.0)
    said = f"QN={talk.qn};ST=91;CN=1061;PW=123456;MN={MN};Flag=4;CP=&&RtdInterval=30&&"
    assert talk.hear(hj212.decode(hj212.frame(said)), 2.0)
    assert talk.result["content"][0]["params"] == {"RtdInterval": "30"}
