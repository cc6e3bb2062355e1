"""The tests of nbgrader's own suite that ours is right to fail, each with the reason."""

_STRANGE_CELLS = (
    "A notebook with graded cells that the assignment does not have ends stock nbgrader's grading of the "
    "submission. Ours says so, gives these cells nothing, and grades what belongs to the assignment."
)

DIFFERENCES: dict[str, str] = {
    "test_handle_failure": _STRANGE_CELLS,
    "test_handle_failure_single_notebook": _STRANGE_CELLS,
    "test_missing_source_kernelspec": (
        "Where the course's notebook names no kernel, a kernel named by the student that does not exist ends "
        "stock nbgrader's grading of the submission. Ours runs the notebook as Python, whatever it claims."
    ),
}
