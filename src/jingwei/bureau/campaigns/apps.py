from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    name = "jingwei.bureau.campaigns"
    label = "campaigns"

    def ready(self) -> None:
        from jingwei.bureau.campaigns.flows import FOUR_STEP, RECTIFICATION
        from jingwei.bureau.cases.flows import register

        register(RECTIFICATION, FOUR_STEP)
