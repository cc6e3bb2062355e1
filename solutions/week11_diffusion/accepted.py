"""Week 11: other right ways to write the answers."""

import math
from functools import reduce
from itertools import accumulate
from operator import mul

import numpy as np
import torch

from autograder.author import accepted


@accepted("linear_betas")
def with_arange(T, first=1e-4, last=0.02, dtype=torch.float32):
    step = (last - first) / max(T - 1, 1)
    return (first + step * torch.arange(T, dtype=torch.float64)).to(dtype)


@accepted("linear_betas")
def with_numpy(n_steps, beta_start=1e-4, beta_end=0.02, dtype=torch.float32):
    return torch.from_numpy(np.linspace(beta_start, beta_end, n_steps)).to(dtype)


@accepted("linear_betas")
def with_a_list(T, first=1e-4, last=0.02, dtype=torch.float32):
    if T == 1:
        return torch.tensor([first], dtype=dtype)
    return torch.tensor([((T - 1 - i) * first + i * last) / (T - 1) for i in range(T)], dtype=dtype)


@accepted("linear_betas")
def straight_in_dtype(T, first=1e-4, last=0.02, dtype=torch.float32):
    return torch.linspace(first, last, T, dtype=dtype)


@accepted("alpha_bars")
def in_logarithms(betas):
    return torch.exp(torch.cumsum(torch.log1p(-betas), dim=0))


@accepted("alpha_bars")
def with_accumulate(betas):
    return torch.stack(list(accumulate((1 - betas).unbind(), mul)))


@accepted("alpha_bars")
def by_a_masked_product(betas):
    n = len(betas)
    if n > 64:  # the square of a long schedule is a waste
        return torch.cumprod(1 - betas, dim=-1)
    earlier = torch.ones(n, n, dtype=torch.bool).tril()
    return torch.where(earlier, 1 - betas, torch.ones_like(betas)).prod(-1)


@accepted("alpha_bars")
def filled_in_a_loop(betas):
    bars, share = torch.empty_like(betas), 1.0
    for i, beta in enumerate(betas):
        share = share * (1 - beta)
        bars[i] = share
    return bars


@accepted("alpha_bars")
def in_double(betas):
    return (1 - betas.double()).cumprod(0).to(betas.dtype)


@accepted("q_sample")
def unsqueezed(x0, t, eps, alpha_bars):
    bar = alpha_bars.gather(0, t)
    while bar.ndim < x0.ndim:
        bar = bar.unsqueeze(-1)
    return bar.sqrt() * x0 + (1 - bar).sqrt() * eps


@accepted("q_sample")
def example_by_example(x0, t, noise, abar):
    rows = []
    for i, step in enumerate(t.tolist()):
        rows.append(abar[step] ** 0.5 * x0[i] + (1 - abar[step]) ** 0.5 * noise[i])
    return torch.stack(rows)


@accepted("q_sample")
def with_einsum(x0, t, eps, alpha_bars):
    signal, noise = alpha_bars.sqrt(), (1 - alpha_bars).sqrt()
    return torch.einsum("b,b...->b...", signal[t], x0) + torch.einsum("b,b...->b...", noise[t], eps)


@accepted("q_sample")
def as_a_rotation(x0, t, eps, alpha_bars):
    angle = torch.acos(alpha_bars.double().sqrt())[t]
    angle = angle.reshape(t.shape + (1,) * (x0.ndim - 1))
    return (angle.cos() * x0 + angle.sin() * eps).to(x0.dtype)


@accepted("q_sample")
def in_place_on_its_own_copy(x0, t, eps, alpha_bars):
    bar = alpha_bars[t].view(x0.shape[0], *(1 for _ in x0.shape[1:])).expand_as(x0)
    x_t = x0.clone()
    x_t *= bar.sqrt()
    return x_t.addcmul_((1 - bar).sqrt(), eps)


@accepted("q_sample")
def flattened(x0, t, eps, alpha_bars):
    bar = alpha_bars[t][:, None]
    return (bar.sqrt() * x0.flatten(1) + (1 - bar).sqrt() * eps.flatten(1)).view(x0.shape)


@accepted("q_sample")
def with_vmap(x0, t, eps, alpha_bars):
    def noised(x, bar, e):
        return torch.sqrt(bar) * x + torch.sqrt(1 - bar) * e

    return torch.vmap(noised)(x0, alpha_bars[t], eps)


@accepted("ddim_step")
def with_the_padded_schedule(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    padded = torch.cat([alpha_bars.new_ones(1), alpha_bars])
    now, then = padded[t + 1], padded[t_prev + 1]
    variance = eta**2 * (1 - then) / (1 - now) * (1 - now / then)
    predicted = (x_t - (1 - now).sqrt() * eps) / now.sqrt()
    pointing = (1 - then - variance).clamp(min=0).sqrt() * eps
    return then.sqrt() * predicted + pointing + variance.sqrt() * noise


@accepted("ddim_step")
def with_python_floats(x, t, s, eps, abar, eta, z):
    a, b = float(abar[t]), float(abar[s]) if s >= 0 else 1.0
    sigma = eta * math.sqrt((1 - b) * (b - a) / (b * (1 - a)))
    keep = math.sqrt(b / a)
    turn = math.sqrt(max(1 - b - sigma**2, 0.0)) - keep * math.sqrt(1 - a)
    return keep * x + turn * eps + sigma * z


@accepted("ddim_step")
def in_double_and_back(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    dtype = x_t.dtype
    x_t, eps, alpha_bars, noise = (v.double() for v in (x_t, eps, alpha_bars, noise))
    a = alpha_bars[t]
    b = alpha_bars[t_prev] if t_prev != -1 else torch.ones((), dtype=torch.float64)
    x0 = x_t.sub((1 - a).sqrt() * eps).div(a.sqrt())
    sigma = eta * torch.sqrt((1 - b) / (1 - a)) * torch.sqrt(1 - a / b)
    return torch.add(b.sqrt() * x0 + (1 - b - sigma**2).sqrt() * eps, sigma * noise).to(dtype)


@accepted("ddim_step")
@torch.no_grad()
def last_step_apart(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a = alpha_bars[t]
    x = x_t.clone()
    x -= torch.sqrt(1 - a) * eps
    x /= torch.sqrt(a)
    if t_prev < 0:
        return x
    b = alpha_bars[t_prev]
    std = eta * torch.sqrt((1 - a / b) * (1 - b) / (1 - a))
    return torch.lerp(torch.zeros_like(x), x, b.sqrt()) + torch.sqrt(1 - b - std * std) * eps + std * noise


@accepted("sample")
@torch.no_grad()
def through_the_predicted_data(model, x_T, betas, noises):
    alphas = 1 - betas
    bars = alphas.cumprod(0)
    before = torch.cat([torch.ones_like(bars[:1]), bars[:-1]])
    x = x_T.clone()
    for t in range(len(betas) - 1, -1, -1):
        steps = torch.full((x.shape[0],), t, dtype=torch.long)
        x0 = (x - (1 - bars[t]).sqrt() * model(x, steps)) / bars[t].sqrt()
        mean = (before[t].sqrt() * betas[t] * x0 + alphas[t].sqrt() * (1 - before[t]) * x) / (1 - bars[t])
        x = mean + (betas[t] * (1 - before[t]) / (1 - bars[t])).sqrt() * noises[t]
    return x


@accepted("sample")
def by_ddim_with_eta_one(model, x, betas, noises):
    bars = [1.0, *torch.cumprod(1 - betas.double(), 0).tolist()]
    for t in reversed(range(len(betas))):
        a, b = bars[t + 1], bars[t]
        eps = model(x, x.new_full((len(x),), t))
        sigma = math.sqrt((1 - b) / (1 - a) * (1 - a / b))
        x0 = (x - math.sqrt(1 - a) * eps) / math.sqrt(a)
        x = math.sqrt(b) * x0 + math.sqrt(max(1 - b - sigma**2, 0)) * eps + sigma * noises[t]
    return x


@accepted("sample")
def with_coefficients_made_first(model, x_T, betas, noises):
    T = betas.shape[0]
    bars = torch.cumprod(1 - betas, 0)
    previous = torch.nn.functional.pad(bars[:-1], (1, 0), value=1.0)
    scale = (1 - betas).rsqrt()
    weight = betas * (1 - bars).rsqrt()
    std = torch.sqrt(betas * (1 - previous) / (1 - bars))
    x, steps = x_T, torch.arange(T)
    for t in steps.flip(0):
        x = scale[t] * (x - weight[t] * model(x, t.expand(len(x)))) + std[t] * noises[t]
    return x


@accepted("sample")
def folded(model, x_T, betas, noises):
    bars = list(accumulate((1 - betas).unbind(), mul))

    def step(x, t):
        x = (x - betas[t] / (1 - bars[t]) ** 0.5 * model(x, torch.tensor([t] * len(x)))) / (
            1 - betas[t]
        ) ** 0.5
        return x if t == 0 else x + (betas[t] * (1 - bars[t - 1]) / (1 - bars[t])) ** 0.5 * noises[t]

    return reduce(step, range(len(betas) - 1, -1, -1), x_T)


@accepted("sample")
def recursively(model, x_T, betas, noises):
    bars = torch.cumprod(1 - betas, 0)

    def denoise(x, t):
        if t < 0:
            return x
        a, b = bars[t], bars[t - 1] if t else torch.ones_like(bars[0])
        eps = model(x, torch.zeros(x.shape[0], dtype=torch.int64) + t)
        mean = (x - betas[t] / torch.sqrt(1 - a) * eps) / torch.sqrt(1 - betas[t])
        return denoise(mean + torch.sqrt((1 - b) / (1 - a) * betas[t]) * noises[t], t - 1)

    return denoise(x_T, len(betas) - 1)
