"""The translations are complete, and `scripts/messages.py` would notice if they were not."""

from __future__ import annotations

import gettext
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))
import messages


def test_every_text_has_its_chinese() -> None:
    found = list(messages.problems())
    assert not found, "\n" + "\n".join(found)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two rooms of a house of their own."""
    monkeypatch.setattr(messages, "ROOT", tmp_path)
    monkeypatch.setattr(messages, "PACKAGE", tmp_path)
    for room in ("cases", "findings"):
        (tmp_path / "bureau" / room / "templates").mkdir(parents=True)
        (tmp_path / "bureau" / room / "__init__.py").touch()
    return tmp_path


def room(house: Path, name: str, po: str = "", domain: str = "django", **files: str) -> None:
    folder = house / "bureau" / name
    for file, text in files.items():
        stem, _, suffix = file.rpartition("_")
        path = folder / ("templates" if suffix == "html" else "") / f"{stem}.{suffix}"
        path.write_text(text)
    if po:
        path = messages.po(folder, domain)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(messages.HEADER + po)


def test_untranslated_in_python_template_and_javascript(house: Path) -> None:
    room(
        house,
        "cases",
        views_py='_("Order")\nngettext("%(n)d day", "%(n)d days", n)\npgettext("verb", "Open")\n',
        page_html="<p>{% translate 'Case' %}\n   {% blocktranslate with a=b %}By {{ a }}"
        "{% endblocktranslate %}</p>\n {{ _('Late')|upper }}",
        map_js="gettext('Map'); const t = `${gettext('Inside')} x`;",
    )
    said = "\n".join(messages.problems())
    for text in ("Order", "%(n)d day", "Open", "Case", "By %(a)s", "Late", "Map", "Inside"):
        assert f"no Chinese for {text!r}" in said
    assert "bureau/cases/views.py:1" in said


def test_a_complete_room_has_no_problem(house: Path) -> None:
    room(house, "cases", 'msgid "Order"\nmsgstr "督办单"\n', views_py='_("Order")')
    room(house, "findings", views_py='_("Order")')  # the other room's text serves all
    assert list(messages.problems()) == []


@pytest.mark.parametrize(
    ("code", "po", "problem"),
    [
        ('_("A")', 'msgid "A"\nmsgstr "甲"\n\nmsgid "B"\nmsgstr "乙"\n', "nobody asks for 'B'"),
        ('_("A")', '#, fuzzy\nmsgid "A"\nmsgstr "甲"\n', "no Chinese for 'A'"),
        ('_("A")', 'msgid "A"\nmsgstr ""\n', "no Chinese for 'A'"),
        ('_("A %(n)s")', 'msgid "A %(n)s"\nmsgstr "甲"\n', "loses %(n)s"),
        ('_("A %(n)s")', 'msgid "A %(n)s"\nmsgstr "甲 %(m)s %(n)s"\n', "has no %(m)s"),
    ],
)
def test_what_is_wrong_with_a_translation(house: Path, code: str, po: str, problem: str) -> None:
    room(house, "cases", po, views_py=code)
    (found,) = messages.problems()
    assert problem in found


def test_two_rooms_must_use_one_word(house: Path) -> None:
    room(house, "cases", 'msgid "Order"\nmsgstr "督办单"\n', views_py='_("Order")')
    room(house, "findings", 'msgid "Order"\nmsgstr "订单"\n', views_py='_("Order")')
    (found,) = messages.problems()
    assert "督办单" in found
    assert "订单" in found


def test_compile_makes_what_gettext_reads_and_skips_what_is_done(house: Path) -> None:
    room(
        house,
        "cases",
        'msgid "Order"\nmsgstr "督办单"\n\n'
        'msgid "%(n)d day"\nmsgid_plural "%(n)d days"\nmsgstr[0] "%(n)d 天"\n',
        views_py='_("Order")',
    )
    assert messages.compile_all() == 1
    assert messages.compile_all() == 0
    with messages.po(house / "bureau" / "cases", "django").with_suffix(".mo").open("rb") as file:
        read = gettext.GNUTranslations(file)
    assert read.gettext("Order") == "督办单"
    assert read.ngettext("%(n)d day", "%(n)d days", 5) == "%(n)d 天"


def test_update_adds_what_is_missing_once(house: Path) -> None:
    room(house, "cases", 'msgid "A"\nmsgstr "甲"\n', views_py='_("A"), ngettext("x", "y", 2)')
    room(house, "findings", views_py='_("B")')
    assert messages.update(["cases"]) == 1
    assert not messages.po(house / "bureau" / "findings", "django").exists()
    assert messages.update([]) == 1
    assert messages.update([]) == 0
    said = list(messages.problems())
    assert [line.partition("no Chinese for ")[2] for line in said] == [
        "'x' (django)",
        "'B' (django)",
    ]
