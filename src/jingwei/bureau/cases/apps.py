from django.apps import AppConfig

from jingwei.bureau.findings import immutable

APPEND_ONLY = ("cases_caseevent", "cases_casefile")


class CasesConfig(AppConfig):
    name = "jingwei.bureau.cases"
    label = "cases"

    def ready(self) -> None:
        from jingwei.bureau.accounts.lists import keepable
        from jingwei.bureau.cases import holds, search, selectors
        from jingwei.bureau.cases.flows import register
        from jingwei.bureau.cases.flows.handling import HANDLING
        from jingwei.bureau.cases.flows.order import ORDER
        from jingwei.bureau.evidencelog import retention
        from jingwei.bureau.evidencelog.selectors import placed
        from jingwei.bureau.monitoring import detection
        from jingwei.bureau.registry import services as registry

        register(HANDLING, ORDER)
        detection.verdict_sources.append(selectors.verdicts)
        registry.renamed.append(search.renamed)
        retention.holds_of(holds.open_cases)
        immutable.keep(self, APPEND_ONLY)
        keepable(
            "cases:list", "q", "flow", "state", "region", "from", "to", "sort", "mine", "overdue",
            "listed",
        )  # fmt: skip
        placed("case", "cases.Case", "case.view")
