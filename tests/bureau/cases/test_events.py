"""Events are written once; the row is their fold; `fsck` finds what was touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, transaction

from bureau.cases.city import NOW, PNG, bring, finding, open_case, photo
from jingwei.bureau.cases import checks, services
from jingwei.bureau.cases.apps import APPEND_ONLY
from jingwei.bureau.cases.models import Case, CaseEvent, CaseFile
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings import immutable

pytestmark = pytest.mark.django_db


@pytest.fixture
def case(city):
    return bring(city, open_case(city), "verified")


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("verb", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_the_database_refuses_to_change_or_delete(case, table, verb):
    refused = pytest.raises(IntegrityError, match="append-only")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(verb.format(table))


def test_the_orm_cannot_either(case):
    event = case.events.first()
    event.text = "anders"
    for change in (event.save, lambda: case.events.update(text="anders")):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has no REPLACE")
@pytest.mark.parametrize("table", APPEND_ONLY)
def test_nor_to_replace_by_any_unique_key(case, city, table):
    """INSERT OR REPLACE asks no trigger of DELETE: of a row with the id, or with another key."""
    services.act(city.grid, case.pk, "comment", 0, {"text": "x"}, token="t", now=NOW)
    with connection.cursor() as cursor:
        rules = connection.introspection.get_constraints(cursor, table).values()
        keys = {tuple(r["columns"]) for r in rules if r["unique"] or r["primary_key"]}
        assert ("id",) in keys
        assert len(keys) > 1
        columns = [c.name for c in connection.introspection.get_table_description(cursor, table)]
        # A row apart from the last one in every unique column; then with one key of it.
        cursor.execute(f"SELECT * FROM {table} WHERE id = (SELECT MAX(id) FROM {table})")
        row = dict(zip(columns, cursor.fetchone(), strict=True))
        marks = ", ".join(["%s"] * len(columns))
        for key in sorted(keys):
            unlike = {
                c: f"{row[c]}0" if isinstance(row[c], str) else 10**6 for k in keys for c in k
            }
            forged = {**row, **unlike, **{c: row[c] for c in key}}
            assert None not in [row[c] for c in key]
            refused = pytest.raises(IntegrityError, match="append-only")
            with refused, transaction.atomic():
                cursor.execute(
                    f"INSERT OR REPLACE INTO {table} VALUES ({marks})", list(forged.values())
                )
    assert list(checks.check()) == []


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no TRUNCATE")
@pytest.mark.parametrize("table", APPEND_ONLY)
def test_nor_to_empty_the_table(case, table):
    refused = pytest.raises(IntegrityError, match="append-only")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what the rows before still wait for
        with refused, transaction.atomic():
            cursor.execute(f"TRUNCATE {table} CASCADE")


def test_triggers_come_back_with_migrate(case):
    immutable.remove(APPEND_ONLY)
    assert len([p for p in checks.check() if "trigger" in p]) == 6
    immutable.install(APPEND_ONLY)
    immutable.install(APPEND_ONLY)
    assert list(checks.check()) == []


def test_every_event_has_its_own_entry_in_the_evidence_log(case):
    events = list(case.events.select_related("evidence"))
    assert [e.seq for e in events] == [1, 2, 3, 4, 5]
    entries = EvidenceEntry.objects.filter(kind="case_event", subject=f"case:{case.pk}")
    assert {e.evidence_id for e in events} == set(entries.values_list("pk", flat=True))
    said = json.loads(events[-1].evidence.content)["content"]
    assert said["transition"] == "verify"
    assert said["number"] == case.number
    [file] = CaseFile.objects.all()
    assert said["files"] == [{"sha256": file.sha256, "sm3": file.sm3}]


def test_the_evidence_log_tells_nothing_about_people_or_texts(case, city):
    services.act(city.grid, case.pk, "comment", 0, {"text": "王五的电话13800000000"}, now=NOW)
    for entry in EvidenceEntry.objects.filter(kind="case_event"):
        assert "13800000000" not in entry.content
        assert "grid" not in json.loads(entry.content)["actor"]
        assert city.enterprises[0].name not in entry.content


def test_a_refused_act_leaves_nothing(case, city):
    before = EvidenceEntry.objects.count(), CaseEvent.objects.count()
    with pytest.raises(services.Invalid):
        services.act(city.district, case.pk, "send_back", case.version, {}, now=NOW)
    assert (EvidenceEntry.objects.count(), CaseEvent.objects.count()) == before


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"state": "closed"}, "state is 'closed'"),
        ({"state": "gone"}, "the flow 'order' has no state 'gone'"),
        ({"flow": "gone"}, "there is no flow 'gone'"),
        ({"due": NOW}, "due is"),
        ({"number": "示环督〔2026〕99号"}, "number is"),
        ({"title": "etwas anderes"}, "title is"),
        ({"version": 9}, "version is 9"),
        ({"escalated": 2}, "escalated is 2"),
        ({"escalate_at": None}, "the next escalation"),
        ({"region_id": "110105"}, "region_id is"),
    ],
)
def test_a_row_that_its_events_do_not_explain_is_found(case, change, found):
    assert list(checks.check()) == []
    Case.objects.filter(pk=case.pk).update(**change)
    problems = list(checks.check())
    assert any(p.startswith(f"case {case.pk}: {found}") for p in problems), problems


@pytest.mark.parametrize(
    "change",
    [
        {"text": "anders"},
        {"data": {"days": 999}},
        {"changes": {}},
        {"source": "draft"},
        {"role": "auditor"},
        {"target": "closed"},
        {"transition": "comment"},
        {"seq": 9},
    ],
)
def test_an_event_that_was_changed_is_found(case, change):
    event = case.events.get(transition="answer")
    immutable.remove(APPEND_ONLY)
    CaseEvent.objects.filter(pk=event.pk).update(**change)
    immutable.install(APPEND_ONLY)
    assert any(p.startswith(f"case {case.pk}: event") for p in checks.check())


def test_findings_that_were_put_in_or_taken_out_are_found(case, city):
    [of_old], other = case.findings.all(), finding(city, 2)
    case.findings.add(other)
    said = f"case {case.pk}: it is of the findings {[of_old.pk, other.pk]}"
    assert list(checks.check()) == [f"{said}, but was opened with {[of_old.pk]}"]
    case.findings.set([])
    assert any("it is of the findings []" in problem for problem in checks.check())


def test_an_event_that_was_deleted_is_found(case):
    immutable.remove(APPEND_ONLY)
    case.events.get(transition="answer").delete()
    immutable.install(APPEND_ONLY)
    assert f"case {case.pk}: event 4 is missing" in list(checks.check())


def test_a_file_that_was_changed_or_lost_is_found(case):
    file = CaseFile.objects.get()
    path = file.file.storage.path(file.file.name)
    with Path(path).open("r+b") as f:
        f.seek(20)
        f.write(b"X")
    assert any("was changed on the disk" in p for p in checks.check())
    Path(path).unlink()
    assert any("cannot be read" in p for p in checks.check())


def test_several_files_keep_their_order_and_digests(case, city):
    uploads = [photo(f"{n}.png", PNG + bytes([n])) for n in range(3)]
    event = services.act(
        city.grid, case.pk, "comment", 0, {"text": "x"}, {"files": uploads}, now=NOW
    )
    assert [f.name for f in event.files.all()] == ["0.png", "1.png", "2.png"]
    assert len({f.sha256 for f in event.files.all()}) == 3
    assert list(checks.check()) == []
