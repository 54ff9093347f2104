from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class ConsoleConfig(AppConfig):
    name = "jingwei.bureau.console"
    label = "console"

    def ready(self) -> None:
        from jingwei.bureau import rows

        def migrated(using: str, **_: Any) -> None:
            rows.install(using)

        # Sent for every room with tables, when all migrations are through: once is enough.
        last = apps.get_app_config("accounts")
        post_migrate.connect(migrated, sender=last, weak=False, dispatch_uid="jingwei.rows")
