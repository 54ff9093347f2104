from django.apps import AppConfig


class InspectionsConfig(AppConfig):
    name = "jingwei.bureau.inspections"
    label = "inspections"
