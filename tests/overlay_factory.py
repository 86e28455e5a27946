"""Overlays for tests: made without a key where signatures do not matter, with ssh-keygen where they do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from farm.index import overlay_file
from farm.index.contents import SignedOverlay
from farm.index.overlay import Overlay
from farm.process import run

CREATED = datetime(2020, 1, 1, 9, 30, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
LATER = datetime(2090, 2, 1, tzinfo=UTC)  # verbs look at the real clock


def overlay(name: str = "mpfr-5", **fields: object) -> Overlay:
    """An overlay of ``some-user``, valid from CREATED to LATER."""
    defaults: dict[str, object] = {
        "project": "some-user",
        "reason": "MPFR 5 changes mpfr_t",
        "author": "Jo",
        "created": CREATED,
        "expires": LATER,
        **({} if "files" in fields else {"versions": ">=1.0,<2"}),
        **({} if {"requires", "requires_python"} & fields.keys() else {"requires": {"tighten": ("native-mpfr<7!0",)}}),
    }
    return overlay_file.make(name=name, **{**defaults, **fields})


def unsigned(name: str = "mpfr-5", **fields: object) -> SignedOverlay:
    """Such an overlay as a channel holds it, for tests in which nobody looks at the signature."""
    document = overlay_file.dump(overlay(name, **fields)).decode()
    return SignedOverlay(name=name, document=document, signature="", signer="jo SHA256:none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Private keys of somebody who is trusted (`jo`) and of somebody who is not (`eve`)."""

    jo: Path
    eve: Path
    trusted: Path


def make_keys(folder: Path) -> Keys:
    """New Ed25519 keys in a directory."""
    for name in ("jo", "eve"):
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name])
    trusted = folder / "trusted-keys"
    public = (folder / "jo.pub").read_text().split()
    trusted.write_text(f"# who may correct\n\njo@example.org {public[0]} {public[1]} Jo\n")
    return Keys(jo=folder / "jo", eve=folder / "eve", trusted=trusted)
