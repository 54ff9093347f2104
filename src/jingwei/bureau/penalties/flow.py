"""The administrative penalty (行政处罚), ordinary procedure: filing to payment.

Investigator, reviewer and decider are three people (Measures on Penalties 2023 art. 38, 46 (4)):
the district investigates, the city centre reviews, a leader decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.access import Role
from jingwei.bureau.cases.flow import Field, Flow, Limit, State, Text, Transition
from jingwei.bureau.cases.pauses import suspension
from jingwei.bureau.penalties import acts, fields, guards

if TYPE_CHECKING:
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.cases.models import Case
    from jingwei.bureau.findings.models import Finding

CITY = frozenset({Role.DISPATCHER})
DISTRICT = frozenset({Role.DISTRICT})
LEADER = frozenset({Role.LEADER})
ENTERPRISE = frozenset({Role.ENTERPRISE})
BUREAU = CITY | DISTRICT | LEADER

REASON = Field("text", pgettext_lazy("act", "Reason"))
REMARK = Field("text", _("Remark"), required=False)
FILES = Field("files", _("Files"), "files", required=False)


def _told(*path: str) -> Any:
    """The value at a path of the case's details, for the first words of a form."""

    def initial(case: Case | None) -> Any:
        found: Any = case.detail if case else {}
        for name in path:
            found = (found or {}).get(name)
        return found

    return initial


def _amount(case: Case | None) -> Any:
    if case is None:
        return None
    detail = case.detail
    for name in ("recheck", "notice", "proposal"):
        if (detail.get(name) or {}).get("amount"):
            return Decimal(detail[name]["amount"])
    return None


def _before(name: str) -> Any:
    """What the latest decision of the case's department said."""

    def initial(case: Case | None) -> Any:
        if case is None:
            return ""
        rows = type(case).objects.filter(flow="penalty", department=case.department_id)
        last = rows.exclude(detail__decision=None).order_by("-pk").first()
        return last.detail["decision"].get(name, "") if last else ""

    return initial


def _rest(case: Case | None) -> Any:
    if case is None or "payment" not in case.detail:
        return None
    from django.utils import timezone

    from jingwei.bureau.penalties.proposal import local_day

    return max(Decimal(acts.owed(case, local_day(timezone.now()))["rest"]), Decimal("0.01"))


def _methods(case: Case | None) -> list[tuple[str, Text]]:
    return [
        ("direct", _("handed over")),
        ("left", _("left behind")),
        ("post", _("by post")),
        ("electronic", _("electronically, as agreed")),
        ("notice", _("by public notice")),
    ]


def _contests(case: Case | None) -> list[tuple[str, Text]]:
    return [("review", _("administrative review")), ("lawsuit", _("lawsuit"))]


def _accepted(case: Case | None) -> list[tuple[str, Text]]:
    return [
        ("all", _("accepted")),
        ("part", _("accepted in part")),
        ("none", _("not accepted")),
        ("nothing", _("nothing was said")),
    ]


def _draft(found: Sequence[Finding]) -> dict[str, Any]:
    if not found:
        return {}
    from django.utils import timezone

    begin = min(timezone.localtime(f.began).date() for f in found)
    end = max(timezone.localtime(f.ended).date() for f in found)
    water = any(f.point and f.point.st == "32" for f in found)
    kinds = {f.kind for f in found}
    offence = "data.falsified" if "falsification" in kinds else None
    return {
        "offence": offence or ("water.exceeded" if water else "air.exceeded"),
        "act_from": begin,
        "act_to": end,
        "discovered": end,
        "text": "；".join(f.title for f in found),
    }


def _panel(case: Case, user: User) -> dict[str, Any]:
    from jingwei.bureau.penalties.selectors import panel

    return panel(case, user)


def _papers(case: Case, user: User) -> list[tuple[str, Text]]:
    found: list[tuple[str, Text]] = []
    if case.detail.get("notice"):
        found.append(("penalties:notice", _("Advance notice")))
    if case.detail.get("decision"):
        found.append(("penalties:decision", _("Decision on the penalty")))
    return found


ACT = (
    Field("offence", _("Offence"), "choice", choices=fields.offences, initial=_told("offence")),
    Field("act_from", _("Act from"), "date", initial=_told("act_from")),
    Field("act_to", _("Act to"), "date", initial=_told("act_to"),
          help=_("The last day of the act: its law applies.")),
    Field("discovered", _("Discovered on"), "date", initial=_told("discovered")),
    Field("harm", _("It polluted or harmed the environment (period of limitation: five years)"),
          "bool", required=False, initial=_told("harm")),
)  # fmt: skip
AMOUNT = Field("amount", _("Amount (yuan)"), fields.yuan, initial=_amount)
RUNNING = (
    "investigating",
    "reviewing",
    "noticing",
    "notified",
    "hearing",
    "rechecking",
    "deciding",
)
EXECUTING = ("served", "enforcing")
# Where the 90 days may stand still: appraisal, monitoring, public notice do not count.
PAUSABLE = ("investigating", "reviewing", "noticing", "rechecking", "deciding")

PENALTY = Flow(
    name="penalty",
    label=_("Administrative penalty"),
    action="penalty.file",
    needs_enterprise=True,
    known_to=frozenset({Role.ENTERPRISE}),
    from_flows=frozenset({"order", "inspection", "handling", "penalty"}),
    follows=guards.may_follow,
    task=_("What it is about"),
    draft=_draft,
    submit=_("Ask for the case to be filed"),
    panel="penalties/panel.html",
    panel_context=_panel,
    documents=_papers,
    states=(
        State("filing", _("Filing to be approved"), Role.LEADER, Limit(days=5), issued=False,
              colour="offline"),
        State("investigating", _("Under investigation"), Role.DISTRICT, business=True,
              issued=False, lead=True),
        State("reviewing", _("Legal review"), Role.DISPATCHER, Limit(days=5), business=True,
              issued=False),
        State("noticing", _("Party to be told"), Role.DISTRICT, Limit(days=3), business=True,
              issued=False, lead=True),
        State("notified", _("Party may be heard"), (Role.ENTERPRISE, Role.DISTRICT),
              Limit(days=5), business=True),
        State("hearing", _("Hearing asked for"), Role.DISPATCHER, Limit(days=15)),
        State("rechecking", _("Statement to be rechecked"), Role.DISPATCHER, Limit(days=10),
              business=True),
        State("deciding", _("To be decided"), Role.LEADER, Limit(days=5), business=True),
        State("decided", _("Decision to be served"), Role.DISTRICT, Limit(days=7),
              colour="abnormal", lead=True),
        State("served", _("To be paid"), (Role.ENTERPRISE, Role.DISTRICT), business=True,
              colour="abnormal"),
        State("enforcing", _("Enforcement by the court"), Role.DISTRICT, Limit(days=30), colour="abnormal",
              lead=True),
        State("paid", _("Paid, to be closed"), Role.DISTRICT, Limit(days=5), lead=True),
        State("closed", _("Closed"), colour="normal"),
        State("rejected", _("Not filed"), issued=False, colour="offline"),
        State("no_penalty", _("No penalty"), colour="normal"),
        State("transferred", _("Transferred: suspected crime"), colour="abnormal"),
        State("revoked", _("Decision revoked"), colour="offline"),
    ),
    opening=Transition(
        "open", _("Filing asked for"), (), "filing", CITY | DISTRICT,
        (*ACT, Field("text", _("Suspected act and evidence so far"))),
        effect=acts.file, internal=True,
    ),
    transitions=(
        Transition("approve", _("File the case"), ("filing",), "investigating", LEADER, (REMARK,),
                   effect=acts.approve, internal=True, tone="primary"),
        Transition("reject", _("Do not file"), ("filing",), "rejected", LEADER, (REASON,),
                   effect=acts.reject, internal=True, tone="danger"),
        Transition("propose", _("Propose a fine"), ("investigating",), "reviewing", DISTRICT,
                   (
                       Field("grades", _("Grades of the discretion factors"), fields.grades,
                             help=_("Set from the facts where they can be measured; check each.")),
                       Field("circumstances", _("Heavier and lighter circumstances"), "choices",
                             required=False, choices=fields.circumstances,
                             initial=_told("proposal", "circumstances")),
                       Field("share", _("Reduction (%), where the rule leaves a span"), "number",
                             required=False, least=0, most=100,
                             initial=_told("proposal", "share")),
                       Field("amount", _("Another amount (yuan)"), fields.yuan, required=False,
                             help=_("Empty: the computed amount. Another one within the lawful"
                                    " range needs its reasons below.")),
                       Field("text", _("Facts found, and reasons for grades and amount")),
                   ),
                   guard=guards.first, effect=acts.propose, internal=True, tone="primary",
                   only="lead"),
        Transition("propose_daily", _("Propose a consecutive daily penalty"), ("investigating",),
                   "reviewing", DISTRICT,
                   (Field("served", _("Order to correct served on"), "date"),
                    Field("rechecked", _("Re-check that found it going on"), "date",
                          help=_("Within thirty days of the service of the order to correct.")),
                    Field("text", _("What the re-check found, and why a daily penalty"))),
                   guard=guards.follows, effect=acts.propose_daily, internal=True, only="lead"),
        Transition("evidence", _("Add evidence"), ("investigating",), None, DISTRICT,
                   (Field("text", _("What it is and what it proves")),
                    Field("files", _("Files"), "files")),
                   internal=True, only="lead"),
        Transition("reclassify", _("Change offence or dates"), ("investigating",), None, DISTRICT,
                   (*ACT, REASON), effect=acts.reclassify, internal=True, only="lead"),
        Transition("propose_none", _("Propose no penalty"), ("investigating",), "reviewing",
                   DISTRICT,
                   (Field("ground", _("Ground for no penalty"), "choice", choices=fields.grounds),
                    Field("text", _("How every condition is met"))),
                   effect=acts.propose_none, internal=True, only="lead"),
        Transition("propose_crime", _("Propose transfer: suspected crime"), ("investigating",),
                   "reviewing", DISTRICT,
                   (Field("to", _("To which public security organ"), "line"),
                    Field("text", _("Facts that suggest a crime"))),
                   effect=acts.propose_crime, internal=True, tone="danger", only="lead"),
        Transition("pass", _("Reviewed: lawful"), ("reviewing",), "noticing", CITY,
                   (Field("text", _("Opinion of the legal review")),),
                   guard=guards.reviews_fine, internal=True, tone="primary"),
        Transition("pass_other", _("Reviewed: to the leader"), ("reviewing",), "deciding", CITY,
                   (Field("text", _("Opinion of the legal review")),),
                   guard=guards.reviews_other, internal=True, tone="primary"),
        Transition("back", _("Send back to the investigation"), ("reviewing",), "investigating",
                   CITY, (REASON,), guard=guards.not_investigator, internal=True, tone="danger"),
        Transition("notify", _("Tell the party"), ("noticing",), "notified", DISTRICT,
                   (Field("received", _("Received on"), "date",
                          help=_("By public notice: the day on which it counts as received.")),
                    Field("method", _("How it was served"), "choice", choices=_methods), REMARK),
                   effect=acts.notify, tone="primary", only="lead",
                   help=_("From now on the party sees the case; it has five working days from the"
                          " receipt.")),
        Transition("speak", _("Make a statement"), ("notified", "rechecking"), "rechecking",
                   ENTERPRISE,
                   (Field("text", _("Statement and defence")), FILES,
                    Field("final", _("This is all: no further statement, no hearing"), "bool",
                          required=False,
                          help=_("Else more can be said, and a hearing asked for, until the time"
                                 " is over."))),
                   effect=acts.speak, tone="primary"),
        Transition("ask_hearing", _("Ask for a hearing"), ("notified", "rechecking"), "hearing",
                   ENTERPRISE, (REASON,), guard=guards.may_be_heard, effect=acts.ask_hearing),
        Transition("waive", _("Give up the right to be heard"), ("notified",), "deciding",
                   ENTERPRISE, (REMARK,), tone="danger"),
        Transition("lapse", _("The party said nothing"), ("notified",), "deciding", DISTRICT,
                   (REMARK,), effect=acts.lapse, only="lead",
                   help=_("Possible once the five working days are over.")),
        Transition("announce", _("Announce the hearing"), ("hearing",), None, CITY,
                   (Field("on", _("Day of the hearing"), "date",
                          help=_("At least seven working days after the announcement.")),
                    Field("place", _("Place"), "line")),
                   guard=guards.not_investigator, effect=acts.announce, tone="primary"),
        Transition("hold", _("Hearing held"), ("hearing",), "rechecking", CITY,
                   (Field("text", _("What was said")), FILES),
                   guard=guards.announced, effect=acts.hold, tone="primary"),
        Transition("absent", _("The party stayed away"), ("hearing",), "rechecking", CITY, (REMARK,),
                   guard=guards.announced, effect=acts.absent),
        Transition("withdraw", _("Withdraw the request"), ("hearing",), "rechecking", ENTERPRISE,
                   (REMARK,), effect=acts.give_up, tone="danger"),
        Transition("recheck", _("Recheck what the party said"), ("rechecking",), "deciding", CITY,
                   (Field("accepted", _("Result"), "choice", choices=_accepted), AMOUNT,
                    Field("text", _("Facts, reasons and evidence, point by point"))),
                   guard=guards.not_investigator, effect=acts.recheck, internal=True,
                   tone="primary"),
        Transition("reopen", _("Back to the investigation"), ("rechecking",), "investigating",
                   CITY, (REASON,), guard=guards.not_investigator, internal=True, tone="danger"),
        Transition("decide", _("Decide the fine"), ("deciding",), "decided", LEADER,
                   (AMOUNT,
                    Field("review", _("Body for administrative review"), "line", required=False,
                          initial=_before("review"), help=_("Stands in the decision.")),
                    Field("court", _("Court for a lawsuit"), "line", required=False,
                          initial=_before("court"), help=_("Stands in the decision.")),
                    Field("bank", _("Bank and account for the fine"), "line", required=False,
                          initial=_before("bank"), help=_("Stands in the decision.")),
                    Field("collective", _("Discussed and decided collectively"), "bool",
                          required=False),
                    Field("text", _("Reasons of the decision"))),
                   guard=guards.decides("fine"), effect=acts.decide, tone="primary"),
        Transition("decide_none", _("Decide: no penalty"), ("deciding",), "no_penalty", LEADER,
                   (Field("text", _("Reasons of the decision")),),
                   guard=guards.decides("none"), effect=acts.end_without, tone="primary"),
        Transition("decide_crime", _("Transfer to the police"), ("deciding",), "transferred",
                   LEADER, (Field("text", _("Reasons of the decision")),),
                   guard=guards.decides("crime"), effect=acts.transfer, internal=True,
                   tone="primary"),
        Transition("return", _("Return to the investigation"), ("deciding",), "investigating",
                   LEADER, (REASON,), guard=guards.not_before, internal=True, tone="danger"),
        Transition("refer", _("Refer for detention"),
                   (*RUNNING, "decided", *EXECUTING, "paid"), None, LEADER,
                   (Field("to", _("To which public security organ"), "line"), REASON),
                   guard=guards.referable, effect=acts.refer, internal=True,
                   help=_("Detention of those responsible goes beside the fine.")),
        Transition("serve", _("Decision served"), ("decided",), "served", DISTRICT,
                   (Field("received", _("Received on"), "date"),
                    Field("method", _("How it was served"), "choice", choices=_methods),
                    Field("files", _("Proof of service"), "files", required=False)),
                   effect=acts.serve, tone="primary", only="lead"),
        Transition("publish", _("Publish the decision"), ("decided", *EXECUTING, "paid"), None,
                   CITY | DISTRICT, (), guard=guards.unpublished, effect=acts.publish,
                   help=_("On the public page, without any person.")),
        Transition("unpublished", _("The decision is not published in time"),
                   ("decided", *EXECUTING, "paid"), None, frozenset(), clock=True, internal=True),
        Transition("pay", _("Record the last payment"), EXECUTING, "paid", DISTRICT,
                   (Field("on", _("Paid on"), "date"),
                    Field("amount", _("Amount (yuan)"), fields.yuan, initial=_rest),
                    Field("receipt", _("Receipt number"), "line"), FILES),
                   effect=acts.pay, tone="primary", only="lead"),
        Transition("pay_part", _("Record a part payment"), EXECUTING, None, DISTRICT,
                   (Field("on", _("Paid on"), "date"),
                    Field("amount", _("Amount (yuan)"), fields.yuan),
                    Field("receipt", _("Receipt number"), "line"), FILES),
                   effect=acts.pay_part, only="lead"),
        Transition("defer", _("Defer the payment"), ("served",), None, LEADER,
                   (Field("until", _("New day of payment"), "date"), REASON), effect=acts.defer),
        Transition("contest", _("Review or lawsuit began"), (*EXECUTING, "decided"), None, DISTRICT,
                   (Field("kind", _("Kind"), "choice", choices=_contests),
                    Field("since", _("Since"), "date"), REMARK),
                   guard=guards.uncontested, effect=acts.contest, only="lead"),
        Transition("contest_end", _("Review or lawsuit ended"), (*EXECUTING, "decided"), None,
                   DISTRICT, (Field("until", _("Ended on"), "date"), REASON),
                   guard=guards.contested, effect=acts.contest_end, only="lead"),
        Transition("revoke", _("Revoke the decision"), (*EXECUTING, "decided"), "revoked", LEADER,
                   (REASON,), effect=acts.end, tone="danger"),
        Transition("urge", _("Send a reminder"), ("served",), None, DISTRICT, (REMARK,),
                   effect=acts.urge, only="lead"),
        Transition("enforce", _("Ask the court to enforce"), ("served",), "enforcing", LEADER,
                   (Field("court", _("Court"), "line"), REASON), effect=acts.enforce,
                   tone="danger"),
        Transition("close", _("Close the case"), ("paid",), "closed", DISTRICT,
                   (Field("text", _("Conclusion")),), guard=guards.published, effect=acts.end,
                   tone="primary", only="lead"),
        *suspension(PAUSABLE, CITY, internal=True),
        Transition("comment", _("Comment"),
                   ("filing", *RUNNING, "decided", *EXECUTING, "paid"), None, BUREAU,
                   (Field("text", _("Comment")), FILES), locks=False, internal=True),
    ),
    escalation=((1, None), (2, Limit(days=2)), (3, Limit(days=5))),
)  # fmt: skip
