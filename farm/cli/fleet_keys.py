"""Whose orders count: the key that signs, and the list of keys that a worker trusts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from farm.fleet.signing import Signer
    from farm.fleet.trust import TrustFile
    from farm.settings import Settings

KEY = "FARM_FLEET_KEY"


def key_path(settings: Settings) -> Path:
    """The private key that signs orders."""
    named = os.environ.get(KEY, "")
    return Path(named) if named else settings.fleet / "key.pem"


def trusted_path(settings: Settings) -> Path:
    """The list of keys whose orders count."""
    return settings.fleet / "trusted"


def signer_of(settings: Settings) -> Signer:
    """The key that signs orders. Raises FleetError, MissingToolError."""
    from farm.fleet import signing

    _make_own_key(settings)
    return signing.signer(key_path(settings))


def trusted_keys(args: argparse.Namespace, settings: Settings) -> TrustFile:
    """The keys whose orders a worker takes: without any, it does not start. Raises FleetError."""
    from farm.fleet.trust import TrustFile

    if not args.trusted:
        _make_own_key(settings)
    return TrustFile(Path(args.trusted) if args.trusted else trusted_path(settings))


def _make_own_key(settings: Settings) -> None:
    """With a ledger of its own a farm is one machine and one user's: it trusts itself. Others name whom they trust."""
    from farm.fleet import signing, trust

    if not settings.ledger_url and not os.environ.get(KEY) and not trusted_path(settings).exists():
        signer = signing.make_key(key_path(settings))
        trust.trust(trusted_path(settings), trust.line_of(signer, trust.RIGHTS, "this-machine"))
