"""How close right answers come to the reference, and how far wrong ones stay, in units of the tolerance.

\b
python benchmarks/closeness.py [WEEK...] [--exercise NAME] [--format json]

Accepted answers and mistakes are run as a student's on the recorded examples of the battery's `agrees`
(float32) and `precision` (float64). An element's tolerance is what the judge allows: 8 deviations plus
4 u |expected|. A mistake counts on the examples on which it is another function: computed in float64, it is
off by more than 1e-6 (`precision`: 1e-10) of the answer's scale. This knows nothing of the tolerances.

\b
tolerance, largest   the median and the largest tolerance of floating elements
error                the largest absolute error of an accepted answer
worst                the largest error of an accepted answer, in tolerances: below 1, or it is rejected
one out, noise       the same with tolerances earned without this answer, and without any: would a right
                     answer that nobody has thought of pass?
nearest              the smallest error of a mistake on an example on which it counts, in tolerances
hardest              the mistake that is easiest to miss: its largest error on any example
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import median, median_high
from typing import Any

import click
import torch
from rich.console import Console
from rich.table import Table

from autograder.closeness import RUNS, Compared, Recorder, Run, calibrate, record, scales_of
from autograder.comparisons import UNIT_ROUNDOFF, Key, as_wide, comparing, is_exact
from autograder.course import Course
from autograder.exercises import Check
from autograder.judge import Bench
from autograder.trials import Perturbed, Trial, dtype_of, run_body

BATTERY = {"agrees": "float32", "precision": "float64"}
DIFFERS = {"agrees": 1e-6, "precision": 1e-10}
NUMBERS = (torch.Tensor, int, float, complex)


@dataclass
class Row:
    """One check of one exercise. Ratios are errors per tolerance; infinite: the result has another form."""

    exercise: str
    check: str
    examples: int
    left_out: dict[str, int]  # how many examples, by reason
    accepted: int
    tolerance: tuple[float, float] = (0.0, 0.0)  # median and largest; 0 where answers are discrete
    error: float = 0.0  # the largest of an accepted answer
    ratio: float = 0.0  # the largest, with the judge's tolerances
    leave_one_out: float = 0.0  # with tolerances to which this answer's own errors did not contribute
    noise_alone: float = 0.0  # with tolerances to which no answer's errors did
    above: list[str] = field(default_factory=list)  # accepted answers above one of these two tolerances
    mistakes: int = 0  # that differ on some example
    caught: int = 0  # of these, above the tolerance on some example
    nearest: tuple[float, str] = (math.inf, "")  # the smallest ratio of a mistake where it differs, and whose
    hardest: tuple[float, str] = (math.inf, "")  # of the mistakes' largest ratios the smallest, and whose


def compared(run: Run) -> Compared:
    """What a run compared until its end, or until the check could not use a wrong answer."""
    with comparing(Recorder()) as recorder, contextlib.suppress(Exception):
        run()
    return recorder.compared


def slack(expected: Any, absolute: float, u: float) -> torch.Tensor:
    """The tolerance of each element; discrete values have none."""
    size = as_wide(expected).abs().double().nan_to_num(0, 0, 0)
    return 0 * size if is_exact(expected, expected) else absolute + 4 * u * size


def errors(mine: Compared, exact: Compared, absolute: Mapping[Key, float], u: float) -> tuple[float, float]:
    """The largest error, and the largest error per tolerance."""
    error = ratio = 0.0
    if mine.keys() != exact.keys():
        return math.inf, math.inf
    for key, (_, got, expected) in mine.items():
        if not isinstance(expected, NUMBERS):
            off = torch.tensor(0.0 if got == expected else math.inf)
            allowed = torch.tensor(0.0)
        elif not isinstance(got, NUMBERS):
            return math.inf, math.inf
        else:
            g, e = as_wide(got), as_wide(expected)
            if g.shape != e.shape:
                return math.inf, math.inf
            same = (g == e) | (g.isnan() & e.isnan())
            off = (g - e).abs().double().nan_to_num(math.inf, math.inf).masked_fill(same, 0)
            allowed = slack(expected, absolute[key], u)
        if off.numel():
            error = max(error, float(off.max()))
            ratio = max(ratio, float((off / allowed).nan_to_num(0, math.inf).max()))
    return error, ratio


def measure(bench: Bench, check: Check) -> Row:
    """Run the known answers of an exercise on the examples of one of its checks."""
    week, dtype, material = bench.week, dtype_of(check), bench.material(check)
    u = UNIT_ROUNDOFF[dtype]
    right, wrong = (
        {s.name: bench.namespace(s) for s in week.solutions_of(check.exercise, mistakes=kind)}
        for kind in (False, True)
    )
    reasons = Counter(t.calibration.left_out for t in material.left_out)
    row = Row(check.exercise, check.name, len(material.trials), reasons, len(right))

    def running(trial: Trial, namespace: dict[str, Any], dtype: torch.dtype) -> Run:
        values = bench.values(check, trial.example, dtype)
        return lambda: run_body(week, check, Perturbed(namespace), bench.exact, values, [])

    sizes: dict[Key, list[float]] = {}
    for trial in material.trials:
        for key, size in scales_of(record(running(trial, week.references, torch.float64))).items():
            sizes.setdefault(key, []).append(size)
    scales = {key: median_high(values) for key, values in sizes.items()}  # as the bench's own

    allowed: list[float] = []
    found: dict[str, list[float]] = {}
    for number, trial in enumerate(material.judged):
        reference = running(trial, week.references, torch.float64)
        exact = record(reference)

        def earned(runs: int, *answers: Run, reference=reference, exact=exact) -> dict[Key, float]:
            calibration = calibrate(reference, dtype, answers, scales=scales, runs=runs, exact=exact)
            return {key: calibration.tolerances[key].absolute for key in exact}

        full = {key: trial.calibration.tolerances[key].absolute for key in exact}
        noise = earned(RUNS)
        alone = {name: earned(0, running(trial, answer, dtype)) for name, answer in right.items()}
        for key, (_, _, expected) in exact.items():
            if isinstance(expected, NUMBERS) and not is_exact(expected, expected):
                allowed += slack(expected, full[key], u).flatten().tolist()
        for name, answer in right.items():
            mine = compared(running(trial, answer, dtype))
            others = {k: max(noise[k], *(a[k] for n, a in alone.items() if n != name), 0) for k in exact}
            error, ratio = errors(mine, exact, full, u)
            loo, bare = errors(mine, exact, others, u)[1], errors(mine, exact, noise, u)[1]
            row.error, row.ratio = max(row.error, error), max(row.ratio, ratio)
            row.leave_one_out, row.noise_alone = max(row.leave_one_out, loo), max(row.noise_alone, bare)
            if max(ratio, loo, bare) > 1:
                what = f"{ratio:.2g} of the tolerance, {loo:.2g} left out, {bare:.2g} of noise alone"
                row.above.append(f"{check.exercise}/{check.name}: {name} on example {number}: {what}")
        scale = max(scales_of(exact).values(), default=0.0)
        for name, answer in wrong.items():
            if (
                errors(compared(running(trial, answer, torch.float64)), exact, full, u)[0]
                <= DIFFERS[check.name] * scale
            ):
                continue
            ratio = errors(compared(running(trial, answer, dtype)), exact, full, u)[1]
            found.setdefault(name, []).append(ratio)
    row.mistakes, row.caught = len(found), sum(max(ratios) > 1 for ratios in found.values())
    if found:
        row.nearest = min((min(ratios), name) for name, ratios in found.items())
        row.hardest = min((max(ratios), name) for name, ratios in found.items())
    if allowed:
        row.tolerance = (median(allowed), max(allowed))
    return row


@click.command(help=__doc__)
@click.argument("weeks", nargs=-1)
@click.option("--exercise", help="Only this exercise.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
def main(weeks: tuple[str, ...], exercise: str | None, form: str) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # torch's, of what mistakes do
    course = Course.find()
    rows: dict[str, list[Row]] = {}
    for name in [course.resolve(w) for w in weeks] or course.names:
        bench = Bench(course.week(name))
        checks = [c for c in bench.week.checks if c.battery and c.name in BATTERY]
        rows[name] = [measure(bench, c) for c in checks if exercise in (None, c.exercise)]
        if form == "text":
            show(name, rows[name])
    if form == "json":
        plain = {name: [asdict(r, dict_factory=finite) for r in found] for name, found in rows.items()}
        print(json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False))


def finite(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For JSON, which has no infinity: null in its place."""

    def plain(value: Any) -> Any:
        return [plain(v) for v in value] if isinstance(value, tuple) else None if value == math.inf else value

    return {name: plain(value) for name, value in pairs}


def show(week: str, rows: list[Row]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    right = Table(title=f"{week}: accepted answers, and their largest errors", title_justify="left")
    wrong = Table(title=f"{week}: mistakes, and the smallest of their errors", title_justify="left")
    for table, headings in (
        (right, "answers|left out|tolerance|largest|error|worst|one out|noise"),
        (wrong, "mistakes|caught|nearest on any example|hardest on its best example"),
    ):
        for heading in ("exercise", "dtype", *headings.split("|")):
            table.add_column(heading, no_wrap=heading in ("exercise", "dtype", "left out"))
    for r in rows:
        name = (r.exercise, BATTERY[r.check])
        numbers = (*r.tolerance, r.error, r.ratio, r.leave_one_out, r.noise_alone)
        share = sum(r.left_out.values()) / r.examples
        right.add_row(*name, f"{r.accepted}", f"{share:.0%} of {r.examples}", *(f"{n:.2g}" for n in numbers))
        found = [f"{n:.2g} {who}" if who else "" for n, who in (r.nearest, r.hardest)]
        wrong.add_row(*name, f"{r.mistakes}", f"{r.caught}", *found)
    console.print(right, wrong)
    for r in rows:
        for reason, count in r.left_out.items():
            console.print(f"{r.exercise}/{r.check} leaves out {count} of {r.examples}: {reason}")
        for line in r.above:
            console.print(f"[red]above[/red] {line}")


if __name__ == "__main__":
    main()
