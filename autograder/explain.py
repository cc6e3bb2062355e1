"""A regrade request answered in words: what an exercise was asked, with what inputs, and what came out.

What came out is told from the report, what was asked from the course: examples and tolerances are the same
for everyone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from autograder.calls import CallFailed
from autograder.closeness import FACTOR
from autograder.collect import find_submissions
from autograder.confinement import Level
from autograder.course import CourseError
from autograder.exercises import Check
from autograder.grading import bounded_memory, examination, versions
from autograder.guests import Zygote
from autograder.judge import Bench, explain
from autograder.pages import SYMBOLS, capital, number, plain, points, remark, sentence, status
from autograder.probes import Probe
from autograder.results import PASSED, CheckResult, Counterexample, ExerciseResult, Report
from autograder.submissions import Submission, read_submission
from autograder.trials import Outcome

MOST_SHOWN = 5  # failing examples of a check


def exercise_of(report: Report, name: str) -> ExerciseResult:
    """The exercise of this name in a report; CourseError says which there are."""
    for exercise in report.exercises:
        if exercise.name == name:
            return exercise
    names = ", ".join(e.name for e in report.exercises)
    raise CourseError(f"exercise {name!r} is not in this report of {report.assignment}; it has {names}")


def explained(report: Report, exercise: str, ready: Bench | None = None) -> str:
    """What was checked of one exercise, with what inputs, and what came out.

    Args:
        report: of the submission in question.
        exercise: its name.
        ready: the week's bench; without it nothing is said of inputs.
    """
    result = exercise_of(report, exercise)
    return plain(
        "\n".join([*_head(report, result), *_changed(report, ready), *_checks(result, ready)]), 200_000
    )


def _head(report: Report, result: ExerciseResult) -> Iterator[str]:
    score = f"{number(result.score)} of {number(result.max_score)} points"
    yield f"{result.name}, handed in by {report.student}: {score} ({status(result)})"
    file, digest = (report.submission.get(key, "unknown") for key in ("file", "digest"))
    yield (
        f"Graded from {file} (digest {digest[:12]}) with {' and '.join(report.tiers)} checks, in guests with "
        f"{', '.join(f'{key} {value}' for key, value in report.confinement.items())}."
    )
    for problem in report.problems:
        yield capital(problem)
    if result.misconception:
        yield f"What probably went wrong: {result.misconception}"
    for note in result.notes:
        yield f"Note: {capital(note)}"
    if not result.checks:
        yield "It was not judged."


def _changed(report: Report, ready: Bench | None) -> Iterator[str]:
    """What is no longer as it was when the report was written."""
    if ready is None:
        yield "There is no course here, so that nothing can be said of the inputs: name it with --course DIR."
    elif ready.corpus_id(tuple(report.tiers)) != report.corpus:
        yield "The examples have changed since then: what is said of inputs here is as it is now."
    elif versions(ready).get("checks") != report.versions.get("checks"):
        yield "Checks, references or known answers have changed since then: tolerances may have, too."


def _checks(result: ExerciseResult, ready: Bench | None) -> Iterator[str]:
    for check in result.checks:
        yield ""
        yield f"{SYMBOLS.get(check.verdict, '?')} {check.name} ({check.tier}, {points(check)} points)"
        yield f"  What was asked: {sentence(check.title)}"
        own = _check_of(ready, result.name, check)
        if ready is not None and own is not None:
            yield from _indented(_material(ready, own), 2)
        elif ready is not None:
            yield "  There is no such check now."
        came = remark(check) or ("right on all of them." if check.verdict == PASSED else check.verdict)
        yield f"  What came out: {came}"
        if check.counterexample:
            yield from _example(check.counterexample)


def _example(example: Counterexample) -> Iterator[str]:
    if example.expected:
        yield f"    expected  {example.expected}"
    yield f"    got       {example.got}"
    yield "  The smallest input found on which it fails:"
    yield from _indented(iter(["", *example.code.splitlines()]), 4)


def _check_of(ready: Bench | None, exercise: str, result: CheckResult) -> Check | None:
    if ready is None or exercise not in ready.functions:
        return None
    checks = ready.week.checks_of(exercise, (result.tier,))
    return next((c for c in checks if c.name == result.name), None)


def _indented(lines: Iterator[str], columns: int) -> Iterator[str]:
    return ((" " * columns + line).rstrip() for line in lines)


def _material(ready: Bench, check: Check) -> Iterator[str]:
    """The inputs of a check and how close an answer has to be."""
    material = ready.material(check)
    left_out = Counter(t.calibration.left_out for t in material.left_out)
    yield f"Asked on {_count(len(material.judged), 'example')}, the same for everyone."
    for reason, count in left_out.items():
        yield f"Left out for everyone: {_count(count, 'example')}, since {reason}."
    drawn = [ready.values(check, t.example) for t in material.judged]
    for name in drawn[0] if drawn else ():
        yield f"  {name}: {described([values[name] for values in drawn])}"
    earned = [t for trial in material.judged for t in trial.calibration.tolerances.values()]
    allowed = [t.absolute for t in earned if not t.left_out and t.absolute]
    if allowed:
        yield (
            f"Besides its last digits, a right answer may be off by {min(allowed):.2g} to {max(allowed):.2g},"
            f" depending on the example: {FACTOR:g} times what rounding does to known right answers."
        )


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}{'' if n == 1 else 's'}"


def described(values: Sequence[Any]) -> str:
    """What the values of one parameter have in common: shapes, ranges, kinds."""
    kinds: dict[str, list[Any]] = {}
    for value in values:
        kinds.setdefault(_kind(value), []).append(value)
    return " or ".join(_described(kind, same) for kind, same in kinds.items())


def _kind(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return str(value.dtype).removeprefix("torch.")
    return value.kind if isinstance(value, Probe) else type(value).__name__


def _described(kind: str, values: Sequence[Any]) -> str:
    first = values[0]
    if isinstance(first, torch.Tensor):
        shapes = sorted({tuple(v.shape) for v in values}, key=lambda s: (torch.Size(s).numel(), s))
        form = f"shape {shapes[0]}"
        if len(shapes) > 1:
            form = f"{len(shapes)} shapes from {shapes[0]} to {shapes[-1]}"
        return f"{kind}, {form}{_range(list(chain.from_iterable(v.flatten().tolist() for v in values)))}"
    if isinstance(first, (bool, type(None))):
        return " or ".join(sorted({str(v) for v in values}))
    if isinstance(first, (int, float)):
        return f"{kind}{_range(values)}"
    if isinstance(first, (str, list, tuple)):
        sizes = [len(v) for v in values]
        return f"{kind} of length {min(sizes)} to {max(sizes)}"
    if isinstance(first, dict):
        return f"{kind} with {', '.join(dict.fromkeys(str(k) for v in values for k in v))}"
    return f"{kind} ({_count(len(values), 'example')})"


def _range(numbers: Sequence[Any]) -> str:
    real = [n for n in numbers if not isinstance(n, complex) and abs(n) < float("inf")]
    if not real:
        return ""
    odd = ", also infinite or nan" if len(real) < len(numbers) else ""
    return f", values from {min(real):.4g} to {max(real):.4g}{odd}"


# Once more, in a guest


def replayed(
    report: Report, exercise: str, ready: Bench, submission: Submission, level: Level, secrets: Sequence[Path]
) -> str:
    """What comes out if the exercise is judged again now, in a guest of its own."""
    before = exercise_of(report, exercise)
    tier = "hidden" if "hidden" in report.tiers and ready.can_shrink else "public"
    with Zygote(level=level, secrets=secrets) as zygote, bounded_memory():
        examined = examination(ready, submission, zygote, tier, execute="all")
        try:
            now = examined.result(exercise)
            lines = list(_again(before, now))
            for result in now.checks:
                check = _check_of(ready, exercise, result)
                if result.verdict != PASSED and check is not None:
                    trials = ready.material(check).judged
                    examined.sitting.begin()
                    outcomes = examined.sitting.replay([ready.job(check, t) for t in trials])
                    lines += ["", *_failing(check, outcomes)]
        finally:
            examined.sitting.close()
    return plain("\n".join(lines), 200_000)


def _again(before: ExerciseResult, now: ExerciseResult) -> Iterator[str]:
    yield f"Run again now: {number(now.score)} of {number(now.max_score)} points ({status(now)})."
    if (before.score, before.max_score) == (now.score, now.max_score):
        yield "The mark is the same as in the report."
    else:
        yield f"The report says {number(before.score)} of {number(before.max_score)}: the mark would change."
    for note in now.notes:
        yield f"Note: {capital(note)}"
    verdicts = {(c.name, c.tier): c.verdict for c in before.checks}
    for check in now.checks:
        was = verdicts.get((check.name, check.tier), "not asked")
        if was != check.verdict:
            yield f"{check.name}: {was} in the report, {check.verdict} now."


def _failing(check: Check, outcomes: Sequence[Outcome]) -> Iterator[str]:
    failing = [(i, o.error) for i, o in enumerate(outcomes, 1) if o.error is not None]
    yield f"{check.name} fails on {len(failing)} of {_count(len(outcomes), 'example')}:"
    for i, error in failing[:MOST_SHOWN]:
        said = explain(error) if isinstance(error, CallFailed) else error.message
        yield f"  example {i}: {plain(capital(said), 1000)}"
    if len(failing) > MOST_SHOWN:
        yield f"  and {len(failing) - MOST_SHOWN} more"


# What was handed in


def submission_of(report: Report, path: Path, given: Path | None, scratch: Path) -> tuple[Submission, str]:
    """The submission that a report is about, and a remark if it is not the one that was graded.

    Args:
        report: which says the digest.
        path: the report's file: by default its folder, the one above and the working directory are searched,
            and submitted/ and autograded/ in them.
        given: where to look instead: a file, a student's folder, a class.
        scratch: for what archives hold, as in `find_submissions`.

    Raises:
        CourseError: says where it was looked for.
    """
    folders = dict.fromkeys([path.resolve().parent, path.resolve().parent.parent, Path.cwd()])
    names = (report.submission.get("file", ""), "submitted", "autograded")
    places = [given] if given else [f / n for f in folders for n in names if n and (f / n).exists()]
    entries = find_submissions(places, report.assignment, scratch).entries if places else []
    digest = report.submission.get("digest")
    readable = []
    for entry in sorted(entries, key=lambda e: e.student != report.student):
        submission = read_submission(entry.path, report.assignment, report.student, entry.problem)
        if not submission.problems and submission.digest == digest:
            return submission, ""
        readable += [submission] if not submission.problems else []
    if given and len(readable) == 1:
        return readable[0], f"{given} is not what the report is about: its code has changed since."
    where = f"in {given}" if given else f"beside {path}"
    raise CourseError(
        f"what {plain(report.student, 100)} handed in (digest {str(digest)[:12]}) is not {where}: say with "
        "--submission PATH where it is"
    )
