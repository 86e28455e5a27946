"""Shared names, run paths, the loader of dependents, computed requirements. A native wheel is never touched here."""
