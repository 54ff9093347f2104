"""The pages: who sees what, what is refused, what is kept."""

from __future__ import annotations

import csv
import hashlib
import io
from datetime import timedelta
from urllib.parse import unquote

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

import printed
from bureau.cases.city import DOCUMENT, FORMS, NOW, PNG, bring, files_for, finding, open_case, photo
from jingwei.bureau.accounts.models import User
from jingwei.bureau.cases import checks, clock, selectors, services, telling, views
from jingwei.bureau.cases.models import Case, CaseEvent, CaseFile
from jingwei.bureau.evidencelog.models import Reading
from jingwei.bureau.evidencelog.services import sequence
from jingwei.bureau.findings import files
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.notices.models import Message
from jingwei.bureau.registry.models import PermitLimit

pytestmark = pytest.mark.django_db


def login(client, user):
    client.force_login(user)
    return client


def send(client, case, transition, follow=False, **over):
    data = {"version": case.version, "token": "t", **FORMS[transition], **files_for(transition)}
    url = reverse("cases:act", args=[case.pk, transition])
    return client.post(url, {**data, **over}, follow=follow)


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("state", ["draft", "rectifying", "answered", "closed"])
def test_every_page_shows_for_everybody_who_may_see_it(client, city, state, language):
    case = bring(city, open_case(city), state)
    client.cookies["django_language"] = language
    for user in city.people.values():
        login(client, user)
        assert client.get(reverse("cases:list")).status_code == 200
        visible = Case.objects.restrict(user, "case.view").filter(pk=case.pk).exists()
        for page in ("case", "order"):
            response = client.get(reverse(f"cases:{page}", args=[case.pk]))
            assert response.status_code == (200 if visible else 404), (user, page)


def test_the_enterprise_sees_its_own_order_once_it_is_issued(client, city):
    case = open_case(city)
    login(client, city.enterprise)
    url = reverse("cases:case", args=[case.pk])
    assert client.get(url).status_code == 404
    bring(city, case, "issued")
    page = client.get(url)
    assert page.status_code == 200
    assert "草案" not in page.content.decode()
    login(client, city.enterprise2)
    assert client.get(url).status_code == 404
    assert client.get(reverse("cases:order", args=[case.pk])).status_code == 404
    assert send(client, case, "answer").status_code == 404


def test_the_enterprise_does_not_see_what_is_internal(client, city):
    case = bring(city, open_case(city), "rectifying")
    clock.escalate(case.pk, case.due + timedelta(days=10))
    inside = [
        e.transition
        for e in login(client, city.dispatcher).get(case.get_absolute_url()).context["timeline"]
    ]
    outside = [
        e.transition
        for e in login(client, city.enterprise).get(case.get_absolute_url()).context["timeline"]
    ]
    assert inside == ["open", "issue", "sign", "escalate", "escalate"]
    assert outside == ["issue", "sign"]


def test_an_id_guessed_in_the_url_is_not_found(client, city):
    case = bring(city, open_case(city), "answered")
    login(client, city.grid2)
    for url in (
        case.get_absolute_url(),
        reverse("cases:check", args=[case.pk]),
        reverse("cases:order", args=[case.pk]),
        reverse("cases:act", args=[case.pk, "verify"]),
    ):
        assert client.get(url).status_code == 404
    assert send(client, case, "verify").status_code == 404
    assert client.get(reverse("cases:case", args=[case.pk + 999])).status_code == 404


def test_only_the_acts_of_this_user_are_offered(client, city):
    case = bring(city, open_case(city), "rectifying")
    offered = {}
    for name in ("dispatcher", "district", "grid", "department", "enterprise", "auditor"):
        login(client, city.people[name])
        context = client.get(case.get_absolute_url()).context
        offered[name] = [f["step"].name for f in context["forms"]]
    assert offered == {
        "dispatcher": ["extend", "pause", "transfer", "propose", "publish", "comment"],
        "district": ["transfer", "comment"],
        "grid": ["comment"],
        "department": ["comment"],
        "enterprise": ["answer", "comment"],
        "auditor": [],
    }


def test_open_form_is_filled_and_opens_a_draft(client, city):
    first, second = finding(city, 1), finding(city, 2)
    login(client, city.dispatcher)
    url = reverse("cases:open") + f"?finding={first.pk}&finding={second.pk}"
    page = client.get(url)
    initial = page.context["form"].initial
    assert city.enterprises[0].name in initial["title"]
    assert "736" in initial["basis"]
    response = client.post(url, {**initial, "token": "a"})
    case = Case.objects.get()
    assert response.url == case.get_absolute_url()
    assert {f.pk for f in case.findings.all()} == {first.pk, second.pk}
    # The same form sent again is the same case, not a second one.
    assert client.post(url, {**initial, "token": "a"}).url == case.get_absolute_url()
    assert Case.objects.count() == 1
    # Another form for the same findings is refused: they are in a case.
    again = client.post(url, {**initial, "token": "b"})
    assert again.status_code == 409
    assert Case.objects.count() == 1


def test_open_form_with_wrong_values_shows_them_again(client, city):
    row = finding(city)
    login(client, city.dispatcher)
    url = reverse("cases:open") + f"?finding={row.pk}"
    response = client.post(url, {"title": "", "text": "我写的要求", "basis": "依据"})
    assert response.status_code == 422
    assert "我写的要求" in response.content.decode()
    assert not Case.objects.exists()


@pytest.mark.parametrize(
    "ids", ["", "?finding=", "?finding=x", "?finding=999999999999999999999", "?finding=7"]
)
def test_open_form_without_a_finding_says_what_to_do(client, city, ids):
    login(client, city.dispatcher)
    page = client.get(reverse("cases:open") + ids)
    assert page.status_code == 200
    assert reverse("findings:list") in page.content.decode()
    assert client.post(reverse("cases:open") + ids, DOCUMENT).status_code == 409
    assert not Case.objects.exists()


def test_only_a_dispatcher_opens_an_order(client, city):
    row = finding(city)
    for name in ("district", "grid", "department", "enterprise", "auditor"):
        login(client, city.people[name])
        url = reverse("cases:open") + f"?flow=order&finding={row.pk}"
        response = client.post(url, DOCUMENT)
        refused = response.status_code == 403 or response.url == reverse("cases:list")
        assert refused, (name, response)
    assert not Case.objects.exists()


def test_wrong_values_are_shown_again(client, city):
    case = open_case(city)
    login(client, city.dispatcher)
    response = send(client, case, "issue", days="viele")
    assert response.status_code == 422
    html = response.content.decode()
    assert 'value="viele"' in html
    assert "field-error" in html
    case.refresh_from_db()
    assert (case.state, case.version) == ("draft", 1)
    assert CaseEvent.objects.count() == 1


def test_the_second_of_two_is_told_and_keeps_what_was_typed(client, city):
    case = bring(city, open_case(city), "rectifying")
    services.act(city.dispatcher, case.pk, "extend", case.version, FORMS["extend"], now=NOW)
    login(client, city.enterprise)
    response = send(client, case, "answer", text="我们更换了催化剂")
    assert response.status_code == 409
    html = response.content.decode()
    assert "我们更换了催化剂" in html
    assert html.count("本页打开后已有新的办理：") == 1
    assert "dispatcher" in html  # who was faster
    case.refresh_from_db()
    assert case.state == "rectifying"
    # The form that came back carries the new version and can be sent as it is.
    form = next(f for f in response.context["forms"] if f["step"].name == "answer")
    assert (
        send(
            client, response.context["case"], "answer", text=form["form"]["text"].value()
        ).status_code
        == 302
    )
    case.refresh_from_db()
    assert case.state == "answered"


def test_what_was_written_for_an_act_that_is_gone_can_be_copied(client, city):
    case = bring(city, open_case(city), "verified")
    services.act(city.district, case.pk, "accept", case.version, {}, now=NOW)
    login(client, city.district)
    client.cookies["django_language"] = "en"
    response = send(client, case, "send_back", text="材料还差一份")
    assert response.status_code == 409
    assert response.context["left_over"] == [("Reason", "材料还差一份")]


def test_every_field_of_an_act_that_is_gone_can_be_copied(client, city):
    case = bring(city, open_case(city), "answered")
    services.act(
        city.grid, case.pk, "verify", case.version, FORMS["verify"], files_for("verify"), now=NOW
    )
    client.cookies["django_language"] = "en"
    two = [photo("front.png"), photo("chimney.png")]
    late = send(login(client, city.grid), case, "reject", text="仍有异味\n二号口", photos=two)
    assert late.status_code == 409
    left = dict(late.context["left_over"])
    assert "仍有异味\n二号口" in left.values()
    assert "Please choose again: front.png、chimney.png" in left.values()
    assert all(text in late.content.decode() for text in left.values())

    done = bring(city, open_case(city, 2), "closed")
    late = send(login(client, city.dispatcher), done, "extend", days="17", text="")
    assert late.context["left_over"] == [("By (working days)", "17")]
    late = send(client, done, "transfer", region="110105")
    assert ("District", "Chaoyang") in late.context["left_over"]
    late = send(client, case, "unpublish")  # nothing is public yet
    assert late.context["left_over"] == [("Reason", FORMS["unpublish"]["text"])]


def test_what_was_written_for_findings_that_another_took_can_be_copied(client, city):
    row = finding(city)
    page = f"{reverse('cases:open')}?flow=handling&finding={row.pk}"
    assert login(client, city.district).get(page).context["form"]
    Finding.objects.filter(pk=row.pk).update(region="110105")
    late = client.post(page, {"title": "核查异味", "text": "到场核查", "token": "t"})
    assert late.status_code == 409
    assert {"核查异味", "到场核查"} <= {text for _, text in late.context["left_over"]}


def test_a_double_click_acts_once(client, city):
    case = bring(city, open_case(city), "issued")
    login(client, city.district)
    for _ in range(2):
        assert send(client, case, "sign", token="same").status_code == 302
    case.refresh_from_db()
    assert case.state == "rectifying"
    assert CaseEvent.objects.filter(transition="sign").count() == 1


def test_an_expired_session_leads_back_to_the_open_form(client, city):
    case = bring(city, open_case(city), "issued")
    url = reverse("cases:act", args=[case.pk, "sign"])
    gone = client.post(url, {"version": case.version})
    assert gone.status_code == 302
    assert gone.url == f"{reverse('accounts:login')}?next={url}"
    login(client, city.district)
    back = client.get(url)
    assert back.url == f"{case.get_absolute_url()}?act=sign#act-sign"
    page = client.get(back.url)
    assert [f["step"].name for f in page.context["forms"] if f["open"]] == ["sign"]


@pytest.mark.parametrize("version", ["", "x", "-1", "99999999999999999999"])
def test_a_nonsense_version_is_a_stale_form(client, city, version):
    case = bring(city, open_case(city), "issued")
    login(client, city.district)
    assert send(client, case, "sign", version=version).status_code == 409


def test_who_transfers_a_case_away_is_led_to_the_list(client, city):
    case = bring(city, open_case(city), "issued")
    client.cookies["django_language"] = "en"
    page = send(login(client, city.district), case, "transfer", follow=True)
    assert page.redirect_chain == [(reverse("cases:list"), 302)]
    told = [str(m) for m in page.context["messages"]]
    assert told[-1] == "The case is not in your jurisdiction any more."
    # Who still sees it comes back to the case.
    case.refresh_from_db()
    back = send(login(client, city.dispatcher), case, "transfer", region="110108", token="u")
    assert back.url == case.get_absolute_url()


def test_a_transfer_sent_twice_leads_to_the_list_twice(client, city):
    case = bring(city, open_case(city), "issued")
    login(client, city.district)
    for _ in range(2):
        assert send(client, case, "transfer", version=case.version, token="t").url == reverse(
            "cases:list"
        )
    assert case.events.filter(transition="transfer").count() == 1


def test_who_was_slower_than_a_transfer_is_told_and_keeps_what_was_typed(client, city):
    case = bring(city, open_case(city), "issued")
    version = case.version
    client.cookies["django_language"] = "en"
    send(login(client, city.district), case, "transfer")
    colleague = User.objects.create(
        username="d1b", role="district", department=city.district.department
    )
    page = send(login(client, colleague), case, "extend", text="Needs a part.", version=version)
    assert page.status_code == 409
    faster = page.context["refused"]
    assert faster.startswith(f"Done since this page was opened: {city.district}, “")
    assert faster.endswith("The case is not in your jurisdiction any more.")
    assert page.context["left_over"] == [("By (working days)", "5"), ("Reason", "Needs a part.")]
    assert "Needs a part." in page.content.decode()
    # Who never had it, and an enterprise, learn nothing; nor does one who asks without a form of old.
    stranger = User.objects.create(username="none", role="district")
    for who in (stranger, city.enterprise2):
        assert send(login(client, who), case, "sign", version=version).status_code == 404
    case.refresh_from_db()
    login(client, colleague)
    assert send(client, case, "sign", version=case.version).status_code == 404


@pytest.mark.parametrize("page", ["case", "order"])
def test_one_source_of_all_limits_is_printed_once_under_the_table(client, city, page):
    case = open_case(city)
    url = reverse(f"cases:{page}", args=[case.pk])
    html = login(client, city.dispatcher).get(url).content.decode()
    assert html.count(city.limits[0].source) == 1
    assert f"限值来源：{city.limits[0].source}" in html
    assert "<th>限值来源</th>" not in html
    # Where they differ, each row says its own.
    other = city.limits[0]
    other.pk, other.factor, other.source = None, "a21026", "地方标准 表1"
    other.save()
    row = case.findings.get().exceedances.first()
    row.limit = other
    row.save()
    html = client.get(url).content.decode()
    assert "<th>限值来源</th>" in html
    assert html.count("GB 13223-2011 表2") == html.count("地方标准 表1") == 1
    assert "限值来源：" not in html


@pytest.mark.parametrize(
    ("value", "limit", "printed"),
    [
        (112.358713, 50.0, ("112.36", "50")),
        (75.5, 50.0, ("75.5", "50")),
        (150.0, 100.0, ("150", "100")),
        (50.00004, 50.0, ("50.00004", "50")),
        (50.0, 50.0, ("50", "50")),
        (0.0000412, 0.00003, ("0.0000412", "0.00003")),
        (1234567.5, 1e6, ("1234567.5", "1000000")),
        (5.499999, 6.0, ("5.5", "6")),
    ],
)
def test_values_are_printed_with_two_decimals_more_than_the_limit(value, limit, printed):
    assert tuple(views._printed(value, limit).values()) == printed


def test_unknown_acts_are_not_found(client, city):
    case = open_case(city)
    login(client, city.dispatcher)
    for name in ("open", "escalate", "nothing"):
        assert client.post(reverse("cases:act", args=[case.pk, name])).status_code == 404


def test_check_on_the_spot(client, city):
    case = bring(city, open_case(city), "answered")
    login(client, city.grid)
    page = client.get(reverse("cases:check", args=[case.pk]))
    html = page.content.decode()
    assert 'capture="environment"' in html
    assert reverse("cases:act", args=[case.pk, "reject"]) in html
    # Without a photo it comes back, as the phone's page, with the text.
    bare = send(client, case, "reject", page="check", text="仍在冒烟", photos=[])
    assert bare.status_code == 422
    assert "仍在冒烟" in bare.content.decode()
    assert bare.templates[0].name == "cases/check.html"
    assert send(client, case, "reject", page="check").status_code == 302
    event = CaseEvent.objects.get(transition="reject")
    assert event.files.get().sha256 == hashlib.sha256(PNG).hexdigest()
    # Nothing to verify now: the page leads to the case.
    assert client.get(reverse("cases:check", args=[case.pk])).url == case.get_absolute_url()


def test_the_position_is_kept_or_refused(client, city):
    case = bring(city, open_case(city), "answered")
    login(client, city.grid)
    assert send(client, case, "verify", position="200,39,5").status_code == 422
    assert send(client, case, "verify", position="nan,39,5").status_code == 422
    assert send(client, case, "verify", position="116.31,39.98,8").status_code == 302
    event = CaseEvent.objects.get(transition="verify")
    assert event.data["position"] == {"longitude": 116.31, "latitude": 39.98, "accuracy": 8.0}


def test_the_order_keeps_the_facts_it_was_issued_with(client, city):
    from jingwei.bureau.monitoring.models import Exceedance

    case = bring(city, open_case(city), "issued")
    Exceedance.objects.update(value=9999)
    sequence()
    page = login(client, city.enterprise).get(reverse("cases:order", args=[case.pk]))
    html = page.content.decode()
    assert case.number in html
    assert "75.5" in html
    assert "9999 mg" not in html
    issue = CaseEvent.objects.select_related("evidence").get(transition="issue")
    assert str(issue.evidence.index) in html
    assert page.context["sha256"] in html
    local = timezone.localtime(case.issued)
    assert f"签发 {local:%Y-%m-%d %H:%M}" in html  # whence the deadline is reckoned
    assert "收到 20" not in html


def test_doubts_about_a_limit_stand_beside_the_order_and_not_in_it(client, city):
    PermitLimit.objects.update(verified="secondary")
    case = bring(city, open_case(city), "issued")
    url = reverse("cases:order", args=[case.pk])
    html = login(client, city.dispatcher).get(url).content.decode()
    beside, paper = html.split('<article class="sheet"')
    assert "来自二手资料" in beside
    assert "no-print" in beside[beside.index("发出前请核对原文") - 80 :]
    assert "来自二手资料" not in paper
    assert "来自二手资料" not in printed.text(client.get(url, {"format": "pdf"}).content)
    PermitLimit.objects.update(verified="verified")
    case = bring(city, open_case(city, 2), "issued")
    html = client.get(reverse("cases:order", args=[case.pk])).content.decode()
    assert "发出前请核对原文" not in html


def test_a_message_names_the_enterprise_where_the_case_does_not(city):
    case = bring(city, open_case(city), "issued")
    name = case.enterprise.name
    told = Message.objects.filter(kind="turn").latest("pk")
    assert told.text_zh == f"待签收：{case.number}（{name}）"
    assert told.text_en == f"To be signed for: {case.number} ({name})"
    case.number, case.title = "", f"{name}督办"
    assert telling.named(case) == case.title


def test_what_is_next_stands_before_what_was_done(client, city):
    case = open_case(city, flow="handling")
    html = login(client, city.dispatcher).get(case.get_absolute_url()).content.decode()
    assert html.index('id="act-dispatch"') < html.index("拟制督办单")


def test_the_order_as_a_file_says_what_the_page_says(client, city):
    case = bring(city, open_case(city), "issued")
    sequence()
    url = reverse("cases:order", args=[case.pk])
    page, file = printed.both(login(client, city.enterprise), url)
    assert "打印时间" in page
    said = printed.text(file.content)
    assert "打印时间" not in said  # else each file would be another
    assert len(printed.cells(page)) > 6
    for text in (case.number, case.title, case.basis, case.text, "75.5", f"督办单{case.number}·"):
        assert printed.bare(text) in said, text
    assert case.number in unquote(file["Content-Disposition"])
    assert printed.text(login(client, city.grid).get(url, {"format": "pdf"}).content) == said
    draft = open_case(city, 2, 1)
    url = reverse("cases:order", args=[draft.pk])
    assert "拟稿，未签发" in printed.text(login(client, city.dispatcher).get(url, {"format": "pdf"}).content)  # fmt: skip
    assert login(client, city.enterprise).get(url, {"format": "pdf"}).status_code == 404


def test_list_filters(client, city):
    near = bring(city, open_case(city, 1, 0), "rectifying")
    far = open_case(city, 2, 1)
    login(client, city.dispatcher)

    def found(query):
        return {c.pk for c in client.get(reverse("cases:list") + query).context["page"].object_list}

    assert found("") == {near.pk, far.pk}
    assert found("?state=open") == {near.pk, far.pk}
    assert found("?state=rectifying") == {near.pk}
    assert found("?mine=1") == {far.pk}
    assert found("?overdue=1") == set()
    assert found(f"?region={city.regions[1].pk}") == {far.pk}
    assert found(f"?q={city.enterprises[1].name}") == {far.pk}
    assert found(f"?q={near.number}") == {near.pk}
    assert found("?from=2026-11-21") == set()
    assert found("?from=never&to=2026-02-31&page=x&sort=oops&q=%00&state=%00") == {near.pk, far.pk}


def test_overdue_is_found(client, city):
    case = bring(city, open_case(city), "rectifying", now=timezone.now() - timedelta(days=60))
    assert case.overdue
    login(client, city.enterprise)
    page = client.get(reverse("cases:list") + "?overdue=1")
    assert [c.pk for c in page.context["page"].object_list] == [case.pk]


def rows_of(response):
    return list(csv.reader(io.StringIO(b"".join(response.streaming_content).decode("utf-8-sig"))))


def test_export_is_safe_in_a_spreadsheet(client, city):
    case = services.open_case(
        city.dispatcher, [finding(city)], {**DOCUMENT, "title": "=cmd|' /C calc'!A0"}, now=NOW
    )
    login(client, city.dispatcher)
    header, row = rows_of(client.get(reverse("cases:export")))
    assert row[2] == "'=cmd|' /C calc'!A0"
    assert len(header) == len(row)
    login(client, city.enterprise)
    assert len(rows_of(client.get(reverse("cases:export")))) == 1
    assert case.state == "draft"


def queries(client, url) -> list[str]:
    client.get(url)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return [q["sql"] for q in captured]


def test_list_needs_the_same_queries_for_any_number_of_rows(
    client, city, django_assert_num_queries
):
    login(client, city.district)
    url = reverse("cases:list")
    open_case(city, 1)
    few = queries(client, url)
    for number in range(2, 9):
        open_case(city, number)
    assert len(queries(client, url)) == len(few)
    city.district.areas()
    with django_assert_num_queries(1):
        assert [
            str(c.enterprise) + c.region.label + str(c.department)
            for c in selectors.search(city.district, {})
        ]


def test_case_page_needs_the_same_queries_for_any_number_of_events(
    client, city, django_assert_num_queries
):
    case = bring(city, open_case(city), "answered")
    login(client, city.grid)
    services.act(city.grid, case.pk, "comment", 0, FORMS["comment"], {"files": [photo()]}, now=NOW)
    few = queries(client, case.get_absolute_url())
    for _ in range(5):
        services.act(
            city.grid, case.pk, "comment", 0, FORMS["comment"], {"files": [photo()]}, now=NOW
        )
    assert len(queries(client, case.get_absolute_url())) == len(few)
    city.grid.areas()
    with django_assert_num_queries(3):  # events with their people and leaves; files; departments
        for event in selectors.timeline(city.grid, case):
            assert event.label
            assert event.evidence.pk
            assert len(event.files.all()) in (0, 1)


# --- files -----------------------------------------------------------------------------------


def test_a_file_is_served_as_what_it_is(client, city):
    case = bring(city, open_case(city), "rectifying")
    evil = photo('..\\a"b<script>.html', PNG + b"<script>alert(1)</script>")
    services.act(
        city.enterprise,
        case.pk,
        "answer",
        case.version,
        FORMS["answer"],
        {"files": [evil]},
        now=NOW,
    )
    row = CaseFile.objects.get()
    assert "script" not in row.file.name
    login(client, city.enterprise)
    response = client.get(row.get_absolute_url())
    assert response["Content-Type"] == "image/png"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in response["Content-Security-Policy"]
    assert response["Content-Disposition"].startswith("inline;")
    assert "<" not in response["Content-Disposition"]
    assert b"".join(response.streaming_content).startswith(PNG)
    for stranger in (city.enterprise2, city.district2, city.grid2):
        assert login(client, stranger).get(row.get_absolute_url()).status_code == 404
    client.logout()
    assert client.get(row.get_absolute_url()).status_code == 302


def test_a_large_photo_is_kept_whole(client, city):
    """Over 2.5 MB Django keeps an upload in a temporary file and moves it."""
    content = PNG + bytes(range(256)) * 12_000
    case = bring(city, open_case(city), "answered")
    assert send(login(client, city.grid), case, "verify", photos=[photo(content=content)]).url
    row = CaseFile.objects.get()
    assert (row.size, row.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert row.file.read() == content
    assert list(checks.check()) == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("整改 照片.png", "整改_照片.png"),
        ("x.html", "x.png"),
        ("...", "file.png"),
        ("", "file.png"),
        ("a/b\\c\n.exe", "c.png"),
    ],
)
def test_a_download_is_named_after_what_it_is(name, shown):
    assert files.download_name(name, "image/png") == shown


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("photo.png", b"<script>alert(1)</script>" * 10),
        ("photo.png", b"\x89PNG\r\n\x1a\n<script>alert(1)</script>"),
        ("photo.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>'),
        ("photo.jpg", b"GIF89a" + b"\0" * 40),
        ("photo.jpg", b"%PDF-1.7 a document is no photo"),
        ("photo.png", b""),
    ],
)
def test_a_photo_must_be_one(client, city, name, content):
    case = bring(city, open_case(city), "answered")
    login(client, city.grid)
    upload = SimpleUploadedFile(name, content, "image/png")
    response = send(client, case, "verify", photos=[upload])
    assert response.status_code == 422
    assert name in response.content.decode() or not content
    assert not CaseFile.objects.exists()


def test_too_large_and_too_many(client, city, monkeypatch):
    case = bring(city, open_case(city), "answered")
    login(client, city.grid)
    monkeypatch.setattr(files, "MAX_SIZE", 100)
    response = send(client, case, "verify", photos=[photo(content=PNG + b"x" * 100)])
    assert response.status_code == 422
    monkeypatch.undo()
    response = send(client, case, "verify", photos=[photo(f"{i}.png") for i in range(11)])
    assert response.status_code == 422
    assert not CaseFile.objects.exists()


@pytest.mark.parametrize(
    ("matter", "act", "what"),
    [
        ("exceedance", "answer", "document"),
        ("complaint", "answer", "complaint"),
        ("complaint", "verify", "complaint"),
        ("exceedance", "verify", ""),  # photos of a place
    ],
)
def test_who_read_a_file_with_people_in_it_is_written_down(client, city, matter, act, what):
    case = bring(city, open_case(city), "rectifying" if act == "answer" else "answered")
    who = city.enterprise if act == "answer" else city.grid
    upload = photo("a.pdf", b"%PDF-1.7 says who") if act == "answer" else photo()
    given = {"files" if act == "answer" else "photos": [upload]}
    services.act(who, case.pk, act, case.version, FORMS[act], given, now=NOW)
    Case.objects.filter(pk=case.pk).update(matter=matter)
    row = CaseFile.objects.get()
    login(client, city.grid2)
    assert client.get(row.get_absolute_url()).status_code == 404
    assert not Reading.objects.exists()  # who may not read has read nothing
    login(client, city.dispatcher)
    answer = client.get(row.get_absolute_url())
    assert answer.status_code == 200
    assert ("no-store" in answer["Cache-Control"]) is bool(what)
    told = [(r.what, r.subject, r.actor) for r in Reading.objects.all()]
    assert told == ([(what, f"case-file:{row.pk}", city.dispatcher)] if what else [])


def test_a_transaction_that_fails_leaves_no_file(city, monkeypatch, settings):
    case = bring(city, open_case(city), "answered")
    monkeypatch.setattr(
        CaseFile.objects, "create", lambda **kw: (_ for _ in ()).throw(OSError(28, "disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        services.act(
            city.grid,
            case.pk,
            "verify",
            case.version,
            FORMS["verify"],
            files_for("verify"),
            now=NOW,
        )
    assert not [p for p in settings.MEDIA_ROOT.rglob("*") if p.is_file()]
    assert not CaseEvent.objects.filter(transition="verify").exists()
    case.refresh_from_db()
    assert case.state == "answered"


def test_a_department_sees_a_case_when_it_is_issued(city):
    """A draft is seen by the bureau alone."""
    from jingwei.bureau.cases.models import Case

    case = open_case(city)
    seen = Case.objects.restrict(city.department, "case.view").filter(pk=case.pk)
    assert not seen.exists()
    bring(city, case, "issued")
    assert seen.exists()


def test_a_page_that_is_gone_back_to_acts_anew(client, city):
    """The browser shows the old page with its old token: another act, or another text, is not the
    first one sent twice."""
    case = open_case(city)
    first = next(t for t in case.rules.transitions if case.state in t.sources and t.locks)
    login(client, city.dispatcher)
    for text in ("先看现场", "先看现场", "再看台账"):  # the second time by a double click
        assert send(client, case, "comment", text=text).status_code == 302
    notes = case.events.filter(transition="comment").order_by("seq")
    assert [e.text for e in notes] == ["先看现场", "再看台账"]
    before = case.events.count()
    assert send(client, case, first.name).status_code == 302
    assert case.events.count() == before + 1
    assert case.events.order_by("-seq").first().transition == first.name
