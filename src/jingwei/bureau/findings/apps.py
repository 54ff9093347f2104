from django.apps import AppConfig

from jingwei.bureau.findings import immutable

APPEND_ONLY = ("findings_decision",)


class FindingsConfig(AppConfig):
    name = "jingwei.bureau.findings"
    label = "findings"

    def ready(self) -> None:
        from jingwei.bureau.evidencelog.selectors import placed

        immutable.keep(self, APPEND_ONLY)
        placed("finding", "findings.Finding", "finding.view")
