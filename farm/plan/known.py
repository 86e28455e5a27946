"""What is known of the keys of a plan: all of them, or what somebody has asked for since something changed.

A change of what thousands are built against forgets thousands of keys. Neither finding them nor freeing them can wait
for the next key, so the change is only noted: a key counts as forgotten if its recipe is built against something noted
and it was not computed since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

Keys = tuple[bytes, ...]  # by release: those of all lanes, one after the other


class Known:
    """Keys by the number of a recipe. Where one is not known, neither are those of recipes that are built against it.

    A `closure` has a bit for every recipe that one is built against.
    """

    def __init__(self, keys: list[Keys | None], changed: int = 0, since: Iterable[int] = ()) -> None:
        self._keys = keys
        self._changed = changed  # a bit for each recipe that was noted
        self._since = set(since)  # computed after that, though built against them

    def get(self, number: int, closure: int) -> Keys | None:
        """The keys of a recipe's steps if they are known."""
        if self._changed and closure & self._changed and number not in self._since:
            return None
        return self._keys[number]

    def put(self, number: int, keys: Keys) -> None:
        """Keys that were computed."""
        self._keys[number] = keys
        if self._changed:
            self._since.add(number)

    def __getitem__(self, number: int) -> Keys:
        """Keys that are known, without a look whether they are."""
        keys = self._keys[number]
        assert keys is not None
        return keys

    def forget(self, number: int) -> bool:
        """Forget the keys of one recipe. False if nothing was there; what only a note forgot is still there."""
        if self._keys[number] is None:
            return False
        self._keys[number] = None
        return True

    def forget_above(self, number: int, closure: Callable[[int], int]) -> None:
        """Forget the keys of all that are built against a recipe: note it. `closure` gives those of recipes."""
        bit = 1 << number
        self._changed |= bit
        self._since = {other for other in self._since if not closure(other) & bit}

    def complete(self) -> None:
        """The keys of all recipes have been put: notes say nothing any more."""
        self._changed = 0
        self._since.clear()

    def copy(self) -> Known:
        """The same, to be changed by itself."""
        return Known(self._keys.copy(), self._changed, self._since)
