"""Judging: the checks of a week, replayed on a student's functions, and what came out in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from autograder import battery, corpus, results, store, wire
from autograder.calls import CallFailed, LocalSession, Log, Reply, Session, cast
from autograder.closeness import KINK_STEP, RUNS, Calibration, calibrate, record, scales_of
from autograder.comparisons import CheckFailed, Decider, Key, comparing
from autograder.composition import Direct, Distorting, composed
from autograder.corpus import Example, Source
from autograder.course import CourseError, Week
from autograder.exercises import Check, Exercise, Solution
from autograder.literals import script, shown, signatures_of
from autograder.results import CheckResult, Counterexample, ExerciseResult
from autograder.traces import has_value, same_trace, trace
from autograder.trials import (
    Exact,
    LocalReplayer,
    Material,
    Outcome,
    Perturbed,
    Recorded,
    Recording,
    Replayer,
    Trial,
    dtype_of,
    run_body,
)

SHRINK_BUDGET = 200  # runs for a student's counterexample
MISTAKE_BUDGET = 100  # runs for an example from a known mistake
QUICK_RUNS = 4

_ENGINE = Path(__file__).parent
_JUDGES = ("battery", "calls", "closeness", "comparisons", "judge", "probes", "trials")


class Bench:
    """A week made ready for judging: examples, tolerances and the answers of known mistakes, made once."""

    can_shrink = True

    def __init__(self, week: Week) -> None:
        self.week = week
        self._materials: dict[tuple[str, str, str], Material] = {}
        self._corpus_ids: dict[tuple[str, ...], str] = {}
        self._traces: dict[tuple[str, str, str, str], dict[int, tuple[list[Any], bool]]] = {}
        self.exact = Exact(week.references)
        self.signatures = signatures_of(week.references)

    @property
    def functions(self) -> list[str]:
        return [e.name for e in self.week.exercises]

    # Examples and tolerances

    def corpus_id(self, tiers: tuple[str, ...]) -> str:
        """Identifies the examples of all checks in these tiers; says nothing of the seed."""
        if tiers not in self._corpus_ids:
            checks = [c for c in self.week.checks if c.tier in tiers]
            examples = ([dict(t.example.values) for t in self.material(c).trials] for c in checks)
            self._corpus_ids[tiers] = store.fingerprint(*map(wire.encode, examples))
        return self._corpus_ids[tiers]

    def material(self, check: Check) -> Material:
        """The examples of a check with their tolerances."""
        key = (check.exercise, check.tier, check.name)
        if key not in self._materials:
            self._materials[key] = self._prepare(check)
        return self._materials[key]

    def _prepare(self, check: Check) -> Material:
        """Take examples and tolerances from the course's cache, or make them."""
        folder = self.week.cache / self.week.name / check.exercise
        name = f"{check.tier}-{check.name}"
        drawn, earned = self._keys(check)
        saved = store.load(folder / f"{name}.examples", drawn)
        if saved is None:
            examples = self._draw(check)
            store.keep(
                folder / f"{name}.examples", drawn, [[dict(e.values), list(e.choices)] for e in examples]
            )
        else:
            examples = [Example(values, tuple(choices)) for values, choices in saved]
        saved = store.load(folder / f"{name}.tolerances", earned)
        if saved is None:
            try:
                calibrations = self._calibrations(check, examples)
            except CheckFailed as failure:
                raise CourseError(
                    f"{self.week.name}: the reference of {check.exercise} fails the check {check.name}: "
                    f"{failure}. One of the two is wrong"
                ) from failure
            store.keep(folder / f"{name}.tolerances", earned, [c.to_list() for c in calibrations])
        else:
            calibrations = [Calibration.from_list(c) for c in saved]
        return Material(check, [Trial(e, c) for e, c in zip(examples, calibrations, strict=True)])

    def _keys(self, check: Check) -> tuple[str, str]:
        """Fingerprints of what a check's examples and their tolerances depend on."""
        exercise = self.week.exercise(check.exercise)
        how = (check.exercise, check.tier, check.name, check.mode, check.examples, check.inputs)
        what = (exercise.signature, exercise.inputs, exercise.sizes, exercise.methods)
        drawing = store.source_of(_ENGINE / f"{name}.py" for name in ("domains", "corpus", "probes"))
        declared = store.fingerprint(self.week.seed, self.week.name, how, what, drawing)
        course = self.week.sources(check)
        if check.gate:  # its examples include those that mistakes shrink to
            declared = store.fingerprint(declared, course)
        engine = store.source_of(_ENGINE / f"{name}.py" for name in _JUDGES)
        return declared, store.fingerprint(
            declared, course, engine, torch.__version__, torch.backends.cpu.get_cpu_capability()
        )

    def source(self, check: Check) -> Source:
        """What a check's examples are drawn from."""
        exercise = self.week.exercise(check.exercise)
        return Source.of(check, exercise, self.functions, self.week.seed, self.week.name)

    def _draw(self, check: Check) -> list[Example]:
        """The examples of a check; for gates with those to which each known mistake shrinks."""
        source = self.source(check)
        examples = corpus.draw(source)
        if not check.gate or not check.battery:
            return examples
        shrunk: dict[tuple[Any, ...], Example] = {e.choices: e for e in examples}
        for solution in self.week.solutions_of(check.exercise, mistakes=True):
            replayer = LocalReplayer(self.namespace(solution))
            first = next((e for e in examples if self._fails(check, e, replayer)), None)
            if first is not None:
                fails = lambda e, replayer=replayer: self._fails(check, e, replayer) is not None  # noqa: E731
                smallest = corpus.shrink(source, first, fails, MISTAKE_BUDGET)
                shrunk[smallest.choices] = smallest
        return sorted(shrunk.values(), key=corpus.size)

    def _fails(self, check: Check, example: Example, replayer: Replayer) -> Outcome | None:
        """What comes of an example on which the functions clearly fail the check, or None."""
        try:
            calibration = self.calibrate(check, example, runs=QUICK_RUNS)
        except Exception:
            return None  # outside the reference's domain
        if calibration.left_out:
            return None
        for tolerance in calibration.tolerances.values():
            tolerance.absolute *= 4  # few runs measure noise less well
        outcome = replayer.replay([self.job(check, Trial(example, calibration))])[0]
        return outcome if isinstance(outcome.error, CheckFailed) else None

    def _calibrations(self, check: Check, examples: Sequence[Example]) -> list[Calibration]:
        scales = _typical([scales_of(record(self._run(check, e, torch.float64))) for e in examples])
        return [self.calibrate(check, e, scales=scales) for e in examples]

    def calibrate(
        self, check: Check, example: Example, runs: int = RUNS, scales: dict[Key, float] | None = None
    ) -> Calibration:
        """The tolerances of one example; fewer runs are quicker and leave out the accepted answers."""
        dtype, wide = dtype_of(check), torch.float64
        # The reference in the students' dtype counts too: it shows the rounding inside fused operations.
        accepted = [self.week.references]
        if runs >= RUNS:
            accepted += [self.namespace(s) for s in self.week.solutions_of(check.exercise, mistakes=False)]
        recording = Recording(self.exact)
        exact = record(self._run(check, example, wide, reference=recording))
        # What the battery asks the reference does not depend on the student: it need not be computed again.
        replies = recording.replies if check.battery else None
        moved = []
        if check.battery and check.name == "gradients":
            exercise = self.week.exercise(check.exercise)
            moved = [self._run(check, _moved(exercise, example, s), wide) for s in (KINK_STEP, -KINK_STEP)]
        return calibrate(
            self._run(check, example, wide, replies=replies),
            dtype,
            accepted=[self._run(check, example, dtype, names, replies=replies) for names in accepted],
            moved=moved,
            scales=scales,
            runs=runs,
            exact=exact,
        )

    def namespace(self, solution: Solution) -> dict[str, Any]:
        """The references, with one answer in its exercise's place."""
        return {**self.week.references, solution.exercise: solution.function}

    def _run(
        self,
        check: Check,
        example: Example,
        dtype: torch.dtype,
        namespace: Mapping[str, Any] | None = None,
        reference: Session | None = None,
        replies: Sequence[Reply] | None = None,
    ) -> Callable[[], None]:
        """A run of the check with functions of ours, by default the references, in the student's place."""
        values = self.values(check, example, dtype)
        names = self.week.references if namespace is None else namespace

        def run() -> None:
            right = (reference or self.exact) if replies is None else Recorded(replies)
            run_body(self.week, check, Perturbed(names), right, values, [])

        return run

    def values(self, check: Check, example: Example, dtype: torch.dtype | None = None) -> dict[str, Any]:
        """An example's values in the dtype in which the check is run."""
        return cast(dict(example.values), dtype or dtype_of(check))

    def answers(self, check: Check, trial: Trial) -> Session:
        """The reference's answers on an example; what the battery asks is answered once and kept."""
        if not check.battery:
            return self.exact
        if trial.replies is None:
            recording = Recording(self.exact)
            outcome = self.job(check, trial, lambda session: recording)(LocalSession(self.week.references))
            trial.replies = recording.replies if outcome.error is None else []
        return Recorded(trial.replies) if trial.replies else self.exact

    # Judging

    def job(
        self, check: Check, trial: Trial, reference: Callable[[Session], Session] | None = None
    ) -> Callable[[Session], Outcome]:
        """What judges one example, given a session; `reference` makes another reference than the week's."""
        if trial.values is None:
            trial.values = self.values(check, trial.example)
        values = trial.values

        def run(session: Session) -> Outcome:
            log: Log = []
            decider = Decider(
                trial.calibration.tolerances, dtype_of(check), check.double, lenient=bool(reference)
            )
            error: CheckFailed | CallFailed | None = None
            with comparing(decider):
                try:
                    right = reference(session) if reference else self.answers(check, trial)
                    run_body(self.week, check, session, right, values, log)
                except (CheckFailed, CallFailed) as failure:
                    error = _light(failure)
                except (
                    TypeError,
                    ValueError,
                    RuntimeError,
                    LookupError,
                    AttributeError,
                    ArithmeticError,
                    MemoryError,
                ) as failure:
                    # The reference's values do not do that: what the student's function returned is unusable.
                    why = f"{type(failure).__name__}: {failure}"
                    error = CheckFailed(f"the result can't be used: {why[:1000]}", kind="type")
            return Outcome(error, log, decider.compared)

        return run

    def judge_exercise(
        self,
        name: str,
        replayer: Replayer,
        tiers: tuple[str, ...] = ("public", "hidden"),
        shrink: bool = True,
    ) -> ExerciseResult:
        """Judge one exercise; `replayer` holds the student's functions."""
        checks = self.week.checks_of(name, tiers)
        if not checks:
            raise ValueError(f"tiers {tiers!r}: {name} has no check in them")
        judged: list[CheckResult] = []
        diagnosis = ""
        absent: CallFailed | None = None  # the error that makes it idle to go on
        deaths = 0
        for check in checks:
            if absent is not None:
                judged.append(_result(check, results.FAILED, _not_run(absent)))
                continue
            outcomes = replayer.replay([self.job(check, t) for t in self.material(check).judged])
            # One shrunk example says enough; the corpus' own are small.
            first_failure = all(r.verdict == results.PASSED for r in judged)
            result = self._verdict(check, outcomes, replayer, shrink and self.can_shrink and first_failure)
            judged.append(result)
            if result.verdict == results.FAILED:
                diagnosis = diagnosis or self.diagnose(check, outcomes)
                error = next(o.error for o in outcomes if o.error is not None)
                if isinstance(error, CallFailed) and error.kind in _DEATHS:
                    deaths += 1
                if isinstance(error, CallFailed) and (
                    (check.gate and is_absent(error)) or deaths >= MOST_DEATHS
                ):
                    absent = error
        return _exercise_result(name, checks, judged, diagnosis, absent)

    def _verdict(
        self, check: Check, outcomes: list[Outcome], replayer: Replayer, shrink: bool
    ) -> CheckResult:
        material = self.material(check)
        counts = {"examples": len(outcomes), "left_out": len(material.left_out)}
        if not outcomes:
            return _result(
                check, results.FAULT, "every example was left out: the check can't be judged", **counts
            )
        failing = [i for i, o in enumerate(outcomes) if o.error is not None]
        if not failing:
            return _result(check, results.PASSED, "", points=check.points, **counts)
        outcome = outcomes[failing[0]]
        if shrink and isinstance(outcome.error, CheckFailed):
            smaller = self._shrunk(check, material.judged[failing[0]], replayer)
            outcome = smaller or outcome
        assert outcome.error is not None
        message = outcome.error.message if isinstance(outcome.error, CheckFailed) else explain(outcome.error)
        return _result(check, results.FAILED, message, counterexample=self._counterexample(outcome), **counts)

    def _shrunk(self, check: Check, trial: Trial, replayer: Replayer) -> Outcome | None:
        """The outcome on the smallest failing example that Hypothesis finds from this one."""
        found: dict[tuple[Any, ...], Outcome] = {}

        def fails(example: Example) -> bool:
            outcome = self._fails(check, example, replayer)
            if outcome is not None:
                found[example.choices] = outcome
            return outcome is not None

        best = corpus.shrink(self.source(check), trial.example, fails, SHRINK_BUDGET)
        return found.get(best.choices)

    def _counterexample(self, outcome: Outcome) -> Counterexample | None:
        if not outcome.log:
            return None
        error = outcome.error
        _, last_reply = outcome.log[-1]
        if isinstance(error, CheckFailed):
            got = shown(last_reply.get("value")) if error.got is None else shown(error.got)
            if error.kind == "gradient" and error.got is None:
                got = "no gradient"
            expected = "" if error.expected is None else shown(error.expected)
            where = error.where
        else:
            assert error is not None
            got, expected, where = f"no value ({error.type or error.kind})", "", ""
        return Counterexample(script(outcome.log, self.signatures), expected, got, where)

    def excuse(
        self, result: ExerciseResult, sessions: Replayer, broken: Sequence[str], tiers: tuple[str, ...]
    ) -> ExerciseResult:
        """Judge again an exercise that calls the student's own, wrong answers to earlier ones.

        It counts if it agrees with the reference composed with those answers, also when these are distorted:
        of wrong answers such as zeros, anything can be composed. A property that fails is excused where the
        composed reference fails it too.

        Args:
            result: what came out against the reference alone.
            sessions: holds the student's functions; its calls may not be batched.
            broken: the earlier exercises that are wrong.
        """
        exercise = self.week.exercise(result.name)
        # Another way through these and those that call them may be right, too.
        first = [name for name in broken if not set(self.week.exercise(name).uses) & set(broken)]

        def reference(session: Session, distort: Sequence[str] = ()) -> Session:
            answer = composed(exercise, broken, session, distort)
            return Exact({**self.week.references, exercise.name: answer})

        def distorted(check: Check, trial: Trial) -> Callable[[Session], Outcome]:
            return lambda session: self.job(check, trial, lambda _: reference(session, first))(
                Distorting(session, first)
            )

        checks = self.week.checks_of(exercise.name, tiers)
        judged = []
        for check, before in zip(checks, result.checks, strict=True):
            if before.verdict not in (results.FAILED,):
                judged.append(
                    replace(
                        before, message="", points=check.points if before.verdict == results.PASSED else 0
                    )
                )
                continue
            trials = self.material(check).judged
            if check.battery:
                jobs = [self.job(check, t, reference) for t in trials]
                jobs += [distorted(check, t) for t in trials] if check.gate else []
                right = all(sessions.replay([job])[0].error is None for job in jobs)
                if check.gate and not right:
                    return result  # no other point counts
            else:
                right = any(
                    self.job(check, t)(reference(session)).error is not None
                    for t in trials
                    for session in [Direct(sessions)]
                )
            judged.append(
                _result(check, results.PASSED, "", points=check.points, examples=len(trials))
                if right
                else before
            )
        again = _exercise_result(exercise.name, checks, judged, result.misconception, None)
        if again.score <= result.score:
            return result
        names = " and ".join(broken)
        again.notes = [*result.notes, f"It calls your own {names}; what is wrong there costs nothing here."]
        again.misconception = "" if again.score == again.max_score else again.misconception
        return again

    # Diagnosis

    def diagnose(self, check: Check, outcomes: list[Outcome]) -> str:
        """The sentence of the one mistake that gives the student's values on all failing examples, or ""."""
        failing = [i for i, o in enumerate(outcomes) if o.error is not None]
        if not failing:
            return ""
        mine = [trace(o.log) for o in outcomes]
        # Errors alone say too little: many different mistakes raise the same one.
        if not any(has_value(mine[i]) for i in failing):
            return ""

        def gives_mine(solution: Solution, i: int) -> bool:
            return same_trace(mine[i], self.mistake_trace(check, solution, i)[0])

        named = [
            solution
            for solution in self.week.solutions_of(check.exercise, mistakes=True)
            # Most mistakes are told apart by the first example: the others are not computed.
            if all(self.mistake_trace(check, solution, i)[1] and gives_mine(solution, i) for i in failing)
        ]
        if len(named) > 1:
            named = [s for s in named if all(gives_mine(s, i) for i in range(len(mine)))]
        return named[0].sentence or "" if len(named) == 1 else ""

    def mistake_trace(self, check: Check, solution: Solution, i: int) -> tuple[list[Any], bool]:
        """A mistake's trace on the i-th judged example of a check, and whether it fails there."""
        known = self._traces.setdefault((check.exercise, check.tier, check.name, solution.name), {})
        if i not in known:
            job = self.job(check, self.material(check).judged[i])
            outcome = job(LocalSession(self.namespace(solution)))
            known[i] = (trace(outcome.log), outcome.error is not None)
        return known[i]


LONGEST_MESSAGE = 2000  # characters
MOST_KEPT = 1 << 20  # elements of a tensor that a failure is explained with


def _light(error: CheckFailed | CallFailed) -> CheckFailed | CallFailed:
    """The error without tensors that nobody can read: those that checks compute can be huge."""
    if isinstance(error, CheckFailed):
        for name in ("got", "expected"):
            value = getattr(error, name)
            if isinstance(value, torch.Tensor) and value.numel() > MOST_KEPT:
                setattr(error, name, None)
        error.__traceback__ = error.__context__ = None  # their frames hold more
    return error


_DEATHS = ("time", "memory", "disk", "crashed", "exited", "protocol", "died")
MOST_DEATHS = 2  # of guests in one exercise


def is_absent(error: CallFailed) -> bool:
    """Nothing can be judged: the function is missing, left as it was handed out, or ends its process."""
    return error.kind == "missing" or error.type == "NotImplementedError" or error.kind in _DEATHS


def explain(error: CallFailed) -> str:
    """What went wrong in a call, as a sentence."""
    if error.kind == "missing":
        return f"{error}"
    if error.type == "NotImplementedError":
        return "this is not written yet: it raises NotImplementedError"
    if error.type == "MemoryError" or "can't allocate memory" in str(error):
        return "it asks for more memory than there is"
    if error.kind == "raised":
        return f"it raises {error.type}: {str(error).removeprefix(error.type + ': ')}"
    return str(error)


def _not_run(error: CallFailed) -> str:
    if error.kind in _DEATHS:
        return f"not run, because of an earlier call: {str(error).removeprefix('not run: ')}"
    return "not run: " + ("the function is not there" if error.kind == "missing" else "it is not written yet")


def _result(check: Check, verdict: str, message: str, points: float = 0, **more: Any) -> CheckResult:
    if len(message) > LONGEST_MESSAGE:  # it may list what a student's answer holds
        message = message[:LONGEST_MESSAGE] + " …"
    return CheckResult(check.name, check.title, check.tier, verdict, points, check.points, message, **more)


def _exercise_result(
    name: str, checks: Sequence[Check], judged: list[CheckResult], diagnosis: str, absent: CallFailed | None
) -> ExerciseResult:
    """Sum up: the other points count only where the gates are passed."""
    verdicts = [r.verdict for r in judged]
    shut = any(r.verdict != results.PASSED for c, r in zip(checks, judged, strict=True) if c.gate)
    if shut:
        for result in judged:
            if result.verdict == results.PASSED:
                result.points = 0
                result.message = "passed, but it counts only once the function agrees with the reference"
    score, most = sum(r.points for r in judged), sum(r.max_points for r in judged)
    if results.FAULT in verdicts:
        status = "fault"
    elif absent is not None and absent.kind not in _DEATHS:
        status = "missing" if absent.kind == "missing" else "untouched"
    else:
        status = "passed" if score == most else "partial" if score else "failed"
    return ExerciseResult(name, score, most, judged, status, diagnosis)


def _typical(scales: Iterable[dict[Key, float]]) -> dict[Key, float]:
    """The median magnitude of each comparison over the corpus, or a share of the largest."""
    gathered: dict[Key, list[float]] = {}
    for scale in scales:
        for key, value in scale.items():
            gathered.setdefault(key, []).append(value)
    return {
        key: max(sorted(values)[len(values) // 2], 0.01 * max(values)) for key, values in gathered.items()
    }


def _moved(exercise: Exercise, example: Example, step: float) -> Example:
    """The example with its differentiable inputs moved by about `step`, in float64."""
    generator = torch.Generator().manual_seed(0)
    values = dict(example.values)
    for name in [*battery.differentiated(exercise), *(["state"] if exercise.is_class else [])]:
        values[name] = _shift(values[name], step, generator)
    return Example(values, example.choices)


def _shift(value: Any, step: float, generator: torch.Generator) -> Any:
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        wide = value.to(torch.float64)
        return wide + step * (1 + wide.abs()) * torch.randn(
            wide.shape, generator=generator, dtype=torch.float64
        )
    if isinstance(value, (list, tuple)):
        return type(value)(_shift(v, step, generator) for v in value)
    if isinstance(value, dict):
        return {k: _shift(v, step, generator) for k, v in value.items()}
    return value
