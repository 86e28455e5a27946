"""Other projects' tools that judge platform tags, one module each; `farm.gates.judge` runs it in its own process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

MARK = "farm-verdict:"

Question = dict[str, Any]
Answer = dict[str, Any]


def reply(answer: Callable[[Question], Answer]) -> None:
    """Answer the question on the command line. The mark tells the answer from what a tool prints by itself."""
    print(MARK + json.dumps(answer(json.loads(sys.argv[1]))))
