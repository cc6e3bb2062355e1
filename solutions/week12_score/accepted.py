"""Week 12: other right ways to write the answers."""

import math

import torch
from torch.distributions import Normal

from autograder.author import accepted


@accepted("gaussian_score")
def by_autograd(x, mean, std):
    with torch.enable_grad():
        point = x.detach().clone().requires_grad_()
        log_density = Normal(mean, std).log_prob(point).sum()
        return torch.autograd.grad(log_density, point)[0]


@accepted("gaussian_score")
def standardized_first(x, mu, sigma):
    return -((x - mu) / sigma) / sigma


@accepted("gaussian_score")
def with_the_precision_matrix(x, mean, std):
    precision = torch.diag_embed(std**-2)
    return -torch.einsum("...ij,...j->...i", precision, x - mean)


@accepted("gaussian_score")
def dimension_by_dimension(x, mean, std):
    score = torch.empty_like(x)
    for i in range(x.shape[-1]):
        variance = std[..., i] * std[..., i]
        score[..., i] = (mean[..., i] - x[..., i]).div(variance)
    return score


@accepted("gaussian_score")
def in_double_and_back(x, mean, std):
    return (-(x.double() - mean.double()) / std.double().pow(2)).to(x.dtype)


@accepted("denoising_score_matching_loss")
def with_the_conditional_score(model, z, eps, t, weighting=None):
    time = t[(...,) + (None,) * (z.dim() - 1)]
    x = time * z + (1 - time) * eps
    target = (time * z - x) / (1 - time) ** 2  # the score of N(t z, (1 - t)^2) at x
    losses = torch.sum((model(x, t) - target) ** 2, dim=tuple(range(1, z.dim())))
    weights = torch.ones_like(t) if weighting is None else weighting(t)
    return (weights * losses).mean()


@accepted("denoising_score_matching_loss")
def with_targets_without_gradients(model, z, eps, t, weighting=None):
    with torch.no_grad():
        time = t.reshape(-1, *[1] * (z.ndim - 1))
        x, target = time * z + (1 - time) * eps, -eps / (1 - time)
    losses = torch.nn.functional.mse_loss(model(x, t), target, reduction="none").flatten(1).sum(1)
    return losses.mean() if weighting is None else (losses * weighting(t)).mean()


@accepted("denoising_score_matching_loss")
def example_by_example(model, z, eps, t, weighting=None):
    total = 0
    for i, time in enumerate(t):
        beta = 1 - time
        x = z[i] + beta * (eps[i] - z[i])
        residual = model(x[None], time[None])[0] + eps[i] / beta
        weight = 1 if weighting is None else weighting(time[None])[0]
        total = total + weight * torch.linalg.vector_norm(residual) ** 2
    return total / len(t)


@accepted("denoising_score_matching_loss")
def with_einsum_over_flat_events(model, clean, noise, times, weight=None):
    n = clean.shape[0]
    x = torch.einsum("b,b...->b...", times, clean) + torch.einsum("b,b...->b...", 1 - times, noise)
    scaled = (model(x, times).reshape(n, -1).mT * (1 - times) + noise.reshape(n, -1).mT) / (1 - times)
    weights = (weight or torch.ones_like)(times)
    return torch.einsum("db,db,b->", scaled, scaled, weights) / n


@accepted("denoising_score_matching_loss")
def with_lerp_and_vector_norms(model, z, eps, t, weighting=lambda t: t**0):
    times = t.view(-1, *(1,) * (z.dim() - 1)).expand_as(z)
    x = torch.lerp(eps, z, times)
    residual = (model(x, t) + eps / (1 - times)).flatten(start_dim=1)
    squares = residual.mul(residual).sum(dim=1)
    return torch.mean(squares if weighting is None else squares * weighting(t))


@accepted("langevin_step")
def by_addition_in_place_on_a_copy(x, score, step, noise):
    new = x.clone()
    new += step * score
    new += math.sqrt(2 * step) * noise
    return new


@accepted("langevin_step")
def by_torch_add(position, gradient, step_size, normal):
    return position.add(gradient, alpha=step_size).add(normal, alpha=math.sqrt(2) * step_size**0.5)


@accepted("langevin_step")
def as_euler_maruyama(x, score, step, noise):
    drift, diffusion = score, 2**0.5
    brownian_increment = torch.tensor(step, dtype=x.dtype).sqrt() * noise
    return x + drift * step + diffusion * brownian_increment


@accepted("langevin_step")
def with_einsum(x, score, step, noise):
    weights = torch.tensor([1.0, step, math.sqrt(2 * step)], dtype=x.dtype)
    return torch.einsum("k,k...->...", weights, torch.stack([x, score, noise]))
