"""Correct the metadata of wheels that are published already, for a time, signed and with a reason."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farm.cli.output import print_json, print_table
from farm.cli.overlay_options import composed
from farm.errors import OverlayError, UsageError
from farm.settings import Settings

if TYPE_CHECKING:
    from farm.index.contents import SignedOverlay
    from farm.index.generation import Generation
    from farm.index.generations import Index
    from farm.index.overlays import Standing


def run(args: argparse.Namespace, settings: Settings, index: Index) -> int:
    """Run one of the actions. Raises OverlayError."""
    args.trusted_keys = getattr(args, "trusted_keys", None) or settings.trusted_keys
    actions: dict[str, Callable[[argparse.Namespace, Index], int]] = {
        "add": _add,
        "list": _list,
        "show": _show,
        "remove": _remove,
        "expire": _expire,
        "sign": _sign,
        "verify": _verify,
        "keys": _keys,
    }
    return actions[args.overlay_action](args, index)


def _add(args: argparse.Namespace, index: Index) -> int:
    from farm.index import overlay_sign, overlays

    if bool(args.files) == bool(args.project):
        raise UsageError("takes overlay files, or --project and what to change", where="overlay add", fix="see --help")
    if args.files:
        new = [overlay_sign.read(path, args.trusted_keys) for path in args.files]
    else:
        if args.key is None:
            raise UsageError("is missing", where="--key", fix="an overlay is signed: --key ~/.ssh/id_ed25519")
        new = [overlay_sign.signed(composed(args), args.key, args.trusted_keys)]
    before = index.current(args.channel)
    now = overlays.add(index, args.channel, new, replace=args.replace)
    return _report(args, index, before, now, {signed.name for signed in new})


def _list(args: argparse.Namespace, index: Index) -> int:
    found = _standing(index, args.channel)
    if args.json:
        print_json([_facts(one) for one in found])
    elif not found:
        print(f"channel {args.channel!r} holds no metadata overlays")
    else:
        print_table(
            ("name", "state", "files", "expires", "signer", "reason"),
            [
                (
                    one.signed.name,
                    one.state,
                    str(len(one.corrections)),
                    f"{one.overlay.expires:%Y-%m-%d}",
                    one.signed.signer.partition(" ")[0],
                    one.overlay.reason,
                )
                for one in found
            ],
        )
    return 0


def _show(args: argparse.Namespace, index: Index) -> int:
    found = {one.signed.name: one for one in _standing(index, args.channel)}
    if args.name not in found:
        raise OverlayError(
            f"channel {args.channel!r} holds no such overlay; it holds {', '.join(found) or 'none'}",
            where=f"overlay {args.name}",
            fix=f"farm index overlay list --channel {args.channel}",
        )
    one = found[args.name]
    if args.export is not None:
        _export(one.signed, args.export)
    if args.json:
        print_json(_facts(one))
        return 0
    print(one.signed.document.rstrip())
    print(f"\n# {one.state}; signed by {one.signed.signer}")
    for correction in one.corrections:
        print(f"# {correction.original.filename} -> {correction.corrected.filename}")
    return 0


def _export(signed: SignedOverlay, folder: Path) -> None:
    from farm.store.files import make_dirs, write_atomic

    make_dirs(folder)
    write_atomic(folder / f"{signed.name}.toml.sig", signed.signature.encode())
    write_atomic(folder / f"{signed.name}.toml", signed.document.encode())


def _remove(args: argparse.Namespace, index: Index) -> int:
    from farm.index import overlays

    before = index.current(args.channel)
    return _report(args, index, before, overlays.end(index, args.channel, args.names), set())


def _expire(args: argparse.Namespace, index: Index) -> int:
    from farm.index import overlays

    if bool(args.names) != args.now:
        raise UsageError("go together", where="NAME and --now", fix="without both, what has expired is taken off")
    before = index.current(args.channel)
    if args.now:
        comment = f"overlay {', '.join(sorted(args.names))} expired early"
        return _report(args, index, before, overlays.end(index, args.channel, args.names, comment=comment), set())
    after = overlays.expire(index, args.channel)
    if after is None:
        raise OverlayError(
            f"channel {args.channel!r} has no generation", where=str(index.root), fix="publish to it first"
        )
    return _report(args, index, before, after, set())


def _sign(args: argparse.Namespace, _index: Index) -> int:
    from farm.index import overlay_file, overlay_sign
    from farm.store.files import write_atomic

    documents = {path: overlay_sign.document_of(path) for path in args.files}
    for path, document in documents.items():
        overlay_file.parse(document, str(path))
    written = []
    for path, document in documents.items():
        place = path.with_name(path.name + overlay_sign.SUFFIX)
        write_atomic(place, overlay_sign.sign(document, args.key))
        written.append(str(place))
    print_json(written) if args.json else print(*written, sep="\n")
    return 0


def _verify(args: argparse.Namespace, index: Index) -> int:
    from farm.index import overlay_sign

    if args.files:
        found = [overlay_sign.read(path, args.trusted_keys) for path in args.files]
    else:
        found = [
            overlay_sign.verified(
                held.document.encode(), held.signature.encode(), args.trusted_keys, where=f"overlay {held.name}"
            )
            for held in (one.signed for one in _standing(index, args.channel))
        ]
    if args.json:
        print_json([{"name": one.name, "sha256": one.sha256, "signer": one.signer} for one in found])
    else:
        print_table(("name", "signer"), [(one.name, one.signer) for one in found])
        print(f"{len(found)} signature{'' if len(found) == 1 else 's'} checked")
    return 0


def _keys(args: argparse.Namespace, _index: Index) -> int:
    from farm.index import overlay_sign

    keys = overlay_sign.trusted_keys(args.trusted_keys)
    if args.json:
        print_json(
            [
                {"principals": k.principals, "kind": k.kind, "fingerprint": k.fingerprint, "options": k.options}
                for k in keys
            ]
        )
    else:
        rows = [(key.principals, key.kind, key.fingerprint, key.options) for key in keys]
        print_table(("signer", "kind", "fingerprint", "options"), rows)
        print(f"{len(keys)} trusted key{'' if len(keys) == 1 else 's'} in {args.trusted_keys}")
    return 0


def _standing(index: Index, channel: str) -> tuple[Standing, ...]:
    from farm.index import overlays

    served = index.current(channel)
    return () if served is None else overlays.standing(index.contents(served))


def _report(
    args: argparse.Namespace, index: Index, before: Generation | None, after: Generation, added: set[str]
) -> int:
    """What changed, and for new overlays which wheels they corrected."""
    found = [one for one in _standing(index, args.channel) if one.signed.name in added]
    changed = before is None or before.number != after.number
    if args.json:
        facts = {"generation": after.name, "changed": changed, "added": list(after.added) if changed else []}
        print_json({**facts, "overlays": [_facts(one) for one in found]})
        return 0
    print(f"{'published:' if changed else 'nothing changed:'} {after.name}")
    for one in found:
        print(f"  {one.signed.name}, until {one.overlay.expires:%Y-%m-%d}, signed by {one.signed.signer}")
        for correction in one.corrections:
            print(f"    {correction.original.filename} -> {correction.corrected.filename}")
    return 0


def _facts(one: Standing) -> dict[str, Any]:
    return {
        **one.overlay.model_dump(mode="json"),
        "state": one.state,
        "sha256": one.signed.sha256,
        "signer": one.signed.signer,
        "ended": one.signed.ended,
        "corrections": [{"original": c.original.filename, "corrected": c.corrected.filename} for c in one.corrections],
    }
