"""Week 6: attention and the transformer (Vaswani et al., 2017)."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from reference_impl._require import require


def causal_mask(n: int) -> Bool[Tensor, "n n"]:
    """The mask that hides the future: entry (i, j) is True where query i may attend to key j, for j <= i.

    Boolean, True = keep; every position sees itself. n >= 1. (Vaswani et al., 2017, section 3.2.3.)
    """
    require(n >= 1, f"n must be at least 1, not {n}")
    return torch.ones(n, n, dtype=torch.bool).tril()


def padding_mask(lengths: Int[Tensor, "batch"], n: int) -> Bool[Tensor, "batch n"]:
    """The mask of sequences padded on the right to n tokens: (b, j) is True for real tokens, j < lengths[b].

    Boolean, True = keep. 0 <= lengths <= n; there are n columns even where all sequences are shorter.
    """
    require(((lengths >= 0) & (lengths <= n)).all(), f"lengths must lie in 0..{n}, not {lengths.tolist()}")
    return torch.arange(n, device=lengths.device) < lengths.unsqueeze(-1)


def scaled_dot_product_attention(
    q: Float[Tensor, "*batch n_q d_k"],
    k: Float[Tensor, "*batch n_k d_k"],
    v: Float[Tensor, "*batch n_k d_v"],
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "*batch n_q d_v"]:
    """softmax(q k^T / sqrt(d_k)) v, the softmax over the keys: each query's weighted mean of the values.

    `mask` is boolean, True = keep, has at least two dimensions and broadcasts to (*batch, n_q, n_k): the
    weight of a blocked key is exactly 0, and those of the others sum to 1. A query with nothing to attend
    to gives zeros, not NaN, and zero gradients. No overflow for scores of +-1e3. Differentiable in q, k
    and v. (Vaswani et al., 2017, equation 1.)
    """
    require(mask is None or mask.dtype == torch.bool, "mask must be boolean, True where a key takes part")
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    if mask is None:
        return torch.softmax(scores, -1) @ v
    # A row of -inf has NaN for its softmax; the second fill clears it, and the first one its gradient.
    weights = torch.softmax(scores.masked_fill(~mask, -math.inf), -1).masked_fill(~mask, 0)
    return weights @ v


def multi_head_attention(
    x: Float[Tensor, "batch n dim"],
    w_q: Float[Tensor, "dim dim"],
    w_k: Float[Tensor, "dim dim"],
    w_v: Float[Tensor, "dim dim"],
    w_o: Float[Tensor, "dim dim"],
    n_heads: int,
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "batch n dim"]:
    """Self-attention in n_heads subspaces, with queries x w_q, keys x w_k, values x w_v: (head_0, ...) w_o.

    Matrices are (in, out), without biases. n_heads divides dim; with s = dim / n_heads, head h attends with
    the contiguous columns h s, ..., (h + 1) s - 1 of queries, keys and values, its scores divided by sqrt(s).
    `mask` is boolean, True = keep, has at least two dimensions and broadcasts to (batch, n_heads, n, n),
    aligned at the last one; a token with nothing to attend to gives zeros. Differentiable in x and the
    matrices. (Vaswani et al., 2017, section 3.2.2.)
    """
    require(n_heads >= 1 and x.shape[-1] % n_heads == 0, f"n_heads = {n_heads} must divide {x.shape[-1]}")

    def split(y: Tensor) -> Tensor:  # (batch, n, dim) -> (batch, heads, n, dim / heads)
        return y.unflatten(-1, (n_heads, -1)).transpose(-3, -2)

    heads = scaled_dot_product_attention(split(x @ w_q), split(x @ w_k), split(x @ w_v), mask)
    return heads.transpose(-3, -2).flatten(-2) @ w_o


class Block(nn.Module):
    """One transformer layer, normalised before each half (pre-LN), without dropout: it adds to x twice,

        x = x + MHA(ln1(x)),   then   x + FFN(ln2(x)),   FFN(y) = relu(y w1 + b1) w2 + b2.

    Block(dim, n_heads, hidden), n_heads divides dim. Parameters by name: `w_q`, `w_k`, `w_v`, `w_o`
    (dim, dim) of multi_head_attention; `w1` (dim, hidden), `b1` (hidden), `w2` (hidden, dim), `b2` (dim);
    `ln1` and `ln2` are nn.LayerNorm(dim). (Vaswani et al., 2017, section 3.3; pre-LN: Xiong et al., 2020.)
    """

    def __init__(self, dim: int, n_heads: int, hidden: int) -> None:
        super().__init__()
        require(n_heads >= 1 and dim % n_heads == 0, f"n_heads = {n_heads} must divide {dim}")
        self.n_heads = n_heads
        self.ln1 = nn.LayerNorm(dim)
        self.w_q = nn.Parameter(torch.randn(dim, dim) / math.sqrt(dim))
        self.w_k = nn.Parameter(torch.randn(dim, dim) / math.sqrt(dim))
        self.w_v = nn.Parameter(torch.randn(dim, dim) / math.sqrt(dim))
        self.w_o = nn.Parameter(torch.randn(dim, dim) / math.sqrt(dim))
        self.ln2 = nn.LayerNorm(dim)
        self.w1 = nn.Parameter(torch.randn(dim, hidden) / math.sqrt(dim))
        self.b1 = nn.Parameter(torch.zeros(hidden))
        self.w2 = nn.Parameter(torch.randn(hidden, dim) / math.sqrt(hidden))
        self.b2 = nn.Parameter(torch.zeros(dim))

    def forward(
        self, x: Float[Tensor, "batch n dim"], mask: Bool[Tensor, "..."] | None = None
    ) -> Float[Tensor, "batch n dim"]:
        """The layer's output; `mask` as in multi_head_attention: it broadcasts to (batch, n_heads, n, n)."""
        x = x + multi_head_attention(self.ln1(x), self.w_q, self.w_k, self.w_v, self.w_o, self.n_heads, mask)
        return x + torch.relu(self.ln2(x) @ self.w1 + self.b1) @ self.w2 + self.b2
