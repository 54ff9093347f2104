from django.apps import AppConfig


class CasesConfig(AppConfig):
    name = "jingwei.bureau.cases"
    label = "cases"
