"""How a case is written: its row by the version that was read, its event with files and evidence entry.

Whoever calls holds the case's lock, in the transaction of the act.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.bureau.accounts.models import User
from jingwei.bureau.cases import search
from jingwei.bureau.cases.errors import Stale
from jingwei.bureau.cases.forms import TransitionForm
from jingwei.bureau.cases.models import Case, CaseEvent, CaseFile
from jingwei.bureau.cases.telling import told
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings import files as filing
from jingwei.bureau.prepared import Prepared, insert, update
from jingwei.evidence import canonical, digest

# What events may change on a case; the fold of their `changes` is the case's row.
FOLDED = (
    "state",
    "title",
    "text",
    "basis",
    "matter",
    "detail",
    "facts",
    "enterprise_id",
    "parent_id",
    "region_id",
    "department_id",
    "holder_id",
    "party_ids",
    "number",
    "opened",
    "issued",
    "closed",
    "published",
    "listed",
    "due",
    "derivation",
    "paused",
    "pauses",
    "level_since",
    "level_due",
    "level_derivation",
    "escalated",
    "wake_at",
)
COLUMNS = tuple(name for name in FOLDED if name != "party_ids")
DERIVED = ("escalate_at", "clock", "asks")
SEARCHED = {"title", "number", "text", "enterprise_id"}
_last_seq: Prepared[int] = Prepared(
    lambda case: (
        CaseEvent.objects.filter(case=case).order_by("-seq").values_list("seq", flat=True)[:1]
    )
)
under_lock: Prepared[Case] = Prepared(
    lambda pk: (
        Case.objects.filter(pk=pk)
        .select_for_update(of=("self",))
        .select_related("enterprise", "department")
    )
)


def save(case: Case, version: int, changes: Mapping[str, Any]) -> None:
    case.derive()
    names = (*(name for name in COLUMNS if name in changes), *DERIVED)
    values = {name: getattr(case, name) for name in names}
    values["version"] = version + 1
    if not update(Case, {"id": case.pk, "version": version}, values):
        raise Stale(meanwhile(case))
    case.version = version + 1
    case.save_parties()
    if SEARCHED & changes.keys():
        search.store(case)


def append(
    case: Case,
    transition: str,
    *,
    source: str,
    user: User | None,
    now: datetime,
    form: TransitionForm | None = None,
    data: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any],
    internal: bool,
    key: str | None,
    written: list[str] | None = None,
    risen: Iterable[int] = (),
) -> CaseEvent:
    """The event, its files and its evidence entry. The case's lock is held. `risen`: the levels
    of delay whose superiors hear of it by this event."""
    said = {**(form.said if form else {}), **(data or {})}
    text = said.pop("text", "")
    event = CaseEvent(
        case=case,
        seq=(_last_seq.first(case.pk) or 0) + 1,
        transition=transition,
        source=source,
        target=case.state,
        actor=user,
        role=user.role if user else "",
        department=user.department if user else None,
        at=now,
        text=text,
        data=plain(said),
        changes=plain(changes),
        internal=internal,
        key=key,
        salt=secrets.token_hex(16),
    )
    uploads = form.uploads if form else []
    digests = [digest.both(filing.chunks(upload)) for _kind, upload, _type in uploads]
    event.evidence = record(
        "case_event",
        f"case:{case.pk}",
        testimony(event, digests),
        actor=str(user.pk) if user else "",
    )
    insert(event)
    for position, ((kind, upload, content_type), found) in enumerate(
        zip(uploads, digests, strict=True), start=1
    ):
        CaseFile.objects.create(
            event=event,
            position=position,
            kind=kind,
            name=filing.display_name(upload.name),
            content_type=content_type,
            size=upload.size,
            file=filing.store("cases", upload, written if written is not None else []),
            **found,
        )
    told(event, case, risen)
    return event


def testimony(event: CaseEvent, files: list[dict[str, str]]) -> dict[str, Any]:
    """What the evidence log says of an event: no person, no text, but a salted digest of them."""
    body = canonical.dumps(
        {"text": event.text, "data": event.data, "changes": event.changes, "salt": event.salt}
    )
    return {
        "case": event.case_id,
        "number": event.case.number or "",
        "seq": event.seq,
        "flow": event.case.flow,
        "transition": event.transition,
        "source": event.source,
        "target": event.target,
        "role": event.role,
        "department": event.department.code if event.department else "",
        "at": plain(event.at),
        "body": digest.both(body),
        "files": files,
    }


def meanwhile(case: Case) -> str:
    return _(
        "Done since this page was opened: %(who)s, “%(act)s”, %(time)s. Look at the case as it is now;"
        " what you wrote is kept."
    ) % last_act(case)


def last_act(case: Case) -> dict[str, Any]:
    """Who did what when, of the latest act."""
    last = case.events.select_related("actor", "case").order_by("-seq").first()
    return {
        "who": last.actor or _("the clock"),
        "act": last.label,
        "time": timezone.localtime(last.at).strftime("%H:%M:%S"),
    }


def merged(changes: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both together; of `detail` the parts of both."""
    both = {**changes, **more}
    if "detail" in changes and "detail" in more:
        both["detail"] = {**changes["detail"], **more["detail"]}
    return both


def apply(case: Case, changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        if name not in FOLDED:
            raise ValueError(f"{name} is not folded from events")
        setattr(case, name, {**case.detail, **plain(value)} if name == "detail" else value)


def plain(value: Any) -> Any:
    """A value as JSON; times in UTC."""
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | float) else str(value)
