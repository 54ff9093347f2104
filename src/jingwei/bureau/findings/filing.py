"""Findings that people, files and other systems hand in, and their photos and documents."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from jingwei.bureau.access import may
from jingwei.bureau.accounts.models import User
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings import files
from jingwei.bureau.findings.forms import FindingForm
from jingwei.bureau.findings.models import Finding, FindingFile
from jingwei.bureau.findings.services import Refused, notice
from jingwei.evidence import digest


def file(user: User, form: FindingForm, *, token: str = "") -> Finding:
    """File the finding of a valid form, with its files; the finding.

    The same user and `token` again return the same finding. Raises `Refused`.
    """
    if not may(user, "finding.file"):
        raise Refused(_("Your role may not file findings."))
    kind = form.scenario.kind
    key = f"form/{user.pk}/{token[:32] or secrets.token_hex(12)}"
    with files.cleared_away() as written, transaction.atomic():
        finding, created = notice(
            kind=kind,
            episode=key,
            source=Finding.Source.FORM,
            filed_by=user,
            **form.said,
        )
        if created:
            attach(finding, form.cleaned_data.get("files", []), written, actor=str(user.pk))
        return finding


def attach(
    finding: Finding, uploads: Sequence[tuple[Any, str]], written: list[str], *, actor: str = ""
) -> list[FindingFile]:
    """Keep uploads (with their content types) as files of a finding, digests taken as they came.

    Must run in a transaction; names of what is written on the disk go into `written`.
    """
    if not uploads:
        return []
    digests = [digest.both(files.chunks(upload)) for upload, _type in uploads]
    entry = record(
        "finding.files",
        f"finding:{finding.pk}",
        {"finding": finding.pk, "files": digests},
        actor=actor,
    )
    return [
        FindingFile.objects.create(
            finding=finding,
            name=files.display_name(upload.name),
            content_type=content_type,
            size=upload.size,
            file=files.store("findings", upload, written),
            evidence=entry,
            **found,
        )
        for (upload, content_type), found in zip(uploads, digests, strict=True)
    ]


def add_files(user: User, pk: int, uploads: Sequence[tuple[Any, str]]) -> Finding:
    """Add photos and documents to a finding that is not merged away or dismissed. Raises `Refused`,
    `Finding.DoesNotExist`."""
    if not may(user, "finding.file"):
        raise Refused(_("Your role may not file findings."))
    with files.cleared_away() as written, transaction.atomic():
        finding = Finding.objects.restrict(user, "finding.file").get(pk=pk)
        if finding.state not in (Finding.State.NEW, Finding.State.IN_CASE):
            raise Refused(
                _("The finding “%(title)s” is not open any more: %(state)s.")
                % {"title": finding.title, "state": finding.get_state_display()}
            )
        attach(finding, uploads, written, actor=str(user.pk))
        return finding
