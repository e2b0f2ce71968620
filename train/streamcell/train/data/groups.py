"""Groups (people, takes, folds) that a recipe holds out, by name."""

from __future__ import annotations

from collections.abc import Sequence

from streamcell.runtime.errors import InputError

MOST_NAMES = 40
"""How many groups a message names."""


def check_groups(there: Sequence[str], validation_groups: Sequence[str], test_groups: Sequence[str]) -> None:
    """Raise `InputError` where a group that is held out is not there, or is held out twice.

    >>> check_groups(["ann"], ["zoe"], [])
    Traceback (most recent call last):
    streamcell.runtime.errors.InputError: the data has no groups ['zoe'], which the recipe holds out; there are ['ann']
    """
    held, test = set(validation_groups), set(test_groups)
    if unknown := sorted((held | test).difference(there)):
        more = f" and {len(there) - MOST_NAMES} more" if len(there) > MOST_NAMES else ""
        raise InputError(
            f"the data has no groups {unknown}, which the recipe holds out; there are {list(there[:MOST_NAMES])}{more}"
        )
    if both := sorted(held & test):
        raise InputError(f"groups {both} are in validation_groups and in test_groups; leave them in one of them")
