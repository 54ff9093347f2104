"""Static files: hashed names, so that a browser may keep them for ever."""

from __future__ import annotations

from typing import Any

from whitenoise.storage import CompressedManifestStaticFilesStorage

# Packages' scripts with `import` examples in comments and imports that their own bundler resolves.
FOREIGN = ("django_htmx/", "vendor/", "admin/")


class Storage(CompressedManifestStaticFilesStorage):
    """Whitenoise's storage, with the `import` paths in our own ES modules rewritten."""

    support_js_module_import_aggregation = True
    manifest_strict = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._urls: dict[str, str] = {}

    def url(self, name: str | None, force: bool = False) -> str:
        """Each page names some forty files, and a manifest that was read does not change."""
        key = name or ""
        if key not in self._urls:
            self._urls[key] = super().url(name, force)
        return self._urls[key]

    def _post_process(
        self, paths: Any, adjustable_paths: list[str], hashed_files: dict[str, str]
    ) -> Any:
        ours = [p for p in adjustable_paths if p.endswith(".css") or not p.startswith(FOREIGN)]
        for name, hashed, processed, changed in super()._post_process(paths, ours, hashed_files):
            yield name, hashed, processed, changed and name in ours
