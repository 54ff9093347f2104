"""Rooms that have a sheet of their own for a finding show it on the finding's page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest

from jingwei.bureau.findings.models import Finding

Sheet = Callable[[HttpRequest, Finding], dict[str, Any] | None]
_sheets: list[Sheet] = []


def register(sheet: Sheet) -> None:
    """`sheet` gives the context of its `template`, or None for a finding that is not its own."""
    _sheets.append(sheet)


def of(request: HttpRequest, finding: Finding) -> dict[str, Any] | None:
    """The sheet of a finding that the user may see."""
    return next((s for make in _sheets if (s := make(request, finding)) is not None), None)
