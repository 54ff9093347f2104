from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    name = "jingwei.bureau.campaigns"
    label = "campaigns"
