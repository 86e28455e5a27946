"""For all tests: the environment of whoever runs them must not choose the farm's places."""

from __future__ import annotations

import os
from pathlib import Path

# The long tests build into one home that is kept between runs (test_real_libraries).
os.environ.setdefault("FARM_TEST_HOME", os.environ.get("FARM_HOME") or str(Path(__file__).parent.parent / ".farm"))
for name in ("FARM_HOME", "FARM_CATALOG", "FARM_LEDGER", "FARM_CORES"):
    os.environ.pop(name, None)
