from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RegistryConfig(AppConfig):
    name = "jingwei.bureau.registry"
    label = "registry"
    verbose_name = _("Enterprise files")

    def ready(self) -> None:
        from jingwei.bureau.evidencelog.selectors import placed

        placed("permit", "registry.Permit", "enterprise.view")
        placed("plan", "registry.MonitoringPlan", "enterprise.view")
        placed("result", "registry.ManualResult", "enterprise.view")
        placed("device", "registry.Point", "device.view", key="mn")
