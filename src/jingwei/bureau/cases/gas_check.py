"""A standard-gas check (标准气核查) ordered from a finding in one act: a case in handling, which will
ask what the detection turned out to be, and the order to the enterprise as a draft beside it.

Nothing goes out by it: the draft is the dispatcher's to read, amend and issue.
"""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from jingwei.bureau.access import requires
from jingwei.bureau.accounts.models import User
from jingwei.bureau.cases import drafts, selectors, services
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.cases.flows import FLOWS
from jingwei.bureau.cases.models import Case
from jingwei.bureau.findings.models import Finding


def draft(finding: Finding) -> dict[str, str]:
    """What the order says, in Chinese. The check itself follows HJ 75-2017: gas goes in at the
    probe and passes the whole system (全系统校准)."""
    with translation.override("zh-hans"):
        enterprise = finding.enterprise.name if finding.enterprise else finding.region.name
        outlet = finding.point.outlet.code if finding.point and finding.point.outlet else ""
        text = _(
            "1. Within two working days after receipt, let standard gas into the probe of the"
            " continuous monitor at outlet %(outlet)s, through the whole system, in the presence of"
            " enforcement officers; zero, middle and high concentration (HJ 75-2017). Change no"
            " parameter before.\n"
            "2. Keep the analyser's and the logger's raw records, operation logs and parameter"
            " changes from %(began)s to %(ended)s as they are, and hand in copies.\n"
            "3. Explain in writing what the data of this stretch show, with maintenance log,"
            " calibration records and production records.\n"
            "4. The district centre and a grid officer look on and record the readings."
        ) % {
            "outlet": outlet,
            "began": f"{timezone.localtime(finding.began):%Y-%m-%d %H:%M}",
            "ended": f"{timezone.localtime(finding.ended):%Y-%m-%d %H:%M}",
        }
        return {
            "title": (_("Standard-gas check at %(place)s") % {"place": f"{enterprise}{outlet}"})[
                :200
            ],
            "text": text,
            "basis": drafts.order([finding]).get("basis", ""),
        }


@transaction.atomic
def ask(user: User, finding: Finding, token: str = "") -> Case:
    """Open the case, and the draft order where the user may order; the one to look at next.

    `token` makes the act happen once. Raises `Refused`.
    """
    said = draft(finding)
    about = {"title": said["title"], "text": said["text"]}
    case = services.open_case(
        user, [finding], about, flow="handling", token=token and f"{token}-case"
    )
    if finding.enterprise_id is None or not selectors.may_open(user, FLOWS["order"]):
        return case
    return services.open_case(
        user, (), said, flow="order", parent=case, token=token and f"{token}-order"
    )


@require_POST
@requires("case.handle")
def gas_check(request: HttpRequest, pk: int) -> HttpResponse:
    finding = get_object_or_404(
        Finding.objects.restrict(request.user, "finding.judge").select_related(
            "enterprise", "region", "point__outlet"
        ),
        pk=pk,
    )
    try:
        case = ask(request.user, finding, request.POST.get("token", "")[:40])
    except Refused as error:
        messages.error(request, str(error))
        return redirect(finding)
    if case.flow == "order":
        messages.success(
            request,
            _("The order is drafted. Read it, set the deadline and issue it; the case is open."),
        )
    else:
        messages.success(request, _("The case is open, with the standard-gas check as its task."))
    return redirect(case)
