"""Attacks by the file that is handed in: what it is, what it is called, and what it says of itself."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import socket
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.attacks.attack import RIGHT, SETUP, TARGET, WEEK, Attack, code_cell, notebook

SCRIPT = "<script>alert(document.domain)</script><img src=x onerror=alert(1)>"
HONEST = [SETUP, *RIGHT.values()]
NOTHING = {"double": 0, "tally": 0, "Affine": 0, TARGET: 0}


def bytes_of(data: bytes | str) -> Callable[[Path], None]:
    """Writes these bytes."""

    def write(path: Path) -> None:
        path.write_bytes(data if isinstance(data, bytes) else data.encode())

    return write


def zipped(names: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return buffer.getvalue()


BOMB = zipped({f"{WEEK}.ipynb": bytes(30_000_000)})
CLIMBER = zipped({"../../evil.ipynb": b"{}", "/tmp/evil.ipynb": b"{}", "..\\evil.py": b"1"})


def elsewhere(suffix: str, data: bytes) -> Callable[[Path], Path]:
    """A file of another kind."""

    def write(path: Path) -> Path:
        other = path.with_suffix(suffix)
        other.write_bytes(data)
        return other

    return write


def link(target: str) -> Callable[[Path], None]:
    return lambda path: os.symlink(target, path)


def folder_with_a_link(path: Path) -> Path:
    folder = path.with_suffix("")
    folder.mkdir()
    (folder / f"{WEEK}.ipynb").symlink_to("/etc/passwd")
    return folder


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(path.parent)  # its whole path may be too long for a socket
        try:
            s.bind(path.name)
        finally:
            os.chdir(here)


def with_shadows(path: Path) -> Path:
    """An honest notebook with modules beside it that would take the place of libraries."""
    folder = path.with_suffix("")
    (folder / "autograder").mkdir(parents=True)
    (folder / f"{WEEK}.ipynb").write_text(notebook(HONEST))
    shadow = "raise SystemExit('SHADOWED')"
    for name in (
        "torch",
        "numpy",
        "sitecustomize",
        "usercustomize",
        "conftest",
        "autograder/__init__",
        "json",
    ):
        (folder / f"{name}.py").write_text(shadow)
    return folder


def marked(cells: list[dict[str, Any]], **metadata: Any) -> str:
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def scripts() -> str:
    """An honest notebook with scripts wherever text can be."""
    image = base64.b64encode(SCRIPT.encode()).decode()
    output = {
        "output_type": "display_data",
        "metadata": {SCRIPT: SCRIPT},
        "data": {
            "text/html": SCRIPT,
            "image/svg+xml": f"<svg onload=alert(1)>{SCRIPT}</svg>",
            "image/png": image,
        },
    }
    markdown = {"cell_type": "markdown", "id": SCRIPT, "metadata": {}, "source": SCRIPT}
    shows = f"from IPython.display import HTML, Javascript\ndisplay(HTML({SCRIPT!r}), Javascript('alert(1)'))"
    cells = [code_cell(s, f"{SCRIPT}{i}", outputs=[output]) for i, s in enumerate([*HONEST, shows])]
    fails = code_cell(f"raise type({SCRIPT!r}, (Exception,), {{}})({SCRIPT!r})", "last")
    return marked(
        [markdown, *cells, fails], title=SCRIPT, kernelspec={"display_name": SCRIPT, "name": "../../x"}
    )


def forged_metadata() -> str:
    """All that nbgrader says about cells, in the student's favour."""

    def says(grade_id: str, points: float) -> dict[str, Any]:
        return {
            "nbgrader": {
                **{"grade": True, "solution": True, "locked": True, "schema_version": 3, "task": False},
                **{"grade_id": grade_id, "points": points, "cell_type": "code", "checksum": "0" * 32},
            },
            "deletable": False,
            "editable": False,
        }

    sources = dict(zip(["setup", *RIGHT], HONEST, strict=True))
    sources[TARGET] = "def log_sum_exp(x):\n    return x.amax(-1)"
    names = {**{n: n for n in sources}, "double": TARGET, TARGET: "double"}
    cells = [code_cell(s, n, metadata=says(names[n], 1e9)) for n, s in sources.items()]
    cells.append(code_cell("27.0", "score", metadata=says("score", float(27))))
    return marked(cells, nbgrader={"score": 27}, celltoolbar="Create Assignment")


def duplicated() -> str:
    """The same ids and the same exercises twice, wrong first: the last definition counts, as in Jupyter."""
    wrong = [f"def {name}(*args):\n    raise ValueError" for name in RIGHT]
    return marked([code_cell(s, "same") for s in [SETUP, *wrong, *RIGHT.values(), "double(1)"]])


COMMANDS = """
!touch {TEMPORARY}/shell
!!ls
listed = !cat /etc/passwd
%system id
%sx id
%env SECRET=1
%cd {COURSE}
%pip install evil
%conda install evil
%run {COURSE}/assignments/week01_canary/hidden_checks.py
%load {COURSE}/course.toml
%pycat {COURSE}/course.toml
%pfile double
%edit
%store
%save out 1-3
%logstart log
%macro m 1-3
%autoreload 2
%load_ext storemagic
%alias evil touch {TEMPORARY}/alias
%rehashx
%debug
%pdb on
%history -g
%notebook copy.ipynb
%reset -f
%killbgscripts
?double
double??
%matplotlib qt
%config InteractiveShell.ast_node_interactivity = 'all'
%timeit -n1 -r1 double(1)
%%bash
touch {TEMPORARY}/bash
%%sh
touch {TEMPORARY}/sh
%%script bash
touch {TEMPORARY}/script
%%writefile torch.py
raise SystemExit
%%javascript
alert(1)
%%html
<script>alert(document.domain)</script>
%%svg
<svg onload=alert(1)>
%%latex
x
%%capture
print(1)
%%nonsense
x
"""


def commands() -> str:
    """Each of IPython's commands in a cell of its own; what follows %% goes with it."""
    cells: list[str] = []
    for line in COMMANDS.strip().splitlines():
        if cells and cells[-1].startswith("%%") and "\n" not in cells[-1]:
            cells[-1] += "\n" + line
        else:
            cells.append(line)
    return notebook(["TEMPORARY = COURSE = '/nowhere'", *cells, *HONEST])


def old() -> str:
    """nbformat 3, with the target after the others in a second worksheet."""
    cells = [
        {"cell_type": "code", "input": s.splitlines(True), "language": "python", "outputs": []}
        for s in HONEST
    ]
    sheets = [{"cells": cells[:2]}, {"cells": cells[2:]}]
    return json.dumps(
        {"worksheets": sheets, "metadata": {"name": "../../x"}, "nbformat": 3, "nbformat_minor": 0}
    )


def large(path: Path) -> None:
    """A notebook of 100 MB, most of which is only said to be there."""
    path.write_text(notebook(HONEST)[:-1] + ', "more": "')
    os.truncate(path, 100_000_000)


def with_outputs(path: Path) -> None:
    """Outputs of 15 MB, which nobody needs to read."""
    output = {"output_type": "stream", "name": "stdout", "text": "SPOKEN " * 1000}
    cells = [code_cell(s, str(i), outputs=[output] * 400) for i, s in enumerate(HONEST)]
    path.write_text(marked(cells))


UNREADABLE: dict[str, tuple[str, bytes | str, str]] = {
    "no-json": ("Not JSON", "{'cells': []}", "no JSON at line 1"),
    "json-that-ends": ("Not JSON", notebook(HONEST)[:-20], "no JSON at line 1"),
    "a-page": ("Not JSON", f"<!doctype html>{SCRIPT}", "no JSON"),
    "a-picture": ("Not JSON", b"\x89PNG\r\n\x1a\n" + bytes(100), "no JSON"),
    "a-list": ("Not JSON", "[]", "it has no list of cells"),
    "a-number": ("Not JSON", "27", "it has no list of cells"),
    "deep-json": ("Not JSON", "[" * 100_000, "no JSON that can be read"),
    "deep-cells": ("Not JSON", '{"cells": ' * 50_000, "no JSON that can be read"),
    "a-huge-number": ("Not JSON", '{"cells": 1' + "0" * 1_000_000 + "}", "no JSON that can be read"),
    "cells-of-nothing": ("Not JSON", '{"cells": [null]}', "its cell 1 is no text"),
    "cells-of-numbers": (
        "Not JSON",
        '{"cells": [{"cell_type": "code", "source": [1]}]}',
        "its cell 1 is no text",
    ),
    "too-many-cells": ("Not JSON", notebook(["1"] * 3000), "more than 2000 cells"),
    "utf-16": ("Not JSON", notebook(HONEST).encode("utf-32"), ""),
    "empty": ("Empty", "", "it is empty"),
    "blank": ("Empty", " \n\t\n", "it is empty"),
    "zip-as-a-notebook": ("Zip bombs", BOMB, "no JSON"),
    "gzip-as-a-notebook": ("Zip bombs", gzip.compress(bytes(1 << 24)), "no JSON"),
    "zip-that-climbs": ("`../` and absolute names", CLIMBER, "no JSON"),
}

ATTACKS = [
    *(
        Attack(name, [covers], write=bytes_of(data), status="unreadable", says=says, silent="<script")
        for name, (covers, data, says) in UNREADABLE.items()
        if name != "utf-16"
    ),
    Attack(
        "zip",
        ["Zip bombs"],
        write=elsewhere(".zip", BOMB),
        status="unreadable",
        says="only .ipynb and .py files can be read",
    ),
    *(
        Attack(f"link-{name}", ["Symlinks and devices"], write=link(target), status="unreadable", says=says)
        for name, (target, says) in {
            "out": ("/etc/passwd", "a symbolic link that leads out of its folder"),
            "to-a-device": ("/dev/zero", "a symbolic link that leads out of its folder"),
            "to-a-process": ("/proc/self/environ", "a symbolic link that leads out of its folder"),
            "up": ("../../../canary-course/gradebook.db", "a symbolic link that leads out of its folder"),
            "to-itself": ("link-to-itself.ipynb", ""),
            "to-nothing": ("nothing.ipynb", "no such file"),
        }.items()
    ),
    Attack(
        "link-in-a-folder",
        ["Symlinks and devices"],
        write=folder_with_a_link,
        status="unreadable",
        says="a symbolic link that leads out of its folder",
    ),
    Attack(
        "pipe",
        ["Symlinks and devices"],
        write=os.mkfifo,
        status="unreadable",
        says="it is not a regular file",
    ),
    Attack(
        "socket",
        ["Symlinks and devices"],
        write=listening,
        status="unreadable",
        says="it is not a regular file",
    ),
    Attack(
        "folder",
        ["Symlinks and devices"],
        write=os.mkdir,
        status="unreadable",
        says="there is no notebook in this",
    ),
    Attack(
        "scripts",
        ["`<script>` in outputs, markdown, names and ids"],
        write=bytes_of(scripts()),
        says="did not run|script",
    ),
    Attack(
        "forged-metadata",
        ["Changed grade ids, points and locked cells"],
        write=bytes_of(forged_metadata()),
        earns={TARGET: 0},
    ),
    Attack("duplicated-cells", ["Duplicated and deleted cells"], write=bytes_of(duplicated())),
    Attack(
        "deleted-cells",
        ["Duplicated and deleted cells"],
        write=bytes_of(notebook([SETUP, RIGHT["tally"]])),
        earns={**NOTHING, "tally": 4},
        says="double is not defined",
    ),
    Attack(
        "no-cells",
        ["Duplicated and deleted cells"],
        write=bytes_of(notebook([])),
        earns=NOTHING,
        says="double is not defined",
    ),
    Attack(
        "commands",
        ["`!` and `%` lines"],
        write=bytes_of(commands()),
        says="was not run: notebooks are graded without other programs",
        silent="root:x:0",
    ),
    Attack(
        "large-file",
        ["100 MB outputs"],
        write=large,
        status="unreadable",
        says="larger than 20 MB: clear the outputs",
    ),
    Attack("large-outputs", ["100 MB outputs"], write=with_outputs, silent="SPOKEN"),
    Attack("old-notebook", ["Old nbformat"], write=bytes_of(old())),
    Attack(
        "future-notebook", ["Old nbformat"], write=bytes_of(notebook(HONEST, nbformat=99, nbformat_minor=-1))
    ),
    Attack("byte-order-mark", ["Old nbformat"], write=bytes_of(b"\xef\xbb\xbf" + notebook(HONEST).encode())),
    Attack("shadows", ["A file named `torch.py` beside the notebook"], write=with_shadows, silent="SHADOWED"),
    Attack(
        "lone-surrogates",
        ["Odd Unicode and case-colliding names"],
        write=bytes_of(notebook([*HONEST, "print('\ud800')", "raise ValueError('\ud800\x1b[2J\u202e')"])),
    ),
]
