"""Complaints and whistle-blowing: the public form, the receipt, the protected identity.

Who reported stands nowhere in the finding. It is sealed under a key of its own outside the
database (`jingwei.evidence.envelope`); to open it takes the dispatcher's role and a reason, and
leaves an entry. Erasing the key is lawful deletion: the log, which holds only a digest of what was
sealed, stays whole.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from jingwei.bureau.access import may
from jingwei.bureau.accounts.models import User
from jingwei.bureau.evidencelog.services import reading, record
from jingwei.bureau.findings import files
from jingwei.bureau.findings.filing import attach
from jingwei.bureau.findings.kinds import PROBLEMS, SCENARIOS
from jingwei.bureau.findings.models import Complaint, Finding, Identity, Kind
from jingwei.bureau.findings.services import Refused, notice, reasoned
from jingwei.bureau.registry.models import Region
from jingwei.evidence import digest
from jingwei.evidence.envelope import ErasedError, KeyFolder, SealError

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
_LENGTH = 16  # 80 bits


def keys() -> KeyFolder:
    return KeyFolder(settings.ENV.identities)


def receipt() -> str:
    """A new receipt code: four groups of four."""
    text = "".join(secrets.choice(ALPHABET) for _n in range(_LENGTH))
    return "-".join(text[i : i + 4] for i in range(0, _LENGTH, 4))


def _hash(code: str) -> str:
    """SHA-256 of a receipt, however it was typed (Crockford: O is 0, I and L are 1)."""
    kept = "".join(c for c in code.upper() if c.isalnum())
    kept = kept.translate(str.maketrans("OIL", "011"))
    return hashlib.sha256(kept.encode()).hexdigest()


def complain(
    *,
    problem: str,
    said: str,
    address: str,
    region: Region,
    when: datetime,
    identity: Mapping[str, str],
    uploads: Sequence[tuple[Any, str]] = (),
) -> tuple[Complaint, str]:
    """Take in a complaint; it and the receipt, which is told once and kept nowhere.

    `identity` holds what the reporter said of himself (empty: anonymous).
    """
    scenario = SCENARIOS[Kind.COMPLAINT]
    code = receipt()
    with files.cleared_away() as written, transaction.atomic():
        with translation.override("zh-hans"):  # a record, in the language of the office
            title = f"{scenario.kind.label}：{dict(PROBLEMS)[problem]}（{region.name}）"
            innocent = [str(text) for text in scenario.innocent]
            check = str(scenario.check)
        finding, _created = notice(
            kind=Kind.COMPLAINT,
            episode=f"public/{secrets.token_hex(12)}",
            title=title[:200],
            region=region,
            longitude=region.longitude or 0.0,
            latitude=region.latitude or 0.0,
            address=address,
            began=when,
            ended=when,
            severity=scenario.severity,
            source=Finding.Source.PUBLIC,
            facts={"channel": "web", "problem": problem, "said": said},
            innocent=innocent,
            next_check=check,
        )
        complaint = Complaint.objects.create(finding=finding, receipt=_hash(code))
        attach(finding, uploads, written)
        told = {name: text for name, text in identity.items() if text}
        if told:
            _seal(complaint, told)
    return complaint, code


def _seal(complaint: Complaint, told: Mapping[str, str]) -> Identity:
    sealed = keys().seal(json.dumps(told, ensure_ascii=False).encode(), _bound(complaint))
    return Identity.objects.create(
        complaint=complaint,
        sealed=sealed,
        evidence=record(
            "identity.sealed",
            f"finding:{complaint.finding_id}",
            {"finding": complaint.finding_id, "sealed": digest.both(sealed)},
        ),
    )


def _bound(complaint: Complaint) -> str:
    return f"complaint:{complaint.pk}"


def standing(code: str) -> tuple[Complaint, str] | None:
    """The complaint of a receipt and how it stands, in words for its reporter; None for none."""
    complaint = (
        Complaint.objects.filter(receipt=_hash(code)).select_related("finding__merged_into").first()
    )
    if complaint is None:
        return None
    finding = complaint.finding.merged_into or complaint.finding
    if finding.state == Finding.State.DISMISSED:
        return complaint, _("Looked at and closed: nothing more is to be done.")
    if finding.state == Finding.State.IN_CASE:
        cases = list(finding.cases.all())
        if cases and all(case.closed for case in cases):
            return complaint, _("Handled and closed.")
        return complaint, _("Being handled.")
    return complaint, _("Received; it will be looked at.")


# --- the identity ----------------------------------------------------------------------------


def complaint_of(user: Any, finding: Finding) -> dict[str, Any] | None:
    """What the finding's page says of the reporter: whether there is an identity, and whether this
    user may open it."""
    complaint = Complaint.objects.filter(finding=finding).select_related("identity").first()
    if complaint is None:
        return None
    identity = getattr(complaint, "identity", None)
    return {
        "anonymous": identity is None,
        "erased": identity.erased if identity else None,
        "may_open": identity is not None and not identity.erased and may(user, "identity.open"),
    }


def _identity(user: User, finding_id: int) -> Identity:
    if not may(user, "identity.open"):
        raise Refused(_("Your role may not open protected identities."))
    finding = Finding.objects.restrict(user, "identity.open").get(pk=finding_id)
    identity = (
        Identity.objects.select_for_update(of=("self",))
        .select_related("complaint")
        .filter(complaint__finding=finding)
        .first()
    )
    if identity is None:
        raise Refused(_("The complaint is anonymous."))
    return identity


def open_identity(user: User, finding_id: int, reason: str) -> dict[str, str]:
    """Who reported. The entry is written first: nothing is shown that is not on record. Raises
    `Refused`, `Finding.DoesNotExist`."""
    with transaction.atomic():
        identity = _identity(user, finding_id)
        reading(user, "identity", f"finding:{finding_id}", reasoned(reason))
    try:
        told = keys().open(bytes(identity.sealed), _bound(identity.complaint))
    except ErasedError:
        raise Refused(_("The identity was erased.")) from None
    except SealError:
        raise Refused(_("The identity cannot be opened: its seal or its key is damaged.")) from None
    return dict(json.loads(told))


def erase_identity(user: User, finding_id: int, reason: str) -> None:
    """Lawful deletion: destroy the key, so that no copy can be opened. Raises `Refused`,
    `Finding.DoesNotExist`."""
    reason = reasoned(reason)
    with transaction.atomic():
        identity = _identity(user, finding_id)
        if identity.erased:
            raise Refused(_("The identity was erased."))
        identity.erased = timezone.now()
        identity.save(update_fields=["erased"])
        record(
            "identity.erased",
            f"finding:{finding_id}",
            {"finding": finding_id, "sealed": digest.both(bytes(identity.sealed))},
            actor=str(user.pk),
        )
        reading(user, "erasure", f"finding:{finding_id}", reason)
    keys().erase(bytes(identity.sealed))


def finish_erasing() -> int:
    """Destroy the keys of identities that are marked as erased: what a crash left undone."""
    folder, done = keys(), 0
    for identity in Identity.objects.exclude(erased=None):
        if folder.kept(bytes(identity.sealed)):
            done += folder.erase(bytes(identity.sealed))
    return done
