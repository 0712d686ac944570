"""Downloads of many rows: sent as they are read, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_LINES_A_CHUNK = 500


def download(
    request: HttpRequest, lines: Iterable[str], *, content_type: str, filename: str
) -> StreamingHttpResponse:
    """A file whose ``lines`` are made while they are sent, on both kinds of server."""
    chunks = _chunks(iter(lines))
    body = _in_thread(chunks) if isinstance(request, ASGIRequest) else chunks
    response = StreamingHttpResponse(body, content_type=content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """CSV with a header; cells that a spreadsheet would take for a formula are quoted."""
    yield _csv_line(header)
    for row in rows:
        yield _csv_line([csv_cell(value) for value in row])


def csv_cell(value: Any) -> Any:
    """``value``, with an apostrophe in front if its text would start a formula."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _csv_line(cells: Sequence[Any]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()


def _chunks(lines: Iterator[str]) -> Iterator[str]:
    while chunk := "".join(islice(lines, _LINES_A_CHUNK)):
        yield chunk


async def _in_thread(chunks: Iterator[str]) -> AsyncIterator[str]:
    step = sync_to_async(lambda: next(chunks, None))
    while (chunk := await step()) is not None:
        yield chunk
