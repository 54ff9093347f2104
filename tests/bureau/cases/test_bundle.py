"""What a closed case gives to its evidence bundle: everything is proved, photos and texts included."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from bureau.cases import city as cities
from jingwei.bureau.cases.bundle import case as parts_of
from jingwei.bureau.evidencelog import bundles
from jingwei.evidence import bundle

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_closed_case_exports_whole(data: Path) -> None:
    city = cities.build()
    case = cities.open_case(city)
    cities.bring(city, case, "closed")
    found = parts_of(case.pk)
    assert {entry.kind for entry in found.entries} == {"case_event", "finding"}
    names = [name for name, _, _ in found.contents]
    assert len(names) == len(set(names)) == case.events.count() + 1  # one photo
    target = data / "case.zip"
    report = bundles.export(f"case:{case.pk}", bundles.gather(case.pk), target)
    assert report.proved
    assert report.absent == []
    assert len(report.items) == len(found.entries) + len(names)
    with zipfile.ZipFile(target) as archive:
        photo = next(n for n in archive.namelist() if n.endswith(".png"))
        assert archive.read(photo) == cities.PNG
        texts = [
            json.loads(archive.read(n))
            for n in archive.namelist()
            if "/event-" in n and n.endswith(".json")
        ]
        assert "已更换催化剂" in [text["text"] for text in texts]
        assert case.number is None or case.number in archive.read("report.zh.html").decode()
    assert bundle.verify(bundle.open_files(target)).proved


def test_no_such_case(db) -> None:
    assert parts_of(999_999) is None
