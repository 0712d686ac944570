"""The front door: HTTP to Django, WebSockets to the live consumers."""

from __future__ import annotations

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import OriginValidator
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controltower.settings")
http = get_asgi_application()

from django.conf import settings  # noqa: E402, I001  # Django must be set up before its models load
from apps.api.live.routing import websocket_urlpatterns  # noqa: E402
from apps.web.adapters.below import App, Below  # noqa: E402
from apps.web.adapters.bodies import Bounded  # noqa: E402
from apps.kernel.environment import live_origins  # noqa: E402

application: App = ProtocolTypeRouter(
    {
        "http": Bounded(http, 2 * settings.DATA_UPLOAD_MAX_MEMORY_SIZE),
        "websocket": OriginValidator(
            AuthMiddlewareStack(URLRouter(websocket_urlpatterns)),
            live_origins(settings.TOWER_ORIGIN, production=settings.PRODUCTION),
        ),
    }
)
if settings.TOWER_PREFIX:
    application = Below(application, settings.TOWER_PREFIX)
