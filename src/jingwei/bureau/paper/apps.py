from django.apps import AppConfig


class PaperConfig(AppConfig):
    name = "jingwei.bureau.paper"
    label = "paper"
