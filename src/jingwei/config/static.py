"""Static files: hashed names, so that a browser may keep them for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class Storage(CompressedManifestStaticFilesStorage):
    """Whitenoise's storage with rewritten `import` paths in our ES modules."""

    support_js_module_import_aggregation = True
    manifest_strict = False
