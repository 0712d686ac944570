"""Addresses of the sockets."""

from __future__ import annotations

from django.urls import path

from apps.api.live.consumers import LiveConsumer

websocket_urlpatterns: list[object] = [path("ws/live/", LiveConsumer.as_asgi())]
