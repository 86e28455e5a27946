"""Recipes and toolchains: TOML to checked values."""

from farm.catalog.loader import load, load_from
from farm.catalog.values import Catalog, LoadedRecipe
from farm.plan.effective import Effective, merged

__all__ = ["Catalog", "Effective", "LoadedRecipe", "load", "load_from", "merged"]
