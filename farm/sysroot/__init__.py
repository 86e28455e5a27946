"""Directories of other systems, made of pinned packages: what runners run programs in, and SDKs take headers from."""

from farm.sysroot.place import chosen, materialise, present

__all__ = ["chosen", "materialise", "present"]
