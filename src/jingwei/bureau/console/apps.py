from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "jingwei.bureau.console"
    label = "console"
