"""Week 6: the references against torch's own attention, plain loops and numbers worked by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reference_impl.transformers import (
    GPT,
    Block,
    DecoderBlock,
    PostLNBlock,
    attention_weights,
    attention_with_cache,
    causal_mask,
    cross_attention,
    feed_forward,
    masked_token_loss,
    multi_head_attention,
    padding_mask,
    scaled_dot_product_attention,
    sinusoidal_positional_encoding,
)


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(6)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def filled(draw):
    """The module in float64, its parameters drawn, scales of normalisations too."""

    def fill(module):
        module.double().load_state_dict({n: draw(*value.shape) for n, value in module.state_dict().items()})
        return module

    return fill


@pytest.fixture
def block(filled):
    return filled(Block(6, 3, 5))


def in_torchs_names(layer):
    """The state dict of torch's encoder or decoder layer that computes what `layer` computes."""

    def attention(name, w_q, w_k, w_v, w_o):
        return {
            f"{name}.in_proj_weight": torch.cat([w_q.T, w_k.T, w_v.T]),
            f"{name}.in_proj_bias": w_q.new_zeros(3 * len(w_q)),
            f"{name}.out_proj.weight": w_o.T,
            f"{name}.out_proj.bias": w_q.new_zeros(len(w_q)),
        }

    state = attention("self_attn", layer.w_q, layer.w_k, layer.w_v, layer.w_o)
    if isinstance(layer, DecoderBlock):
        state |= attention("multihead_attn", layer.c_q, layer.c_k, layer.c_v, layer.c_o)
    for name, norm in layer.named_children():
        state |= {f"norm{name[-1]}.weight": norm.weight, f"norm{name[-1]}.bias": norm.bias}
    state |= {"linear1.weight": layer.w1.T, "linear1.bias": layer.b1}
    return state | {"linear2.weight": layer.w2.T, "linear2.bias": layer.b2}


def torchs(kind, layer, **options):
    """torch's layer of this kind, with the parameters of ours."""
    dim, hidden = layer.w1.shape
    theirs = kind(dim, layer.n_heads, hidden, dropout=0.0, batch_first=True, **options).double()
    theirs.load_state_dict(in_torchs_names(layer))
    return theirs


def loop_attention(q, k, v, mask):
    """One query at a time, exponentials of Python numbers."""
    out = torch.zeros(len(q), v.shape[1], dtype=v.dtype)
    for i in range(len(q)):
        kept = [j for j in range(len(k)) if mask[i, j]]
        e = {
            j: math.exp(sum(a * b for a, b in zip(q[i], k[j], strict=True)) / math.sqrt(len(k[j])))
            for j in kept
        }
        for j in kept:
            out[i] += e[j] / sum(e.values()) * v[j]
    return out


def test_causal_mask_keeps_what_is_not_later():
    assert causal_mask(1).tolist() == [[True]]
    assert causal_mask(3).tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    square = nn.Transformer.generate_square_subsequent_mask(7)  # -inf where blocked
    assert torch.equal(causal_mask(7), square == 0)


def test_padding_mask_keeps_the_first_tokens_of_each_row():
    mask = padding_mask(torch.tensor([2, 0, 4]), 4)
    assert mask.tolist() == [[True, True, False, False], [False] * 4, [True] * 4]
    assert padding_mask(torch.tensor([1, 1]), 3).shape == (2, 3)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_attention_is_torchs(draw, batch):
    q, k, v = draw(*batch, 3, 4), draw(*batch, 5, 4), draw(*batch, 5, 2)
    mask = draw(*batch, 3, 5) > 0
    mask[..., 0, :] = False
    for m in (None, mask, mask[..., :1, :], mask.any(-1, keepdim=True)):
        expected = F.scaled_dot_product_attention(q, k, v, attn_mask=m)
        torch.testing.assert_close(scaled_dot_product_attention(q, k, v, m), expected)


def test_attention_is_the_plain_loop(draw):
    q, k, v, mask = draw(3, 4), draw(5, 4), draw(5, 2), draw(3, 5) > 0.3
    torch.testing.assert_close(scaled_dot_product_attention(q, k, v, mask), loop_attention(q, k, v, mask))


def test_attention_of_worked_scores():
    q = torch.tensor([[2 * math.log(3), 0, 0, 0]])
    v = torch.tensor([[4.0, 0.0], [0.0, 8.0]])
    torch.testing.assert_close(
        scaled_dot_product_attention(q, torch.eye(4)[:2], v), torch.tensor([[3.0, 2.0]])
    )


def test_a_query_without_keys_gives_zeros_and_no_gradient(draw):
    q, k, v = (draw(2, 3).requires_grad_() for _ in range(3))
    mask = torch.tensor([[False, False], [True, False]])
    out = scaled_dot_product_attention(q, k, v, mask)
    assert torch.equal(out[0], torch.zeros(3, dtype=torch.float64))
    assert torch.equal(out[1], v[0])
    dq, dk, dv = torch.autograd.grad(out.sum(), (q, k, v))
    assert not dq.any() and not dk.any()  # the second query has one key, of weight 1 whatever it is
    assert torch.equal(dv, torch.tensor([[1.0], [0.0]]).expand(2, 3).double())
    assert torch.autograd.gradcheck(lambda *a: scaled_dot_product_attention(*a, mask), (q, k, v))


def test_attention_does_not_overflow():
    q = torch.tensor([[1e3]])
    out = scaled_dot_product_attention(q, torch.tensor([[1.0], [-1.0]]), torch.tensor([[2.0], [5.0]]))
    assert torch.equal(out, torch.tensor([[2.0]]))


@pytest.mark.parametrize("n_heads", [1, 2, 3, 6])
def test_multi_head_attention_is_torchs(draw, n_heads):
    x, weights = draw(2, 5, 6), [draw(6, 6) for _ in range(4)]
    w_q, w_k, w_v, w_o = weights
    mask = draw(2, n_heads, 5, 5) > 0
    mask[..., 0] = True  # torch's answer to a row that is blocked entirely is another
    expected, _ = F.multi_head_attention_forward(
        *[x.transpose(0, 1)] * 3,
        6,
        n_heads,
        torch.cat([w_q.T, w_k.T, w_v.T]),
        None,
        None,
        None,
        False,
        0.0,
        w_o.T,
        None,
        attn_mask=~mask.flatten(0, 1),  # True blocks there
    )
    torch.testing.assert_close(multi_head_attention(x, *weights, n_heads, mask), expected.transpose(0, 1))


def test_multi_head_attention_is_one_attention_per_slice(draw):
    x, w_q, w_k, w_v, w_o = draw(2, 4, 6), draw(6, 6), draw(6, 6), draw(6, 6), draw(6, 6)
    mask = draw(3, 4, 4) > 0  # one per head, some rows empty
    for b in range(2):
        heads = [
            loop_attention(x[b] @ w_q[:, s], x[b] @ w_k[:, s], x[b] @ w_v[:, s], mask[h])
            for h, s in enumerate((slice(0, 2), slice(2, 4), slice(4, 6)))
        ]
        expected = torch.cat(heads, -1) @ w_o
        torch.testing.assert_close(multi_head_attention(x, w_q, w_k, w_v, w_o, 3, mask)[b], expected)


@pytest.mark.parametrize(("ours", "norm_first"), [(Block, True), (PostLNBlock, False)])
def test_layers_are_torchs_encoder_layers(draw, filled, ours, norm_first):
    layer, x = filled(ours(6, 3, 5)), draw(2, 4, 6)
    theirs = torchs(nn.TransformerEncoderLayer, layer, norm_first=norm_first)
    torch.testing.assert_close(layer(x), theirs(x))
    torch.testing.assert_close(layer(x, causal_mask(4)), theirs(x, src_mask=~causal_mask(4)))
    keep = padding_mask(torch.tensor([2, 4]), 4)
    padded = theirs(x, src_key_padding_mask=~keep)
    torch.testing.assert_close(layer(x, keep[:, None, None, :]), padded)


def test_decoder_block_is_torchs_decoder_layer(draw, filled):
    layer, x, memory = filled(DecoderBlock(6, 3, 5)), draw(2, 4, 6), draw(2, 3, 6)
    theirs = torchs(nn.TransformerDecoderLayer, layer, norm_first=True)
    causal = ~causal_mask(4)
    torch.testing.assert_close(layer(x, memory), theirs(x, memory, tgt_mask=causal))
    keep = padding_mask(torch.tensor([2, 3]), 3)
    expected = theirs(x, memory, tgt_mask=causal, memory_key_padding_mask=~keep)
    torch.testing.assert_close(layer(x, memory, keep[:, None, None, :]), expected)
    keep = draw(4, 3) > -1
    keep[:, 0] = True
    torch.testing.assert_close(layer(x, memory, keep), theirs(x, memory, causal, ~keep))


def test_gpt_is_torchs_encoder_under_a_causal_mask(draw, filled):
    model, tokens = filled(GPT(7, 5, 6, 3, 4, 2)), torch.tensor([[1, 6, 1, 0], [3, 3, 2, 5]])
    layers = [torchs(nn.TransformerEncoderLayer, block, norm_first=True) for block in model.blocks]
    x = model.token_embedding.weight[tokens] + model.position_embedding.weight[:4]
    for layer in layers:
        x = layer(x, src_mask=nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64))
    torch.testing.assert_close(
        model(tokens), F.layer_norm(x, (6,), *model.ln.parameters()) @ model.unembedding
    )


def test_a_later_token_never_changes_earlier_logits(filled):
    model = filled(GPT(7, 6, 6, 3, 4, 2))
    tokens = torch.tensor([[1, 6, 1, 0, 2, 4]])
    logits = model(tokens)
    for t in range(1, 6):
        changed = tokens.clone()
        changed[:, t:] = (tokens[:, t:] + 3) % 7
        assert torch.equal(model(changed)[:, :t], logits[:, :t])
        assert not torch.allclose(model(changed)[:, t], logits[:, t])
        torch.testing.assert_close(model(tokens[:, :t]), logits[:, :t])


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_attention_weights_are_torchs_attention_to_unit_vectors(draw, batch):
    q, k, identity = draw(*batch, 3, 4), draw(*batch, 5, 4), torch.eye(5).double().expand(*batch, 5, 5)
    mask = draw(*batch, 3, 5) > 0
    mask[..., 0, :] = False
    for m in (None, mask, mask[..., :1, :]):
        expected = F.scaled_dot_product_attention(q, k, identity, attn_mask=m)
        torch.testing.assert_close(attention_weights(q, k, m), expected)
    assert not attention_weights(q, k, mask)[~mask].any()


def test_a_row_without_open_keys_has_no_gradient(draw):
    q, k = draw(2, 3).requires_grad_(), draw(2, 3).requires_grad_()
    mask = torch.tensor([[False, False], [True, True]])
    weights = attention_weights(q, k, mask)
    assert not weights[0].any()
    dq, dk = torch.autograd.grad(weights[:, 0].sum(), (q, k))
    assert not dq[0].any() and dq[1].any() and dk.isfinite().all()


def test_cross_attention_is_the_plain_loop_with_a_row_per_query(draw):
    x_q, x_kv, w_q, w_k, w_v = draw(3, 2), draw(5, 6), draw(2, 4), draw(6, 4), draw(6, 7)
    mask = draw(3, 5) > 0
    out = cross_attention(x_q, x_kv, w_q, w_k, w_v, mask)
    assert out.shape == (3, 7)
    torch.testing.assert_close(out, loop_attention(x_q @ w_q, x_kv @ w_k, x_kv @ w_v, mask))


def test_positional_encoding_of_the_paper():
    table = sinusoidal_positional_encoding(4, 4, torch.float64)
    torch.testing.assert_close(
        table,
        torch.tensor(
            [
                [0.0, 1.0, 0.0, 1.0],
                [0.8414709848, 0.5403023059, 0.0099998333, 0.9999500004],
                [0.9092974268, -0.4161468365, 0.0199986667, 0.9998000067],
                [0.1411200081, -0.9899924966, 0.0299955002, 0.9995500337],
            ],
            dtype=torch.float64,
        ),
        rtol=0,
        atol=1e-10,
    )


@pytest.mark.parametrize(("n", "dim"), [(1, 2), (5, 6), (9, 8)])
def test_positional_encoding_is_the_plain_loop(n, dim):
    table = sinusoidal_positional_encoding(n, dim, torch.float64)
    for p in range(n):
        for i in range(dim // 2):
            angle = p / 10000 ** (2 * i / dim)
            assert table[p, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-14)
            assert table[p, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-14)
    assert sinusoidal_positional_encoding(n, dim).dtype is torch.float32


def test_feed_forward_is_torchs_two_linear_layers(draw):
    x, w1, b1, w2, b2 = draw(2, 3, 4), draw(4, 5), draw(5), draw(5, 4), draw(4)
    expected = F.linear(F.relu(F.linear(x, w1.T, b1)), w2.T, b2)
    torch.testing.assert_close(feed_forward(x, w1, b1, w2, b2), expected)
    torch.testing.assert_close(feed_forward(x[0, 0], w1, b1, w2, b2), expected[0, 0])


@pytest.mark.parametrize("pieces", [[6], [1] * 6, [3, 3], [2, 1, 3], [5, 1]])
def test_pieces_through_the_cache_are_torchs_causal_attention_of_all(draw, pieces):
    q, k, v = draw(2, 3, 6, 4), draw(2, 3, 6, 4), draw(2, 3, 6, 5)
    cache, out = None, []
    for piece in zip(*(t.split(pieces, -2) for t in (q, k, v)), strict=True):
        result, cache = attention_with_cache(*piece, cache)
        out.append(result)
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(torch.cat(out, -2), expected)
    assert torch.equal(cache[0], k) and torch.equal(cache[1], v)


def test_the_cache_that_came_in_stays(draw):
    cache = draw(2, 3), draw(2, 3)
    before = [t.clone() for t in cache]
    attention_with_cache(draw(1, 3), draw(1, 3), draw(1, 3), cache)
    assert all(torch.equal(t, b) for t, b in zip(cache, before, strict=True))


def test_masked_token_loss_is_torchs_cross_entropy_of_the_masked(draw):
    logits, tokens = 3 * draw(2, 4, 5), torch.tensor([[0, 4, 1, 1], [2, 3, 0, 4]])
    mask = torch.tensor([[True, False, True, True], [False, True, False, False]])
    ignored = tokens.masked_fill(~mask, -100)
    torch.testing.assert_close(masked_token_loss(logits, tokens, mask), F.cross_entropy(logits.mT, ignored))
    torch.testing.assert_close(
        masked_token_loss(1e4 * logits, tokens, mask), F.cross_entropy(1e4 * logits.mT, ignored)
    )


def test_the_loss_of_no_masked_token_is_zero_with_zero_gradients(draw):
    logits = draw(1, 2, 3).requires_grad_()
    loss = masked_token_loss(
        logits, torch.zeros(1, 2, dtype=torch.int64), torch.zeros(1, 2, dtype=torch.bool)
    )
    assert loss.item() == 0 and loss.shape == ()
    assert not torch.autograd.grad(loss, logits)[0].any()


def test_block_with_a_causal_mask_hides_the_future(draw, block):
    x = draw(1, 4, 6).requires_grad_()
    gradient = torch.autograd.grad(block(x, causal_mask(4))[0, 1].sum(), x)[0]
    assert not gradient[0, 2:].any()
    assert gradient[0, :2].any(-1).all()


def names_and_shapes(module):
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def layer_of(dim, hidden, norms, *attentions):
    shapes = {f"{a}_{letter}": (dim, dim) for a in attentions for letter in "qkvo"}
    shapes |= {f"ln{i}.{name}": (dim,) for i in range(1, norms + 1) for name in ("weight", "bias")}
    return shapes | {"w1": (dim, hidden), "b1": (hidden,), "w2": (hidden, dim), "b2": (dim,)}


def test_names_of_the_parameters():
    assert names_and_shapes(Block(4, 2, 3)) == layer_of(4, 3, 2, "w")
    assert names_and_shapes(PostLNBlock(4, 2, 3)) == layer_of(4, 3, 2, "w")
    assert names_and_shapes(DecoderBlock(4, 2, 3)) == layer_of(4, 3, 3, "w", "c")
    assert names_and_shapes(GPT(7, 5, 4, 2, 3, 2)) == {
        "token_embedding.weight": (7, 4),
        "position_embedding.weight": (5, 4),
        **{f"blocks.{i}.{n}": s for i in range(2) for n, s in layer_of(4, 3, 2, "w").items()},
        "ln.weight": (4,),
        "ln.bias": (4,),
        "unembedding": (4, 7),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtypes_are_kept(dtype):
    x, w = torch.ones(1, 2, 4, dtype=dtype), torch.eye(4, dtype=dtype)
    assert scaled_dot_product_attention(x, x, x, causal_mask(2)).dtype is dtype
    assert multi_head_attention(x, w, w, w, w, 2).dtype is dtype
    assert Block(4, 2, 3).to(dtype)(x).dtype is dtype
    assert PostLNBlock(4, 2, 3).to(dtype)(x).dtype is dtype
    assert DecoderBlock(4, 2, 3).to(dtype)(x, x).dtype is dtype
    assert GPT(3, 2, 4, 2, 3, 1).to(dtype)(torch.tensor([[1, 2]])).dtype is dtype
    assert attention_weights(x, x).dtype is dtype
    assert cross_attention(x, x, w, w, w).dtype is dtype
    assert feed_forward(x, w, w[0], w, w[0]).dtype is dtype
    assert attention_with_cache(x, x, x, None)[0].dtype is dtype
    assert masked_token_loss(x, torch.tensor([[0, 3]]), torch.tensor([[True, False]])).dtype is dtype
    assert sinusoidal_positional_encoding(2, 4, dtype).dtype is dtype


@pytest.mark.parametrize(
    ("named", "call"),
    [
        ("n must", lambda: causal_mask(0)),
        ("lengths", lambda: padding_mask(torch.tensor([3]), 2)),
        ("lengths", lambda: padding_mask(torch.tensor([-1]), 2)),
        ("mask", lambda: scaled_dot_product_attention(*[torch.ones(2, 2)] * 3, torch.ones(2, 2))),
        ("n_heads", lambda: multi_head_attention(torch.ones(1, 2, 3), *[torch.eye(3)] * 4, 2)),
        ("n_heads", lambda: multi_head_attention(torch.ones(1, 2, 3), *[torch.eye(3)] * 4, 0)),
        ("n_heads", lambda: Block(3, 2, 4)),
        ("n_heads", lambda: PostLNBlock(3, 2, 4)),
        ("n_heads", lambda: DecoderBlock(3, 0, 4)),
        ("n_heads", lambda: GPT(5, 4, 3, 2, 4, 1)),
        ("tokens", lambda: GPT(5, 2, 4, 2, 4, 1)(torch.zeros(1, 3, dtype=torch.int64))),
        ("mask", lambda: attention_weights(torch.ones(2, 2), torch.ones(2, 2), torch.ones(2, 2))),
        ("mask", lambda: cross_attention(*[torch.ones(2, 2)] * 5, torch.ones(2, 2))),
        ("mask", lambda: masked_token_loss(torch.ones(1, 1, 2), torch.tensor([[1]]), torch.ones(1, 1))),
        ("n must", lambda: sinusoidal_positional_encoding(0, 4)),
        ("dim", lambda: sinusoidal_positional_encoding(3, 5)),
    ],
)
def test_outside_the_domain(named, call):
    with pytest.raises(ValueError, match=named):
        call()
