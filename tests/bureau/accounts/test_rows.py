"""Row-level security on PostgreSQL: what a page that forgot `restrict` reads."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.core.signals import request_finished
from django.db import DatabaseError, connection, transaction
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from bureau.cases.city import FORMS, bring, build, finding, open_case
from jingwei.bureau import rows
from jingwei.bureau.access import RestrictedQuerySet, public, requires
from jingwei.bureau.cases import selectors
from jingwei.bureau.cases.models import Case, CaseEvent
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.registry.models import Enterprise, Point

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite has no row-level security"
    ),
]
PLACES = (Case, CaseEvent, Finding, Enterprise, Point)


@pytest.fixture
def city(data):
    """A case and a loose finding in each of two districts."""
    found = build()
    found.cases = []
    for which in (0, 1):
        case = open_case(found, 10 + which, which=which)
        found.cases.append(bring(found, case, "issued"))
        finding(found, 20 + which, which)
    found.own = {m: set(m.objects.values_list("pk", flat=True)) for m in PLACES}
    return found


@pytest.fixture
def armed(city):
    """As in the web server."""
    rows.arm()
    yield city
    rows.disarm()


def seen(model) -> set:
    return set(model.objects.values_list("pk", flat=True))


@requires("case.view")
def forgetful(request):
    """A view that forgot to restrict."""
    forgetful.read = {model: seen(model) for model in PLACES}
    forgetful.raw = [model.objects.raw(f"SELECT * FROM {model._meta.db_table}") for model in PLACES]
    forgetful.raw = {q.model: {row.pk for row in q} for q in forgetful.raw}
    return HttpResponse()


def look(user):
    request = RequestFactory().get("/")
    request.user = user
    forgetful(request).close()
    assert forgetful.raw == forgetful.read
    return forgetful.read


def test_every_table_with_a_place_has_its_policy(db):
    assert list(rows.missing()) == []
    names = {m.__name__ for m in rows.guarded()}
    assert {"Case", "Finding", "Enterprise", "Identity", "Record", "Permit", "Judgement"} <= names
    assert {m for m in apps.get_models() if "area" in getattr(m, "place", {})} <= set(
        rows.guarded()
    )


def test_a_raw_query_without_a_user_reads_nothing(armed):
    assert all(armed.own.values())
    for model in rows.guarded():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {model._meta.db_table}")
            assert cursor.fetchone() == (0,), model


def test_a_view_that_forgot_restrict_leaks_nothing(armed):
    one, two = armed.cases
    read = look(armed.district)
    assert read[Case] == {one.pk}
    assert read[Enterprise] == {armed.enterprises[0].pk}
    assert read[Point] == {armed.points[0].pk}
    assert read[Finding]
    assert read[CaseEvent]
    other = look(armed.district2)
    for model in PLACES:
        assert not read[model] & other[model], model
        assert read[model] | other[model] == armed.own[model]
    assert look(armed.enterprise)[Case] == {one.pk}
    assert look(armed.enterprise)[Enterprise] == {armed.enterprises[0].pk}
    assert look(armed.enterprise2)[Case] == {two.pk}
    assert look(armed.dispatcher) == armed.own
    assert seen(Case) == set()  # the request is over


def test_the_reach_ends_with_the_request(armed):
    client = Client()
    client.force_login(armed.dispatcher)
    assert armed.cases[0].title in client.get(reverse("cases:list")).content.decode()
    assert seen(Case) == set()
    connection.close()  # and a new connection begins with nothing
    assert seen(Case) == set()


def test_it_never_hides_what_restrict_lets_through(city):
    """The second line is no narrower than the first, for any role and any table."""
    models = [
        m for m in rows.guarded() if isinstance(getattr(m, "objects", None) and m.objects.all(), RestrictedQuerySet)
    ]  # fmt: skip
    assert len(models) > 10
    user_model = type(city.dispatcher)
    before = {
        (user.pk, model): set(
            model.objects.restrict(user, "point.view").values_list("pk", flat=True)
        )
        for user in city.people.values()
        for model in models
    }
    rows.arm()
    try:
        for user in user_model.objects.all():

            @requires("home.view")
            def view(request):
                for model in models:
                    found = model.objects.restrict(request.user, "point.view")
                    now = set(found.values_list("pk", flat=True))
                    assert now == before[request.user.pk, model], (request.user, model)
                return HttpResponse()

            request = RequestFactory().get("/")
            request.user = user
            view(request).close()
    finally:
        rows.disarm()


def test_an_act_may_take_a_case_out_of_the_own_reach(armed):
    """Over HTTP, to the end: the case goes to another district, and is gone."""
    case = armed.cases[0]
    client = Client()
    client.force_login(armed.district)
    page = client.get(case.get_absolute_url())
    assert page.status_code == 200
    assert armed.enterprises[0].name in page.content.decode()
    act = reverse("cases:act", args=[case.pk, "transfer"])
    answer = client.post(act, {"version": case.version, **FORMS["transfer"]})
    assert answer.status_code == 302
    assert answer["Location"] == reverse("cases:list")
    assert client.get(case.get_absolute_url()).status_code == 404
    assert look(armed.district)[Case] == set()
    assert case.pk in look(armed.district2)[Case]


def test_a_case_that_is_not_ones_own_cannot_even_be_locked(armed):
    """Reading before the first write is under the policies too."""

    @requires("case.act")
    def careless(request):
        with transaction.atomic():
            return HttpResponse(
                str(Case.objects.select_for_update().filter(pk=armed.cases[1].pk).exists())
            )

    request = RequestFactory().post("/")
    request.user = armed.district
    answer = careless(request)
    answer.close()
    assert answer.content == b"False"


def test_parties_see_a_case_of_another_district_with_its_enterprise(armed):
    rows.disarm()
    armed.cases[0].parties.set([armed.districts[1]])
    rows.arm()
    read = look(armed.district2)
    assert armed.cases[0].pk in read[Case]
    assert armed.enterprises[0].pk in read[Enterprise]


def test_words_are_found_and_not_read(armed):
    @requires("case.view")
    def view(request):
        return HttpResponse(str(list(selectors.search(request.user, {"q": "整改"}))))

    request = RequestFactory().get("/")
    request.user = armed.district
    answer = view(request)
    answer.close()
    assert armed.cases[0].number in answer.content.decode()
    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute("SELECT words FROM cases_casetext")


def test_public_pages_and_reports_work(armed):
    assert Client().get(reverse("cases:public")).status_code == 200
    answer = Client().post(
        reverse("findings:report"),
        {
            "problem": "smoke",
            "said": "烟囱冒黑烟，已经持续三天。",
            "region": armed.regions[0].pk,
            "when": "2026-11-20T09:00",
            "address": "路口",
        },
    )
    assert answer.status_code == 200, answer.content.decode()
    request_finished.send(None)
    assert seen(Finding) == set()
    assert len(look(armed.dispatcher)[Finding]) == len(armed.own[Finding]) + 1


def test_an_open_page_reads_what_is_public(armed):
    @public
    def view(request):
        return HttpResponse(str(Case.objects.count()))

    answer = view(RequestFactory().get("/"))
    answer.close()
    assert answer.content == b"2"
