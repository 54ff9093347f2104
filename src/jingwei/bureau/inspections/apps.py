from django.apps import AppConfig

from jingwei.bureau.findings import immutable

APPEND_ONLY = ("inspections_drawstep",)


class InspectionsConfig(AppConfig):
    name = "jingwei.bureau.inspections"
    label = "inspections"

    def ready(self) -> None:
        immutable.keep(self, APPEND_ONLY)
