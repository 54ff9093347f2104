"""Reading PDF files back, and what a page says that its file must say too."""

from __future__ import annotations

import io
import re

import pypdf
from django.http import HttpResponse
from django.test import Client

from jingwei.bureau.paper.reading import read

_WHITE = re.compile(r"\s+")


def bare(text: str) -> str:
    """Without white space: where lines break is no matter of what is said."""
    return _WHITE.sub("", text)


def pages(file: bytes) -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(file)).pages]


def text(file: bytes) -> str:
    return bare("".join(pages(file)))


def fonts(file: bytes) -> dict[str, bool]:
    """The fonts by name, and whether their program is in the file."""
    found: dict[str, bool] = {}
    for page in pypdf.PdfReader(io.BytesIO(file)).pages:
        for font in page["/Resources"].get_object().get("/Font", {}).values():
            whole = font.get_object()
            inner = whole["/DescendantFonts"][0].get_object() if "/DescendantFonts" in whole else whole  # fmt: skip
            about = inner["/FontDescriptor"].get_object()
            found[str(whole["/BaseFont"])] = bool({"/FontFile2", "/FontFile3"} & set(about))
    return found


def cells(page: str) -> list[str]:
    """The text of every cell of the tables that a page shows, without white space."""
    tables = [b for b in read(page).blocks if b["is"] == "table"]
    rows = [row for t in tables for row in t["head"] + t["rows"]]
    said = [bare("".join(run.get("text", "") for run in c["runs"])) for row in rows for c in row]
    return [s for s in said if s]


def both(client: Client, url: str, query: dict[str, str] | None = None) -> tuple[str, HttpResponse]:
    """A page and its file, which must be the same twice and say all that stands in the page's tables."""
    page = client.get(url, query or {}).content.decode()
    file = client.get(url, {**(query or {}), "format": "pdf"})
    assert file["Content-Type"] == "application/pdf"
    assert client.get(url, {**(query or {}), "format": "pdf"}).content == file.content
    said = text(file.content)
    assert [c for c in cells(page) if c not in said] == []
    assert all(fonts(file.content).values())
    return page, file
