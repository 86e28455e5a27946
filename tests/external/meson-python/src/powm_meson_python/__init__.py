"""Built by meson-python against native-gmp."""

from ._powm import gmp_release, powm

__all__ = ["gmp_release", "powm"]
