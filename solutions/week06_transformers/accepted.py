"""Week 6: other right ways to write the answers."""

import math

import torch
import torch.nn.functional as F
from torch import nn

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
