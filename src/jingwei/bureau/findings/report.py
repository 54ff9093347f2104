"""The public page on which anybody reports a problem and asks how it stands; and the page on which
the dispatcher opens, with a reason, who it was."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from jingwei.bureau.access import public, requires
from jingwei.bureau.findings import complaints, files, ratelimit
from jingwei.bureau.findings.forms import AHEAD
from jingwei.bureau.findings.kinds import PROBLEMS
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.findings.views import again
from jingwei.bureau.registry.models import Region

REPORTS = 5  # of one address in an hour
ALL_REPORTS = 300  # of everybody in an hour
LOOKS = 30  # at receipts, of one address in an hour
HOUR = timedelta(hours=1)
PHOTOS = 3
LABELS = {
    "name": gettext_lazy("Your name"),
    "phone": gettext_lazy("Telephone"),
    "email": gettext_lazy("E-mail"),
}


def _district(value: Any) -> Region:
    region = Region.objects.filter(pk=value, children=None).first()
    if region is None:
        raise ValidationError(_("Choose the district."))
    return region


class ReportForm(forms.Form):
    problem = forms.ChoiceField(
        label=gettext_lazy("What is it about?"), choices=[("", "—"), *PROBLEMS]
    )
    region = forms.CharField(label=gettext_lazy("District"), max_length=12)
    address = forms.CharField(label=gettext_lazy("Where exactly?"), max_length=200)
    when = forms.DateTimeField(
        label=gettext_lazy("When?"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text=gettext_lazy("Left empty: now."),
    )
    said = forms.CharField(
        label=gettext_lazy("What did you see, hear or smell?"),
        max_length=1000,
        min_length=5,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text=gettext_lazy("Write nothing here that shows who you are."),
    )
    name = forms.CharField(label=LABELS["name"], max_length=60, required=False)
    phone = forms.CharField(label=LABELS["phone"], max_length=32, required=False)
    email = forms.EmailField(label=LABELS["email"], max_length=120, required=False)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        rows = Region.objects.filter(children=None).defer("geometry")
        self.fields["region"].widget = forms.Select(
            choices=[("", "—"), *((r.pk, r.label) for r in rows)]
        )
        self.fields["files"] = files.FilesField(photos=False, label=_("Photos"), required=False)
        self.fields["files"].help_text = (
            _("At most %d, JPEG, PNG, WebP or PDF. A photo may hold the place and the device.")
            % PHOTOS
        )

    @property
    def report(self) -> list[forms.BoundField]:
        return [self[n] for n in ("problem", "region", "address", "when", "said", "files")]

    @property
    def who(self) -> list[forms.BoundField]:
        return [self[n] for n in LABELS]

    def clean_region(self) -> Region:
        return _district(self.cleaned_data["region"])

    def clean_when(self) -> Any:
        when = self.cleaned_data["when"] or timezone.now()
        if when > timezone.now() + AHEAD:
            raise ValidationError(_("This time has not come yet."))
        return when

    def clean_files(self) -> Any:
        found = self.cleaned_data["files"]
        if len(found) > PHOTOS:
            raise ValidationError(_("Too many files: at most %(max)d.") % {"max": PHOTOS})
        return found


def _address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR", ""))


@never_cache
@require_http_methods(["GET", "POST"])
@public
def report(request: HttpRequest) -> HttpResponse:
    context: dict[str, Any] = {}
    status = 200
    form = ReportForm()
    if request.method == "POST":
        form = ReportForm(request.POST, request.FILES)
        now = timezone.now()
        if request.POST.get("website"):  # a machine filled in what no person sees
            context["refused"], status = _("The report was not taken in."), 422
        elif not form.is_valid():
            status = 422
        elif not (
            ratelimit.within("report", _address(request), REPORTS, HOUR, now)
            and ratelimit.within("report-all", "", ALL_REPORTS, HOUR, now)
        ):
            context["refused"], status = (
                _("Too many reports from here within an hour. Try again later, or call 12345."),
                429,
            )
        else:
            data = form.cleaned_data
            _complaint, context["receipt"] = complaints.complain(
                problem=data["problem"],
                said=data["said"],
                address=data["address"],
                region=data["region"],
                when=data["when"],
                identity={name: data[name] for name in LABELS},
                uploads=data["files"],
            )
    return render(request, "findings/report.html", {"form": form, **context}, status=status)


@never_cache
@require_http_methods(["GET", "POST"])
@public
def standing(request: HttpRequest) -> HttpResponse:
    """How a report stands, by its receipt; in the body of a POST, so that no log keeps it."""
    context: dict[str, Any] = {}
    status = 200
    if request.method == "POST":
        if not ratelimit.within("receipt", _address(request), LOOKS, HOUR, timezone.now()):
            context["refused"], status = _("Too many requests."), 429
        else:
            found = complaints.standing(request.POST.get("receipt", "")[:40])
            if found:
                complaint, context["state"] = found
                context["at"] = complaint.at
            else:
                context["refused"], status = _("There is no report with this receipt."), 404
    return render(request, "findings/standing.html", context, status=status)


@never_cache
@require_POST
@requires("identity.open")
def identity(request: HttpRequest, pk: int) -> HttpResponse:
    """Open or erase who reported; both with a reason, both on record."""
    finding = get_object_or_404(Finding.objects.restrict(request.user, "identity.open"), pk=pk)
    reason = request.POST.get("reason", "")
    try:
        if request.POST.get("act") == "erase":
            complaints.erase_identity(request.user, pk, reason)
            messages.success(request, _("The identity is erased; nobody can open it any more."))
            return redirect(finding)
        told = complaints.open_identity(request.user, pk, reason)
    except Refused as error:
        return again(request, pk, str(error))
    rows = [(str(LABELS.get(name, name)), text) for name, text in told.items()]
    return render(request, "findings/identity.html", {"finding": finding, "told": rows})
