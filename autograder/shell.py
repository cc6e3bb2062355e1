"""Runs a notebook's cells as Jupyter would, and keeps their outputs as nbformat has them.

This runs in a guest: what it says is what the student's process claims, and the judge trusts none of it.
"""

from __future__ import annotations

import asyncio
import base64
import builtins
import contextlib
import getpass
import io
import math
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from IPython.core import page, payloadpage
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell, InteractiveShellABC
from traitlets import Type
from traitlets.config import Config

from autograder.zygote import JSON_TYPE

Output = dict[str, Any]

CELL_TEXT = 1 << 20  # characters per cell
CELL_MEDIA = 8 << 20  # characters of encoded images and the like per cell
NOTEBOOK_OUTPUT = 32 << 20  # characters per notebook
CELL_OUTPUTS = 1000  # outputs per cell


class Refused(RuntimeError):
    """Something that notebooks can do elsewhere, but not where they are graded."""


class Recorder:
    """The outputs of the running cell, in order, cut where they become too many."""

    def __init__(self) -> None:
        self.cell = -1
        self._displays: dict[str, list[tuple[int, int]]] = {}
        self._left = NOTEBOOK_OUTPUT
        self.begin()

    def begin(self) -> None:
        """Start the next cell."""
        self.outputs: list[Output] = []
        self.updates: list[list[Any]] = []
        self._text, self._media, self._cut = CELL_TEXT, CELL_MEDIA, 0
        self._streams: dict[int, list[str]] = {}
        self._clear_next = False

    def end(self) -> tuple[list[Output], list[list[Any]]]:
        """The cell's outputs, and what it changed in the outputs of cells before it."""
        self._join()
        outputs = self.outputs
        if self._cut:
            note = f"\n[{self._cut} characters of output were cut here]\n"
            outputs.append({"output_type": "stream", "name": "stdout", "text": note})
        return outputs, self.updates

    def stream(self, name: str, text: str) -> None:
        """Text written to stdout or stderr, joined with what it follows."""
        text = self._take(text)
        if not text:
            return
        self._now()
        if not self.outputs or self.outputs[-1].get("name") != name:
            if not self._room():
                return
            self.outputs.append({"output_type": "stream", "name": name, "text": ""})
        self._streams.setdefault(len(self.outputs) - 1, []).append(text)

    def display(self, data: Any, metadata: Any, display_id: Any = None) -> None:
        """Something shown; with a display_id it can be changed later."""
        self._now()
        data = self._bundle(data)
        if data is None or not self._room():
            return
        if isinstance(display_id, str):
            self._displays.setdefault(display_id, []).append((self.cell, len(self.outputs)))
        self.outputs.append(
            {"output_type": "display_data", "data": data, "metadata": jsonable(metadata or {})}
        )

    def update(self, data: Any, metadata: Any, display_id: Any) -> None:
        """Change all that was shown under this display_id."""
        data = self._bundle(data)
        if data is None:
            return
        metadata = jsonable(metadata or {})
        for cell, index in self._displays.get(display_id, ()):
            if cell == self.cell:
                self.outputs[index].update(data=data, metadata=metadata)
            else:
                self.updates.append([cell, index, data, metadata])
                del self.updates[:-CELL_OUTPUTS]

    def result(self, data: Any, metadata: Any, count: int) -> None:
        """The value of the cell's last expression."""
        self._now()
        data = self._bundle(data)
        if data and self._room():
            self.outputs.append(
                {
                    "output_type": "execute_result",
                    "data": data,
                    "metadata": jsonable(metadata or {}),
                    "execution_count": count,
                }
            )

    def error(self, name: str, value: str, lines: list[str]) -> None:
        """A traceback; never left out, but shortened."""
        self._now()
        self._join()
        lines = [clean(line)[:20_000] for line in lines[:100]]
        error = {"output_type": "error", "ename": clean(name)[:200], "evalue": clean(value)[:10_000]}
        if len(self.outputs) < 2 * CELL_OUTPUTS:
            self.outputs.append({**error, "traceback": lines})

    def clear(self, wait: bool) -> None:
        """Drop the cell's outputs: now, or when the next one comes."""
        if wait:
            self._clear_next = True
            return
        self.outputs.clear()
        self._streams.clear()
        for places in self._displays.values():
            places[:] = [(cell, index) for cell, index in places if cell != self.cell]

    def _now(self) -> None:
        if self._clear_next:
            self._clear_next = False
            self.clear(wait=False)

    def _join(self) -> None:
        for index, parts in self._streams.items():
            self.outputs[index]["text"] += "".join(parts)
        self._streams.clear()

    def _room(self) -> bool:
        if len(self.outputs) >= CELL_OUTPUTS:
            self._cut += 1
            return False
        return True

    def _take(self, text: str) -> str:
        """As much of the text as may still be kept."""
        kept = clean(text[: max(0, min(self._text, self._left))])
        self._cut += len(text) - len(kept)
        self._text -= len(kept)
        self._left -= len(kept)
        return kept

    def _bundle(self, data: Any) -> dict[str, Any] | None:
        """A MIME bundle with what is too large left out, or None if nothing remains."""
        if not isinstance(data, dict):
            return None
        kept: dict[str, Any] = {}
        for mime, content in data.items():
            content = jsonable(content)
            mime = clean(str(mime))
            if not JSON_TYPE.fullmatch(mime):
                content = _joined(content)
            if mime.startswith("text/"):
                content = self._take(content)
                if content:
                    kept[mime] = content
                continue
            size = len(content if isinstance(content, str) else repr(content))
            if size > min(self._media, self._left):
                self._cut += size
                continue
            self._media -= size
            self._left -= size
            kept[mime] = content
        return kept or None


def _joined(content: Any) -> str:
    """The content of an output that is text, which may come as the list of its lines."""
    if isinstance(content, list) and all(isinstance(line, str) for line in content):
        return "".join(content)
    return content if isinstance(content, str) else str(content)


def clean(text: str) -> str:
    """The text as valid Unicode."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else str.__str__(text)


def jsonable(value: Any, depth: int = 0) -> Any:
    """The value as JSON has it; bytes become base64, and what JSON lacks becomes its repr."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, (list, tuple)) and depth < 16:
        return [jsonable(v, depth + 1) for v in value]
    if isinstance(value, dict) and depth < 16:
        return {clean(str(k)): jsonable(v, depth + 1) for k, v in value.items()}
    return clean(repr(value))


class _Stream(io.TextIOBase):
    """sys.stdout or sys.stderr of a notebook."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, name: str, write: Callable[[str, str], None]) -> None:
        self.name, self._write = name, write

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._write(self.name, text)
        return len(text)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False


class _Printed:
    """What was written to the streams and not meant for an output, up to a size."""

    def __init__(self, size: int = 10_000) -> None:
        self._parts: list[str] = []
        self._left = size

    def write(self, name: str, text: str) -> None:
        if self._left > 0:
            self._parts.append(text[: self._left])
            self._left -= len(text)

    def __str__(self) -> str:
        return clean("".join(self._parts))


class _Hook(DisplayHook):
    """Records the value of a cell's last expression."""

    def start_displayhook(self) -> None:
        self._is_active = True

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None) -> None:
        assert self.shell is not None
        self.shell.recorder.result(format_dict, md_dict, self.prompt_count)

    def finish_displayhook(self) -> None:
        self._is_active = False


class _Publisher(DisplayPublisher):
    """Records what is displayed."""

    def publish(  # type: ignore[override]
        self,
        data: Any,
        metadata: Any = None,
        *,
        transient: Any = None,
        update: bool = False,
        **_: Any,
    ) -> None:
        self._validate_data(data, metadata)
        display_id = (transient or {}).get("display_id")
        if update:
            self.shell.recorder.update(data, metadata, display_id)
        else:
            self.shell.recorder.display(data, metadata, display_id)

    def clear_output(self, wait: bool = False) -> None:
        self.shell.recorder.clear(wait)


_NO_COMMANDS = (
    "{what} was not run: notebooks are graded without other programs and without a network. "
    "Packages are installed by the instructor beforehand."
)
_PROGRAMS = (
    "bash",
    "sh",
    "script",
    "perl",
    "ruby",
    "python",
    "python2",
    "python3",
    "pypy",
    "cmd",
    "javascript",
)


class NotebookShell(InteractiveShell):
    """IPython as a notebook's kernel has it, without files of its own, threads and other programs."""

    displayhook_class = Type(_Hook)
    display_pub_class = Type(_Publisher)

    def __init__(self, **kwargs: Any) -> None:
        self.recorder = Recorder()
        config = Config()
        config.HistoryManager.enabled = False
        config.HistoryManager.hist_file = ":memory:"
        super().__init__(config=config, **kwargs)
        self.stdout = _Stream("stdout", self._written)
        self.stderr = _Stream("stderr", self._written)
        self._printed: _Printed | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # What IPython would do to the machine, it doesn't.

    def init_ipython_dir(self, ipython_dir: Any) -> None:
        pass

    def init_profile_dir(self, profile_dir: Any) -> None:
        pass

    def init_virtualenv(self) -> None:
        pass

    def init_hooks(self) -> None:
        super().init_hooks()
        self.set_hook("show_in_pager", page.as_hook(payloadpage.page), 99)

    def init_magics(self) -> None:
        super().init_magics()
        for name in ("pip", "conda", "mamba", "micromamba", "uv"):
            self.magics_manager.register_function(self._refuser(f"%{name}"), "line", name)
        for name in _PROGRAMS:
            self.magics_manager.register_function(self._refuser(f"%%{name}"), "cell", name)

    def _refuser(self, name: str) -> Callable[..., None]:
        return lambda line="", cell="": self._refuse_command(f"{name} {line}".strip())

    def _refuse_command(self, what: str) -> None:
        """Show an error and go on with the cell, as after a command that fails."""
        self.user_ns["_exit_code"] = 126
        message = _NO_COMMANDS.format(what=what)
        self.recorder.error("Refused", message, [f"Refused: {message}"])

    def system(self, cmd: str) -> None:
        self._refuse_command(f"!{cmd}")

    system_piped = system_raw = system

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> NoReturn:
        raise Refused(_NO_COMMANDS.format(what=f"!{cmd}"))

    def enable_gui(self, gui: Any = None) -> None:
        """There are no windows, and nothing to do for plots in the page."""

    def enable_matplotlib(self, gui: Any = None) -> Any:
        """Every backend is the inline one here."""
        return super().enable_matplotlib("inline")

    def ask_exit(self) -> NoReturn:
        raise SystemExit("the notebook can't be left while it is graded")

    # Errors

    def _showtraceback(self, etype: type[BaseException], evalue: BaseException, stb: list[str]) -> None:
        self.recorder.error(etype.__name__, _text_of(evalue), [str(line) for line in stb])

    def _get_exc_info(self, exc_tuple: Any = None) -> Any:
        etype, value, tb = super()._get_exc_info(exc_tuple)
        shorten(value)
        return etype, value, tb

    def _format_exception_for_storage(self, exception: BaseException, *_: Any, **__: Any) -> dict[str, Any]:
        return {}  # tracebacks are formatted once, not again for a history

    def show_usage_error(self, exc: BaseException) -> None:
        self._showtraceback(UsageError, exc, [f"UsageError: {exc}"])

    # Running

    def run(self, source: str, cell_id: str | None = None) -> dict[str, Any]:
        """Run one cell: its outputs, its execution count and its changes to outputs before it.

        Nothing that the cell does or breaks is raised here.
        """
        self.recorder.cell += 1
        self.recorder.begin()
        count = self.execution_count
        error: BaseException | None = None
        with self._streams():
            try:
                result = self._execute(source, cell_id)
                error = result.error_before_exec or result.error_in_exec if result else None
            except BaseException as e:
                error = e
        if error is not None and not any(o["output_type"] == "error" for o in self.recorder.outputs):
            self.recorder.error(*described(error))
        if isinstance(error, MemoryError):
            forget_traceback()
        outputs, updates = self.recorder.end()
        return {"outputs": outputs, "execution_count": count, "updates": updates}

    def _execute(self, source: str, cell_id: str | None) -> Any:
        """Run the cell inside an event loop, as a kernel does, so that it can start tasks."""
        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)

        async def execute() -> Any:
            try:
                cell = self.transform_cell(source)
            except Exception:
                return self.run_cell(source, store_history=True, cell_id=cell_id)
            if not self.should_run_async(source, transformed_cell=cell):
                return self.run_cell(source, store_history=True, cell_id=cell_id)
            result = None
            try:
                result = await self.run_cell_async(
                    source, store_history=True, transformed_cell=cell, cell_id=cell_id
                )
            finally:
                self.events.trigger("post_execute")
                self.events.trigger("post_run_cell", result)
            return result

        return self._loop.run_until_complete(execute())

    def forget_loop(self) -> None:
        """Close the event loop; the next cell gets a new one."""
        if self._loop is not None:
            self._loop.close()
            self._loop = None
            asyncio.set_event_loop(None)

    @contextlib.contextmanager
    def calling(self) -> Iterator[_Printed]:
        """Run functions of the notebook: what they print is kept apart, their plots are closed."""
        recorder, self.recorder = self.recorder, Recorder()  # what is displayed goes nowhere
        self._printed = printed = _Printed()
        try:
            with self._streams():
                yield printed
        finally:
            self._printed, self.recorder = None, recorder
            close_figures()

    @contextlib.contextmanager
    def _streams(self) -> Iterator[None]:
        before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = self.stdout, self.stderr  # type: ignore[assignment]
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before

    def _written(self, name: str, text: str) -> None:
        (self._printed.write if self._printed else self.recorder.stream)(name, text)


InteractiveShellABC.register(NotebookShell)


def described(error: BaseException) -> tuple[str, str, list[str]]:
    """Name, message and traceback of an error, whatever its class makes of being asked."""
    name = type.__getattribute__(type(error), "__name__")
    try:
        lines = traceback.format_exception(error)
    except BaseException:
        lines = [name]
    return name, _text_of(error), lines


def _text_of(error: BaseException) -> str:
    try:
        return clean(str(error))
    except BaseException:
        return "<no message>"


def shorten(error: BaseException | None, keep: int = 100) -> None:
    """Take the middle out of a deep recursion's tracebacks: IPython needs seconds for thousands of frames."""
    for _ in range(10):
        if error is None:
            return
        chain, frame = [], error.__traceback__
        while frame is not None:
            chain.append(frame)
            frame = frame.tb_next
        if len(chain) > keep:
            chain[keep // 2 - 1].tb_next = chain[-(keep // 2)]
        error = error.__cause__ or error.__context__


def forget_traceback() -> None:
    """Let go of the frames of the last error, and of the memory that they hold."""
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        if hasattr(sys, name):
            delattr(sys, name)


def close_figures() -> None:
    """Close matplotlib's figures, if there are any."""
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    if helpers is not None and helpers.Gcf.figs:
        helpers.Gcf.destroy_all()


def refuse_the_rest() -> None:
    """Replace what can't work in a guest by plain refusals: input, torch.compile, DataLoader workers."""
    import torch
    from torch.utils.data import dataloader

    def no_input(prompt: object = "") -> NoReturn:
        raise Refused(
            "input() has nobody to ask: notebooks are graded without a keyboard. Use a variable instead."
        )

    def no_compile(*args: object, **kwargs: object) -> NoReturn:
        raise Refused("torch.compile needs a C compiler, and notebooks are graded without one. Leave it out.")

    class NoWorkers:
        def __init__(self, loader: object) -> None:
            raise Refused(
                "DataLoader workers are other processes, and notebooks are graded in one. Use num_workers=0."
            )

    builtins.input = no_input
    getpass.getpass = no_input  # type: ignore[assignment]
    torch.compile = no_compile  # type: ignore[assignment]
    torch.nn.Module.compile = no_compile  # type: ignore[method-assign]
    dataloader._MultiProcessingDataLoaderIter = NoWorkers  # type: ignore[misc,assignment]
