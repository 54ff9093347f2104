"""Lists and campaigns. The problems themselves are cases; a row here says which board they are on."""

from __future__ import annotations

from datetime import date
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.access import may
from jingwei.bureau.accounts.models import Department
from jingwei.bureau.campaigns.course import CALLED_OFF, CAMPAIGN, RUNNING
from jingwei.bureau.cases.flow import State
from jingwei.bureau.cases.models import Case, CaseEvent
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.registry.models import Region


class Once(models.Model):
    """A row of an act whose form may be sent twice: the second sending finds it by `key`."""

    key = models.CharField(_("idempotency key"), max_length=120, null=True, blank=True, unique=True)

    class Meta:
        abstract = True

    @classmethod
    def done(cls, key: str | None) -> Self | None:
        """The row of the act of this key (`once.key`), where it is done already."""
        return cls._default_manager.filter(key=key).first() if key else None


class ProgrammeQuerySet(models.QuerySet):
    def restrict(self, user: Any, action: str) -> ProgrammeQuerySet:
        """Everybody in the office sees every programme; what stands in it is restricted itself."""
        return self if may(user, action) else self.none()


class Programme(Once):
    """A rectification list that somebody handed down, or a special campaign ("4+X").

    What the columns say now is what the entry of its begin said, and its `changes` in their order.
    """

    class Kind(models.TextChoices):
        LIST = "list", _("Rectification list")
        CAMPAIGN = "campaign", _("Special campaign")

    class Level(models.TextChoices):
        CENTRAL = "central", _("Central inspection")
        PROVINCIAL = "provincial", _("Provincial inspection")
        CITY = "city", _("City inspection")
        OWN = "own", _("Own plan")

    kind = models.CharField(_("kind"), max_length=12, choices=Kind)
    level = models.CharField(_("level"), max_length=12, choices=Level)
    title = models.CharField(_("title"), max_length=120)
    document = models.CharField(_("document"), max_length=120, blank=True)
    begins = models.DateField(_("first day"))
    ends = models.DateField(_("last day"))
    text = models.TextField(_("aim and plan"), blank=True)
    checklist = models.TextField(_("what is checked (one line each)"), blank=True)
    lead = models.ForeignKey(
        Department, models.PROTECT, related_name="+", verbose_name=_("leading department")
    )
    regions = models.ManyToManyField(
        Region, blank=True, related_name="+", verbose_name=_("regions")
    )
    matters = models.JSONField(_("matters"), default=list, blank=True)
    created = models.DateTimeField(_("created"), auto_now_add=True)
    state = models.CharField(_("state"), max_length=12, default=RUNNING)
    # When it was concluded or called off.
    closed = models.DateTimeField(_("closed"), null=True, blank=True)
    conclusion = models.TextField(_("conclusion"), blank=True)
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, related_name="+")

    objects = ProgrammeQuerySet.as_manager()

    class Meta:
        ordering = ["-begins", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends__gte=models.F("begins")), name="programme_ends_after_begin"
            )
        ]
        verbose_name = _("programme")
        verbose_name_plural = _("programmes")

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("campaigns:programme", args=[self.pk])

    @property
    def at(self) -> State:
        return CAMPAIGN.state(self.state)

    @property
    def begun(self) -> bool:
        return self.begins <= timezone.localdate()

    @property
    def last_day(self) -> date:
        """The last day that counts: before `begins`, where it was called off before it began."""
        if self.state == CALLED_OFF and self.closed:
            return min(self.ends, timezone.localdate(self.closed))
        return self.ends

    @property
    def evaluation_key(self) -> str:
        """The key of the message that it can be evaluated."""
        return f"campaign-evaluate:{self.pk}"

    @property
    def lines(self) -> list[str]:
        return [line.strip() for line in self.checklist.splitlines() if line.strip()]


class Change(Once):
    """What was done to a programme after its begin, by the flow `course.CAMPAIGN`. Written once.

    `changes`: name of the column: [what it was, what it is], departments and regions by their codes;
    `data`: of a team its `name` and its `members`. `text`: the reason, or the conclusion.
    """

    programme = models.ForeignKey(Programme, models.PROTECT, related_name="changes")
    seq = models.PositiveIntegerField(_("number"))
    act = models.CharField(_("act"), max_length=12)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(_("time"))
    text = models.TextField(_("reason or conclusion"), blank=True)
    changes = models.JSONField(_("changes"), default=dict)
    data = models.JSONField(_("form"), default=dict)
    evidence = models.OneToOneField(EvidenceEntry, models.PROTECT, related_name="+")

    class Meta:
        ordering = ["programme", "seq"]
        constraints = [
            models.UniqueConstraint(fields=["programme", "seq"], name="programme_change_once")
        ]
        verbose_name = _("change of a programme")
        verbose_name_plural = _("changes of programmes")

    def __str__(self) -> str:
        return f"{self.programme} {self.seq} {self.act}"


class Item(models.Model):
    """One item of a rectification list: its number there, and the case that clears it."""

    programme = models.ForeignKey(Programme, models.PROTECT, related_name="items")
    number = models.CharField(_("number in the list"), max_length=20)
    case = models.OneToOneField(Case, models.PROTECT, related_name="list_item")

    class Meta:
        ordering = ["programme", "id"]
        constraints = [
            models.UniqueConstraint(fields=["programme", "number"], name="item_number_once")
        ]
        verbose_name = _("item")
        verbose_name_plural = _("items")

    def __str__(self) -> str:
        return f"{self.programme} {self.number}"


class Team(models.Model):
    """People of a campaign, and where they work."""

    programme = models.ForeignKey(Programme, models.CASCADE, related_name="teams")
    name = models.CharField(_("name"), max_length=60)
    region = models.ForeignKey(
        Region, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("region")
    )
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL, related_name="+", verbose_name=_("members")
    )

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["programme", "name"], name="team_name_once")]
        verbose_name = _("team")
        verbose_name_plural = _("teams")

    def __str__(self) -> str:
        return self.name


class Summary(Once):
    """A day of a campaign: the figures as they stood, and what is to be said of them.

    A second summary of the same day is a second row; the later one counts.
    """

    programme = models.ForeignKey(Programme, models.PROTECT, related_name="summaries")
    day = models.DateField(_("day"))
    text = models.TextField(_("summary"))
    figures = models.JSONField(_("figures"), default=dict)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(_("time"))
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, related_name="+")

    class Meta:
        ordering = ["-day", "-id"]
        verbose_name = _("daily summary")
        verbose_name_plural = _("daily summaries")

    def __str__(self) -> str:
        return f"{self.programme} {self.day}"


class Evaluation(Once):
    """What was measured before, during and after a campaign, as it stood at a time; the latest counts.

    `figures` as `evaluating.evaluate` gives them.
    """

    programme = models.ForeignKey(Programme, models.PROTECT, related_name="evaluations")
    figures = models.JSONField(_("figures"))
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(_("time"))
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, related_name="+")

    class Meta:
        ordering = ["-id"]
        verbose_name = _("evaluation")
        verbose_name_plural = _("evaluations")

    def __str__(self) -> str:
        return f"{self.programme} {self.at:%Y-%m-%d}"


class Recommendation(Once):
    """What a person recommends against a recurring cause: cause → measure → who → by when.

    `count`: closed cases that named the cause when it was confirmed. One that is withdrawn stays.
    """

    programme = models.ForeignKey(Programme, models.PROTECT, related_name="recommendations")
    cause = models.CharField(_("cause"), max_length=16)
    count = models.PositiveIntegerField(_("cases"))
    measure = models.TextField(_("measure"))
    department = models.ForeignKey(
        Department, models.PROTECT, related_name="+", verbose_name=_("who does it")
    )
    due = models.DateField(_("by when"))
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(_("time"))
    withdrawn = models.DateTimeField(_("withdrawn"), null=True, blank=True)
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, related_name="+")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["programme", "cause"],
                condition=models.Q(withdrawn__isnull=True),
                name="recommendation_once_a_cause",
            )
        ]
        verbose_name = _("recommendation")
        verbose_name_plural = _("recommendations")

    def __str__(self) -> str:
        return f"{self.programme}: {self.cause}"


class Share(models.Model):
    """A case shared with an authority outside the city (跨区域联合执法).

    Each side sees its part: the neighbour, by a secret link, what is shared and what it answers;
    the city everything. The link itself is not kept, only its digest.
    """

    case = models.ForeignKey(Case, models.PROTECT, related_name="shares")
    authority = models.CharField(_("authority"), max_length=80)
    request = models.TextField(_("what is asked of the authority"))
    with_facts = models.BooleanField(_("with the facts of the findings"), default=True)
    digest = models.CharField(max_length=64, unique=True)
    expires = models.DateTimeField(_("expires"))
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(_("time"))
    revoked = models.DateTimeField(_("revoked"), null=True, blank=True)
    opened = models.PositiveIntegerField(_("times opened"), default=0)
    last_opened = models.DateTimeField(_("last opened"), null=True, blank=True)
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, related_name="+")

    class Meta:
        ordering = ["-id"]
        verbose_name = _("shared case")
        verbose_name_plural = _("shared cases")

    def __str__(self) -> str:
        return f"{self.case} → {self.authority}"


class Answer(models.Model):
    """What the neighbouring authority answered. Written once."""

    share = models.ForeignKey(Share, models.PROTECT, related_name="answers")
    name = models.CharField(_("who answers"), max_length=200)
    text = models.TextField(_("reply"))
    at = models.DateTimeField(_("time"))
    evidence = models.ForeignKey(EvidenceEntry, models.PROTECT, related_name="+")
    # It on the timeline of the case, with its files; answers of before there was one have none.
    event = models.OneToOneField(CaseEvent, models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["id"]
        verbose_name = _("answer of an authority")
        verbose_name_plural = _("answers of authorities")

    def __str__(self) -> str:
        return f"{self.share} {self.at:%Y-%m-%d}"
