"""Files that come in: what they are is read from their bytes, never from their name."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django import forms
from django.core.exceptions import SuspiciousFileOperation, ValidationError
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.utils.text import get_valid_filename
from django.utils.translation import gettext as _

MAX_SIZE = 15 * 1024 * 1024  # a phone's photo has 2 to 8 MB
MAX_FILES = 10
IMAGES = ("image/jpeg", "image/png", "image/webp")
PDF = "application/pdf"
EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", PDF: "pdf"}


def sniff(head: bytes) -> str | None:
    """The content type by the first bytes; None for what is not accepted.

    PNG: signature and IHDR (W3C PNG 3rd ed., 5.2 and 11.2.1); JPEG: SOI and a marker
    (ITU-T T.81, B.1.1.3); WebP: RIFF header (RFC 9649, 2.4); PDF: header (ISO 32000-2, 7.5.2).
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"%PDF-"):
        return PDF
    return None


def inspect(upload: Any, allowed: tuple[str, ...]) -> str:
    """The upload's content type; `ValidationError` with one clear sentence where it is refused."""
    name = display_name(upload.name)
    if upload.size > MAX_SIZE:
        raise ValidationError(
            _("%(name)s is too large: %(size).1f MB; at most %(max)d MB.")
            % {"name": name, "size": upload.size / 1024**2, "max": MAX_SIZE // 1024**2}
        )
    upload.seek(0)
    content_type = sniff(upload.read(32))
    upload.seek(0)
    if content_type not in allowed:
        wanted = ", ".join(EXTENSIONS[a].upper() for a in allowed)
        raise ValidationError(
            _("%(name)s is not accepted: its content is none of %(wanted)s.")
            % {"name": name, "wanted": wanted}
        )
    return content_type


def display_name(name: str) -> str:
    """The name as it may be shown and sent back: no path, no control characters, at most 120."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    clean = "".join(c for c in base if c.isprintable())[-120:]
    return clean or "file"


def download_name(name: str, content_type: str) -> str:
    """The name for a download, with the extension of what the file really is."""
    stem = display_name(name).rsplit(".", 1)[0]
    try:
        stem = get_valid_filename(stem)
    except SuspiciousFileOperation:  # nothing left of it
        stem = "file"
    return f"{stem}.{EXTENSIONS[content_type]}"


def place(room: str) -> str:
    """A random path below the media folder; nothing of the uploaded name is in it."""
    token = secrets.token_hex(20)
    return f"{room}/{token[:2]}/{token[2:]}"


def chunks(upload: Any) -> Iterator[bytes]:
    upload.seek(0)
    yield from upload.chunks()
    upload.seek(0)


def store(room: str, upload: File, written: list[str]) -> str:
    """Keep an upload in the media folder; its name there, which is added to `written` too."""
    name = default_storage.save(place(room), upload)
    written.append(name)
    # The row that names the file must not outlive it: on the disk before the commit.
    fd = os.open(default_storage.path(name), os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return name


@contextmanager
def cleared_away() -> Iterator[list[str]]:
    """Names of files written on the way; they go where the transaction does not come about."""
    written: list[str] = []
    try:
        yield written
    except BaseException:
        for name in written:
            default_storage.delete(name)
        raise


class _FilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True
    template_name = "django/forms/widgets/file.html"


class FilesField(forms.FileField):
    """Several files at once; their types are read from their bytes."""

    widget = _FilesInput

    def __init__(self, *, photos: bool, **options: Any) -> None:
        self.allowed = IMAGES if photos else (*IMAGES, PDF)
        super().__init__(**options)
        self.widget.attrs["accept"] = "image/*" if photos else ",".join(self.allowed)
        if photos:
            self.widget.attrs["capture"] = "environment"

    def clean(self, data: Any, initial: Any = None) -> list[tuple[Any, str]]:
        uploads = [u for u in (data or []) if u]
        if not uploads:
            if self.required:
                raise ValidationError(self.error_messages["required"], code="required")
            return []
        if len(uploads) > MAX_FILES:
            raise ValidationError(_("Too many files: at most %(max)d.") % {"max": MAX_FILES})
        found, errors = [], []
        for upload in uploads:
            try:
                super().clean(upload, None)
                found.append((upload, inspect(upload, self.allowed)))
            except ValidationError as error:
                errors += error.messages
        if errors:
            raise ValidationError(errors)
        return found
