from django.apps import AppConfig


class PenaltiesConfig(AppConfig):
    name = "jingwei.bureau.penalties"
    label = "penalties"
