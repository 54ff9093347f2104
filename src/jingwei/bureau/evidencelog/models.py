"""The outbox of the evidence log: rows written in the business transaction, sequenced later."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class EvidenceEntry(models.Model):
    """One entry of the append-only Merkle log.

    Written inside the transaction of the act it proves (`services.record`); the sequencer then
    gives it a dense `index` and writes it to the tiles. `content` is canonical JSON (RFC 8785)
    and is never changed.
    """

    kind = models.CharField(_("kind"), max_length=32)
    subject = models.CharField(_("subject"), max_length=120, db_index=True)
    content = models.TextField(_("content"))
    created = models.DateTimeField(_("created"), auto_now_add=True)
    index = models.BigIntegerField(_("leaf number"), null=True, blank=True, unique=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["id"], name="evidence_unsequenced", condition=models.Q(index__isnull=True)
            )
        ]
        verbose_name = _("evidence entry")
        verbose_name_plural = _("evidence entries")

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
