import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0007_identity'),
    ]

    operations = [
        migrations.CreateModel(
            name='Sending',
            fields=[
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('allowance', models.FloatField()),
                ('filled_at', models.DateTimeField()),
            ],
        ),
    ]
