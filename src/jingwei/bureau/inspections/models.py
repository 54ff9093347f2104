"""Draws, the pool of inspectors, plans, and what an inspection writes down: rows and constraints."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.access import RestrictedQuerySet, may
from jingwei.bureau.campaigns.models import Programme
from jingwei.bureau.cases.models import Case
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


# --- inspections: what belongs to a case of the flow "inspection" ----------------------------------


class Plan(models.Model):
    """The inspections of a year (年度检查计划)."""

    year = models.PositiveSmallIntegerField(_("year"), unique=True)
    text = models.TextField(_("text"), blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(_("time"))

    class Meta:
        ordering = ["-year"]
        verbose_name = _("inspection plan")
        verbose_name_plural = _("inspection plans")

    def __str__(self) -> str:
        return str(self.year)


class Origin(models.TextChoices):
    """Why an inspection is made."""

    RANDOM = "random", _("Double random")
    TARGETED = "targeted", _("Targeted")
    LOOK_BACK = "look_back", _("Look-back")


class PlanItem(models.Model):
    """One line of a plan: how many inspections of a kind by when, drawn by which draw."""

    plan = models.ForeignKey(Plan, models.CASCADE, related_name="items")
    origin = models.CharField(_("kind"), max_length=12, choices=Origin)
    title = models.CharField(_("title"), max_length=120)
    count = models.PositiveIntegerField(_("number of inspections"))
    until = models.DateField(_("to be done by"))
    draw = models.OneToOneField(
        Draw, models.PROTECT, null=True, blank=True, related_name="item", verbose_name=_("draw")
    )

    class Meta:
        ordering = ["until", "id"]
        verbose_name = _("line of a plan")
        verbose_name_plural = _("lines of plans")

    def __str__(self) -> str:
        return self.title


class OfInspection(RestrictedQuerySet):
    """Rows of an inspection, seen where its case is."""

    def restrict(self, user: Any, action: str) -> OfInspection:
        if not may(user, action):
            return self.none()
        return self.filter(case__in=Case.objects.restrict(user, "case.view").values("pk"))


class Mission(models.Model):
    """The campaign for which an inspection was planned.

    Its lines of the checklist are in the case's `detail` as they stood then.
    """

    case = models.OneToOneField(Case, models.PROTECT, related_name="mission")
    programme = models.ForeignKey(Programme, models.PROTECT, related_name="missions")

    class Meta:
        verbose_name = _("inspection of a campaign")
        verbose_name_plural = _("inspections of campaigns")

    def __str__(self) -> str:
        return f"{self.programme}: {self.case}"


class Answer(models.Model):
    """The answer to one item of the checklist; `version` grows with every change."""

    case = models.ForeignKey(Case, models.PROTECT, related_name="answers")
    item = models.CharField(_("item"), max_length=8)
    value = models.CharField(_("what was found"), max_length=20)
    note = models.CharField(_("note"), max_length=500, blank=True)
    version = models.PositiveIntegerField(_("version"), default=1)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(_("time"))

    objects = OfInspection.as_manager()

    class Meta:
        ordering = ["case", "item"]
        constraints = [models.UniqueConstraint(fields=["case", "item"], name="answer_once")]
        verbose_name = _("answer to an item")
        verbose_name_plural = _("answers to items")

    def __str__(self) -> str:
        return f"{self.case_id} {self.item} {self.value}"


class Photo(models.Model):
    """A photo taken on the spot. Its SHA-256 was taken on the phone at capture and is what came in."""

    case = models.ForeignKey(Case, models.PROTECT, related_name="photos")
    uid = models.UUIDField(_("identifier"), unique=True)
    item = models.CharField(_("item"), max_length=8, blank=True)
    taken = models.DateTimeField(_("taken at"))
    position = models.JSONField(_("position"), null=True, blank=True)
    content_type = models.CharField(_("content type"), max_length=40)
    size = models.PositiveBigIntegerField(_("size (bytes)"))
    sha256 = models.CharField("SHA-256", max_length=64)
    sm3 = models.CharField("SM3", max_length=64)
    file = models.FileField(_("file"), max_length=120)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    received = models.DateTimeField(_("received"))
    evidence = models.OneToOneField(EvidenceEntry, models.PROTECT, related_name="inspection_photo")

    objects = OfInspection.as_manager()

    class Meta:
        ordering = ["case", "taken", "id"]
        verbose_name = _("photo")
        verbose_name_plural = _("photos")

    def __str__(self) -> str:
        return f"{self.case_id} {self.uid}"

    def get_absolute_url(self) -> str:
        return reverse("inspections:photo", args=[self.uid])


class Record(models.Model):
    """The signed record (现场检查笔录): what was found, as it was signed. Written once."""

    case = models.OneToOneField(Case, models.PROTECT, related_name="record")
    content = models.JSONField(_("content"))
    sha256 = models.CharField("SHA-256", max_length=64)
    sm3 = models.CharField("SM3", max_length=64)
    at = models.DateTimeField(_("signed at"))
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    evidence = models.OneToOneField(EvidenceEntry, models.PROTECT, related_name="inspection_record")

    objects = OfInspection.as_manager()

    class Meta:
        verbose_name = _("inspection record")
        verbose_name_plural = _("inspection records")

    def __str__(self) -> str:
        return f"{self.case_id} {self.sha256[:12]}"


class Signature(models.Model):
    """A signature drawn on the phone, kept as picture and strokes. Written once."""

    class Side(models.TextChoices):
        INSPECTOR = "inspector", _("Inspector")
        ENTERPRISE = "enterprise", _("Representative of the enterprise")
        WITNESS = "witness", _("Witness")

    record = models.ForeignKey(Record, models.PROTECT, related_name="signatures")
    side = models.CharField(_("side"), max_length=12, choices=Side)
    name = models.CharField(_("name"), max_length=60)
    picture = models.BinaryField(_("picture"))
    sha256 = models.CharField("SHA-256", max_length=64)
    strokes = models.JSONField(_("strokes"))
    strokes_sha256 = models.CharField(_("SHA-256 of the strokes"), max_length=64)

    class Meta:
        ordering = ["id"]
        verbose_name = _("signature")
        verbose_name_plural = _("signatures")

    def __str__(self) -> str:
        return f"{self.record_id} {self.side}"
