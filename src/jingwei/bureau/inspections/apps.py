from django.apps import AppConfig

from jingwei.bureau.findings import immutable

APPEND_ONLY = (
    "inspections_drawstep",
    "inspections_photo",
    "inspections_record",
    "inspections_signature",
)


class InspectionsConfig(AppConfig):
    name = "jingwei.bureau.inspections"
    label = "inspections"

    def ready(self) -> None:
        from jingwei.bureau.accounts.lists import keepable
        from jingwei.bureau.cases.flows import register
        from jingwei.bureau.inspections.flow import INSPECTION

        register(INSPECTION)
        keepable("inspections:list", "q", "origin", "state", "mine", "draw")
        immutable.keep(self, APPEND_ONLY)
