"""Translations: compile them, check that none is missing, add the new ones to be translated.

    python scripts/messages.py compile   every .po to .mo, where the .po is newer
    python scripts/messages.py check     one line a problem; exit code 1 if there is any
    python scripts/messages.py update [ROOM …]
                                         append the missing msgids to the .po of the room they are in

A room keeps `locale/zh_Hans/LC_MESSAGES/django.po` (Python and templates) and, where it has
JavaScript, `djangojs.po`. At run time all rooms make one catalogue, so a msgid counts as translated
if any room translates it; two rooms that translate it differently are a problem, and so is a
translation that no line of code asks for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import normalize, read_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "jingwei"
LOCALE = "zh_Hans"
KEYWORDS = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop"), None),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (1, 2)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), ((1, "c"), 2)),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), ((1, "c"), 2, 3)),
}
OPTIONS = {"parse_template_string": True}  # gettext inside `…` of JavaScript
PLACEHOLDER = re.compile(r"%\(\w+\)[#0\- +]*[\d.]*[a-z]|(?<!%)%[sd]|\{\w*\}")
HEADER = """msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"Language: zh_Hans\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"
"""

Key = tuple[str | None, str]  # context, msgid


@dataclass
class Use:
    """A msgid as the code asks for it."""

    plural: str | None = None
    places: list[str] = field(default_factory=list)


def rooms() -> list[Path]:
    """The folders that may hold a `locale`: the rooms of `bureau`."""
    return sorted(p.parent for p in PACKAGE.glob("bureau/*/__init__.py"))


def sources(room: Path) -> list[Path]:
    """The files that may hold msgids of a room. `accounts` also speaks for the modules that stand
    beside the rooms (roles and actions), `console` for `config`."""
    found = sorted(p for p in room.rglob("*") if p.is_file())
    if room.name == "accounts":
        found += sorted(room.parent.glob("*.py"))
    if room.name == "console":
        found += sorted((PACKAGE / "config").glob("*.py"))
    return [p for p in found if not {"vendor", "migrations"} & set(p.parts)]


def po(room: Path, domain: str) -> Path:
    return room / "locale" / LOCALE / "LC_MESSAGES" / f"{domain}.po"


def as_python(template: Path) -> bytes:
    """A template as Python that calls gettext; line by line, the indentation of HTML taken off."""
    text = templatize(template.read_text(), origin=str(template))
    return "\n".join(line.strip() for line in text.split("\n")).encode()


def used(room: Path, domain: str) -> dict[Key, Use]:
    """Every msgid of a room in one domain ("django", "djangojs"), with its places."""
    found: dict[Key, Use] = {}
    for path in sources(room):
        if domain == "djangojs":
            if path.suffix != ".js":
                continue
            method, data = "javascript", path.read_bytes()
        elif path.suffix == ".py":
            method, data = "python", path.read_bytes()
        elif path.suffix in (".html", ".txt") and "templates" in path.parts:
            method, data = "python", as_python(path)
        else:
            continue
        found_here = extract(method, BytesIO(data), keywords=KEYWORDS, options=OPTIONS)
        for line, message, _, context in found_here:
            single, plural = message if isinstance(message, tuple) else (message, None)
            if single:
                use = found.setdefault((context, single), Use())
                use.plural = use.plural or plural
                use.places.append(f"{path.relative_to(ROOT)}:{line}")
    return found


def catalogue(path: Path) -> Catalog:
    if not path.exists():
        return Catalog(locale=LOCALE)
    with path.open("rb") as file:
        return read_po(file, locale=LOCALE, abort_invalid=True)


def translation(message: Message) -> str:
    """The Chinese text; empty where there is none, or only a fuzzy one (which is not compiled)."""
    text = message.string[0] if isinstance(message.string, tuple) else message.string
    return "" if message.fuzzy else text or ""


def translations(domain: str) -> dict[Key, dict[Path, str]]:
    """Every translation of every room: msgid → file → text."""
    found: dict[Key, dict[Path, str]] = {}
    for room in rooms():
        path = po(room, domain)
        for message in catalogue(path):
            if message.id:
                single = message.id[0] if isinstance(message.id, tuple) else message.id
                found.setdefault((message.context, single), {})[path] = translation(message)
    return found


def problems() -> Iterator[str]:
    """One sentence for each msgid that is untranslated, obsolete, contradictory or broken."""
    for domain in ("django", "djangojs"):
        known = translations(domain)
        asked: dict[Key, Use] = {}
        for room in rooms():
            for key, use in used(room, domain).items():
                asked.setdefault(key, use).places.extend(use.places)
        for key, use in sorted(asked.items(), key=lambda item: item[1].places[0]):
            texts = known.get(key, {})
            if not any(texts.values()):
                yield f"{use.places[0]}: no Chinese for {key[1]!r} ({domain})"
            if len({t for t in texts.values() if t}) > 1:
                both = ", ".join(f"{p.parents[3].name}: {t!r}" for p, t in texts.items())
                yield f"{use.places[0]}: {key[1]!r} is translated in two ways ({both})"
            named = {m for m in PLACEHOLDER.findall(key[1]) if m}
            for path, text in texts.items():
                lost = named - set(PLACEHOLDER.findall(text))
                if text and lost and not use.plural:
                    yield f"{path.relative_to(ROOT)}: {key[1]!r} loses {', '.join(sorted(lost))}"
                extra = {m for m in PLACEHOLDER.findall(text) if m}
                extra -= named | set(PLACEHOLDER.findall(use.plural or ""))
                if extra:
                    yield f"{path.relative_to(ROOT)}: {key[1]!r} has no {', '.join(sorted(extra))}"
        for key, texts in known.items():
            if key not in asked:
                for path in texts:
                    yield f"{path.relative_to(ROOT)}: nobody asks for {key[1]!r}"


def compile_all() -> int:
    """Compile what changed; returns how many files."""
    done = 0
    for source in sorted(PACKAGE.rglob(f"locale/{LOCALE}/LC_MESSAGES/*.po")):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime_ns >= source.stat().st_mtime_ns:
            continue
        part = target.with_suffix(".mo.part")
        with part.open("wb") as file:
            write_mo(file, catalogue(source))
        part.replace(target)
        done += 1
    return done


def update(only: list[str]) -> int:
    """Append every missing msgid of some rooms (none named: all), untranslated, to their .po."""
    added = 0
    for domain in ("django", "djangojs"):
        known = set(translations(domain))
        for room in rooms():
            if only and room.name not in only:
                continue
            path = po(room, domain)
            lines = []
            for key, use in used(room, domain).items():
                if key in known:
                    continue
                known.add(key)
                lines.append("")
                lines.append(f"#: {use.places[0].rpartition(':')[0]}")
                if key[0] is not None:
                    lines.append(f"msgctxt {normalize(key[0])}")
                lines.append(f"msgid {normalize(key[1])}")
                if use.plural:
                    lines.append(f"msgid_plural {normalize(use.plural)}")
                lines.append('msgstr[0] ""' if use.plural else 'msgstr ""')
                added += 1
            if lines:
                path.parent.mkdir(parents=True, exist_ok=True)
                before = path.read_text().rstrip("\n") + "\n" if path.exists() else HEADER
                path.write_text(before + "\n".join(lines) + "\n")
    return added


def main(arguments: list[str]) -> int:
    match arguments:
        case ["compile"]:
            done = compile_all()
            print(f"messages: {done} compiled" if done else "messages: up to date")
        case ["check"]:
            found = list(problems())
            print("\n".join(found) if found else "messages: complete")
            return 1 if found else 0
        case ["update", *names]:
            print(f"messages: {update(names)} msgids to translate")
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
