"""Two runs of grading, compared: every mark that changed, and why.

The same submission, judged by the same checks with the same versions, must get the same mark. If one changed
although nothing did that reports record, that is said loudly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from autograder.pages import number, plain, remark
from autograder.results import FAULT, CheckResult, ExerciseResult, Report


@dataclass
class Changed:
    """A student whose marks changed: `lines` say which, `reasons` what else changed; there must be one."""

    student: str
    lines: list[str]
    reasons: list[str]


@dataclass
class Comparison:
    """What two runs have in common, by students."""

    changed: list[Changed] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)  # in the first run only
    new: list[str] = field(default_factory=list)  # in the second run only

    @property
    def unexplained(self) -> list[str]:
        """Whose marks changed for no reason that reports record."""
        return [c.student for c in self.changed if not c.reasons]


def compare(before: Sequence[Report], after: Sequence[Report]) -> Comparison:
    """Compare two runs; students are told apart by their names, assignments by theirs."""
    old, new = ({(r.assignment, r.student): r for r in reports} for reports in (before, after))
    several = len({week for week, _ in {**old, **new}}) > 1
    found = Comparison()
    for key in sorted({**old, **new}):
        name = f"{key[1]} ({key[0]})" if several else key[1]
        if key not in new:
            found.lost.append(name)
        elif key not in old:
            found.new.append(name)
        elif lines := list(_changes(old[key], new[key])):
            found.changed.append(Changed(name, lines, list(_reasons(old[key], new[key]))))
        else:
            found.same.append(name)
    return found


def _changes(before: Report, after: Report) -> Iterator[str]:
    """The marks that changed, the total first; nothing if all are the same."""
    lines: list[str] = []
    olds = {e.name: e for e in before.exercises}
    news = {e.name: e for e in after.exercises}
    for name in {**olds, **news}:
        lines += _exercise(name, olds.get(name), news.get(name))
    if lines or _total(before) != _total(after):
        yield f"{_total(before)} → {_total(after)}"
        yield from lines


def _total(report: Report) -> str:
    if report.status == FAULT:
        return "not graded (a fault of ours)"
    return f"{number(report.score)} of {number(report.max_score)}"


def _exercise(name: str, before: ExerciseResult | None, after: ExerciseResult | None) -> Iterator[str]:
    """The checks of an exercise whose marks changed, or the exercise if its checks don't say so."""
    olds, news = ({(c.name, c.tier): c for c in e.checks} if e else {} for e in (before, after))
    lines = [
        f"  {name}, {check} ({tier}): {_mark(old)} → {_mark(new)}{_why(old, new)}"
        for check, tier in {**olds, **news}
        for old, new in [(olds.get((check, tier)), news.get((check, tier)))]
        if _mark(old) != _mark(new)
    ]
    score = [None if e is None else (e.score, e.max_score) for e in (before, after)]
    if not lines and score[0] != score[1]:
        said = [f"{number(s[0])} of {number(s[1])}" if s else "not there" for s in score]
        lines.append(f"  {name}: {said[0]} → {said[1]}")
    yield from lines


def _mark(check: CheckResult | None) -> str:
    if check is None:
        return "not asked"
    if check.verdict == FAULT:
        return "not graded (a fault of ours)"
    return f"{number(check.points)} of {number(check.max_points)}"


def _why(before: CheckResult | None, after: CheckResult | None) -> str:
    """The words that go with the run in which points were lost."""
    for when, check in (("now", after), ("before", before)):
        if check is not None and check.points < check.max_points and remark(check):
            return f"; {when}: {plain(remark(check), 300)}"
    return ""


def _reasons(before: Report, after: Report) -> Iterator[str]:
    """What else is not the same in two reports, and may have changed a mark."""
    old, new = before.submission.get("digest", ""), after.submission.get("digest", "")
    if old != new:
        yield f"the submission changed (digest {old[:12]} → {new[:12]})"
    for when, report in (("first", before), ("second", after)):
        if report.status != "graded":
            what = "a fault of ours" if report.status == FAULT else "unreadable"
            why = f" ({'; '.join(report.problems)})" if report.problems else ""
            yield f"in the {when} run it was {what}{why}"
    if before.tiers != after.tiers:
        yield f"other checks were asked ({' and '.join(before.tiers)} → {' and '.join(after.tiers)})"
    if before.corpus != after.corpus:
        yield "the examples changed"
    names = {
        "autograder": "the engine changed",
        "checks": "checks, references or known answers of the course changed",
    }
    for key in {**before.versions, **after.versions}:
        versions = before.versions.get(key, "unknown"), after.versions.get(key, "unknown")
        if versions[0] != versions[1]:
            yield f"{names.get(key, f'{key} changed')} ({versions[0]} → {versions[1]})"
    if before.confinement != after.confinement:
        guests = [" and ".join(r.confinement.values()) for r in (before, after)]
        yield f"guests were confined in another way ({guests[0]} → {guests[1]})"


UNEXPLAINED = (
    "nothing that reports record changed, and then no mark may change. If both runs had the same limits "
    "(--call-seconds, --cell-seconds), it is a fault of ours: please report it"
)


def text(found: Comparison) -> str:
    """A comparison in words."""
    lines = []
    for change in found.changed:
        lines += [f"{change.student}: {change.lines[0]}", *change.lines[1:]]
        lines.append(f"  why: {'; '.join(change.reasons) or UNEXPLAINED}")
    for students, what in (
        (found.lost, "in the first run only"),
        (found.new, "in the second run only"),
    ):
        if students:
            lines.append(f"{what}: {', '.join(students)}")
    same, changed = len(found.same), len(found.changed)
    lines.append(f"{changed} changed, {same} the same, {len(found.new)} new, {len(found.lost)} lost")
    return plain("\n".join(lines), 1_000_000)
