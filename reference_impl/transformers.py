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


def attention_weights(
    q: Float[Tensor, "*batch n_q d_k"],
    k: Float[Tensor, "*batch n_k d_k"],
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "*batch n_q n_k"]:
    """softmax(q k^T / sqrt(d_k)), the softmax over the keys: how much of each key every query takes.

    `mask` is boolean, True = may be attended to, has at least two dimensions and broadcasts to
    (*batch, n_q, n_k): the weight of a blocked key is exactly 0, and those of the others sum to 1. A query
    with nothing to attend to has weights 0, not NaN, and zero gradients. No overflow for scores of +-1e3.
    Differentiable in q and k. (Vaswani et al., 2017, equation 1.)
    """
    require(mask is None or mask.dtype == torch.bool, "mask must be boolean, True where a key takes part")
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    if mask is None:
        return scores.softmax(-1)
    # A row of -inf has NaN for its softmax; the second fill clears it, and the first one its gradient.
    return scores.masked_fill(~mask, -math.inf).softmax(-1).masked_fill(~mask, 0)


def scaled_dot_product_attention(
    q: Float[Tensor, "*batch n_q d_k"],
    k: Float[Tensor, "*batch n_k d_k"],
    v: Float[Tensor, "*batch n_k d_v"],
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "*batch n_q d_v"]:
    """softmax(q k^T / sqrt(d_k)) v, the softmax over the keys: each query's weighted mean of the values.

    `mask` is that of attention_weights: boolean, True = may be attended to, at least two dimensions,
    broadcasts to (*batch, n_q, n_k). A query with nothing to attend to gives zeros, not NaN, and zero
    gradients. No overflow for scores of +-1e3. Differentiable in q, k and v. (Vaswani et al., 2017,
    equation 1.)
    """
    return attention_weights(q, k, mask) @ v


def cross_attention(
    x_q: Float[Tensor, "*batch n d_q"],
    x_kv: Float[Tensor, "*batch m d_kv"],
    w_q: Float[Tensor, "d_q d_k"],
    w_k: Float[Tensor, "d_kv d_k"],
    w_v: Float[Tensor, "d_kv d_v"],
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "*batch n d_v"]:
    """Attention of n tokens to m others, with one head: queries x_q w_q, keys x_kv w_k, values x_kv w_v.

    There are as many results as queries, n, each as wide as a value, d_v. Matrices are (in, out), without
    biases and without an output projection; scores are divided by sqrt(d_k). `mask` is boolean, True = may
    be attended to, at least two dimensions, and broadcasts to (*batch, n, m); a query with nothing to
    attend to gives zeros. Differentiable in the tokens and the matrices. (Vaswani et al., 2017, section
    3.2.3.)
    """
    return scaled_dot_product_attention(x_q @ w_q, x_kv @ w_k, x_kv @ w_v, mask)


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


def sinusoidal_positional_encoding(
    n: int, dim: int, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "n dim"]:
    """The encoding of positions p = 0, ..., n - 1 by sines and cosines of falling frequency, interleaved:

        entry (p, 2 i) is sin(p / 10000^(2 i / dim)),   entry (p, 2 i + 1) is cos(p / 10000^(2 i / dim)),

    with i = 0, ..., dim / 2 - 1; dim is even, n >= 1. The angles are computed in float64 and the result is
    returned in `dtype`. (Vaswani et al., 2017, section 3.5.)
    """
    require(n >= 1, f"n must be at least 1, not {n}")
    require(dim >= 2 and dim % 2 == 0, f"dim must be even and at least 2, not {dim}")
    frequency = 10000 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angle = torch.arange(n, dtype=torch.float64).unsqueeze(-1) * frequency
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2).to(dtype)


def feed_forward(
    x: Float[Tensor, "*batch dim"],
    w1: Float[Tensor, "dim hidden"],
    b1: Float[Tensor, "hidden"],
    w2: Float[Tensor, "hidden dim"],
    b2: Float[Tensor, "dim"],
) -> Float[Tensor, "*batch dim"]:
    """relu(x w1 + b1) w2 + b2, applied to every token alone; nothing is added to x here.

    Matrices are (in, out). Differentiable in all five. (Vaswani et al., 2017, equation 2.)
    """
    return torch.relu(x @ w1 + b1) @ w2 + b2


class PostLNBlock(nn.Module):
    """The layer of the first transformer, without dropout: each half is added to x, and the sum normalised,

        x = ln1(x + MHA(x)),   then   x = ln2(x + FFN(x)),   FFN(y) = relu(y w1 + b1) w2 + b2.

    PostLNBlock(dim, n_heads, hidden), n_heads divides dim. Parameters by name: `w_q`, `w_k`, `w_v`, `w_o`
    (dim, dim) of multi_head_attention; `w1` (dim, hidden), `b1` (hidden), `w2` (hidden, dim), `b2` (dim);
    `ln1` and `ln2` are nn.LayerNorm(dim). (Vaswani et al., 2017, section 3.1.)
    """

    def __init__(self, dim: int, n_heads: int, hidden: int) -> None:
        super().__init__()
        require(n_heads >= 1 and dim % n_heads == 0, f"n_heads = {n_heads} must divide {dim}")
        self.n_heads = n_heads
        self.w_q = nn.Parameter(torch.randn(dim, dim) / math.sqrt(dim))
        self.w_k = nn.Parameter(torch.randn(dim, dim) / math.sqrt(dim))
        self.w_v = nn.Parameter(torch.randn(dim, dim) / math.sqrt(dim))
        self.w_o = nn.Parameter(torch.randn(dim, dim) / math.sqrt(dim))
        self.ln1 = nn.LayerNorm(dim)
        self.w1 = nn.Parameter(torch.randn(dim, hidden) / math.sqrt(dim))
        self.b1 = nn.Parameter(torch.zeros(hidden))
        self.w2 = nn.Parameter(torch.randn(hidden, dim) / math.sqrt(hidden))
        self.b2 = nn.Parameter(torch.zeros(dim))
        self.ln2 = nn.LayerNorm(dim)

    def forward(
        self, x: Float[Tensor, "batch n dim"], mask: Bool[Tensor, "..."] | None = None
    ) -> Float[Tensor, "batch n dim"]:
        """The layer's output; `mask` as in multi_head_attention: it broadcasts to (batch, n_heads, n, n)."""
        x = self.ln1(x + multi_head_attention(x, self.w_q, self.w_k, self.w_v, self.w_o, self.n_heads, mask))
        return self.ln2(x + feed_forward(x, self.w1, self.b1, self.w2, self.b2))


class Block(nn.Module):
    """One transformer layer, normalised before each half (pre-LN), without dropout: it adds to x twice,

        x = x + MHA(ln1(x)),   then   x = x + FFN(ln2(x)),   FFN(y) = relu(y w1 + b1) w2 + b2.

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
        return x + feed_forward(self.ln2(x), self.w1, self.b1, self.w2, self.b2)


class GPT(nn.Module):
    """A language model: row t of its logits scores the token that follows tokens 0, ..., t, and sees no more.

        x_t = token_embedding(tokens_t) + position_embedding(t),
        x = block(x), for one block after the other, each under a causal mask,
        logits = ln(x) unembedding.

    GPT(vocab, context, dim, n_heads, hidden, n_layers). Parameters by name: `token_embedding` is
    nn.Embedding(vocab, dim), `position_embedding` nn.Embedding(context, dim), its row t for position t from
    0; `blocks` an nn.ModuleList of n_layers Block(dim, n_heads, hidden); `ln` is nn.LayerNorm(dim);
    `unembedding` (dim, vocab), without bias and not tied to the embedding. No dropout. (Radford et al.,
    2018 and 2019.)
    """

    def __init__(self, vocab: int, context: int, dim: int, n_heads: int, hidden: int, n_layers: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(vocab, dim)
        self.position_embedding = nn.Embedding(context, dim)
        self.blocks = nn.ModuleList([Block(dim, n_heads, hidden) for _ in range(n_layers)])
        self.ln = nn.LayerNorm(dim)
        self.unembedding = nn.Parameter(torch.randn(dim, vocab) / math.sqrt(dim))

    def forward(self, tokens: Int[Tensor, "batch n"]) -> Float[Tensor, "batch n vocab"]:
        """The logits, before any softmax; sequences may be shorter than the context, 1 <= n <= context."""
        n = tokens.shape[-1]
        require(
            1 <= n <= len(self.position_embedding.weight), f"tokens must fit the context, not be {n} long"
        )
        mask = causal_mask(n).to(tokens.device)
        x = self.token_embedding(tokens) + self.position_embedding.weight[:n]
        for block in self.blocks:
            x = block(x, mask)
        return self.ln(x) @ self.unembedding


def attention_with_cache(
    q: Float[Tensor, "*batch n d_k"],
    k: Float[Tensor, "*batch n d_k"],
    v: Float[Tensor, "*batch n d_v"],
    cache: tuple[Float[Tensor, "*batch m d_k"], Float[Tensor, "*batch m d_v"]] | None,
) -> tuple[
    Float[Tensor, "*batch n d_v"], tuple[Float[Tensor, "*batch m+n d_k"], Float[Tensor, "*batch m+n d_v"]]
]:
    """Causal attention of the n tokens that are new, to the m tokens in the cache and to each other.

    `cache` holds keys and values of the tokens before, (k, v), or is None where there are none: m = 0. New
    token i stands at position m + i, so it sees all of the cache and the new tokens up to itself. Returns
    (out, (k, v)): the results for the new tokens, and keys and values of all m + n, the new ones last: the
    cache for the next call. Given piece by piece, tokens have the results that they have all at once.
    Scores are divided by sqrt(d_k). The cache that came in stays as it is. No gradient is asked for.
    """
    if cache is not None:
        k, v = torch.cat([cache[0], k], -2), torch.cat([cache[1], v], -2)
    n, total = q.shape[-2], k.shape[-2]
    # Rows of the causal mask belong to positions; those of the new tokens are the last.
    return scaled_dot_product_attention(q, k, v, causal_mask(total)[total - n :].to(q.device)), (k, v)


def masked_token_loss(
    logits: Float[Tensor, "batch n vocab"], tokens: Int[Tensor, "batch n"], mask: Bool[Tensor, "batch n"]
) -> Float[Tensor, ""]:
    """BERT's loss: -log softmax(logits)[tokens], in nats, averaged over the positions where `mask` is True.

    `tokens` are the true ones, `mask` is True where the model did not see them and has to tell them. Logits
    at position t score the token at position t: nothing is shifted. The mean runs over all masked positions
    of the batch together, and is 0 (with zero gradients) where there is none. Logits may be as large as
    1e4. Differentiable in the logits. (Devlin et al., 2019, section 3.1.)
    """
    require(mask.dtype == torch.bool, "mask must be boolean, True where a token is to be predicted")
    log_prob = logits.log_softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return -log_prob.masked_fill(~mask, 0).sum() / mask.sum().clamp(min=1)


class DecoderBlock(nn.Module):
    """The decoder's layer of an encoder-decoder transformer, normalised before each third, without dropout:

        x = x + MHA(ln1(x)) under a causal mask,   x = x + cross(ln2(x), memory),   x = x + FFN(ln3(x)).

    cross has n_heads heads, as MHA has: queries y c_q from the tokens, keys memory c_k and values memory
    c_v from the encoder's output, each cut into contiguous slices of s = dim / n_heads columns, scores
    divided by sqrt(s), the heads side by side times c_o. The memory is not normalised here.
    DecoderBlock(dim, n_heads, hidden), n_heads divides dim. Parameters by name: `w_q`, `w_k`, `w_v`, `w_o`
    (dim, dim) of the self-attention; `c_q`, `c_k`, `c_v`, `c_o` (dim, dim) of the cross-attention; `w1`
    (dim, hidden), `b1` (hidden), `w2` (hidden, dim), `b2` (dim) of the feed-forward third; `ln1`, `ln2`,
    `ln3` are nn.LayerNorm(dim). (Vaswani et al., 2017, section 3.1.)
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
        self.c_q = nn.Parameter(torch.randn(dim, dim) / math.sqrt(dim))
        self.c_k = nn.Parameter(torch.randn(dim, dim) / math.sqrt(dim))
        self.c_v = nn.Parameter(torch.randn(dim, dim) / math.sqrt(dim))
        self.c_o = nn.Parameter(torch.randn(dim, dim) / math.sqrt(dim))
        self.ln3 = nn.LayerNorm(dim)
        self.w1 = nn.Parameter(torch.randn(dim, hidden) / math.sqrt(dim))
        self.b1 = nn.Parameter(torch.zeros(hidden))
        self.w2 = nn.Parameter(torch.randn(hidden, dim) / math.sqrt(hidden))
        self.b2 = nn.Parameter(torch.zeros(dim))

    def forward(
        self,
        x: Float[Tensor, "batch n dim"],
        memory: Float[Tensor, "batch m dim"],
        memory_mask: Bool[Tensor, "..."] | None = None,
    ) -> Float[Tensor, "batch n dim"]:
        """The layer's output for n tokens that see themselves, those before, and the m tokens of the memory.

        `memory_mask` is boolean, True = may be attended to, has at least two dimensions and broadcasts to
        (batch, n_heads, n, m); a token that may attend to nothing in the memory takes nothing from it.
        """

        def split(y: Tensor) -> Tensor:  # (batch, n, dim) -> (batch, heads, n, dim / heads)
            return y.unflatten(-1, (self.n_heads, -1)).transpose(-3, -2)

        causal = causal_mask(x.shape[1]).to(x.device)
        x = x + multi_head_attention(
            self.ln1(x), self.w_q, self.w_k, self.w_v, self.w_o, self.n_heads, causal
        )
        q, k, v = split(self.ln2(x) @ self.c_q), split(memory @ self.c_k), split(memory @ self.c_v)
        heads = scaled_dot_product_attention(q, k, v, memory_mask)
        x = x + heads.transpose(-3, -2).flatten(-2) @ self.c_o
        return x + feed_forward(self.ln3(x), self.w1, self.b1, self.w2, self.b2)
