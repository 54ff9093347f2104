"""Errors as RFC 9457 problems: what is wrong, where, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import reverse

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Wrong:
    """One thing that is wrong: a JSON pointer (RFC 6901) into the body, or a parameter's name."""

    where: str
    what: str


class Problem(Exception):  # noqa: N818
    """Answered as a problem; `slug` names its type on the page of the interface."""

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        wrong: list[Wrong] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.slug, self.detail = status, slug, detail
        self.wrong, self.headers = wrong or [], headers or {}


def answer(request: HttpRequest, problem: Problem) -> JsonResponse:
    body: dict[str, Any] = {
        "type": f"{reverse('api:docs')}#{problem.slug}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.path,
    }
    if problem.wrong:
        body["errors"] = [{"pointer": w.where, "detail": w.what} for w in problem.wrong[:200]]
    return JsonResponse(
        body,
        status=problem.status,
        content_type=CONTENT_TYPE,
        headers={"Cache-Control": "no-store", **problem.headers},
        json_dumps_params={"ensure_ascii": False},
    )
