"""The database also refuses what comes to deleting an evidence entry without saying so: on SQLite a
REPLACE, which takes the row in its way without asking the trigger of DELETE, on PostgreSQL a
TRUNCATE.

As with the guards of `0002_guards`, a later migration that alters this table must end with
`guard()` of this one.
"""

from importlib import import_module

from django.db import migrations

first = import_module('jingwei.bureau.evidencelog.migrations.0002_guards')
TABLE = first.TABLE

SQLITE = [
    f"""
    CREATE TRIGGER evidence_no_replace BEFORE INSERT ON {TABLE}
    WHEN EXISTS (SELECT 1 FROM {TABLE} WHERE id = NEW.id)
        OR EXISTS (SELECT 1 FROM {TABLE} WHERE uid = NEW.uid)
        OR EXISTS (SELECT 1 FROM {TABLE} WHERE "index" = NEW."index")
    BEGIN SELECT RAISE(ABORT, 'an evidence entry is never replaced'); END
    """,
    # UPDATE OR REPLACE: an entry that is given the number of another takes its place.
    f"""
    CREATE TRIGGER evidence_no_supplant BEFORE UPDATE ON {TABLE}
    WHEN NEW."index" IS NOT OLD."index"
        AND EXISTS (SELECT 1 FROM {TABLE} WHERE "index" = NEW."index")
    BEGIN SELECT RAISE(ABORT, 'an evidence entry is never replaced'); END
    """,
]
POSTGRESQL = [
    f"""
    CREATE TRIGGER evidence_no_truncate BEFORE TRUNCATE ON {TABLE}
    FOR EACH STATEMENT EXECUTE FUNCTION evidence_refuse('deleted')
    """,
]
DROP = {
    'sqlite': [
        'DROP TRIGGER IF EXISTS evidence_no_replace',
        'DROP TRIGGER IF EXISTS evidence_no_supplant',
    ],
    'postgresql': [f'DROP TRIGGER IF EXISTS evidence_no_truncate ON {TABLE}'],
}


def guard(apps, schema_editor):
    unguard(apps, schema_editor)
    first.guard(apps, schema_editor)
    for statement in {'sqlite': SQLITE, 'postgresql': POSTGRESQL}[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


def unguard(apps, schema_editor):
    for statement in DROP[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [('evidencelog', '0003_readings')]
    operations = [migrations.RunPython(guard, unguard, elidable=False)]
