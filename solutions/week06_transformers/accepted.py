"""Week 6: other right ways to write the answers."""

import math
from functools import reduce

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from autograder.author import accepted


@accepted("causal_mask")
def by_comparing_positions(n):
    position = torch.arange(n)
    return position[None, :] <= position[:, None]


@accepted("causal_mask")
def all_but_the_upper_triangle(size):
    return ~torch.triu(torch.ones(size, size, dtype=torch.bool), diagonal=1)


@accepted("causal_mask")
def row_by_row(n):
    mask = torch.zeros(n, n, dtype=torch.bool)
    for i in range(n):
        mask[i, : i + 1] = True
    return mask


@accepted("causal_mask")
def from_lists(n):
    return torch.tensor([[j <= i for j in range(n)] for i in range(n)])


@accepted("padding_mask")
def with_a_column_of_lengths(lengths, n):
    return lengths[:, None] > torch.arange(n)[None, :]


@accepted("padding_mask")
def sentence_by_sentence(lens, width):
    mask = torch.zeros(len(lens), width, dtype=torch.bool)
    for row, length in zip(mask, lens.tolist(), strict=True):
        row[:length] = True
    return mask


@accepted("padding_mask")
def by_counting(lengths, n):
    return torch.ones(lengths.shape[0], n, dtype=torch.int64).cumsum(dim=1).le(lengths.view(-1, 1))


@accepted("padding_mask")
def rows_of_a_triangle(lengths, n):
    return torch.ones(n + 1, n, dtype=torch.bool).tril(-1)[lengths]


@accepted("attention_weights")
def with_einsum_and_a_finite_fill_of_weights(q, k, mask=None):
    scores = torch.einsum("...id,...jd->...ij", q, k) * k.size(-1) ** -0.5
    if mask is None:
        return scores.softmax(dim=-1)
    return torch.where(mask, scores, torch.finfo(scores.dtype).min).softmax(dim=-1) * mask


@accepted("attention_weights")
def torchs_own_attention_to_unit_vectors(q, k, mask=None):
    identity = torch.eye(k.shape[-2], dtype=k.dtype).expand(*k.shape[:-2], -1, -1)
    return F.scaled_dot_product_attention(q, k, identity, attn_mask=mask)


@accepted("attention_weights")
def one_row_at_a_time(queries, keys, keep=None):
    rows = []
    for i in range(queries.size(-2)):
        score = (queries[..., i : i + 1, :] * keys).sum(-1) / math.sqrt(queries.size(-1))
        if keep is None:
            rows.append(torch.softmax(score, -1))
            continue
        here = keep.expand(*queries.shape[:-1], keys.shape[-2])[..., i, :]
        top = torch.where(here, score, torch.finfo(score.dtype).min).amax(-1, keepdim=True).detach()
        e = torch.where(here, score - top, torch.zeros_like(score)).exp() * here
        rows.append(e / e.sum(-1, keepdim=True).clamp_min(torch.finfo(score.dtype).tiny))
    return torch.stack(rows, -2)


@accepted("attention_weights")
def in_double_less_the_logarithm_of_the_sum(q, k, mask=None):
    scores = (q.double() / k.shape[-1] ** 0.25) @ (k.double() / k.shape[-1] ** 0.25).transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(mask.logical_not(), -1e12)
    weights = torch.exp(scores - scores.logsumexp(-1, keepdim=True)).to(q.dtype)
    return weights if mask is None else weights.masked_fill(mask.logical_not(), 0.0)


@accepted("scaled_dot_product_attention")
def with_torchs_own(query, key, value, attn_mask=None):
    return F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask)


@accepted("scaled_dot_product_attention")
def with_einsum_and_a_finite_fill(q, k, v, mask=None):
    scores = torch.einsum("...id,...jd->...ij", q, k) * k.size(-1) ** -0.5
    if mask is not None:
        scores = torch.where(mask, scores, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1)
    if mask is not None:
        weights = weights * mask
    return torch.einsum("...ij,...jd->...id", weights, v)


@accepted("scaled_dot_product_attention")
def query_by_query(q, k, v, mask=None):
    keep = torch.ones((), dtype=torch.bool) if mask is None else mask
    keep = keep.expand(*q.shape[:-1], k.shape[-2])
    rows = []
    for i in range(q.shape[-2]):
        score = (q[..., i, None, :] * k).sum(-1) / math.sqrt(q.shape[-1])
        score = score.masked_fill(~keep[..., i, :], float("-inf"))
        score = score.masked_fill(~keep[..., i, :].any(-1, keepdim=True), 0.0)
        weight = torch.softmax(score, dim=-1) * keep[..., i, :]
        rows.append((weight[..., None] * v).sum(-2))
    return torch.stack(rows, dim=-2)


@accepted("scaled_dot_product_attention")
def exponentials_by_hand(q, k, v, mask=None):
    s = (q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)
    keep = torch.ones_like(s, dtype=torch.bool) if mask is None else mask.expand_as(s)
    top = s.masked_fill(~keep, torch.finfo(s.dtype).min).amax(-1, keepdim=True).detach()
    e = (s - top).masked_fill(~keep, -math.inf).exp()
    total = e.sum(-1, keepdim=True)
    return e @ v / total.masked_fill(total == 0, 1.0)


@accepted("scaled_dot_product_attention")
def in_double_with_nan_to_num(q, k, v, mask=None):
    scores = torch.matmul(q.double(), k.double().transpose(-1, -2)).div_(k.shape[-1] ** 0.5)
    if mask is not None:
        scores.masked_fill_(mask.logical_not(), -torch.inf)
    return torch.nan_to_num(scores.softmax(-1)).to(v.dtype) @ v


@accepted("scaled_dot_product_attention")
def as_log_probabilities(q, k, v, mask=None):
    scores = q @ k.mT / k.shape[-1] ** 0.5
    if mask is None:
        return F.log_softmax(scores, dim=-1).exp() @ v
    some = mask.any(-1, keepdim=True)
    scores = torch.where(mask | ~some, scores, -1e9)
    return F.log_softmax(scores, dim=-1).exp() @ v * some


@accepted("scaled_dot_product_attention")
def less_the_logarithm_of_the_sum(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is None:
        return torch.exp(scores - scores.logsumexp(-1, keepdim=True)) @ v
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min / 4)
    return (torch.exp(scores - scores.logsumexp(-1, keepdim=True)) * mask) @ v


@accepted("cross_attention")
def with_torchs_own_and_other_names(target, source, to_q, to_k, to_v, keep=None):
    return F.scaled_dot_product_attention(target @ to_q, source @ to_k, source @ to_v, attn_mask=keep)


@accepted("cross_attention")
def with_keys_and_values_from_one_product(x_q, x_kv, w_q, w_k, w_v, mask=None):
    k, v = (x_kv @ torch.cat([w_k, w_v], dim=1)).split([w_k.shape[1], w_v.shape[1]], dim=-1)
    scores = torch.matmul(x_q @ w_q, k.transpose(-1, -2)).div(w_k.shape[1] ** 0.5)
    if mask is None:
        return torch.softmax(scores, -1).matmul(v)
    weights = torch.softmax(scores.masked_fill(~mask, torch.finfo(scores.dtype).min), -1)
    return weights.masked_fill(~mask, 0.0).matmul(v)


@accepted("cross_attention")
def matrices_of_both_sides_multiplied_first(x_q, x_kv, w_q, w_k, w_v, mask=None):
    bilinear = w_q @ w_k.T / math.sqrt(w_q.size(1))  # (d_q, d_kv)
    scores = torch.einsum("...ia,ab,...jb->...ij", x_q, bilinear, x_kv)
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e30)
    weights = scores.softmax(-1) if mask is None else scores.softmax(-1) * mask
    return weights @ x_kv @ w_v


@accepted("cross_attention")
def query_after_query(x_q, x_kv, w_q, w_k, w_v, mask=None):
    keys, values = F.linear(x_kv, w_k.mT), F.linear(x_kv, w_v.mT)
    keep = torch.ones((), dtype=torch.bool) if mask is None else mask
    keep = keep.expand(*x_q.shape[:-1], x_kv.shape[-2])
    out = []
    for i in range(x_q.shape[-2]):
        query = F.linear(x_q[..., i, :], w_q.mT).unsqueeze(-1)
        score = (keys @ query).squeeze(-1) / math.sqrt(query.shape[-2])
        score = score.masked_fill(~keep[..., i, :], torch.finfo(score.dtype).min)
        weight = score.softmax(-1) * keep[..., i, :]
        out.append((weight.unsqueeze(-2) @ values).squeeze(-2))
    return torch.stack(out, dim=-2)


@accepted("multi_head_attention")
def head_by_head(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    b, n, dim = x.shape
    s = dim // n_heads
    keep = torch.ones(b, n_heads, n, n, dtype=torch.bool)
    if mask is not None:
        keep = keep & mask
    out = torch.zeros_like(x)
    for h in range(n_heads):
        own = slice(h * s, (h + 1) * s)
        q, k, v = x @ w_q[:, own], x @ w_k[:, own], x @ w_v[:, own]
        scores = q @ k.transpose(1, 2) / math.sqrt(s)
        weights = scores.masked_fill(~keep[:, h], -math.inf).softmax(-1).masked_fill(~keep[:, h], 0.0)
        out = out + weights @ v @ w_o[own]
    return out


@accepted("multi_head_attention")
def from_one_product_with_torchs_own(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    batch, n, dim = x.shape
    qkv = (x @ torch.cat([w_q, w_k, w_v], dim=1)).view(batch, n, 3, n_heads, dim // n_heads)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return y.transpose(1, 2).reshape(batch, n, dim) @ w_o


@accepted("multi_head_attention")
def with_einsum_over_heads(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    q, k, v = (torch.einsum("bnd,dhs->bhns", x, w.unflatten(1, (n_heads, -1))) for w in (w_q, w_k, w_v))
    scores = torch.einsum("bhis,bhjs->bhij", q, k) * q.shape[-1] ** -0.5
    if mask is not None:
        blocked = torch.logical_not(mask)
        scores = scores.masked_fill(blocked, torch.finfo(scores.dtype).min)
    weights = torch.softmax(scores, dim=-1)
    if mask is not None:
        weights = weights.masked_fill(blocked, 0)
    return torch.einsum("bhij,bhjs,hsd->bid", weights, v, w_o.unflatten(0, (n_heads, -1)))


@accepted("multi_head_attention")
def with_heads_in_the_batch(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    def heads(w):
        return torch.cat((x @ w).chunk(n_heads, dim=-1), dim=0)  # (heads * batch, n, size)

    n = x.shape[1]
    scores = torch.bmm(heads(w_q), heads(w_k).mT) / math.sqrt(x.shape[-1] // n_heads)
    if mask is not None:
        keep = mask.expand(x.shape[0], n_heads, n, n).transpose(0, 1).flatten(0, 1)
        some = keep.any(dim=-1, keepdim=True)
        scores = scores.masked_fill(~keep & some, -torch.inf)
    mixed = torch.bmm(scores.softmax(-1), heads(w_v))
    if mask is not None:
        mixed = torch.where(some, mixed, torch.zeros_like(mixed))
    return torch.cat(mixed.chunk(n_heads, dim=0), dim=-1) @ w_o


@accepted("multi_head_attention")
def with_torchs_multi_head_attention(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    batch, n, dim = x.shape
    with torch.device("meta"):
        theirs = nn.MultiheadAttention(dim, n_heads, bias=False, batch_first=True)
    blocked = None  # there True blocks
    if mask is not None:
        blocked = ~mask.expand(batch, n_heads, n, n).flatten(0, 1)
    weights = {"in_proj_weight": torch.cat([w_q, w_k, w_v], dim=1).T, "out_proj.weight": w_o.T}
    inputs, options = (x, x, x), {"attn_mask": blocked, "need_weights": False}
    return functional_call(theirs, weights, inputs, options)[0]


@accepted("sinusoidal_positional_encoding")
def entry_by_entry(n, dim, dtype=torch.float32):
    table = torch.empty(n, dim, dtype=torch.float64)
    for p in range(n):
        for c in range(dim):
            angle = p / 10000 ** (2 * (c // 2) / dim)
            table[p, c] = math.sin(angle) if c % 2 == 0 else math.cos(angle)
    return table.to(dtype)


@accepted("sinusoidal_positional_encoding")
def written_into_every_second_column(length, width, dtype=torch.float32):
    position = torch.arange(length, dtype=dtype)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=dtype) * (-math.log(10000.0) / width))
    table = torch.zeros(length, width, dtype=dtype)
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate)
    return table


@accepted("sinusoidal_positional_encoding")
def from_complex_numbers(n, dim, dtype=torch.float32):
    angle = torch.outer(
        torch.arange(n, dtype=torch.float64), torch.logspace(0, -4, dim // 2 + 1, dtype=torch.float64)[:-1]
    )
    cos_sin = torch.view_as_real(torch.polar(torch.ones_like(angle), angle))
    return cos_sin.flip(-1).reshape(n, dim).to(dtype)


@accepted("sinusoidal_positional_encoding")
def cosines_as_shifted_sines(n, dim, dtype=torch.float32):
    column = torch.arange(dim, dtype=torch.float64)
    phase = (column % 2) * (math.pi / 2)
    position = torch.arange(n, dtype=torch.float64).reshape(n, 1)
    return torch.sin(position / torch.pow(10000.0, (column - column % 2) / dim) + phase).to(dtype)


@accepted("feed_forward")
def with_linear_layers(x, w1, b1, w2, b2):
    return F.linear(F.relu(F.linear(x, w1.t(), b1)), w2.t(), b2)


@accepted("feed_forward")
def with_einsum_and_clamp(x, w_in, b_in, w_out, b_out):
    hidden = (torch.einsum("...d,dh->...h", x, w_in) + b_in).clamp(min=0)
    return torch.einsum("...h,hd->...d", hidden, w_out) + b_out


@accepted("feed_forward")
def unit_by_unit(x, w1, b1, w2, b2):
    out = b2.expand(x.shape)
    for unit in range(w1.shape[1]):
        before = (x * w1[:, unit]).sum(-1, keepdim=True) + b1[unit]
        out = out + torch.where(before > 0, before, torch.zeros_like(before)) * w2[unit]
    return out


@accepted("feed_forward")
def in_place_on_its_own_hidden_layer(x, w1, b1, w2, b2):
    hidden = torch.addmm(b1, x.reshape(-1, x.shape[-1]), w1).relu_()
    return torch.addmm(b2, hidden, w2).reshape(x.shape)


def as_a_layer_of_torch(layer, layer_type, x, norm_first, masks, *memory):
    """torch's encoder or decoder layer with the parameters of one of ours; there True blocks."""
    dim, hidden = layer.w1.shape
    with torch.device("meta"):
        theirs = layer_type(dim, layer.n_heads, hidden, 0.0, batch_first=True, norm_first=norm_first)
    zero = torch.zeros(dim, dtype=x.dtype)

    def attention(name, w_q, w_k, w_v, w_o):
        return {
            f"{name}.in_proj_weight": torch.cat([w_q, w_k, w_v], 1).T,
            f"{name}.in_proj_bias": zero.repeat(3),
            f"{name}.out_proj.weight": w_o.T,
            f"{name}.out_proj.bias": zero,
        }

    weights = attention("self_attn", layer.w_q, layer.w_k, layer.w_v, layer.w_o)
    if memory:
        weights |= attention("multihead_attn", layer.c_q, layer.c_k, layer.c_v, layer.c_o)
    for name, module in layer.named_children():  # ln1, ln2, ...
        weights |= {f"norm{name[-1]}.weight": module.weight, f"norm{name[-1]}.bias": module.bias}
    weights |= {"linear1.weight": layer.w1.T, "linear1.bias": layer.b1}
    weights |= {"linear2.weight": layer.w2.T, "linear2.bias": layer.b2}
    blocked = []
    for mask, keys in zip(masks, (x, *memory), strict=True):
        shape = len(x), layer.n_heads, x.shape[1], keys.shape[1]
        blocked.append(None if mask is None else ~mask.expand(shape).flatten(0, 1))
    return functional_call(theirs, weights, (x, *memory, *blocked))


def make_parameters(layer, dim, hidden, *prefixes):
    for prefix in prefixes:
        for letter in "qkvo":
            layer.register_parameter(f"{prefix}_{letter}", nn.Parameter(torch.empty(dim, dim).normal_()))
    layer.w1 = nn.Parameter(torch.empty(dim, hidden).normal_())
    layer.b1 = nn.Parameter(torch.zeros(hidden))
    layer.w2 = nn.Parameter(torch.empty(hidden, dim).normal_())
    layer.b2 = nn.Parameter(torch.zeros(dim))


@accepted("PostLNBlock")
class AsTorchsPostNormLayer(nn.Module):
    def __init__(self, dim, n_heads, hidden):
        super().__init__()
        self.n_heads = n_heads
        make_parameters(self, dim, hidden, "w")
        self.ln1, self.ln2 = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x, mask=None):
        return as_a_layer_of_torch(self, nn.TransformerEncoderLayer, x, False, [mask])


@accepted("PostLNBlock")
class PostNormWithTorchsOwnAttention(nn.Module):
    def __init__(self, dim, n_heads, hidden):
        super().__init__()
        self.heads = n_heads
        make_parameters(self, dim, hidden, "w")
        self.ln1, self.ln2 = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x, mask=None):
        q, k, v = (
            (x @ w).view(*x.shape[:2], self.heads, -1).transpose(1, 2) for w in (self.w_q, self.w_k, self.w_v)
        )
        heads = F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).reshape(x.shape)
        residual = heads.matmul(self.w_o).add_(x)
        y = F.layer_norm(residual, residual.shape[-1:], self.ln1.weight, self.ln1.bias, self.ln1.eps)
        return self.ln2(y + F.linear(F.relu(F.linear(y, self.w1.T, self.b1)), self.w2.T, self.b2))


@accepted("PostLNBlock")
class PostNormByHand(nn.Module):
    def __init__(self, d, h, inner):
        super().__init__()
        self.size = d // h
        make_parameters(self, d, inner, "w")
        self.ln1 = nn.LayerNorm(d)
        self.ln2 = nn.LayerNorm(d)

    def attention(self, x, mask):
        batch, n, width = x.shape
        keep = torch.ones(batch, width // self.size, n, n, dtype=torch.bool)
        keep = keep if mask is None else keep & mask
        out = torch.zeros_like(x)
        for h in range(width // self.size):
            own = slice(h * self.size, (h + 1) * self.size)
            scores = torch.einsum("bid,bjd->bij", x @ self.w_q[:, own], x @ self.w_k[:, own])
            scores = (scores / math.sqrt(self.size)).masked_fill(~keep[:, h], -1e30)
            weights = scores.softmax(-1).masked_fill(~keep[:, h], 0)
            out = out + weights @ (x @ self.w_v[:, own]) @ self.w_o[own]
        return out

    @staticmethod
    def normalise(x, ln):
        variance, mean = torch.var_mean(x, dim=-1, correction=0, keepdim=True)
        return (x - mean) / torch.sqrt(variance + ln.eps) * ln.weight + ln.bias

    def forward(self, x, mask=None):
        x = self.normalise(self.attention(x, mask) + x, self.ln1)
        inner = (x @ self.w1 + self.b1).clamp(min=0)
        return self.normalise(inner @ self.w2 + self.b2 + x, self.ln2)


@accepted("Block")
class AsTorchsPreNormLayer(nn.Module):
    def __init__(self, dim, n_heads, hidden):
        super().__init__()
        self.n_heads = n_heads
        make_parameters(self, dim, hidden, "w")
        self.ln1, self.ln2 = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x, mask=None):
        return as_a_layer_of_torch(self, nn.TransformerEncoderLayer, x, True, [mask])


@accepted("Block")
class WithTorchsOwnAttention(nn.Module):
    def __init__(self, dim, n_heads, hidden):
        super().__init__()
        self.heads = n_heads
        self.ln1, self.ln2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        for name in ("w_q", "w_k", "w_v", "w_o"):
            self.register_parameter(name, nn.Parameter(torch.empty(dim, dim).normal_()))
        self.w1 = nn.Parameter(torch.empty(dim, hidden).normal_())
        self.b1 = nn.Parameter(torch.zeros(hidden))
        self.w2 = nn.Parameter(torch.empty(hidden, dim).normal_())
        self.b2 = nn.Parameter(torch.zeros(dim))

    def split(self, y):
        return y.view(*y.shape[:2], self.heads, -1).transpose(1, 2)

    def attention(self, y, mask):
        q, k, v = self.split(y @ self.w_q), self.split(y @ self.w_k), self.split(y @ self.w_v)
        return F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).reshape(y.shape) @ self.w_o

    def feed_forward(self, y):
        return F.linear(F.relu(F.linear(y, self.w1.T, self.b1)), self.w2.T, self.b2)

    def forward(self, x, mask=None):
        x = x + self.attention(self.ln1(x), mask)
        return x + self.feed_forward(self.ln2(x))


@accepted("Block")
class WithHeadsInALoop(nn.Module):
    def __init__(self, width, heads, inner):
        super().__init__()
        self.size = width // heads
        self.w_q, self.w_k, self.w_v, self.w_o = (nn.Parameter(torch.eye(width)) for _ in range(4))
        self.w1, self.b1 = nn.Parameter(torch.zeros(width, inner)), nn.Parameter(torch.zeros(inner))
        self.w2, self.b2 = nn.Parameter(torch.zeros(inner, width)), nn.Parameter(torch.zeros(width))
        self.ln1 = nn.LayerNorm(width)
        self.ln2 = nn.LayerNorm(width)

    def forward(self, x, mask=None):
        batch, n, width = x.shape
        heads = width // self.size
        keep = torch.ones(batch, heads, n, n, dtype=torch.bool)
        keep = keep if mask is None else keep & mask
        y, out = self.ln1(x), x
        for h in range(heads):
            own = slice(h * self.size, (h + 1) * self.size)
            q, k, v = (y @ w[:, own] for w in (self.w_q, self.w_k, self.w_v))
            scores = torch.einsum("bid,bjd->bij", q, k) / math.sqrt(self.size)
            weights = torch.where(keep[:, h], scores, -torch.inf).softmax(-1)
            weights = torch.where(keep[:, h], weights, torch.zeros_like(weights))
            out = out + torch.einsum("bij,bjd,de->bie", weights, v, self.w_o[own])
        inner = (self.ln2(out) @ self.w1 + self.b1).clamp(min=0)
        return out + (inner @ self.w2 + self.b2)


@accepted("Block")
class WithItsOwnNormalisation(nn.Module):
    def __init__(self, dim, n_heads, hidden):
        super().__init__()
        self.n_heads = n_heads
        shapes = {"w1": (dim, hidden), "b1": (hidden,), "w2": (hidden, dim), "b2": (dim,)}
        shapes |= dict.fromkeys(("w_q", "w_k", "w_v", "w_o"), (dim, dim))
        for name, shape in shapes.items():
            setattr(self, name, nn.Parameter(torch.rand(shape)))
        self.ln1 = nn.LayerNorm(dim)
        self.ln2 = nn.LayerNorm(dim)

    @staticmethod
    def normalise(x, ln):
        centred = x - x.mean(-1, keepdim=True)
        variance = centred.square().mean(-1, keepdim=True)
        return centred * torch.rsqrt(variance + ln.eps) * ln.weight + ln.bias

    def forward(self, x, mask=None):
        y = self.normalise(x, self.ln1)
        q, k, v = (
            torch.einsum("bnd,dhs->bhns", y, w.unflatten(1, (self.n_heads, -1)))
            for w in (self.w_q, self.w_k, self.w_v)
        )
        scores = q @ k.mT * q.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, -1e30)
        weights = scores.softmax(-1)
        if mask is not None:
            weights = weights * mask.to(weights.dtype)
        x = x + torch.cat((weights @ v).unbind(1), -1) @ self.w_o
        y = self.normalise(x, self.ln2) @ self.w1 + self.b1
        return x + y.relu_() @ self.w2 + self.b2


@accepted("GPT")
class AsTorchsEncoder(nn.Module):
    def __init__(self, vocab, context, dim, n_heads, hidden, n_layers):
        super().__init__()
        self.token_embedding = nn.Embedding(vocab, dim)
        self.position_embedding = nn.Embedding(context, dim)
        self.blocks = nn.ModuleList([AsTorchsPreNormLayer(dim, n_heads, hidden) for _ in range(n_layers)])
        self.ln = nn.LayerNorm(dim)
        self.unembedding = nn.Parameter(torch.zeros(dim, vocab))

    def forward(self, tokens):
        positions = torch.arange(tokens.shape[1]).expand_as(tokens)
        x = self.token_embedding(tokens) + self.position_embedding(positions)
        causal = torch.ones(tokens.shape[1], tokens.shape[1]).tril().bool()
        for block in self.blocks:
            x = block(x, causal)
        return F.linear(self.ln(x), self.unembedding.T)


@accepted("GPT")
class WithOneHotTokens(nn.Module):
    def __init__(self, vocab, context, dim, n_heads, hidden, n_layers):
        super().__init__()
        self.token_embedding = nn.Embedding(vocab, dim)
        self.position_embedding = nn.Embedding(context, dim)
        self.blocks = nn.ModuleList([WithTorchsOwnAttention(dim, n_heads, hidden) for _ in range(n_layers)])
        self.ln = nn.LayerNorm(dim)
        self.unembedding = nn.Parameter(torch.randn(dim, vocab))

    def embed(self, tokens):
        table = self.token_embedding.weight
        positions = self.position_embedding.weight.narrow(0, 0, tokens.size(1))
        return F.one_hot(tokens, len(table)).to(table.dtype) @ table + positions

    def forward(self, tokens):
        n = tokens.size(1)
        mask = (torch.arange(n) <= torch.arange(n).unsqueeze(-1)).view(1, 1, n, n)
        return self.ln(reduce(lambda x, block: block(x, mask), self.blocks, self.embed(tokens))).matmul(
            self.unembedding
        )


@accepted("GPT")
class OnTheWholeContext(nn.Module):
    """Fills up to the context, with a mask as a buffer, and cuts the logits: later tokens change nothing."""

    def __init__(self, vocab, context, dim, n_heads, hidden, n_layers):
        super().__init__()
        self.token_embedding = nn.Embedding(vocab, dim)
        self.position_embedding = nn.Embedding(context, dim)
        self.blocks = nn.ModuleList(WithHeadsInALoop(dim, n_heads, hidden) for _ in range(n_layers))
        self.ln = nn.LayerNorm(dim)
        self.unembedding = nn.Parameter(torch.zeros(dim, vocab))
        self.register_buffer("mask", torch.ones(context, context).tril() > 0, persistent=False)

    def forward(self, tokens):
        filled = F.pad(tokens, (0, len(self.mask) - tokens.shape[-1]))
        x = self.token_embedding(filled) + self.position_embedding.weight
        for i in range(len(self.blocks)):
            x = self.blocks[i](x, self.mask)
        return torch.einsum("bnd,dv->bnv", self.ln(x), self.unembedding)[:, : tokens.shape[-1]]


@accepted("attention_with_cache")
def with_torchs_mask_for_the_lower_right(q, k, v, cache):
    if cache is not None:
        k, v = torch.cat((cache[0], k), dim=-2), torch.cat((cache[1], v), dim=-2)
    causal = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril(k.shape[-2] - q.shape[-2])
    return F.scaled_dot_product_attention(q, k, v, attn_mask=causal), (k, v)


@accepted("attention_with_cache")
def token_after_token(q, k, v, cache=None):
    keys = list(cache[0].unbind(-2)) if cache else []
    values = list(cache[1].unbind(-2)) if cache else []
    out = []
    for i in range(q.shape[-2]):
        keys.append(k[..., i, :])
        values.append(v[..., i, :])
        seen, them = torch.stack(keys, -2), torch.stack(values, -2)
        score = (seen * q[..., i : i + 1, :]).sum(-1) * q.shape[-1] ** -0.5
        out.append((torch.softmax(score, -1).unsqueeze(-1) * them).sum(-2))
    return torch.stack(out, -2), (torch.stack(keys, -2), torch.stack(values, -2))


@accepted("attention_with_cache")
def by_positions_in_a_dict_of_tensors(q, k, v, cache):
    past = 0 if cache is None else cache[0].size(-2)
    new = {"k": k, "v": v} if cache is None else {"k": torch.concat([cache[0], k], dim=-2)}
    new.setdefault("v", v if cache is None else torch.concat([cache[1], v], dim=-2))
    position = past + torch.arange(q.size(-2))
    blocked = torch.arange(past + q.size(-2)).unsqueeze(0) > position.unsqueeze(1)
    scores = torch.einsum("...id,...jd->...ij", q, new["k"]) / math.sqrt(q.size(-1))
    weights = scores.masked_fill(blocked, -math.inf).softmax(-1)
    return [torch.einsum("...ij,...jd->...id", weights, new["v"]), [new["k"], new["v"]]]


@accepted("attention_with_cache")
def exponentials_and_running_sums(q, k, v, cache):
    k, v = (k, v) if cache is None else (torch.cat([a, b], -2) for a, b in zip(cache, (k, v), strict=True))
    scores = q.double() @ k.double().mT / math.sqrt(k.shape[-1])
    e = torch.exp(scores - scores.amax(-1, keepdim=True)).tril(k.shape[-2] - q.shape[-2])
    return (e @ v.double() / e.sum(-1, keepdim=True)).to(v.dtype), (k, v)


@accepted("masked_token_loss")
def with_torchs_ignored_index(logits, tokens, mask):
    total = F.cross_entropy(
        logits.transpose(1, 2), tokens.masked_fill(~mask, -100), ignore_index=-100, reduction="sum"
    )
    return total / max(int(mask.sum()), 1)


@accepted("masked_token_loss")
def of_the_selected_positions(logits, targets, selected):
    chosen = logits[selected]
    if len(chosen) == 0:
        return logits.sum() * 0
    return F.nll_loss(torch.log_softmax(chosen, dim=-1), targets[selected])


@accepted("masked_token_loss")
def position_by_position(logits, tokens, mask):
    losses = [
        torch.logsumexp(logits[b, t], 0) - logits[b, t, tokens[b, t]]
        for b in range(len(tokens))
        for t in range(tokens.shape[1])
        if mask[b, t]
    ]
    return torch.stack(losses).mean() if losses else logits.new_zeros(())


@accepted("masked_token_loss")
def weighted_by_a_mask_of_numbers(logits, tokens, mask):
    shifted = logits - logits.amax(-1, keepdim=True).detach()
    log_prob = shifted - shifted.exp().sum(-1, keepdim=True).log()
    one_hot = F.one_hot(tokens, logits.shape[-1]).to(logits.dtype)
    loss = -(log_prob * one_hot).sum(-1)
    weight = mask.to(logits.dtype)
    return (loss * weight).sum() / weight.sum().clamp(min=1.0)


@accepted("DecoderBlock")
class AsTorchsDecoderLayer(nn.Module):
    def __init__(self, dim, n_heads, hidden):
        super().__init__()
        self.n_heads = n_heads
        make_parameters(self, dim, hidden, "w", "c")
        self.ln1, self.ln2, self.ln3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x, memory, memory_mask=None):
        causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        masks = [causal, memory_mask]
        return as_a_layer_of_torch(self, nn.TransformerDecoderLayer, x, True, masks, memory)


@accepted("DecoderBlock")
class WithOneAttentionForBoth(nn.Module):
    def __init__(self, dim, n_heads, hidden):
        super().__init__()
        self.heads = n_heads
        make_parameters(self, dim, hidden, "w", "c")
        self.ln1, self.ln2, self.ln3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)

    def attend(self, prefix, x, source, mask):
        w_q, w_k, w_v, w_o = (getattr(self, f"{prefix}_{letter}") for letter in "qkvo")
        q, k, v = (
            y.view(*y.shape[:2], self.heads, -1).transpose(1, 2)
            for y in (x @ w_q, source @ w_k, source @ w_v)
        )
        return F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).reshape(x.shape) @ w_o

    def forward(self, x, memory, memory_mask=None):
        y = self.ln1(x)
        x = x + self.attend("w", y, y, torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril())
        x = x + self.attend("c", self.ln2(x), memory, memory_mask)
        return x + F.linear(F.relu(F.linear(self.ln3(x), self.w1.T, self.b1)), self.w2.T, self.b2)


@accepted("DecoderBlock")
class HeadAfterHead(nn.Module):
    def __init__(self, dim, n_heads, hidden):
        super().__init__()
        self.size = dim // n_heads
        make_parameters(self, dim, hidden, "w", "c")
        self.ln1, self.ln2, self.ln3 = (nn.LayerNorm(dim) for _ in range(3))

    def head(self, q, k, v, keep):
        scores = torch.einsum("bid,bjd->bij", q, k) / math.sqrt(self.size)
        weights = scores.masked_fill(~keep, torch.finfo(scores.dtype).min).softmax(-1)
        return (weights * keep) @ v

    def forward(self, x, memory, memory_mask=None):
        batch, n, dim = x.shape
        own = [slice(i, i + self.size) for i in range(0, dim, self.size)]
        causal = torch.ones(n, n, dtype=torch.bool).tril()
        keep = torch.ones(batch, len(own), n, memory.shape[1], dtype=torch.bool)
        if memory_mask is not None:
            keep = keep & memory_mask
        y = self.ln1(x)
        heads = [self.head(y @ self.w_q[:, s], y @ self.w_k[:, s], y @ self.w_v[:, s], causal) for s in own]
        x = x + torch.cat(heads, -1) @ self.w_o
        y = self.ln2(x)
        for h, s in enumerate(own):
            head = self.head(y @ self.c_q[:, s], memory @ self.c_k[:, s], memory @ self.c_v[:, s], keep[:, h])
            x = x + head @ self.c_o[s]
        return x + (self.ln3(x) @ self.w1 + self.b1).clamp_min(0) @ self.w2 + self.b2
