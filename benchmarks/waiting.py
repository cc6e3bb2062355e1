"""How long people wait: an instructor for the page of a class, a student for `check(...)` in a notebook.

    python benchmarks/waiting.py page [--students 1000] [--week 7 --week 15]
    python benchmarks/waiting.py checks [--week 7]

`page` opens the class page in headless chromium. Each student passes checks with a probability of their own;
one in ten lost exercises has a known mistake. "painted" is when the page is on the screen and can be used;
sorting and searching end when their result is on it. "CPU" is what the whole visit costs the page's process:
on a busy machine it says more than the times.
`checks` runs the check cell of each exercise four times, in a kernel with the model solution.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MPLBACKEND": "agg"}  # kernels inherit them

import random
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import click
import nbformat
from nbclient import NotebookClient
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.table import Table

from autograder import dashboard
from autograder.course import Course, Week
from autograder.release import build
from autograder.results import CheckResult, ExerciseResult, Report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Resolves when what was done before it has been painted: the second frame begins after the first one ended.
PAINTED = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"


def a_class(week: Week, students: int) -> list[Report]:
    """Reports of students of all kinds, the same ones every time."""
    rng = random.Random(7)
    reports = []
    for number in range(students):
        skill, exercises = rng.betavariate(5, 1), []
        for e in week.exercises:
            checks = []
            for c in week.checks_of(e.name):
                right = rng.random() < skill
                verdict, earned = ("passed", c.points) if right else ("failed", 0)
                checks.append(CheckResult(c.name, c.title, c.tier, verdict, earned, c.points))
            earned, most = (sum(getattr(c, of) for c in checks) for of in ("points", "max_points"))
            status = "passed" if earned == most else "partial" if earned else "failed"
            mistakes = week.solutions_of(e.name, mistakes=True)
            named = rng.choice(mistakes).sentence if earned < most and rng.random() < 0.1 else ""
            code = f"{rng.randrange(200):016x}"
            exercises.append(ExerciseResult(e.name, earned, most, checks, status, named, code=code))
        earned, most = (sum(getattr(e, of) for e in exercises) for of in ("score", "max_score"))
        times = {"total": rng.uniform(3, 30)}
        name = f"student{number:04d}@example.edu"
        reports.append(Report(week.name, week.title, name, earned, most, exercises, times=times))
    return reports


def opened(browser: Any, url: str) -> dict[str, float]:
    """Milliseconds of one visit to a class page."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(120_000)
    page.goto(url, wait_until="load")
    page.evaluate(PAINTED)
    times = {
        "first paint": page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"),
        "painted": page.evaluate("performance.now()"),
    }
    acts = {
        "sorted by score": "document.querySelector('th:nth-child(2) button').click()",
        "searched": "{ const i = document.querySelector('input'); i.value = '99'; "
        "i.dispatchEvent(new Event('input', {bubbles: true})) }",
        "all again": "{ const i = document.querySelector('input'); i.value = ''; "
        "i.dispatchEvent(new Event('input', {bubbles: true})) }",
        "single checks": "document.querySelector('.toggle input').click()",
    }
    for name, act in acts.items():
        script = f"const begun = performance.now(); {act}; await {PAINTED}; return performance.now() - begun"
        times[name] = page.evaluate(f"async () => {{ {script} }}")
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    times["CPU"] = 1e3 * max(p["cpuTime"] for p in processes if p["type"] == "renderer")
    times["elements"] = page.evaluate("document.querySelectorAll('*').length")
    page.close()
    return times


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@click.option("--students", default=1000, show_default=True)
@click.option("--week", "weeks", multiple=True, default=("7", "15"), show_default=True)
@click.option("--rounds", default=5, show_default=True)
def page(students: int, weeks: tuple[str, ...], rounds: int) -> None:
    """Open the page of a class."""
    course = Course.find()
    table = Table(title=f"The page of {students} students, medians of {rounds} visits", title_justify="left")
    for heading in ("", *weeks):
        table.add_column(heading and course.resolve(heading), justify="right" if heading else "left")
    columns: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        for number in weeks:
            week = course.week(course.resolve(number))
            path = Path(folder) / f"{week.name}.html"
            path.write_text(dashboard.class_page(a_class(week, students)), "utf-8")
            visits = [opened(browser, path.as_uri()) for _ in range(rounds)]
            sizes = {"exercises": f"{len(week.exercises)}", "file": f"{path.stat().st_size / 1e6:.1f} MB"}
            medians = {name: median(v[name] for v in visits) for name in visits[0]}
            sizes["elements"] = f"{medians.pop('elements'):,.0f}"
            columns.append(sizes | {name: f"{ms:.0f} ms" for name, ms in medians.items()})
        browser.close()
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    Console().print(table)
    print(f"load {os.getloadavg()[0]:.1f}")


@main.command()
@click.option("--week", "weeks", multiple=True, help="Default: all weeks.")
def checks(weeks: tuple[str, ...]) -> None:
    """Run the check cells of each exercise."""
    course = Course.find()
    names = [course.resolve(w) for w in weeks] or course.names
    table = Table(title="Public checks in a kernel", title_justify="left")
    for heading in ("week", "exercise", "first", "again"):
        table.add_column(heading, justify="right" if heading in ("first", "again") else "left")
    slowest = 0.0
    for name in names:
        for exercise, first, again in checked(course.week(name)):
            slowest = max(slowest, again)
            table.add_row(name, exercise, f"{1e3 * first:.0f} ms", f"{1e3 * again:.0f} ms")
    Console().print(table)
    print(f"the slowest but for the first time: {slowest:.2f} s; load {os.getloadavg()[0]:.1f}")


def checked(week: Week) -> list[tuple[str, float, float]]:
    """Of each exercise the seconds of its check cell: the first time, and the median of three more."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path, _ = build(week, Path(folder))
        notebook = nbformat.read(path, 4)
        client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}})
        with client.setup_kernel():
            for i, cell in enumerate(notebook.cells):
                is_check = cell.id.startswith("check_")
                times = []
                for _ in range(4 if is_check else cell.cell_type == "code"):
                    begun = time.perf_counter()
                    client.execute_cell(cell, i)
                    times.append(time.perf_counter() - begun)
                if is_check:
                    found.append((cell.id.removeprefix("check_"), times[0], median(times[1:])))
    return found


if __name__ == "__main__":
    main()
