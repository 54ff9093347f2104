"""WSGI entry, served by Granian (`jingwei web`)."""

import os

from django.core.wsgi import get_wsgi_application

from jingwei.config.limits import limited

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jingwei.config.settings")
application = limited(get_wsgi_application())
