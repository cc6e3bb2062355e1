"""Week 6: numpy, scipy and torch as students' answers.

Torch's layers are among the accepted answers, whose errors earn tolerance; the errors of these do not.
"""

import numpy as np
import torch
from scipy.linalg import block_diag
from scipy.special import log_softmax, softmax
from torch import nn
from torch.func import functional_call
from torch.nn.utils.rnn import pad_sequence

from autograder.author import oracle

# What numpy and scipy compute has no gradients.
VALUES = ["gradients"]


def weights_by_scipy(q, k, mask):
    """Attention weights as an array, in the dtype of q."""
    scores = np.einsum("...id,...jd->...ij", q.numpy(), k.numpy()) / np.sqrt(k.shape[-1]).astype(
        q.numpy().dtype
    )
    if mask is None:
        return softmax(scores, axis=-1)
    with np.errstate(invalid="ignore"):  # of a row of -inf scipy makes NaN
        return np.nan_to_num(softmax(np.where(mask.numpy(), scores, -np.inf), axis=-1))


def attention_by_scipy(q, k, v, mask):
    return torch.from_numpy(weights_by_scipy(q, k, mask) @ v.numpy())


def heads_by_numpy(x, w, n_heads):
    """(batch, heads, n, dim / heads), cut by numpy."""
    return torch.from_numpy(np.stack(np.split(x.numpy() @ w.numpy(), n_heads, axis=-1), axis=-3))


@oracle("causal_mask")
def numpys_triangle(n):
    return torch.from_numpy(np.tri(n, dtype=bool))


@oracle("causal_mask")
def torchs_subsequent_mask(n):
    return nn.Transformer.generate_square_subsequent_mask(n) == 0


@oracle("padding_mask")
def padded_by_torch(lengths, n):
    rows = [torch.ones(int(length), dtype=torch.bool) for length in lengths]
    return pad_sequence([*rows, torch.ones(n, dtype=torch.bool)], batch_first=True)[:-1]


@oracle("attention_weights", without=VALUES)
def scipys_softmax(q, k, mask=None):
    return torch.from_numpy(weights_by_scipy(q, k, mask))


@oracle("scaled_dot_product_attention", without=VALUES)
def scipys_softmax_of_numpys_scores(q, k, v, mask=None):
    return attention_by_scipy(q, k, v, mask)


@oracle("cross_attention", without=VALUES)
def projected_by_numpy(x_q, x_kv, w_q, w_k, w_v, mask=None):
    q, k, v = (torch.from_numpy(x.numpy() @ w.numpy()) for x, w in ((x_q, w_q), (x_kv, w_k), (x_kv, w_v)))
    return attention_by_scipy(q, k, v, mask)


@oracle("multi_head_attention", without=VALUES)
def split_by_numpy(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    heads = attention_by_scipy(*(heads_by_numpy(x, w, n_heads) for w in (w_q, w_k, w_v)), mask)
    return torch.from_numpy(np.concatenate(np.moveaxis(heads.numpy(), -3, 0), axis=-1) @ w_o.numpy())


@oracle("sinusoidal_positional_encoding")
def powers_of_rotations(n, dim, dtype=torch.float32):
    """Row p is the p-th power of a rotation of all planes at once, applied to (0, 1, 0, 1, ...)."""
    angles = np.power(10000.0, -np.arange(0, dim, 2) / dim)
    turn = block_diag(*(np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) for a in angles))
    rows = [np.linalg.matrix_power(turn, p) @ np.tile([0.0, 1.0], dim // 2) for p in range(n)]
    return torch.from_numpy(np.stack(rows)).to(dtype)


@oracle("feed_forward")
def torchs_layers(x, w1, b1, w2, b2):
    with torch.device("meta"):
        layers = nn.Sequential(nn.Linear(*w1.shape), nn.ReLU(), nn.Linear(*w2.shape))
    return functional_call(layers, {"0.weight": w1.mT, "0.bias": b1, "2.weight": w2.mT, "2.bias": b2}, x)


@oracle("attention_with_cache")
def numpys_lower_right_triangle(q, k, v, cache):
    if cache is not None:
        k, v = (
            torch.from_numpy(np.concatenate([a.numpy(), b.numpy()], -2))
            for a, b in zip(cache, (k, v), strict=True)
        )
    n, total = q.shape[-2], k.shape[-2]
    return attention_by_scipy(q, k, v, torch.from_numpy(np.tri(n, total, total - n, dtype=bool))), (k, v)


@oracle("masked_token_loss")
def torchs_categorical(logits, tokens, mask):
    if not mask.any():
        return 0 * logits.sum()
    return -torch.distributions.Categorical(logits=logits[mask]).log_prob(tokens[mask]).mean()


@oracle("masked_token_loss", without=VALUES)
def scipys_log_softmax(logits, tokens, mask):
    scores = log_softmax(logits.numpy(), axis=-1)
    chosen = np.take_along_axis(scores, tokens.numpy()[..., None], -1)[..., 0][mask.numpy()]
    return torch.as_tensor(-chosen.mean() if len(chosen) else 0.0).to(logits.dtype)
