"""Files of satellites as people hand them in: held until they are confirmed, and what is said of them."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.text import get_valid_filename
from django.utils.translation import gettext as _

from jingwei.analysis.air.field.tables import FieldError
from jingwei.analysis.air.satellite import NAMES, SceneError
from jingwei.bureau.air import hotgrid_selectors as selectors
from jingwei.bureau.air.hotgrid_services import Look
from jingwei.bureau.air.models import Gas, SatelliteScene

LARGEST = 200 * 1024**2  # bytes of a file that is handed in on a page
HELD = 24 * 3600.0  # s for which a file waits for its confirmation
_KEY = re.compile(r"[0-9a-f]{64}")


# ---- held until confirmed ------------------------------------------------------------------------


def hold(file: UploadedFile, user: Any) -> tuple[str, Path]:
    """Keep a file that was handed in until its sender confirms it: (key, path). What nobody confirmed
    for a day goes."""
    place = Path(settings.MEDIA_ROOT) / "handed"
    place.mkdir(parents=True, exist_ok=True)
    for folder in place.iterdir():
        if time.time() - folder.stat().st_mtime > HELD:
            shutil.rmtree(folder, ignore_errors=True)
    made = hashlib.sha256()
    for chunk in file.chunks():
        made.update(chunk)
    key = made.hexdigest()
    folder = place / f"{user.pk}-{key}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = folder / get_valid_filename(Path(file.name or "scene.nc").name)[-100:]
    with path.open("wb") as out:
        for chunk in file.chunks():
            out.write(chunk)
    return key, path


def held(key: str, user: Any) -> Path | None:
    """The file that this user handed in; None where it is no longer there."""
    if not _KEY.fullmatch(key):
        return None
    folder = Path(settings.MEDIA_ROOT) / "handed" / f"{user.pk}-{key}"
    return next((p for p in folder.glob("*") if p.is_file()), None)


def let_go(path: Path) -> None:
    shutil.rmtree(path.parent, ignore_errors=True)


def pairs(text: str) -> dict[str, str] | None:
    """`no2=NAME latitude=NAME` as a dictionary; None where it is written otherwise."""
    found = dict(p.partition("=")[::2] for p in text.replace(",", " ").split())
    return found if all(found.values()) and set(found) <= set(NAMES) else None


# ---- what is said --------------------------------------------------------------------------------


def refusal(error: FieldError) -> str:
    """Why a file cannot be used, in the reader's language."""
    if not isinstance(error, SceneError):
        return str(error)
    texts = {
        "names": _("%(names)s is none of the names that can be given: %(known)s."),
        "lacks": _("%(file)s: lacks %(names)s under any known name (it has %(has)s). Say which is which, for example no2=NAME."),
        "times": _("%(file)s: %(gas)s has %(values)s times, the time has %(times)s."),
        "library": _("%(file)s: the program that reads NetCDF is not installed: the administrator installs jingwei[grids]."),
        "large": _("%(file)s: is larger than 1 GB unpacked: cut out the city first."),
        "unreadable": _("%(file)s: cannot be read as NetCDF (%(why)s)."),
        "has_no": _("%(file)s: has no %(name)s (it has %(has)s)."),
        "no_grid": _("%(file)s: latitude %(latitude)s and longitude %(longitude)s make no grid."),
        "degrees": _("%(file)s: latitude and longitude are not in degrees."),
        "no_time": _("%(file)s: does not say when it was taken: give the time."),
        "unit": _("%(file)s: %(name)s has the unit “%(unit)s”; wanted a column density (mol m-2, umol m-2, molec cm-2 or DU)."),
        "no_unit": _("%(file)s: %(name)s has no unit; wanted a column density (mol m-2, umol m-2, molec cm-2 or DU)."),
        "shape": _("%(file)s: %(name)s has the shape %(shape)s, its places %(places)s."),
        "magnitude": _("%(file)s: %(name)s is around %(about)s µmol/m², no column of %(gas)s: is its unit “%(unit)s” right?"),
    }  # fmt: skip
    return texts[error.code] % error.about


def line(row: SatelliteScene) -> str:
    """A scene in one line."""
    about = {
        "gas": row.get_gas_display(), "time": f"{timezone.localtime(row.taken):%Y-%m-%d %H:%M}",
        "seen": row.seen, "cells": row.cells,
    }  # fmt: skip
    text = _("%(gas)s %(time)s: %(seen)d of %(cells)d cells seen") % about
    return "; ".join([text, *selectors.noted(row)])


def preview(looked: Look) -> list[dict[str, Any]]:
    """The scenes of a look as the page lists them; `known`: imported before."""
    rows = SatelliteScene.objects.filter(sha256=looked.sha256)
    known = set(rows.values_list("gas", "taken"))
    return [
        {
            "gas": Gas(s.scene.gas).label, "taken": s.scene.time, "source": s.scene.source,
            "seen": s.seen, "cells": int(looked.city.inside.sum()),
            "synthetic": s.scene.synthetic, "known": (s.scene.gas, s.scene.time) in known,
            "notes": selectors.noted(SatelliteScene(notes=list(s.scene.notes))),
        }
        for s in looked.found
    ]  # fmt: skip


def imported() -> QuerySet[SatelliteScene]:
    """All scenes, those that came in last first."""
    rows = selectors.scenes().select_related("actor", "evidence")
    return rows.order_by("-received", "-taken", "gas")
