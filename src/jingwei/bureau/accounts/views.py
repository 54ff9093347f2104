"""Login, logout, profile, password, language."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import LoginView, LogoutView, redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.i18n import set_language

from jingwei.bureau.access import public, requires
from jingwei.bureau.accounts import selectors
from jingwei.bureau.accounts.forms import LoginForm


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
