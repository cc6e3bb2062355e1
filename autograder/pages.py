"""What people read of a report: a page for the student, a text for the terminal. (The class: dashboard.py.)

All of it is made from `results.Report` alone. Every string in a report may be a student's: on its way
out it goes through `plain`, in HTML by the environment itself, so that no template can forget it.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup, escape
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from autograder.names import DEVICES
from autograder.pictures import picture
from autograder.results import (
    FAILED,
    FAULT,
    PASSED,
    SKIPPED,
    CellProblem,
    CheckResult,
    ExerciseResult,
    Report,
)
from autograder.templating import environment, template_folder

LIMIT = 20_000  # characters of one string on a page

# What students are told. Symbols are those of templates/report/base.html.j2.
VERDICTS = {PASSED: "Passed", FAILED: "Failed", SKIPPED: "Skipped", FAULT: "Our fault"}
STATUSES = {
    "passed": "Correct",
    "partial": "Partly correct",
    "failed": "Not correct yet",
    "untouched": "Not started",
    "missing": "Not found",
    "skipped": "Skipped",
    "fault": "Our fault",
}
SYMBOLS = {
    "passed": "✓",
    "partial": "◐",
    "failed": "✗",
    "untouched": "○",
    "missing": "?",
    "skipped": "–",
    "fault": "!",
}
COLOURS = {
    "passed": "green",
    "partial": "yellow",
    "failed": "red",
    "untouched": "dim",
    "missing": "red",
    "skipped": "dim",
    "fault": "magenta",
}
PREPARED = "this counts once your function gives the right answers"

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # titles, links, devices
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
# Letters that show nothing, too, but not the joiners U+200C and U+200D: Persian and emoji need them.
_DECEIVING = re.compile("[\u00ad\u115f\u1160\u180e\u200b\u202a-\u202e\u2060-\u2064\u2066-\u2069\u3164\uffa0]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def plain(text: str, limit: int = LIMIT) -> str:
    """Text without terminal escapes, control and direction characters, at most about `limit` long.

    Characters that reorder the text around them, or hide in it, are shown by number, so that a reader sees
    what was there.
    """
    text = _cut(text, 4 * limit)  # bounds the work; what the escapes took up doesn't count
    text = re.sub("\r\n?|[\x0b\x0c\x85\u2028\u2029]", "\n", text)
    text = _CONTROLS.sub("", _ESCAPES.sub("", text))
    text = _DECEIVING.sub(lambda m: f"[U+{ord(m[0]):04X}]", text)
    return _cut(_SURROGATES.sub("\ufffd", text), limit)


def _cut(text: str, limit: int) -> str:
    """The beginning and the end of a text that is too long."""
    if len(text) <= limit:
        return text
    keep = max(1, (limit - 50) // 2)
    return f"{text[:keep]}\n… {len(text) - 2 * keep} characters left out …\n{text[-keep:]}"


def number(value: float) -> str:
    """A score: 3, 14.5, 0.33."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def inline(text: str, limit: int = LIMIT) -> Markup:
    """One sentence, with what stands between backticks as code."""
    pieces = re.split("`([^`\n]+)`", plain(text, limit))
    return Markup("").join(
        Markup("<code>{}</code>").format(p) if i % 2 else _whole(p) for i, p in enumerate(pieces)
    )


def _whole(prose: str) -> Markup:
    """Prose in which no line ends between a minus and its infinity."""
    return Markup(str(escape(prose)).replace("-inf", '<span class="number">-inf</span>'))


def breakable(name: str) -> Markup:
    """An identifier that may be broken after its underscores and dots."""
    return Markup(re.sub("([_.])", r"\1<wbr>", str(escape(plain(name, 200)))))


def marked(text: str, where: str, limit: int = 4000) -> Markup:
    """A value shown by `literals.shown`, with the element at index `where` marked, if it can be found."""
    text = plain(text, limit)
    start, end = _spot(text, where) or (0, 0)
    if not end:
        return escape(readable(text))
    pieces = (text[:start], text[start:end], text[end:])
    return Markup("{}<mark>{}</mark>{}").format(*map(readable, pieces))


def readable(text: str) -> str:
    """A value as torch prints it, where it is shown and not to be pasted: nan, -inf."""
    return re.sub(r'float\("(nan|-?inf)"\)', r"\1", text)


def _spot(text: str, where: str) -> tuple[int, int] | None:
    """Start and end of the element with index `where`, such as "[0, 2]" or "['mu'][1]"."""
    steps = [step for group in re.findall(r"\[([^\[\]]*)\]", where[:200]) for step in group.split(", ")]
    if not steps or not text.isascii() or len(text) > 4000:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # students' strings may hold doubtful escapes
            node: Any = ast.parse(text, mode="eval").body
            for step in steps:
                key = ast.literal_eval(step)
                while isinstance(node, ast.Call):
                    node = node.args[0]
                if isinstance(node, ast.Dict):
                    node = node.values[[ast.literal_eval(k) for k in node.keys if k].index(key)]
                else:
                    node = node.elts[key]
    except (SyntaxError, ValueError, TypeError, AttributeError, IndexError, RecursionError, MemoryError):
        return None
    if node.lineno != 1 or node.end_lineno != 1:
        return None
    return node.col_offset, node.end_col_offset


def sentence(title: str) -> str:
    """The first paragraph of a check's title, on one line."""
    return " ".join(plain(title, 1000).strip().split("\n\n")[0].split())


def details(title: str) -> list[str]:
    """The paragraphs after the first."""
    return [" ".join(p.split()) for p in plain(title, 4000).strip().split("\n\n")[1:] if p.strip()]


def status(exercise: ExerciseResult) -> str:
    """The exercise's status, worked out from its checks where the record leaves it open."""
    if exercise.status:
        return exercise.status
    verdicts = {c.verdict for c in exercise.checks}
    if FAULT in verdicts:
        return "fault"
    if FAILED not in verdicts:
        return "passed" if PASSED in verdicts else "skipped"
    return "partial" if exercise.score > 0 else "failed"


def points(check: CheckResult) -> str:
    """What a check gave, in words where it gave and took nothing."""
    if check.verdict == SKIPPED:
        return "not counted"
    if check.verdict == FAULT:
        return "not graded"
    return f"{number(check.points)} / {number(check.max_points)}"


def remark(check: CheckResult) -> str:
    """The message of a check, or why it gave less than it could although it passed."""
    message = check.message
    if check.verdict == PASSED and check.points < check.max_points:
        message = message or PREPARED
    return capital(message)


# Words that begin a sentence and are certainly no names of the student's.
_OPENERS = "a|an|the|this|that|it|its|no|not|too|expected|passed|judged|cells|every"


def duration(seconds: float) -> str:
    """A time as people say it: 0.4 s, 12 s, 3 min 5 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def capital(text: str) -> str:
    """A message as a sentence, with a capital; one that begins with a name keeps it as it is."""
    return re.sub(rf"^(?:{_OPENERS})\b", lambda m: m[0].capitalize(), text)


def judged(report: Report) -> list[ExerciseResult]:
    """The exercises that say something: where grading stopped early, those it had come to."""
    return [e for e in report.exercises if report.status == "graded" or e.checks]


def faults(report: Report) -> list[tuple[str, str]]:
    """What of this report we failed to grade, as (exercise and check, message)."""
    found: list[tuple[str, str]] = []
    for e in judged(report):
        broken = [c for c in e.checks if c.verdict == FAULT]
        found.extend((f"{e.name}: {sentence(c.title)}", c.message) for c in broken)
        if e.status == "fault" and not broken:
            found.append((e.name, "; ".join(e.notes)))
    if report.status == "fault" and (report.problems or not found):
        found.insert(0, ("the whole submission", "; ".join(report.problems)))
    return found


def complaint(cell: CellProblem) -> str:
    """What stopped a cell, as the last line of a traceback says it."""
    return ": ".join(filter(None, (cell.name, cell.message)))


def unconfined(report: Report) -> bool:
    """Students' code ran without a seal, so that it could have written whatever it liked."""
    return report.confinement.get("seal") == "none"


def file_names(reports: Sequence[Report]) -> list[str]:
    """A file name for each report: the student's id where that can be one, and no two the same.

    Names are the same whatever else a class holds, except for those that collide, and differ also on
    systems that ignore case.
    """
    stems = [_safe(r.student) for r in reports]
    count = Counter(r.student.casefold() for r in reports)
    free = [s == r.student and count[s.casefold()] == 1 for s, r in zip(stems, reports, strict=True)]
    taken = {"index"} | {s.casefold() for s, is_free in zip(stems, free, strict=True) if is_free}
    names = []
    for stem, is_free, report in zip(stems, free, reports, strict=True):
        if not is_free:
            key, tries, base = f"{report.student}\n{report.assignment}", 0, stem
            while (stem := f"{base}-{_digest(key, tries)}").casefold() in taken:
                tries += 1
            taken.add(stem.casefold())
        names.append(f"{stem}.html")
    return names


# Names that Windows keeps for devices, and ours.
_RESERVED = re.compile(rf"{DEVICES.pattern}|index(?:\..*)?", re.IGNORECASE)


def _safe(student: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", student).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^A-Za-z0-9._@-]+", "-", ascii_only)[:80].strip(".-")
    return f"student-{stem}" if not stem or _RESERVED.fullmatch(stem) else stem


def _digest(key: str, tries: int) -> str:
    return hashlib.sha256(f"{key}\n{tries}".encode("utf-8", "surrogatepass")).hexdigest()[:8]


@cache
def page_environment() -> Environment:
    """Jinja2 for pages: what is inserted has gone through `plain` and is escaped."""

    def finalize(value: Any) -> Any:
        return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    jinja = environment().overlay(finalize=finalize)
    css = (template_folder() / "style.css").read_text(encoding="utf-8")
    words = (inline, breakable, marked, number, plain, sentence, details, capital, complaint, duration)
    facts = (status, points, remark, unconfined)
    jinja.filters |= {f.__name__: f for f in (*words, *facts)}
    jinja.filters["picture"] = lambda example: picture(example.expected, example.got, example.where)
    jinja.filters["url"] = lambda name: quote(name, safe="")
    jinja.globals |= {
        "css": Markup(css),
        "css_digest": policy_digest(css),
        "verdicts": VERDICTS,
        "statuses": STATUSES,
    }
    return jinja


def policy_digest(text: str) -> str:
    """What a Content-Security-Policy says of a style or script that may be in the page."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def student_page(report: Report, script: str = "") -> str:
    """The page of a student, as HTML; `script` is the name of the file beside it that runs its examples."""
    exercises = judged(report)
    found = Counter(status(e) for e in exercises)
    counts = {kind: found[kind] for kind in STATUSES if found[kind]}
    template = page_environment().get_template("report/student.html.j2")
    return template.render(
        report=report, exercises=exercises, counts=counts, faults=faults(report), script=script
    )


class Code(Text):
    """Lines to copy: neither indented nor broken."""


def text(report: Report) -> Group:
    """A report for the terminal. Print it with `show`, which leaves the code in one piece."""
    return Group(*_lines(report))


def show(report: Report, console: Console | None = None) -> None:
    """Print a report on the terminal."""
    console = console or Console()
    for part in text(report).renderables:
        console.print(part, soft_wrap=isinstance(part, Code))


def _lines(report: Report) -> Iterator[RenderableType]:
    yield Text.assemble(
        (plain(report.title, 200), "bold"),
        "  ",
        (plain(report.student, 100), "dim"),
        "  ",
        (_total(report), "bold"),
    )
    for problem in report.problems:
        yield Text.assemble(("! ", "yellow"), plain(capital(problem), 1000))
    for cell in report.cells:
        stopped = f"Code cell {cell.cell} did not run to its end: {plain(complaint(cell), 1000)}"
        yield Text.assemble(("✗ ", "red"), stopped)
    if report.executed == "needed":
        yield Text(
            "Lesson cells were not run, as no function depends on them (--execute all runs them).", "dim"
        )
    width = max((len(e.name) for e in report.exercises), default=0)
    for e in judged(report):
        kind = status(e)
        yield Text.assemble(
            (f"{SYMBOLS[kind]} ", COLOURS[kind]),
            (plain(e.name, 100).ljust(min(width, 40)), "bold"),
            f"  {number(e.score):>5} / {number(e.max_score):<4} ",
            (STATUSES[kind].lower(), COLOURS[kind]),
        )
        if e.misconception:
            yield _indented(
                Text.assemble(("What probably went wrong: ", "bold"), plain(e.misconception, 1000)), 4
            )
        for note in e.notes:
            yield _indented(Text(plain(capital(note), 1000)), 4)
        if kind not in ("untouched", "missing"):
            shown: list[CheckResult] = []
            for check in e.checks:
                if check.verdict != PASSED:
                    yield from _check_lines(check, shown)
                    shown.append(check)
            waiting = [c for c in e.checks if c.verdict == PASSED and c.points < c.max_points]
            if waiting:
                some = "1 check passes" if len(waiting) == 1 else f"{len(waiting)} checks pass"
                yield _indented(
                    Text(f"{some}, which counts once the function agrees with the reference.", "dim"), 2
                )


def _total(report: Report) -> str:
    if report.status == "fault":
        return "not graded: our fault"
    open_ = " (not final: part of it could not be graded, which is our fault)" if faults(report) else ""
    return f"{number(report.score)} / {number(report.max_score)}{open_}"


def _check_lines(check: CheckResult, shown: Sequence[CheckResult]) -> Iterator[RenderableType]:
    """A check; what was said of those already shown is not said again."""
    yield _indented(
        Text.assemble(
            (f"{SYMBOLS[check.verdict]} {VERDICTS[check.verdict]}: ", COLOURS[check.verdict]),
            f"{sentence(check.title)} ",
            (f"({points(check)})", "dim"),
        ),
        2,
    )
    message, example = remark(check), check.counterexample
    if message and any(message == remark(c) for c in shown):
        yield _indented(Text("In the same way as above.", "dim"), 6)
        return
    if message:
        yield _indented(Text(plain(message, 2000)), 6)
    if example and any(example == c.counterexample for c in shown):
        yield _indented(Text("It fails on the example above, too.", "dim"), 6)
    elif example:
        yield _indented(Text("Try it in a cell below your own definitions:", "dim"), 6)
        yield Code(f"\n{plain(example.code)}\n")
        if example.expected:
            yield _indented(
                Text.assemble(("expected     ", "dim"), plain(readable(example.expected), 2000)), 6
            )
        yield _indented(Text.assemble(("your result  ", "dim"), plain(readable(example.got), 2000)), 6)
        if example.where:
            yield _indented(Text.assemble(("first difference at ", "dim"), plain(example.where, 200)), 6)


def _indented(line: Text, columns: int) -> Padding:
    return Padding(line, (0, 0, 0, columns), expand=False)


__all__ = ["file_names", "plain", "show", "student_page", "text"]
