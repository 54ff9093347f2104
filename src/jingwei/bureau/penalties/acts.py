"""What the acts of a penalty do (effects); what stands against them is in `guards`.

An effect gets the case, what the form said, and the time; it answers what changes, or raises
`Refused`. `detail` of the case holds the penalty's own facts, as plain JSON:

offence, act_from, act_to, discovered, harm; proposal {kind, rule, sheet, grades, …, computed,
amount}; notice {number, at, until, amount}; statement; hearing; recheck; decision {number, at,
amount, …}; service; payment; contest; published; referral.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.bureau.accounts.calendar import in_force
from jingwei.bureau.cases import pauses
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.cases.models import Case
from jingwei.bureau.cases.numbers import document_number
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings.services import release
from jingwei.bureau.penalties import proposal
from jingwei.bureau.penalties.guards import fined, may_follow, running
from jingwei.standards import daily, discretion, law
from jingwei.standards.workdays import SHANGHAI, Since

Data = Mapping[str, Any]
Changes = dict[str, Any]


# --- periods ----------------------------------------------------------------------------------


# What begins a period of the procedure, where it is not the receipt of a document.
_SINCE: dict[str, Since] = {"decide": "filed", "announce_hearing": "told", "publish": "decided"}


def period(step: str, start: datetime) -> tuple[datetime, dict[str, Any]]:
    """The end of a period of the procedure (UTC) by the bureau's calendar, and the sentence that
    says how it was reckoned."""
    rule = law.procedure()[step]
    due, derivation = rule.end(start, in_force())
    since = _SINCE.get(step, "received")
    said = {
        "amount": rule.rule.amount,
        "unit": rule.rule.unit,
        "start": derivation.start.isoformat(),
        "due": derivation.due.isoformat(),
        "unknown_years": list(derivation.unknown_years),
        "zh": f"{rule.cite_zh}：{derivation.text('zh', since)}",
        "en": f"{rule.cite_en}: {derivation.text('en', since)}",
    }
    return due.astimezone(UTC), said


def _number(kind: str, now: datetime) -> str:
    return document_number(now, prefix=settings.ENV.document_prefix.removesuffix("督") + kind)


def _local(now: datetime) -> str:
    return timezone.localtime(now).date().isoformat()


def _utc(now: datetime) -> str:
    return now.astimezone(UTC).isoformat()


def midnight(day: date) -> datetime:
    """Noon of a day at the office: the start of a period in days that begins on it."""
    return datetime(day.year, day.month, day.day, 12, tzinfo=SHANGHAI)


# --- effects ----------------------------------------------------------------------------------


def _when(data: Data, today: date) -> Changes:
    begin, end, found = data["act_from"], data["act_to"], data["discovered"]
    if not begin <= end <= today or not begin <= found <= today:
        raise Refused(
            _("The act begins before it ends, is found after it began, and none of it lies ahead.")
        )
    limit = law.limitation(end, harm=bool(data.get("harm")))
    if found > limit:
        raise Refused(
            _("The period of limitation ran out on %(day)s: the act may not be punished any more.")
            % {"day": limit}
        )
    return {
        "offence": data["offence"],
        "act_from": begin.isoformat(),
        "act_to": end.isoformat(),
        "discovered": found.isoformat(),
        "harm": bool(data.get("harm")),
        "limitation": limit.isoformat(),
    }


# The law names two offences in one sentence; what was measured over a limit is the first of them.
_DONE = {
    "air.exceeded": "超过大气污染物排放标准排放大气污染物",
    "water.exceeded": "超过水污染物排放标准排放水污染物",
    "permit.exceeded": "超过许可排放浓度排放污染物",
}


def done(offence: str, facts: Iterable[Mapping[str, Any]]) -> str:
    """What was done, as a paper says it (in Chinese): of the alternatives of the law the one that
    the facts show."""
    measured = any(finding["rows"] for finding in facts)
    whole = law.offences().get(offence, (offence, offence))[0]
    return _DONE.get(offence, whole) if measured else whole


def file(case: Case, data: Data, now: datetime) -> Changes:
    detail = _when(data, proposal.local_day(now))
    case.detail = detail
    found = proposal.bases(case, now)
    if not found:
        raise Refused(_("No legal basis in the tables was in force on the day of the act."))
    if case.parent and case.parent.flow == "penalty":
        if not may_follow(case.parent):
            raise Refused(_("Only a decided fine can be followed by a daily penalty."))
        if data["offence"] != case.parent.detail["offence"]:
            raise Refused(_("A daily penalty is for the offence that was fined."))
    facts = list(case.parent.facts or _snapshot(case.parent)) if case.parent else []
    return {
        "title": f"{case.enterprise.name if case.enterprise else ''}涉嫌{done(data['offence'], facts)}案"[
            :200
        ],
        "basis": "；".join(a.penalty.cite_zh for a in found),
        "text": data["text"],
        "detail": detail,
        "facts": facts,
    }


def _snapshot(case: Case) -> list[dict[str, Any]]:
    from jingwei.bureau.cases.selectors import snapshot

    return snapshot(case)


def approve(case: Case, data: Data, now: datetime) -> Changes:
    due, said = period("decide", now)
    facts = case.facts or _snapshot(case)
    return {"due": due, "derivation": [said], "facts": facts, "detail": {"filed": _utc(now)}}


def reject(case: Case, data: Data, now: datetime) -> Changes:
    release(case.findings.all())
    return {"closed": now}


def reclassify(case: Case, data: Data, now: datetime) -> Changes:
    detail = _when(data, proposal.local_day(now))
    case.detail = {**case.detail, **detail, "proposal": None}
    found = proposal.bases(case, now)
    if not found:
        raise Refused(_("No legal basis in the tables was in force on the day of the act."))
    return {
        "detail": {**detail, "proposal": None},
        "basis": "；".join(a.penalty.cite_zh for a in found),
    }


def propose(case: Case, data: Data, now: datetime) -> Changes:
    from jingwei.bureau.penalties.selectors import exhibits

    found = proposal.bases(case, now)
    if not found:
        raise Refused(_("No legal basis in the tables was in force on the day of the act."))
    applicable = found[0]
    sheet = proposal.sheet(case, applicable.penalty)
    chosen = list(data.get("circumstances") or [])
    computed = None
    if sheet is not None:
        try:
            result = proposal.compute(
                case, applicable, sheet, data["grades"], chosen, data.get("share")
            )
        except ValueError as error:
            raise Refused(_("The table cannot be applied: %s") % error) from None
        computed = result.to_json()
    amount = data.get("amount") or (Decimal(computed["amount"]) if computed else None)
    if amount is None:
        raise Refused(_("No table is in force for this offence: say the amount, with reasons."))
    amount = law.yuan(amount)
    within(applicable.penalty, amount, chosen)
    return {
        "detail": {
            "proposal": {
                "kind": "fine",
                "at": _utc(now),
                "rule": applicable.penalty.rule,
                "why": applicable.why,
                "cite_zh": applicable.penalty.cite_zh,
                "cite_en": applicable.penalty.cite_en,
                "duty_zh": applicable.penalty.duty_zh,
                "verified": applicable.penalty.verified,
                "lowest": applicable.penalty.lowest,
                "highest": applicable.penalty.highest,
                "sheet": sheet.key if sheet else "",
                "grades": dict(data["grades"]) if sheet and sheet.factors else {},
                "circumstances": chosen,
                "share": None if data.get("share") is None else str(data["share"]),
                "computed": computed,
                "amount": str(amount),
                "deviates": computed is None or amount != Decimal(computed["amount"]),
                "exhibits": exhibits(case),
            }
        }
    }


def _not_daily(rule: str) -> str:
    """What stands against a daily penalty (`daily.NotAllowedError`)."""
    return {
        "offence": _("Daily penalties are for unlawful discharges alone."),
        "fine": _("The original fine is more than nothing."),
        "order": _("The re-check comes after the day on which the order to correct was served."),
        "recheck": _(
            "The re-check must be within thirty days of the service of the order to correct:"
            " order the correction again, and re-check in time."
        ),
    }[rule]


def propose_daily(case: Case, data: Data, now: datetime) -> Changes:
    from jingwei.bureau.penalties.selectors import exhibits

    before = fined(case)
    served, rechecked = data["served"], data["rechecked"]
    if before is None or before.state == "revoked":
        raise Refused(_("Only a decided fine can be followed by a daily penalty."))
    if rechecked > proposal.local_day(now):
        raise Refused(_("The re-check cannot lie ahead."))
    decision = before.detail["decision"]
    decided = timezone.localtime(datetime.fromisoformat(decision["at"])).date()
    fine = Decimal(decision["amount"])
    try:
        result = daily.reckon(case.detail["offence"], fine, decided, served, rechecked)
    except daily.NotAllowedError as error:
        raise Refused(_not_daily(str(error))) from None
    basis, original = daily.text("basis", rechecked), basis_of(before)
    return {
        "basis": basis.cite_zh,
        "detail": {
            "proposal": {
                "kind": "fine",
                "at": _utc(now),
                "rule": original.rule,
                "why": "",
                "cite_zh": basis.cite_zh,
                "cite_en": basis.cite_en,
                "duty_zh": original.duty_zh,
                "verified": basis.verified,
                "lowest": str(result.amount),
                "highest": str(result.amount),
                "sheet": "",
                "grades": {},
                "circumstances": [],
                "share": None,
                "computed": result.to_json(),
                "amount": str(result.amount),
                "deviates": False,
                "daily": {
                    "original": before.pk,
                    "number": decision["number"],
                    "served": served.isoformat(),
                    "rechecked": rechecked.isoformat(),
                },
                "exhibits": exhibits(case),
            }
        },
    }


def exactly(case: Case, amount: Decimal) -> bool:
    """Whether the proposal is a daily penalty, which knows one amount; `Refused` for another."""
    told = case.detail["proposal"]
    if not told.get("daily"):
        return False
    if amount != Decimal(told["amount"]):
        raise Refused(
            _("The daily penalty is the original fine for each day, %(amount)s yuan, or none:"
              " return the case to change its days.")
            % {"amount": f"{Decimal(told['amount']):,}"}
        )  # fmt: skip
    return True


def within(basis: law.Penalty, amount: Decimal, circumstances: list[str]) -> None:
    """`Refused` for an amount outside the lawful range; below it only with a circumstance that
    lightens by law (Administrative Penalty Law art. 32)."""
    known = {c.key for c in discretion.circumstances() if c.table == "*" and c.kind == "lighter"}
    if amount > basis.highest:
        raise Refused(_("The law allows %(most)s yuan at most.") % {"most": f"{basis.highest:,}"})
    if amount < basis.lowest and not known & set(circumstances):
        raise Refused(
            _(
                "Below %(least)s yuan only where a circumstance of art. 32 of the Administrative"
                " Penalty Law is chosen."
            )
            % {"least": f"{basis.lowest:,}"}
        )


def propose_none(case: Case, data: Data, now: datetime) -> Changes:
    from jingwei.bureau.penalties.selectors import exhibits

    return {
        "detail": {
            "proposal": {
                "kind": "none",
                "at": _utc(now),
                "ground": data["ground"],
                "exhibits": exhibits(case),
            }
        }
    }


def propose_crime(case: Case, data: Data, now: datetime) -> Changes:
    from jingwei.bureau.penalties.selectors import exhibits

    return {
        "detail": {
            "proposal": {
                "kind": "crime",
                "at": _utc(now),
                "to": data["to"],
                "exhibits": exhibits(case),
            }
        }
    }


def refer(case: Case, data: Data, now: datetime) -> Changes:
    return {
        "detail": {"referral": {"number": _number("拘移", now), "at": _utc(now), "to": data["to"]}}
    }


def notify(case: Case, data: Data, now: datetime) -> Changes:
    """The party has been told: its five working days run from the day of receipt."""
    received: date = data["received"]
    proposed = datetime.fromisoformat(case.detail["proposal"]["at"])
    if not _local(proposed) <= received.isoformat() <= _local(now):
        raise Refused(_("The day of receipt lies between the proposal and today."))
    until, said = period("statement", midnight(received))
    return {
        "issued": case.issued or now,
        "detail": {
            "notice": {
                "number": _number("罚告", now),
                "at": _utc(now),
                "received": received.isoformat(),
                "until": _utc(until),
                "derivation": said,
                "amount": case.detail["proposal"]["amount"],
                "hearing": Decimal(case.detail["proposal"]["amount"]) >= law.HEARING,
                "method": data["method"],
            },
            "statement": None,
            "hearing": None,
            "recheck": None,
        },
    }


def _until(case: Case) -> datetime:
    return datetime.fromisoformat(case.detail["notice"]["until"])


def _in_time(case: Case, now: datetime) -> None:
    if now > _until(case):
        raise Refused(_("The time to be heard ran out on %s.") % _local(_until(case)))
    if _has_said_all(case):
        raise Refused(_("The party said that it has nothing to add and wants no hearing."))


def _has_said_all(case: Case) -> bool:
    return bool((case.detail.get("statement") or {}).get("final"))


def speak(case: Case, data: Data, now: datetime) -> Changes:
    """A statement leaves the rest of the five days, and the hearing, to the party, unless it gives
    them up (`final`)."""
    _in_time(case, now)
    return {"detail": {"statement": {"at": _utc(now), "final": bool(data.get("final"))}}}


def ask_hearing(case: Case, data: Data, now: datetime) -> Changes:
    _in_time(case, now)
    return {"detail": {"hearing": {"asked": _utc(now)}}}


def _time_is_over(case: Case, now: datetime) -> None:
    if now <= _until(case) and not _has_said_all(case):
        raise Refused(_("The party may still be heard until the end of %s.") % _local(_until(case)))


def lapse(case: Case, data: Data, now: datetime) -> Changes:
    _time_is_over(case, now)
    return {}


def announce(case: Case, data: Data, now: datetime) -> Changes:
    earliest, said = period("announce_hearing", now)
    if data["on"] <= timezone.localtime(earliest).date():
        raise Refused(
            _("The hearing must be announced seven working days before: not before %s.")
            % (timezone.localtime(earliest).date() + timedelta(days=1))
        )
    hearing = {
        **case.detail["hearing"],
        "announced": _utc(now),
        "on": data["on"].isoformat(),
        "place": data["place"],
        "derivation": said,
    }
    return {"detail": {"hearing": hearing}}


def hold(case: Case, data: Data, now: datetime) -> Changes:
    if _local(now) < case.detail["hearing"]["on"]:
        raise Refused(_("The hearing is on %s.") % case.detail["hearing"]["on"])
    return _after_hearing(case, now, held=_utc(now))


def give_up(case: Case, data: Data, now: datetime) -> Changes:
    """The party stayed away or withdrew: it has given up the hearing."""
    if case.detail["hearing"].get("on", "") > _local(now) and data.get("absent"):
        raise Refused(_("The hearing is on %s.") % case.detail["hearing"]["on"])
    return _after_hearing(case, now, given_up=_utc(now))


def absent(case: Case, data: Data, now: datetime) -> Changes:
    return give_up(case, {**data, "absent": True}, now)


def _after_hearing(case: Case, now: datetime, **facts: Any) -> Changes:
    """The time of the hearing does not count towards the 90 days."""
    asked = datetime.fromisoformat(case.detail["hearing"]["asked"])
    days = (timezone.localtime(now).date() - timezone.localtime(asked).date()).days
    due, unknown = pauses.longer(case.derivation, days, in_force())
    said = {
        "amount": days,
        "unit": "days",
        "start": _utc(case.due),
        "due": _utc(due),
        "unknown_years": unknown,
        "zh": f"听证期间（{_local(asked)} 至 {_local(now)}，{days} 日）不计入办案期限，截止 {_local(due)} 24:00",
        "en": f"the hearing ({_local(asked)} to {_local(now)}, {days} days) does not count: due {_local(due)} 24:00",
    }
    return {
        "due": due,
        "derivation": [*case.derivation, said],
        "detail": {"hearing": {**case.detail["hearing"], **facts}},
    }


def recheck(case: Case, data: Data, now: datetime) -> Changes:
    _time_is_over(case, now)
    silent = not case.detail.get("statement") and "held" not in (case.detail["hearing"] or {})
    if (data["accepted"] == "nothing") != silent:
        raise Refused(
            _("Nothing was said that could be accepted or not.")
            if silent
            else _("The party has said something: tell what became of it.")
        )
    amount = law.yuan(data["amount"])
    exactly(case, amount)
    if amount > Decimal(case.detail["notice"]["amount"]):
        raise Refused(_("A party may not be punished harder because it was heard."))
    return {
        "detail": {
            "recheck": {"at": _utc(now), "accepted": data["accepted"], "amount": str(amount)}
        }
    }


def decide(case: Case, data: Data, now: datetime) -> Changes:
    told = case.detail["proposal"]
    basis = basis_of(case)
    amount = law.yuan(data["amount"])
    if not exactly(case, amount):
        within(basis, amount, told["circumstances"])
    if amount > Decimal(case.detail["notice"]["amount"]):
        raise Refused(
            _("More than was announced: return the case, so that the party is told of it first.")
        )
    deviates = told["computed"] is None or amount != Decimal(told["computed"]["amount"])
    if (deviates or amount >= law.HEARING) and not data.get("collective"):
        raise Refused(
            _(
                "A fine of %(least)s yuan or more, or one that departs from the table, needs a"
                " collective discussion."
            )
            % {"least": f"{law.HEARING:,}"}
        )
    number = _number("罚", now)
    publish, said = period("publish", now)
    return {
        "number": number,
        "wake_at": publish,
        "due": None,
        "derivation": [],
        "detail": {
            "decision": {
                "number": number,
                "at": _utc(now),
                "amount": str(amount),
                "rule": basis.rule,
                **{name: data.get(name, "") for name in ("review", "court", "bank")},
                "collective": bool(data.get("collective")),
                "deviates": deviates,
                "publish_by": _utc(publish),
                "publish_derivation": said,
            }
        },
    }


def basis_of(case: Case) -> law.Penalty:
    """The version of the legal basis that the proposal stands on."""
    told = case.detail["proposal"]
    return next(
        p
        for p in law.penalties()
        if p.rule == told["rule"] and p.offence == case.detail["offence"] and p.who == "enterprise"
    )


def end(case: Case, data: Data, now: datetime) -> Changes:
    return {"closed": now, "wake_at": None}


def end_without(case: Case, data: Data, now: datetime) -> Changes:
    """No penalty: the party is told, so it may see the case from now on."""
    return {
        "closed": now,
        "issued": case.issued or now,
        "detail": {"no_penalty": {"number": _number("不罚", now), "at": _utc(now)}},
    }


def transfer(case: Case, data: Data, now: datetime) -> Changes:
    told = case.detail["proposal"]
    return {
        "closed": now,
        "detail": {"crime": {"number": _number("罪移", now), "at": _utc(now), "to": told["to"]}},
    }


def serve(case: Case, data: Data, now: datetime) -> Changes:
    received: date = data["received"]
    decided = datetime.fromisoformat(case.detail["decision"]["at"])
    if not _local(decided) <= received.isoformat() <= _local(now):
        raise Refused(_("The day of receipt lies between the decision and today."))
    due, said = period("pay", midnight(received))
    return {
        "due": due,
        "derivation": [said],
        "detail": {
            "service": {"received": received.isoformat(), "method": data["method"]},
            "payment": {"due": _local(due), "paid": []},
        },
    }


def owed(case: Case, on: date) -> dict[str, Decimal | int]:
    """What is owed on a day: `fine`, `surcharge`, `days` late, `paid`, `rest`, in yuan.

    The surcharge stops where fine and surcharge have been paid; payments do not lower its base
    (the law reckons it on the fine).
    """
    detail = case.detail
    fine = Decimal(detail["decision"]["amount"])
    paid = sum((Decimal(p["amount"]) for p in detail["payment"]["paid"]), Decimal(0))
    pauses = [
        (date.fromisoformat(c["from"]), date.fromisoformat(c.get("to") or on.isoformat()))
        for c in detail.get("contests") or []
    ]
    more, days = law.surcharge(fine, date.fromisoformat(detail["payment"]["due"]), on, pauses)
    return {"fine": fine, "surcharge": more, "days": days, "paid": paid, "rest": fine + more - paid}


def _paid(case: Case, data: Data, now: datetime) -> tuple[dict[str, Any], Decimal]:
    on: date = data["on"]
    if not case.detail["service"]["received"] <= on.isoformat() <= _local(now):
        raise Refused(_("The day of payment lies between the receipt of the decision and today."))
    row = {
        "on": on.isoformat(),
        "amount": str(law.yuan(data["amount"])),
        "receipt": data["receipt"],
    }
    payment = case.detail["payment"]
    rest = Decimal(owed(case, on)["rest"]) - law.yuan(data["amount"])
    return {**payment, "paid": [*payment["paid"], row]}, rest


def pay_part(case: Case, data: Data, now: datetime) -> Changes:
    payment, rest = _paid(case, data, now)
    if rest <= 0:
        raise Refused(_("With this everything is paid: record it as the last payment."))
    return {"detail": {"payment": payment}}


def pay(case: Case, data: Data, now: datetime) -> Changes:
    payment, rest = _paid(case, data, now)
    if rest != 0:
        raise Refused(
            _("%(rest)s yuan would still be owed: record a part payment.") % {"rest": f"{rest:,}"}
            if rest > 0
            else _("That is %(more)s yuan more than is owed.") % {"more": f"{-rest:,}"}
        )
    told = owed(case, data["on"])
    payment["surcharge"] = str(told["surcharge"])
    return {"detail": {"payment": payment}}


def defer(case: Case, data: Data, now: datetime) -> Changes:
    until: date = data["until"]
    if until.isoformat() <= max(case.detail["payment"]["due"], _local(now)):
        raise Refused(_("The new day must lie after the old one and after today."))
    due = datetime(until.year, until.month, until.day, 23, 59, 59, tzinfo=SHANGHAI).astimezone(UTC)
    said = {
        "amount": 0, "unit": "days", "start": _utc(now), "due": _utc(due), "unknown_years": [],
        "zh": f"《行政处罚法》第六十六条：经批准暂缓或者分期缴纳，至 {until} 24:00",
        "en": f"Administrative Penalty Law, art. 66: payment deferred until {until} 24:00",
    }  # fmt: skip
    payment = {**case.detail["payment"], "due": until.isoformat()}
    return {"due": due, "derivation": [*case.derivation, said], "detail": {"payment": payment}}


def contest(case: Case, data: Data, now: datetime) -> Changes:
    row = {"kind": data["kind"], "from": data["since"].isoformat()}
    return {"detail": {"contests": [*(case.detail.get("contests") or []), row]}}


def contest_end(case: Case, data: Data, now: datetime) -> Changes:
    *earlier, last = case.detail["contests"]
    if data["until"].isoformat() < last["from"]:
        raise Refused(_("It cannot end before it began."))
    return {"detail": {"contests": [*earlier, {**last, "to": data["until"].isoformat()}]}}


def urge(case: Case, data: Data, now: datetime) -> Changes:
    if _local(now) <= case.detail["payment"]["due"]:
        raise Refused(_("The fine is not overdue yet."))
    earliest, said = period("urge", now)
    return {"detail": {"urged": {"at": _utc(now), "until": _utc(earliest), "derivation": said}}}


def enforce(case: Case, data: Data, now: datetime) -> Changes:
    urged = case.detail.get("urged")
    if not urged or now <= datetime.fromisoformat(urged["until"]):
        raise Refused(_("The court may be asked ten days after the reminder at the earliest."))
    if running(case):
        raise Refused(_("A review or lawsuit is running already."))
    return {"detail": {"enforcement": {"at": _utc(now), "court": data["court"]}}}


def facts_of_decision(case: Case) -> dict[str, Any]:
    """What is public of a decision: no person."""
    detail = case.detail
    return {
        "number": detail["decision"]["number"],
        "decided": detail["decision"]["at"],
        "enterprise": case.enterprise.name,
        "uscc": case.enterprise.uscc,
        "offence": detail["offence"],
        "basis": detail["proposal"]["cite_zh"],
        "rule": detail["decision"]["rule"],
        "amount": detail["decision"]["amount"],
        "region": case.region_id,
    }


def publish(case: Case, data: Data, now: datetime) -> Changes:
    entry = record("penalty", f"case:{case.pk}", facts_of_decision(case))
    return {"detail": {"published": {"at": _utc(now), "entry": entry.pk}}, "wake_at": None}
