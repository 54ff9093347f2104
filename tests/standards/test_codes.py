"""Code tables of HJ 212: the same code means different things in different versions."""

from __future__ import annotations

import re

import pytest

from jingwei.standards import codes, tables

CHINESE = re.compile("[一-鿿]")


def test_units_changed_between_2005_and_2017():
    """HJ/T 212-2005 and HJ 212-2017, appendix B: metals mg/L -> µg/L, pressure MPa -> kPa."""
    old, new = codes.factor("020", "2005"), codes.factor("w20111", "2017")
    assert old
    assert new
    assert (old.code_2017, old.unit, new.unit) == ("w20111", "mg/L", "µg/L")
    pressure = codes.factor("S04", "2005")
    assert pressure
    assert (pressure.code_2017, pressure.unit) == ("a01017", "MPa")
    assert codes.unit("a01017", "2017") == "kPa"
    assert (codes.unit("S02", "2005"), codes.unit("a01011", "2017")) == ("m³/h", "m/s")


def test_day_and_night_levels_changed_places():
    """HJ/T 212-2005 prints Ld for the night; HJ 212-2017 for the day."""
    assert codes.factor("Ld", "2005").zh.startswith("夜间")
    assert codes.factor("Ld", "2017").zh.startswith("昼间")
    assert (codes.factor("Ld", "2005").en, codes.factor("Ld", "2017").en) == (
        "Night level",
        "Day level",
    )


def test_a_code_is_looked_up_in_its_own_version_only():
    assert codes.factor("w01018", "2005") is None
    assert codes.factor("011", "2017") is None
    assert codes.factor("nothing") is None


@pytest.mark.parametrize(
    ("code", "en", "unit"),
    [
        ("a00000", "Flue gas flow", "m³/s"),
        ("a34013", "Particulate matter", "mg/m³"),
        ("a21026", "SO2", "mg/m³"),
        ("a21002", "NOx", "mg/m³"),
        ("a21005", "CO", "mg/m³"),
        ("a21024", "HCl", "mg/m³"),
        ("a19001", "Oxygen content", "%"),
        ("a24088", "NMHC", "mg/m³"),
        ("w01018", "COD", "mg/L"),
        ("w21003", "Ammonia nitrogen", "mg/L"),
        ("w21011", "Total phosphorus", "mg/L"),
        ("w21001", "Total nitrogen", "mg/L"),
        ("w01001", "pH", ""),
        ("w00000", "Wastewater flow", "L/s"),
        ("a01001", "Temperature", "°C"),
        ("a01007", "Wind speed", "m/s"),
    ],
)
def test_factors_of_2017(code: str, en: str, unit: str):
    """HJ 212-2017, appendix B.1 and B.2."""
    factor = codes.factor(code)
    assert factor
    assert (factor.en, factor.unit) == (en, unit)


def test_printed_unit_of_particles_and_the_unit_in_the_field():
    """HJ 212-2017 B.2 prints ng/m³ for ambient PM2.5 with three digits: nobody can follow that."""
    assert codes.factor("a34004").unit == "ng/m³"
    assert codes.unit("a34004") == "ng/m³"
    assert codes.unit("a34004", "2017", "22") == "µg/m³"
    assert codes.unit("a21026", "2017", "22") == "µg/m³"
    assert codes.unit("a21026", "2017", "31") == "mg/m³"
    assert codes.unit("a21005", "2017", "22") == "mg/m³"
    assert codes.unit("nothing") == ""


@pytest.mark.parametrize("version", codes.VERSIONS)
def test_every_factor_has_both_names_and_a_unit_symbol(version: str):
    found = codes.factors(version)
    assert len(found) == (93 if version == "2005" else 197)
    for factor in found.values():
        assert factor.zh
        assert factor.en
        assert not CHINESE.search(factor.en)
        assert not CHINESE.search(factor.unit)
        assert factor.source
    assert {f.name("en") for f in found.values()} == {f.en for f in found.values()}


def test_names_with_commas_stay_whole():
    assert codes.factor("a24020").zh == "1,1,2,2-四氯乙烷"
    assert codes.factor("a24020").unit == "mg/m³"


def test_every_code_of_2005_that_points_to_2017_exists_there():
    lost = {
        f.code_2017
        for f in codes.factors("2005").values()
        if f.code_2017 and codes.factor(f.code_2017) is None
    }
    assert lost == set()


def test_process_factors_and_the_codes_printed_twice():
    """HJ 212-2017 B.5 and B.7: e701xx and g119xx are each given to two things."""
    assert codes.factor("e10203").zh == "进水口COD"
    assert codes.factor("e10203").unit == "mg/L"
    twice = codes.factor("e70101")
    assert twice.zh == "污水提升泵 / 加药量"
    assert twice.unit == ""
    assert codes.factor("e102xx") is None
    assert codes.factor("e10203", "2005") is None


def test_marks_by_version():
    """F is the instrument in 2017 and the source in 2005; Td exists in 2025 only."""
    assert codes.mark("F", "2017").meaning == "仪器仪表停运"
    assert codes.mark("F", "2005").meaning == "排放源停运"
    assert codes.mark("N").normal
    assert not codes.mark("D").normal
    assert codes.mark("B", "2005") is None
    assert codes.mark("Td", "2025").verified == "secondary"
    assert codes.mark("Td", "2017") is None
    assert {m.flag for m in codes.marks("2017")} == set("NFMSDCTB")
    assert [m.flag for m in sorted(codes.marks("2025"), key=lambda m: m.priority or 0)] == [
        "N", "D", "C", "M", "T", "Td",
    ]  # fmt: skip


def test_commands_by_version():
    """3014 changed its meaning in 2017, 1001 its in 2025; 2082 is in no text."""
    assert codes.command("2061").zh == "取/上传污染物小时数据"
    assert codes.command("3014", "2005").zh == "设置设备采样时间周期"
    assert codes.command("3014", "2017").zh == "比对采样"
    assert codes.command("1001", "2017") is None
    assert codes.command("1001", "2005").en == "Set over-limit alarm time"
    assert codes.command("1001", "2025").en == "Report logger hardware serials"
    assert codes.command("9015", "2017") is None
    assert codes.command("2082") is None


def test_systems_by_version():
    assert codes.system("31").zh == "大气环境污染源"
    assert codes.system("51", "2017").zh == "烟气排放过程监控"
    assert codes.system("51", "2025").zh == "温室气体排放"
    assert codes.system("80").version == "field"
    assert codes.system("99") is None


def test_answers():
    assert codes.answer("QnRtn", "9") == "CRC校验错误"
    assert codes.answer("QnRtn", "9", "2005") is None
    assert codes.answer("ExeRtn", "1", "2025") == "执行成功"


def test_an_unknown_version_is_refused():
    for call in (codes.factor, codes.mark, codes.command, codes.system, codes.unit):
        with pytest.raises(ValueError, match="2011"):
            call("a", "2011")


def test_a_ragged_table_is_refused(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bad.csv").write_text("a,b\n1,2\n1,2,3\n")
    monkeypatch.setattr(tables, "files", lambda _package: tmp_path)
    with pytest.raises(ValueError, match=r"bad\.csv, line 3"):
        tables.read("bad.csv")
    (tmp_path / "data" / "short.csv").write_text("a,b\n1\n")
    with pytest.raises(ValueError, match=r"short\.csv, line 2"):
        tables.read("short.csv")
