"""The catalogue: places, codes, limits, organisation."""

from collections import Counter
from itertools import pairwise

import pytest

from jingwei.demo import catalogue
from jingwei.standards import codes, uscc

DISTRICTS = catalogue.districts()


def test_sixteen_districts_that_touch():
    assert len(DISTRICTS) == 16
    edges = Counter()
    for feature in DISTRICTS.values():
        for polygon in feature["geometry"]["coordinates"]:
            for ring in polygon:
                assert ring[0] == ring[-1]
                assert len(ring) >= 4
                edges.update(frozenset((tuple(a), tuple(b))) for a, b in pairwise(ring) if a != b)
    # Shared borders were simplified once: an inner edge belongs to exactly two districts.
    assert set(edges.values()) == {1, 2}
    shared = sum(n == 2 for n in edges.values())
    assert shared > 0.4 * len(edges)


def test_no_gap_between_neighbours():
    """A grid of places inside the city lies in exactly one district each."""
    for i in range(40):
        for j in range(40):
            lon, lat = 116.0 + i * 0.0201, 39.75 + j * 0.0131
            found = [c for c, f in DISTRICTS.items() if catalogue.contains(f["geometry"], lon, lat)]
            if lon < 116.6 and lat < 40.2:  # certainly inside the city's outer border
                assert len(found) == 1, (lon, lat, found)
            else:
                assert len(found) <= 1


@pytest.mark.parametrize(
    ("name", "lon", "lat", "code"),
    [
        ("Tian'anmen", 116.3914, 39.9056, "110101"),
        ("Capital airport, an exclave of Chaoyang", 116.590, 40.075, "110105"),
        ("Badaling", 116.0165, 40.3588, "110119"),
        ("Langfang, outside", 116.70, 39.52, None),
    ],
)
def test_known_places(name, lon, lat, code):
    assert catalogue.district_at(lon, lat) == code


def test_stations_stand_in_their_districts():
    by_name = {s.name: catalogue.district_at(s.longitude, s.latitude) for s in catalogue.stations()}
    assert by_name == {
        "万寿西宫": "110102", "定陵": "110114", "东四": "110101", "天坛": "110101",
        "农展馆": "110105", "官园": "110102", "万柳": "110108", "顺义": "110113",
        "怀柔": "110116", "昌平": "110114", "奥体中心": "110105", "古城": "110107",
    }  # fmt: skip


def test_enterprises_inside_their_districts_and_enough():
    found = catalogue.enterprises()
    assert len(found) >= 40
    assert len({e.name for e in found}) == len(found)
    for e in found:
        assert catalogue.district_at(e.longitude, e.latitude) == e.district, e.name
        assert e.name.startswith("示例")
    assert {e.industry for e in found} == {
        "thermal_power", "incineration", "cement", "sewage", "chemicals", "steel",
    }  # fmt: skip
    assert {e.district for e in found} == set(DISTRICTS)


def test_credit_codes():
    # The examples printed in GB 32100-2015 (91350100M000100Y43) and HJ 608-2017 appendix A.
    assert uscc.check_character("91350100M000100Y4") == "3"
    assert uscc.check_character("91130200699229617") == "X"
    assert catalogue.organisation_check("M000100Y") == "4"
    assert catalogue.organisation_check("69922961") == "7"
    found = [e.uscc for e in catalogue.enterprises()]
    assert len(set(found)) == len(found)
    for code in found:
        assert len(code) == 18
        assert uscc.check_character(code[:17]) == code[17]
        assert catalogue.organisation_check(code[8:16]) == code[16]


def test_limits_all_have_a_source():
    for kind in catalogue.KINDS.values():
        assert {k.factor for k in kind.limits} == {p.factor for p in kind.pollutants}
        for key in kind.limits:
            row = key.row()
            assert row.standard
            assert row.source
            assert row.verified in ("verified", "secondary")
            assert row.in_force
            factor = codes.factor(key.factor)
            assert factor is not None
            assert factor.unit == row.unit


def test_every_told_factor_has_a_limit_and_a_code():
    for e in catalogue.enterprises():
        for o in e.outlets:
            kind = catalogue.KINDS[o.kind]
            if o.over:
                assert o.over in {p.factor for p in kind.pollutants}
            assert (o.over == "") == (o.story in ("quiet", "silent"))
            for factor, *_ in kind.others:
                assert codes.factor(factor) is not None
    assert codes.factor("g20801").zh == "引风机电流"


def test_centres_cover_each_district_once():
    areas = Counter(a for _, _, areas in catalogue.CENTRES for a in areas)
    assert len(catalogue.CENTRES) == 7
    assert areas == Counter(dict.fromkeys(DISTRICTS, 1))


def test_device_numbers_are_epc96():
    number = catalogue.mn("110105", "DE0001", 17)
    assert len(number) == 24
    assert int(number, 16)
    assert catalogue.password(number) == catalogue.password(number)
    assert len(catalogue.password(number)) == 6
