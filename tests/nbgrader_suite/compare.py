"""nbgrader's own tests, stock and with ours as defaults: what passes with stock must pass with ours.

    python -m tests.nbgrader_suite.compare            (all of it: some ten minutes)
    python -m tests.nbgrader_suite.compare validate   (one part)

Exit code 1 if a test fails with ours that passes with stock nbgrader on this machine, unless
`differences.py` says why ours is right to differ.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from tests.nbgrader_suite.differences import DIFFERENCES

ROOT = Path(__file__).resolve().parents[2]
PARTS = {
    "autograde": "nbgrader.tests.apps.test_nbgrader_autograde",
    "validate": "nbgrader.tests.apps.test_nbgrader_validate",
    "feedback": "nbgrader.tests.apps.test_nbgrader_generate_feedback",
    "preprocessors": "nbgrader.tests.preprocessors",
}


def verdicts(package: str, ours: bool, folder: Path) -> dict[str, str]:
    """The verdict on each test: "passed", "failed" or "skipped"."""
    log = folder / f"{package}-{ours}.xml"
    plugin = ["-p", "tests.nbgrader_suite.as_default"] if ours else []
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", *plugin]
    subprocess.run(
        [*command, f"--junit-xml={log}", "--pyargs", package], cwd=folder, capture_output=True, check=False
    )
    if not log.is_file():
        raise SystemExit(f"{package} did not run: {' '.join(command)}")
    found = {}
    for case in ElementTree.parse(log).iter("testcase"):
        kinds = {child.tag: child.get("type", "") for child in case}
        name = f"{case.get('classname', '').rsplit('.', 1)[-1]}::{case.get('name')}"
        bad = "failure" in kinds or "error" in kinds or kinds.get("skipped") == "pytest.xfail"
        found[name] = "failed" if bad else "skipped" if "skipped" in kinds else "passed"
    return found


def main() -> int:
    worse = 0
    with tempfile.TemporaryDirectory() as name:
        for part in sys.argv[1:] or PARTS:
            stock, ours = (verdicts(PARTS[part], o, Path(name)) for o in (False, True))
            passed = [test for test, verdict in stock.items() if verdict == "passed"]
            lost = [test for test in passed if ours.get(test) != "passed"]
            print(
                f"{part}: stock passes {len(passed)} of {len(stock)}, ours {len(passed) - len(lost)} of these"
            )
            for test in lost:
                reason = DIFFERENCES.get(test.split("::")[-1].split("[")[0])
                worse += reason is None
                print(f"  {test}: {reason or 'NOT EXPLAINED'}")
    return 1 if worse else 0


if __name__ == "__main__":
    raise SystemExit(main())
