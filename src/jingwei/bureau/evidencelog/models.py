"""The outbox of the evidence log: rows written in the business transaction, sequenced later."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

# What the rooms record; a new kind takes its place here.
KINDS = {
    "segment": _("Journal segment"),
    "segment.pruned": _("Journal segment deleted by rule"),
    "judgements": _("Judged hours and days"),
    "exceedances": _("Exceedances"),
    "sample": _("Enforcement sample"),
    "check": _("Check of an instrument"),
    "basis": _("Declared basis or range of an instrument"),
    "finding": _("Finding"),
    "finding.decision": _("Decision on a finding"),
    "finding.merged": _("Merged findings"),
    "finding.files": _("Files of a finding"),
    "finding.overdue": _("Finding not decided on in time"),
    "import": _("Import of findings"),
    "dispatch.rule": _("Dispatch rule"),
    "identity.sealed": _("Protected identity kept"),
    "identity.erased": _("Protected identity erased"),
    "reading": _("Reading of protected data"),
    "api.token": _("Token of a system"),
    "case_event": _("Case event"),
    "penalty": _("Published decision on a penalty"),
    "draw": _("Random draw"),
    "export": _("Export of evidence"),
    "key": _("Change of the log's key"),
    "calendar": _("Calendar of working days"),
    "substitution": _("Arrangement of a substitute"),
    "inspection.record": _("Inspection record"),
    "inspection.photo": _("Photo of an inspection"),
    "device": _("Device settings"),
    "device.command": _("Command to a device"),
    "device.adopted": _("Device adopted"),
    "observations": _("Table of observations"),
    "permit": _("Discharge permit"),
    "manual_result": _("Manual result"),
    "trigger": _("Trigger rule"),
    "proposal": _("Proposed order"),
    "mark": _("Mark of data"),
    "trace": _("Source tracing"),
    "forecast.model": _("Learned air forecast"),
    "forecast": _("Air forecast"),
    "episode": _("Heavy-pollution episode"),
    "episode.effect": _("Effect of a response to heavy pollution"),
    "satellite": _("Satellite scene"),
    "hotgrid": _("Run of the hot grids"),
    "samples": _("Chemical analyses of samples"),
    "profile": _("Profile of a source"),
    "apportionment": _("Source apportionment"),
    "dispersion": _("Run of the dispersion model"),
    "inventory": _("Annual amounts of an inventory"),
    "detection": _("Run of the detectors"),
    "campaign": _("List or campaign"),
    "case.share": _("Case shared with another authority"),
}

# What of protected data is read; `services.reading` writes it down.
READINGS = {
    "identity": _("Identity of a whistle-blower"),
    "erasure": _("Erasure of an identity"),
    "complaint": _("File of a complaint"),
    "document": _("Document of a case"),
    "inspection": _("Record of an inspection"),
    "photo": _("Photo of an inspection"),
    "penalty": _("Document of a penalty"),
}


class EvidenceEntry(models.Model):
    """One entry of the append-only Merkle log.

    Written inside the transaction of the act it proves (`services.record`); the sequencer then
    gives it a dense `index` and writes it to the tiles. `content` is the leaf's bytes: canonical
    JSON (RFC 8785) that names `uid`, so an entry on disk always finds its row. Triggers in the
    database refuse to delete a row or to change one, but for two things: `index` is set once,
    and `actor` with its `salt` may be erased.

    The log itself holds no person: it holds a commitment, SHA-256 over salt and actor. Who has
    `actor` and `salt` can show who acted; when both are erased, nobody can, and the proof of the
    content stays whole.
    """

    uid = models.UUIDField(_("identifier"), default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(_("kind"), max_length=32)
    subject = models.CharField(_("subject"), max_length=120, db_index=True)
    content = models.TextField(_("content"))
    actor = models.CharField(_("actor"), max_length=64, blank=True)
    salt = models.CharField(_("salt"), max_length=32, blank=True)
    created = models.DateTimeField(_("created"), default=timezone.now)
    index = models.BigIntegerField(_("leaf number"), null=True, blank=True, unique=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["kind", "-id"], name="evidence_kind"),
            models.Index(
                fields=["id"], name="evidence_unsequenced", condition=models.Q(index__isnull=True)
            ),
        ]
        verbose_name = _("evidence entry")
        verbose_name_plural = _("evidence entries")

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"

    @property
    def kind_label(self) -> str:
        return KINDS.get(self.kind, self.kind)

    def get_absolute_url(self) -> str:
        return reverse("evidencelog:entry", args=[self.pk])


class Reading(models.Model):
    """Who read what of protected data, when and why. Written once, with its entry in the log.

    The log holds the subject and commitments to reader and reason; both stand here, for the
    auditor.
    """

    what = models.CharField(_("what"), max_length=16)
    subject = models.CharField(_("subject"), max_length=120)
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    at = models.DateTimeField(_("time"), default=timezone.now, db_index=True)
    evidence = models.OneToOneField(EvidenceEntry, models.PROTECT, related_name="reading")

    class Meta:
        ordering = ["-id"]
        verbose_name = _("reading")
        verbose_name_plural = _("readings")

    def __str__(self) -> str:
        return f"{self.what} {self.subject}"

    @property
    def what_label(self) -> str:
        return str(READINGS.get(self.what, self.what))
