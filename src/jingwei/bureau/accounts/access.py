from jingwei.bureau.access import *  # noqa: F403
from jingwei.bureau.access import public, requires, may, PERMISSIONS, Role, RestrictedQuerySet  # noqa: F401, I001, RUF100
