"""QR codes, drawn here: a secret in one is never sent anywhere."""

from __future__ import annotations


def svg_of(text: str) -> str:
    """The code as a ``data:`` address for an image."""
    import segno  # noqa: PLC0415  # only the site draws any

    return str(segno.make(text, error="m").svg_data_uri(scale=5, border=3, light="#fff"))
