"""Week 11: mpmath, numpy, scipy and torch's layers as students' answers."""

import math
from itertools import pairwise

import mpmath
import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial.transform import Rotation

from autograder.author import oracle

# What scipy computes has no gradients.
VALUES = ["gradients"]


def of(tensor):
    """A tensor as a float64 array."""
    return tensor.detach().double().numpy()


def like(array, tensor):
    """An array as a tensor of the dtype of another."""
    return torch.from_numpy(np.asarray(array)).to(tensor.dtype)


def cumulative_products(factors):
    """The products of one, two, ... of some mpmath numbers."""
    products = [mpmath.mpf(1)]
    for factor in factors:
        products.append(products[-1] * factor)
    return products[1:]


def per_example(values, x):
    """Numbers of the examples in the shape that broadcasts with x."""
    return np.reshape(values, (-1, *[1] * (x.ndim - 1)))


def turned(one, other, t, alpha_bars):
    """Pairs (one, other), turned by the angle at which the cosine is sqrt(alpha_bar), as two arrays.

    It makes (x_t, v) of (x0, eps).
    """
    left = of(alpha_bars)[t.numpy()]
    angle = np.broadcast_to(per_example(np.arctan2(np.sqrt(1 - left), np.sqrt(left)), one), one.shape)
    vectors = np.stack([of(one), of(other), np.zeros(one.shape)], -1)
    found = Rotation.from_euler("z", -angle.ravel()[:, None]).apply(vectors.reshape(-1, 3))
    return (column.reshape(one.shape) for column in found.T[:2])


def unmixed(x_t, t, eps, alpha_bars):
    """x0 as an array: of two linear equations, x_t = a x0 + s eps and eps = eps, for every element."""
    left = of(alpha_bars)[t.numpy()]
    matrices = [[[math.sqrt(a), math.sqrt(1 - a)], [0, 1]] for a in left]
    right = np.stack([of(x_t).reshape(len(left), -1), of(eps).reshape(len(left), -1)], 1)
    return np.linalg.solve(np.array(matrices), right)[:, 0].reshape(x_t.shape)


def posterior(x0, x_t, t, betas):
    """Mean and variance of what two Gaussians know of x_{t-1}: that around x0, and the step to x_t."""
    left = np.multiply.accumulate(1 - betas)
    beta = per_example(betas[t], x0)
    before = per_example(np.append(left, 1.0)[t - 1], x0)
    spread, seen = 1 - before, beta / (1 - beta)  # the variances of both
    both = np.broadcast_arrays(np.sqrt(before) * x0, x_t / np.sqrt(1 - beta))
    weights = np.broadcast_arrays(seen, spread, x0)[:2]  # the more the other varies
    return np.average(both, axis=0, weights=weights), spread * seen / (spread + seen)


def step_back(x_t, t, eps, betas, noise):
    """A step of ancestral sampling, as an array."""
    steps = torch.full((len(x_t),), t)
    schedule = np.multiply.accumulate(1 - of(betas))
    x0 = unmixed(x_t, steps, eps, torch.from_numpy(schedule))
    mean, variance = posterior(x0, of(x_t), steps.numpy(), of(betas))
    return mean + np.sqrt(variance) * of(noise)


@oracle("linear_betas")
def torchs_upsampling(T, first=1e-4, last=0.02, dtype=torch.float32):
    ends = torch.tensor([[[first, last]]], dtype=torch.float64)
    return F.interpolate(ends, size=T, mode="linear", align_corners=True).flatten().to(dtype)


@oracle("alpha_bars")
def mpmaths_product(betas):
    with mpmath.workdps(40):
        return like([float(p) for p in cumulative_products(1 - mpmath.mpf(b) for b in betas.tolist())], betas)


@oracle("cosine_alpha_bars")
def mpmaths_cosine(T, s=0.008, dtype=torch.float32):
    with mpmath.workdps(40):
        s = mpmath.mpf(s)
        f = [mpmath.cos(mpmath.pi / 2 * (mpmath.mpf(i) / T + s) / (1 + s)) ** 2 for i in range(T + 1)]
        kept = [max(after / before, 1 - mpmath.mpf("0.999")) for before, after in pairwise(f)]
        return torch.tensor([float(p) for p in cumulative_products(kept)], dtype=torch.float64).to(dtype)


@oracle("q_sample", without=VALUES)
def scipys_rotation(x0, t, eps, alpha_bars):
    x_t, _ = turned(x0, eps, t, alpha_bars)
    return like(x_t, x0)


@oracle("velocity")
def scipys_other_axis(x0, t, eps, alpha_bars):
    _, v = turned(x0, eps, t, alpha_bars)
    return like(v, x0)


@oracle("noise_prediction_loss")
def torchs_loss_of_scipys_rotation(model, x0, t, eps, alpha_bars):
    return torch.nn.MSELoss()(model(scipys_rotation(x0, t, eps, alpha_bars), t), eps)


@oracle("latent_diffusion_loss")
def torchs_loss_of_rotated_latents(encode, scale, model, x, t, eps, alpha_bars):
    latents = torch.mul(encode(x), scale)
    return torch.nn.MSELoss()(model(scipys_rotation(latents, t, eps, alpha_bars), t), eps)


@oracle("predict_x0")
def numpys_linear_equations(x_t, t, eps, alpha_bars):
    return like(unmixed(x_t, t, eps, alpha_bars), x_t)


@oracle("predict_eps")
def numpys_equations_with_the_roots_exchanged(x_t, t, x0, alpha_bars):
    return like(unmixed(x_t, t, x0, 1 - alpha_bars.double()), x_t)


@oracle("posterior_mean_variance")
def numpys_weighted_average(x0, x_t, t, betas):
    mean, variance = posterior(of(x0), of(x_t), t.numpy(), of(betas))
    return like(mean, x0), like(variance, x0)


@oracle("ddpm_step")
def numpys_equations_and_average(x_t, t, eps, betas, noise):
    return like(step_back(x_t, t, eps, betas, noise), x_t)


@oracle("ddim_step")
def scipys_rotation_of_the_noise(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    """Of what noise there is at t_prev, the predicted one is turned towards the fresh one."""
    now, then = (float(alpha_bars[i]) if i >= 0 else 1.0 for i in (t, t_prev))
    angle = math.asin(min(1.0, eta * math.sqrt((1 - now / then) / (1 - now))))
    parts = Rotation.from_euler("x", angle).apply([math.sqrt(then), math.sqrt(1 - then), 0])
    x0 = unmixed(x_t, torch.full((len(x_t),), t), eps, alpha_bars)
    return like(np.tensordot(parts, np.stack([x0, of(eps), of(noise)]), 1), x_t)


@oracle("sample")
def numpys_steps(model, x_T, betas, noises):
    x = x_T.double()
    for t, noise in reversed(list(enumerate(noises))):
        eps = model(x.to(x_T.dtype), torch.full((len(x),), t))
        x = torch.from_numpy(step_back(x, t, eps, betas, noise))
    return x.to(x_T.dtype)


@oracle("action_chunk_denoise")
def numpys_steps_and_chunk(model, noise, betas, noises, execute):
    return torch.narrow(numpys_steps(model, noise, betas, noises), 1, 0, execute)


@oracle("guided_noise")
def numpys_average(eps_uncond, eps_cond, w):
    return like(np.average([of(eps_uncond), of(eps_cond)], axis=0, weights=[1 - w, w]), eps_uncond)


@oracle("cascade_condition")
def torchs_pixel_shuffle(low, factor, eps, t, alpha_bars):
    blocks = F.pixel_shuffle(low.repeat_interleave(factor**2, 1), factor)
    return scipys_rotation(blocks, t, eps, alpha_bars)
