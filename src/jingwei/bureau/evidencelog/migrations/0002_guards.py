"""The database itself refuses to delete or change an evidence entry.

Two things may be done to a row: `index` is set once, from NULL, and `actor` with `salt` may be
erased together. On SQLite an operation that remakes the table drops its triggers: a later
migration that alters this table must end with `guard()` of this one. `evidencelog.checks` finds
a table without them.
"""

from django.db import migrations

TABLE = "evidencelog_evidenceentry"
KEPT = ("id", "uid", "kind", "subject", "content", "created")

SQLITE = [
    f"""
    CREATE TRIGGER evidence_no_delete BEFORE DELETE ON {TABLE}
    BEGIN SELECT RAISE(ABORT, 'an evidence entry is never deleted'); END
    """,
    f"""
    CREATE TRIGGER evidence_no_change BEFORE UPDATE ON {TABLE}
    WHEN NOT (
        {" AND ".join(f"NEW.{c} IS OLD.{c}" for c in KEPT)}
        AND (NEW."index" IS OLD."index" OR OLD."index" IS NULL)
        AND ((NEW.actor IS OLD.actor AND NEW.salt IS OLD.salt) OR (NEW.actor = '' AND NEW.salt = ''))
    )
    BEGIN SELECT RAISE(ABORT, 'an evidence entry is never changed'); END
    """,
]
POSTGRESQL = [
    """
    CREATE FUNCTION evidence_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'an evidence entry is never %', TG_ARGV[0]
            USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    f"""
    CREATE TRIGGER evidence_no_delete BEFORE DELETE ON {TABLE}
    FOR EACH ROW EXECUTE FUNCTION evidence_refuse('deleted')
    """,
    f"""
    CREATE TRIGGER evidence_no_change BEFORE UPDATE ON {TABLE}
    FOR EACH ROW WHEN (NOT (
        ({", ".join(f"NEW.{c}" for c in KEPT)}) IS NOT DISTINCT FROM ({", ".join(f"OLD.{c}" for c in KEPT)})
        AND (NEW."index" IS NOT DISTINCT FROM OLD."index" OR OLD."index" IS NULL)
        AND ((NEW.actor = OLD.actor AND NEW.salt = OLD.salt) OR (NEW.actor = '' AND NEW.salt = ''))
    ))
    EXECUTE FUNCTION evidence_refuse('changed')
    """,
]
DROP = {
    "sqlite": ["DROP TRIGGER IF EXISTS evidence_no_delete", "DROP TRIGGER IF EXISTS evidence_no_change"],
    "postgresql": [
        f"DROP TRIGGER IF EXISTS evidence_no_delete ON {TABLE}",
        f"DROP TRIGGER IF EXISTS evidence_no_change ON {TABLE}",
        "DROP FUNCTION IF EXISTS evidence_refuse",
    ],
}


def guard(apps, schema_editor):
    unguard(apps, schema_editor)
    for statement in {"sqlite": SQLITE, "postgresql": POSTGRESQL}[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


def unguard(apps, schema_editor):
    for statement in DROP[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("evidencelog", "0001_initial")]
    operations = [migrations.RunPython(guard, unguard, elidable=False)]
