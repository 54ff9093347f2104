"""Code tables of HJ 212: factors, marks, commands, systems, answers; every lookup by version and code.

A code alone says nothing: between HJ/T 212-2005 and HJ 212-2017 the heavy metals went from mg/L
to µg/L or ng/L, pressure from MPa to kPa, `S02` from m³/h to m/s, `Ld` and `Ln` changed places,
and command 3014 got another meaning. The tables with their sources are in `data/hj212/`.

Of HJ 212-2025 only secondary sources were read: its rows are those of 2017 with the changes that
are known, and carry `verified = "secondary"`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from jingwei.standards import tables

VERSIONS: Final = ("2005", "2017", "2025")

# The way units are printed in the tables -> the symbol used everywhere in Jingwei.
_SYMBOLS: Final = {
    "毫克/立方米": "mg/m³",
    "微克/立方米": "µg/m³",
    "纳克/立方米": "ng/m³",
    "千克/立方米": "kg/m³",
    "毫克/升": "mg/L",
    "微克/升": "µg/L",
    "纳克/升": "ng/L",
    "升/秒": "L/s",
    "立方米/秒": "m³/s",
    "立方米/小时": "m³/h",
    "米/秒": "m/s",
    "摄氏度": "°C",
    "千帕": "kPa",
    "帕": "Pa",
    "分贝": "dB",
    "[角]度": "°",
    "[色]度": "°Hazen",
    "色度单位": "°Hazen",
    "无量纲": "",
    "--": "",
    "个/升": "1/L",
    "贝可[勒尔]/升": "Bq/L",
    "微西[门子]/厘米": "µS/cm",
    "平方米": "m²",
    "吨/平方千米•月": "t/(km²·month)",
    "安[培]": "A",
    "安 [培]": "A",
    "伏[特]": "V",
    "毫伏[特]": "mV",
    "转/分钟": "r/min",
    "千克": "kg",
    "克": "g",
    "毫克": "mg",
    "立方米": "m³",
    "米": "m",
    "分钟": "min",
    "秒": "s",
    "千瓦时": "kWh",
    "年月日时分秒": "",
    "倍": "times",
    "mg/m3": "mg/m³",
    "ug/m3": "µg/m³",
    "ng/m3": "ng/m³",
    "ngTEQ/m3": "ng TEQ/m³",
    "mg/l": "mg/L",
    "m3/h": "m³/h",
    "M2": "m²",
    "％": "%",
    "℃": "°C",
    "degC": "°C",
    "个/L": "1/L",
}


def symbol(printed: str) -> str:
    """The unit symbol for a unit as a table prints it; an unknown one comes back unchanged.

    The Greek letter mu (U+03BC, which Chinese keyboards give) is the micro sign (U+00B5).
    """
    plain = printed.strip().replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}")
    return _SYMBOLS.get(plain, plain)


@dataclass(frozen=True, slots=True)
class Factor:
    """A monitoring factor. `unit` is the symbol of the unit that the version's table prints.

    `datatype` is the printed number format (`N5.1`: five digits before, one after the point).
    """

    code: str
    zh: str
    en: str
    unit: str
    medium: str
    datatype: str
    version: str
    source: str
    mass_unit: str = ""
    verified: str = "verified"
    code_2017: str = ""

    def name(self, language: str) -> str:
        """The name in the reader's language (`en…`: English, anything else: Chinese)."""
        return self.en if language.startswith("en") else self.zh


@dataclass(frozen=True, slots=True)
class Mark:
    """What a data mark (Flag) says. `normal`: the value may be used as a normal one.

    `priority` (2025): of marks of equal length in a period the smallest number wins.
    """

    flag: str
    version: str
    zh: str
    en: str
    meaning: str
    normal: bool
    priority: int | None
    verified: str
    source: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command number (CN); `kind` and `direction` as in the tables of commands."""

    cn: str
    version: str
    zh: str
    en: str
    kind: str
    direction: str
    verified: str


@dataclass(frozen=True, slots=True)
class Info:
    """A log, state or parameter of a device. `kind`: log, state, parameter. `verified`: read in
    the standard, not in an implementation alone."""

    code: str
    zh: str
    unit: str
    kind: str
    verified: bool


@dataclass(frozen=True, slots=True)
class System:
    """A system type (ST)."""

    st: str
    version: str
    zh: str
    en: str
    verified: str


def _check(version: str) -> None:
    if version not in VERSIONS:
        raise ValueError(f"version {version!r}: wanted one of {', '.join(VERSIONS)}")


@cache
def factors(version: str = "2017") -> dict[str, Factor]:
    """All factors of a version by code (appendix B.1-B.3). Raises ValueError for another version."""
    _check(version)
    if version == "2005":
        return {
            row["code"]: Factor(
                code=row["code"],
                zh=row["name_zh"],
                en=row["name_en"],
                unit=symbol(row["unit"]),
                medium=row["medium"],
                datatype=row["datatype"],
                version=version,
                source=row["source"],
                code_2017=row["code_2017"],
            )
            for row in tables.read("hj212/factors_2005.csv")
        }
    found = {
        row["code"]: Factor(
            code=row["code"],
            zh=row["name_zh"],
            en=row["name_en"],
            unit=symbol(row["unit"]),
            medium=row["medium"],
            datatype=row["datatype"],
            version=version,
            source=row["source"],
            mass_unit=symbol(row.get("mass_unit", "")),
            verified="verified" if row["source"].startswith("HJ 212-2017") else "secondary",
            code_2017=row["code"],
        )
        for name in ("hj212/factors_2017.csv", "hj212/factors_practice.csv")
        for row in tables.read(name)
    }
    if version == "2025":
        source = "HJ 212-2025 by secondary sources: the table of 2017 with the known changes"
        found = {c: replace(f, verified="secondary", source=source) for c, f in found.items()}
        found["a34013"] = replace(found["a34013"], zh="颗粒物", datatype="N4.1")
        found["a19001"] = replace(found["a19001"], datatype="N2.2")
    return found


_PROCESS = re.compile(r"[eg][0-9]{3}[0-9]{2}")


@cache
def _process() -> dict[str, Factor]:
    """Process factors of HJ 212-2017 (B.5, B.7) by their first four characters.

    The standard prints two codes twice (`e701xx`, `g119xx`): both names are kept, joined by " / ",
    and the unit is left empty, because nothing in a telegram says which is meant.
    """
    found: dict[str, Factor] = {}
    for row in tables.read("hj212/process_2017.csv"):
        prefix = row["code"][:4]
        new = Factor(
            code=row["code"],
            zh=row["name_zh"],
            en="",
            unit=symbol(row["unit"]),
            medium=row["medium"],
            datatype=row["datatype"],
            version="2017",
            source=row["source"],
        )
        if prefix in found:
            new = replace(new, zh=f"{found[prefix].zh} / {new.zh}", unit="", datatype="")
        found[prefix] = new
    return found


@cache
def factor(code: str, version: str = "2017") -> Factor | None:
    """The factor `code` of `version`, or None where that version's table does not have it.

    Process factors (`e10101`: the first instrument of `e101xx`) are those of 2017; they have a
    Chinese name only, which then stands for the English one too.
    """
    found = factors(version).get(code)
    if found is None and version == "2017" and _PROCESS.fullmatch(code):
        kind = _process().get(code[:4])
        if kind is not None:
            found = replace(kind, code=code, en=kind.zh)
    return found


@cache
def _practice() -> dict[tuple[str, str, str], str]:
    return {
        (r["version"], r["st"], r["code"]): r["unit"]
        for r in tables.read("hj212/units_practice.csv")
    }


def unit(code: str, version: str = "2017", st: str = "") -> str:
    """The unit that values of a factor have at a point of system `st`; "" for an unknown factor.

    It is the unit that the table prints, but for the few printed ones which no instrument can
    follow (`data/hj212/units_practice.csv`, with the reason of each: the table gives ng/m³ in
    the format N3.3 for PM2.5, so that 35 µg/m³ could not be sent). Without `st`: as printed.
    """
    _check(version)
    told = _practice().get(("2017" if version == "2025" else version, st, code))
    if told is not None:
        return told
    known = factor(code, version)
    return known.unit if known else ""


@cache
def _marks() -> dict[tuple[str, str], Mark]:
    return {
        (r["version"], r["flag"]): Mark(
            flag=r["flag"],
            version=r["version"],
            zh=r["short_zh"],
            en=r["name_en"],
            meaning=r["name_zh"],
            normal=bool(r["normal"]),
            priority=int(r["priority"]) if r["priority"] else None,
            verified=r["verified"],
            source=r["source"],
        )
        for r in tables.read("hj212/marks.csv")
    }


def mark(flag: str, version: str = "2017") -> Mark | None:
    """What the data mark `flag` means in `version`; None for one the version does not have."""
    _check(version)
    return _marks().get((version, flag))


def marks(version: str = "2017") -> tuple[Mark, ...]:
    """All data marks of a version, in the order of its table."""
    _check(version)
    return tuple(m for (v, _), m in _marks().items() if v == version)


@cache
def _commands() -> dict[tuple[str, str], Command]:
    return {
        (r["version"], r["cn"]): Command(
            cn=r["cn"],
            version=r["version"],
            zh=r["name_zh"],
            en=r["name_en"],
            kind=r["kind"],
            direction=r["direction"],
            verified=r["verified"],
        )
        for r in tables.read("hj212/commands.csv")
    }


def command(cn: str, version: str = "2017") -> Command | None:
    """What the command number means in `version`; None for one the version does not have."""
    _check(version)
    return _commands().get((version, cn))


@cache
def device_info(version: str = "2017") -> dict[str, Info]:
    """The logs, states and parameters of instruments, loggers and auxiliary equipment that 3020
    and 3021 name, by code (HJ 212-2017 table B.10; the few that HJ 212-2025 adds are known from an
    implementation only). The place-holder x of a furnace's thermometers becomes 0 to 9."""
    _check(version)
    found: dict[str, Info] = {}
    for r in tables.read("hj212/device_info.csv") if version != "2005" else ():
        new = "2025" in r["source"]
        if new and version != "2025":
            continue
        unit = "" if r["unit"] in ("--", "无量纲") else r["unit"]
        for x in "0123456789" if "x" in r["code"] else ("",):
            code = r["code"].replace("x", x)
            name = r["name_zh"] + x
            found[code] = Info(code, name, unit, r["group"].split()[-1], not new)
    return found


@cache
def _systems() -> dict[tuple[str, str], System]:
    return {
        (r["version"], r["st"]): System(
            st=r["st"],
            version=r["version"],
            zh=r["name_zh"],
            en=r["name_en"],
            verified=r["verified"],
        )
        for r in tables.read("hj212/systems.csv")
    }


def system(st: str, version: str = "2017") -> System | None:
    """What the system type means in `version` (51 and 52 changed in 2025).

    System types that no standard has but the field uses (80, 101) are found for every version,
    with `version = "field"`.
    """
    _check(version)
    return _systems().get((version, st)) or _systems().get(("field", st))


@cache
def _answers() -> dict[tuple[str, str], tuple[str, frozenset[str]]]:
    return {
        (r["field"], r["code"]): (r["name_zh"], frozenset(r["versions"].split()))
        for r in tables.read("hj212/return_codes.csv")
    }


def answer(field: str, code: str, version: str = "2017") -> str | None:
    """The Chinese text of a return code: `field` is "QnRtn", "ExeRtn" or "RS" (2025 as 2017)."""
    _check(version)
    found = _answers().get((field, code))
    wanted = "2017" if version == "2025" else version
    return found[0] if found and wanted in found[1] else None
