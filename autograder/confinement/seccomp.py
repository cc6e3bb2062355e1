"""The system calls that a sealed guest may make: seccomp, by libseccomp.

`program()` runs in the judge, where libseccomp knows the system call numbers of the machine; `install` runs
in the guest and needs nothing but the bytes. Whatever is not listed fails with EPERM, as if forbidden by
permissions, so that libraries take it as they would there.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import struct
import tempfile
from collections.abc import Iterator

from autograder.confinement.kernel import checked, libc, prctl

_OWN = 0x2A5EA1ED  # stands for the guest's own number, which is known only after the fork

_FILES = """
    access chdir close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64
    fallocate fchdir fdatasync flock fstat fstatfs fsync ftruncate getcwd getdents getdents64 lseek lstat
    mkdir mkdirat newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read
    readahead readlink readlinkat readv rename renameat renameat2 rmdir sendfile stat statfs statx symlink
    symlinkat umask unlink unlinkat write writev
"""
_WAITING = """
    clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2
    epoll_wait eventfd eventfd2 futex futex_waitv getitimer gettimeofday nanosleep pipe pipe2 poll ppoll
    pselect6 select setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
    timerfd_create timerfd_gettime timerfd_settime times alarm pause
"""
_MEMORY = "brk madvise membarrier mincore mlock mmap mprotect mremap msync munlock munmap"
_ITSELF = """
    arch_prctl capget exit exit_group get_robust_list get_thread_area getcpu getegid geteuid getgid getgroups
    getpgid getpgrp getpid getppid getrandom getresgid getresuid getrlimit getrusage getsid gettid getuid
    restart_syscall riscv_flush_icache rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn
    rt_sigsuspend rt_sigtimedwait sched_get_priority_max sched_get_priority_min sched_yield set_robust_list
    set_tid_address setrlimit sigaltstack sysinfo uname
"""
# On the sockets that it has: its own, and the pairs that event loops make.
_SOCKETS = "getpeername getsockname getsockopt recvfrom setsockopt shutdown"

# With a process as the argument of this index: 0 (the caller) or the guest itself, and no other.
_PROCESS = {
    "getpriority": 1,
    "kill": 0,
    "prlimit64": 0,
    "sched_getaffinity": 0,
    "sched_getattr": 0,
    "sched_getparam": 0,
    "sched_getscheduler": 0,
    "sched_setaffinity": 0,
    "setpriority": 1,
    "tgkill": 0,
}

# With one of these values as the argument of this index.
_AF_UNIX = 1
_CHOICES: dict[str, tuple[int, tuple[int, ...]]] = {
    "socketpair": (0, (_AF_UNIX,)),
    "sendto": (4, (0,)),  # to the other end, not to an address
    # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: no typing into terminals, no signals.
    "ioctl": (1, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),
    # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, locks, F_DUPFD_CLOEXEC, pipe sizes; F_SETOWN sends signals.
    "fcntl": (1, (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1031, 1032)),
    # Reading flags, naming threads and memory; PR_SET_DUMPABLE would let others in.
    "prctl": (0, (3, 15, 16, 23, 39, 0x53564D41)),
}

# Changes that Landlock doesn't see, to files that the guest's user owns elsewhere, too: done by appearance
# only, since copying a file or making a folder ends with them.
_PRETENDED = """
    chmod chown fchmod fchmodat fchmodat2 fchown fchownat futimesat lchown utime utimensat utimes
"""
_UNSUPPORTED = """
    fgetxattr flistxattr fremovexattr fsetxattr getxattr lgetxattr listxattr llistxattr lremovexattr lsetxattr
    removexattr setxattr
"""

_CLONE_THREAD, _CLONE_NEW, _CLONE_TRACED = 0x00010000, 0x7E020080, 0x00802000
_FILTER_MODE, _SET_SECCOMP, _SET_NO_NEW_PRIVS = 2, 22, 38


class Unavailable(Exception):
    """Why there is no seccomp here, and how to get it."""


@functools.cache
def program() -> bytes:
    """The filter as the kernel takes it (BPF) for this machine's architecture.

    Raises:
        Unavailable: no libseccomp, or one that doesn't know this architecture or kernel.
    """
    try:
        import pyseccomp as seccomp
    except ImportError:
        raise Unavailable("pyseccomp is not installed: pip install 'genai-autograder[instructor]'") from None
    except (OSError, RuntimeError) as error:
        raise Unavailable(f"libseccomp is not installed ({error}): apt install libseccomp2") from None
    try:
        rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
        for name in f"{_FILES} {_WAITING} {_MEMORY} {_ITSELF} {_SOCKETS}".split():
            _add(rules, seccomp.ALLOW, name)
        for name, index in _PROCESS.items():
            for process in (0, _OWN):
                if name != "kill" or process:  # kill(0) is the whole group
                    _add(rules, seccomp.ALLOW, name, seccomp.Arg(index, seccomp.EQ, process))
        for name, (index, values) in _CHOICES.items():
            for value in values:
                _add(rules, seccomp.ALLOW, name, seccomp.Arg(index, seccomp.EQ, value))
        mask = _CLONE_THREAD | _CLONE_NEW | _CLONE_TRACED  # no process, no namespace
        thread = seccomp.Arg(0, seccomp.MASKED_EQ, mask, _CLONE_THREAD)
        _add(rules, seccomp.ALLOW, "clone", thread)
        _add(rules, seccomp.ERRNO(errno.ENOSYS), "clone3")  # its flags can't be seen; libc then uses clone
        for name in _PRETENDED.split():
            _add(rules, seccomp.ERRNO(0), name)
        for name in _UNSUPPORTED.split():
            _add(rules, seccomp.ERRNO(errno.ENOTSUP), name)
        with tempfile.TemporaryFile() as file:
            rules.export_bpf(file)
            file.seek(0)
            return file.read()
    except OSError as error:
        raise Unavailable(f"libseccomp can't make a filter for {os.uname().machine} ({error})") from None


def _add(rules: object, action: int, name: str, *arguments: object) -> None:
    """Add a rule, unless this architecture has no such call or this libseccomp doesn't know it."""
    try:
        rules.add_rule(action, name, *arguments)  # type: ignore[attr-defined]
    except OSError as error:
        if error.errno not in (errno.EDOM, errno.EINVAL, errno.ENOENT, errno.EFAULT, errno.ENOSYS):
            raise


def install(program: bytes) -> None:
    """Put this process under the filter, for ever."""
    own = b"".join(_with_own_number(program))
    code = ctypes.create_string_buffer(own, len(own))
    header = struct.pack("HP", len(own) // 8, ctypes.addressof(code))  # struct sock_fprog
    prctl(_SET_NO_NEW_PRIVS, 1)
    checked(libc().prctl(_SET_SECCOMP, _FILTER_MODE, ctypes.c_char_p(header), 0, 0), "seccomp")


def _with_own_number(program: bytes) -> Iterator[bytes]:
    """The program's instructions (struct sock_filter), with this process where `_OWN` stands."""
    for code, true, false, constant in struct.iter_unpack("=HBBI", program):
        yield struct.pack("=HBBI", code, true, false, os.getpid() if constant == _OWN else constant)
