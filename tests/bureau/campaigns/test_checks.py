"""What `jingwei fsck` says of programmes and shared cases that are not what the evidence log tells of."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from bureau.campaigns.conftest import begin
from bureau.cases.city import bring, open_case
from jingwei.bureau.campaigns import acting, checks, services
from jingwei.bureau.campaigns.flows import ANSWER
from jingwei.bureau.campaigns.models import Answer, Programme, Share, Summary, Team
from jingwei.bureau.cases.forms import TransitionForm
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.selectors import in_clear
from jingwei.bureau.evidencelog.services import record
from jingwei.evidence import digest

WORDS = {
    "text": "同意", "checklist": "看现场", "conclusion": "达标", "request": "协查", "name": "李某",
    "reply": "属实",
}  # fmt: skip


@pytest.fixture
def rows(city) -> dict[str, Any]:
    """A campaign with all that somebody can write in it, and a shared case with its answer."""
    days = {"begins": date(2026, 1, 1), "ends": timezone.localdate()}
    programme = begin(
        city, "campaign", regions=[city.regions[0]], matters=["air"], **days,
        text=WORDS["text"], checklist=WORDS["checklist"],
    )  # fmt: skip
    figures = {"opened": 3, "rate": 80.0}
    summary = services.summarise(city.dispatcher, programme, days["ends"], WORDS["text"], figures)
    acting.conclude(city.dispatcher, programme.pk, WORDS["conclusion"], figures)
    programme.refresh_from_db()
    case = bring(city, open_case(city), "issued")
    share, _token = services.share(city.dispatcher, case.pk, "邻市", WORDS["request"], True, 9)
    form = TransitionForm(ANSWER, case, {"name": WORDS["name"], "text": WORDS["reply"]})
    assert form.is_valid()
    answer = services.answer(share, form)
    return {"programme": programme, "summary": summary, "share": share, "answer": answer}


def test_what_was_told_is_found_right(city, rows) -> None:
    assert list(checks.check()) == []
    services.revoke(city.dispatcher, rows["share"].pk)
    assert list(checks.check()) == []


def test_words_are_in_the_log_by_salted_digests_alone(rows) -> None:
    entries = EvidenceEntry.objects.filter(kind__in=("campaign", "case.share"))
    assert len(entries) == 5
    for entry in entries:
        assert entry.salt
        for word in WORDS.values():
            assert word not in entry.content
            assert digest.both(word.encode())["sha256"] not in entry.content


@pytest.mark.parametrize(
    ("model", "change", "said"),
    [
        (Programme, {"text": "x"}, "text or checklist: not what was said"),
        (Programme, {"checklist": ""}, "text or checklist: not what was said"),
        (Programme, {"conclusion": "x"}, "text: not what was said"),
        (Programme, {"closed": None}, "it is closed, not over, but"),
        (Programme, {"closed": timezone.now()}, "it was over at"),
        (Programme, {"title": "x"}, "title is 'x'"),
        (Programme, {"ends": date(2099, 1, 1)}, "ends is '2099-01-01'"),
        (Programme, {"matters": []}, "matters is []"),
        (Summary, {"text": "x"}, "text: not what was said"),
        (Summary, {"figures": {"opened": 4}}, "figures is {'opened': 4}"),
        (Share, {"request": "x"}, "request: not what was said"),
        (Share, {"authority": "x"}, "authority is 'x'"),
        (Share, {"revoked": timezone.now()}, "it is revoked, but"),
        (Answer, {"text": "x"}, "name or text: not what was said"),
        (Answer, {"name": "x"}, "name or text: not what was said"),
    ],
)
def test_a_changed_row(rows, model, change: dict, said: str) -> None:
    model.objects.update(**change)
    problems = list(checks.check())
    assert any(said in problem for problem in problems), problems


def test_another_leader_or_other_regions(city, rows) -> None:
    Programme.objects.update(lead=city.district.department)
    assert "lead is" in next(checks.check())
    Programme.objects.update(lead=city.centre)
    rows["programme"].regions.set([])
    assert "regions is []" in next(checks.check())


def test_a_bare_digest_of_before_words_were_salted_still_counts(city, rows) -> None:
    day = rows["summary"].day
    content = {"act": "summary", "day": day, "figures": {}, "text": digest.both("同意".encode())}
    with transaction.atomic():
        entry = record("campaign", f"campaign:{rows['programme'].pk}", content)
    old = Summary.objects.create(
        programme=rows["programme"], day=day, text="同意", actor=city.dispatcher,
        at=timezone.now(), evidence=entry,
    )  # fmt: skip
    assert list(checks.check()) == []
    assert in_clear(entry)
    assert not in_clear(rows["summary"].evidence)
    Summary.objects.filter(pk=old.pk).update(text="不同意")
    assert list(checks.check()) == [
        f"summary {old.pk}: text: not what was said when the evidence log was told of it"
    ]


def test_a_team_named_before_changes_were_kept(city, rows) -> None:
    programme = rows["programme"]
    team = Team.objects.create(programme=programme, name="甲组")
    team.members.set([city.grid])
    said = {"name": "甲组", "members": [city.grid.pk]}
    content = {"act": "team", "team": team.pk, "region": "", "size": 1}
    with transaction.atomic():
        record("campaign", f"campaign:{programme.pk}", content, actor="1", said=said)
    assert list(checks.check()) == []
    team.members.set([city.district])
    assert "name or members: not what was said" in next(checks.check())
