"""The wire between judge and guest: bounded values in numbered, length-prefixed frames.

Tensors, numbers, strings, bytes, bools, None, lists, tuples, dicts and dtypes cross, and nothing else; to
the guest, probes as well. Everything read is checked against what is left of the frame before anything
is allocated, and work is bounded as memory is: whatever the bytes are, a value takes at most four times
their size for its text, once for its tensors' elements, and some hundred bytes for each thing in it (a
thousand for a tensor), of which `Limits` says how many there may be.

A value is a one-byte tag and its content, all numbers little-endian:

    N T F                 None, True, False
    i n8                  an integer of 64 bits; I: a count and two's complement bytes
    f n8, c n16           a float, a complex number
    s, b                  a count and UTF-8 or plain bytes
    l, t, d               a count and the items (of a dict: keys and values in turn)
    x                     dtype, ndim, dims, and the elements in row-major order: a tensor
    y                     dtype
    p, g                  a Probe (kind, parameters), a Generator (seed)
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autograder.probes import Generator, Probe


@dataclass(frozen=True)
class Limits:
    """What one frame may hold, or several that a `Decoder` reads.

    `probes` says whether probes may cross in this direction. `collisions` are the bytes that would be
    compared if all keys of a dict that hold integers had the same hash: those of integers are no secret,
    as those of strings are, so whoever sends them can have them collide.
    """

    frame_bytes: int = 64 << 20
    values: int = 1 << 20
    tensors: int = 1 << 14
    depth: int = 32
    ndim: int = 16
    integer_bits: int = 4096
    collisions: int = 1 << 62
    probes: bool = True


def from_guest(frame_bytes: int) -> Limits:
    """What a guest may send in one frame; a dict may have 10 000 integers as keys."""
    return Limits(frame_bytes, collisions=1 << 29, probes=False)


class WireError(Exception):
    """Bytes that no honest sender writes."""


class Unsendable(Exception):
    """A value that can't cross; the message names its type and where in the structure it stands."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason, path)
        self.reason, self.path = reason, path

    def __str__(self) -> str:
        return f"value{self.path}: {self.reason}"


_DTYPES = (
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
    torch.uint16,
    torch.uint32,
    torch.uint64,
)
_CODES = {dtype: code for code, dtype in enumerate(_DTYPES)}
_SIZES = [dtype.itemsize for dtype in _DTYPES]

_COUNT = struct.Struct("<I")
_INTEGER = struct.Struct("<q")
_FLOAT = struct.Struct("<d")
_COMPLEX = struct.Struct("<dd")
_DIMS = [struct.Struct(f"<{n}Q") for n in range(Limits.ndim + 1)]
_HEADER = struct.Struct("<QQ")  # the payload's length, the frame's number


def encode(value: Any, limits: Limits = Limits()) -> bytes:
    """The value as bytes.

    Raises:
        Unsendable: the value, or something in it, can't cross or is too large.
    """
    writer = _Writer(limits)
    writer.write(value, 0)
    return bytes(writer.out)


class _Writer:
    """Appends values to `out`."""

    def __init__(self, limits: Limits) -> None:
        self.out, self.limits = bytearray(), limits
        self.values, self.tensors, self.collisions = limits.values, limits.tensors, limits.collisions

    def write(self, value: Any, depth: int) -> None:
        self.values -= 1
        if self.values < 0:
            raise Unsendable(f"more than {self.limits.values} values can't be sent")
        kind = type(value)
        method = _METHODS.get(kind)
        if method is None:
            value, method = self._plain(value)
        method(self, value, depth)
        if len(self.out) > self.limits.frame_bytes:
            raise self._too_large()

    def _plain(self, value: Any) -> tuple[Any, Callable[[_Writer, Any, int], None]]:
        """The value as one of the types that cross, for subclasses and numpy's numbers."""
        if isinstance(value, Tensor):
            return value, _Writer._tensor
        if isinstance(value, (np.bool_, np.integer, np.float16, np.float32, np.complex64)):
            value = value.item()
            return value, _METHODS[type(value)]
        for base, method in _METHODS.items():
            if isinstance(value, base):
                return value, method
        module, name = type(value).__module__, type(value).__qualname__
        shown = name if module == "builtins" else f"{module}.{name}"
        raise Unsendable(f"a {shown} can't be sent; tensors, numbers, strings, lists, tuples and dicts can")

    def _too_large(self) -> Unsendable:
        return Unsendable(f"more than {self.limits.frame_bytes} bytes can't be sent")

    def _none(self, value: None, depth: int) -> None:
        self.out += b"N"

    def _bool(self, value: bool, depth: int) -> None:
        self.out += b"T" if value else b"F"

    def _int(self, value: int, depth: int) -> None:
        if -(2**63) <= value < 2**63:
            self.out += b"i"
            self.out += _INTEGER.pack(value)
            return
        size = value.bit_length() // 8 + 1
        if size * 8 > self.limits.integer_bits:
            raise Unsendable(f"an integer of more than {self.limits.integer_bits} bits can't be sent")
        self._content(b"I", value.to_bytes(size, "little", signed=True))

    def _float(self, value: float, depth: int) -> None:
        self.out += b"f"
        self.out += _FLOAT.pack(value)

    def _complex(self, value: complex, depth: int) -> None:
        self.out += b"c"
        self.out += _COMPLEX.pack(value.real, value.imag)

    def _str(self, value: str, depth: int) -> None:
        try:
            self._content(b"s", str.encode(value))
        except UnicodeEncodeError:
            raise Unsendable("a string with half a surrogate pair can't be sent") from None

    def _bytes(self, value: bytes, depth: int) -> None:
        self._content(b"b", value)

    def _content(self, tag: bytes, content: bytes) -> None:
        if len(content) > self.limits.frame_bytes:
            raise self._too_large()
        self.out += tag
        self.out += _COUNT.pack(len(content))
        self.out += content

    def _enter(self, depth: int) -> None:
        if depth >= self.limits.depth:
            raise Unsendable(f"a structure nested more than {self.limits.depth} deep can't be sent")

    def _open(self, tag: bytes, count: int, depth: int) -> None:
        self._enter(depth)
        if count > self.values:
            raise Unsendable(f"more than {self.limits.values} values can't be sent")
        self.out += tag
        self.out += _COUNT.pack(count)

    def _list(self, value: list[Any], depth: int) -> None:
        self._items(b"l", list(value), depth)

    def _tuple(self, value: tuple[Any, ...], depth: int) -> None:
        self._items(b"t", tuple(value), depth)

    def _items(self, tag: bytes, items: list[Any] | tuple[Any, ...], depth: int) -> None:
        self._open(tag, len(items), depth)
        for i, item in enumerate(items):
            try:
                self.write(item, depth + 1)
            except Unsendable as error:
                raise Unsendable(error.reason, f"[{i}]{error.path}") from None

    def _dict(self, value: dict[Any, Any], depth: int) -> None:
        items = list(value.items())
        self._open(b"d", len(items), depth)
        guessable = 0
        for key, item in items:
            if type(key) is not str and not _is_key(key):
                raise Unsendable(
                    f"a dict with the key {_shown(key)} can't be sent; strings, integers and tuples of them "
                    "can be keys"
                )
            try:
                start = len(self.out)
                self.write(key, depth + 1)
                if type(key) is not str and _is_guessable(key):
                    guessable += len(self.out) - start
                    self.collisions -= guessable
                    if self.collisions < 0:
                        raise Unsendable("dicts with so many integers as keys can't be sent")
                self.write(item, depth + 1)
            except Unsendable as error:
                raise Unsendable(error.reason, f"[{_shown(key)}]{error.path}") from None

    def _tensor(self, value: Tensor, depth: int) -> None:
        self.tensors -= 1
        if self.tensors < 0:
            raise Unsendable(f"more than {self.limits.tensors} tensors can't be sent")
        try:
            if type(value) is not Tensor:
                with torch._C.DisableTorchFunctionSubclass():
                    value = value.detach().as_subclass(Tensor)
            self._elements(value, value.dtype, value.shape)
        except (RuntimeError, TypeError) as error:  # nested, or of a library's own making
            raise Unsendable(f"a tensor without plain data can't be sent ({error})") from None

    def _elements(self, value: Tensor, dtype: torch.dtype, dims: torch.Size) -> None:
        code = _CODES.get(dtype)
        if code is None or value.layout is not torch.strided or value.is_meta:
            kind = dtype if code is None else "no device" if value.is_meta else value.layout
            raise Unsendable(f"a tensor of {kind} can't be sent")
        size = _SIZES[code]
        for n in dims:
            size *= n or 1
        if len(dims) > self.limits.ndim or len(self.out) + size > self.limits.frame_bytes:
            raise Unsendable(f"a tensor of shape {tuple(dims)} is too large to be sent")
        if dtype is torch.bfloat16:
            value = value.detach().contiguous().view(torch.int16)
        content = value.numpy(force=True).tobytes()
        self.out += b"x"
        self.out += bytes((code, len(dims)))
        self.out += _DIMS[len(dims)].pack(*dims)
        self.out += content

    def _dtype(self, value: torch.dtype, depth: int) -> None:
        if value not in _CODES:
            raise Unsendable(f"{value} can't be sent")
        self.out += b"y"
        self.out.append(_CODES[value])

    def _probe(self, value: Probe, depth: int) -> None:
        if not self.limits.probes:
            raise Unsendable("a probe can't be sent back")
        self._enter(depth)
        self.out += b"p"
        self.write(value.kind, depth + 1)
        self.write(dict(value.parameters), depth + 1)

    def _generator(self, value: Generator, depth: int) -> None:
        if not self.limits.probes:
            raise Unsendable("a generator can't be sent back")
        self._enter(depth)
        self.out += b"g"
        self.write(value.seed, depth + 1)


def _is_key(key: Any) -> bool:
    """Keys are strings, integers, and tuples of them."""
    parts = key if isinstance(key, tuple) else (key,)
    return all(isinstance(part, (str, int, np.integer)) and not isinstance(part, bool) for part in parts)


def _is_guessable(key: Any) -> bool:
    """The key's hash is the same in every process."""
    if isinstance(key, tuple):
        return not all(isinstance(part, str) for part in key)
    return not isinstance(key, str)


def _shown(key: Any) -> str:
    try:
        return f"{key!r:.80}"
    except Exception:  # an integer of too many digits, or a class of the student's own
        return f"<{type(key).__name__}>"


_METHODS: dict[type, Callable[[_Writer, Any, int], None]] = {
    Tensor: _Writer._tensor,
    float: _Writer._float,
    bool: _Writer._bool,
    int: _Writer._int,
    str: _Writer._str,
    list: _Writer._list,
    tuple: _Writer._tuple,
    dict: _Writer._dict,
    type(None): _Writer._none,
    bytes: _Writer._bytes,
    complex: _Writer._complex,
    torch.dtype: _Writer._dtype,
    Probe: _Writer._probe,
    Generator: _Writer._generator,
}


def decode(data: bytes | bytearray, limits: Limits = Limits()) -> Any:
    """The value that the bytes stand for; its tensors own their memory.

    Raises:
        WireError: the bytes are not exactly one value within the limits.
    """
    return Decoder(limits).decode(data)


class Decoder:
    """Decodes frames that share their limits: all together may have so many values, tensors, collisions."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.values, self.tensors, self.collisions = limits.values, limits.tensors, limits.collisions
        self.data, self.at = bytearray(), 0

    def decode(self, data: bytes | bytearray) -> Any:
        """The value that the bytes of the next frame stand for, as `decode` gives it."""
        if len(data) > self.limits.frame_bytes:
            raise WireError(f"{len(data)} bytes are more than a frame holds")
        self.data, self.at = data if isinstance(data, bytearray) else bytearray(data), 0
        try:
            value = self._read(0)
        except (struct.error, IndexError):
            raise WireError("the bytes end in the middle of a value") from None
        if self.at != len(self.data):
            raise WireError(f"{len(self.data) - self.at} bytes follow the value")
        self.data = bytearray()
        return value

    def _read(self, depth: int) -> Any:
        tag = self.data[self.at]
        self.at += 1
        self.values -= 1
        if self.values < 0:
            raise WireError(f"more than {self.limits.values} values")
        if tag == 0x78:  # x
            return self._tensor()
        if tag == 0x66:  # f
            (number,) = _FLOAT.unpack_from(self.data, self.at)
            self.at += 8
            return number
        if tag == 0x69:  # i
            (integer,) = _INTEGER.unpack_from(self.data, self.at)
            self.at += 8
            return integer
        if tag == 0x73:  # s
            return self._text()
        if tag in b"ltd":
            if depth >= self.limits.depth:
                raise WireError(f"nested more than {self.limits.depth} deep")
            count = self._count()
            if tag == 0x64:
                return self._dict(count, depth + 1)
            items = [self._read(depth + 1) for _ in range(count)]
            return items if tag == 0x6C else tuple(items)
        if tag in b"NTF":
            return None if tag == 0x4E else tag == 0x54
        if tag == 0x62:  # b
            return bytes(self._take(self._count()))
        if tag == 0x63:  # c
            parts = _COMPLEX.unpack_from(self.data, self.at)
            self.at += 16
            return complex(*parts)
        if tag == 0x49:  # I
            count = self._count()
            if count * 8 > self.limits.integer_bits:
                raise WireError(f"an integer of {count} bytes")
            return int.from_bytes(self._take(count), "little", signed=True)
        if tag == 0x79:  # y
            return _DTYPES[self._dtype()]
        if tag in b"pg" and self.limits.probes:
            return self._probe(tag, depth + 1)
        raise WireError(f"tag {tag} means nothing")

    def _count(self) -> int:
        """A count of things that take at least a byte each."""
        (count,) = _COUNT.unpack_from(self.data, self.at)
        self.at += 4
        if count > len(self.data) - self.at:
            raise WireError(f"a count of {count} with {len(self.data) - self.at} bytes left")
        return count

    def _take(self, count: int) -> bytearray:
        self.at += count
        return self.data[self.at - count : self.at]

    def _text(self) -> str:
        try:
            return self._take(self._count()).decode()
        except UnicodeDecodeError:
            raise WireError("a string that is not UTF-8") from None

    def _dict(self, count: int, depth: int) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        guessable = 0
        for _ in range(count):
            start = self.at
            key = self._read(depth)
            if type(key) is not str and not _is_key(key):
                raise WireError(f"a {type(key).__name__} as a key")
            if type(key) is not str and _is_guessable(key):
                guessable += self.at - start
                self.collisions -= guessable
                if self.collisions < 0:
                    raise WireError("too many integers as keys")
            result[key] = self._read(depth)
        if len(result) != count:
            raise WireError("a key that stands twice")
        return result

    def _dtype(self) -> int:
        code = self.data[self.at]
        self.at += 1
        if code >= len(_DTYPES):
            raise WireError(f"dtype {code} means nothing")
        return code

    def _tensor(self) -> Tensor:
        self.tensors -= 1
        if self.tensors < 0:
            raise WireError(f"more than {self.limits.tensors} tensors")
        code = self._dtype()
        ndim = self.data[self.at]
        if ndim > self.limits.ndim:
            raise WireError(f"a tensor of {ndim} dimensions")
        dims = _DIMS[ndim].unpack_from(self.data, self.at + 1)
        self.at += 1 + 8 * ndim
        size = room = _SIZES[code]
        for n in dims:
            size *= n
            room *= n or 1
        # An empty tensor may not hide dimensions that a sum over the others would fill.
        if room > self.limits.frame_bytes or size > len(self.data) - self.at:
            raise WireError(f"a tensor of shape {dims} with {len(self.data) - self.at} bytes left")
        dtype = _DTYPES[code]
        if not size:
            return torch.empty(dims, dtype=dtype)
        content = self._take(size)
        if code == 0 and content.translate(None, b"\0\1"):
            raise WireError("a bool that is neither 0 nor 1")
        # Of bytes of its own: torch reads numbers with instructions that fault where they are not aligned.
        return torch.frombuffer(content, dtype=dtype).view(dims)

    def _probe(self, tag: int, depth: int) -> Probe | Generator:
        if depth > self.limits.depth:
            raise WireError(f"nested more than {self.limits.depth} deep")
        content = self._read(depth)
        if tag == 0x67:
            if not isinstance(content, int):
                raise WireError("a generator without a seed")
            return Generator(content)
        parameters = self._read(depth)
        if not isinstance(content, str) or not isinstance(parameters, dict):
            raise WireError("a probe without kind and parameters")
        return Probe(content, parameters)


def frame(number: int, payload: bytes) -> bytes:
    """The payload with its length and number before it."""
    return _HEADER.pack(len(payload), number) + payload


class Frames:
    """Cuts a stream of bytes into frames.

    `feed` takes what was read; `next` gives (number, payload) once a frame is complete. A header that
    announces too much is refused before its payload is read.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        self._data += data

    def next(self) -> tuple[int, bytearray] | None:
        if len(self._data) < _HEADER.size:
            return None
        length, number = _HEADER.unpack_from(self._data)
        if length > self._limits.frame_bytes:
            raise WireError(f"a frame of {length} bytes; {self._limits.frame_bytes} are allowed")
        end = _HEADER.size + length
        if len(self._data) < end:
            return None
        payload = self._data[_HEADER.size : end]
        del self._data[:end]
        return number, payload

    @property
    def pending(self) -> int:
        """How many bytes wait for the rest of their frame."""
        return len(self._data)


def send(sock: socket.socket, number: int, value: Any, limits: Limits = Limits()) -> None:
    """Send one value as a frame, on a blocking socket."""
    sock.sendall(frame(number, encode(value, limits)))


def receive(sock: socket.socket, limits: Limits = Limits(), deadline: float | None = None) -> tuple[int, Any]:
    """Read exactly one frame: its number and value.

    Args:
        deadline: when to give up, on time.monotonic()'s clock.

    Raises:
        EOFError: the other side has closed its end.
        TimeoutError: the deadline has passed.
        WireError: what came is no frame.
    """
    header = _exactly(sock, _HEADER.size, deadline)
    length, number = _HEADER.unpack(header)
    if length > limits.frame_bytes:
        raise WireError(f"a frame of {length} bytes; {limits.frame_bytes} are allowed")
    return number, decode(_exactly(sock, length, deadline), limits)


def _exactly(sock: socket.socket, count: int, deadline: float | None) -> bytearray:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        if deadline is not None and not _readable(sock, deadline):
            raise TimeoutError("the deadline has passed")
        got = sock.recv_into(view)
        if not got:
            raise EOFError("the other side has closed its end")
        view = view[got:]
    return data


def _readable(sock: socket.socket, deadline: float) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
