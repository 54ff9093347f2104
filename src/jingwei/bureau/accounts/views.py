"""Login, logout, profile, password, language, saved filters."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import LoginView, LogoutView, redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

from jingwei.bureau.access import public, requires
from jingwei.bureau.accounts import lists, selectors, services
from jingwei.bureau.accounts.forms import LoginForm
from jingwei.bureau.accounts.models import SavedFilter


class _Login(LoginView):
    template_name = "accounts/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True

    def form_invalid(self, form: LoginForm) -> HttpResponse:
        response = super().form_invalid(form)
        response.status_code = 429 if form.throttled else 200
        return response


login = public(_Login.as_view())
logout = public(LogoutView.as_view())
language = public(set_language)


@requires("account.view")
def profile(request: HttpRequest) -> HttpResponse:
    """Who am I here, and what is my jurisdiction?"""
    return render(request, "accounts/profile.html", {"profile": selectors.profile(request.user)})


@sensitive_post_parameters()
@requires("account.view")
def password(request: HttpRequest) -> HttpResponse:
    """Change the own password; other sessions of the user end."""
    form = PasswordChangeForm(request.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        update_session_auth_hash(request, form.save())
        messages.success(request, _("Your password is changed."))
        return redirect("accounts:profile")
    return render(request, "accounts/password.html", {"form": form})


@public
def admin_login(request: HttpRequest) -> HttpResponse:
    """The administration has no login of its own: one form, one throttle."""
    if request.user.is_authenticated:
        raise PermissionDenied
    return redirect_to_login(request.GET.get("next") or reverse("admin:index"))


LONGEST_QUERY: int = SavedFilter._meta.get_field("query").max_length


@require_POST
@requires("account.view")
def save_filter(request: HttpRequest) -> HttpResponse:
    """Keep the filters of a list under a name; the same name again replaces them."""
    page = request.POST.get("page", "")
    try:
        query = lists.kept(page, request.POST.get("query", ""))
    except KeyError:
        raise Http404 from None
    name = " ".join(request.POST.get("name", "").replace("\0", "").split())[:40]
    if len(query.urlencode()) > LONGEST_QUERY:
        messages.error(request, _("The filter is too long to be saved."))
    elif name and query:
        services.save_filter(request.user, page, name, query.urlencode())
        messages.success(request, _("Saved: %(name)s.") % {"name": name})
    else:
        messages.error(request, _("Set a filter and give it a name."))
    return redirect(f"{reverse(page)}?{query.urlencode()}")


@require_POST
@requires("account.view")
def drop_filter(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(SavedFilter, pk=pk, user=request.user)
    services.drop_filter(request.user, row.pk)
    return redirect(row.page)
