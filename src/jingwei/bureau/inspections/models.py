"""Draws, the pool of inspectors, plans, and what an inspection writes down: rows and constraints."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.access import RestrictedQuerySet
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.registry.models import Enterprise


class Inspector(models.Model):
    """A law-enforcement officer in the pool (执法检查人员名录库).

    `code` stands for the person in everything that is published; `qualifications` are the
    industries that the person may inspect, none meaning all.
    """

    code = models.CharField(
        _("code"),
        max_length=24,
        unique=True,
        validators=[RegexValidator(r"^[0-9A-Za-z-]+$", _("Letters, digits and hyphens"))],
    )
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="inspector", verbose_name=_("person")
    )
    certificate = models.CharField(_("law enforcement certificate"), max_length=40)
    qualifications = models.JSONField(_("qualified for"), default=list, blank=True)
    active = models.BooleanField(_("in the pool"), default=True)

    class Meta:
        ordering = ["code"]
        verbose_name = _("inspector")
        verbose_name_plural = _("inspectors")

    def __str__(self) -> str:
        return f"{self.user} ({self.code})"

    @property
    def industries(self) -> list[str]:
        """The names of the industries; empty for all."""
        names = dict(Enterprise.Industry.choices)
        return [str(names.get(q, q)) for q in self.qualifications]


class Recusal(models.Model):
    """An inspector does not inspect this enterprise, for a reason that the law names (回避).

    The category is published with a draw; the note stays in the office.
    """

    class Reason(models.TextChoices):
        KIN = "kin", _("Kinship")
        WORKED = "worked", _("Worked there before")
        INTEREST = "interest", _("Interest in the enterprise")
        OTHER = "other", _("Other relation that may affect fairness")

    inspector = models.ForeignKey(Inspector, models.CASCADE, related_name="recusals")
    enterprise = models.ForeignKey(Enterprise, models.CASCADE, related_name="recusals")
    reason = models.CharField(pgettext_lazy("act", "Reason"), max_length=12, choices=Reason)
    note = models.CharField(_("note"), max_length=200, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(_("time"))

    class Meta:
        ordering = ["inspector", "enterprise"]
        constraints = [
            models.UniqueConstraint(fields=["inspector", "enterprise"], name="recusal_once")
        ]
        verbose_name = _("recusal")
        verbose_name_plural = _("recusals")

    def __str__(self) -> str:
        return f"{self.inspector.code} / {self.enterprise}"


class Grade(models.Model):
    """Credit and risk of an enterprise, by which draws make their strata.

    Credit: the four grades of the Measures for the Evaluation of Enterprises' Environmental Credit
    (环发〔2013〕150号); risk: key, general and special objects of supervision of the plan for random
    inspection (环办〔2015〕88号). Both were taken from memory of these documents, not re-read.
    """

    class Credit(models.TextChoices):
        GREEN = "green", _("Trustworthy (green)")
        BLUE = "blue", _("Good (blue)")
        YELLOW = "yellow", _("Warning (yellow)")
        RED = "red", _("Bad (red)")

    class Risk(models.TextChoices):
        GENERAL = "general", _("General")
        KEY = "key", _("Key")
        SPECIAL = "special", _("Special")

    enterprise = models.OneToOneField(Enterprise, models.CASCADE, related_name="grade")
    credit = models.CharField(_("credit"), max_length=8, choices=Credit)
    risk = models.CharField(_("risk"), max_length=8, choices=Risk)
    source = models.CharField(_("source"), max_length=120)
    on = models.DateField(_("as of"))

    class Meta:
        verbose_name = _("grade")
        verbose_name_plural = _("grades")

    def __str__(self) -> str:
        return f"{self.enterprise} {self.get_credit_display()} {self.get_risk_display()}"


class Draw(models.Model):
    """A verifiable draw (双随机): what is drawn from what, by which seed, and what came out.

    What is frozen or drawn is logged at once, by its hash; lists and result are shown to the public
    when the draw is published, so that inspections may come unannounced.

    While it is a draft, `lists` holds what the frozen plan will be made of. `plan` and `result`
    are those of `jingwei.evidence.draw`; what is published with them is kept as it was.
    """

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        FROZEN = "frozen", _("Frozen: waits for the seed")
        DRAWN = "drawn", _("Drawn: not yet published")
        PUBLISHED = "published", _("Published")
        VOID = "void", _("Void")

    name = models.CharField(
        _("name"),
        max_length=40,
        unique=True,
        validators=[RegexValidator(r"^[0-9A-Za-z-]+$", _("Letters, digits and hyphens"))],
    )
    purpose = models.CharField(_("purpose"), max_length=300)
    state = models.CharField(
        _("state"), max_length=12, choices=State, default=State.DRAFT, db_index=True
    )
    lists = models.JSONField(_("lists"), default=dict)
    sources = models.JSONField(_("sources of the seed"), default=list)
    values = models.JSONField(_("values of the sources"), default=list)
    plan = models.JSONField(_("plan"), null=True, blank=True)
    plan_sha256 = models.CharField(max_length=64, blank=True)
    result = models.JSONField(_("result"), null=True, blank=True)
    listing = models.TextField(_("list with names"), blank=True)
    verifier = models.TextField(_("verifier"), blank=True)
    replaces = models.OneToOneField(
        "self", models.PROTECT, null=True, blank=True, related_name="replaced_by"
    )
    reason = models.CharField(_("reason of the redraw"), max_length=300, blank=True)
    created = models.DateTimeField(_("created"))
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    frozen = models.DateTimeField(_("frozen at"), null=True, blank=True)
    drawn = models.DateTimeField(_("drawn at"), null=True, blank=True)
    published = models.DateTimeField(_("published at"), null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("random draw")
        verbose_name_plural = _("random draws")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("inspections:draw", args=[self.pk])

    def get_public_url(self) -> str:
        return reverse("inspections:public-draw", args=[self.name])

    @property
    def colour(self) -> str:
        """State colour of the design system."""
        return {
            "draft": "offline",
            "frozen": "watch",
            "drawn": "watch",
            "published": "normal",
        }.get(self.state, "abnormal")


class Party(models.Model):
    """Who commits to a secret before the list is frozen and reveals it after (at least three)."""

    draw = models.ForeignKey(Draw, models.CASCADE, related_name="parties")
    name = models.CharField(_("name"), max_length=80)
    commitment = models.CharField(_("commitment"), max_length=64, blank=True)
    committed = models.DateTimeField(_("committed at"), null=True, blank=True)
    secret = models.CharField(_("secret"), max_length=64, blank=True)
    revealed = models.DateTimeField(_("revealed at"), null=True, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["draw", "name"], name="party_once")]
        verbose_name = _("party")
        verbose_name_plural = _("parties")

    def __str__(self) -> str:
        return self.name


class DrawStep(models.Model):
    """What was done about a draw, with its entry in the evidence log. Written once."""

    class Act(models.TextChoices):
        COMMIT = "commit", _("Commitment received")
        FREEZE = "freeze", _("Lists frozen")
        VALUE = "value", _("Value of a source entered")
        REVEAL = "reveal", _("Secret revealed")
        RUN = "run", _("Drawn")
        PUBLISH = "publish", _("Published")
        VOID = "void", _("Declared void")

    draw = models.ForeignKey(Draw, models.PROTECT, related_name="steps")
    act = models.CharField(_("act"), max_length=8, choices=Act)
    text = models.CharField(_("text"), max_length=300, blank=True)
    at = models.DateTimeField(_("time"))
    evidence = models.OneToOneField(EvidenceEntry, models.PROTECT, related_name="draw_step")

    class Meta:
        ordering = ["id"]
        verbose_name = _("step of a draw")
        verbose_name_plural = _("steps of draws")

    def __str__(self) -> str:
        return f"{self.draw} {self.act}"


class Unit(models.Model):
    """An enterprise on a frozen list: so that it finds its draws by an index."""

    draw = models.ForeignKey(Draw, models.CASCADE, related_name="units")
    uscc = models.CharField(_("unified social credit code"), max_length=18, db_index=True)
    selected = models.BooleanField(pgettext_lazy("draw", "selected"), default=False)

    objects = RestrictedQuerySet.as_manager()
    place = {"enterprise": "uscc"}

    class Meta:
        constraints = [models.UniqueConstraint(fields=["draw", "uscc"], name="draw_unit_once")]

    def __str__(self) -> str:
        return f"{self.draw} {self.uscc}"
