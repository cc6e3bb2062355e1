"""The page of a class, for its instructor: who has what, what is hard, what is misunderstood, what looks odd.

Made from `results.Report`s alone, in one file that opens offline. Sorting and filtering take one small script
of ours; without it everything is there to read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import StatisticsError, correlation, mean, median

from markupsafe import Markup

from autograder import repro
from autograder.pages import (
    SYMBOLS,
    faults,
    file_names,
    judged,
    page_environment,
    policy_digest,
    status,
    student_page,
    unconfined,
)
from autograder.results import FAILED, FAULT, PASSED, SKIPPED, CheckResult, ExerciseResult, Report
from autograder.reveal import DEFAULT, revealed
from autograder.similarity import pairs
from autograder.templating import template_folder

BINS = 10
FEWEST = 8  # students from whom a correlation is worth a look
TICKS = {PASSED: "■", FAILED: "□", SKIPPED: "·", FAULT: "△"}

# Endings of guests that ordinary mistakes seldom come to, as guests.GuestDied says them.
ODD = ("protocol", "exited", "crashed", "disk")


@dataclass(frozen=True)
class Row:
    """A student's line: the report, the page, the exercises by name, and what to filter by."""

    report: Report
    page: str
    exercises: dict[str, ExerciseResult]
    state: str  # "full", "lost", "fault" or "unreadable"


@dataclass(frozen=True)
class Item:
    """How a check did in the class.

    `share` is the mean share of its points that students earn (its difficulty, in the field's words);
    `discrimination` the correlation of that share with the points of the other exercises, None where all
    did alike or too few were graded.
    """

    exercise: str
    check: CheckResult
    share: float
    discrimination: float | None

    @property
    def doubtful(self) -> bool:
        """Those who are good at the rest lose it rather than the others: the check may be at fault."""
        return self.discrimination is not None and self.discrimination < -0.1


@dataclass(frozen=True)
class Bin:
    """Scores from `low` to `high`, and how many students have one."""

    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Misconception:
    exercise: str
    sentence: str
    students: list[Row]


@dataclass(frozen=True)
class Alike:
    """Two submissions with the same code in these exercises."""

    students: tuple[Row, Row]
    exercises: tuple[str, ...]
    bits: float


@dataclass(frozen=True)
class Dashboard:
    """One assignment as the class page shows it."""

    assignment: str
    title: str
    max_score: float
    rows: list[Row]
    exercises: dict[str, float]  # greatest score by name, in the order of the lesson
    settled: list[float]  # scores of all that were graded in full
    means: dict[str, float | None]
    bins: list[Bin]
    items: list[Item]
    misconceptions: list[Misconception]
    faults: list[tuple[Row, list[tuple[str, str]]]]
    trouble: list[Row]  # submissions with problems or cells that did not run
    odd: list[tuple[Row, list[str]]]  # guests that ended in ways that mistakes seldom come to
    alike: list[Alike]
    slowest: list[tuple[Row, float]]
    seconds: float  # in all
    unconfined: int
    conditions: list[tuple[Report, int]]  # one report for each way of grading, and how many were graded so

    @property
    def mean(self) -> float:
        return mean(self.settled)

    @property
    def median(self) -> float:
        return median(self.settled)

    @property
    def unreadable(self) -> int:
        return sum(row.state == "unreadable" for row in self.rows)


def dashboard(reports: Sequence[tuple[Report, str]]) -> Dashboard:
    """What there is to say about the reports of one assignment, each with the file name of its page."""
    reports = sorted(reports, key=lambda r: (r[0].student.casefold(), r[0].student))
    rows = [Row(r, page, {e.name: e for e in judged(r)}, _state(r)) for r, page in reports]
    # The fullest report comes first: others may hold fewer exercises.
    by_size = sorted((row.report for row in rows), key=lambda r: -len(r.exercises))
    greatest = {e.name: e.max_score for r in reversed(by_size) for e in r.exercises}
    greatest = {e.name: greatest[e.name] for r in by_size for e in r.exercises}
    settled = [row for row in rows if row.report.status == "graded" and row.state != "fault"]
    max_score = max(row.report.max_score for row in rows)
    scores = [row.report.score for row in settled]
    return Dashboard(
        assignment=rows[0].report.assignment,
        title=rows[0].report.title,
        max_score=max_score,
        rows=rows,
        exercises=greatest,
        settled=scores,
        means={
            name: _mean(r.exercises[name] for r in rows if status(r.exercises.get(name, _NONE)) != FAULT)
            for name in greatest
        },
        bins=distribution(scores, max_score),
        items=items([row.report for row in settled], list(greatest)),
        misconceptions=_misconceptions(rows, list(greatest)),
        faults=[(row, found) for row in rows if (found := faults(row.report))],
        trouble=[r for r in rows if r.report.status != "fault" and (r.report.problems or r.report.cells)],
        odd=[(row, odd) for row in rows if (odd := oddities(row.report))],
        alike=[
            Alike((rows[p.first], rows[p.second]), p.exercises, p.bits)
            for p in pairs([row.report for row in rows])
        ],
        slowest=sorted(((row, _seconds(row.report)) for row in rows), key=lambda pair: -pair[1])[:5],
        seconds=sum(_seconds(row.report) for row in rows),
        unconfined=sum(unconfined(row.report) for row in rows),
        conditions=_conditions([row.report for row in rows]),
    )


_NONE = ExerciseResult("", 0, 0, status="fault")  # in the place of one that a report doesn't have


def _state(report: Report) -> str:
    if report.status == "unreadable":
        return "unreadable"
    if faults(report):
        return "fault"
    return "full" if report.score >= report.max_score else "lost"


def distribution(scores: Sequence[float], max_score: float) -> list[Bin]:
    """How many scores lie in each tenth of what there is to earn; a score on a border counts above it."""
    if not max_score:
        return []
    counts = Counter(min(int(BINS * score / max_score + 1e-9), BINS - 1) for score in scores)
    width = max_score / BINS
    return [Bin(i * width, (i + 1) * width, counts[i]) for i in range(BINS)]


def items(reports: Sequence[Report], exercises: Sequence[str]) -> list[Item]:
    """Difficulty and discrimination of every check, in the order of the lesson."""
    found: dict[tuple[str, str], list[tuple[CheckResult, float, float]]] = {}
    for report in reports:
        for exercise in report.exercises:
            for check in exercise.checks:
                if check.verdict in (PASSED, FAILED):
                    share = check.points / check.max_points if check.max_points else check.verdict == PASSED
                    rest = report.score - exercise.score
                    found.setdefault((exercise.name, check.name), []).append((check, float(share), rest))
    place = {name: i for i, name in enumerate(exercises)}
    made = []
    for (name, _), seen in sorted(found.items(), key=lambda item: place[item[0][0]]):
        _, shares, rests = zip(*seen, strict=True)
        made.append(Item(name, seen[0][0], mean(shares), _correlation(shares, rests)))
    return made


def _correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    if len(first) < FEWEST:
        return None
    try:
        return correlation(first, second)
    except StatisticsError:  # one of them is constant
        return None


def _misconceptions(rows: Sequence[Row], order: Sequence[str]) -> list[Misconception]:
    shared: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        for e in row.report.exercises:
            if e.misconception:
                shared.setdefault((e.name, e.misconception), []).append(row)
    common = sorted(shared.items(), key=lambda item: (-len(item[1]), order.index(item[0][0]), item[0][1]))
    return [Misconception(name, text, students) for (name, text), students in common]


def oddities(report: Report) -> list[str]:
    """What in a report looks like more than a mistake, each once."""
    found = [f"a cell: {cell.message}" for cell in report.cells if cell.name in ODD]
    for exercise in report.exercises:
        for check in exercise.checks:
            if check.verdict == FAILED and check.message.startswith(_ENDINGS):
                found.append(f"{exercise.name}: {check.message}")
    return list(dict.fromkeys(found))[:5]


_ENDINGS = (
    *("the guest broke the protocol", "the guest closed its connection", "the guest ended "),
    *("the guest was ended by signal", "wrote more than ", "made more than "),
)


def _seconds(report: Report) -> float:
    return report.times.get("total", sum(report.times.values()))


def _conditions(reports: Sequence[Report]) -> list[tuple[Report, int]]:
    """A report for each way of grading in the class, with its number, the commonest first."""
    keys = [
        repr((sorted(r.confinement.items()), r.tiers, r.corpus, sorted(r.versions.items()))) for r in reports
    ]
    return [(reports[keys.index(key)], n) for key, n in Counter(keys).most_common()]


def _mean(exercises: Iterator[ExerciseResult]) -> float | None:
    scores = [e.score for e in exercises]
    return mean(scores) if scores else None


@cache
def script() -> str:
    """What runs in the page: it sorts and hides rows."""
    return (template_folder() / "report" / "class.js").read_text(encoding="utf-8")


def class_page(reports: Sequence[Report], pages: Sequence[str] | None = None) -> str:
    """The page for the instructor, as HTML; `pages` are the file names of the students' pages."""
    groups: dict[str, list[tuple[Report, str]]] = {}
    for report, page in zip(reports, pages or file_names(reports), strict=True):
        groups.setdefault(report.assignment, []).append((report, page))
    return (
        page_environment()
        .get_template("report/class.html.j2")
        .render(
            tables=[dashboard(group) for _, group in sorted(groups.items())],
            ticks=TICKS,
            symbols=SYMBOLS,
            script=Markup(script()),
            script_digest=policy_digest(script()),
        )
    )


def write(folder: Path, reports: Sequence[Report], level: str = DEFAULT) -> list[Path]:
    """Write the instructor's pages into `folder`, and what students get into its folder `feedback`.

    Args:
        folder: gets a page per report, with all that is known, and `index.html` for the class.
        reports: of one or more assignments.
        level: what students see of hidden checks, as `reveal.revealed` says; a script runs the examples that
            they see.

    Returns:
        the paths, the index last.
    """
    names = file_names(reports)
    files: dict[str, str] = {}
    for name, report in zip(names, reports, strict=True):
        files[name] = student_page(report)
        theirs = revealed(report, level)
        file = f"{name.removesuffix('.html')}-repro.py"
        if source := repro.script(theirs, file):
            files[f"feedback/{file}"] = source
        files[f"feedback/{name}"] = student_page(theirs, file if source else "")
    files["index.html"] = class_page(reports, names)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in files]
