"""Objects under construction: their members are made, tested and settled one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.validation.empties import Cleaner
from destinations.segment.validation.fits import PART_UNFIT, Fit, Unfit, judgeable
from destinations.segment.validation.keywords import Errors, Rule

__all__ = ["Member", "compile_settler", "fill"]


class Member(NamedTuple):
    """One member of an object: where its value comes from, and how it is taken.

    ``get`` returns the value for the data, UNDEFINED for none. A value that passes the test ``fit``
    is put as it is. Any other is given to ``settle``, which returns it as its field has it;
    UNDEFINED if nothing is left of it, `Unfit` if it is wrong or has to wait for what comes before.
    """

    key: str
    get: Callable[[Any], Any]
    fit: Fit
    settle: Callable[[Any], Any]


def fill(members: Iterable[Member], data: Any, into: dict[str, Any], unsettled: list[str]) -> None:
    """Put the members that the data has into an object, and the keys of those that do not fit.

    `destinations.segment.payload_code` prints the same for one set of members.
    """
    for key, get, fit, settle in members:
        value = get(data)
        if value is UNDEFINED:
            continue
        if not fit.holds(value):
            value = settle(value)
            if value is UNDEFINED:
                continue
            if type(value) is Unfit:
                value = value.value
                unsettled.append(key)
        into[key] = value


def compile_settler(clean: Cleaner, rule: Rule | None) -> Callable[[Any], Any]:
    """Return the function that settles values that do not fit as they are; see `Member`.

    Without a rule they wait to be judged.
    """

    def settle(value: Any) -> Any:
        if value is PART_UNFIT:
            return value
        cleaned = clean(judgeable(value))
        if cleaned is UNDEFINED:
            return cleaned
        # One that came unfit may hold what JSON cannot, which checks of the whole have to see.
        if rule is None or type(value) is Unfit:
            return Unfit(cleaned)
        errors: Errors = []
        settled = rule(cleaned, errors)
        return Unfit(cleaned) if errors else settled

    return settle
