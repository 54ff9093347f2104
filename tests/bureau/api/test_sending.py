"""Observations by REST: the same journal and lake; all or nothing; once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from bureau.monitoring.conftest import City, city, hour, make_point, make_user  # noqa: F401
from jingwei.bureau.accounts.models import User
from jingwei.bureau.api import intake, services
from jingwei.telemetry import envelope, journal
from jingwei.telemetry.journal import JournalError

TIME = "2026-11-20T10:00:00+08:00"


@pytest.fixture
def town(city: City, settings) -> City:  # noqa: F811
    yield city
    for writer in intake._writers.values():
        writer.close()
    intake._writers.clear()


@pytest.fixture
def send(town):
    admin = User.objects.create_superuser("root", password="x" * 12)

    def act(entries, key="", who=None, text=None):
        user = who or User.objects.filter(role="dispatcher").first() or make_user("dispatcher")
        if user.pk not in act.tokens:
            act.tokens[user.pk] = services.issue(
                admin, name="区平台", user=user, scopes=["observations:write"], days=9
            )[1]
        headers = {"authorization": f"Bearer {act.tokens[user.pk]}", "accept-language": "en"}
        headers |= {"idempotency-key": key} if key else {}
        body = text or json.dumps({"observations": entries})
        return Client(headers=headers).post("/api/v1/observations", body, "application/json")

    act.tokens = {}
    return act


def entry(town, k=0, **changes):
    time = datetime.fromisoformat(TIME) + timedelta(hours=k)
    given = {"mn": town.point.mn, "st": town.point.st, "resolution": "hour",
             "time": time.isoformat(), "values": {"a21002": 12.5}}  # fmt: skip
    return given | changes


def raws(town):
    return journal.read(town.root / "journal", limit=1 << 20)


def test_values_are_in_the_lake_with_the_digits_that_were_sent(town, send):
    text = json.dumps({"observations": [entry(town, values={"a21002": "X", "a19001": {
        "value": "6.10", "flag": "N"}, "a21026": {"Avg": "1", "Min": "0.50", "Max": "2"}})]})  # fmt: skip
    answer = send([], text=text.replace('"X"', "12.50"))
    assert answer.status_code == 201, answer.content
    assert answer.json() == {"taken": 1, "values": 3}
    (telegram,) = raws(town)
    items = {i.pop("code"): i for i in json.loads(telegram.raw)["items"]}
    assert items == {
        "a21002": {"Avg": "12.50"}, "a19001": {"Avg": "6.10", "Flag": "N"},
        "a21026": {"Avg": "1", "Min": "0.50", "Max": "2"},
    }  # fmt: skip
    assert dict(envelope.described(telegram.raw)) == {"kind": "rest", "system": "区平台"}
    town.take()
    from jingwei.bureau.monitoring import selectors

    start = datetime(2026, 11, 20, tzinfo=UTC)
    table = selectors.lake().series(town.point.mn, "31", None, "hour", start, start + timedelta(1))
    assert dict(zip(table["factor"].to_pylist(), table["value"].to_pylist(), strict=True)) == {
        "a19001": 6.1, "a21002": 12.5, "a21026": 1.0,
    }  # fmt: skip


def test_the_same_again_is_done_once_with_a_key_and_stored_once_without(town, send):
    first = send([entry(town)], key="k1")
    again = send([entry(town)], key="k1")
    assert (first.json(), first.status_code) == (again.json(), again.status_code)
    assert again["Idempotency-Replayed"] == "true"
    assert len(raws(town)) == 1
    assert send([entry(town, 1)], key="k1").status_code == 422
    send([entry(town)])
    assert len(raws(town)) == 2
    assert town.ingest.step().observations == 1


@pytest.mark.parametrize(
    ("changes", "pointer", "says"),
    [
        ({"mn": "GHOST"}, "/observations/1/mn", "no such device"),
        ({"st": "99"}, "/observations/1/mn", "no such device"),
        ({"time": "2026-11-20T10:00:00"}, "/observations/1/time", "zone"),
        ({"time": "noon"}, "/observations/1/time", "ISO 8601"),
        ({"time": "2126-11-20T10:00:00Z"}, "/observations/1/time", "future"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "/observations/1/time", "before 1990"),
        ({"time": "9999-12-31T23:59:59-12:00"}, "/observations/1/time", "future"),
        ({"values": {"a21002": None}}, "/observations/1/values/a21002", "number"),
        ({"values": {"a/b": [1]}}, "/observations/1/values/a~1b", "number"),
        ({"values": {"a21002": "NaN"}}, "/observations/1/values", "no decimal number"),
        ({"values": {"a21002": "１２"}}, "/observations/1/values", "no decimal number"),
        ({"values": {"a 1": 1}}, "/observations/1/values", "code such as"),
        ({"values": {}}, "/observations/1/values", "at least 1"),
        ({"resolution": "year"}, "/observations/1/resolution", "'hour'"),
        ({"more": 1}, "/observations/1/more", "not permitted"),
        ({"time": TIME}, "/observations/1", "entry 0"),
    ],
)
def test_an_error_names_its_place_and_nothing_is_taken(town, send, changes, pointer, says):
    answer = send([entry(town), entry(town, 1, **changes)], key="k")
    assert answer.status_code == 422, answer.content
    (wrong,) = answer.json()["errors"]
    assert wrong["pointer"] == pointer
    assert says in wrong["detail"]
    assert raws(town) == []
    # A key of a request that failed may be used again.
    assert send([entry(town)], key="k").status_code == 201


def test_all_errors_of_a_request_are_told_at_once(town, send):
    answer = send([entry(town, k, time="?") for k in range(3)])
    assert [e["pointer"] for e in answer.json()["errors"]] == [
        f"/observations/{k}/time" for k in range(3)
    ]


def test_a_token_ends_with_its_user_or_when_the_user_becomes_an_administrator(town, send):
    user = make_user("dispatcher", name="changing")
    assert send([entry(town)], who=user).status_code == 201
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    assert send([entry(town, 1)], who=user).status_code == 401
    User.objects.filter(pk=user.pk).update(is_superuser=False, is_active=False)
    assert send([entry(town, 1)], who=user).status_code == 401
    assert len(raws(town)) == 1


def test_devices_of_others_and_disabled_ones_are_not_found(town, send):
    elsewhere = make_user("district", "110105")
    assert send([entry(town)], who=elsewhere).status_code == 422
    assert send([entry(town)], who=make_user("auditor")).status_code == 403
    town.point.enabled = False
    town.point.save()
    assert send([entry(town)]).status_code == 422
    assert raws(town) == []


def test_a_journal_that_cannot_be_written_takes_nothing_and_says_so(town, send, monkeypatch):
    def full(*_):
        raise JournalError("disk full")

    monkeypatch.setattr(journal.Journal, "append", full)
    answer = send([entry(town)], key="k")
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    monkeypatch.undo()
    assert send([entry(town)], key="k").status_code == 201


def test_many_requests_share_a_segment(town, send):
    before = len(journal.segments(town.root / "journal"))
    for k in range(5):
        assert send([entry(town, -k)]).status_code == 201
    assert len(journal.segments(town.root / "journal")) == before + 1
