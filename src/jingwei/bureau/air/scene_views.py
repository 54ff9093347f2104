"""Page: satellite scenes that came in, and a file of them handed in: looked at, then imported whole."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from jingwei.analysis.air.field.tables import FieldError
from jingwei.bureau.access import requires
from jingwei.bureau.air import hotgrid_selectors as selectors
from jingwei.bureau.air import hotgrid_services as services
from jingwei.bureau.air import scenes
from jingwei.bureau.air.forms import SceneForm
from jingwei.bureau.air.tracing import RefusedError

SHOWN = 20  # imported scenes on a page


@require_http_methods(["GET", "HEAD", "POST"])
@requires("air.forecast")
def satellite(request: HttpRequest) -> HttpResponse:
    """`do=check` looks at a file and holds it; `do=write` imports what was looked at."""
    context: dict[str, Any] = {"form": SceneForm(), "refused": ""}
    status = 200
    if request.method == "POST":
        form = context["form"] = SceneForm(request.POST, request.FILES)
        status = 422
        if form.is_valid():
            try:
                if (done := _handled(request, form, context)) is not None:
                    return done
                status = 422 if context["refused"] else 200
            except FieldError as error:
                context["refused"] = scenes.refusal(error)
            except RefusedError as error:
                context["refused"] = selectors.why(str(error))
    context["page"] = Paginator(scenes.imported(), SHOWN).get_page(request.GET.get("page"))
    return render(request, "air/scenes.html", context, status=status)


def _handled(request: HttpRequest, form: SceneForm, context: dict[str, Any]) -> HttpResponse | None:
    told = form.cleaned_data
    if told["file"]:
        key, path = scenes.hold(told["file"], request.user)
    else:
        key, path = told["key"], scenes.held(told["key"], request.user)
        if path is None:
            context["refused"] = _("The file is no longer there: upload it again.")
            return None
    try:
        looked = services.look(path, names=told["names"], time=told["time"])
    except (FieldError, RefusedError):
        scenes.let_go(path)
        raise
    if request.POST.get("do") != "write":
        context |= {
            "looked": looked, "found": scenes.preview(looked), "key": key,
            "time": request.POST.get("time", ""), "names": request.POST.get("names", ""),
        }  # fmt: skip
        return None
    rows = services.take(looked, request.user)
    scenes.let_go(path)
    messages.success(
        request,
        ngettext(
            "%(count)d scene was imported. The hot grids are computed anew in a quarter of an hour.",
            "%(count)d scenes were imported. The hot grids are computed anew in a quarter of an hour.",
            len(rows),
        )
        % {"count": len(rows)},
    )
    return redirect("air:satellite")
