from django.db import migrations, models

NATIONAL = "国家标准限值：许可证未载明"


def mark(apps, schema_editor):
    """The national lines that were entered before are known by their source."""
    limits = apps.get_model("registry", "PermitLimit")
    limits.objects.filter(source__contains=NATIONAL, version=None).update(assumed=True)


class Migration(migrations.Migration):
    dependencies = [("registry", "0004_facility")]

    operations = [
        migrations.AddField(
            model_name="permitlimit",
            name="assumed",
            field=models.BooleanField(
                db_default=False,
                default=False,
                editable=False,
                verbose_name="national line, assumed",
            ),
        ),
        migrations.RunPython(mark, migrations.RunPython.noop),
        migrations.RemoveConstraint(model_name="permitlimit", name="limit_version_once"),
        migrations.AddConstraint(
            model_name="permitlimit",
            constraint=models.UniqueConstraint(
                condition=models.Q(("assumed", False)),
                fields=("outlet", "factor", "period", "lower", "valid_from"),
                name="limit_version_once",
            ),
        ),
    ]
