"""Directories of other systems: pinned Debian packages, unpacked side by side, for compilers and runners."""
