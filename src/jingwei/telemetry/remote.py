"""Where files of the lake may lie beside its folder: any store that fsspec knows, S3 above all.

A place is a path of this machine or a URL (`s3://bucket/folder/file`). Address and credentials of
an S3-compatible store are those of the environment that every tool of S3 reads
(`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_CA_BUNDLE`, …), so that no secret
stands in the catalog.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://")


class RemoteError(OSError):
    """A store cannot be used; the text says which and what is wanted."""


def scheme(place: str) -> str:
    """`s3` of `s3://bucket/file`; empty for a path of this machine."""
    found = _SCHEME.match(place)
    return found[1] if found else ""


def place(root: Path, path: str) -> str:
    """Where a file of the catalog lies."""
    return path if scheme(path) else str(root / path)


def filesystem(name: str) -> Any:
    """The fsspec file system of a scheme. Raises `RemoteError`."""
    try:
        import fsspec

        return fsspec.filesystem(name)
    except (ImportError, ValueError) as error:
        extra = "; install jingwei[s3]" if name == "s3" else ""
        raise RemoteError(f"{name}:// cannot be used: {error}{extra}") from None


@contextlib.contextmanager
def opened(place: str) -> Iterator[Any]:
    """The bytes of a file as a binary stream. Raises `OSError`, for a remote file whatever goes
    wrong while it is read."""
    name = scheme(place)
    if not name:
        with Path(place).open("rb") as stream:
            yield stream
        return
    with _errors(place):
        store = filesystem(name)
        store.invalidate_cache()  # another process may have written or deleted it
        with store.open(place, "rb") as stream:
            yield stream


def put(path: Path, place: str) -> None:
    """Copy a local file to a place, whole or not at all. Raises `OSError`."""
    with _errors(place):
        store = filesystem(scheme(place))
        store.makedirs(place.rpartition("/")[0], exist_ok=True)
        store.put_file(str(path), place)
        size = store.info(place)["size"]
    if size != path.stat().st_size:
        raise RemoteError(f"{place} has {size} bytes after the copy of {path}")


def remove(place: str) -> None:
    """Delete a file; it may be gone already. Raises `OSError`."""
    if not scheme(place):
        Path(place).unlink(missing_ok=True)
        return
    with _errors(place), contextlib.suppress(FileNotFoundError):
        filesystem(scheme(place)).rm_file(place)


@contextlib.contextmanager
def _errors(place: str) -> Iterator[None]:
    """Whatever a store's client raises comes out as `OSError`."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # each client has exceptions of its own
        raise RemoteError(f"{place}: {type(error).__name__}: {error}") from error
