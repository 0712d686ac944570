"""QR codes, drawn here: a secret in one is never sent anywhere."""

from __future__ import annotations

from importlib import import_module


def svg_of(text: str) -> str:
    """The code as a ``data:`` address for an image. Only the site draws any, so no worker imports
    the library."""
    segno = import_module("segno")
    return str(segno.make(text, error="m").svg_data_uri(scale=5, border=3, light="#fff"))
