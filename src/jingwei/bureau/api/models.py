"""Systems that speak to us: their tokens, and the requests they must not do twice."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

# What a token may be good for; the user it acts for must be allowed to, besides.
SCOPES = {
    "findings:read": _("read findings"),
    "findings:write": _("file findings"),
    "cases:read": _("read cases"),
    "exceedances:read": _("read exceedances"),
    "points:read": _("read points"),
    "observations:read": _("read observations"),
    "observations:write": _("send observations"),
}


class Token(models.Model):
    """The key of one system, which acts for one user. Of the token only its SHA-256 is kept (it
    has 256 random bits); `hint` are its first characters, to tell tokens apart."""

    name = models.CharField(_("system"), max_length=80)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("acts for")
    )
    hint = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(_("scopes"), default=list)
    created = models.DateTimeField(_("created"), auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    expires = models.DateTimeField(_("expires"))
    revoked = models.DateTimeField(_("revoked"), null=True, blank=True)
    last_used = models.DateTimeField(_("last use"), null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("token")
        verbose_name_plural = _("tokens")

    def __str__(self) -> str:
        return f"{self.name} {self.hint}…"

    def good(self, now: datetime | None = None) -> bool:
        """Whether it may be used: in force, and of an active user who is no administrator (who may
        have become one since it was issued)."""
        now = now or timezone.now()
        may = self.user.is_active and not self.user.is_superuser
        return may and self.revoked is None and now < self.expires

    @property
    def scope_labels(self) -> list[str]:
        return [str(SCOPES.get(s, s)) for s in self.scopes]


class Request(models.Model):
    """What a request with an idempotency key was answered: the same again gets the same answer."""

    token = models.ForeignKey(Token, models.CASCADE, related_name="requests")
    key = models.CharField(max_length=80)
    body = models.CharField("SHA-256", max_length=64)
    status = models.PositiveSmallIntegerField(default=0)
    answer = models.JSONField(null=True)
    at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token", "key"], name="request_key_once")]

    def __str__(self) -> str:
        return f"{self.token_id} {self.key}"
