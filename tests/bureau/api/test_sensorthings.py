"""OGC SensorThings 1.1 over a real lake: shapes of the standard (18-088), paging, permissions."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from bureau.monitoring.conftest import City, city, hour, make_enterprise, make_point, make_user  # noqa: F401
from jingwei.bureau.accounts.models import User
from jingwei.bureau.api import sensorthings, services

ROOT = "http://testserver/v1.1"
HOURS = 250


@pytest.fixture
def town(city: City) -> City:  # noqa: F811
    for n in range(HOURS, 0, -1):
        city.send(hour(n), {"a21002": float(n)}, take=False)
    city.send(hour(1), {"a21002": (7.0, "T"), "a19001": 6.0}, resolution="minute", take=False)
    city.take()
    return city


@pytest.fixture
def reader(town):
    client = Client(headers={"accept-language": "en"})
    client.force_login(make_user("dispatcher"))

    def get(path="", status=200, **query):
        answer = client.get(path if path.startswith("http") else f"/v1.1{path}", query or None)
        assert answer.status_code == status, answer.content
        return answer.json() if answer["Content-Type"] == "application/json" else answer.content

    return get


@pytest.fixture
def stream(town):
    return f"/Datastreams('{town.point.key}-a21002-hour')"


def test_the_root_lists_the_entity_sets_and_what_is_met(reader):
    found = reader()
    assert {e["name"]: e["url"] for e in found["value"]}["Things"] == f"{ROOT}/Things"
    assert len(found["value"]) == 8
    assert all("/iot_sensing/1.1/" in c for c in found["serverSettings"]["conformance"])
    for entry in found["value"]:
        assert isinstance(reader(entry["url"])["value"], list), entry


def test_a_thing_has_the_shape_of_the_standard(reader, town):
    key = town.point.key
    (thing,) = reader("/Things")["value"]
    link = f"{ROOT}/Things('{key}')"
    assert thing["@iot.selfLink"] == link
    assert thing["@iot.id"] == key
    assert thing["name"] == town.point.name
    assert thing["properties"]["mn"] == town.point.mn
    for name in ("Datastreams", "Locations", "HistoricalLocations"):
        assert thing[f"{name}@iot.navigationLink"] == f"{link}/{name}"
    assert reader(f"/Things('{key}')") == thing
    assert reader(f"/Things('{key}')/name") == {"name": town.point.name}
    assert reader(f"/Things('{key}')/name/$value").decode() == town.point.name
    (place,) = reader(f"/Things('{key}')/Locations")["value"]
    assert place["encodingType"] == "application/geo+json"
    assert place["location"] == {"type": "Point", "coordinates": [116.4, 39.9]}
    assert reader(f"/Things('{key}')/HistoricalLocations")["value"] == []
    assert reader(f"/Things('{key}')/Datastreams/$ref")["value"][0].keys() == {"@iot.selfLink"}


def test_every_link_leads_somewhere(reader):
    seen, waiting = set(), [f"{ROOT}/Things"]
    while waiting:
        address = waiting.pop()
        if address in seen or len(seen) > 60:
            continue
        seen.add(address)
        found = reader(address)
        rows = found.get("value", [found])
        for row in rows[:2]:
            waiting += [v for k, v in row.items() if k.endswith(("Link",))]
    kinds = {a.split("/")[4].partition("(")[0] for a in seen}
    assert kinds == {
        "Things", "Locations", "Datastreams", "Sensors", "ObservedProperties", "Observations",
        "FeaturesOfInterest",
    }  # fmt: skip


def test_a_datastream_and_its_observations(reader, stream, town):
    found = reader(stream)
    assert found["unitOfMeasurement"]["symbol"] == "mg/m³"
    assert found["observationType"].endswith("OM_Measurement")
    assert found["properties"] == {"resolution": "hour", "factor": "a21002"}
    one = reader(f"{stream}/Observations", **{"$top": 1})["value"][0]
    begin = hour(HOURS)
    assert one["phenomenonTime"] == (
        f"{begin:%Y-%m-%dT%H}:00:00.000Z/{begin + timedelta(hours=1):%Y-%m-%dT%H}:00:00.000Z"
    )
    assert one["result"] == float(HOURS)
    assert one["parameters"] == {"flag": "N"}
    assert reader(one["@iot.selfLink"]) == one
    assert reader(one["Datastream@iot.navigationLink"]) == found
    assert reader(one["FeatureOfInterest@iot.navigationLink"])["feature"]["type"] == "Point"
    minute = stream.replace("hour", "minute")
    (corrected,) = reader(f"{minute}/Observations")["value"]
    assert corrected["parameters"]["flag"] == "T"


def test_pages_follow_each_other_to_the_end_both_ways(reader, stream):
    for order, expected in (("asc", range(HOURS, 0, -1)), ("desc", range(1, HOURS + 1))):
        found = reader(f"{stream}/Observations",
                       **{"$top": 60, "$orderby": f"phenomenonTime {order}", "$count": "true"})  # fmt: skip
        assert found["@iot.count"] == HOURS
        results = [o["result"] for o in found["value"]]
        pages = 1
        while "@iot.nextLink" in found:
            found = reader(found["@iot.nextLink"])
            results += [o["result"] for o in found["value"]]
            pages += 1
        assert results == [float(n) for n in expected]
        assert pages == 5
    skipped = reader(f"{stream}/Observations", **{"$skip": 10, "$top": 2})["value"]
    assert [o["result"] for o in skipped] == [HOURS - 10.0, HOURS - 11.0]


def test_filters_on_time_and_result(reader, stream):
    text = f"phenomenonTime ge {hour(20):%Y-%m-%dT%H:%M:%SZ} and result lt 15 and result gt 3"
    found = reader(f"{stream}/Observations", **{"$filter": text, "$count": "true"})
    assert found["@iot.count"] == 11
    assert [o["result"] for o in found["value"]] == [float(n) for n in range(14, 3, -1)]
    at = f"phenomenonTime eq {hour(5):%Y-%m-%dT%H:%M:%SZ}"
    (one,) = reader(f"{stream}/Observations", **{"$filter": at})["value"]
    assert one["result"] == 5.0
    by_name = f"Datastream/id eq '{stream[14:-2]}' and result eq 3"
    (one,) = reader("/Observations", **{"$filter": by_name})["value"]
    assert one["result"] == 3.0


@pytest.mark.parametrize(("name", "what"), [("EXPANDED", "entities"), ("READ", "series")])
def test_expand_has_an_end(reader, monkeypatch, name, what):
    query = {"$expand": "Datastreams($expand=Observations($top=1;$orderby=phenomenonTime desc))"}
    reader("/Things", **query)
    monkeypatch.setattr(sensorthings, name, 2)
    assert f"more than 2 {what}" in str(reader("/Things", 400, **query))


def test_expand_as_dashboards_ask_for_it(reader, town):
    found = reader("/Things", **{
        "$select": "name,@iot.id",
        "$expand": "Locations($select=location),Datastreams($orderby=id;$select=name;"
                   "$expand=ObservedProperty($select=name),"
                   "Observations($top=1;$orderby=phenomenonTime desc;$select=result))",
    })  # fmt: skip
    (thing,) = found["value"]
    assert set(thing) == {"name", "@iot.id", "Locations", "Datastreams"}
    assert thing["Locations"] == [{"location": {"type": "Point", "coordinates": [116.4, 39.9]}}]
    streams = thing["Datastreams"]
    assert len(streams) == 3
    assert streams[1]["ObservedProperty"]["name"]
    latest = {s["Observations"][0]["result"] for s in streams}
    assert latest == {1.0, 6.0, 7.0}
    assert "Observations@iot.nextLink" in streams[1]
    more = reader(streams[1]["Observations@iot.nextLink"])["value"]
    assert more == [{"result": 2.0}]


def test_filters_over_links_and_order(reader, town):
    make_point(None, town.other, 9, name="空气站", kind="air_station", st="22")
    names = [t["name"] for t in reader("/Things", **{"$orderby": "name desc"})["value"]]
    assert names == sorted(names, reverse=True)
    assert len(names) == 2
    found = reader("/Things", **{"$filter": "properties/kind eq 'air_station'", "$count": "true"})
    assert (found["@iot.count"], found["value"][0]["name"]) == (1, "空气站")
    text = f"Thing/id eq '{town.point.key}' and ObservedProperty/id eq 'a19001'"
    (one,) = reader("/Datastreams", **{"$filter": text})["value"]
    assert one["@iot.id"].endswith("a19001-minute")
    first = reader("/Things", **{"$top": 1})
    assert reader(first["@iot.nextLink"])["value"][0]["@iot.id"] != first["value"][0]["@iot.id"]
    (prop,) = reader("/ObservedProperties", **{"$filter": "description eq 'a21002'"})["value"]
    assert len(reader(prop["Datastreams@iot.navigationLink"])["value"]) == 2


def test_observations_of_several_datastreams_come_stream_after_stream(reader, town):
    for path in ("/Observations", f"/FeaturesOfInterest('{town.point.key}')/Observations"):
        found = reader(path, **{"$top": 100, "$count": "true",
                                "$filter": f"phenomenonTime ge {hour(400):%Y-%m-%dT%H:%M:%SZ}"})  # fmt: skip
        assert found["@iot.count"] == HOURS + 2
        ids = [o["@iot.id"] for o in found["value"]]
        while "@iot.nextLink" in found:
            found = reader(found["@iot.nextLink"])
            ids += [o["@iot.id"] for o in found["value"]]
        assert len(ids) == len(set(ids)) == HOURS + 2
        assert ids == sorted(ids)


@pytest.mark.parametrize(
    ("path", "query", "status", "says"),
    [
        ("/Nothing", {}, 404, "no such"),
        ("/Things('x')", {}, 404, "no such"),
        ("/Things(1)", {}, 404, "no such"),
        ("/Things/Datastreams", {}, 404, "no such"),
        ("/Datastreams('a-b')", {}, 404, "no such"),
        ("/Observations('a-b-c-d-999999999999999999999')", {}, 404, "no such"),
        ("/HistoricalLocations('x')", {}, 404, "no such"),
        ("/Things", {"$filter": "colour eq 1"}, 400, "no property 'colour'"),
        ("/Things", {"$orderby": "colour"}, 400, "no property 'colour'"),
        ("/Things", {"$expand": "Sensor"}, 400, "lead to no 'Sensor'"),
        ("/Things", {"$filter": "Datastreams/name eq 'x'"}, 501, "leads to one"),
        ("/Things", {"$format": "xml"}, 501, "$format"),
        ("/Things", {"$resultFormat": "dataArray"}, 501, "Observations alone"),
        ("/Things", {"$skip": "1000000"}, 400, "filter instead"),
        ("/Observations", {"$orderby": "phenomenonTime"}, 501, "one datastream"),
    ],
)
def test_what_is_wrong_is_said(reader, path, query, status, says):
    found = reader(path, status, **query)
    assert (found["code"], found["type"]) == (status, "error")
    assert says in found["message"]


def test_observations_as_tables_say_the_same(reader, stream):
    whole = reader(f"{stream}/Observations", **{"$top": "7", "$count": "true"})
    table = reader(
        f"{stream}/Observations", **{"$top": "7", "$count": "true", "$resultFormat": "dataArray"}
    )
    assert table["@iot.count"] == whole["@iot.count"]
    assert "%24resultFormat=dataArray" in table["@iot.nextLink"].replace("$", "%24")
    (one,) = table["value"]
    assert one["Datastream@iot.navigationLink"].endswith(stream)
    assert one["dataArray@iot.count"] == 7
    rows = [dict(zip(one["components"], row, strict=True)) for row in one["dataArray"]]
    for row, told in zip(rows, whole["value"], strict=True):
        assert row.pop("id") == told["@iot.id"]
        assert row == {name: told[name] for name in row}
    chosen = {"$top": "1", "$select": "result", "$resultFormat": "dataArray"}
    assert reader(f"{stream}/Observations", **chosen)["value"][0]["components"] == ["result"]


def test_places_within_a_polygon(reader):
    every = reader("/Locations")["value"]
    x, y = every[0]["location"]["coordinates"][:2]
    around = (
        f"{x - 0.01} {y - 0.01},{x + 0.01} {y - 0.01},{x + 0.01} {y + 0.01},{x - 0.01} {y - 0.01}"
    )
    there = reader(
        "/Locations", **{"$filter": f"st_within(location,geography'POLYGON(({around}))')"}
    )
    assert every[0]["@iot.id"] in [one["@iot.id"] for one in there["value"]]
    far = {"$filter": "st_within(location,geography'POLYGON((0 0,1 0,1 1,0 0))')"}
    assert reader("/Locations", **far)["value"] == []


def test_observations_of_a_stream_have_errors_of_their_own(reader, stream):
    for query, status in (
        ({"$orderby": "result"}, 501),
        ({"$skiptoken": "x"}, 400),
        ({"$expand": "Thing"}, 400),
    ):
        reader(f"{stream}/Observations", status, **query)


def test_who_may_read_and_what(town, stream):
    other = make_enterprise(town.other, 2)[2]
    make_point(other, town.other, 2)
    admin = User.objects.create_superuser("root", password="x" * 12)
    district = make_user("district", "110105")

    def token(user, scope):
        return services.issue(admin, name="s", user=user, scopes=[scope], days=9)[1]

    def ask(header=None):
        return Client(headers={"authorization": header} if header else {}).get("/v1.1/Things")

    assert ask().status_code == 401
    assert ask("Bearer jw_x")["WWW-Authenticate"] == "Bearer"
    assert ask(f"Bearer {token(district, 'points:read')}").status_code == 403
    good = token(district, "observations:read")
    for header in (
        f"Bearer {good}", "Basic " + base64.b64encode(f"any:{good}".encode()).decode(),
    ):  # fmt: skip
        (thing,) = ask(header).json()["value"]
        assert thing["properties"]["mn"].endswith("2")
    hidden = Client(headers={"authorization": f"Bearer {good}"}).get(f"/v1.1{stream}/Observations")
    assert hidden.status_code == 404
    assert ask("Basic !").status_code == 401
    answer = Client().post("/v1.1/Things", {})
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")


def test_times_are_utc_and_texts_are_decimal_json(reader, stream):
    found = reader(f"{stream}/Observations", **{"$top": 3})["value"]
    for one in found:
        begin = one["phenomenonTime"].partition("/")[0]
        assert datetime.fromisoformat(begin).tzinfo == UTC
        assert one["resultTime"].endswith("Z")
