from django.apps import AppConfig

from jingwei.bureau.findings import immutable

APPEND_ONLY = ("findings_decision",)


class FindingsConfig(AppConfig):
    name = "jingwei.bureau.findings"
    label = "findings"

    def ready(self) -> None:
        immutable.keep(self, APPEND_ONLY)
