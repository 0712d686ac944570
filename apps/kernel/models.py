"""Abstract bases that several apps share."""

from __future__ import annotations

import json
from typing import Any

from django.db import models

from apps.kernel import exactjson


class _Encoder(json.JSONEncoder):
    def encode(self, o: Any) -> str:
        return exactjson.dumps(o)


class _Decoder(json.JSONDecoder):
    def decode(self, s: str, *args: Any) -> Any:
        return exactjson.read_stored(s)


class JSONField(models.JSONField):
    """Django's field, for values of ``exactjson``: what is read is what was written, to the digit.
    To migrations it is Django's own, since the column is the same."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "encoder": _Encoder, "decoder": _Decoder})

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        kept = {k: v for k, v in kwargs.items() if k not in {"encoder", "decoder"}}
        return name, "django.db.models.JSONField", args, kept


class AppendOnly(models.Model):
    """A row that is written once: its model refuses to save it again. Of tables of evidence (see
    ``apps.audit.domain.guard``) the database refuses it too."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError(f"{type(self).__name__} rows are written once and never changed")
        super().save(*args, **kwargs)
