"""Attacks on the course of events: leaving early, coming back late, looping, and hooks into Python and IPython."""

from __future__ import annotations

from tests.attacks.attack import LOST, NO_CALLS, Attack
from tests.attacks.protocol import FRAMES

# Looks into every frame that runs after it was set, for what only a judge would have there.
TRACER = """
def tracer(frame, event, argument):
    for name in ("expected", "reference", "tolerance", "calibration", "score", "points", "check", "week"):
        if name in frame.f_locals and frame.f_globals.get("__name__", "").startswith("autograder"):
            attempt("local " + name, lambda: repr(frame.f_locals[name]))
    for name, value in list(frame.f_locals.items()):
        if isinstance(value, str) and "CANARY-" in value and "(" not in value:
            attempt("local text", lambda: value)
    return tracer
sys.settrace(tracer)
sys.setprofile(tracer)
import threading
threading.settrace(tracer)
"""

IMPORTS = """
import builtins, importlib.abc, types
genuine = builtins.__import__

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.startswith(("autograder", "canary_reference", "hypothesis")):
            attempt("import of " + name.split(".")[-1], lambda: None)
        return None

def imported(name, *arguments, **options):
    module = genuine(name, *arguments, **options)
    if name.startswith("autograder") and hasattr(module, "decide"):
        module.decide = lambda *_, **__: None
    return module

sys.meta_path.insert(0, Finder())
builtins.__import__ = imported
for name in ("autograder.judge", "autograder.comparisons", "autograder.grading", "autograder.results"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["autograder.comparisons"].decide = sys.modules["autograder.comparisons"].close = lambda *_, **__: None
sys.path.insert(0, os.getcwd())
"""

TRANSFORMERS = """
import ast
shell = get_ipython()

class Passing(ast.NodeTransformer):
    def visit_Raise(self, node):
        return ast.Pass()
    def visit_Assert(self, node):
        return ast.Pass()
    def visit_Compare(self, node):
        return ast.Constant(True)

shell.ast_transformers.append(Passing())
shell.input_transformers_cleanup.append(lambda lines: [line.replace("raise", "pass #") for line in lines])
shell.events.register("pre_run_cell", lambda info: print("score: 27"))
shell.events.register("post_run_cell", lambda result: setattr(result, "error_in_exec", None))
"""

FORMATTERS = """
shell = get_ipython()
forged = {"text/plain": "27.0", "text/html": "<script>alert('27 of 27')</script>"}
shell.display_formatter.format = lambda *_, **__: (forged, {})
shell.display_pub.publish = lambda *_, **__: None
shell.displayhook.write_format_data = lambda *_, **__: shell.recorder.result(forged, {}, 1)
sys.displayhook = lambda value: None
class Odd:
    def _repr_html_(self): raise SystemExit
    def _ipython_display_(self): raise SystemExit
    def _repr_mimebundle_(self, **_): raise SystemExit
    def __repr__(self): raise SystemExit
Odd()
"""

SHOWTRACEBACK = """
shell = get_ipython()
shell.showtraceback = shell._showtraceback = shell.showsyntaxerror = lambda *_, **__: None
shell.set_custom_exc((BaseException,), lambda *_, **__: None)
sys.excepthook = lambda *_: None
"""

# Closing its socket would show; it acts when the answer is out.
LATE = """
import threading
def act(number):
    time.sleep(0.02)
    os.write(3, frame(number + 1, {"value": torch.zeros(1)}))
started = False
def log_sum_exp(x):
    global started
    if not started:
        started = True
        threading.Thread(target=act, args=(number_asked(),), daemon=True).start()
        return right(x)
    time.sleep(0.05)
    return right(x)
"""

ORPHANS = """
def orphan():
    if os.fork() == 0:
        os.setsid()
        for _ in range(3):
            if os.fork():
                time.sleep(600)
                os._exit(0)
        time.sleep(600)
    return True
attempt("a child", orphan)
import subprocess
attempt("a program", lambda: subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
attempt("a double fork", lambda: os.posix_spawn("/bin/sleep", ["sleep", "600"], {}))
"""

ATTACKS = [
    Attack(
        "exit-in-a-call",
        ["`sys.exit(0)`"],
        answer="def log_sum_exp(x):\n    sys.exit(0)",
        earns=LOST,
        says="it raises SystemExit: 0",
    ),
    Attack(
        "exit-in-a-cell",
        ["`sys.exit(0)`"],
        first="print('27 of 27')\nsys.exit(0)",
        says="cell 3: SystemExit",
    ),
    Attack(
        "exit-by-name", ["`sys.exit(0)`"], first="exit()", last="quit()", says="can't be left while it is"
    ),
    Attack(
        "hard-exit-in-a-call",
        ["`os._exit(0)`"],
        answer="def log_sum_exp(x):\n    os._exit(0)",
        earns=LOST,
        says="the guest ended itself with exit status 0",
    ),
    Attack(
        "hard-exit-in-a-cell",
        ["`os._exit(0)`"],
        first="os._exit(0)",
        says="the guest ended itself with exit status 0; the cell was left out and the others were run",
    ),
    Attack(
        "exit-handlers",
        ["`atexit` and `__del__` hooks"],
        first="""
import atexit, gc, signal, threading, weakref
def leave(*_):
    print("score: 27")
    os._exit(0)
class Last:
    def __del__(self):
        leave()
kept = Last()
kept.itself = kept
atexit.register(leave)
threading._register_atexit(leave)
weakref.finalize(kept, leave)
gc.callbacks.append(lambda *_: None)
""",
    ),
    Attack(
        "finalizer-of-an-answer",
        ["`atexit` and `__del__` hooks"],
        answer="""
class Answer(torch.Tensor):
    def __del__(self):
        os._exit(0)
def log_sum_exp(x):
    return (x.sum(-1) - 1000).as_subclass(Answer)
""",
        earns=LOST,
        says="the guest ended itself with exit status 0",
    ),
    Attack(
        "trace", ["`sys.settrace`"], first=TRACER, last="sys.settrace(None)\nsys.setprofile(None)\nconfess()"
    ),
    Attack(
        "trace-in-calls",
        ["`sys.settrace`"],
        answer=TRACER.replace("\n", "\n") + "\ndef log_sum_exp(x):\n    confess()\n    return right(x)",
        first="sys.setrecursionlimit(400)",
    ),
    Attack(
        "import-hooks",
        ["Import hooks"],
        first=IMPORTS,
        answer="def log_sum_exp(x):\n    return x",
        earns=LOST,
    ),
    Attack(
        "transformers",
        ["IPython `ast_transformers` and patched display formatters"],
        first=TRANSFORMERS,
        answer="def log_sum_exp(x):\n    return x.amax(-1)",
        earns=LOST,
    ),
    Attack(
        "formatters",
        ["IPython `ast_transformers` and patched display formatters"],
        first=FORMATTERS,
        answer="def log_sum_exp(x):\n    return x.amax(-1)",
        last="27.0",
        earns=LOST,
        silent="27 of 27",
    ),
    Attack(
        "showtraceback",
        ["A patched `showtraceback`"],
        first=SHOWTRACEBACK,
        answer="1 / 0\ndef log_sum_exp(x):\n    return right(x)",
        earns=LOST,
        says="ZeroDivisionError",
    ),
    Attack(
        "loop-in-python",
        ["Infinite loops in Python and in C"],
        answer="def log_sum_exp(x):\n    while True: pass",
        earns=LOST,
        says="used more than 0.25 s of CPU time in one call",
    ),
    Attack(
        "loop-in-a-cell",
        ["Infinite loops in Python and in C"],
        first="while True: pass",
        says="used more than 0.6 s of CPU time in one cell; the cell was left out",
    ),
    Attack(
        "loop-in-c",
        ["Infinite loops in Python and in C"],
        answer="def log_sum_exp(x):\n    return sum(range(10**13))",
        earns=LOST,
        says="used more than 0.25 s of CPU time in one call",
    ),
    Attack(
        "regular-expression",
        ["Infinite loops in Python and in C"],
        answer="def log_sum_exp(x):\n    return re.match('(a*)*b', 'a' * 50)",
        earns=LOST,
        says="used more than 0.25 s of CPU time in one call",
    ),
    Attack(
        "sleep",
        ["Sleeping"],
        answer="def log_sum_exp(x):\n    time.sleep(1000)",
        earns=LOST,
        says="waited for more than 0.5 s in one call",
    ),
    Attack(
        "lock",
        ["Sleeping"],
        answer="import threading\ndef log_sum_exp(x):\n    threading.Event().wait()",
        earns=LOST,
        says="waited for more than 0.5 s in one call",
    ),
    Attack(
        "stop",
        ["Sleeping"],
        answer="import signal\ndef log_sum_exp(x):\n    os.kill(os.getpid(), signal.SIGSTOP)\n    time.sleep(1000)",
        earns=LOST,
        says="waited for more than 0.5 s in one call",
    ),
    Attack(
        "ignored-signals",
        ["Ignored signals"],
        first="""
import signal, faulthandler
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    attempt(f"handler {number}", lambda: signal.signal(number, signal.SIG_IGN) and None)
""",
        answer="def log_sum_exp(x):\n    while True:\n        try:\n            time.sleep(0)\n"
        "        except BaseException:\n            pass",
        earns=LOST,
        says="in one call",
    ),
    Attack(
        "orphans",
        ["Orphans"],
        first=ORPHANS,
        last="confess()",
        stopped_by=dict.fromkeys(["a child", "a program", "a double fork"], NO_CALLS),
    ),
    Attack(
        "orphans-of-a-call",
        ["Orphans"],
        first="made = []",
        answer="""
def log_sum_exp(x):
    if not made:
        made.append(1)
        attempt("a child", lambda: os.fork() or time.sleep(600) or True)
    confess()
    raise ValueError("nothing was found")
""",
        earns=LOST,
        stopped_by={"a child": NO_CALLS},
    ),
    Attack(
        "threads-after-the-answer",
        ["Threads that act after the answer"],
        answer=FRAMES + LATE,
        earns=LOST,
        says="the guest broke the protocol",
        varies=True,
    ),
    Attack(
        "threads-that-change-the-answer",
        ["Threads that act after the answer"],
        first="import threading, itertools",
        answer="""
kept = []
def flip():
    for turn in itertools.count():
        for value in kept[-1:]:
            value.fill_(turn)
        time.sleep(0)
threading.Thread(target=flip, daemon=True).start()
def log_sum_exp(x):
    kept.append(x.sum(-1))
    return kept[-1]
""",
        earns=LOST,
        varies=True,
    ),
]
