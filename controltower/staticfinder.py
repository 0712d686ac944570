"""How static files are found and named: plotly.min.js from the Python package that ships it (and
nothing else of that package), and every file of ours by a name that changes with its content."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plotly
from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage
from whitenoise.storage import CompressedManifestStaticFilesStorage


class PlotlyFinder(BaseFinder):
    """Finds ``plotly/plotly.min.js`` in the plotly package."""

    name = "plotly/plotly.min.js"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.folder = Path(plotly.__file__).parent / "package_data"
        self.storage = FileSystemStorage(location=str(self.folder))
        self.storage.prefix = "plotly"  # type: ignore[attr-defined]  # the finder protocol's field

    def check(self, **kwargs: Any) -> list[Any]:
        return []

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        if path != self.name:
            return []
        found = str(self.folder / "plotly.min.js")
        return [found] if find_all else found

    def list(self, ignore_patterns: Any) -> Iterator[tuple[str, FileSystemStorage]]:
        yield "plotly.min.js", self.storage


class ModuleStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Names by content also in the ``import`` lines of our modules (``js/``), not of packages'."""

    _of_modules = CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns[1]
    patterns = (*CompressedManifestStaticFilesStorage.patterns, ("js/*.js", _of_modules))
