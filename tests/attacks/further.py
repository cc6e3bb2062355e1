"""Attacks by somebody who has read all of our code."""

from __future__ import annotations

from tests.attacks.attack import LOST, NO_CALLS, NO_FILES, PERHAPS, TARGET, Attack
from tests.attacks.protocol import FRAMES
from tests.attacks.stealing import ASKED

# Requests of all examples of a check come at once, so that each can be seen before it is asked.
REQUESTS = """
KNOWN = {"op", "name", "args", "seed", "wrt", "cotangents", "after", "handle", "state", "parameters"}
def explore(x):
    there = sys._getframe()
    while there is not None and there.f_code.co_name != "serve":
        there = there.f_back
    answer = float(right(x).flatten()[0])
    for call in there.f_locals["request"]["requests"]:
        for name in set(call) - KNOWN:
            attempt("more than was asked", lambda: name)
        for value in call["args"]:
            if answer in value.flatten().tolist() and answer != round(answer, 2):
                attempt("an answer among the inputs", lambda: True)
        for cotangent in call.get("cotangents", ()):
            expected = torch.cos(torch.arange(cotangent.numel()) + 1.0).reshape(cotangent.shape)
            if cotangent.ndim and not torch.allclose(cotangent.float(), expected):
                attempt("a cotangent that tells", lambda: True)
"""

LOOKS_LIKE_A_REPLY = """
turn = 0
def log_sum_exp(x):
    global turn
    turn += 1
    return [
        {"value": right(x)},
        {"value": right(x), "printed": "x", "gradients": [], "after": [x]},
        {"error": {"kind": "raised", "type": "", "message": "", "traceback": ""}},
        {"error": {"kind": "skipped", "type": "Skipped", "message": "not counted", "traceback": ""}},
        [("value", right(x))],
        b"d\\1\\0\\0\\0",
    ][turn % 6]
"""

LIARS = """
class Liar:
    "Says that it is a tensor."
    __class__ = property(lambda self: torch.Tensor)
    shape = property(lambda self: torch.Size([]))
    dtype, layout, is_meta, requires_grad = torch.float32, torch.strided, False, False
    def detach(self): return self
    def as_subclass(self, kind): return self
    def numpy(self, force=False): return self
    def tobytes(self): return b"27 points" * 1000
    def is_floating_point(self): return True
    def is_complex(self): return False

class Sized(torch.Tensor):
    "Says that it is smaller than it is, or larger."
    shape = property(lambda self: torch.Size([1 << 40]))
    dtype = property(lambda self: torch.float64)
    def numel(self): return 1
    def detach(self): return self
    def numpy(self, *_, **__): raise SystemExit
    def tolist(self): return [27.0]

turn = 0
def log_sum_exp(x):
    global turn
    turn += 1
    return [Liar(), torch.zeros(3).as_subclass(Sized), [Liar()], {"value": Liar()}][turn % 4]
"""

STORAGE = """
turn = 0
def log_sum_exp(x):
    global turn
    turn += 1
    if turn % 3 == 0:
        value = torch.zeros(1 << 16)
        value.untyped_storage().resize_(16)
        return value
    if turn % 3 == 1:
        return torch.zeros(1).expand(1 << 30)
    return torch.zeros(x.shape[:-1], device="meta")
"""

BUFFER = """
buffer = torch.empty(1 << 12)
wide = torch.empty(1 << 12, dtype=torch.float64)
def log_sum_exp(x):
    kept = (buffer if x.dtype == torch.float32 else wide)[: x[..., 0].numel()].view(x.shape[:-1])
    if x.requires_grad:
        return right(x)
    kept.copy_(right(x))
    return kept
"""

SIGNALS = """
import signal
ticks = []
def tick(*_):
    ticks.append(1)
    raise KeyboardInterrupt("late")
def log_sum_exp(x):
    signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    return right(x)
"""

ENGINE = """
from autograder import calls, wire, zygote
genuine = wire.encode
def encode(value, *limits):
    if isinstance(value, dict) and isinstance(value.get("value"), torch.Tensor):
        value = {**value, "value": value["value"] + 1, "passed": True, "verdict": "passed", "points": 11}
    return genuine(value, *limits)
def log_sum_exp(x):
    wire.encode = encode
    zygote._error = lambda *_: {"value": None}
    calls._seed = lambda number: None
    wire.Limits.__init__.__defaults__ = tuple(1 << 40 for _ in wire.Limits.__init__.__defaults__)
    return x.amax(-1)
"""

STRANGERS = """
import gc, types
for name in ("autograder.calls", "autograder.wire", "autograder.probes", "torch.autograd", "numpy.random"):
    sys.modules[name] = types.ModuleType(name)
del sys.modules["autograder"]
gc.set_threshold(1, 1, 1)
gc.callbacks.append(lambda phase, info: gc.freeze())
sys.setswitchinterval(1e-6)
sys.setrecursionlimit(60)
"""

ODD = """
import itertools
dtypes = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
          torch.float32, torch.float64, torch.complex64, torch.complex128, torch.uint16, torch.uint32, torch.uint64]
def odd(x):
    shape = x.shape[:-1] if isinstance(x, torch.Tensor) else ()
    for dtype in dtypes:
        yield torch.ones(shape, dtype=dtype)
        yield torch.ones((0, 3), dtype=dtype)
        yield torch.ones((), dtype=dtype)
        yield [torch.ones((2, 1), dtype=dtype)] * 3
    yield from (torch.full(shape, float(v)) for v in ("nan", "inf", "-inf", "-0.0"))
    yield from (torch.full(shape, v, dtype=torch.complex64) for v in (complex("nan"), complex("inf+nanj")))
    yield from (None, True, 0, -1, 1 << 62, 1 << 200, -(1 << 63), 0.0, -0.0, float("nan"), float("inf"), 1j, complex("nan"))
    yield from ("", "\\0", "\\x1b[2J", "<script>alert(1)</script>", "\\u202e", "x" * 10_000, b"", b"\\xff", torch.float32)
    yield from ([], (), {}, [[]], [None], {"": {}}, {("a", "b"): 1}, {1: 2}, {"a": [1, (2, {"b": None})]}, [float("nan")])
    yield {str(i) + "x" * 50: i for i in range(2000)}
    yield {"x" * 100_000: 1}
turn = 0
def one(x):
    global turn
    turn += 1
    values = list(odd(x))
    return values[turn % len(values)]
"""

ODD_GRADIENTS = """
from autograder import calls
genuine = calls.perform
turn = 0
def perform(request, *rest):
    global turn
    reply = genuine(request, *rest)
    if request.get("name") != "log_sum_exp" or not {"wrt", "after"} & set(request):
        return reply
    turn += 1
    x = request["args"][0]
    many = [None, x.int(), x.bool(), x.to(torch.complex64), x.half(), x[..., :0], x[0], x * float("nan"), x.double(), torch.zeros(())]
    odd = many[turn % len(many)]
    if "gradients" in reply:
        reply["gradients"] = [odd]
    if "after" in reply:
        reply["after"] = [[odd], odd, "x", {"a": odd}, None][turn % 5 : turn % 5 + 1]
    return reply
calls.perform = perform
"""

SCRATCH = """
here = os.getcwd()
for name, target in {"course": COURSE, "up": "..", "root": "/", "engine": ENGINE, "reports": REPORTS, "self": "self"}.items():
    os.symlink(target, name)
    os.makedirs(f"folder/{name}")
    os.symlink(target, f"folder/{name}/link")
os.makedirs("shut/inner")
open("shut/inner/file", "w").close()
os.chmod("shut/inner", 0)
os.chmod("shut", 0)
os.mkfifo("pipe")
for name in ("-rf", "--", "\\n", "\\x1b[2J", "\\udcff", "x" * 255, " ", "*"):
    open(name, "w").close()
for _ in range(1000):
    os.mkdir("deeper")
    os.chdir("deeper")
os.symlink(COURSE, "end")
os.chmod(here, 0)
"""

NUMBERS = """
import ctypes, mmap, platform
def called(code):
    "What a function of machine code returns."
    pages = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    pages.write(code)
    return ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(pages)))()
if platform.machine() == "x86_64":
    # socket(AF_UNIX, SOCK_STREAM, 0) by the system calls of 32 bits, whose numbers a filter may not know.
    thirty_two = bytes.fromhex("53b867010000bb01000000b90100000031d2cd805bc3")
    # getpid of x32: the number of getpid, with the bit that means x32.
    x32 = bytes.fromhex("b8270000400f05c3")
    attempt("calls of another architecture", lambda: 0 <= called(WHICH) < 1 << 20)
"""

MEMFD = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
attempt("memory without limits", lambda: os.memfd_create("x") >= 0)
attempt("keys", lambda: libc.syscall(248, b"user", b"x", b"y", 1, -4) >= 0)  # add_key
attempt("io_uring", lambda: libc.syscall(425, 1, ctypes.create_string_buffer(256)) >= 0)
attempt("userfaultfd", lambda: libc.syscall(323, 1) >= 0)
attempt("bpf", lambda: libc.syscall(321, 0, 0, 0) >= 0 and None)
attempt("perf", lambda: libc.syscall(298, ctypes.create_string_buffer(128), 0, -1, -1, 0) >= 0)
attempt("a namespace", lambda: libc.unshare(0x10000000) == 0)
attempt("a mount", lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0 if os.getuid() else None)
attempt("watching", lambda: libc.inotify_init() >= 0)
attempt("locked memory", lambda: libc.mlock(ctypes.create_string_buffer(1 << 24), 1 << 24) == 0 and None)
attempt("chroot", lambda: libc.chroot(b".") == 0 if os.getuid() else None)
attempt("another user", lambda: os.setuid(1234) is None if os.getuid() else None)
attempt("kernel log", lambda: libc.klogctl(3, ctypes.create_string_buffer(99), 99) > 0)
attempt("host name", lambda: libc.sethostname(b"x", 1) == 0 if os.getuid() else None)
attempt("files of others by handle", lambda: libc.syscall(303, -100, b".", ctypes.create_string_buffer(200), ctypes.byref(ctypes.c_int()), 0) == 0 and None)
"""

AMPLIFIED = """
def log_sum_exp(x):
    "A column or a row: their sum would be a gigabyte, and there are sixteen of them."
    rising = x.flatten()[0] < x.flatten()[-1]
    return torch.ones((1 << 14, 1)) if rising else torch.ones((1, 1 << 14))
"""

ESCAPES = """
nasty = "\\x1b[2J\\x1b[1;1H\\x1b]0;27/27\\x07\\x9b31m\\u202e72 fo 72\\u202c\\r27 of 27\\b\\b\\x1bc<script>alert(1)</script>[bold red]x[/]"
"""
ERRORS = """
shell = get_ipython()
for i in range(3000):
    shell.recorder.error(f"Error{i}" + nasty, nasty * 100, [nasty * 100] * 50)
"""
CELLS = """
def run(*_):
    outputs = [{"output_type": "error", "ename": "E" + nasty, "evalue": nasty * 50, "traceback": [nasty * 50] * 5}] * 400
    return {"outputs": outputs, "execution_count": 1, "updates": [[0, 0, {"text/html": nasty}, {}]] * 1000}
get_ipython().run = run
"""

ATTACKS = [
    Attack(
        "requests-to-come",
        ["Looking at requests before they are asked"],
        first=REQUESTS,
        answer=ASKED,
        earns=LOST,
        says="nothing was found",
    ),
    Attack("values-like-replies", ["Values that look like replies"], answer=LOOKS_LIKE_A_REPLY, earns=LOST),
    Attack("liars", ["Objects that lie about their class, shape or content"], answer=LIARS, earns=LOST),
    Attack(
        "storage",
        ["Tensors without memory, or with somebody else's"],
        answer=STORAGE,
        earns=LOST,
        varies=True,
    ),
    Attack("one-buffer-for-all", ["Answers that share memory"], answer=BUFFER),
    Attack(
        "timers", ["Signals and timers that go off in the engine"], answer=SIGNALS, earns=LOST, varies=True
    ),
    Attack(
        "patched-engine",
        ["A patched engine in the guest"],
        answer=ENGINE,
        earns=LOST,
    ),
    Attack(
        "strange-modules",
        ["`sys.modules`, the garbage collector and the interpreter's switches"],
        answer=STRANGERS + "\ndef log_sum_exp(x):\n    return x.amax(-1)",
        earns=LOST,
        varies=True,
    ),
    Attack("odd-values", ["Values that nobody expects"], first=ODD, answer="log_sum_exp = one", earns=LOST),
    Attack(
        "odd-values-of-plain-python",
        ["Values that nobody expects"],
        last=ODD + "tally = one",
        earns={"tally": 0},
    ),
    Attack(
        "odd-gradients",
        ["Values that nobody expects"],
        first=ODD_GRADIENTS,
        earns={TARGET: 9},
        says="gradient with respect to x",
    ),
    Attack(
        "lying-modules",
        ["Modules that lie about their parameters"],
        last="""
class Affine(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.w = nn.Parameter(torch.ones(n))
        self.b = nn.Parameter(torch.zeros(n))
    def state_dict(self, *_, **__):
        return {"w": torch.zeros(3), "b": torch.zeros(3), **{f"p{i}": torch.zeros(1) for i in range(10_000)}}
    def load_state_dict(self, *_, **__):
        return None
    def named_parameters(self, *_, **__):
        return [("w", self.w)] * 3
    def to(self, *_):
        return None
    def __call__(self, x):
        return x
""",
        earns={"Affine": 0},
    ),
    Attack("scratch", ["Links, locks and depths for whoever deletes the scratch folder"], last=SCRATCH),
    *(
        Attack(
            f"system-calls-of-{which}",
            ["System calls by another architecture's numbers"],
            first=NUMBERS.replace("WHICH", which),
            last="confess()",
            says=r"signal 31|\"score\": 27",
            stopped_by={"calls of another architecture": (*NO_CALLS, PERHAPS)},
        )
        for which in ("thirty_two", "x32")
    ),
    Attack(
        "rare-system-calls",
        ["System calls that nobody thinks of"],
        first=MEMFD,
        last="confess()",
        stopped_by={
            **dict.fromkeys(["memory without limits", "watching"], NO_CALLS),
            **dict.fromkeys(
                [
                    "keys",
                    "io_uring",
                    "userfaultfd",
                    "perf",
                    "a namespace",
                    "a mount",
                    "chroot",
                    "another user",
                ],
                (*NO_CALLS, PERHAPS),
            ),
            **dict.fromkeys(["kernel log", "host name"], (*NO_CALLS, PERHAPS)),
        },
    ),
    Attack(
        "amplification",
        ["Small answers of which a check makes large ones"],
        answer=AMPLIFIED,
        earns=LOST,
    ),
    Attack(
        "just-in-time",
        ["Many calls, each just within the limit"],
        answer="""
def log_sum_exp(x):
    begun = time.process_time()
    while time.process_time() - begun < 0.15:
        pass
    return x.amax(-1)
""",
        earns=LOST,
        says="took more than 2 s in all calls of this exercise",
        varies=True,
    ),
    Attack(
        "just-awake",
        ["Many calls, each just within the limit"],
        answer="def log_sum_exp(x):\n    time.sleep(0.3)\n    return x.amax(-1)",
        earns=LOST,
        says="took more than 2 s in all calls of this exercise",
        varies=True,
    ),
    Attack(
        "dying-again-and-again",
        ["Many calls, each just within the limit"],
        first="begun = time.process_time()\nwhile time.process_time() - begun < 0.4: pass",
        answer="def log_sum_exp(x):\n    os._exit(3) if x.ndim > 2 or x.shape[-1] > 3 else None\n    return right(x)",
        earns=LOST,
        says="exit status 3",
        varies=True,
    ),
    Attack(
        "errors-with-escapes",
        ["Errors that are made up, with terminal escapes"],
        first=ESCAPES + ERRORS,
        answer=ESCAPES + "def log_sum_exp(x):\n    raise type('E' + nasty, (Exception,), {})(nasty)",
        earns=LOST,
    ),
    Attack(
        "cells-with-escapes",
        ["Errors that are made up, with terminal escapes"],
        first=ESCAPES + CELLS,
        earns={"double": 0, "tally": 0, "Affine": 0, TARGET: 0},
    ),
    Attack(
        "a-cell-too-deep-to-be-read",
        ["Sources that are too deep or too long to be parsed"],
        answer="x = 1" + "+1" * 40_000,
        earns=LOST,
        says="log_sum_exp is not defined",
    ),
    Attack(
        "forged-results-of-cells",
        ["A patched engine in the guest"],
        first=FRAMES + "push(frame(3, {'outputs': [], 'execution_count': 1, 'updates': []}))",
        earns={"double": 0, "tally": 0, "Affine": 0, TARGET: 0},
        says="the guest broke the protocol",
    ),
    Attack(
        "helpers-of-others",
        ["Looking for what lies beside the engine"],
        first="""
import importlib, pkgutil
for entry in list(sys.path) + [os.path.dirname(ENGINE)]:
    attempt("a neighbour of the engine", lambda: "reference_impl" in os.listdir(entry or "."))
for name in ("autograder.course", "autograder.grading", "autograder.qualify"):
    module = importlib.import_module(name)
def found():
    from autograder.course import Course
    return [Course.find(COURSE).seed, Course.find().seed]
attempt("the seed by the engines own means", found)
""",
        last="confess()",
        stopped_by={
            "a neighbour of the engine": NO_FILES,
            "the seed by the engines own means": NO_FILES,
        },
    ),
]
