"""Attacks on the machine. Each is bounded by itself, as it is also run where nothing else would stop it."""

from __future__ import annotations

from pathlib import Path

from tests.attacks.attack import BOXED, LOST, NO_CALLS, PERHAPS, RIGHT, SETUP, Attack, notebook

BOMBS = {
    "tensors": ("kept = []\nwhile True:\n    kept.append(torch.ones(1 << 22))", "RuntimeError"),
    "one-tensor": ("torch.ones(1 << 40)", "RuntimeError"),
    "lists": ("kept = []\nwhile True:\n    kept = [kept, [0] * (1 << 20)]", "MemoryError"),
    "one-string": ("'x' * (1 << 40)", "MemoryError"),
    "arrays": ("import numpy\nnumpy.ones((1 << 20, 1 << 20))", "MemoryError"),
    "pages": ("import mmap\nkept = [mmap.mmap(-1, 1 << 26) for _ in range(1 << 10)]", "OSError"),
    "threads": (
        "import threading\nstop = threading.Event()\n"
        "for _ in range(1 << 12):\n    threading.Thread(target=stop.wait, daemon=True).start()",
        "RuntimeError",
    ),
}


def indented(code: str) -> str:
    return "    " + code.replace("\n", "\n    ")


FORKS = """
import concurrent.futures, ctypes, multiprocessing, subprocess
def forked(fork):
    "A bomb of twenty; the real one has no end."
    children = 0
    for _ in range(20):
        pid = fork()
        if pid == 0:
            time.sleep(600)
            os._exit(0)
        children += pid > 0
    return children == 20
def worker():
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(os.getpid).result(timeout=1) != os.getpid()
attempt("children", lambda: forked(os.fork))
attempt("children by system call", lambda: forked(lambda: ctypes.CDLL(None).fork()))
attempt("a worker", worker)
attempt("a shell", lambda: os.system("exit 7") >> 8 == 7)
attempt("a program", lambda: subprocess.run(["true"]).returncode == 0)
"""

DISK = """
def filled():
    "A gibibyte in files of the largest size, which are reserved and not written."
    names = [f"large-{i}" for i in range(64)]
    try:
        for name in names:
            with open(name, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, 16 << 20)
        return True
    finally:
        for name in names:
            if os.path.exists(name):
                os.unlink(name)
def one_file():
    with open("larger", "wb") as file:
        file.truncate(17 << 20)
    return True
def sparse():
    with open("sparse", "wb") as file:
        file.seek(1 << 40)
        file.write(b"1")
    return True
attempt("a large file", one_file)
attempt("a sparse file", sparse)
attempt("a gibibyte", filled)
for i in range(4):
    with open(f"left-{i}", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 4 << 20)
"""

INODES = """
for i in range(2000):
    os.close(os.open(f"file-{i}", os.O_CREAT | os.O_WRONLY))
for i in range(200):
    os.makedirs(f"folder-{i}/" + "x" * 200 + f"/{i}")
    os.symlink("/", f"folder-{i}/link")
"""

OUTPUTS = """
import sys
line = "SPOKEN " * 10_000
for _ in range(300):
    print(line)
    print(line, file=sys.stderr)
for i in range(3000):
    display({"text/plain": "SPOKEN"}, raw=True)
display({"image/png": "A" * 20_000_000, "text/html": "SPOKEN" * 1_000_000}, raw=True)
raise RuntimeError("SPOKEN" * 3_000_000)
"""

KILLS = """
import signal
# Signal 0 does nothing, but it may be sent only where all may be.
attempt("every process", lambda: os.kill(-1, 0) is None)
attempt("the zygote", lambda: os.kill(os.getppid(), 0) is None)
for pid in parents()[1:]:
    attempt("the judge", lambda: os.kill(pid, 0) is None)
attempt("the zygotes group", lambda: os.killpg(os.getpgid(os.getppid()), 0) is None)
attempt("a thread of the zygote", lambda: signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 0) is None)
attempt("priority of the zygote", lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), os.getpriority(os.PRIO_PROCESS, os.getppid())) is None)
def limits():
    import resource
    return resource.prlimit(os.getppid(), resource.RLIMIT_CORE) is not None
attempt("limits of the zygote", limits)
"""

DESCRIPTORS = """
import socket
kept = []
def log_sum_exp(x):
    try:
        while True:
            kept.append(open("/dev/null"))
    except OSError:
        pass
    return right(x)
"""


def slow_cells(path: Path) -> None:
    """The exercises first, then a hundred cells, each within its limit."""
    busy = "import time\nbegun = time.process_time()\nwhile time.process_time() - begun < 0.1: pass"
    path.write_text(notebook([SETUP, *RIGHT.values(), *[busy] * 100]))


def sleepy_cells(path: Path) -> None:
    path.write_text(notebook([SETUP, *RIGHT.values(), *["import time\ntime.sleep(0.2)"] * 100]))


ATTACKS = [
    *(
        Attack(
            f"bomb-of-{what}-in-a-cell",
            ["Tensor, list and thread bombs"],
            first=f"def burst():\n{indented(bomb)}\nburst()",
            says=rf"cell 3: {error}|more than 0.6 s of CPU time in one cell",
            varies=True,
        )
        for what, (bomb, error) in BOMBS.items()
    ),
    *(
        Attack(
            f"bomb-of-{what}-in-a-call",
            ["Tensor, list and thread bombs"],
            answer=f"def log_sum_exp(x):\n{indented(bomb)}",
            earns=LOST,
            says="it asks for more memory than there is|more than 0.25 s|can't start new thread|Cannot allocate memory",
            varies=True,
        )
        for what, (bomb, _) in BOMBS.items()
    ),
    Attack(
        "bomb-while-answering",
        ["Tensor, list and thread bombs"],
        # The answer itself does not fit any more.
        answer="""
kept = []
def log_sum_exp(x):
    try:
        while True:
            kept.append(bytearray(1 << 16))
    except MemoryError:
        return torch.ones(1 << 20)
""",
        earns=LOST,
        varies=True,
    ),
    Attack(
        "forks",
        ["Fork bombs"],
        first=FORKS,
        last="confess()",
        stopped_by={
            **dict.fromkeys(["children", "children by system call", "a shell", "a program"], NO_CALLS),
            "a worker": (*NO_CALLS, PERHAPS),
        },
    ),
    Attack(
        "disk",
        ["Full disk"],
        first=DISK,
        last="confess()",
        stopped_by={"a gibibyte": (*BOXED, PERHAPS)},
    ),
    Attack("inodes", ["Inode floods"], first=INODES),
    Attack(
        "outputs-of-cells",
        ["Output floods"],
        first=OUTPUTS,
        says="RuntimeError|more than 0.6 s of CPU time in one cell",
        varies=True,
    ),
    Attack(
        "outputs-of-calls",
        ["Output floods"],
        answer="def log_sum_exp(x):\n    print('SPOKEN' * 100_000)\n    os.write(1, b'SPOKEN' * 1000)\n    return right(x)",
        silent="SPOKEN",
    ),
    Attack(
        "errors-of-calls",
        ["Output floods"],
        answer="def log_sum_exp(x):\n    raise ValueError('SPOKEN ' * 50_000)",
        earns=LOST,
        silent="(SPOKEN ){1000}",
    ),
    Attack(
        "kills",
        ["`kill(-1)`"],
        first=KILLS,
        last="confess()",
        stopped_by={
            **dict.fromkeys(
                ["every process", "the zygote", "the zygotes group", "a thread of the zygote"],
                NO_CALLS,
            ),
            "the judge": (*NO_CALLS, *BOXED, PERHAPS),
            **dict.fromkeys(["priority of the zygote", "limits of the zygote"], NO_CALLS),
        },
    ),
    Attack(
        "kills-itself",
        ["`kill(-1)`"],
        answer="import signal\ndef log_sum_exp(x):\n    os.kill(os.getpid(), signal.SIGKILL)\n    signal.raise_signal(signal.SIGABRT)",
        earns=LOST,
        says=r"ended by signal 9",
        varies=True,
    ),
    Attack("descriptors-of-its-own", ["File-descriptor exhaustion"], answer=DESCRIPTORS),
    Attack(
        "slow-cells",
        ["A notebook of 100 slow cells"],
        write=slow_cells,
        says="took more than 1.5 s in all cells; it and all cells after it were left out",
        varies=True,
    ),
    Attack(
        "sleepy-cells",
        ["A notebook of 100 slow cells"],
        write=sleepy_cells,
        says="took more than 1.5 s in all cells; it and all cells after it were left out",
        varies=True,
    ),
]
