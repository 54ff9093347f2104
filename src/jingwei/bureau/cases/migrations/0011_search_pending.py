"""PostgreSQL: the index of the words has no list of pending entries, which every search would read whole."""

from django.db import migrations


def settle(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER INDEX cases_casetext_words SET (fastupdate = off)")
        schema_editor.execute("SELECT gin_clean_pending_list('cases_casetext_words')")


class Migration(migrations.Migration):
    dependencies = [("cases", "0010_handover_versions")]
    operations = [migrations.RunPython(settle, migrations.RunPython.noop)]
