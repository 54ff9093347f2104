from django.apps import AppConfig

from jingwei.bureau.findings import immutable

APPEND_ONLY = ("findings_decision",)


class FindingsConfig(AppConfig):
    name = "jingwei.bureau.findings"
    label = "findings"

    def ready(self) -> None:
        from jingwei.bureau.accounts.lists import keepable
        from jingwei.bureau.evidencelog.selectors import placed

        immutable.keep(self, APPEND_ONLY)
        keepable(
            "findings:list", "q", "kind", "state", "region", "enterprise", "point", "overdue", "from",
            "to", "sort",
        )  # fmt: skip
        placed("finding", "findings.Finding", "finding.view")
