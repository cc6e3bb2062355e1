"""Week 7: implementations by others as students' answers: torch.distributions, torch.nn, scipy and numpy."""

import math

import numpy as np
import scipy
import torch
import torch.nn.functional as F
from scipy.cluster.vq import vq
from scipy.spatial import geometric_slerp
from torch import nn
from torch.distributions import AffineTransform, Categorical, MultivariateNormal, kl_divergence

from autograder.author import oracle

# What scipy computes has no gradients.
VALUES = ["gradients"]


def by_numpy(function, *tensors):
    """What a function of arrays gives, in the dtype of the first tensor."""
    return torch.as_tensor(np.asarray(function(*(t.numpy() for t in tensors)))).to(tensors[0].dtype)


def of_binary_pixels(logits, x):
    """log p(x) of pixels that are categorical with two values, whose logits are 0 and those given."""
    pairs = torch.stack([torch.zeros_like(logits), logits], -1)
    return Categorical(logits=pairs).log_prob(x.long()).sum(-1)


def of_full_gaussians(mu, logvar):
    """KL of two Gaussians with covariance matrices."""
    prior = MultivariateNormal(torch.zeros_like(mu), torch.diag_embed(torch.ones_like(mu)))
    return kl_divergence(MultivariateNormal(mu, scale_tril=torch.diag_embed((logvar / 2).exp())), prior)


@oracle("reparameterize")
def affine_transform(mu, logvar, eps):
    return AffineTransform(mu, (logvar / 2).exp())(eps)


@oracle("kl_to_standard_normal")
def kl_of_multivariate_normals(mu, logvar):
    return of_full_gaussians(mu, logvar)


@oracle("bernoulli_log_likelihood")
def categorical(logits, x):
    return of_binary_pixels(logits, x)


@oracle("bernoulli_log_likelihood", without=VALUES)
def scipys_log_expit(logits, x):
    log_expit = scipy.special.log_expit
    return by_numpy(lambda l, b: np.where(b > 0, log_expit(l), log_expit(-l)).sum(-1), logits, x)


@oracle("gaussian_log_likelihood", without=VALUES)
def scipys_normal(x, mean, logvar):
    return by_numpy(
        lambda x, m, v: scipy.stats.norm.logpdf(x, m, np.exp(v / 2)).sum(-1),
        *(t.double() for t in (x, mean, logvar)),
    ).to(x.dtype)


@oracle("elbo")
def categorical_less_kl_of_multivariate_normals(x, logits, mu, logvar):
    return of_binary_pixels(logits, x) - of_full_gaussians(mu, logvar)


@oracle("vae_loss")
def means_of_distributions(x, logits, mu, logvar, beta=1.0):
    return beta * of_full_gaussians(mu, logvar).mean() - of_binary_pixels(logits, x).mean()


@oracle("iwae_bound", without=VALUES)
def scipys_logsumexp(log_w):
    return by_numpy(lambda w: scipy.special.logsumexp(w, axis=0, b=1 / len(w)), log_w)


class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, codes):
        return codes.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


@oracle("vector_quantize")
def scipys_vq(z, codebook):
    indices = torch.from_numpy(vq(z.detach().numpy(), codebook.detach().numpy())[0]).long()
    codes = F.embedding(indices, codebook)
    losses = F.mse_loss(z.detach(), codes), F.mse_loss(z, codes.detach())
    return StraightThrough.apply(z, codes), indices, *losses


def weights_on_the_arc(angle, t):
    """How much of both ends is in the points of an arc: in the plane, scipy's own divided by the ends."""
    if angle == 0:
        return np.stack([1 - t, t], -1)
    ends = np.array([[1.0, 0.0], [math.cos(angle), math.sin(angle)]])
    return geometric_slerp(*ends, t) @ np.linalg.inv(ends)


@oracle("interpolate_latents")
def numpys_linspace_and_scipys_slerp(z0, z1, n, spherical=False):
    if not spherical:
        return by_numpy(lambda a, b: np.linspace(a, b, n), z0, z1)
    rows = (z.double().reshape(-1, z.shape[-1]).numpy() for z in (z0, z1))
    paths = []
    for a, b in zip(*rows, strict=True):
        (angle,) = scipy.linalg.subspace_angles(a[:, None], b[:, None])  # of lines: at most a right angle
        weights = weights_on_the_arc(angle if a @ b > 0 else math.pi - angle, np.linspace(0, 1, n))
        paths.append(weights @ np.stack([a, b]))
    return torch.from_numpy(np.stack(paths, 1)).reshape(n, *z0.shape).to(z0.dtype)


def summary(layers, shape):
    """Rows as a printed summary has them: each layer's output shape and how many numbers it holds."""
    rows, value = [(shape, 0)], torch.zeros(1, *shape)
    for layer in layers:
        value = layer.eval()(value)
        held = [t for t in layer.state_dict().values() if t.ndim]  # but the count of batches
        rows.append((tuple(value.shape[1:]), sum(t.numel() for t in held)))
    return rows


@oracle("conv_vae_tables")
def torchs_own_layers():
    def block(convolution, norm):
        return [convolution, norm, nn.LeakyReLU()]

    with torch.no_grad():
        down = [
            layer
            for channels in (3, 128, 128, 128)
            for layer in block(nn.Conv2d(channels, 128, 3, stride=2, padding=1), nn.BatchNorm2d(128))
        ]
        up = [
            layer
            for _ in range(4)
            for layer in block(nn.ConvTranspose2d(128, 128, 3, 2, 1, output_padding=1), nn.BatchNorm2d(128))
        ]
        features = summary([*down, nn.Flatten()], (3, 32, 32))
        head = summary([nn.Linear(512, 200)], (512,))[1]
        first = block(nn.Linear(200, 512), nn.BatchNorm1d(512))
        decoder = [*first, nn.Unflatten(1, (128, 2, 2)), *up, nn.ConvTranspose2d(128, 3, 3, 1, 1)]
        return [*features, head, head, (head[0], 0)], summary(decoder, (200,))
