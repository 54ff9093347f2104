"""The machine interface: every route demands a token and restricts; what comes in and goes out."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.html import escape

from bureau.cases.city import NOW, bring, build, finding, open_case
from jingwei.bureau.api import interface, services, tasks, words
from jingwei.bureau.api.interface import ACTIONS, api
from jingwei.bureau.api.models import SCOPES, Request, Token
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.registry.models import Region
from jingwei.standards import geo

pytestmark = pytest.mark.django_db
V1 = "/api/v1/"
SQUARE = [[[116.2, 39.8], [116.4, 39.8], [116.4, 40.0], [116.2, 40.0], [116.2, 39.8]]]
PATROL = {
    "kind": "patrol",
    "began": "2026-11-01T08:00:00+08:00",
    "longitude": 116.3,
    "latitude": 39.9,
    "facts": {"means": "drone", "problem": "smoke", "seen": "路边扬尘"},
}


@pytest.fixture
def city(db, data):
    from jingwei.bureau.accounts.models import User

    city = build()
    Region.objects.filter(pk="110108").update(geometry={"type": "Polygon", "coordinates": SQUARE})
    city.admin = User.objects.create_superuser("admin", password="x" * 12)
    return city


def token(city, who="dispatcher", scopes=tuple(SCOPES), days=30) -> str:
    user = city.people[who]
    return services.issue(city.admin, name="s", user=user, scopes=scopes, days=days)[1]


def caller(text: str) -> Client:
    return Client(headers={"authorization": f"Bearer {text}", "accept-language": "en"})


def post(client, path, body, key=""):
    headers = {"idempotency-key": key} if key else {}
    return client.post(V1 + path, json.dumps(body), "application/json", headers=headers)


def operations():
    """(method, path, scope) of everything that the interface offers."""
    for path, methods in api.get_openapi_schema(path_prefix=V1)["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation["x-scope"]


OPERATIONS = list(operations())


def address(city, path: str) -> str:
    point = city.points[0]
    path = path.replace("{mn}", point.mn).replace("{st}", point.st).replace("{pk}", "1")
    return f"{path}?since=2026-11-19T00:00:00Z" if path.endswith("observations") else path


def send(client, city, method, path):
    body = {"data": json.dumps({}), "content_type": "application/json"} if method == "post" else {}
    return getattr(client, method)(address(city, path), **body)


def test_every_operation_is_here():
    assert len(OPERATIONS) == 10
    assert {scope for _m, _p, scope in OPERATIONS} == set(SCOPES) == set(ACTIONS)


@pytest.mark.parametrize(("method", "path", "scope"), OPERATIONS)
def test_every_route_demands_a_good_token_with_its_scope(city, method, path, scope):
    text = token(city, scopes=[scope])
    expired, revoked = token(city, scopes=[scope]), token(city, scopes=[scope])
    Token.objects.filter(hint=expired[:9]).update(expires=timezone.now())
    services.revoke(city.admin, Token.objects.get(hint=revoked[:9]).pk, "人员离岗")
    session = Client()
    session.force_login(city.dispatcher)
    for client in (Client(), session, caller("jw_x"), caller(expired), caller(revoked)):
        answer = send(client, city, method, path)
        assert answer.status_code == 401
        assert answer["Content-Type"] == "application/problem+json"
        assert answer["WWW-Authenticate"] == "Bearer"
        assert answer.json()["status"] == 401
    others = caller(token(city, scopes=sorted(set(SCOPES) - {scope})))
    answer = send(others, city, method, path)
    assert answer.status_code == 403
    assert scope in answer.json()["detail"]
    fine = send(caller(text), city, method, path)
    assert fine.status_code in (200, 404, 422)
    city.dispatcher.is_active = False
    city.dispatcher.save()
    assert send(caller(text), city, method, path).status_code == 401


def test_rows_are_those_of_the_user_for_whom_the_token_acts(city):
    mine, theirs = finding(city, 1, 0), finding(city, 2, 1)
    case = open_case(city, 3, 0)
    bring(city, case, "issued")
    for who, visible in (
        ("dispatcher", {mine.pk, theirs.pk, case.findings.get().pk}),
        ("district", {mine.pk, case.findings.get().pk}),
        ("district2", {theirs.pk}),
        ("enterprise2", {theirs.pk}),
    ):
        scopes = [s for s in SCOPES if s != "findings:write"]
        client = caller(token(city, who, scopes))
        assert {f["id"] for f in client.get(V1 + "findings").json()["items"]} == visible, who
        one = client.get(f"{V1}findings/{mine.pk}").status_code
        assert one == (200 if mine.pk in visible else 404)
        there = who in ("dispatcher", "district")
        assert bool(client.get(V1 + "cases").json()["items"]) == there
        assert client.get(f"{V1}cases/{case.pk}").status_code == (200 if there else 404)
        keys = {p["key"] for p in client.get(V1 + "points").json()["items"]}
        assert (city.points[0].key in keys) == there
        over = {e["point"] for e in client.get(V1 + "exceedances").json()["items"]}
        assert (city.points[0].key in over) == there
        point = city.points[0]
        path = f"{V1}points/{point.mn}/{point.st}/observations?since=2026-11-19T00:00:00Z"
        assert client.get(path).status_code == (200 if there else 404)


def test_a_role_that_may_not_file_may_not_file_with_a_token(city):
    client = caller(token(city, "enterprise"))
    answer = post(client, "findings", PATROL)
    assert answer.status_code == 403
    assert not Finding.objects.exists()


def test_filing_and_reading_back(city):
    client = caller(token(city))
    gcj = geo.gcj02_from_wgs84(116.3, 39.9)
    series = {"name": "VOC", "unit": "ppb", "data": [["2026-11-01T00:00:00Z", 1.5], ["x", None]]}
    body = {
        **PATROL,
        "reference": "T-1",
        "datum": "gcj02",
        "longitude": gcj[0],
        "latitude": gcj[1],
        "innocent": ["道路施工"],
        "facts": {**PATROL["facts"], "series": series},
    }
    answer = post(client, "findings", body)
    assert answer.status_code == 201
    said = client.get(f"{V1}findings/{answer.json()['id']}").json()
    assert (said["longitude"], said["latitude"]) == pytest.approx((116.3, 39.9), abs=1e-8)
    assert (said["kind"], said["source"], said["region"]) == ("patrol", "api", "110108")
    assert said["facts"]["series"] == series
    assert said["began"] == "2026-11-01T00:00:00Z"
    assert said["innocent"] == ["道路施工"]
    again = post(client, "findings", {**body, "ended": "2026-11-01T10:00:00+08:00"})
    assert (again.status_code, again.json()) == (200, {"id": answer.json()["id"], "created": False})
    later = client.get(f"{V1}findings/{answer.json()['id']}").json()
    assert later["ended"] == "2026-11-01T02:00:00Z"
    assert Finding.objects.count() == 1
    row = Finding.objects.get()
    page = Client()
    page.force_login(city.dispatcher)
    assert "VOC" in page.get(row.get_absolute_url()).content.decode()


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"kind": "weather"}, "/kind"),
        ({"began": ""}, "/began"),
        ({"began": "yesterday"}, "/began"),
        ({"longitude": 300}, "/longitude"),
        ({"longitude": "west"}, "/longitude"),
        ({"surprise": 1}, "/surprise"),
        ({"facts": {**PATROL["facts"], "surprise": 1}}, "/facts/surprise"),
        ({"facts": {"means": "drone"}}, "/facts/problem"),
        ({"facts": {**PATROL["facts"], "means": "balloon"}}, "/facts/means"),
        ({"facts": {**PATROL["facts"], "series": [1, 2]}}, "/facts/series"),
        ({"facts": {**PATROL["facts"], "series": {"data": [["a", "b"]]}}}, "/facts/series"),
        ({"region": "没有这个区"}, "/region"),
        ({"severity": 4}, "/severity"),
        ({"title": "x" * 201}, "/title"),
        ({"title": "a\x00"}, "/title"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(city, change, pointer):
    client = caller(token(city))
    for path, body, begin in (
        ("findings", PATROL | change, ""),
        ("findings/batch", {"findings": [PATROL, PATROL | change]}, "/findings/1"),
    ):
        answer = post(client, path, body)
        assert answer.status_code == 422
        assert answer["Content-Type"] == "application/problem+json"
        said = answer.json()
        assert set(said) == {"type", "title", "status", "detail", "instance", "errors"}
        assert any(e["pointer"].startswith(begin + pointer) for e in said["errors"]), said
    assert not Finding.objects.exists()


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"kind": NaN}', "\xff"])
def test_a_body_that_is_no_request(city, body):
    client = caller(token(city))
    answer = client.post(V1 + "findings", body, "application/json")
    assert answer.status_code in (400, 422)
    assert answer["Content-Type"] == "application/problem+json"


def test_a_batch_is_filed_whole(city):
    client = caller(token(city))
    items = [PATROL | {"reference": str(n)} for n in range(3)]
    answer = post(client, "findings/batch", {"findings": items})
    assert [f["created"] for f in answer.json()["findings"]] == [True] * 3
    twice = post(client, "findings/batch", {"findings": [items[0], items[0]]})
    assert twice.status_code == 422
    assert post(client, "findings/batch", {"findings": []}).status_code == 422
    assert post(client, "findings/batch", {"findings": [PATROL] * 501}).status_code == 422
    assert Finding.objects.count() == 3


def test_an_idempotency_key_makes_it_happen_once(city):
    client = caller(token(city))
    first = post(client, "findings", PATROL, "k-1")
    again = post(client, "findings", PATROL, "k-1")
    assert first.json() == again.json()
    assert (first.status_code, again.status_code) == (201, 201)
    assert (first.get("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (None, "true")
    assert Finding.objects.count() == 1
    other = post(client, "findings", PATROL | {"title": "x"}, "k-1")
    assert (other.status_code, other.json()["type"]) == (422, "/api/docs/#idempotency-key")
    # Another token's key is another key; what failed may be tried again.
    assert post(caller(token(city)), "findings", PATROL, "k-1").status_code == 201
    assert post(client, "findings", PATROL | {"latitude": 99}, "k-2").status_code == 422
    assert post(client, "findings", PATROL, "k-2").status_code == 201
    assert post(client, "findings", PATROL, "k" * 81).status_code == 400
    tasks.tick(timezone.now() + timedelta(days=3))
    assert not Request.objects.exists()


def test_pages(city):
    for n in range(1, 6):
        finding(city, n)
    client = caller(token(city))
    seen, path, pages = [], V1 + "findings?size=2", 0
    while path:
        said = client.get(path).json()
        seen += [f["id"] for f in said["items"]]
        path, pages = said["next"], pages + 1
    assert (len(set(seen)), pages) == (5, 3)
    for wrong in ("size=0", "size=501", "page=0", "page=x"):
        assert client.get(f"{V1}findings?{wrong}").status_code == 422
    deep = client.get(V1 + "findings?page=100000")
    assert (deep.status_code, deep.json()["type"]) == (422, "/api/docs/#page")
    assert client.get(V1 + "findings?q=%00&region=%00").status_code == 200
    hours = client.get(V1 + "exceedances?factor=a21002&size=3").json()
    assert len(hours["items"]) == 3
    assert hours["next"]
    assert client.get(V1 + "exceedances?since=2999-01-01T00:00:00Z").json()["items"] == []


def test_observations_come_in_pieces(city, monkeypatch):
    import pyarrow as pa

    from jingwei.bureau.monitoring import selectors

    start = NOW - timedelta(days=1)
    rows = [
        {"factor": f, "time": start + timedelta(hours=h), "value": float(h), "zs": None,
         "flag": "N", "received": NOW}
        for f in ("a21002", "a21026") for h in range(5)
    ]  # fmt: skip
    asked = []

    class Lake:
        def series(self, *args):
            asked.append(args)
            return pa.Table.from_pylist(rows)

    monkeypatch.setattr(selectors, "lake", Lake)
    monkeypatch.setattr(interface, "OBSERVATIONS", 4)
    point = city.points[0]
    client = caller(token(city))
    path = f"{V1}points/{point.mn}/{point.st}/observations?since=2026-11-19T00:00:00Z&until=2026-11-20T00:00:00Z"
    seen, first = [], path
    while path:
        said = client.get(path).json()
        seen += [(o["factor"], o["time"]) for o in said["items"]]
        path = said["next"]
    assert len(seen) == len(set(seen)) == 10
    assert seen == sorted(seen)
    assert asked[0][:4] == (point.mn, point.st, None, "hour")
    for wrong in ("since=2020-01-01T00:00:00Z", "since=x", "after=x", "resolution=week"):
        assert client.get(f"{first}&{wrong}").status_code == 422


def test_a_token_is_slowed_down(city, monkeypatch):
    monkeypatch.setattr(interface, "PER_MINUTE", 3)
    monkeypatch.setattr(interface, "FAILURES", 2)
    client = caller(token(city))
    codes = [client.get(V1 + "points").status_code for _n in range(5)]
    assert codes.count(429) >= 1
    assert set(codes) == {200, 429}
    answer = client.get(V1 + "points")
    assert answer.status_code == 200 or int(answer["Retry-After"]) == 60
    wrong = [caller("jw_x").get(V1 + "points").status_code for _n in range(3)]
    assert wrong == [401, 401, 429]


def test_unknown_addresses_and_faults_are_problems_too(city, monkeypatch, caplog):
    client = caller(token(city))
    for path in ("nothing", "findings/x", "findings/1/more"):
        answer = client.get(V1 + path)
        assert answer.status_code == 404
        assert answer["Content-Type"] == "application/problem+json"
    monkeypatch.setattr(interface, "_point", lambda _p: 1 / 0)
    answer = client.get(V1 + "points")
    assert (answer.status_code, answer.json()["type"]) == (500, "/api/docs/#failure")
    assert "ZeroDivisionError" in caplog.text
    assert "division" not in answer.content.decode()


# --- tokens and pages --------------------------------------------------------------------------


def test_of_a_token_only_its_digest_is_kept(city):
    text = token(city)
    row = Token.objects.get()
    assert text not in str(Token.objects.values())
    assert text.startswith(row.hint)
    assert row.last_used is None
    caller(text).get(V1 + "points")
    row.refresh_from_db()
    assert row.last_used is not None
    assert EvidenceEntry.objects.filter(kind="api.token").count() == 1


def test_what_no_token_may_be(city):
    good = {"name": "s", "user": city.district, "scopes": ["points:read"], "days": 1}
    for wrong in (
        {"user": city.admin},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"days": 0},
        {"days": 10_000},
        {"name": " "},
    ):
        with pytest.raises(Refused):
            services.issue(city.admin, **{**good, **wrong})
    with pytest.raises(Refused):
        services.issue(city.dispatcher, **good)
    assert not Token.objects.exists()


def test_the_page_of_tokens_is_for_administrators(city, client):
    page = reverse("api:tokens")
    for person in city.people.values():
        client.force_login(person)
        assert client.get(page).status_code == 403
        assert client.post(reverse("api:revoke", args=[1])).status_code == 403
    client.force_login(city.admin)
    said = {"name": "国控平台", "user": city.district.pk, "scopes": ["points:read"], "days": "30"}
    assert client.post(page, {**said, "scopes": []}).status_code == 422
    answer = client.post(page, said)
    text = answer.content.decode().split('class="mono">')[1].split("<")[0]
    assert caller(text).get(V1 + "points").status_code == 200
    assert text not in client.get(page).content.decode()
    row = Token.objects.get()
    client.post(reverse("api:revoke", args=[row.pk]), {"reason": ""})
    assert caller(text).get(V1 + "points").status_code == 200
    client.post(reverse("api:revoke", args=[row.pk]), {"reason": "更换系统"})
    assert caller(text).get(V1 + "points").status_code == 401


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_the_description_is_open_and_whole(client, db, language):
    said = client.get(reverse("api:openapi")).json()
    assert said["openapi"].startswith("3.1")
    client.cookies["django_language"] = language
    page = client.get(reverse("api:docs")).content.decode()
    for path in said["paths"]:
        assert path in page
    for name in said["components"]["schemas"]:
        assert f'id="schema-{name}"' in page
    assert "<script>" not in page
    texts = {
        " ".join(text.split())
        for methods in said["paths"].values()
        for operation in methods.values()
        for text in (
            operation["description"],
            *(p.get("description", "") for p in operation.get("parameters", ())),
        )
        if text
    }
    assert texts == words.WORDS | {"MN-ST"}
    with translation.override(language):
        assert all(escape(words.told(text)) in page for text in texts)
    assert (language == "en") == ("Findings, latest first" in page)
