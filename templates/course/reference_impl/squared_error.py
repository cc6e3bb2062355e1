"""Week 1: how far two vectors are apart."""

from jaxtyping import Float
from torch import Tensor


def squared_error(x: Float[Tensor, "*batch n"], y: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch"]:
    """The mean over the last dimension of (x - y)^2, one number for each pair of vectors."""
    d = x - y
    return (d * d).mean(-1)
