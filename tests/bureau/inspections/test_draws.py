"""Draws in the office: freeze, seed, run, publish; who may; what is found when it is changed."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import zipfile
from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.urls import reverse

from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.services import said_digest
from jingwei.bureau.inspections import draw_selectors as selectors
from jingwei.bureau.inspections import draw_views, drawing, pool
from jingwei.bureau.inspections.models import Draw, DrawStep, Recusal
from jingwei.evidence import beacon
from jingwei.evidence import draw as rules

from .conftest import NOW, SECRETS

REVEAL, LOTTERY = NOW + timedelta(hours=6), NOW + timedelta(hours=12)
NUMBERS = [33, 9, 18, 26, 5, 1]


def plan(city, **change):
    sources = [
        {"kind": "parties", "name": "commit-reveal", "time": drawing.utc(REVEAL),
         "missing": "without", "parties": []},
        {"kind": "numbers", "name": "双色球 2026139", "time": drawing.utc(LOTTERY),
         "missing": "void", "count": 6, "low": 1, "high": 33, "ordered": False},
    ]  # fmt: skip
    data = {"purpose": "四季度抽查", "team": 2, "load": 9, "sources": sources, "parties": SECRETS}
    return drawing.create(city.dispatcher, {**data, **change}, now=NOW)


def commit_all(draw):
    for party in draw.parties.all():
        drawing.commit(party, rules.commitment(draw.name, party.name, SECRETS[party.name]), now=NOW)


def frozen(city, **change):
    draw = plan(city, **change)
    commit_all(draw)
    return drawing.freeze(city.dispatcher, draw, now=NOW)


def drawn(city, **change):
    draw = frozen(city, **change)
    for party in draw.parties.all():
        drawing.reveal(party, SECRETS[party.name], now=NOW + timedelta(hours=1))
    drawing.enter_value(city.dispatcher, draw, 1, NUMBERS, now=LOTTERY)
    return drawing.run(city.dispatcher, draw, now=LOTTERY)


def published(city, **change):
    draw = drawn(city, **change)
    drawing.publish(city.dispatcher, draw, now=LOTTERY)
    draw.refresh_from_db()
    return draw


def test_the_whole_way_of_a_draw(city) -> None:
    draw = published(city)
    assert draw.name == "SJ-20261120-1"
    result = rules.verify(rules.load(rules.canonical(draw.result)))
    strata = {s["name"]: s for s in draw.plan["strata"]}
    assert set(strata) == {"key-green", "key-yellow", "general-green", "general-yellow", "ungraded"}
    assert strata["key-green"]["numerator"] == 25
    assert result["key"].endswith("1.5.9.18.26.33./")
    chosen = {item["code"]: item["inspectors"] for item in result["selected"]}
    assert len(chosen) == 5
    assert all(len(team) == 2 for team in chosen.values())
    areas = {e.uscc: e.region_id for e in city.enterprises}
    for code, team in chosen.items():
        for inspector in team:
            person = next(i for i in city.inspectors if i.code == inspector)
            assert areas[code] in person.user.areas()
    acts = [s.act for s in draw.steps.all()]
    assert acts == ["commit"] * 3 + ["freeze"] + ["reveal"] * 3 + ["value", "run", "publish"]
    first = EvidenceEntry.objects.get(draw_step__act="freeze")
    assert json.loads(first.content)["content"]["plan_sha256"] == rules.plan_hash(draw.plan)
    assert draw.units.filter(selected=True).count() == 5


def test_nothing_before_the_publication_tells_who_is_drawn(city, client) -> None:
    draw = drawn(city)
    said = "".join(EvidenceEntry.objects.filter(kind="draw").values_list("content", flat=True))
    assert draw.result["seed"] not in said
    assert not any(secret in said for secret in SECRETS.values())
    page = client.get(draw.get_public_url(), {"code": city.enterprises[0].uscc}).content.decode()
    for secret in (*SECRETS.values(), draw.result["seed"], *draw.result["tickets"].values()):
        assert secret not in page
    assert city.enterprises[3].uscc not in page
    for name in ("result.json", "plan.json", "list.csv", "draw.zip", "manifest.json"):
        assert client.get(f"{draw.get_public_url()}{name}").status_code == 404
    client.force_login(city.users["enterprise"])
    own = client.get("/inspections/draws/own/").content.decode()
    assert draw.name in own
    assert draw.result["seed"] not in own
    assert client.get(f"{draw.get_public_url()}result.json").status_code == 404


def test_the_public_page_shows_all_and_every_ticket(city, client) -> None:
    draw = published(city)
    answer = client.get(draw.get_public_url())
    assert answer.status_code == 200
    for enterprise in city.enterprises:
        page = client.get(draw.get_public_url(), {"code": enterprise.uscc.lower()})
        text = page.content.decode()
        assert draw.result["tickets"][enterprise.uscc] in text
        found = selectors.ticket(draw, enterprise.uscc)
        line = f"{draw.name}\n{draw.result['seed']}\nunit\n{enterprise.uscc}".encode()
        assert rules.hashlib.sha256(line).hexdigest() == found.ticket
        assert found.selected == (found.rank <= found.quota)
    assert "不在本次抽取名单" in client.get(draw.get_public_url(), {"code": "X"}).content.decode()
    client.force_login(city.users["enterprise"])
    assert draw.result["tickets"][city.enterprises[0].uscc] in (
        client.get("/inspections/draws/own/").content.decode()
    )


@pytest.fixture
def publication(city, client, tmp_path):
    """The ZIP as a stranger downloads and unpacks it."""
    draw = published(city)
    answer = client.get(f"{draw.get_public_url()}draw.zip")
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(tmp_path)
    return draw, tmp_path / draw.name


def check(folder, *words):
    """Run the published verifier with a bare Python: standard library alone."""
    return subprocess.run(
        [sys.executable, "-I", "-S", folder / "draw.py", folder, *words],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONIOENCODING": "utf-8"},
    )


def test_the_published_verifier_finds_everything_right(publication) -> None:
    draw, folder = publication
    done = check(folder)
    assert done.returncode == 0, done.stderr
    logged = json.loads(EvidenceEntry.objects.get(draw_step__act="run").content)["content"]
    assert logged["manifest_sha256"] in done.stdout
    code = draw.result["selected"][0]["code"]
    assert "selected 抽中" in check(folder, code).stdout
    rows = list(csv.reader((folder / "list.csv").read_text("utf-8-sig").splitlines()))
    assert len(rows) == 1 + len(draw.plan["units"])


@pytest.mark.parametrize(
    "name", ["plan.json", "result.json", "list.csv", "draw.py", "manifest.json"]
)
def test_one_changed_byte_in_any_published_file_is_found(publication, name) -> None:
    _draw, folder = publication
    whole = (folder / name).read_bytes()
    verifier = (folder / "draw.py").read_bytes()
    for at in {0, len(whole) // 3, len(whole) // 2, len(whole) - 1}:
        changed = bytearray(whole)
        changed[at] ^= 1
        files = rules.read_folder(folder) | {name: bytes(changed)}
        with pytest.raises(rules.DrawError):
            rules.verify_files(files)
    if name != "draw.py":  # a changed verifier does not tell on itself: another copy does
        (folder / name).write_bytes(bytes(changed))
        assert check(folder).returncode == 1
    assert verifier == drawing.VERIFIER.read_bytes()
    (folder / name).unlink()
    with pytest.raises(rules.DrawError, match="missing"):
        rules.verify_files(rules.read_folder(folder))


def test_a_whole_forgery_does_not_have_the_logged_hash(publication) -> None:
    """Who changes plan and result together makes a right publication of another draw."""
    draw, folder = publication
    plan = json.loads((folder / "plan.json").read_text())
    plan["excluded"] = [{"code": draw.result["selected"][0]["code"], "reason": "停产"}]
    forged = rules.run(plan, draw.result["values"])
    files = {**rules.read_folder(folder), "plan.json": rules.canonical(plan)}
    files["result.json"] = rules.canonical(forged)
    del files["manifest.json"]
    manifest = rules.manifest(forged, files)
    assert rules.verify_files({**files, "manifest.json": manifest})
    logged = json.loads(EvidenceEntry.objects.get(draw_step__act="run").content)["content"]
    assert rules.hashlib.sha256(manifest).hexdigest() != logged["manifest_sha256"]
    assert forged["plan_sha256"] != logged["plan_sha256"]


def test_what_is_not_in_order_is_refused(city) -> None:
    draw = plan(city)
    with pytest.raises(Refused, match="尚未提交承诺值"):
        drawing.freeze(city.dispatcher, draw, now=NOW)
    with pytest.raises(Refused):
        drawing.freeze(city.users["district"], draw, now=NOW)
    commit_all(draw)
    party = draw.parties.first()
    with pytest.raises(Refused, match="不能更改"):
        drawing.commit(party, "ab" * 32, now=NOW)
    with pytest.raises(Refused, match="冻结"):
        drawing.freeze(city.dispatcher, draw, now=LOTTERY + timedelta(hours=1))  # sources are known
    drawing.freeze(city.dispatcher, draw, now=NOW)
    with pytest.raises(Refused):
        drawing.set_ratios(city.dispatcher, draw, {"key-green": (100, 0)})
    with pytest.raises(Refused, match="未到时间"):
        drawing.enter_value(city.dispatcher, draw, 1, NUMBERS, now=NOW)
    with pytest.raises(Refused, match="不符"):
        drawing.enter_value(city.dispatcher, draw, 1, [1, 2, 3, 4, 5, 34], now=LOTTERY)
    with pytest.raises(Refused, match="不符"):
        drawing.reveal(party, "ab" * 32, now=NOW)
    with pytest.raises(Refused, match="已过"):
        drawing.reveal(party, SECRETS[party.name], now=REVEAL)
    with pytest.raises(Refused, match="时间未到"):
        drawing.run(city.dispatcher, draw, now=NOW)
    with pytest.raises(Refused, match="先录入"):
        drawing.run(city.dispatcher, draw, now=LOTTERY)
    drawing.enter_value(city.dispatcher, draw, 1, NUMBERS, now=LOTTERY)
    with pytest.raises(Refused, match="已经录入"):
        drawing.enter_value(city.dispatcher, draw, 1, [1, 2, 3, 4, 5, 6], now=LOTTERY)
    # No party revealed: by the plan it goes on without them, and says so.
    result = drawing.run(city.dispatcher, draw, now=LOTTERY).result
    assert len(result["breaches"]) == 3
    with pytest.raises(Refused):
        drawing.run(city.dispatcher, draw, now=LOTTERY)


def test_a_missing_lottery_makes_it_void_and_a_redraw_names_it(city) -> None:
    draw = frozen(city)
    with pytest.raises(Refused, match="作废"):
        drawing.run(city.dispatcher, draw, now=LOTTERY + timedelta(days=2))
    drawing.void(city.dispatcher, draw, "当期未开奖", now=LOTTERY)
    draw.refresh_from_db()
    with pytest.raises(Refused, match="理由"):
        again = drawing.create(
            city.dispatcher,
            {"purpose": "重抽", "team": 2, "load": 9, "sources": draw.sources},
            replaces=draw,
            now=NOW,
        )
    again = drawing.create(
        city.dispatcher,
        {"purpose": "重抽", "team": 2, "load": 9, "sources": draw.sources, "parties": SECRETS,
         "reason": "当期未开奖"},
        replaces=draw,
        now=NOW,
    )  # fmt: skip
    commit_all(again)
    again = drawing.freeze(city.dispatcher, again, now=NOW)
    assert again.name == "SJ-20261120-2"
    assert again.plan["replaces"] == {
        "draw": draw.name,
        "plan_sha256": draw.plan_sha256,
        "reason": "当期未开奖",
    }
    entry = EvidenceEntry.objects.filter(draw_step__act="freeze").latest("pk")
    assert json.loads(entry.content)["content"]["replaces"] == {
        "draw": draw.name,
        "plan_sha256": draw.plan_sha256,
    }
    logged = list(EvidenceEntry.objects.filter(kind="draw"))
    assert not any("当期未开奖" in e.content for e in logged)
    assert not any(name in e.content for e in logged for name in SECRETS)
    step = DrawStep.objects.select_related("evidence").get(draw=draw, act="void")
    told = json.loads(step.evidence.content)["content"]["said"]
    assert told == said_digest({"reason": step.text}, step.evidence.salt)


def test_recusals_qualifications_and_places_keep_inspectors_away(city) -> None:
    enterprise = city.enterprises[0]
    pool.recuse(city.dispatcher, city.inspectors[0], enterprise.uscc, "worked", "", now=NOW)
    city.inspectors[1].qualifications = ["cement"]
    city.inspectors[1].save()
    found = {
        (r["inspector"], r["unit"]): r["reason"]
        for r in drawing.recusals_of(selectors.inspectors(), city.enterprises)
    }
    assert found["ZF000", enterprise.uscc] == "曾在该单位任职"
    assert found["ZF001", enterprise.uscc] == "不具备该行业检查资格"
    assert found["ZF003", enterprise.uscc] == "不在管辖范围内"
    assert ("ZF002", enterprise.uscc) not in found
    with pytest.raises(Refused, match="不足"):  # one inspector left for a team of two
        frozen(city)


def test_the_load_must_do_for_what_is_drawn(city) -> None:
    with pytest.raises(Refused, match="上限"):
        frozen(city, load=1)


def test_exclusions_have_reasons_and_get_no_ticket(city) -> None:
    draw = plan(city)
    out = city.enterprises[2].uscc
    drawing.exclude(city.dispatcher, draw, out, "停产")
    with pytest.raises(Refused):
        drawing.exclude(city.dispatcher, draw, "9" * 18, "不存在")
    commit_all(draw)
    draw = drawing.freeze(city.dispatcher, Draw.objects.get(pk=draw.pk), now=NOW)
    assert draw.plan["excluded"] == [{"code": out, "reason": "停产"}]
    drawing.enter_value(city.dispatcher, draw, 1, NUMBERS, now=LOTTERY)
    draw = drawing.run(city.dispatcher, draw, now=LOTTERY)
    assert out not in draw.result["tickets"]
    assert selectors.ticket(draw, out).excluded == "停产"


def test_a_drand_round_is_recorded_as_what_it_is(city, client, monkeypatch) -> None:
    source = drawing.drand_source(LOTTERY)
    assert drawing.when(source) >= LOTTERY
    assert drawing.when(source) < LOTTERY + timedelta(seconds=3)
    signature = "ab" * 48
    value = {
        "round": source["round"],
        "randomness": rules.hashlib.sha256(bytes.fromhex(signature)).hexdigest(),
        "signature": signature,
    }
    draw = plan(city)
    draw.sources = [*draw.sources, source]
    draw.values.append(None)
    draw.save()
    commit_all(draw)
    draw = drawing.freeze(city.dispatcher, draw, now=NOW)
    late = LOTTERY + timedelta(minutes=1)
    with pytest.raises(Refused):
        drawing.enter_value(city.dispatcher, draw, 2, {**value, "round": 1}, now=late)
    with pytest.raises(Refused):
        drawing.enter_value(city.dispatcher, draw, 2, {**value, "randomness": "00" * 32}, now=late)
    with pytest.raises(Refused, match="签名"):
        drawing.enter_value(city.dispatcher, draw, 2, value, now=late)

    def missing(*_) -> None:
        raise beacon.NotInstalledError

    client.force_login(city.dispatcher)
    for found, said in ((missing, "未核验"), (lambda *_: None, "已核验")):
        monkeypatch.setattr(beacon, "verify", found)
        with transaction.atomic():
            drawing.enter_value(city.dispatcher, draw, 2, value, now=late)
            assert said in client.get(draw.get_absolute_url()).content.decode()
            transaction.set_rollback(said == "未核验")
    drawing.enter_value(city.dispatcher, draw, 1, NUMBERS, now=late)
    assert (
        drawing.run(city.dispatcher, draw, now=late).result["key"].count("/") == 5
    )  # three parties, two public sources


def test_steps_are_written_once(city) -> None:
    step = frozen(city).steps.first()
    with pytest.raises(DatabaseError), transaction.atomic():
        DrawStep.objects.filter(pk=step.pk).update(text="x")
    with pytest.raises(DatabaseError), transaction.atomic():
        DrawStep.objects.filter(pk=step.pk).delete()


def test_a_party_acts_on_its_own_page(city, client) -> None:
    draw = plan(city)
    for party in draw.parties.all():
        address = reverse("inspections:party", args=[draw_views.party_token(party)])
        assert client.get(address).status_code == 200
        said = rules.commitment(draw.name, party.name, SECRETS[party.name])
        refused = client.post(address, {"commitment": "zz"})
        assert refused.status_code == 409
        assert [text for _label, text in refused.context["left_over"]] == ["zz"]
        assert client.post(address, {"commitment": said}).status_code == 302
        assert said in client.get(address).content.decode()
    assert client.get("/inspections/party/forged:token/").status_code == 404
    assert all(p.commitment for p in draw.parties.all())


def test_the_pages_of_the_office(city, client) -> None:
    client.force_login(city.dispatcher)
    form = {
        "purpose": "抽查", "team": "2", "load": "9", "parties": "\n".join(SECRETS),
        "reveal_time": "2099-01-01T10:00", "parties_missing": "without", "lottery": "双色球",
        "lottery_time": "2099-01-01T21:15", "lottery_count": "6", "lottery_low": "1",
        "lottery_high": "33", "lottery_missing": "void",
    }  # fmt: skip
    bad = client.post("/inspections/draws/new/", {**form, "parties": "一\n二"})
    assert bad.status_code == 422
    assert "一\n二" in bad.content.decode().replace("\r", "")
    assert client.post("/inspections/draws/new/", {**form, "lottery": ""}).status_code == 422
    past = client.post("/inspections/draws/new/", {**form, "lottery_time": "2020-01-01T10:00"})
    assert past.status_code == 422
    answer = client.post("/inspections/draws/new/", form)
    assert answer.status_code == 302
    draw = Draw.objects.get()
    page = answer["Location"]
    ratios = {
        "stratum": ["key-green", "ungraded"], "percent:key-green": "50", "minimum:key-green": "1",
        "percent:ungraded": "0", "minimum:ungraded": "0",
    }  # fmt: skip
    assert client.post(f"{page}ratios/", ratios).status_code == 302
    wrong = client.post(f"{page}ratios/", {**ratios, "percent:ungraded": "x"})
    assert wrong.status_code == 409
    assert any("x %" in text for _label, text in wrong.context["left_over"])
    uscc = city.enterprises[4].uscc
    refused = client.post(f"{page}exclude/", {"uscc": uscc, "reason": " "})
    assert refused.status_code == 409
    client.post(f"{page}exclude/", {"uscc": uscc, "reason": "停产"})
    assert "停产" in client.get(page).content.decode()
    assert client.post(f"{page}freeze/").status_code == 409
    commit_all(draw)
    assert client.post(f"{page}freeze/").status_code == 302
    draw.refresh_from_db()
    assert draw.state == "frozen"
    assert client.get(page).status_code == 200
    assert client.post(f"{page}run/").status_code == 409
    late = client.post(f"{page}exclude/", {"uscc": uscc, "reason": "停产整治"})
    assert late.status_code == 409
    assert [text for _label, text in late.context["left_over"]] == [uscc, "停产整治"]
    assert "停产整治" in late.content.decode()
    assert client.get("/inspections/draws/").status_code == 200
    client.force_login(city.users["auditor"])
    assert client.get(page).status_code == 200
    assert client.post(f"{page}void/", {"reason": "x"}).status_code == 403
    Draw.objects.filter(pk=draw.pk).update(plan_sha256="")
    assert client.get(page).status_code == 404  # drafts are for those who make them


def test_the_pool_and_the_grades(city, client) -> None:
    client.force_login(city.dispatcher)
    assert client.get("/inspections/pool/").status_code == 200
    address = f"/inspections/pool/{city.inspectors[0].pk}/"
    uscc = city.enterprises[0].uscc
    said = {"act": "recuse", "uscc": uscc, "reason": "kin", "note": "舅父在该厂任职"}
    assert client.post(address, said).status_code == 302
    assert client.post(address, {**said, "uscc": "nobody"}).status_code == 422
    recusal = Recusal.objects.get()
    assert client.post(address, {"act": "end", "recusal": recusal.pk}).status_code == 302
    assert not Recusal.objects.exists()
    kept = {"act": "keep", "certificate": "新证号", "qualifications": ["cement"], "active": "on"}
    assert client.post(address, kept).status_code == 302
    city.inspectors[0].refresh_from_db()
    assert city.inspectors[0].qualifications == ["cement"]
    head = "uscc,credit,risk,source,on\n"
    upload = io.BytesIO(f"{head}{uscc},red,special,评价,2026-06-01\n".encode("utf-8-sig"))
    upload.name = "grades.csv"
    assert client.post("/inspections/grades/", {"file": upload}).status_code == 302
    city.enterprises[0].grade.refresh_from_db()
    assert selectors.stratum(city.enterprises[0]) == "special-red"
    for bad in (
        f"{uscc},pink,special,x,2026-06-01",
        f"{uscc},red,key,x,soon",
        "1,red,key,x,2026-06-01",
    ):
        with pytest.raises(Refused, match="第 2 行"):
            pool.import_grades(city.dispatcher, head + bad)
    with pytest.raises(Refused, match="首行"):
        pool.import_grades(city.dispatcher, "a,b\n")
    client.force_login(city.users["auditor"])
    assert client.get("/inspections/grades/").status_code == 200
    upload.seek(0)
    assert client.post("/inspections/grades/", {"file": upload}).status_code == 422
