from django.apps import AppConfig


class EvidencelogConfig(AppConfig):
    name = "jingwei.bureau.evidencelog"
    label = "evidencelog"
