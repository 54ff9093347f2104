"""Cases, their events, their files: rows and constraints.

A case's row is the fold of its events: whatever changes on it stands in the `changes` of the
event that changed it. Events and files are written once; triggers in the database refuse to
change or delete them (`immutable`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.access import RestrictedQuerySet, Role
from jingwei.bureau.accounts.models import Department
from jingwei.bureau.cases.flow import Flow, State, Text
from jingwei.bureau.cases.flows import FLOWS
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.findings.models import Kind as FindingKind
from jingwei.bureau.registry.models import Enterprise, Region

OUTSIDE = (Role.ENTERPRISE, Role.DEPARTMENT)
# Who speaks for the city: not bound to the case's department where an act is its lead's.
CITY = (Role.DISPATCHER, Role.LEADER)
FAR = datetime(9999, 1, 1, tzinfo=UTC)  # the clock of a case in which none runs


@lru_cache(maxsize=10_000)
def _address(case: int | None) -> str:
    return reverse("cases:case", args=[case])


class _OfCase(RestrictedQuerySet):
    """Rows that belong to a case, seen where the case is; `case` is the lookup that leads to it."""

    case = ""

    def restrict(self, user: Any, action: str) -> _OfCase:
        """By jurisdiction, or as lead or party; who is none of the bureau (an enterprise, another
        department) sees what is issued, of flows that are known to them, and nothing internal."""
        rows = super().restrict(user, action)
        if getattr(user, "role", "") not in OUTSIDE or user.is_superuser:
            return rows
        flows = [flow.name for flow in FLOWS.values() if user.role in flow.known_to]
        return self.known(
            rows.filter(**{f"{self.case}issued__isnull": False, f"{self.case}flow__in": flows})
        )

    def known(self, rows: Any) -> Any:
        return rows

    def reach(self, user: Any) -> models.Q | None:
        reach = super().reach(user)
        if reach is not None:
            reach |= models.Q(**{f"{self.case}holder": user.pk})
        if reach is None or user.role == Role.ENTERPRISE or not user.department_id:
            return reach
        parties = Case.parties.through.objects.filter(department_id=user.department_id)
        return (
            reach
            | models.Q(**{f"{self.case}department_id": user.department_id})
            | models.Q(**{f"{self.case}pk__in": parties.values("case_id")})
        )


class CaseQuerySet(_OfCase):
    pass


class Case(models.Model):
    """A closed loop, mostly started from findings (案件).

    `detail` holds what its flow needs beyond these columns, `parent` is the case it came from,
    `parties` are the departments in joint handling besides the one that leads (`department`).
    `matter` is what the case is about: the kind of its findings, as jurisdictions name it.
    """

    flow = models.CharField(_("flow"), max_length=24)
    state = models.CharField(_("state"), max_length=24)
    version = models.PositiveIntegerField(_("version"), default=1)
    title = models.CharField(_("title"), max_length=200)
    text = models.TextField(_("requirement"), blank=True)
    basis = models.TextField(_("basis"), blank=True)
    matter = models.CharField(_("matter"), max_length=32, blank=True)
    detail = models.JSONField(_("details"), default=dict, blank=True)
    # What the findings said when the order was issued: the document stays as it was sent.
    facts = models.JSONField(_("facts"), default=list, blank=True)
    findings = models.ManyToManyField(Finding, related_name="cases", verbose_name=_("findings"))
    enterprise = models.ForeignKey(
        Enterprise,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="cases",
        verbose_name=_("enterprise"),
    )
    parent = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="children",
        verbose_name=_("from the case"),
    )
    region = models.ForeignKey(Region, models.PROTECT, related_name="cases")
    # To whom the case was handed over: it waits for this one of all people of the same role.
    holder = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="held_cases",
        verbose_name=_("held by"),
    )
    department = models.ForeignKey(
        Department, models.PROTECT, related_name="cases", verbose_name=_("responsible department")
    )
    parties = models.ManyToManyField(
        Department, related_name="joint_cases", blank=True, verbose_name=_("joint handling with")
    )
    number = models.CharField(
        _("document number"), max_length=40, null=True, blank=True, unique=True
    )
    opened = models.DateTimeField(_("opened"))
    issued = models.DateTimeField(_("issued"), null=True, blank=True)
    closed = models.DateTimeField(_("closed"), null=True, blank=True)
    published = models.DateTimeField(_("published"), null=True, blank=True)
    listed = models.DateTimeField(_("under listed supervision since"), null=True, blank=True)
    # The business clock: one deadline for the order, whatever happens on the way.
    due = models.DateTimeField(_("deadline"), null=True, blank=True)
    derivation = models.JSONField(_("how the deadline was reckoned"), default=list, blank=True)
    # It stands still since then, and the ledger of all pauses (`pauses`).
    paused = models.DateTimeField(_("paused since"), null=True, blank=True)
    pauses = models.JSONField(_("pauses"), default=list, blank=True)
    # The level clock: how long the one whose turn it is has got.
    level_since = models.DateTimeField(_("waiting since"))
    level_due = models.DateTimeField(_("to be done by"), null=True, blank=True)
    level_derivation = models.JSONField(_("how that was reckoned"), default=list, blank=True)
    escalated = models.PositiveSmallIntegerField(_("escalated to level"), default=0)
    escalate_at = models.DateTimeField(_("next escalation"), null=True, blank=True)
    # When the clock itself acts: the flow's `clock` transition of the state.
    wake_at = models.DateTimeField(_("next act of the clock"), null=True, blank=True)
    # What lists sort and count by, worked out from the above whenever that changes (`derive`): the
    # earlier of the running deadlines, and the role that is asked to decide something.
    clock = models.DateTimeField(_("clock"), default=FAR)
    asks = models.CharField(_("asked to decide"), max_length=16, blank=True)

    objects = CaseQuerySet.as_manager()
    place = {"area": "region_id", "enterprise": "enterprise__uscc", "matter": "matter"}

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["flow", "state", "level_due"], name="case_turn"),
            models.Index(fields=["escalated"], name="case_escalated"),
            models.Index(fields=["-opened", "-id"], name="case_opened"),
            models.Index(fields=["region", "-id"]),
            models.Index(fields=["enterprise", "-id"]),
            models.Index(fields=["closed"], name="case_closed"),
            models.Index(
                fields=["escalate_at"],
                name="case_escalation_due",
                condition=models.Q(escalate_at__isnull=False),
            ),
            models.Index(
                fields=["wake_at"],
                name="case_wake_due",
                condition=models.Q(wake_at__isnull=False),
            ),
            models.Index(
                fields=["-published"],
                name="case_published",
                condition=models.Q(published__isnull=False),
            ),
            models.Index(fields=["department", "-id"], name="case_department"),
            models.Index(fields=["clock", "id"], name="case_clock"),
            models.Index(fields=["asks"], name="case_asks", condition=~models.Q(asks="")),
        ]
        verbose_name = _("case")
        verbose_name_plural = _("cases")

    def __str__(self) -> str:
        return self.number or self.title

    def get_absolute_url(self) -> str:
        return _address(self.pk)

    @property
    def rules(self) -> Flow:
        return FLOWS[self.flow]

    @property
    def at(self) -> State:
        return self.rules.state(self.state)

    @property
    def party_ids(self) -> list[int]:
        """Departments in joint handling, in order; what an act has just set, before it is saved."""
        pending: list[int] | None = self.__dict__.get("_party_ids")
        return sorted(d.pk for d in self.parties.all()) if pending is None else pending

    @party_ids.setter
    def party_ids(self, value: list[int]) -> None:
        self.__dict__["_party_ids"] = sorted(set(value))

    def save_parties(self) -> None:
        """Write the parties that an act has set."""
        pending = self.__dict__.pop("_party_ids", None)
        if pending is not None:
            self.parties.set(pending)

    def derive(self) -> None:
        """Work out what lists sort and count by."""
        self.clock = self.next_due or FAR
        self.asks = ("" if self.at.final else self.detail.get("asks")) or ""

    @property
    def state_label(self) -> Text:
        return self.at.label

    @property
    def next_due(self) -> Any:
        """The deadline of the one whose turn it is; None where no clock runs."""
        if self.at.final:
            return None
        dues = [self.level_due, self.running_due]
        return min((d for d in dues if d), default=None)

    @property
    def running_due(self) -> Any:
        """The case's own deadline while its clock runs; else None."""
        return self.due if self.at.business and not self.paused else None

    @property
    def overdue(self) -> bool:
        return bool(self.next_due and self.next_due <= timezone.now())


class EventQuerySet(_OfCase):
    case = "case__"

    def known(self, rows: Any) -> Any:
        return rows.filter(internal=False)


class CaseEvent(models.Model):
    """What somebody did, or the clock. Written once, with its entry in the evidence log.

    `data` is what the form said, `changes` what it changed on the case. The evidence entry holds
    a salted digest of text, data and changes, so that the log tells nothing about people.
    `key` makes an act happen once: a form sent twice, a clock run on two machines.
    """

    case = models.ForeignKey(Case, models.PROTECT, related_name="events")
    seq = models.PositiveIntegerField(_("number"))
    transition = models.CharField(_("act"), max_length=24)
    source = models.CharField(_("from"), max_length=24, blank=True)
    target = models.CharField(_("to"), max_length=24)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    role = models.CharField(_("role"), max_length=16, choices=Role, blank=True)
    department = models.ForeignKey(
        Department, models.PROTECT, null=True, blank=True, related_name="+"
    )
    at = models.DateTimeField(_("time"))
    text = models.TextField(_("reason or report"), blank=True)
    data = models.JSONField(_("form"), default=dict)
    changes = models.JSONField(_("changes"), default=dict)
    internal = models.BooleanField(_("internal"), default=False)
    key = models.CharField(_("idempotency key"), max_length=120, null=True, blank=True, unique=True)
    salt = models.CharField(max_length=32)
    evidence = models.OneToOneField(EvidenceEntry, models.PROTECT, related_name="case_event")

    objects = EventQuerySet.as_manager()
    place = {
        "area": "case__region_id",
        "enterprise": "case__enterprise__uscc",
        "matter": "case__matter",
    }

    class Meta:
        ordering = ["case", "seq"]
        constraints = [models.UniqueConstraint(fields=["case", "seq"], name="case_event_seq_once")]
        verbose_name = _("case event")
        verbose_name_plural = _("case events")

    def __str__(self) -> str:
        return f"{self.case_id}/{self.seq} {self.transition}"

    @property
    def label(self) -> Text:
        return self.case.rules.label_of(self.transition)


class FileQuerySet(_OfCase):
    case = "event__case__"

    def known(self, rows: Any) -> Any:
        return rows.filter(event__internal=False)


class CaseFile(models.Model):
    """A file of an event. Its digests were taken of the bytes as they came in."""

    class Kind(models.TextChoices):
        PHOTO = "photo", _("Photo")
        DOCUMENT = "document", _("Document")

    event = models.ForeignKey(CaseEvent, models.PROTECT, related_name="files")
    position = models.PositiveSmallIntegerField(_("number"))
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    name = models.CharField(_("original name"), max_length=200)
    content_type = models.CharField(_("content type"), max_length=40)
    size = models.PositiveBigIntegerField(_("size (bytes)"))
    sha256 = models.CharField("SHA-256", max_length=64)
    sm3 = models.CharField("SM3", max_length=64)
    file = models.FileField(_("file"), max_length=120)

    objects = FileQuerySet.as_manager()
    place = {
        "area": "event__case__region_id",
        "enterprise": "event__case__enterprise__uscc",
        "matter": "event__case__matter",
    }

    class Meta:
        ordering = ["event", "position"]
        constraints = [
            models.UniqueConstraint(fields=["event", "position"], name="case_file_position_once")
        ]
        verbose_name = _("case file")
        verbose_name_plural = _("case files")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("cases:file", args=[self.pk])

    @property
    def is_image(self) -> bool:
        return self.content_type.startswith("image/")

    @property
    def protected(self) -> str:
        """What a reading of it is written down as: documents name and quote people, and so does
        all that belongs to a complaint. Empty for the photos of other cases."""
        if self.event.case.matter == FindingKind.COMPLAINT:
            return "complaint"
        return "document" if self.kind == self.Kind.DOCUMENT else ""


class Counter(models.Model):
    """The last number given out of a series (document numbers: prefix and year)."""

    name = models.CharField(max_length=40, primary_key=True)
    last = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name} {self.last}"
