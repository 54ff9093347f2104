"""WSGI entry, served by Granian (`jingwei web`)."""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.db import connection

from jingwei.config.limits import limited
from jingwei.config.turns import in_turns

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jingwei.config.settings")
application = get_wsgi_application()
if connection.vendor == "sqlite":
    application = in_turns(application)
application = limited(application)

# Needs the models, so after Django is set up. On SQLite it does nothing.
from jingwei.bureau import rows  # noqa: E402

rows.arm()

# A request leaves little behind, and what the imports made stays for good: the collector need not
# look at it again and again (a tenth of the processor time of a page).
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 20)
