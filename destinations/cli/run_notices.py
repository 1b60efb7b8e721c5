"""Print notices on standard error during a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from destinations.cli.progress import tell
from destinations.operations import InterruptedRerun, shown_time
from destinations.pipeline.observer import Observer
from destinations.pipeline.queue import Transition
from destinations.secrets import Masker

__all__ = ["Notices", "report_interrupted_reruns", "report_resumed_rerun"]

_EVERY_SECONDS = 10.0


class Notices(Observer):
    """Reports a partner that does not answer, and answers that are waited for.

    ``name`` is that of the partner. A run waits ``outage`` seconds for it.
    """

    def __init__(
        self,
        name: str,
        outage: float,
        masker: Masker,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._outage = outage
        self._masker = masker
        self._monotonic = monotonic
        self._is_away = False
        self._told_at = float("-inf")

    def is_away(self, reason: str) -> None:
        """Tell that the partner does not answer, once until it does."""
        if not self._is_away:
            self._is_away = True
            why = self._masker.text(reason)
            text = f"{self._name} does not answer ({why}); waiting up to {self._outage:g} s."
            tell(text)

    def transitioned(self, destination: str, transitions: Sequence[Transition]) -> None:  # noqa: ARG002 - there is one
        """See `Observer.transitioned`."""
        failed = [
            one
            for one in transitions
            if one.result.retry is not None
            and one.result.retry.whole_request
            and one.result.retry.concerns == "event"
            and one.result.code != "INVALID_AUTHENTICATION"  # which ends the run
        ]
        if failed and len(failed) == len(transitions):
            self.is_away(failed[0].result.reason)
        elif self._is_away and any(one.ends_waiting and one.stage != "plan" for one in transitions):
            self._is_away = False
            tell(f"{self._name} answers again.")

    def waits(self, answers: int) -> None:
        """Tell, now and then, that lost answers are all that is waited for."""
        now = self._monotonic()
        if now - self._told_at >= _EVERY_SECONDS:
            self._told_at = now
            what = "1 lost answer" if answers == 1 else f"{answers:,} lost answers"
            tell(
                f"Waiting to ask {self._name} about {what}; press Ctrl-C to leave that to the "
                "next run."
            )


def report_resumed_rerun(since: float) -> None:
    """Tell that an input is being sent again already."""
    tell(
        f"Continuing the --again of this input that began at {shown_time(since)} and was "
        "interrupted: what was delivered since then is not sent once more."
    )


def report_interrupted_reruns(others: Sequence[InterruptedRerun]) -> None:
    """Say that other inputs were being sent again, so that this one is not taken for them."""
    for one in others:
        tell(
            f"An --again of {one.source} that began at {shown_time(one.since)} was interrupted. "
            "This input has different content: all of it is sent once more."
        )
