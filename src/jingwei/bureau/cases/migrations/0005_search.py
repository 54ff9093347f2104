from django.db import migrations


def make(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "CREATE TABLE cases_casetext (rowid bigint PRIMARY KEY, words text NOT NULL)"
        )
        schema_editor.execute(
            "CREATE INDEX cases_casetext_words ON cases_casetext"
            " USING gin (string_to_array(words, ' '))"
        )
    else:
        schema_editor.execute(
            "CREATE VIRTUAL TABLE cases_casetext USING fts5"
            "(words, tokenize = \"unicode61 remove_diacritics 0\")"
        )


def fill(apps, schema_editor):
    from jingwei.bureau.cases.search import store

    cases = apps.get_model("cases", "Case").objects.select_related("enterprise")
    for case in cases.order_by("pk").iterator(chunk_size=500):
        store(case)


def unmake(apps, schema_editor):
    schema_editor.execute("DROP TABLE cases_casetext")


class Migration(migrations.Migration):

    dependencies = [("cases", "0004_publication")]

    operations = [
        migrations.RunPython(make, unmake),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
