"""What the readers of gridded weather say, in Chinese."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from django.utils import translation
from django.utils.translation import gettext

from jingwei.analysis.air import gridded, meteorology
from jingwei.analysis.air.field.tables import FieldError, Said
from jingwei.analysis.air.weather import Plane
from jingwei.bureau.air import grid_words


def spoken() -> set[str]:
    """Every text that the readers can say: what they make `GridError` and `Said` of."""
    found: set[str] = set()
    for module in (gridded, meteorology):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            name = getattr(getattr(node, "func", None), "id", "")
            if not isinstance(node, ast.Call) or name not in ("GridError", "Said"):
                continue
            for part in ast.walk(node.args[1 if name == "GridError" else 0]):
                if isinstance(part, ast.Constant):
                    found.add(part.value)
                elif isinstance(part, ast.Attribute):
                    found.add(getattr(gridded, part.attr))
                elif isinstance(part, ast.Name) and part.id in ("LACKS", "HAS_NO"):
                    found.add(getattr(gridded, part.id))
    return found


def test_every_text_of_the_readers_has_chinese() -> None:
    texts = spoken()
    assert len(texts) > 30
    assert texts <= set(grid_words.TEXTS)
    with translation.override("zh-hans"):
        assert [t for t in grid_words.TEXTS if gettext(t) == t] == []


def test_the_librarys_own_words_stay_in_parentheses(tmp_path: Path) -> None:
    file = tmp_path / "broken.nc"
    file.write_bytes(b"not a grid")
    with pytest.raises(FieldError, match="cannot be read as NetCDF") as caught:
        meteorology.read(file, Plane(116.4, 39.9))
    with translation.override("zh-hans"):
        told = grid_words.why(caught.value)
    assert told.startswith("不能按 NetCDF 读取（")
    assert told[len("不能按 NetCDF 读取（") : -1] in str(caught.value)
    with translation.override("zh-hans"):
        note = Said("times are up to %(gap)g h apart: interpolated", gap=3.0)
        assert grid_words.said(note) == "各时次最大间隔 3 小时，中间按插值"
    assert note == "times are up to 3 h apart: interpolated"
    assert grid_words.said("as kept by an older run") == "as kept by an older run"
