from django.apps import AppConfig

from jingwei.bureau.findings import immutable

APPEND_ONLY = ("campaigns_change",)


class CampaignsConfig(AppConfig):
    name = "jingwei.bureau.campaigns"
    label = "campaigns"

    def ready(self) -> None:
        from jingwei.bureau.campaigns.flows import FOUR_STEP, RECTIFICATION
        from jingwei.bureau.campaigns.selectors import periods, shares_panel
        from jingwei.bureau.cases import flows, panels
        from jingwei.bureau.monitoring.patterns import campaign_sources

        flows.register(RECTIFICATION, FOUR_STEP)
        panels.register(shares_panel)
        campaign_sources.append(periods)
        immutable.keep(self, APPEND_ONLY)
