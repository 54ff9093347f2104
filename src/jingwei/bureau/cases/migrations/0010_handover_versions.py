from django.db import migrations
from django.db.models import Count, F, OuterRef, Q, Subquery


def count(apps, schema_editor):
    """Hand-overs count as versions now: so do those that were made before."""
    alias = schema_editor.connection.alias
    events = apps.get_model("cases", "CaseEvent").objects.using(alias)
    given = events.filter(transition="new_holder")
    made = given.filter(case=OuterRef("pk")).order_by().values("case").annotate(n=Count("pk"))
    cases = apps.get_model("cases", "Case").objects.using(alias)
    cases.filter(pk__in=given.values("case")).update(version=F("version") + Subquery(made.values("n")))


class Migration(migrations.Migration):
    dependencies = [("cases", "0009_clock")]
    operations = [migrations.RunPython(count, migrations.RunPython.noop)]
