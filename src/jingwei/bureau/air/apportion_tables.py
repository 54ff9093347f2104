"""Reading: tables and files that were handed in, what is wrong with them and what was made of them, in
words."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jingwei.analysis.air.apportion import tables
from jingwei.bureau.air import apportioning
from jingwei.bureau.air.models import Dispersion, SampleSet
from jingwei.telemetry.sheet import SheetError


def refusal(error: Exception, table: str = "") -> list[str]:
    """Why a table cannot be used, in the reader's language, one sentence a problem."""
    if isinstance(error, SheetError):
        return [f"{_table(table)}: {_broken(error)}"]
    if not isinstance(error, tables.TableError):
        return [str(error)]
    found = [_problem(p) for p in error.problems]
    if error.more:
        found.append(ngettext("… and %d more.", "… and %d more.", error.more) % error.more)
    return found


def _table(name: str) -> str:
    return {
        "concentrations": _("Concentrations"), "uncertainties": _("Uncertainties"), "profiles": _("Table of source profiles"),
    }.get(name, name)  # fmt: skip


def _broken(error: SheetError) -> str:
    texts = {
        "large": _("the file is larger than %(limit)s MB: divide it."),
        "rows": _("more than %(limit)s rows: divide the file."),
        "columns": _("row %(row)s has more than %(limit)s columns."),
        "encoding": _("the file is neither a workbook nor text in UTF-8 or GB 18030."),
        "mixed": _("row %(row)s is written in UTF-8 and row %(other)s in GB 18030: save the file in one."),
        "old": _("this is a workbook of the old kind (.xls): save it as .xlsx."),
        "broken": _("the table cannot be read: %(detail)s"),
    }  # fmt: skip
    return texts[error.kind] % error.facts


def _problem(problem: tables.Problem) -> str:
    texts = {
        "empty": _("%(table)s: has no row below its head."),
        "head": _("%(table)s: the first row must name the time and %(least)s species or more; it has %(has)s columns."),
        "few": _("%(table)s: %(rows)s samples; %(least)s are wanted at least."),
        "many": _("%(table)s: %(rows)s samples of %(species)s species; at most %(samples)s samples, %(most)s species and %(values)s values."),
        "nameless": _("%(table)s, column %(column)s: has values but no name in the first row."),
        "twice": _("%(table)s: the column %(species)s is there twice."),
        "units": _("%(table)s: masses and volumes together (%(units)s): hand them in as two sets."),
        "width": _("%(table)s, row %(row)s: %(has)s cells, the head has %(wanted)s."),
        "time": _("%(table)s, row %(row)s: %(text)s is no time; write 2026-03-10 or 2026-03-10 08:00."),
        "dated": _("%(table)s: rows %(row)s and %(other)s have the same time %(text)s."),
        "number": _("%(table)s, row %(row)s, %(species)s: %(text)s is not a number; leave the cell empty where a value is missing."),
        "limit": _("%(table)s, row %(row)s, %(species)s: %(text)s without a limit of detection; write <0.02 or 0.02L, or hand in the limits."),
        "columns": _("%(table)s: column %(has)s where the concentrations have %(wanted)s: both tables need the same head."),
        "rows": _("%(table)s: %(has)s rows, the concentrations have %(wanted)s: both tables need the same rows, or the two rows MDL and EF."),
        "times": _("%(table)s, row %(row)s: %(text)s where the concentrations have %(wanted)s."),
        "uncertainty": _("%(table)s, row %(row)s, %(species)s: the uncertainty is %(text)s; it must be above 0 wherever there is a value."),
        "mdl": _("%(table)s: %(species)s has no limit of detection or no fraction of error above 0."),
        "wanted": _("The first row lacks the columns: %(columns)s."),
        "long": _("%(rows)s rows; at most %(most)s: divide the file."),
        "sources": _("%(has)s profiles; at most %(most)s: divide the file."),
        "unnamed": _("Row %(row)s: the name of the source (at most 120 characters) or of the species is missing."),
        "share": _("Row %(row)s, %(species)s: %(text)s is no share of the mass; write numbers from 0 to 1, or choose per cent."),
        "sigma": _("Row %(row)s, %(species)s: the uncertainty is %(text)s; it must be above 0 and no larger than the whole."),
        "again": _("Row %(row)s: %(source)s has %(species)s twice."),
        "taken": _("Row %(row)s: there is a profile of the name %(source)s already; choose another name, or withdraw the old one first."),
        "thin": _("Row %(row)s: %(source)s has fewer than %(least)s species above 0: it would fit everything."),
        "sum": _("Row %(row)s: the fractions of %(source)s make %(sum)s together, more than %(most)s."),
        "nothing": _("%(table)s: no species has a value above 0 in %(least)s samples."),
    }  # fmt: skip
    facts = dict(problem.facts)
    facts["table"] = _table(str(facts.get("table", "")))
    return texts[problem.kind] % facts


@dataclass(frozen=True)
class Species:
    """A species as the page of a set lists it."""

    screened: tables.Screened
    why: str

    @property
    def mean(self) -> str:
        return f"{self.screened.mean:.3g}"

    @property
    def least(self) -> str:
        return f"{self.screened.least:.3g}"

    @property
    def most(self) -> str:
        return f"{self.screened.most:.3g}"

    @property
    def advice(self) -> str:
        return {"good": _("good"), "weak": _("weak (errors × 3)"), "bad": _("leave out"), "total": _("total")}[self.screened.advice]  # fmt: skip


def screened(row: SampleSet) -> list[Species]:
    return [Species(s, _advice(s)) for s in tables.screen(apportioning.table_of(row))]


def _advice(one: tables.Screened) -> str:
    noise = {"noise": f"{one.noise:.2g}"}
    match one.why:
        case "nothing":
            return _("hardly a value above 0")
        case "total":
            return _("the sum of the others: amounts are given in it")
        case "missing":
            return _("more than half of it is missing")
        case "below":
            return _("more than half of it is below the limit of detection")
        case "noise" if one.advice == "bad":
            return _("signal to noise %(noise)s, below 0.5") % noise
        case "noise":
            return _("signal to noise %(noise)s, below 1") % noise
    return ""


def noted(row: SampleSet) -> list[str]:
    """What was assumed when the tables were read."""
    out = []
    for kind, count in row.notes:
        match kind:
            case "limits":
                out.append(_("The uncertainties follow from limits of detection and fractions of error: 5/6 of the limit at or below it, else √((fraction × value)² + (limit / 2)²)."))  # fmt: skip
            case "sorted":
                out.append(_("The rows were put in the order of time."))
            case "missing":
                out.append(ngettext("%d value is missing: it has no weight.", "%d values are missing: they have no weight.", count) % count)  # fmt: skip
            case "below":
                out.append(ngettext("%d value lies below its limit of detection: half of the limit stands for it.", "%d values lie below their limit of detection: half of the limit stands for each.", count) % count)  # fmt: skip
            case "negative":
                out.append(ngettext("%d value is negative; it was kept.", "%d values are negative; they were kept.", count) % count)  # fmt: skip
    return out


def grid_name(run: Dispersion) -> str:
    """A gridded file by the run that it was handed in for."""
    facts = {"start": f"{timezone.localtime(run.start):%Y-%m-%d %H:%M}", "asked": f"{timezone.localtime(run.asked):%Y-%m-%d}", "mark": run.weather[:8]}  # fmt: skip
    return _("Gridded file of the dispersion run from %(start)s, handed in on %(asked)s (%(mark)s)") % facts  # fmt: skip
