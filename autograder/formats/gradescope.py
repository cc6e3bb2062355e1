"""Gradescope: `results.json`, `submission_metadata.json`, and the zip with an assignment's autograder.

https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from autograder import __version__
from autograder.course import Course
from autograder.formats import require_graded
from autograder.formats.rows import Row, remarks, rows
from autograder.names import clean
from autograder.results import FAILED, FAULT, PASSED, Report
from autograder.templating import environment

VISIBILITIES = ("hidden", "after_due_date", "after_published", "visible")
SCRIPTS = ("setup.sh", "run_autograder")


def results(report: Report, hidden: str = "after_published") -> str:
    """The `results.json` of a submission.

    Args:
        report: as its student may see it (`reveal.revealed`).
        hidden: when students see the tests that they don't have, one of `VISIBILITIES`. Until they see all
            tests, Gradescope does not show them their total.

    Raises:
        NotGraded: by a fault of ours. Without a results.json, Gradescope says that the autograder failed, and
            gives no score.
    """
    require_graded(report)
    if hidden not in VISIBILITIES:
        raise ValueError(f"visibility {hidden!r} is not one of {', '.join(VISIBILITIES)}")
    data = {
        "score": report.score,
        "execution_time": round(report.times.get("total", 0.0)),
        "output": "\n".join(remarks(report)),
        # Nothing is rendered: whatever students write is text.
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "extra_data": {
            "assignment": report.assignment,
            "max_score": report.max_score,
            "status": report.status,
            "corpus": report.corpus,
            "versions": report.versions,
        },
        "tests": [_test(row, hidden) for row in rows(report, apart=True) if row.verdict != FAULT],
    }
    return json.dumps(data, indent=2, ensure_ascii=True) + "\n"


def _test(row: Row, hidden: str) -> dict[str, Any]:
    test: dict[str, Any] = {
        "name": row.name,
        "number": row.number,
        "output": row.text,
        "tags": [tag for tag in (row.exercise, row.tier) if tag],
        "visibility": hidden if row.hidden else "visible",
    }
    if row.max_points:
        test |= {"score": row.points, "max_score": row.max_points}
    if row.verdict in (PASSED, FAILED):
        whole = row.verdict == PASSED and row.points >= row.max_points
        test["status"] = "passed" if whole else "failed"
    return test


def student(metadata: str) -> str:
    """Whose submission it is, from the text of `submission_metadata.json`: the e-mail addresses of its group.

    Raises:
        ValueError: no student is named in it.
    """
    data = json.loads(metadata)
    users = data.get("users") if isinstance(data, dict) else None
    named = [
        str(user.get("email") or user.get("sid") or user.get("id") or "")
        for user in (users if isinstance(users, list) else [])
        if isinstance(user, dict)
    ]
    if not any(named):
        raise ValueError("submission_metadata.json names no user")
    return clean(" + ".join(sorted(filter(None, named))))


def autograder_zip(course: Course, name: str) -> bytes:
    """The zip to upload as an assignment's autograder: scripts, package, what a week needs of the course.

    The course's references and hidden checks go with it: students have no access to Gradescope's containers,
    and guests none to these files. Scripts in the course's folder `gradescope` take the place of ours.

    Raises:
        CourseError: the package can't be built.
    """
    from autograder.release import build_wheel

    files: dict[str, bytes] = {}
    for script, text in scripts(course.root, name).items():
        files[script] = text.encode()
    for path in course.files(name):
        files[f"course/{path.relative_to(course.root).as_posix()}"] = path.read_bytes()
    with tempfile.TemporaryDirectory(prefix="wheel-") as folder:
        wheel = build_wheel(Path(folder))
        if wheel:
            files[wheel.name] = wheel.read_bytes()
    files["requirements.txt"] = requirements(wheel.name if wheel else "").encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for where in sorted(files):
            entry = zipfile.ZipInfo(where, (2026, 1, 1, 0, 0, 0))  # the same files make the same zip
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if where in SCRIPTS else 0o100644) << 16
            file.writestr(entry, files[where])
    return archive.getvalue()


def scripts(root: Path, week: str) -> dict[str, str]:
    """The two scripts of a week by name: the course's own, in its folder `gradescope`, or ours."""
    own = {script: root / "gradescope" / script for script in SCRIPTS}
    return {
        script: own[script].read_text(encoding="utf-8") if own[script].is_file() else template(script, week)
        for script in SCRIPTS
    }


def template(script: str, week: str) -> str:
    """One of our scripts, for a week."""
    return environment().get_template(f"ci/gradescope/{script}.j2").render(week=week)


def requirements(wheel: str = "") -> str:
    """Pins of what the package needs, as installed here: the same versions give the same marks."""
    lines = [f"./{wheel}" if wheel else f"genai-autograder=={__version__}"]
    for requirement in importlib.metadata.requires("genai-autograder") or ():
        name = requirement.split(">")[0].strip()
        if ";" not in requirement or name == "pyseccomp":  # seals guests, on Linux
            lines.append(f"{name}=={_version(name)}")
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _version(package: str) -> str:
    return importlib.metadata.version(package).partition("+")[0]  # torch's says for which processors
