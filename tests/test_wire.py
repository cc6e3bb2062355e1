"""The wire carries values faithfully, and nothing that it should not."""

from __future__ import annotations

import collections
import enum
import math
import socket
import struct
import time
from typing import NamedTuple

import numpy as np
import pytest
import torch
from fuzz_wire import frugal

from autograder import wire
from autograder.probes import Generator, Probe


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return (
            type(b) is torch.Tensor
            and (a.dtype, a.shape) == (b.dtype, b.shape)
            and torch.equal(a.cpu(), b)
            and not b.requires_grad
        )
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return type(b) is dict and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (float, complex)):
        return type(a) is type(b) and (repr(a) == repr(b))
    return type(a) is type(b) and a == b


def round_trip(value: object) -> object:
    return wire.decode(wire.encode(value))


@pytest.mark.parametrize("dtype", wire._DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 3), (3, 0, 2), (1,) * 16], ids=str)
def test_tensors_of_every_dtype_and_shape_cross_unchanged(dtype, shape):
    tensor = torch.arange(math.prod(shape)).reshape(shape).to(dtype)
    back = round_trip(tensor)
    assert same(tensor, back)
    assert back.is_contiguous()


@pytest.mark.parametrize("dtype", wire._DTYPES, ids=str)
def test_tensors_may_begin_at_any_byte(dtype):
    tensor = torch.arange(9).to(dtype)
    for offset in range(17):
        padding = "x" * offset
        assert same([padding, tensor], round_trip([padding, tensor]))


def test_special_numbers_cross_bit_by_bit():
    tensor = torch.tensor([math.nan, math.inf, -math.inf, -0.0, 1e-45])
    assert torch.equal(tensor.view(torch.int32), round_trip(tensor).view(torch.int32))


def test_a_decoded_tensor_owns_its_memory():
    data = bytearray(wire.encode([torch.ones(3), torch.ones(3)]))
    first, second = wire.decode(data)
    first.zero_()
    data[:] = bytes(len(data))
    assert torch.equal(second, torch.ones(3))
    assert first.untyped_storage().nbytes() == 12


class Sub(torch.Tensor):
    pass


class Loud(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        raise AssertionError("asked")


BASE = torch.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (BASE.T, BASE.T.contiguous()),
        (BASE[1:, ::2], torch.tensor([[4.0, 6.0], [8.0, 10.0]])),
        (torch.tensor([1.0]).expand(3, 2), torch.ones(3, 2)),
        (torch.tensor([1 + 2j]).conj(), torch.tensor([1 - 2j])),
        (torch.tensor([1 + 2j]).conj().imag, torch.tensor([-2.0])),
        (torch.ones(2, requires_grad=True), torch.ones(2)),
        (torch.ones(2, requires_grad=True) * 3, torch.full((2,), 3.0)),
        (torch.nn.Parameter(torch.ones(2)), torch.ones(2)),
        (torch.ones(2).as_subclass(Sub), torch.ones(2)),
        (torch.ones(2).as_subclass(Loud), torch.ones(2)),
        (BASE.bfloat16().T, BASE.bfloat16().T.contiguous()),
    ],
)
def test_tensors_of_any_make_are_sent_as_their_plain_data(sent, expected):
    assert same(expected, round_trip(sent))


class Colour(enum.IntEnum):
    RED = 1


class Point(NamedTuple):
    x: float
    y: float


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(-3), -3),
        (np.uint8(3), 3),
        (np.bool_(True), True),
        (np.complex64(1 + 2j), 1 + 2j),
        (np.str_("a"), "a"),
        (Colour.RED, 1),
        (Point(1.0, 2.0), (1.0, 2.0)),
        (torch.Size([1, 2]), (1, 2)),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        ({("a", 1): 2}, {("a", 1): 2}),
        ({np.int64(3): 1, (np.int32(1), "a"): 2}, {3: 1, (1, "a"): 2}),
        (torch.float64, torch.float64),
    ],
)
def test_relatives_of_plain_values_are_sent_as_those(sent, expected):
    assert same(expected, round_trip(sent))


def test_probes_cross_to_the_guest_and_not_back():
    sent = [Probe("TokenModel", {"table": torch.eye(3), "decay": 0.5}), Generator(7)]
    probe, generator = round_trip(sent)
    assert (probe.kind, generator) == ("TokenModel", Generator(7))
    assert same(dict(probe.parameters), sent[0].parameters)
    back = wire.Limits(probes=False)
    for value in sent:
        with pytest.raises(wire.Unsendable):
            wire.encode(value, back)
        with pytest.raises(wire.WireError):
            wire.decode(wire.encode(value), back)


class Silent:
    def __repr__(self) -> str:
        raise OSError


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1, 2}, "value: a set can't"),
        ({"a": [0, np.zeros(3)]}, "value['a'][1]: a numpy.ndarray can't"),
        (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
        ([lambda: 0], "value[0]: a function can't"),
        (np.longdouble(1), "longdouble"),
        (object(), "an? object|a object"),
        (2**5000, "more than 4096 bits"),
        ("\ud800", "surrogate"),
        ({1.5: 0}, "the key 1.5"),
        ({True: 0}, "the key True"),
        ({(1.5,): 0}, "the key"),
        ({10**5000: 0}, "value[<int>]: an integer of more than 4096 bits"),
        ({(10**5000, 1.5): 0}, "the key <tuple>"),
        ({Silent(): 0}, "the key <Silent>"),
        (torch.zeros((1,) * 17), "too large"),
        (torch.zeros(1).expand(1 << 40), "too large"),
        (torch.zeros(0, 1 << 40), "too large"),
        (torch.eye(2).to_sparse(), "torch.sparse_coo"),
        (torch.zeros(2, device="meta"), "no device"),
        (torch.zeros(2, dtype=torch.float8_e5m2), "float8_e5m2"),
        ([0] * (1 << 20), "more than 1048576 values"),
        ([[0] * 1000] * 2000, "more than 1048576 values"),
        ([torch.zeros(0)] * (1 << 15), "tensors"),
        (b"x" * (65 << 20), "bytes"),
        ([torch.zeros(1 << 22)] * 5, "too large"),
    ],
)
def test_what_cannot_cross_is_named_with_its_place(value, message):
    with pytest.raises(wire.Unsendable) as error:
        wire.encode(value)
    assert any(part in str(error.value) for part in message.split("|"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), "without plain data"),
        (
            lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)], layout=torch.jagged),
            "without plain data",
        ),
        (lambda: torch.masked.masked_tensor(torch.ones(1), torch.tensor([True])), "without plain data"),
        (lambda: torch.eye(2).to_sparse_csr(), "torch.sparse_csr"),
        (lambda: torch.ones(2).to_mkldnn(), "torch._mkldnn"),
        (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8), "torch.quint8"),
        (lambda: torch.zeros(2, dtype=torch.complex32), "torch.complex32"),
    ],
)
def test_tensors_of_no_plain_make_cannot_cross(make, message):
    with pytest.raises(wire.Unsendable, match=f"value\\[0\\]: a tensor .*{message}"):
        wire.encode([make()])


def test_a_list_in_itself_cannot_cross():
    value: list = []
    value.append(value)
    with pytest.raises(wire.Unsendable, match="nested"):
        wire.encode(value)


def nested(depth: int) -> object:
    return [nested(depth - 1)] if depth else None


def test_depth_is_bounded_on_both_sides():
    assert same(nested(32), round_trip(nested(32)))
    with pytest.raises(wire.Unsendable, match="nested"):
        wire.encode(nested(33))
    deep = b"l\1\0\0\0" * 100_000 + b"N"
    with pytest.raises(wire.WireError, match="nested"):
        wire.decode(deep)
    with pytest.raises(wire.WireError, match="nested"):
        wire.decode(b"p" * 100_000)


def tensor_bytes(code: int, *dims: int, content: bytes = b"") -> bytes:
    return b"x" + bytes((code, len(dims))) + struct.pack(f"<{len(dims)}Q", *dims) + content


COUNT = struct.Struct("<I").pack

MALFORMED = {
    "nothing": b"",
    "unknown tag": b"?",
    "pickle": b"\x80\x04N.",
    "trailing bytes": b"NN",
    "short integer": b"i\0\0",
    "short float": b"f\0",
    "short complex": b"c" + bytes(15),
    "no count": b"l\1",
    "a count beyond the bytes": b"l" + COUNT(2**32 - 1) + b"N",
    "missing items": b"l" + COUNT(2) + b"N",
    "string beyond the bytes": b"s" + COUNT(5) + b"abc",
    "not UTF-8": b"s" + COUNT(1) + b"\xff",
    "half a surrogate pair": b"s" + COUNT(3) + b"\xed\xa0\x80",
    "bytes beyond the bytes": b"b" + COUNT(5) + b"abc",
    "huge integer": b"I" + COUNT(1000) + bytes(1000),
    "list as key": b"d" + COUNT(1) + b"l" + COUNT(0) + b"N",
    "float as key": b"d" + COUNT(1) + b"f" + bytes(8) + b"N",
    "bool as key": b"d" + COUNT(1) + b"TN",
    "nested tuple as key": b"d" + COUNT(1) + b"t" + COUNT(1) + b"t" + COUNT(0) + b"N",
    "key twice": b"d" + COUNT(2) + b"s" + COUNT(0) + b"N" + b"s" + COUNT(0) + b"N",
    "key without value": b"d" + COUNT(1) + b"s" + COUNT(0),
    "no dtype": b"x",
    "unknown dtype": tensor_bytes(200, 1, content=bytes(8)),
    "unknown lone dtype": b"y\xff",
    "no ndim": b"x\0",
    "too many dims": b"x\0\x11" + bytes(17 * 8),
    "short dims": b"x\0\2" + bytes(8),
    "short tensor": tensor_bytes(8, 3, content=bytes(11)),
    "huge tensor": tensor_bytes(8, 2**62, content=bytes(8)),
    "product that wraps to zero": tensor_bytes(8, 2**32, 2**32, content=bytes(8)),
    "product that wraps to four": tensor_bytes(8, 2**62 + 1, 4, content=bytes(16)),
    "empty tensor with a huge dimension": tensor_bytes(8, 2**40, 0),
    "bool of 2": tensor_bytes(0, 2, content=b"\1\2"),
    "probe without kind": b"pNN",
    "probe without parameters": b"p" + b"s" + COUNT(1) + b"a" + b"N",
    "generator without seed": b"gN",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_bytes_are_refused(data):
    with pytest.raises(wire.WireError):
        wire.decode(data)


def test_every_truncation_is_refused():
    data = wire.encode({"value": [torch.arange(5), 1.5, (2**70, "é", None)], "after": {("a", 1): b"xy"}})
    for end in range(len(data)):
        with pytest.raises(wire.WireError):
            wire.decode(data[:end])


@pytest.mark.parametrize("item", [b"N", b"d" + COUNT(0), b"i" + bytes(8), tensor_bytes(8, 0)])
def test_floods_of_small_values_are_refused(item):
    limits = wire.Limits(values=1000, tensors=100)
    few, many = (b"l" + COUNT(n) + item * n for n in (99, 2000))
    assert len(wire.decode(few, limits)) == 99
    with pytest.raises(wire.WireError, match=r"more than 1000? (values|tensors)"):
        wire.decode(many, limits)


@pytest.mark.parametrize(
    "data",
    [
        b"l" + COUNT(2**32 - 1),
        b"s" + COUNT(2**32 - 1),
        b"b" + COUNT(2**32 - 1),
        b"d" + COUNT(2**32 - 1),
        b"I" + COUNT(2**32 - 1),
        b"x\x09\1" + struct.pack("<Q", 2**16),
        b"x\x09\1" + struct.pack("<Q", 2**22),
        b"x\x09\2" + struct.pack("<QQ", 2**22, 2**20),
    ],
)
def test_nothing_is_allocated_for_what_is_only_announced(data):
    with frugal(len(data)), pytest.raises(wire.WireError):
        wire.decode(data)


def test_frames_keep_their_numbers_and_order():
    left, right = socket.socketpair()
    with left, right:
        for number in (1, 2, 2**63):
            wire.send(left, number, {"n": number})
        for number in (1, 2, 2**63):
            assert wire.receive(right) == (number, {"n": number})


def test_receiving_gives_up_at_its_deadline_and_at_the_end():
    left, right = socket.socketpair()
    with right:
        with left:
            left.sendall(wire.frame(1, wire.encode(None))[:-1])
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                wire.receive(right, deadline=began + 0.05)
            assert time.monotonic() - began < 5
        with pytest.raises(EOFError):
            wire.receive(right)


def test_an_announced_size_above_the_limit_is_refused_before_it_is_read():
    left, right = socket.socketpair()
    with left, right:
        left.sendall(struct.pack("<QQ", 2**40, 1))
        with pytest.raises(wire.WireError, match="are allowed"):
            wire.receive(right)
    frames = wire.Frames(wire.Limits())
    frames.feed(struct.pack("<QQ", 2**40, 1))
    with pytest.raises(wire.WireError, match="are allowed"):
        frames.next()
