from django.apps import AppConfig


class RegistryConfig(AppConfig):
    name = "jingwei.bureau.registry"
    label = "registry"
