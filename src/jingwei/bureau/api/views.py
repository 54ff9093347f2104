"""Pages about the machine interface: what it offers, and the administrator's tokens."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jingwei.bureau.access import may, public, requires
from jingwei.bureau.accounts.models import User
from jingwei.bureau.api import services, words
from jingwei.bureau.api.interface import PER_MINUTE, api
from jingwei.bureau.api.models import SCOPES, Token
from jingwei.bureau.api.problems import Problem, answer
from jingwei.bureau.findings.kinds import SCENARIOS
from jingwei.bureau.findings.services import Refused

PREFIX = "/api/v1/"


@lru_cache(maxsize=1)
def _schema() -> dict[str, Any]:
    """The OpenAPI 3.1 document; the same for everybody."""
    return json.loads(json.dumps(api.get_openapi_schema(path_prefix=PREFIX), default=str))


@require_safe
@public
def openapi(request: HttpRequest) -> HttpResponse:
    return HttpResponse(
        json.dumps(_schema(), ensure_ascii=False),
        content_type="application/json",
        headers={"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"},
    )


@require_safe
@public
def docs(request: HttpRequest) -> HttpResponse:
    """The document as a page, without a script."""
    schema = _schema()
    operations = []
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {})
            wanted = body.get("application/json", {}).get("schema", {})
            operations.append(
                {
                    "method": method.upper(),
                    "path": path,
                    "id": operation["operationId"],
                    "text": words.told(operation.get("description", "")),
                    "parameters": [_parameter(p) for p in operation.get("parameters", [])],
                    "body": _ref(wanted),
                    "answers": [
                        (
                            code,
                            _ref(
                                a.get("content", {}).get("application/json", {}).get("schema", {})
                            ),
                        )
                        for code, a in operation["responses"].items()
                        if code < "300"
                    ],
                    "scope": operation.get("x-scope", ""),
                }
            )
    return render(
        request,
        "api/docs.html",
        {
            "schema": schema,
            "may_issue": may(request.user, "api.admin"),
            "operations": operations,
            "schemas": [
                (name, _fields(s, set(s.get("required", []))), s.get("description", ""))
                for name, s in schema["components"]["schemas"].items()
            ],
            "kinds": [(s.kind.value, s.kind.label, s.inputs) for s in SCENARIOS.values()],
            "per_minute": PER_MINUTE,
            "batch": services.BATCH,
            "things": request.build_absolute_uri("/v1.1"),
            "host": request.build_absolute_uri(PREFIX),
        },
    )


def _ref(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _parameter(p: dict[str, Any]) -> dict[str, Any]:
    schema = p.get("schema", {})
    return {
        "name": p["name"],
        "where": p["in"],
        "required": p.get("required", False),
        "type": _type(schema),
        "text": words.told(p.get("description") or schema.get("description", "")),
    }


def _fields(schema: dict[str, Any], required: set[str]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "type": _type(field),
            "required": name in required,
            "text": field.get("description", ""),
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _ref(schema)
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(s) for s in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(json.dumps(v, ensure_ascii=False) for v in schema["enum"])
    if schema.get("type") == "array":
        return f"[{_type(schema.get('items', {}))}]"
    return str(schema.get("format") or schema.get("type") or "any")


@csrf_exempt
@public
def missing(request: HttpRequest) -> HttpResponse:
    """Every other address below v1."""
    return answer(request, Problem(404, "missing", _("There is no such operation.")))


@never_cache
@require_http_methods(["GET", "POST"])
@requires("api.admin")
def tokens(request: HttpRequest) -> HttpResponse:
    refused, status, text, said = "", 200, "", request.POST
    if request.method == "POST":
        try:
            number, days = said.get("user", ""), said.get("days", "")
            user = (
                User.objects.filter(pk=number).first()
                if number.isdecimal() and len(number) < 19
                else None
            )
            if user is None:
                raise Refused(_("Choose for whom the token acts."))
            _token, text = services.issue(
                request.user,
                name=said.get("name", ""),
                user=user,
                scopes=said.getlist("scopes"),
                days=int(days) if days.isdecimal() and len(days) < 6 else 0,
            )
        except Refused as error:
            refused, status = str(error), 422
    context = {
        "tokens": [
            {"row": t, "good": t.good(), "expired": t.expires <= timezone.now()}
            for t in Token.objects.select_related("user__department", "created_by")
        ],
        "users": User.objects.filter(is_active=True, is_superuser=False).order_by("username"),
        "scopes": SCOPES.items(),
        "chosen": said.getlist("scopes") if refused else [],
        "said": said if refused else {},
        "longest": services.LONGEST,
        "refused": refused,
        "text": text,
    }
    return render(request, "api/tokens.html", context, status=status)


@require_POST
@requires("api.admin")
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    get_object_or_404(Token, pk=pk)
    try:
        services.revoke(request.user, pk, request.POST.get("reason", ""))
    except Refused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("The token is revoked."))
    return redirect("api:tokens")
