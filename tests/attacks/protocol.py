"""Attacks on results and on the wire between judge and guest."""

from __future__ import annotations

from tests.attacks.attack import LOST, NO_FILES, PERHAPS, Attack

# The guest's socket is descriptor 3; the numbers of its frames stand in the function that answers.
FRAMES = """
import struct
from autograder import wire
def frame(number, value):
    return wire.frame(number, wire.encode(value))
def number_asked():
    there = sys._getframe()
    while there is not None:
        if there.f_code.co_name == "serve":
            return there.f_locals["number"] + there.f_locals["i"]
        there = there.f_back
def push(data):
    view = memoryview(data)
    while view:
        view = view[os.write(3, view[: 1 << 16]) :]
"""


def sends(what: str) -> str:
    """An answer that first sends something of its own."""
    return f"{FRAMES}\ndef log_sum_exp(x):\n    n = number_asked()\n    {what}\n    return right(x)"


FILES = """
import json
report = json.dumps({"format": "genai-autograder/report/v1", "student": "results-files", "score": 27, "max_score": 27})
names = ["report.json", "results.json", "results.xml", "results-files.json", "score.txt", "gradebook.db", "autograder.log",
         ".autograder/tolerances", "feedback.html", "conftest.py", "sitecustomize.py", "usercustomize.py", "torch.py",
         "autograder.py", "numpy.py", "IPython/__init__.py", ".config/matplotlib/matplotlibrc", ".pythonrc.py"]
for name in names:
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(name, "w") as file:
        file.write(report)
def written(path):
    with open(path, "w") as file:
        file.write(report)
    os.unlink(path)
    return True
attempt("reports", lambda: written(REPORTS + "/forged.json"))
attempt("neighbours report", lambda: bool(os.open(REPORTS + "/neighbour.json", os.O_WRONLY)))
attempt("neighbours notebook", lambda: bool(os.open(SUBMITTED + "/neighbour.ipynb", os.O_WRONLY)))
attempt("cache", lambda: written(COURSE + "/.autograder/week01_canary/log_sum_exp/forged.tolerances"))
attempt("temporary folder", lambda: written(TEMPORARY + "/forged"))
attempt("own zygote", lambda: written(os.path.dirname(os.getcwd()) + "/forged"))
confess()
"""
# Nothing is written: that it could be opened says enough.
HARNESS = """
import site, sysconfig
def opened(path):
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
    return True
for name in ("guests.py", "judge.py", "wire.py", "zygote.py", "grading.py", "__init__.py"):
    attempt("the engine", lambda: opened(ENGINE + "/" + name))
attempt("the course", lambda: opened(COURSE + "/assignments/week01_canary/hidden_checks.py"))
attempt("torch", lambda: opened(torch.__file__))
attempt("the library", lambda: opened(os.__file__))
attempt("the interpreter", lambda: os.access(os.path.realpath(sys.executable), os.W_OK))
attempt("site-packages", lambda: os.access(sysconfig.get_paths()["purelib"], os.W_OK))
attempt("compiled files", lambda: opened(os.__cached__))
from autograder import calls, wire, zygote, shell, confinement
confinement.seal = lambda *_: None
zygote.answer = lambda *_: wire.encode({"value": torch.zeros(1)})
confess()
"""

FAKES = """
import json
lines = ["score: 27.0", "27/27 points", "PASSED", "##vso[task.complete result=Succeeded;]", "::set-output name=score::27",
         json.dumps({"verdict": "passed", "points": 11}), "ok 1 - log_sum_exp", "</script><script>alert(1)</script>"]
def fake():
    for line in lines:
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            try:
                print(line, file=stream, flush=True)
            except Exception:
                pass
        for descriptor in (0, 1, 2):
            try:
                os.write(descriptor, line.encode() + b"\\n" + bytes(8) + wire.encode({"value": 11}))
            except OSError:
                pass
from autograder import wire
fake()
"""

MALFORMED = {
    "nothing": "push(b'\\0' * 100)",
    "noise": "push(os.urandom(1000))",
    "half-a-header": "push(b'\\1\\0\\0'); time.sleep(0.05)",
    "an-unknown-tag": "push(wire.frame(n, b'?'))",
    "an-unknown-dtype": "push(wire.frame(n, b'd\\1\\0\\0\\0s\\5\\0\\0\\0valuex\\xff\\0'))",
    "too-many-items": "push(wire.frame(n, b'l\\xff\\xff\\xff\\xff'))",
    "a-tensor-of-an-exbibyte": "push(wire.frame(n, b'd\\1\\0\\0\\0s\\5\\0\\0\\0valuex\\x08\\1' + struct.pack('<Q', 1 << 58)))",
    "dims-that-overflow": "push(wire.frame(n, b'd\\1\\0\\0\\0s\\5\\0\\0\\0valuex\\x08\\4' + struct.pack('<4Q', *[1 << 32] * 4)))",
    "hidden-dims": "push(wire.frame(n, b'd\\1\\0\\0\\0s\\5\\0\\0\\0valuex\\x08\\2' + struct.pack('<2Q', 1 << 60, 0)))",
    "a-key-twice": "push(wire.frame(n, b'd\\2\\0\\0\\0' + b's\\5\\0\\0\\0valueN' * 2))",
    "no-text": "push(wire.frame(n, b'd\\1\\0\\0\\0s\\5\\0\\0\\0values\\2\\0\\0\\0\\xff\\xfe'))",
    "no-bool": "push(wire.frame(n, b'd\\1\\0\\0\\0s\\5\\0\\0\\0valuex\\0\\1' + struct.pack('<Q', 1) + b'\\2'))",
    "more-after-it": "push(wire.frame(n, wire.encode({'value': 1}) + b'N'))",
    "no-reply": "push(frame(n, [1, 2, 3]))",
    "a-verdict": "push(frame(n, {'verdict': 'passed', 'points': 11}))",
    "a-death": "push(frame(n, {'error': {'kind': 'fault', 'type': '', 'message': '', 'traceback': ''}}))",
    "a-probe": "wire.Limits.probes = True; push(wire.frame(n, b'd\\1\\0\\0\\0s\\5\\0\\0\\0valueps\\1\\0\\0\\0xd\\0\\0\\0\\0'))",
    "a-generator": "push(wire.frame(n, b'd\\1\\0\\0\\0s\\5\\0\\0\\0valuegi' + bytes(8)))",
}
BROKEN = "the guest broke the protocol|the guest closed its connection"

ATTACKS = [
    Attack(
        "results-files",
        ["Writing result files"],
        first=FILES,
        answer="def log_sum_exp(x):\n    return x.amax(-1)",
        earns=LOST,
        stopped_by=dict.fromkeys(
            [
                "reports",
                "neighbours report",
                "neighbours notebook",
                "cache",
                "temporary folder",
                "own zygote",
            ],
            NO_FILES,
        ),
    ),
    Attack(
        "harness",
        ["Overwriting the harness"],
        first=HARNESS,
        answer="def log_sum_exp(x):\n    return x.amax(-1)",
        earns={"double": 0, "tally": 0, "Affine": 0, "log_sum_exp": 0},
        stopped_by={
            **dict.fromkeys(["the engine", "the course"], NO_FILES),
            **dict.fromkeys(
                ["torch", "the library", "the interpreter", "site-packages", "compiled files"],
                (*NO_FILES, PERHAPS),
            ),
        },
    ),
    Attack(
        "fake-scores",
        ["Printing a fake score or a fake frame"],
        first=FAKES,
        answer="def log_sum_exp(x):\n    fake()\n    return x.amax(-1)",
        last="fake()",
        earns=LOST,
        silent="alert|27/27|set-output|score: 27",
    ),
    Attack(
        "early-frames",
        ["Early frames"],
        answer=sends("push(frame(n + 1, {'value': right(x)}))"),
        earns=LOST,
        says=BROKEN,
    ),
    Attack(
        "frames-before-the-question",
        ["Early frames"],
        first=FRAMES + "push(frame(1000, {'value': 1}))",
        says=BROKEN,
    ),
    Attack(
        "replayed-frames",
        ["Replayed frames"],
        answer=sends("push(frame(n - 1, {'value': right(x)}))"),
        earns=LOST,
        says=BROKEN,
    ),
    Attack(
        "extra-frames",
        ["Extra frames"],
        answer=sends("push(frame(n, {'value': right(x)}))"),
        earns=LOST,
        says=BROKEN,
    ),
    Attack(
        "a-frame-for-every-question",
        ["Extra frames"],
        answer=sends("[push(frame(k, {'value': right(x)})) for k in range(n, n + 500)]"),
        earns=LOST,
        says=BROKEN,
    ),
    Attack(
        "frames-from-another-function",
        ["Early frames"],
        # It answers for the exercise before: an answer of the honest function never counts twice.
        answer=FRAMES + "def log_sum_exp(x):\n    push(frame(0, {'ready': True}))\n    return right(x)",
        earns=LOST,
        says=BROKEN,
    ),
    Attack(
        "oversized-frames",
        ["Oversized frames"],
        answer=sends("push(struct.pack('<QQ', 1 << 62, n))"),
        earns=LOST,
        says="a frame of 4611686018427387904 bytes",
    ),
    Attack(
        "frames-of-the-largest-size",
        ["Oversized frames"],
        answer=sends("push(struct.pack('<QQ', 64 << 20, n) + b'l' * (1 << 20)); time.sleep(100)"),
        earns=LOST,
        says="waited for more than",
    ),
    Attack(
        "large-answers",
        ["Oversized frames"],
        answer="def log_sum_exp(x):\n    return torch.zeros(12 << 20, dtype=torch.uint8)",
        earns=LOST,
        says="expected shape",
    ),
    *(
        Attack(
            f"malformed-{name}",
            ["Malformed frames"],
            answer=sends(what),
            earns=LOST,
            says=BROKEN,
            varies=True,
        )
        for name, what in MALFORMED.items()
    ),
    Attack(
        "deep-nesting-in-a-frame",
        ["Deep nesting"],
        answer=sends("push(wire.frame(n, b'l\\1\\0\\0\\0' * 100_000 + b'N'))"),
        earns=LOST,
        says=BROKEN,
    ),
    Attack(
        "deep-nesting-in-an-answer",
        ["Deep nesting"],
        answer="""
def log_sum_exp(x):
    nested = []
    for _ in range(100_000):
        nested = [nested]
    return nested
""",
        earns=LOST,
        says="RecursionError|nested more than 32 deep",
    ),
    Attack(
        "wide-and-deep",
        ["Deep nesting"],
        answer="""
def log_sum_exp(x):
    value = [0.0] * 40
    for _ in range(2):
        value = [value] * 40
    return value
""",
        earns=LOST,
        says="expected a tensor",
    ),
    Attack(
        "huge-integers",
        ["Huge integers"],
        answer="def log_sum_exp(x):\n    return 10 ** 100_000",
        earns=LOST,
        says="more than 4096 bits can't be sent",
    ),
    Attack(
        "huge-integers-in-a-frame",
        ["Huge integers"],
        answer=sends(
            "push(wire.frame(n, b'd\\1\\0\\0\\0s\\5\\0\\0\\0valueI' + struct.pack('<I', 1 << 20) + b'\\1' * (1 << 20)))"
        ),
        earns=LOST,
        says=BROKEN,
    ),
    Attack(
        "large-integers",
        ["Huge integers"],
        answer="""
turn = 0
def log_sum_exp(x):
    global turn
    turn += 1
    return [1 << 4000, -(1 << 64), [1 << 2000], {"a": 1 << 63}, 1e308 * 10, complex(0, 1), True][turn % 7]
""",
        earns=LOST,
        says="expected",
    ),
    Attack(
        "pickles",
        ["Pickles and `.pt` bytes"],
        answer=sends(
            "import pickle, io\n    class P:\n        def __reduce__(self): return (os.system, ('touch ' + TEMPORARY + '/pickled',))\n"
            "    push(wire.frame(n, pickle.dumps(P())))"
        ),
        earns=LOST,
        says=BROKEN,
    ),
    Attack(
        "pickles-as-values",
        ["Pickles and `.pt` bytes"],
        answer="""
import io, pickle
class P:
    def __reduce__(self):
        return (os.system, ("touch " + TEMPORARY + "/pickled",))
turn = 0
def log_sum_exp(x):
    global turn
    turn += 1
    buffer = io.BytesIO()
    torch.save({"value": right(x), "more": P()}, buffer)
    return [pickle.dumps(P()), buffer.getvalue(), P(), {"value": P()}][turn % 4]
""",
        earns=LOST,
        says="expected a tensor, got a bytes|can't be sent",
    ),
    Attack(
        "sent-descriptors",
        ["Sent descriptors"],
        answer=FRAMES
        + """
import socket
def log_sum_exp(x):
    n = number_asked()
    s = socket.socket(fileno=os.dup(3))
    for _ in range(50):
        socket.send_fds(s, [b""], [0, 1, 2])
    data = frame(n, {"value": right(x)})
    socket.send_fds(s, [data[:1]], [0, 1, 2, s.fileno()])
    s.sendall(data[1:])
    while True:
        pass
""",
        earns=LOST,
        says="in one call|broke the protocol|not permitted",
        varies=True,
    ),
]
