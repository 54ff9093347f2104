from django.apps import AppConfig


class FindingsConfig(AppConfig):
    name = "jingwei.bureau.findings"
    label = "findings"
