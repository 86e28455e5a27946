"""The POWER instructions that came after POWER8 (ISA 2.07), by encoding: `farm/gates/data/power.toml`."""

from __future__ import annotations

from farm.gates import data
from farm.gates.isa_words import WordTable, rules

TABLE = WordTable(rules(data.power_patterns()))
LEVELS = {"power8": frozenset[str](), "power9": frozenset({"POWER9"}), "power10": frozenset({"POWER9", "POWER10"})}
