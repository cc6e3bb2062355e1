"""Whatever crosses comes back the same, and whatever else comes is refused: in bounded time and memory."""

from __future__ import annotations

import importlib.util
import json
import math
import struct
import sys
from dataclasses import replace
from itertools import pairwise
from typing import Any

import fuzz_wire
import numpy as np
import pytest
import torch
from fuzz_wire import LIMITS, REQUESTS, SECONDS, TARGETS, check_cells, check_reply, decoded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbformat import v4

from autograder import guests, wire
from autograder.probes import Generator, Probe

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

# Values


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """Tensors of any dtype, shape, bits and layout."""
    dtype = draw(st.sampled_from(wire._DTYPES))
    shape = draw(st.lists(st.integers(0, 4), max_size=5) | st.just([1] * 16))
    size = math.prod(shape) * dtype.itemsize
    bits = bytearray(draw(st.binary(min_size=size, max_size=size)))
    if dtype is torch.bool:
        bits = bytearray(byte % 2 for byte in bits)
    plain = torch.frombuffer(bits, dtype=dtype) if bits else torch.empty(0, dtype=dtype)
    return draw(st.sampled_from(_LAYOUTS))(plain.reshape(shape))


def _negated(t: torch.Tensor) -> torch.Tensor:
    return t.conj().imag if t.is_complex() else t


_LAYOUTS = (
    lambda t: t,
    lambda t: t.permute(*reversed(range(t.ndim))) if t.ndim else t,
    lambda t: t[..., ::2] if t.ndim else t,
    lambda t: t[..., 1:] if t.ndim else t,
    lambda t: t.unsqueeze(0).expand(3, *t.shape) if t.ndim < 16 else t,
    lambda t: t.conj(),
    _negated,
    lambda t: t.requires_grad_() if t.is_floating_point() or t.is_complex() else t,
)

texts = st.text(st.characters(exclude_categories=["Cs"]))
large = st.binary(max_size=511).map(lambda content: int.from_bytes(content, "little", signed=True))
integers = st.integers() | large | st.sampled_from([2**63, 2**63 - 1, -(2**63), 2**4094, -(2**4094)])
floats = st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 5e-324])
scalars = (
    st.none()
    | st.booleans()
    | integers
    | floats
    | st.complex_numbers()
    | texts
    | st.binary()
    | st.sampled_from(wire._DTYPES)
)
keys = texts | integers | st.lists(texts | integers).map(tuple)


def _nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(keys, inner),
        max_leaves=15,
    )


values = _nested(scalars | tensors())
generators = st.builds(Generator, integers)
probes = st.builds(Probe, texts, st.dictionaries(texts, values | generators, max_size=3))
requested = _nested(scalars | tensors() | probes | generators)


def bits(value: Any) -> Any:
    """The value in a form that is equal only if all bits are."""
    if isinstance(value, torch.Tensor):
        plain = value.detach().resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)
        return "tensor", value.dtype, value.shape, bytes(plain.reshape(-1).view(torch.uint8).tolist())
    if isinstance(value, (list, tuple)):
        return type(value), [bits(v) for v in value]
    if isinstance(value, dict):
        return dict, [(bits(k), bits(v)) for k, v in value.items()]
    if isinstance(value, Probe):
        return Probe, bits(value.kind), bits(dict(value.parameters))
    if isinstance(value, Generator):
        return Generator, bits(value.seed)
    if isinstance(value, complex):
        return complex, struct.pack("<dd", value.real, value.imag)
    return type(value), struct.pack("<d", value) if isinstance(value, float) else value


@given(requested)
@unhurried
def test_values_cross_unchanged_to_the_last_bit(value):
    assert bits(wire.decode(wire.encode(value))) == bits(value)


@given(values)
@unhurried
def test_values_cross_back_unchanged_within_a_guests_limits(value):
    limits = wire.from_guest(1 << 20)
    assert bits(wire.decode(wire.encode(value, limits), limits)) == bits(value)


@given(st.integers(0, 40), st.sampled_from([[], {}, Generator(1), Probe("TimeModel"), None, "a"]))
def test_what_is_nested_too_deep_is_not_sent_rather_than_refused(depth, inner):
    for _ in range(depth):
        inner = [inner]
    try:
        data = wire.encode(inner)
    except wire.Unsendable as error:
        assert "nested" in str(error)
    else:
        assert bits(wire.decode(data)) == bits(inner)


# Encodings in which something is changed

Field = tuple[str, bytes]
_CONTENT = {b"i": 8, b"f": 8, b"c": 16}


def fields(data: bytes) -> list[Field]:
    """An encoding cut into its fields, after the grammar that wire.py begins with."""
    found: list[Field] = []
    at = 0

    def take(kind: str, size: int) -> bytes:
        nonlocal at
        found.append((kind, data[at : at + size]))
        at += size
        return found[-1][1]

    def value() -> None:
        tag = take("tag", 1)
        if tag in _CONTENT:
            take("content", _CONTENT[tag])
        elif tag in b"Isbltd":
            (count,) = struct.unpack("<I", take("count", 4))
            if tag in b"Isb":
                take("content", count)
            else:
                for _ in range(count * (2 if tag == b"d" else 1)):
                    value()
        elif tag in b"xy":
            (code,) = take("byte", 1)
            if tag == b"x":
                (ndim,) = take("byte", 1)
                dims = [struct.unpack("<Q", take("dim", 8))[0] for _ in range(ndim)]
                take("content", math.prod(dims) * wire._DTYPES[code].itemsize)
        elif tag in b"pg":
            for _ in range(2 if tag == b"p" else 1):
                value()

    value()
    assert at == len(data)
    return found


_SUBJECTS = (
    tensors(),
    probes,
    st.lists(tensors(), min_size=1, max_size=3),
    st.dictionaries(keys, scalars | tensors(), min_size=1, max_size=4),
    st.lists(scalars, min_size=1, max_size=6),
    requested,
)


def _lie(kind: str, honest: bytes) -> st.SearchStrategy[bytes]:
    """Something else in a field's place."""
    if kind in ("count", "dim"):
        size, code = (4, "<I") if kind == "count" else (8, "<Q")
        (n,) = struct.unpack(code, honest)
        top = 2 ** (8 * size)
        near = [n - 1, n + 1, 2 * n, 0, 1, top - 1, top // 2, top // 4 + 1, 2**31, 2**16]
        return st.sampled_from(near).map(lambda m: struct.pack(code, m % top))
    if kind == "tag":
        return st.sampled_from([bytes([tag]) for tag in b"NTFifcIsbltdxypg"]) | st.binary(
            min_size=1, max_size=1
        )
    if kind == "byte":
        return st.integers(0, 20).map(lambda n: bytes([n])) | st.binary(min_size=1, max_size=1)
    same_size = st.binary(min_size=len(honest), max_size=len(honest))
    return same_size if len(honest) <= 64 else st.binary(max_size=64)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """An encoding with some of its fields changed, left out, repeated, mixed with others', wrapped or cut."""
    parts = fields(wire.encode(draw(st.sampled_from(_SUBJECTS).flatmap(lambda subject: subject))))
    for _ in range(draw(st.integers(0, 3))):
        i = draw(st.integers(0, len(parts) - 1))
        j = draw(st.integers(i, min(len(parts), i + 8)))
        match draw(st.sampled_from(["lie", "lie", "lie", "drop", "repeat", "splice", "wrap", "cut"])):
            case "lie":
                kind = draw(st.sampled_from(sorted({kind for kind, _ in parts})))
                i = draw(st.sampled_from([n for n, part in enumerate(parts) if part[0] == kind]))
                parts[i] = (kind, draw(_lie(*parts[i])))
            case "drop":
                parts[i:j] = []
            case "repeat":
                parts[i:i] = parts[i:j] * draw(st.integers(1, 40))
            case "splice":
                other = fields(wire.encode(draw(requested)))
                start = draw(st.integers(0, len(other) - 1))
                parts[i:j] = other[start : start + 8]
            case "wrap":
                opened = draw(
                    st.sampled_from(
                        [[("tag", b"l"), ("count", b"\1\0\0\0")], [("tag", b"p")], [("tag", b"g")]]
                    )
                )
                parts[i:i] = opened * draw(st.integers(1, 40) | st.integers(1, 3000))
            case "cut":
                parts[i:] = [("content", parts[i][1][: draw(st.integers(0, 8))])]
        parts = parts or [("tag", b"N")]
    return b"".join(content for _, content in parts)


wide = wire.Limits(frame_bytes=1 << 20)
tight = wire.Limits(frame_bytes=100, values=20, tensors=2, depth=4, ndim=2, integer_bits=64, collisions=100)


@given(spoilt(), st.sampled_from([wide, LIMITS, tight, replace(wide, probes=False)]))
@settings(unhurried, max_examples=400)
def test_a_spoilt_encoding_is_a_value_or_refused_and_nothing_else(data, limits):
    decoded(data, limits)


@st.composite
def headed(draw: st.DrawFn) -> tuple[int, list[int], bytes]:
    """A tensor's dtype code, dims and content, which often don't fit each other."""
    code = draw(st.integers(0, 16))
    dim = st.sampled_from([0, 1, 1, 1, 2, 3, 2**16, 2**31, 2**32, 2**62, 2**63, 2**64 - 1])
    dims = draw(st.lists(dim, max_size=17))
    size = math.prod(dims) * _size(code)
    size = draw((st.just(size) if size <= 256 else st.nothing()) | st.integers(0, 64))
    return code, dims, draw(st.binary(min_size=size, max_size=size))


def _size(code: int) -> int:
    return wire._DTYPES[code].itemsize if code < len(wire._DTYPES) else 1


@given(headed())
@settings(unhurried, max_examples=400)
def test_a_tensor_is_what_its_header_says_or_is_refused(header):
    code, dims, content = header
    data = b"x" + bytes((code, len(dims))) + struct.pack(f"<{len(dims)}Q", *dims) + content
    fits = math.prod(dims) * _size(code) == len(content)
    room = math.prod(n or 1 for n in dims) * _size(code) <= wide.frame_bytes
    known = code < len(wire._DTYPES) and len(dims) <= 16 and (code or set(content) <= {0, 1})
    value = decoded(data, wide)
    assert bool(value) == bool(fits and room and known)
    for tensor in value:
        assert bits(tensor) == ("tensor", wire._DTYPES[code], torch.Size(dims), content)


@given(st.binary(max_size=200))
@settings(unhurried, max_examples=200)
def test_any_bytes_are_a_value_or_refused_and_nothing_else(data):
    decoded(data)


@given(spoilt())
@settings(unhurried, max_examples=100)
def test_the_work_is_bounded_by_the_bytes(data):
    steps = 0

    def count(*_: Any) -> None:
        nonlocal steps
        steps += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        wire.decode(data, LIMITS)
    except wire.WireError:
        pass
    finally:
        sys.setprofile(before)
    assert steps <= 40 * len(data) + 100


@given(st.lists(st.integers(1, 9), max_size=8), st.integers(10, 30), st.integers(0, 40))
def test_the_limits_hold_for_all_frames_of_a_decoder_together(sizes, values, tensors):
    decoder = wire.Decoder(wire.Limits(values=values, tensors=tensors))
    left = values
    for n in sizes:
        data, left = wire.encode([0] * n), left - 1 - n
        if left >= 0:
            assert decoder.decode(data) == [0] * n
        else:
            with pytest.raises(wire.WireError, match="values"):
                decoder.decode(data)
            return
    assert wire.decode(wire.encode([0] * (values - 1)), decoder.limits)


# Keys. Multiples of 2^61 - 1 all have the same hash, in every process: a dict of half a million of them takes
# a quarter of an hour to build.


@pytest.mark.parametrize("make", [lambda n: n, lambda n: n << 80, lambda n: (n, 1), lambda n: ("a", n)])
def test_more_keys_than_may_collide_are_refused_on_both_sides(make):
    limits = wire.from_guest(64 << 20)
    many = {make(n): None for n in range(12_000)}
    for value in (many, [many], dict.fromkeys((1, 2), many)):
        with pytest.raises(wire.Unsendable, match="so many integers as keys"):
            wire.encode(value, limits)
        with pytest.raises(wire.WireError, match="too many integers as keys"):
            wire.decode(wire.encode(value), limits)


def test_keys_that_collide_are_counted_over_all_dicts_and_frames():
    decoder = wire.Decoder(wire.from_guest(64 << 20))
    data = wire.encode({n * (2**61 - 1): None for n in range(2000)})
    decoder.decode(data)
    with pytest.raises(wire.WireError, match="too many integers as keys"):
        for _ in range(20):
            decoder.decode(data)


@pytest.mark.parametrize(
    "value",
    [
        {n * (2**61 - 1): n for n in range(2000)},
        {i: -i for i in range(10_000)},
        {f"a{i}": i for i in range(100_000)},
        {("a", f"b{i}"): i for i in range(50_000)},
        [dict.fromkeys(range(100)) for _ in range(1000)],
        {(i, i + 1): 1 for i in range(5000)},
        dict.fromkeys(np.arange(100), 1),
        dict.fromkeys(pairwise(np.arange(100)), 1),
    ],
)
def test_dicts_as_students_make_them_cross(value):
    limits = wire.from_guest(64 << 20)
    assert wire.decode(wire.encode(value, limits), limits) == value


# Frames


@given(st.lists(st.binary(max_size=60), max_size=6), st.lists(st.integers(1, 50)))
def test_frames_are_the_same_however_the_stream_is_split(payloads, steps):
    stream = b"".join(wire.frame(i, p) for i, p in enumerate(payloads))
    frames = wire.Frames(wire.Limits(frame_bytes=64))
    got = []
    for step in [*steps, len(stream)]:
        frames.feed(stream[:step])
        stream = stream[step:]
        while (frame := frames.next()) is not None:
            got.append(frame)
    assert got == list(enumerate(payloads))
    assert not frames.pending


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.binary(max_size=20))
def test_a_header_that_announces_too_much_is_refused_before_its_payload_comes(length, number, rest):
    frames = wire.Frames(wire.Limits(frame_bytes=10))
    frames.feed(struct.pack("<QQ", length, number))
    if length > 10:
        with pytest.raises(wire.WireError, match="10 are allowed"):
            frames.next()
        return
    frames.feed(rest)
    expected = (number, rest[:length]) if len(rest) >= length else None
    assert frames.next() == expected


def test_a_frame_may_come_byte_by_byte_and_a_thousand_at_once():
    payload = bytes(1 << 18)
    frames = wire.Frames(wire.Limits())
    for byte in struct.pack("<QQ", len(payload), 7):
        frames.feed(bytes([byte]))
    for _ in range(len(payload) - 1):  # moving what has come at each feed would be 32 GiB
        frames.feed(b"\0")
        assert frames.next() is None
    frames.feed(b"\0" + wire.frame(8, b"N") * 100_000)
    assert frames.next() == (7, payload)
    assert sum(1 for _ in iter(frames.next, None)) == 100_000


# What the judge makes of decoded values: honest ones, and those in which something is not as it should be.

odd = values | st.sampled_from([True, -1, 2**31, 1.5, math.nan, "", "x", b"", [], ["a"], {"a": math.inf}, ()])


@st.composite
def meddled(draw: st.DrawFn, honest: st.SearchStrategy[Any]) -> Any:
    """An honest value in which one place holds something else, or is missing."""
    inside = value = draw(honest)
    while inside:
        place = draw(st.sampled_from(list(inside) if isinstance(inside, dict) else range(len(inside))))
        if isinstance(inside[place], (dict, list)) and inside[place] and draw(st.integers(0, 3)):
            inside = inside[place]
        elif draw(st.integers(0, 2)):
            inside[place] = draw(odd)
            return value
        else:
            del inside[place]
            return value
    return draw(odd)


_names = ("kind", "type", "message", "traceback")
_kinds = st.sampled_from(["missing", "raised", "state", "gradient", "memory", "unsendable"])
errors = st.fixed_dictionaries(dict.fromkeys(_names, texts) | {"kind": _kinds})
gradients = st.lists(st.none() | tensors(), max_size=3)
shapes = st.dictionaries(texts, st.lists(st.integers(0, 9), max_size=3), max_size=3)


def replies(request: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Honest ones to this request."""
    parts: dict[str, Any] = {"value": shapes if request["op"] == "new" else values}
    if "wrt" in request:
        parts["gradients"] = gradients
        parts["parameter_gradients"] = st.dictionaries(texts, st.none() | tensors(), max_size=3)
    if request.get("after"):
        parts["after"] = st.lists(values, min_size=len(request["args"]), max_size=len(request["args"]))
    printed = {"printed": texts}
    return st.fixed_dictionaries(parts, optional=printed) | st.fixed_dictionaries(
        {"error": errors}, optional=printed
    )


@given(st.sampled_from(REQUESTS), st.data())
@unhurried
def test_every_honest_reply_is_taken_as_it_is(request_, data):
    reply = data.draw(replies(request_))
    taken = guests._reply(reply, request_)
    assert {name: bits(part) for name, part in taken.items()} == {n: bits(part) for n, part in reply.items()}


@pytest.mark.parametrize("request_", REQUESTS)
@given(st.data())
@unhurried
def test_any_other_reply_has_the_form_that_was_asked_for_or_is_refused(request_, data):
    try:
        reply = guests._reply(data.draw(meddled(replies(request_))), request_)
    except wire.WireError:
        return
    check_reply(reply, request_)


finite = st.floats(allow_nan=False, allow_infinity=False)
jsons = st.recursive(
    st.none() | st.booleans() | integers | finite | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
mimes = st.sampled_from(["text/plain", "image/png", "application/x"]) | texts
mimes_of_json = st.sampled_from(["application/json", "application/vnd.plotly.v1+json"])
bundles = st.builds(
    dict.__or__,
    st.dictionaries(mimes, texts | st.lists(texts, max_size=2), max_size=2),
    st.dictionaries(mimes_of_json, jsons, max_size=2),
)
metadata = st.dictionaries(texts, jsons, max_size=2)
counts = st.integers(0, 2**31 - 1)
outputs = st.one_of(
    st.builds(v4.new_output, st.just("stream"), name=st.sampled_from(["stdout", "stderr"]), text=texts),
    st.builds(v4.new_output, st.just("display_data"), data=bundles, metadata=metadata),
    st.builds(
        v4.new_output, st.just("execute_result"), data=bundles, metadata=metadata, execution_count=counts
    ),
    st.builds(
        v4.new_output, st.just("error"), ename=texts, evalue=texts, traceback=st.lists(texts, max_size=3)
    ),
)
results = st.fixed_dictionaries(
    {
        "outputs": st.lists(outputs, max_size=3),
        "execution_count": counts,
        "updates": st.lists(st.tuples(counts, counts, bundles, metadata).map(list), max_size=2),
    }
)


@given(_nested(st.none() | floats | texts | integers) | values)
@settings(unhurried, max_examples=200)
def test_json_is_what_json_gives_back(value):
    try:
        same = bits(json.loads(json.dumps(value, allow_nan=False))) == bits(value)
    except (TypeError, ValueError):
        same = False
    assert guests._is_json(value) == same


@given(results)
@unhurried
def test_every_output_of_nbformats_own_making_is_taken_as_it_is(value):
    result, updates = guests._cell_result(value)
    assert {**result, "updates": list(map(list, updates))} == value
    check_cells([result])


@given(meddled(results))
@settings(unhurried, max_examples=400)
def test_any_other_result_of_a_cell_can_be_written_into_a_notebook_or_is_refused(value):
    try:
        result, updates = guests._cell_result(value)
    except wire.WireError:
        return
    shown = [{"output_type": "display_data", "data": u[2], "metadata": u[3]} for u in updates]
    check_cells([result, {"outputs": shown, "execution_count": 0}])
    assert all(type(n) is int and n >= 0 for u in updates for n in u[:2])


# Bytes, guided by coverage


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="needs atheris: pip install atheris")
@pytest.mark.parametrize("target", TARGETS)
def test_no_bytes_are_found_that_break_what_the_judge_reads(clean_zygote, target):
    said = fuzz_wire.run(target, SECONDS, fuzz_wire.traffic(clean_zygote)[target])
    assert "Done" in said


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_guest_really_sends_passes_through_every_target(clean_zygote, target):
    for seed in fuzz_wire.traffic(clean_zygote)[target]:
        TARGETS[target](seed)
