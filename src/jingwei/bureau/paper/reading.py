"""What a page says, without how the browser shows it: HTML to blocks for `a4.typ`.

A block is a dict with `is`: `heading` (level, style), `paragraph` (style, indent), `item` (of a list; mark),
`table` (head, rows, widths), `pictures` (with captions; kind: `photos`, `signatures` or empty), `rule` or `gap`. Texts are runs:
dicts with `text` and, where so, `strong`, `small`, `code`, `sub`, `sup`, or `break`.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

_VOID = {"br", "img", "hr", "input", "meta", "link", "col", "wbr", "source", "area", "base"}
_SILENT = {
    "script", "style", "template", "nav", "form", "button", "input", "select", "textarea", "head",
    "noscript", "iframe", "canvas", "video", "audio", "dialog",
}  # fmt: skip
_INLINE = {
    "a", "abbr", "b", "bdi", "br", "cite", "code", "data", "del", "dfn", "em", "i", "ins", "kbd",
    "label", "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "u", "var", "wbr",
}  # fmt: skip
_MARKS = {
    "strong": "strong", "b": "strong", "small": "small", "code": "code", "kbd": "code",
    "sub": "sub", "sup": "sup",
}  # fmt: skip
_HEADINGS = {f"h{n}": n for n in range(1, 7)}
# Classes of the documents that the template sets in a way of its own.
_STYLES = (
    "finding",
    "issuer",
    "kind",
    "number",
    "draft-mark",
    "to",
    "sub",
    "fine",
    "note",
    "crumbs",
    "foot",
)
_SPACE = re.compile(r"[ \t\n\r\f]+")
_PAGE = 98  # half an em; 156 mm of text of 9 pt, as `a4.typ` sets tables
_NAME = 16  # half an em; a line as short as a name, which is not broken where there is room for it
_TOKEN = re.compile(r"[\x21-\x7e]+")

Block = dict[str, Any]
Runs = list[dict[str, Any]]


@dataclass
class Content:
    """What is set: the blocks, the language (`zh` or `en`) and the pictures, which the blocks name by
    their number."""

    blocks: list[Block]
    language: str
    pictures: list[bytes] = field(default_factory=list)


@dataclass
class _Node:
    tag: str
    attrs: dict[str, str]
    parent: _Node | None = None
    inside: list[_Node | str] = field(default_factory=list)

    @property
    def classes(self) -> set[str]:
        return set(self.attrs.get("class", "").split())

    def find(self, tag: str) -> Iterator[_Node]:
        for child in self.inside:
            if isinstance(child, _Node):
                if child.tag == tag:
                    yield child
                yield from child.find(tag)


class _Tree(HTMLParser):
    """The tree of well-formed HTML; SVG is kept as its source, whose names tell upper case from lower."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.here = _Node("", {})
        self.svg = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.svg:
            self.here.inside.append(self.get_starttag_text() or "")
            self.svg += tag == "svg"
            return
        node = _Node(tag, {k: v or "" for k, v in attrs}, self.here)
        self.here.inside.append(node)
        if tag == "svg":
            self.svg = 1
            node.inside.append(self.get_starttag_text() or "")
        if tag not in _VOID:
            self.here = node

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.svg:
            self.here.inside.append(self.get_starttag_text() or "")
        else:
            self.here.inside.append(_Node(tag, {k: v or "" for k, v in attrs}, self.here))

    def handle_endtag(self, tag: str) -> None:
        if self.svg:
            self.here.inside.append(f"</{tag}>")
            self.svg -= tag == "svg"
            if self.svg:
                return
        node: _Node | None = self.here
        while node is not None and node.tag != tag:
            node = node.parent
        if node is not None and node.parent is not None:
            self.here = node.parent

    def handle_data(self, data: str) -> None:
        self.here.inside.append(html.escape(data) if self.svg else data)


def read(page: str, picture: Callable[[str], bytes | None] = lambda source: None) -> Content:
    """What `<main>` of a page (all of it where it has none) shows on paper."""
    tree = _Tree()
    tree.feed(page)
    tree.close()
    main = next(tree.root.find("main"), tree.root)
    said = [n.attrs["lang"] for n in tree.root.find("html") if n.attrs.get("lang")]
    said += [n.attrs["lang"] for n in main.find("article") if n.attrs.get("lang")]
    reader = _Reader(picture)
    reader.flow(main, "")
    top = min((b["level"] for b in reader.blocks if b["is"] == "heading"), default=1)
    for block in reader.blocks:
        if block["is"] == "heading":
            block["level"] -= (
                top - 1
            )  # the document's title is its first level, whatever the page's
    language = "en" if said and said[-1].startswith("en") else "zh"
    return Content(reader.blocks, language, reader.pictures)


class _Reader:
    def __init__(self, picture: Callable[[str], bytes | None]) -> None:
        self.picture = picture
        self.blocks: list[Block] = []
        self.pictures: list[bytes] = []
        self.indent = False  # official documents begin a paragraph two characters in

    def flow(self, node: _Node, style: str) -> None:
        """The blocks in `node`; text between them becomes paragraphs of their own."""
        loose: list[_Node | str] = []
        for child in node.inside:
            if isinstance(child, str) or (child.tag in _INLINE and not self._holds_blocks(child)):
                loose.append(child)
                continue
            self._paragraph(loose, style)
            loose = []
            if not _silent(child):
                self._block(child, style)
        self._paragraph(loose, style)

    def _holds_blocks(self, node: _Node) -> bool:
        return any(
            child.tag not in _INLINE or self._holds_blocks(child)
            for child in node.inside
            if isinstance(child, _Node)
        )

    def _block(self, node: _Node, style: str) -> None:
        style = _style(node) or style
        if node.tag in _HEADINGS:
            if runs := _runs(node.inside):
                self.blocks.append(
                    {"is": "heading", "level": _HEADINGS[node.tag], "style": style, "runs": runs}
                )
        elif node.tag == "table":
            self._table(node)
        elif node.tag in ("ul", "ol"):
            self._list(node, style)
        elif node.tag == "dl":
            self._pairs(node)
        elif node.tag in ("img", "svg"):
            self._figures([(node, [])])
        elif node.tag == "figure":
            said = next(node.find("figcaption"), None)
            parts = [*node.find("svg"), *node.find("img")]
            if parts:
                self._figures(
                    [(p, _runs(said.inside) if said and p is parts[-1] else []) for p in parts]
                )
            else:
                self.flow(node, style)
        elif node.tag == "summary":
            self.blocks.append(
                {"is": "heading", "level": 4, "style": "", "runs": _runs(node.inside)}
            )
        else:
            if node.tag == "footer":
                self.blocks.append({"is": "gap"})
            outer, self.indent = self.indent, self.indent or "sheet" in node.classes
            self.flow(node, style)
            if node.tag == "header" and self.indent:
                self.blocks.append({"is": "rule"})  # the red line under the head of a document
            self.indent = outer

    def _paragraph(self, inside: list[_Node | str], style: str) -> None:
        if runs := _runs(inside):
            self.blocks.append(
                {"is": "paragraph", "style": style, "indent": self.indent, "runs": runs}
            )

    def _list(self, node: _Node, style: str) -> None:
        items = [c for c in node.inside if isinstance(c, _Node) and not _silent(c)]
        if any(True for i in items for _ in i.find("img")):
            found = [(p, _runs(i.inside)) for i in items for p in i.find("img")]
            self._figures(found, "signatures" if "signed" in node.classes else "photos")
            return
        for number, item in enumerate(items, 1):
            mark = f"{number}." if node.tag == "ol" and "days" not in node.classes else "•"
            if runs := _runs(item.inside):
                self.blocks.append({"is": "item", "mark": mark, "style": style, "runs": runs})

    def _pairs(self, node: _Node) -> None:
        rows: list[list[Block]] = []
        for child in _pairs_of(node):
            cell = _cell(child, child.tag == "dt")
            if child.tag == "dt" or not rows:
                rows.append([cell])
            else:
                rows[-1].append(cell)
        if rows:
            self._lay(rows, 0)

    def _table(self, node: _Node) -> None:
        rows, heads = [], 0
        for tr in node.find("tr"):
            cells = [c for c in tr.inside if isinstance(c, _Node) and c.tag in ("td", "th")]
            if _silent(tr) or not cells:
                continue
            heads += tr.parent is not None and tr.parent.tag == "thead"
            rows.append([_cell(c, c.tag == "th") for c in cells if not _silent(c)])
        for caption in node.find("caption"):
            self._paragraph(caption.inside, "note")
        if rows:
            self._lay(rows, heads)

    def _lay(self, rows: list[list[Block]], heads: int) -> None:
        """A table with all its places filled, as the engine asks for, and the weights of its columns."""
        count = max(sum(c["across"] for c in row) for row in rows)
        if all(c["down"] == 1 for row in rows for c in row):
            for row in rows:
                row[-1]["across"] += count - sum(c["across"] for c in row)
        self.blocks.append(
            {"is": "table", "head": rows[:heads], "rows": rows[heads:], "widths": _widths(rows, count)}
        )  # fmt: skip

    def _figures(self, found: list[tuple[_Node, Runs]], kind: str = "") -> None:
        shown: list[Block] = []
        for node, caption in found:
            if node.tag == "svg":
                source = "".join(c for c in node.inside if isinstance(c, str))
                if "xmlns=" not in source[: source.find(">")]:
                    source = source.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
                data: bytes | None = source.encode()
            else:
                data = self.picture(node.attrs.get("src", ""))
            label = node.attrs.get("alt") or node.attrs.get("aria-label") or ""
            shown.append({"picture": None, "alt": label, "runs": caption})
            if data is not None:
                shown[-1]["picture"] = len(self.pictures)
                self.pictures.append(data)
        self.blocks.append({"is": "pictures", "kind": kind, "shown": shown})


def _pairs_of(node: _Node) -> Iterator[_Node]:
    for child in node.inside:
        if isinstance(child, _Node) and not _silent(child):
            if child.tag in ("dt", "dd"):
                yield child
            else:
                yield from _pairs_of(child)


def _silent(node: _Node) -> bool:
    return (
        node.tag in _SILENT
        or "hidden" in node.attrs
        or not node.classes.isdisjoint({"no-print", "visually-hidden", "sr-only"})
    )


def _style(node: _Node) -> str:
    classes = node.classes
    for style in _STYLES:
        if style in classes:
            return style
    if "alert" in classes or "empty" in classes:
        return "box"
    if "proof" in classes:
        return "fine"
    return {"footer": "sign"}.get(node.tag, "")


def _cell(node: _Node, head: bool) -> Block:
    def number(name: str) -> int:
        value = node.attrs.get(name, "1")
        return max(1, min(int(value), 100)) if value.isdecimal() and len(value) < 4 else 1

    return {
        "runs": _runs(node.inside),
        "head": head,
        "number": "num" in node.classes,
        "across": number("colspan"),
        "down": number("rowspan"),
    }


def _runs(inside: list[_Node | str]) -> Runs:
    """The text with its marks; white space as the browser takes it together."""
    found: Runs = []
    _gather(inside, frozenset(), found)
    runs: Runs = []
    for run in found:
        if "break" in run:
            if runs and "break" not in runs[-1]:
                runs[-1]["text"] = runs[-1]["text"].rstrip(" ")
                runs.append(run)
            continue
        text = _SPACE.sub(" ", run["text"])
        if not runs or "break" in runs[-1] or runs[-1]["text"].endswith(" "):
            text = text.removeprefix(" ")
        if text:
            runs.append({**run, "text": text})
    while runs and ("break" in runs[-1] or not runs[-1]["text"].rstrip(" ")):
        runs.pop()
    if runs:
        runs[-1]["text"] = runs[-1]["text"].rstrip(" ")
    return runs


def _gather(inside: list[_Node | str], marks: frozenset[str], found: Runs) -> None:
    for child in inside:
        if isinstance(child, str):
            found.append({"text": child, **dict.fromkeys(marks, True)})
        elif child.tag == "br":
            found.append({"break": True})
        elif not _silent(child) and child.tag not in ("img", "svg"):
            own = {_MARKS[child.tag]} if child.tag in _MARKS else set()
            own |= {"code"} if "mono" in child.classes else set()
            block = child.tag not in _INLINE
            if block:
                found.append({"break": True})
            _gather(child.inside, marks | own, found)
            if block:
                found.append({"break": True})


def _measure(text: str) -> int:
    """Its width in half an em: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _widths(rows: list[list[Block]], count: int) -> list[float]:
    """Weights of the columns: as wide as their longest line, but a long text takes no more than four
    times what a short one has. Where that does not fit, each first has room for its words, numbers
    and short names whole, and then its part of the rest."""
    wanted, needed = [2] * count, [2] * count
    for row in rows:
        column = 0
        for cell in row:
            if cell["across"] == 1 and column < count:
                for line in _lines(cell["runs"]):
                    wanted[column] = max(wanted[column], _measure(line))
                    tokens = [len(t) for t in _TOKEN.findall(line)]
                    name = _measure(line.strip())
                    tokens.append(name if name <= _NAME else 4)
                    needed[column] = max(needed[column], *tokens)
            column += cell["across"]
    least = [min(need, 18) + 3 for need in needed]
    best = [max(min(want, 36) + 3, need) for want, need in zip(wanted, least, strict=True)]
    room, more = _PAGE - sum(least), sum(best) - sum(least)
    part = 1.0 if room >= more else max(room, 0) / more
    return [need + part * (want - need) for want, need in zip(best, least, strict=True)]


def _lines(runs: Runs) -> list[str]:
    lines = [""]
    for run in runs:
        if "break" in run:
            lines.append("")
        else:
            lines[-1] += run["text"]
    return lines
