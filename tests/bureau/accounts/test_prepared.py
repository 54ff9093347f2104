"""A prepared query answers as the query itself, whatever is asked, on every connection."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from bureau.cases.city import build
from jingwei.bureau.accounts.models import Department, Substitution, User
from jingwei.bureau.prepared import Prepared, insert, update

pytestmark = pytest.mark.django_db
DAY = date(2026, 11, 20)


@pytest.fixture
def city():
    found = build()
    for n, (absent, other) in enumerate(
        [(found.district, found.district2), (found.dispatcher, found.district2)]
    ):
        Substitution.objects.create(
            absent=absent,
            substitute=other,
            begins=DAY + timedelta(n),
            ends=DAY + timedelta(2 * n),
            made_by=absent,
        )
    return found


def test_instances_come_whole_with_what_they_are_joined_with(city, django_assert_num_queries):
    def by_name(name: str):
        return User.objects.select_related("department").defer("password").filter(username=name)

    prepared: Prepared[User] = Prepared(by_name)
    for name in (*city.people, "nobody", "' OR 1=1 --", "%s"):
        assert prepared(name) == list(by_name(name))
    with django_assert_num_queries(1):
        (district,) = prepared("district")
        assert district.department.name
    assert district.get_deferred_fields() == {"password"}
    assert not district._state.adding
    assert district.date_joined == city.district.date_joined
    assert prepared.first("enterprise").department is None
    assert prepared.first("nobody") is None


def test_a_value_may_stand_several_times_and_beside_others(city):
    def away(person: int, today: date):
        return (
            Substitution.objects.filter(Q(substitute=person) | Q(made_by=person), ended=None)
            .filter(begins__lte=today, ends__gte=today)
            .values_list("absent", "begins")
        )

    prepared: Prepared[tuple[int, date]] = Prepared(away)
    for person in User.objects.all():
        for n in range(-1, 4):
            day = DAY + timedelta(n)
            assert prepared(person.pk, day) == list(away(person.pk, day))
            assert prepared.count(person.pk, day) == away(person.pk, day).count()


def test_flat_values_slices_and_counts(city):
    def codes(kind: str):
        return Department.objects.filter(kind=kind).values_list("code", flat=True)[:1]

    prepared: Prepared[str] = Prepared(codes)
    for kind in (*Department.Kind.values, "none"):
        assert prepared(kind) == list(codes(kind))
        assert prepared.count(kind) == len(codes(kind))


def test_a_query_that_can_have_no_rows_has_none(city):
    prepared: Prepared[User] = Prepared(lambda: User.objects.filter(pk__in=[]))
    assert (prepared(), prepared.count()) == ([], 0)


def test_what_cannot_be_prepared_is_refused(city):
    with pytest.raises(TypeError, match="cannot be prepared"):
        Prepared(lambda name: User.objects.filter(username__contains=name))("d")
    with pytest.raises(TypeError, match="cannot be prepared"):
        Prepared(lambda pk: User.objects.filter(pk=pk + 1))(1)
    with pytest.raises(KeyError):
        Prepared(lambda pk: User.objects.filter(pk=pk))(None)


def test_what_is_not_used_any_more_is_forgotten(city):
    prepared: Prepared[User] = Prepared(lambda: User.objects.all())
    prepared()
    known = len(connection.jingwei_prepared)
    del prepared
    assert len(connection.jingwei_prepared) == known - 1


def test_a_row_is_inserted_as_save_does(django_assert_num_queries):
    saved = Department.objects.create(code="saved", name="甲'\"%s", kind="district")
    for n in range(2):  # the second time with the SQL of the first
        row = Department(code=f"own{n}", name="甲'\"%s", kind="district", parent=saved)
        with django_assert_num_queries(1):
            insert(row)
        assert row.pk > saved.pk
        assert not row._state.adding
        kept = Department.objects.get(pk=row.pk)
        assert (kept.code, kept.name, kept.parent) == (f"own{n}", saved.name, saved)
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(Department(code="saved", name="again", kind="district"))


def test_an_update_changes_what_it_names_where_it_is_meant():
    one, other = (
        Department.objects.create(code=c, name="old", kind="district") for c in ("one", "other")
    )
    values = {"name": "100 % '新'", "parent_id": other.pk}
    assert update(Department, {"id": one.pk, "code": "one"}, values) == 1
    assert update(Department, {"id": one.pk, "code": "other"}, {"name": "no"}) == 0
    one.refresh_from_db()
    other.refresh_from_db()
    assert (one.name, one.parent, other.name) == ("100 % '新'", other, "old")
