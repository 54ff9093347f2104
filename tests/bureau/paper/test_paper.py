"""Pages as PDF files, read back."""

from __future__ import annotations

import io
import struct
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pypdf
import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.test import RequestFactory
from django.utils import translation

import printed
from jingwei.bureau import paper
from jingwei.bureau.paper import setting

AT = datetime(2026, 11, 20, 3, tzinfo=UTC)


def made(body: str, title: str = "决策报告", picture=lambda source: None) -> bytes:
    return paper.pdf(paper.read(f"<main>{body}</main>", picture), title, AT)


def png(width: int = 2, height: int = 2) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))  # fmt: skip

    rows = (b"\0" + b"\xc0\x10\x10" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")  # fmt: skip


def test_chinese_is_text_in_embedded_fonts_and_the_pages_are_counted() -> None:
    file = made("<h1>决策报告</h1><p>示例化工有限公司，二氧化硫 12.5 µg/m³，O₂ ≥ 6 ✗</p>")
    said = printed.text(file)
    assert "示例化工有限公司，二氧化硫12.5µg/m³，O₂≥6✗" in said
    assert "决策报告·2026-11-201/1" in said
    fonts = printed.fonts(file)
    assert any("NotoSerifSC" in f for f in fonts)
    assert all(fonts.values())
    reader = pypdf.PdfReader(io.BytesIO(file))
    assert reader.metadata.title == "决策报告"
    assert "pdfaid" in reader.xmp_metadata.stream.get_data().decode()
    box = reader.pages[0].mediabox
    assert (round(box.width), round(box.height)) == (595, 842)  # A4 in points


def test_the_same_content_is_the_same_bytes_and_another_is_not() -> None:
    assert made("<p>一</p>") == made("<p>一</p>")
    assert made("<p>一</p>") != made("<p>二</p>")


@pytest.mark.parametrize(
    "name",
    [
        '#read("/etc/passwd")', "#import \"@preview/x:1.0.0\"", "*粗* _斜_ $x$ `code` = 标题", "\\u{41}\\",
        "</main><script>alert(1)</script>", '"); panic("x', "a//b/*c*/", "@ref <label> ---", "[#box[x]]",
    ],
)  # fmt: skip
def test_markup_of_any_engine_in_a_name_is_text(name: str) -> None:
    from html import escape

    file = made(f"<h1>{escape(name)}</h1><table><tr><td>{escape(name)}</td></tr></table>", name)
    assert printed.text(file).count(printed.bare(name)) == 3  # title, cell, foot of the page


def test_a_long_table_goes_on_with_its_head_on_every_page() -> None:
    rows = "".join(
        f"<tr><td>示例{i}号企业</td><td class='num'>{i}.25</td></tr>" for i in range(300)
    )
    file = made(f"<table><thead><tr><th>排污单位</th><th>浓度</th></tr></thead><tbody>{rows}</tbody></table>")  # fmt: skip
    pages = printed.pages(file)
    assert len(pages) > 5
    for number, page in enumerate(pages, 1):
        assert "排污单位浓度" in printed.bare(page)
        assert f"{number}/{len(pages)}" in printed.bare(page)
    said = printed.bare("".join(pages))
    assert [i for i in range(300) if f"示例{i}号企业{i}.25" not in said] == []


def test_what_the_fonts_lack_is_named_and_never_a_blank_box() -> None:
    with translation.override("zh-hans"):
        file = made("<p>𬬻厂、䶮、𪚥记😀</p>")
    said = printed.text(file)
    assert "𬬻厂、䶮、〔U+2A6A5〕记〔U+1F600〕" in said
    assert "字库缺少下列字符，正文中以其Unicode编号代替：U+1F600U+2A6A5" in said
    assert "字库" not in printed.text(made("<p>都有</p>"))
    # What the engine is told to be able to set, it can.
    assert "".join(sorted(setting._SPARE)) in printed.text(made(f"<p>{''.join(sorted(setting._SPARE))}</p>"))  # fmt: skip


def test_a_word_without_end_is_broken_and_copied_as_it_is() -> None:
    code = "0123456789abcdef" * 12
    row = f"<tr><td>{code}</td><td>二</td><td><code>{code}</code></td></tr>"
    file = made(f"<p>{code}</p><table>{row}</table>")
    assert all(code not in page for page in printed.pages(file))
    assert printed.text(file).count("0123456789abcdef") > 20
    assert not any("\u200b" in page for page in printed.pages(file))
    assert code in printed.text(made(f"<p>{code}</p>"))


def test_marks_that_turn_text_around_are_left_out() -> None:
    assert "甲乙丙" in printed.text(made("<p>甲\u202e乙\u200b\x07丙</p>"))


def test_what_is_not_printed_is_not_in_the_file() -> None:
    said = printed.text(made(
        "<p class='no-print'>一</p><form><p>二</p></form><nav>三</nav><script>四</script><p hidden>五</p>"
        "<details><summary>方法</summary>六</details>七<div>八<p>九</p>十</div>"
    ))  # fmt: skip
    assert said.startswith("方法六七八九十")


def test_lists_pairs_breaks_and_joined_cells() -> None:
    said = printed.text(made(
        "<ol><li>甲</li><li>乙</li></ol><ul><li>丙<br>丁</li></ul><dl><dt>戊</dt><dd>己</dd></dl>"
        "<table><tr><th colspan=2>庚</th></tr><tr><td rowspan=2>辛</td><td>壬</td></tr><tr><td>癸</td></tr>"
        "<tr><td>子</td></tr></table>"
    ))  # fmt: skip
    assert all(c in said for c in "甲乙丙丁戊己庚辛壬癸子")
    assert "1.甲2.乙" in said


def test_pictures_are_set_and_those_that_cannot_be_are_named() -> None:
    held = {"/a": png(), "/b": b"\x89PNG broken", "/c": b"GIF", "/d": None}
    body = "<ul>" + "".join(f"<li><img src='{s}' alt=''><small>图{s}</small></li>" for s in held) + "</ul>"  # fmt: skip
    with translation.override("zh-hans"):
        file = made(body, picture=held.get)
    assert printed.text(file).count("图片缺失或无法读取") == 3
    assert "图/a" in printed.text(file)
    assert [len(p.images) for p in pypdf.PdfReader(io.BytesIO(file)).pages] == [1]


def test_a_drawing_stays_lines_and_its_text_text() -> None:
    file = made(
        "<figure><svg viewBox='0 0 100 40'><path d='M0 40 L50 0' stroke='#c00'/>"
        "<text x='5' y='20' font-size='8'>图中 &amp; 字</text></svg><figcaption>图一</figcaption></figure>"
    )
    (page,) = pypdf.PdfReader(io.BytesIO(file)).pages
    assert len(page.images) == 0
    assert "图一" in printed.text(file)
    assert "图中&字" in printed.text(file)


@pytest.fixture
def asked(db: None, monkeypatch: pytest.MonkeyPatch) -> HttpRequest:
    """Of a reader who wants the file of a page."""
    request = RequestFactory().get("/air/x/?a=b&format=pdf")
    request.user, request.session = AnonymousUser(), {}
    request._messages = []
    monkeypatch.setattr(setting, "PATIENCE", 0.05)
    return request


def test_who_waits_too_long_for_the_engine_is_asked_to_come_again(asked: HttpRequest) -> None:
    with setting._one, translation.override("zh-hans"):
        answer = paper.answer(asked, "console/errors/page.html", {"title": "一"}, "一", AT)
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0
    assert "正在生成其他文件" in answer.content.decode()
    assert 'href="/air/x/?a=b"' in answer.content.decode()
    # and the engine is free again afterwards
    assert made("<p>一</p>").startswith(b"%PDF")


def test_a_document_that_the_engine_refuses_leads_back(
    asked: HttpRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "engine.py"
    broken.write_text("raise SystemExit('no fonts')")
    monkeypatch.setattr(setting, "_ENGINE", broken)
    with translation.override("zh-hans"):
        answer = paper.answer(asked, "console/errors/page.html", {"title": "一"}, "一", AT)
    assert answer.status_code == 500
    assert "Retry-After" not in answer
    assert "未能生成 PDF 文件" in answer.content.decode()
    assert "no fonts" not in answer.content.decode()
    assert 'href="/air/x/?a=b"' in answer.content.decode()
    assert not setting._one.locked()


def test_short_names_and_units_are_not_broken() -> None:
    """A table with more to say than the page is wide: names first, the long texts take the rest."""
    long = "登记排放口的贡献均值与其区间，按监测、许可或清单所知的排放速率计算，见说明"
    row = f"<tr><th>朝阳奥体中心站</th><td>{long}</td><td>{long}</td><td>{long}</td><td>{long}</td></tr>"
    (table,) = (b for b in paper.read(f"<main><table>{row}</table></main>", None).blocks if b["is"] == "table")  # fmt: skip
    share = table["widths"][0] / sum(table["widths"])
    assert share * 98 >= 14  # seven characters, in half an em of 98
    file = made(f"<table>{row}</table><p>{'上传值' * 9}，{'1' * 11} mg/m³，{long}</p>")
    lines = pypdf.PdfReader(io.BytesIO(file)).pages[0].extract_text().split("\n")
    assert any("朝阳奥体中心站" in line.replace(" ", "") for line in lines)
    assert any("mg/m³" in line for line in lines)
