"""What an order says before somebody has written anything: in Chinese, the language of the office."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.utils import translation
from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from jingwei.bureau.findings.models import Finding


TOLD = ("patrol", "complaint")


def order(findings: Sequence[Finding]) -> dict[str, str]:
    """Title, requirement and basis for an order about findings of one enterprise.

    Basis: Regulation on the Administration of Permitting of Pollutant Discharges (State Council
    Order 736) art. 17, which binds the enterprise to its permit. Laws that the Ecological and
    Environmental Code replaced on 2026-08-15 are not cited: which article applies depends on the
    day of the act, and the dispatcher adds it.
    """
    if not findings or findings[0].enterprise is None:
        return {}
    enterprise = findings[0].enterprise
    permits = "、".join(enterprise.permits.values_list("number", flat=True))
    with translation.override("zh-hans"):
        basis = _(
            "Regulation on the Administration of Permitting of Pollutant Discharges (State Council"
            " Order 736), article 17"
        )
        if permits:
            basis += "；" + _("discharge permit %s") % permits
        return {
            "title": _("Supervision of %(enterprise)s: %(problem)s")
            % {
                "enterprise": enterprise.name,
                "problem": "、".join(dict.fromkeys(f.get_kind_display() for f in findings)),
            },
            "text": _(
                "1. Find the cause at once and take measures so that discharges keep the limits"
                " steadily.\n"
                "2. Report the cause, the measures and their effect with supporting files before"
                " the deadline.\n"
                "3. The district centre supervises the rectification; a grid officer verifies it"
                " on the spot."
            ),
            "basis": basis,
        }


def handling(findings: Sequence[Finding]) -> dict[str, str]:
    """Title and task of a case about findings of any kind."""
    if not findings:
        return {}
    first = findings[0]
    with translation.override("zh-hans"):
        where = first.enterprise.name if first.enterprise else first.region.name
        checks = "；".join(dict.fromkeys(f.next_check for f in findings if f.next_check))
        what = "、".join(dict.fromkeys(f.get_kind_display() for f in findings))
        if {f.kind for f in findings} <= set(TOLD):  # what a person said tells more than its kind
            what = first.title.removeprefix(where)
        where = where if where not in what else ""
        return {
            "title": f"{where}{what}"[:200],
            "text": checks or _("Look into it on the spot, find the cause, and report."),
        }
