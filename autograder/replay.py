"""Replaying checks in a guest: all examples of a check at once, and fresh guests for those that die."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from greenlet import greenlet

from autograder.calls import CallFailed, Reply, Request, Session
from autograder.guests import Allowance, Cell, CellResult, Guest, GuestDied, Limits, Zygote
from autograder.trials import Outcome

log = logging.getLogger(__name__)

Job = Callable[[Session], Outcome]

MOST_DEATHS_IN_CELLS = 3
MOST_DEATHS_IN_CALLS = 24  # per submission; the judge also gives up on an exercise after a few
MOST_KILLED = 3  # guests per submission that may be killed from outside without being counted
MOST_NOTEBOOKS = 3  # the time that all runs of the notebook may take, as a multiple of what one may


@dataclass
class Sitting:
    """One submission's guests: the notebook is run in the first, and again in each that has to follow."""

    zygote: Zygote
    cells: Sequence[Cell]
    limits: Limits
    results: list[CellResult | None] = field(default_factory=list)  # of the cells, in the first guest
    fatal: dict[int, GuestDied] = field(
        default_factory=dict
    )  # cells that ended their guest, left out afterwards
    end: int = field(init=False)  # cells from here on are left out: those before take all the time
    deaths: int = 0
    cpu_seconds: float = 0.0
    careful: bool = False  # each call is answered at once, so that it is known which one ends a guest
    _killed: int = 0
    _notebooks: float = 0.0  # CPU seconds of all runs of the notebook
    _calls: Allowance = field(default_factory=lambda: Allowance(float("inf"), "all calls"))
    _guest: Guest | None = None

    def __post_init__(self) -> None:
        self.end = len(self.cells)

    def begin(self) -> None:
        """Begin another exercise: what was spent on those before doesn't count against it."""
        self._calls = Allowance(self.limits.exercise_cpu, "all calls of this exercise")

    @property
    def _over(self) -> str:
        """Why no more calls are made, or nothing."""
        if self.deaths >= MOST_DEATHS_IN_CALLS:
            return "earlier calls ended too many guests"
        if self._notebooks > MOST_NOTEBOOKS * self.limits.notebook_cpu:
            return "earlier calls ended guests, and the notebook takes too long to be run again"
        return self._calls.overrun and f"earlier calls {self._calls.overrun}"

    def guest(self) -> Guest:
        """The live guest, with the notebook run in it."""
        while self._guest is None or not self._guest.alive:
            self._retire()
            guest = self._guest = self.zygote.guest(self.limits)
            first = not self.results
            left = [i for i in range(self.end) if i not in self.fatal]
            done: list[CellResult] = []
            # What has run in time once may be slower the next time.
            together = Allowance(self.limits.notebook_cpu * (1 if first else 2), "all cells")
            try:
                if len(self.fatal) <= MOST_DEATHS_IN_CELLS:
                    done = guest.run([self.cells[i] for i in left], together)
            except GuestDied as death:
                if self._forgiven(death):
                    continue
                done = death.answered
                culprit = left[len(done)]
                self.fatal[culprit] = death
                if together.overrun:
                    self.end = culprit
            self._notebooks += guest.cpu_seconds
            if first or (len(self.fatal) and not self._complete):
                self.results = [None] * len(self.cells)
                for i, result in zip(left, done, strict=False):
                    self.results[i] = result
        return self._guest

    def _forgiven(self, death: GuestDied) -> bool:
        """Whether to try once more, since the student may have no part in it: a few times per submission."""
        self._killed += death.killed
        if forgiven := death.killed and self._killed <= MOST_KILLED:
            log.warning("a guest was killed, perhaps from outside (%s); once more", death.detail)
        return forgiven

    @property
    def _complete(self) -> bool:
        return all(r is not None or i in self.fatal for i, r in enumerate(self.results[: self.end]))

    def _retire(self) -> None:
        if self._guest is not None:
            self._guest.kill()
            self.cpu_seconds += self._guest.cpu_seconds
            self._guest = None

    def close(self) -> None:
        """End the guest and count its time."""
        self._retire()

    # Replaying

    def replay(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Run all jobs, their calls sent together. A call that overran is repeated alone before it counts.

        The first job that ends its guest ends the replay: jobs that had calls to make then get an outcome
        without an error, of kind not run.
        """
        outcomes: list[Outcome | None] = [None] * len(jobs)
        suspects: set[int] = set()
        while any(o is None for o in outcomes):
            todo = [i for i, o in enumerate(outcomes) if o is None]
            alone = [i for i in todo if i in suspects][:1]
            died = self._round(jobs, alone or todo, outcomes)
            if died is None:
                continue
            culprit, death, confirmed = died
            if death.kind == "time" and not confirmed and culprit not in suspects:
                suspects.add(culprit)
                continue
            for i, outcome in enumerate(outcomes):
                if outcome is None:
                    outcomes[i] = Outcome(None, [])
            break
        return [o for o in outcomes if o is not None]

    def ask(self, request: Request) -> Reply:
        """One call; a guest that dies over it gives an error."""
        if self._over:
            return _gone("died", f"not run: {self._over}")
        try:
            return self.guest().perform([request], together=self._calls)[0]
        except GuestDied as death:
            if self._forgiven(death):
                return self.ask(request)
            self.deaths += 1
            return _gone(death.kind, death.detail)

    def _round(
        self, jobs: Sequence[Job], todo: Sequence[int], outcomes: list[Outcome | None]
    ) -> tuple[int, GuestDied, bool] | None:
        """Run jobs until all are done or the guest dies: then which job ended it, and how, if known."""
        asks: dict[int, tuple[greenlet, Request]] = {}

        def advance(i: int, glet: greenlet, *reply: Any) -> None:
            passed = glet.switch(*reply)
            if glet.dead:
                outcomes[i] = passed
            else:
                asks[i] = (glet, passed)

        for i in todo:
            advance(i, greenlet(jobs[i]), _Calling())
        while asks:
            pending = list(asks.items())
            asks.clear()

            def heard(k: int, reply: Reply, pending: list[Any] = pending) -> None:
                i, (glet, _) = pending[k]
                advance(i, glet, reply)

            if over := self._over:
                for k in range(len(pending)):
                    heard(k, _gone("died", f"not run: {over}"))
                continue
            try:
                requests = [request for _, (_, request) in pending]
                self.guest().perform(requests, heard, self._calls, held=not self.careful)
            except GuestDied as death:
                if self._forgiven(death):
                    return None
                self.deaths += 1
                if not self.careful and len(requests) > 1:
                    self.careful = True  # the next round shows which call it was
                    return None
                culprit, (glet, _) = pending[len(death.answered)]
                if death.kind == "time" and len(todo) > 1:
                    return culprit, death, False
                if glet.dead or culprit in asks:  # a guest that says too much has answered this one before
                    outcomes[culprit] = Outcome(CallFailed(death.kind, "", death.detail), [])
                else:
                    advance(culprit, glet, _gone(death.kind, death.detail))
                return culprit, death, True
        return None


@dataclass
class OneByOne:
    """Replays jobs one after another outside of greenlets, which autograd's backward can't be left from."""

    sitting: Sitting

    def replay(self, jobs: Sequence[Job]) -> list[Outcome]:
        return [job(_Asking(self.sitting)) for job in jobs]


@dataclass
class _Asking:
    """A session that asks at once."""

    sitting: Sitting

    def perform(self, request: Request) -> Reply:
        return self.sitting.ask(request)


class _Calling:
    """A session whose calls leave the greenlet and come back with the reply."""

    def perform(self, request: Request) -> Reply:
        parent = greenlet.getcurrent().parent
        assert parent is not None
        reply: Reply = parent.switch(request)
        return reply


def _gone(kind: str, detail: str) -> Reply:
    return {"error": {"kind": kind, "type": "", "message": detail, "traceback": ""}}
