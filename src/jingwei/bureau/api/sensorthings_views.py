"""The address of the SensorThings interface: who asks, and errors as FROST tells them."""

from __future__ import annotations

import base64
import binascii
import logging
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from jingwei.bureau.access import may, public, see
from jingwei.bureau.api.interface import Scope
from jingwei.bureau.api.odata import QueryError, UnsupportedError, options
from jingwei.bureau.api.problems import Problem
from jingwei.bureau.api.sensorthings import MissingError, Service
from jingwei.telemetry.lake import LakeError

log = logging.getLogger(__name__)

ROOT = "/v1.1"


@csrf_exempt
@never_cache
@public  # no session is demanded: a token opens it, too (`_user`)
def sensorthings(request: HttpRequest, path: str = "") -> HttpResponse:
    """OGC SensorThings API 1.1, for reading."""
    if request.method not in ("GET", "HEAD"):
        answer = _error(405, _("This interface is for reading: GET alone."))
        answer["Allow"] = "GET, HEAD"
        return answer
    try:
        service = Service(_user(request), request.build_absolute_uri(ROOT))
        if not path.strip("/"):
            return _said(service.root())

        def address(changes: dict[str, str]) -> str:
            query = request.GET.copy()
            for name, value in changes.items():
                query.pop(name, None)
                if value:
                    query[name] = value
            return f"{request.build_absolute_uri(request.path)}?{query.urlencode(safe='$')}"

        found = service.get(path, options(request.GET.dict()), address)
    except Problem as error:
        answer = _error(error.status, error.detail)
        for name, value in error.headers.items():
            answer[name] = value
        return answer
    except MissingError:
        return _error(404, _("There is no such thing, or not for you."))
    except UnsupportedError as error:
        return _error(501, str(error))
    except QueryError as error:
        return _error(400, str(error))
    except LakeError:
        answer = _error(503, _("The observations cannot be read just now. Try again later."))
        answer["Retry-After"] = "60"
        return answer
    if isinstance(found, str):
        return HttpResponse(found, content_type="text/plain; charset=utf-8")
    return _said(found)


def _user(request: HttpRequest) -> Any:
    """Who asks: by token (Bearer, or Basic with it as the password), else by session."""
    given = request.headers.get("Authorization", "")
    kind, _space, text = given.partition(" ")
    if kind.lower() == "basic":
        try:
            text = base64.b64decode(text, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            text = ""
    if given:
        token = Scope("observations:read").authenticate(request, text) if text else None
        if token is not None:
            return token.user
    elif request.user.is_authenticated and may(request.user, "point.view"):
        see(request.user)
        return request.user
    raise Problem(
        401,
        "token",
        _("A valid token is wanted: Authorization: Bearer jw_… It may be expired or revoked."),
        headers={"WWW-Authenticate": "Bearer"},
    )


def _said(found: Any, status: int = 200) -> JsonResponse:
    return JsonResponse(found, status=status, json_dumps_params={"ensure_ascii": False})


def _error(status: int, message: str) -> JsonResponse:
    return _said({"code": status, "type": "error", "message": message}, status)
