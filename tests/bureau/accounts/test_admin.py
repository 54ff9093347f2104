"""The administration: people, passwords, departments with their jurisdictions."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

import world as worlds
from jingwei.bureau.accounts.models import Department, User

pytestmark = pytest.mark.django_db
USERS = reverse("admin:accounts_user_changelist")
ADD = reverse("admin:accounts_user_add")


@pytest.fixture
def world() -> worlds.World:
    return worlds.build()


@pytest.fixture
def root(world: worlds.World, client: Client) -> Client:
    client.force_login(world.users["admin"])
    return client


def person(user: User) -> str:
    return reverse("admin:accounts_user_change", args=[user.pk])


def test_a_person_is_added_and_can_log_in(root: Client, world: worlds.World) -> None:
    answer = root.post(
        ADD,
        {
            "username": "wang", "usable_password": "true",
            "password1": "not-to-be-guessed", "password2": "not-to-be-guessed",
            "role": "grid", "department": world.departments["g1"].pk,
            "last_name": "王", "first_name": "芳", "phone": "13800000000",
        },
    )  # fmt: skip
    assert answer.status_code == 302, answer.context["errors"]
    made = User.objects.get(username="wang")
    assert (made.role, made.department, made.phone) == (
        "grid",
        world.departments["g1"],
        "13800000000",
    )
    assert not made.is_staff
    assert Client().login(username="wang", password="not-to-be-guessed")


def test_a_forgotten_password_is_set_anew(root: Client, world: worlds.World) -> None:
    grid = world.users["grid"]
    url = reverse("admin:auth_user_password_change", args=[grid.pk])
    assert "../password/" in root.get(person(grid)).content.decode()
    new = {
        "usable_password": "true",
        "password1": "brand-new-words",
        "password2": "brand-new-words",
    }
    assert root.post(url, new).status_code == 302
    assert Client().login(username="grid", password="brand-new-words")


def test_role_and_place_are_changed_and_staff_follows_superuser(
    root: Client, world: worlds.World
) -> None:
    grid = world.users["grid"]
    fields = {
        "username": "grid",
        "role": "enterprise",
        "department": "",
        "enterprise_code": world.enterprise.uscc,
        "is_active": "on",
    }
    for superuser in (True, False):
        more = {"is_superuser": "on"} if superuser else {}
        answer = root.post(person(grid), {**fields, **more})
        assert answer.status_code == 302, answer.context["errors"]
        grid.refresh_from_db()
        assert (grid.role, grid.department) == ("enterprise", None)
        assert grid.enterprise_code == world.enterprise.uscc
        assert grid.is_superuser == grid.is_staff == superuser


def test_people_are_searched_and_listed_by_role_in_chinese(
    root: Client, world: worlds.World
) -> None:
    page = root.get(USERS, {"q": world.enterprise.uscc}).content.decode()
    assert ">enterprise<" in page
    assert ">grid<" not in page
    page = root.get(USERS, {"role__exact": "grid"}).content.decode()
    assert ">grid<" in page
    assert ">enterprise<" not in page
    for text in ("泾渭 后台管理", "网格员", "朝阳网格站", "用户与部门", "角色"):
        assert text in page
    assert "Department" not in page


def test_jurisdictions_are_edited_with_their_department(root: Client, world: worlds.World) -> None:
    d1 = world.departments["d1"]
    (line,) = d1.jurisdictions.all()
    url = reverse("admin:accounts_department_change", args=[d1.pk])
    assert "上级" in root.get(url).content.decode()
    answer = root.post(
        url,
        {
            "code": "d1", "name": d1.name, "kind": "district", "parent": d1.parent_id,
            "jurisdictions-TOTAL_FORMS": 2, "jurisdictions-INITIAL_FORMS": 1,
            "jurisdictions-0-id": line.pk, "jurisdictions-0-department": d1.pk,
            "jurisdictions-0-area": "110105", "jurisdictions-1-department": d1.pk,
            "jurisdictions-1-area": "110108",
        },
    )  # fmt: skip
    assert answer.status_code == 302, answer.context["errors"]
    assert sorted(
        Department.objects.get(pk=d1.pk).jurisdictions.values_list("area", flat=True)
    ) == [
        "110105",
        "110108",
    ]


def test_only_superusers_enter_and_groups_are_not_offered(world: worlds.World) -> None:
    assert not admin.site.is_registered(Group)
    officer = world.users["dispatcher"]
    officer.is_staff = True
    officer.save()
    client = Client()
    client.force_login(officer)
    for url in (USERS, ADD, person(officer), reverse("admin:accounts_department_changelist")):
        assert client.get(url).status_code == 403


def test_lists_are_paged(root: Client) -> None:
    for model, found in admin.site._registry.items():
        if model._meta.app_label in ("accounts", "registry"):
            assert found.list_per_page == 50


def test_the_login_page_names_the_way_to_a_new_password(client: Client) -> None:
    assert "系统管理员" in client.get("/accounts/login/").content.decode()
