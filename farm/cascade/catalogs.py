"""The catalogs that cascades were planned from, as they were frozen."""

from __future__ import annotations

from dataclasses import dataclass, field

from farm import catalog
from farm.catalog.values import Catalog
from farm.model.cascade import Cascade
from farm.settings import Settings
from farm.store import frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogs:
    """Frozen catalogs, each read when first asked for and kept."""

    settings: Settings
    _read: dict[str, Catalog] = field(default_factory=dict)

    def of(self, cascade: Cascade) -> Catalog:
        """The catalog after the change. Raises StoreError, CatalogError."""
        return self.named(cascade.catalog)

    def named(self, digest: str) -> Catalog:
        """A frozen catalog by its digest. Raises StoreError if it is gone or damaged, CatalogError."""
        if digest not in self._read:
            self._read[digest] = catalog.load_from(frozen.whole(self.settings, digest))
        return self._read[digest]
