"""A build farm for shared native-library wheels. See docs/architecture.md for the layers."""

__version__ = "0.1.0"
