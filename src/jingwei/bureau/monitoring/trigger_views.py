"""Trigger rules with their simulation, and the orders that live rules propose."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jingwei.bureau.access import may, requires
from jingwei.bureau.findings.export import csv_response
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.language import english
from jingwei.bureau.monitoring import triggers
from jingwei.bureau.monitoring.models import OrderProposal
from jingwei.bureau.registry import triggers as rules
from jingwei.bureau.registry.models import Region, TriggerRule
from jingwei.standards.catalogue import EVENTS

PER_PAGE = 50
SHOWN = 100  # simulated orders in the table
SURE = [
    ("full text", gettext_lazy("Read in full")),
    ("secondary", gettext_lazy("From a secondary source")),
    ("memory", gettext_lazy("Not checked against a source")),
    ("preset", gettext_lazy("Preset of this program")),
    ("local", gettext_lazy("Rule of this bureau")),
]
COLOURS = {"live": "normal", "draft": "watch", "ended": "offline", "": "offline"}
PROPOSED = {"open": "watch", "taken": "normal", "declined": "offline"}


def event_name(kind: str) -> str:
    zh, en = EVENTS.get(kind, (kind, kind))
    return en if english() else zh


class RuleForm(forms.ModelForm):
    code = forms.RegexField(
        r"^[A-Za-z0-9.\-]{1,20}$", label=gettext_lazy("Rule"), max_length=20,
        help_text=gettext_lazy("Letters, digits, dots and hyphens."),
    )  # fmt: skip
    event = forms.ChoiceField(label=gettext_lazy("Event"))
    verified = forms.ChoiceField(label=gettext_lazy("How sure"), choices=SURE)
    note = forms.CharField(label=gettext_lazy("Reason for this version"), max_length=300)

    class Meta:
        model = TriggerRule
        fields = ("code", *rules.FIELDS, "note")

    def __init__(self, *args: Any, code: str = "", **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.fields["event"].choices = [(k, event_name(k)) for k in EVENTS]
        self.fields["severity"].widget = forms.Select(choices=Finding.Severity.choices)
        if code:
            self.fields["code"].disabled = True
            self.fields["code"].widget = forms.HiddenInput()

    @property
    def said(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in rules.FIELDS}


def _row(known: rules.Known) -> dict[str, Any]:
    rule = known.shown
    state = rule.state if rule.version else ""
    return {
        "known": known,
        "rule": rule,
        "event": event_name(rule.event),
        "recorded": triggers.recorded(rule.event),
        "colour": COLOURS[state],
        "state": rule.get_state_display() if rule.version else _("Preset, not live"),
        "sure": dict(SURE).get(rule.verified, rule.verified),
        "open": OrderProposal.objects.filter(code=rule.code, state="open").count(),
    }


@require_safe
@requires("trigger.view")
def trigger_list(request: HttpRequest) -> HttpResponse:
    return render(
        request,
        "monitoring/triggers.html",
        {"rows": [_row(k) for k in rules.known().values()], "may_edit": may(request.user, "trigger.edit")},
    )  # fmt: skip


def _simulation(rule: TriggerRule, user: Any) -> dict[str, Any]:
    found = triggers.simulate(rule)
    return {
        "recorded": triggers.recorded(rule.event),
        "count": len(found),
        "by_enterprise": triggers.by_enterprise(found),
        "orders": found[:SHOWN],
        "days": triggers.HISTORY // timedelta(days=1),
        "rule": rule,
    }


def _tried(rule: TriggerRule) -> dict[str, Any] | None:
    """When a version was tried on history, and what it would have issued."""
    said = rule.simulation
    return {**said, "at": parse_datetime(said["at"])} if said else None


@require_http_methods(["GET", "POST"])
@requires("trigger.edit")
def trigger_new(request: HttpRequest) -> HttpResponse:
    return _rule_page(request, None)


@require_http_methods(["GET", "POST"])
@requires("trigger.view")
def trigger(request: HttpRequest, code: str) -> HttpResponse:
    """One rule: its versions, what it would have issued, a form for the next version."""
    known = rules.known(code).get(code)
    if known is None:
        raise Http404
    return _rule_page(request, known)


def _rule_page(request: HttpRequest, known: rules.Known | None) -> HttpResponse:
    edits = may(request.user, "trigger.edit")
    code = known.code if known else ""
    status, simulation = 200, None
    initial = {"code": code}
    if known:
        shown = known.draft or known.shown
        initial |= {name: getattr(shown, name) for name in rules.FIELDS}
    if request.method == "POST" and edits:
        form = RuleForm(request.POST, code=code, initial=initial)
        status = 422
        if form.is_valid():
            made = TriggerRule(code=form.cleaned_data["code"], version=0, **form.said)
            try:
                if request.POST.get("do") == "save":
                    saved = rules.draft(request.user, made.code, note=form.cleaned_data["note"], **form.said)  # fmt: skip
                    messages.success(request, _("Version %(number)d is saved as a draft. Try it on history, then let it go live.") % {"number": saved.version})  # fmt: skip
                    return redirect("monitoring:trigger", code=saved.code)
                rules.check(made)
                simulation, status = _simulation(made, request.user), 200
            except ValidationError as error:
                form.add_error(None, list(error.messages))
    else:
        form = RuleForm(code=code, initial=initial)
        if known:
            simulation = _simulation(known.draft or known.shown, request.user)
    return render(
        request,
        "monitoring/trigger.html",
        {
            "row": _row(known) if known else None,
            "known": known,
            "code": code,
            "form": form,
            "simulation": simulation,
            "may_edit": edits,
            "versions": [(v, _tried(v)) for v in known.versions[::-1]] if known else [],
            "tried": bool(known and known.draft and rules.is_tried(known.draft)),
            "may_prove": may(request.user, "evidence.view"),
        },
        status=status,
    )


@require_POST
@requires("trigger.edit")
def trigger_try(request: HttpRequest, code: str) -> HttpResponse:
    """Simulate the newest draft on history; a preset becomes the draft of version 1 by it."""
    known = rules.known(code).get(code)
    if known is None:
        raise Http404
    try:
        draft = known.draft
        if draft is None and not known.versions and known.preset is not None:
            values = {name: getattr(known.preset, name) for name in rules.FIELDS}
            draft = rules.draft(request.user, code, note=_("Preset taken over"), **values)
        if draft is None:
            raise ValidationError(_("Only a draft can go live: make a new version."))
        triggers.try_out(request.user, draft)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect("monitoring:trigger", code=code)


@require_POST
@requires("trigger.edit")
def trigger_live(request: HttpRequest, code: str) -> HttpResponse:
    """Let the newest draft propose orders, once it was tried on history."""
    known = rules.known(code).get(code)
    if known is None:
        raise Http404
    try:
        if known.draft is None:
            raise ValidationError(
                _("Only a draft can go live: make a new version.")
                if known.versions
                else _("Try the preset on history first.")
            )
        rules.go_live(request.user, known.draft)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("The rule is live. It proposes; a person issues."))
    return redirect("monitoring:trigger", code=code)


@require_POST
@requires("trigger.edit")
def trigger_end(request: HttpRequest, code: str) -> HttpResponse:
    try:
        rules.end(request.user, code, request.POST.get("reason", ""))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("The rule has ended. What it proposed stays."))
    return redirect("monitoring:trigger", code=code)


# Proposals --------------------------------------------------------------------------------------


def _proposals(request: HttpRequest) -> tuple[dict[str, str], Any]:
    query = {
        k: request.GET.get(k, "").replace("\x00", "").strip()[:80]
        for k in ("q", "state", "rule", "region")
    }
    rows = OrderProposal.objects.restrict(request.user, "trigger.view").select_related(
        "enterprise", "point", "actor"
    )
    if query["q"]:
        rows = rows.filter(enterprise__name__icontains=query["q"])
    if query["state"]:
        rows = rows.filter(state=query["state"])
    if query["rule"]:
        rows = rows.filter(code=query["rule"])
    if query["region"]:
        rows = rows.filter(enterprise__region=query["region"])
    return query, rows


def _receiver(code: str) -> str:
    return str(dict(TriggerRule.Receiver.choices).get(code, code))


@require_safe
@requires("trigger.view")
def proposals(request: HttpRequest) -> HttpResponse:
    query, rows = _proposals(request)
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "monitoring/proposals.html",
        {
            "query": query,
            "filtered": any(query.values()),
            "page": page,
            "rows": [(p, _receiver(p.receiver), PROPOSED[p.state]) for p in page],
            "states": OrderProposal.State.choices,
            "codes": list(rules.known()),
            "regions": Region.objects.exclude(parent=None).defer("geometry"),
        },
    )


@require_safe
@requires("trigger.view")
def proposals_csv(request: HttpRequest) -> HttpResponse:
    _query, rows = _proposals(request)
    return csv_response(
        "proposed-orders.csv",
        [_("Rule"), _("Version"), _("Enterprise"), _("Point"), _("Triggered"), _("To be answered by"),
         _("Receiver"), _("Events"), _("State"), _("Reason")],
        (
            [
                p.code, p.version, p.enterprise.name, p.point.name if p.point else "", p.triggered,
                p.due, _receiver(p.receiver), len(p.events), p.get_state_display(), p.reason,
            ]
            for p in rows.iterator(chunk_size=500)
        ),
    )  # fmt: skip


@require_safe
@requires("trigger.view")
def proposal(request: HttpRequest, proposal: int) -> HttpResponse:
    found = get_object_or_404(_visible(request, "trigger.view"), pk=proposal)
    return render(request, "monitoring/proposal.html", _proposal_context(request, found))


def _visible(request: HttpRequest, action: str) -> Any:
    return OrderProposal.objects.restrict(request.user, action).select_related(
        "enterprise", "point", "actor", "evidence"
    )


def _proposal_context(request: HttpRequest, found: OrderProposal) -> dict[str, Any]:
    rule = TriggerRule.objects.filter(code=found.code, version=found.version).first()
    findings = list(found.findings.restrict(request.user, "finding.view"))
    return {
        "proposal": found,
        "rule": rule,
        "event": event_name(rule.event) if rule else "",
        "receiver": _receiver(found.receiver),
        "colour": PROPOSED[found.state],
        "events": [(event_name(e["kind"]), parse_datetime(e["time"])) for e in found.events],
        "findings": findings,
        "new": [f for f in findings if f.state == Finding.State.NEW],
        "overdue": found.state == OrderProposal.State.OPEN and found.due < timezone.now(),
        "may_open": may(request.user, "case.open"),
        "may_decide": may(request.user, "proposal.decide")
        and found.state == OrderProposal.State.OPEN,
        "may_prove": may(request.user, "evidence.view"),
    }


@require_POST
@requires("proposal.decide")
def proposal_decline(request: HttpRequest, proposal: int) -> HttpResponse:
    found = get_object_or_404(_visible(request, "proposal.decide"), pk=proposal)
    reason = request.POST.get("reason", "")
    try:
        triggers.decline(request.user, found, reason)
    except ValidationError as error:
        context = _proposal_context(request, found)
        context |= {"refused": " ".join(error.messages), "reason": reason}
        return render(request, "monitoring/proposal.html", context, status=409)
    messages.success(request, _("The proposal is declined."))
    return redirect("monitoring:proposal", proposal=found.pk)
