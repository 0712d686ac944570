"""`python -m controltower.launch`."""

from __future__ import annotations

import sys

from controltower.launch.cli import main

sys.exit(main())
