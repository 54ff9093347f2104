"""Full text: two Chinese characters are enough, on both databases."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from bureau.cases.city import DOCUMENT, NOW, bring, finding, open_case
from jingwei.bureau.cases import checks, search, selectors, services
from jingwei.bureau.cases.models import Case
from jingwei.bureau.registry import services as registry
from jingwei.bureau.registry.models import Enterprise


def opened(city, number, title, text="查明原因"):
    return services.open_case(
        city.dispatcher,
        [finding(city, number)],
        {**DOCUMENT, "title": title, "text": text},
        now=NOW,
    )


def found(city, query):
    return set(selectors.search(city.dispatcher, {"q": query}).values_list("title", flat=True))


@pytest.mark.django_db
def test_two_characters_are_enough(city):
    opened(city, 1, "氮氧化物超标排放", "更换催化剂，并报送ＣＥＭＳ校准记录")
    opened(city, 2, "颗粒物标准排放记录")
    assert found(city, "超标") == {"氮氧化物超标排放"}
    assert found(city, "排放") == {"氮氧化物超标排放", "颗粒物标准排放记录"}
    assert found(city, "催化") == {"氮氧化物超标排放"}
    assert found(city, "cems") == {"氮氧化物超标排放"}  # full width, other case
    assert found(city, "超标 催化") == {"氮氧化物超标排放"}
    assert found(city, "超标 颗粒") == set()
    assert found(city, "氮") == {"氮氧化物超标排放"}
    assert found(city, "示例热电1厂") == found(city, "排放")  # the enterprise
    assert found(city, city.enterprises[0].uscc[:9]) == found(city, "排放")
    assert found(city, "…") == found(city, "")  # nothing to look for


@pytest.mark.django_db
def test_many_are_found_like_few(city, monkeypatch, django_assert_num_queries):
    for number in (1, 2):
        opened(city, number, "氮氧化物超标排放", f"第{number}次")
    with django_assert_num_queries(1):
        matching = search.matching("超标")
    with CaptureQueriesContext(connection) as asked:
        few = set(Case.objects.filter(matching))
    assert "cases_casetext" not in str(asked.captured_queries)  # nor once more for each statement
    assert "jingwei_found" not in str(asked.captured_queries)
    monkeypatch.setattr(search, "FEW", 1)
    assert set(Case.objects.filter(search.matching("超标"))) == few
    assert len(few) == 2
    assert found(city, "超标 一次") == set()


@pytest.mark.django_db
def test_no_search_reads_what_is_still_to_be_indexed(city):
    if connection.vendor != "postgresql":
        pytest.skip("PostgreSQL's index alone puts entries off")
    with connection.cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE relname = 'cases_casetext_words'")
        assert cursor.fetchone() == (["fastupdate=off"],)


@pytest.mark.django_db
def test_pairs_must_stand_together(city):
    opened(city, 1, "超标与标排")
    assert found(city, "超标排") == set()
    assert found(city, "标与标") == {"超标与标排"}


@pytest.mark.django_db
def test_what_an_act_changes_is_found_as_it_is_now(city):
    case = opened(city, 1, "旧标题甲乙")
    data = {**DOCUMENT, "title": "新标题丙丁"}
    services.act(city.dispatcher, case.pk, "amend", case.version, data, now=NOW)
    assert found(city, "甲乙") == set()
    assert found(city, "丙丁") == {"新标题丙丁"}
    case.refresh_from_db()
    bring(city, case, "issued")
    case.refresh_from_db()
    assert found(city, case.number) == {"新标题丙丁"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query", ['"', "' OR 1=1 --", "a*b", "NEAR(x y)", "%", "_", "\\", "|", "（）"]
)
def test_a_query_is_never_a_command(city, query):
    opened(city, 1, "超标")
    found(city, query)


@pytest.mark.django_db
def test_nobody_finds_what_he_may_not_see(city):
    opened(city, 1, "朝阳超标")
    assert not selectors.search(city.enterprise, {"q": "超标"}).exists()
    assert not selectors.search(city.district2, {"q": "超标"}).exists()


@pytest.mark.django_db
def test_a_case_without_its_text_is_told_and_put_back(city):
    case = open_case(city)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM cases_casetext")
    assert any(f"case {case.pk}: its text" in p for p in checks.check())
    search.fill()
    assert list(checks.check()) == []


@pytest.mark.django_db
def test_cases_of_a_renamed_enterprise_are_found_by_the_new_and_the_old_name(city, client):
    case = open_case(city)
    other = open_case(city, 2, 1)
    one = case.enterprise
    old, new = one.name, "青禾环保能源公司"
    client.force_login(city.dispatcher)
    one.name = new
    registry.change_enterprise(one)
    assert {c.pk for c in selectors.search(city.dispatcher, {"q": new})} == {case.pk}
    assert {c.pk for c in selectors.search(city.dispatcher, {"q": old})} == {case.pk}
    case.refresh_from_db()
    services.act(city.dispatcher, case.pk, "amend", case.version, DOCUMENT, now=NOW)
    assert {c.pk for c in selectors.search(city.dispatcher, {"q": old})} == {case.pk}
    assert old in client.get(one.get_absolute_url()).content.decode()
    assert one.uscc in client.get(reverse("registry:list"), {"q": old}).content.decode()
    assert list(checks.check()) == []
    # Back to its old name: the other one is former then, and none stands twice.
    one.refresh_from_db()
    one.name = old
    registry.change_enterprise(one)
    assert one.former_names == new
    assert {c.pk for c in selectors.search(city.dispatcher, {"q": new})} == {case.pk}
    assert other.pk in {c.pk for c in selectors.search(city.dispatcher, {"q": other.title})}


@pytest.mark.django_db
def test_a_case_that_is_found_by_another_text_is_told_and_put_back(city):
    case = open_case(city)
    Enterprise.objects.filter(pk=case.enterprise_id).update(name="改在别处的名称")
    assert [p for p in checks.check() if f"case {case.pk}: its text" in p]
    search.fill()
    assert list(checks.check()) == []
    assert selectors.search(city.dispatcher, {"q": "改在别处"}).get() == case


@given(
    st.text(alphabet="超标排放氮氧ab12 ，。", max_size=30), st.integers(0, 30), st.integers(2, 6)
)
def test_any_part_of_a_text_is_in_its_words(text, start, length):
    """What stands together in the text stands together in the index, and the other way round."""
    indexed = f" {search.words(text)} "
    for segment in search.segments(text):
        part = segment[start : start + length]
        if len(part) > 1:
            assert f" {' '.join(search.pairs(part))} " in indexed
    for other in ("标超", "a1b", "放超标"):
        row = " ".join(search.pairs(other))
        assert (f" {row} " in indexed) == any(other in s for s in search.segments(text))
