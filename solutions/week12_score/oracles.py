"""Week 12: numpy, scipy, mpmath and torch's optimiser as students' answers, without automatic gradients."""

import math

import mpmath
import numpy as np
import scipy
import torch
from numpy.polynomial import Polynomial
from torch.distributions import AffineTransform

from autograder.author import oracle

# Differences have no gradients, and fewer digits than float64.
DIFFERENCES = ["gradients", "precision"]
TINY = 1e-30  # a step along the imaginary axis: f(x + ih) = f(x) + ih f'(x), and nothing is subtracted


def of(tensor):
    """A tensor as a float64 array."""
    return tensor.detach().double().numpy()


def like(array, tensor):
    """An array as a tensor of the dtype of another."""
    return torch.from_numpy(np.asarray(array)).to(tensor.dtype)


def slope(function, t):
    """The derivative of an analytic function of arrays."""
    return np.imag(function(t + 1j * TINY)) / TINY


def along(model, x, v):
    """v^T J v, summed over the examples, by differences of higher and higher order."""
    x, v = x.double(), v.double()
    projected = np.vectorize(lambda h: (v * model(x + h * v)).sum().item())
    return scipy.differentiate.derivative(projected, 0.0).df


def per_example(values, x):
    """Numbers of the examples in the shape that broadcasts with x."""
    return np.reshape(values, (-1, *[1] * (x.ndim - 1)))


def clean_and_noise(rows, right):
    """The two unknowns of two linear equations: each coefficient is a number per example."""
    matrices = np.moveaxis(np.array(rows), -1, 0)
    flat = np.stack([of(r).reshape(len(matrices), -1) for r in right], 1)
    return (found.reshape(right[0].shape) for found in np.moveaxis(np.linalg.solve(matrices, flat), 1, 0))


PATHS = {
    "linear": (Polynomial([0, 1]), Polynomial([1, -1])),
    "cosine": (lambda t: np.sin(math.pi / 2 * t), lambda t: np.cos(math.pi / 2 * t)),
}


def sgd_step(x, score, step, noise):
    """Gradient ascent of torch's optimiser, and noise."""
    point = torch.nn.Parameter(x.clone())
    point.grad = score.clone()
    torch.optim.SGD([point], lr=step, maximize=True).step()
    return AffineTransform(point.detach(), math.sqrt(2 * step))(noise)


@oracle("gaussian_score")
def numpys_covariance(x, mean, std):
    covariance = of(std)[..., None] * np.eye(x.shape[-1]) * of(std)[..., None, :]
    return like(np.linalg.solve(covariance, (of(mean) - of(x))[..., None])[..., 0], x)


@oracle("mixture_score")
def scipys_densities_and_softmax(x, weights, means, stds):
    points = of(x)[..., None, :]
    log_joint = scipy.stats.norm.logpdf(points, of(means), of(stds)).sum(-1) + np.log(of(weights))
    pulls = (of(means) - points) / of(stds) ** 2
    return like(np.einsum("...k,...kd->...d", scipy.special.softmax(log_joint, axis=-1), pulls), x)


@oracle("langevin_step")
def torchs_sgd(x, score, step, noise):
    return sgd_step(x, score, step, noise)


@oracle("annealed_langevin")
def torchs_sgd_at_every_level(model, x, sigmas, eps, noises):
    for sigma, noise_of_level in zip(sigmas, noises, strict=True):
        for noise in noise_of_level:
            step = eps * (float(sigma) / float(sigmas[-1])) ** 2 / 2
            x = sgd_step(x, model(x, sigma.repeat(len(x))).detach(), step, noise)
    return x


@oracle("implicit_score_matching_loss", without=DIFFERENCES)
def scipys_differences_along_the_axes(model, x):
    axes = torch.eye(x[0].numel()).reshape(-1, 1, *x.shape[1:])
    trace = sum(along(model, x, axis.expand_as(x)) for axis in axes)
    return like((trace + np.sum(of(model(x)) ** 2) / 2) / len(x), x)


@oracle("sliced_score_matching_loss", without=DIFFERENCES)
def scipys_differences_along_the_direction(model, x, v):
    projections = np.vecdot(of(v).reshape(len(x), -1), of(model(x)).reshape(len(x), -1))
    return like((along(model, x, v) + np.sum(projections**2) / 2) / len(x), x)


@oracle("tweedie")
def numpys_two_equations(x, score, alpha, beta):
    """x = alpha z + beta eps, and -beta score = eps on average."""
    right = np.stack([of(x), -beta * of(score)])
    return like(np.tensordot(np.linalg.inv([[alpha, beta], [0, 1]]), right, 1)[0], x)


@oracle("score_to_velocity")
def numpys_equations_and_complex_slopes(score, x, t, schedule="linear"):
    alpha, beta = PATHS[schedule]
    time, noise = of(t), torch.from_numpy(per_example(-PATHS[schedule][1](of(t)), x) * of(score))
    rows = [[alpha(time), beta(time)], [0 * time, 1 + 0 * time]]
    clean, noise = clean_and_noise(rows, [x, noise])
    d_alpha, d_beta = (per_example(slope(f, time), x) for f in (alpha, beta))
    return like(d_alpha * clean + d_beta * noise, x)


@oracle("velocity_to_score")
def numpys_equations_of_point_and_velocity(u, x, t, schedule="linear"):
    alpha, beta = PATHS[schedule]
    time = of(t)
    rows = [[alpha(time), beta(time)], [slope(alpha, time), slope(beta, time)]]
    _, noise = clean_and_noise(rows, [x, u])
    return like(-noise / per_example(beta(time), x), x)


def of_rates(beta_min, beta_max):
    """The integral from 0 of b(t) = beta_min + t (beta_max - beta_min)."""
    return Polynomial([beta_min, beta_max - beta_min]).integ()


@oracle("vp_sde")
def slopes_of_the_vp_marginal(x, t, beta_min=0.1, beta_max=20.0):
    """Under dx = f x dt + g dw the mean m and the variance v have m' = f m and v' = 2 f v + g^2."""
    integral, time = of_rates(beta_min, beta_max), of(t)
    f = slope(lambda t: -integral(t) / 2, time)  # of log m
    variance = lambda t: -scipy.special.expm1(-integral(t))  # noqa: E731
    g = np.sqrt(slope(variance, time) - 2 * f * variance(time))
    return like(per_example(f, x) * of(x), x), like(g, t)


@oracle("vp_marginal")
def numpys_integral(t, beta_min=0.1, beta_max=20.0):
    integral = of_rates(beta_min, beta_max)(of(t))
    return like(np.exp(-integral / 2), t), like(np.sqrt(-np.expm1(-integral)), t)


@oracle("ve_sde")
def slope_of_the_ve_variance(x, t, sigma_min=0.01, sigma_max=50.0):
    g = np.sqrt(slope(lambda t: (sigma_min * (sigma_max / sigma_min) ** t) ** 2, of(t)))
    return torch.full_like(x, 0.0), like(g, t)


@oracle("ve_marginal")
def scipys_loguniform(t, sigma_min=0.01, sigma_max=50.0):
    quantiles = scipy.stats.loguniform.ppf(of(t), sigma_min, sigma_max)
    return torch.full_like(t, 1.0), like(quantiles, t)


@oracle("edm_preconditioning")
def mpmaths_table(sigma, sigma_data=0.5):
    with mpmath.workdps(40):
        data = mpmath.mpf(sigma_data)
        rows = []
        for s in map(mpmath.mpf, of(sigma).ravel()):
            length = mpmath.hypot(s, data)
            rows.append([(data / length) ** 2, s * data / length, 1 / length, mpmath.log(s) / 4])
        columns = np.array(rows, dtype=np.float64).T
    return tuple(like(column.reshape(sigma.shape), sigma) for column in columns)


@oracle("edm_sigmas")
def mpmaths_roots(n, sigma_min=0.002, sigma_max=80.0, rho=7.0, dtype=torch.float32):
    with mpmath.workdps(40):
        first, last = (mpmath.mpf(sigma) ** (1 / mpmath.mpf(rho)) for sigma in (sigma_max, sigma_min))
        levels = [float(root ** mpmath.mpf(rho)) for root in mpmath.linspace(first, last, n)]
    return torch.tensor(levels, dtype=torch.float64).to(dtype)
