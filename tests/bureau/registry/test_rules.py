"""The pages of rules, texts and limits: what they show, filters, files."""

from __future__ import annotations

import csv
import io

import pytest
from django.urls import reverse

from jingwei.bureau.access import Role, may
from jingwei.bureau.registry import fired, rule_views
from jingwei.standards import catalogue, limits, tables

pytestmark = pytest.mark.django_db
RULES, LIMITS = reverse("registry:rules"), reverse("registry:limits")


def table(response) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(response).decode("utf-8-sig"))))


@pytest.mark.parametrize("name", ["rules", "law_texts", "limits", "rules_csv", "limits_csv"])
def test_everybody_may_read_the_rules(login, city, name):
    for role in Role:
        if role in city.users:
            assert login(role).get(reverse(f"registry:{name}")).status_code == 200


@pytest.mark.parametrize(
    ("query", "there", "absent"),
    [
        ({"q": "850"}, "O10-7", "S-356"),
        ({"q": "补遗 sub"}, None, "O10-7"),
        ({"group": "substitution"}, "S-75-oc90", "O10-7"),
        ({"group": "triggers"}, "T-M19-5.2", "O10-7"),
        ({"group": "detection"}, "D-const_run", "O10-7"),
        ({"sure": "memory"}, "IX-663", "O10-7"),
        ({"on": "2026-02-28", "group": "index"}, "IX-AQI-2012", "IX-AQI-2026"),
        ({"on": "2026-03-01", "group": "index"}, "IX-AQI-2026", "IX-AQI-2012"),
        ({"q": "HJ/T 75-2007"}, "S-75-2007", "S-75-oc90"),
        ({"on": "nonsense"}, "O10-6", None),
        ({"q": "\x00"}, "O10-6", None),
    ],
)
def test_filters(login, city, query, there, absent):
    ids = [r[0] for r in table(login().get(reverse("registry:rules_csv"), query))[1:]]
    assert there is None or there in ids
    assert absent not in ids
    assert login().get(RULES, query).status_code == 200


def test_every_rule_has_a_page(login, city):
    client = login()
    for e in catalogue.entries():
        assert client.get(reverse("registry:rule", args=[e.id])).status_code == 200, e.id
    page = client.get(reverse("registry:rule", args=["S-356"])).content.decode()
    assert "From a secondary source" in page
    assert "等长时间" in page
    assert client.get(reverse("registry:rule", args=["nonsense"])).status_code == 404


def test_counts_come_from_the_rooms(login, city, monkeypatch):
    monkeypatch.setattr(fired, "_counters", [])
    fired.register(lambda user: {"O10-6": fired.Fired(2, "/here/")})
    fired.register(lambda user: {"O10-6": fired.Fired(3), "O10-7": fired.Fired(0)})
    found = fired.counts(city.users[Role.DISPATCHER])
    assert found == {"O10-6": fired.Fired(5, "/here/"), "O10-7": fired.Fired(0)}
    ids = {r[0]: r[-1] for r in table(login().get(reverse("registry:rules_csv")))[1:]}
    assert (ids["O10-6"], ids["O10-7"], ids["O10-8"]) == ("5", "0", "")
    page = login().get(RULES + "?fired=1").content.decode()
    assert '<a href="/here/">5</a>' in page
    assert "O10-7" not in page


def test_every_rule_is_counted_or_says_why_not(login, city):
    """Of every rule the dispatcher sees a number, or the reason why there is none; never neither."""
    counts = fired.counts(city.users[Role.DISPATCHER])
    rules = {e.id: catalogue.firing(e.id) for e in rule_views.all_rules()}
    assert {id for id, firing in rules.items() if firing.counted} == set(counts)
    assert all(firing.zh and firing.en for firing in rules.values())
    written = {r["rule"] for r in tables.read("rules_fired.csv")}
    assert {id for id in written if not id.endswith("*")} <= set(rules)
    rows = {r[0]: r for r in table(login().get(reverse("registry:rules_csv")))[1:]}
    assert {id for id, r in rows.items() if r[-1] == ""} == {
        id for id, firing in rules.items() if not firing.counted
    }
    page = login().get(reverse("registry:rule", args=["IX-tax"])).content.decode()
    assert "not counted: a formula: computed when the report of the tax is opened" in page
    page = login().get(reverse("registry:rule", args=["M19-order"])).content.decode()
    assert "0 <small>condition marks out of order or overlapping</small>" in page


def test_who_may_not_see_the_rows_is_told_so(login, city):
    """An enterprise does not see proposed orders: no number is not a zero."""
    assert not may(city.users[Role.ENTERPRISE], "trigger.view")
    page = login(Role.ENTERPRISE).get(reverse("registry:rule", args=["T-P-2"])).content.decode()
    assert "your role does not see the rows that are counted" in page


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("M19-order", "2019-11-26"),  # in force on the day of its publication, by its own text
        ("A18-7", "practice, no date of force; told on 2023-06-08"),
        ("EX-power", "practice, no date of force known"),
        ("T-P-2", "of this program, no date of force"),
        ("D-quiet", "of this program, no date of force"),
        ("S-75-rate", "2018-03-01 date from a secondary source"),
        ("IX-663", "2013-10-01 date not checked against a source"),
    ],
)
def test_a_rule_says_since_when_or_why_it_has_no_date(login, city, rule, said):
    head, *rows = table(login().get(reverse("registry:rules_csv"), {"q": rule}))
    row = next(r for r in rows if r[0] == rule)
    since, dated = row[head.index("In force from")], row[head.index("Date")]
    assert f"{since} {dated}".strip() == said
    page = login().get(reverse("registry:rule", args=[row[0]])).content.decode()
    assert dated in page
    assert since in page


def test_limits_filter_and_say_how_sure(login, city):
    rows = table(login().get(reverse("registry:limits_csv")))
    assert len(rows) == len(limits.rows()) + 1
    some = login().get(LIMITS, {"standard": "GB 13223-2011", "sure": "secondary", "q": "a21002"})
    for row in table(login().get(reverse("registry:limits_csv"), {"standard": "GB 13223-2011", "q": "a21002"}))[1:]:  # fmt: skip
        assert row[0] == "GB 13223-2011"
        assert "a21002" in row
    assert some.status_code == 200
    assert "No limit matches" in login().get(LIMITS, {"q": "nothing here"}).content.decode()


def test_texts_say_which_held_on_a_day(login, city):
    page = login().get(reverse("registry:law_texts"), {"on": "2017-06-01"})
    held = {r["text"].id for r in page.context["texts"] if r["holds"]}
    assert "HJ/T 75-2007" in held
    assert "HJ 75-2017" not in held


def test_notes_and_sources_are_read_in_chinese(login, city):
    client = login()
    client.cookies["django_language"] = "zh-hans"
    page = client.get(LIMITS, {"q": "每台炉"}).content.decode()
    assert "生活垃圾焚烧炉，每台炉" in page
    assert "waste incinerator" not in page
    page = client.get(reverse("registry:rule", args=["T-A18-7"])).content.decode()
    assert "接收单位和时限为本系统预设" in page
    assert "receiver and deadline" not in page
