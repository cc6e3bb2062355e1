"""Week 11: other right ways to write the answers."""

import math
from functools import reduce
from itertools import accumulate
from operator import mul

import numpy as np
import torch
import torch.nn.functional as F

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


@accepted("cosine_alpha_bars")
def with_a_python_loop(T, s=0.008, dtype=torch.float32):
    def f(u):
        return math.cos((u + s) / (1 + s) * math.pi / 2) ** 2

    bars, share = [], 1.0
    for t in range(T):
        share *= 1 - min(1 - f((t + 1) / T) / f(t / T), 0.999)
        bars.append(share)
    return torch.tensor(bars, dtype=dtype)


@accepted("cosine_alpha_bars")
def with_numpy_and_cut_ratios(n_steps, offset=0.008, dtype=torch.float32):
    u = np.linspace(0, 1, n_steps + 1)
    f = np.cos(np.pi / 2 * (u + offset) / (1 + offset)) ** 2
    return torch.from_numpy(np.cumprod(np.maximum(f[1:] / f[:-1], 1 - 0.999))).to(dtype)


@accepted("cosine_alpha_bars")
def in_closed_form_but_the_last(T, s=0.008, dtype=torch.float32):
    t = torch.arange(T, dtype=torch.float64)
    f = 0.5 + 0.5 * torch.cos(torch.pi * (t / T + s) / (1 + s))  # cos^2 by the half-angle formula
    return torch.cat([f[1:], 0.001 * f[-1:]]).div(f[0]).to(dtype)


@accepted("cosine_alpha_bars")
def straight_in_the_dtype(T, s=0.008, dtype=torch.float32):
    u = torch.linspace(0, 1, T + 1, dtype=dtype)
    f = torch.cos((u + s) / (1 + s) * (math.pi / 2)).pow(2)
    betas = torch.clip(1 - f[1:] / f[:-1], 0, 0.999)
    return torch.exp(torch.log1p(-betas).cumsum(0))


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


@accepted("noise_prediction_loss")
def with_mse_loss(model, x0, t, eps, alpha_bars):
    bar = alpha_bars[t].view(-1, *[1] * (x0.dim() - 1))
    return F.mse_loss(model(bar.sqrt() * x0 + (1 - bar).sqrt() * eps, t), eps)


@accepted("noise_prediction_loss")
def one_example_at_a_time(network, data, steps, noise, abar):
    losses = []
    for i in range(data.shape[0]):
        a = abar[steps[i]]
        noised = a**0.5 * data[i : i + 1] + (1 - a) ** 0.5 * noise[i : i + 1]
        losses.append(torch.mean((noise[i] - network(noised, steps[i : i + 1])[0]) ** 2))
    return torch.stack(losses).mean()


@accepted("noise_prediction_loss")
def by_norm_and_count(model, x0, t, eps, alpha_bars):
    signal, spread = alpha_bars.sqrt()[t], (1 - alpha_bars).sqrt()[t]
    x_t = torch.einsum("b,b...->b...", signal, x0) + torch.einsum("b,b...->b...", spread, eps)
    error = (model(x_t, t) - eps).flatten()
    return error.dot(error) / error.numel()


@accepted("noise_prediction_loss")
def mean_of_means(model, x0, t, eps, alpha_bars):
    bar = alpha_bars.index_select(0, t).reshape([-1] + [1] * (x0.ndim - 1))
    x_t = torch.addcmul(bar.sqrt() * x0, (1 - bar).sqrt(), eps)
    return (eps - model(x_t, t.to(x0.dtype))).pow(2).flatten(1).mean(1).mean(0)


@accepted("predict_x0")
def as_a_sum_of_two_terms(x_t, t, eps, alpha_bars):
    bar = alpha_bars.gather(0, t)
    while bar.ndim < x_t.ndim:
        bar = bar[..., None]
    return bar.rsqrt() * x_t - (1 / bar - 1).sqrt() * eps


@accepted("predict_x0")
def example_after_example(x, steps, noise, abar):
    rows = [(x[i] - (1 - abar[s]) ** 0.5 * noise[i]) / abar[s] ** 0.5 for i, s in enumerate(steps.tolist())]
    return torch.stack(rows)


@accepted("predict_x0")
def through_the_score(x_t, t, eps, alpha_bars):
    column = (t.shape[0],) + (1,) * (x_t.ndim - 1)
    a, std = alpha_bars[t].sqrt().view(column), (1 - alpha_bars[t]).sqrt().view(column)
    score = -eps / std
    return (x_t + std**2 * score) / a  # Tweedie's formula


@accepted("predict_x0")
@torch.no_grad()
def in_place_on_a_clone(x_t, t, eps, alpha_bars):
    bar = alpha_bars[t].double()
    x0 = x_t.double().flatten(1)
    x0 -= (1 - bar).sqrt()[:, None] * eps.flatten(1)
    return x0.div_(bar.sqrt()[:, None]).view(x_t.shape).to(x_t.dtype)


@accepted("predict_eps")
def as_a_difference_of_two_terms(x_t, t, x0, alpha_bars):
    signal, spread = (v[t].reshape(-1, *[1] * (x_t.ndim - 1)) for v in (alpha_bars.sqrt(), 1 - alpha_bars))
    return spread.rsqrt() * x_t - signal * spread.rsqrt() * x0


@accepted("predict_eps")
def with_a_list_of_rows(x, steps, data, abar):
    rows = []
    for row, step, clean in zip(x, steps, data, strict=True):
        a = abar[int(step)].item()
        rows.append((row - math.sqrt(a) * clean) / math.sqrt(1 - a))
    return torch.stack(rows)


@accepted("predict_eps")
def with_vmap_over_examples(x_t, t, x0, alpha_bars):
    def noise(x, a, clean):
        return torch.div(x - torch.sqrt(a) * clean, torch.sqrt(1 - a))

    return torch.vmap(noise)(x_t, alpha_bars[t], x0)


@accepted("predict_eps")
def minus_the_score_times_std(x_t, t, x0, alpha_bars):
    bar = torch.take(alpha_bars, t)[(...,) + (None,) * (x_t.ndim - 1)]
    score = (bar.sqrt() * x0 - x_t) / (1 - bar)
    return -score * (1 - bar).sqrt()


@accepted("velocity")
def as_noising_the_noise(x0, t, eps, alpha_bars):
    bar = alpha_bars[t].reshape(-1, *[1] * (x0.ndim - 1))
    data, noise = eps, -x0  # a quarter turn on
    return bar.sqrt() * data + (1 - bar).sqrt() * noise


@accepted("velocity")
def as_the_derivative_by_the_angle(x0, t, eps, alpha_bars):
    angle = torch.atan2((1 - alpha_bars).sqrt(), alpha_bars.sqrt())[t]
    angle = angle.reshape(t.shape + (1,) * (x0.ndim - 1))
    return angle.cos() * eps - angle.sin() * x0


@accepted("velocity")
def with_einsum_and_one_stack(x0, t, eps, alpha_bars):
    weights = torch.stack([-(1 - alpha_bars[t]).sqrt(), alpha_bars[t].sqrt()])
    return torch.einsum("kb,kb...->b...", weights, torch.stack([x0, eps]))


@accepted("velocity")
def from_x_t_and_the_noise(x0, t, eps, alpha_bars):
    bar = alpha_bars[t].reshape(-1, *[1] * (x0.ndim - 1))
    x_t = bar.sqrt() * x0 + (1 - bar).sqrt() * eps
    return (eps - (1 - bar).sqrt() * x_t) / bar.sqrt()


@accepted("velocity")
def filled_row_by_row(x0, t, eps, alpha_bars):
    out = torch.empty_like(x0)
    for i, a in enumerate(alpha_bars[t].tolist()):
        torch.sub(math.sqrt(a) * eps[i], x0[i], alpha=math.sqrt(1 - a), out=out[i])
    return out


@accepted("score_from_eps")
def times_the_inverse_root(eps, t, alpha_bars):
    return -(1 - alpha_bars).rsqrt()[t].reshape(-1, *[1] * (eps.ndim - 1)) * eps


@accepted("score_from_eps")
def per_example_in_a_loop(noise, steps, abar):
    return torch.stack([-e / math.sqrt(1 - float(abar[s])) for e, s in zip(noise, steps, strict=True)])


@accepted("score_from_eps")
def by_the_gradient_of_the_density(eps, t, alpha_bars):
    variance = (1 - alpha_bars[t]).reshape(-1, *[1] * (eps.ndim - 1))
    with torch.enable_grad():
        offset = (variance.sqrt() * eps).detach().requires_grad_()
        (gradient,) = torch.autograd.grad((-offset.square() / (2 * variance)).sum(), offset)
    return gradient


@accepted("score_from_eps")
def flat_and_in_double(eps, t, alpha_bars):
    std = (1 - alpha_bars.double()[t]).sqrt().unsqueeze(1)
    return eps.flatten(1).div(std).neg().reshape(eps.shape).to(eps.dtype)


@accepted("posterior_mean_variance")
def by_precisions(x0, x_t, t, betas):
    shape = (-1, *[1] * (x0.ndim - 1))
    bars = torch.cumprod(1 - betas, 0)
    beta = betas[t].reshape(shape)
    before = (bars / (1 - betas)).index_fill(0, torch.tensor([0]), 1.0)[t].reshape(shape)
    # Precision times (1 - b) beta, so that nothing is divided by 0 at t = 0.
    precision = (1 - beta) * (1 - before) + beta
    mean = ((1 - beta).sqrt() * (1 - before) * x_t + beta * before.sqrt() * x0) / precision
    return mean, beta * (1 - before) / precision


@accepted("posterior_mean_variance")
def with_tables_made_first(x_start, x_t, t, betas):
    alphas_cumprod = torch.cumprod(1.0 - betas, dim=0)
    previous = F.pad(alphas_cumprod[:-1], (1, 0), value=1.0)
    variance = betas * (1.0 - previous) / (1.0 - alphas_cumprod)
    first = betas * torch.sqrt(previous) / (1.0 - alphas_cumprod)
    second = (1.0 - previous) * torch.sqrt(1.0 - betas) / (1.0 - alphas_cumprod)

    def extract(table):
        return table.gather(-1, t).reshape(len(t), *((1,) * (x_t.dim() - 1)))

    return extract(first) * x_start + extract(second) * x_t, extract(variance)


@accepted("posterior_mean_variance")
def step_by_step_in_floats(x0, x_t, t, betas):
    bars = [1.0]
    for beta in betas.tolist():
        bars.append(bars[-1] * (1 - beta))
    means, variances = [], []
    for data, x, step in zip(x0, x_t, t.tolist(), strict=True):
        beta, before, bar = float(betas[step]), bars[step], bars[step + 1]
        means.append(
            math.sqrt(before) * beta / (1 - bar) * data + math.sqrt(1 - beta) * (1 - before) / (1 - bar) * x
        )
        variances.append(beta * (1 - before) / (1 - bar))
    shape = (len(t),) + (1,) * (x0.ndim - 1)
    return torch.stack(means), torch.tensor(variances, dtype=x0.dtype).view(shape)


@accepted("posterior_mean_variance")
def around_the_predicted_noise(x0, x_t, t, betas):
    column = (slice(None),) + (None,) * (x0.ndim - 1)
    bars = (1 - betas).cumprod(0)
    bar, beta = bars[t][column], betas[t][column]
    before = torch.where(t > 0, bars[(t - 1).clamp(min=0)], torch.ones_like(bars[t]))[column]
    eps = (x_t - bar.sqrt() * x0) / (1 - bar).sqrt()
    mean = (x_t - beta / (1 - bar).sqrt() * eps) / (1 - beta).sqrt()
    return mean, (1 - before) / (1 - bar) * beta


@accepted("ddpm_step")
def as_in_algorithm_2(x_t, t, eps, betas, noise):
    bars = torch.cumprod(1 - betas, 0)
    mean = (x_t - betas[t] / torch.sqrt(1 - bars[t]) * eps) / torch.sqrt(1 - betas[t])
    if t == 0:
        return mean
    return mean + torch.sqrt(betas[t] * (1 - bars[t - 1]) / (1 - bars[t])) * noise


@accepted("ddpm_step")
def as_ddim_with_eta_one(x, t, eps, betas, z):
    bars = torch.cat([torch.ones_like(betas[:1]), torch.cumprod(1 - betas, 0)])
    a, b = bars[t + 1], bars[t]
    x0 = (x - (1 - a).sqrt() * eps) / a.sqrt()
    variance = (1 - b) / (1 - a) * betas[t]
    return b.sqrt() * x0 + (1 - b - variance).clamp(min=0).sqrt() * eps + variance.sqrt() * z


@accepted("ddpm_step")
def with_floats_and_three_coefficients(x_t, t, eps, betas, noise):
    alphas = [1 - b for b in betas.tolist()]
    bar, before = math.prod(alphas[: t + 1]), math.prod(alphas[:t])
    scale = 1 / math.sqrt(alphas[t])
    sigma = math.sqrt((1 - alphas[t]) * (1 - before) / (1 - bar))
    return scale * x_t - scale * (1 - alphas[t]) / math.sqrt(1 - bar) * eps + sigma * noise


@accepted("ddpm_step")
@torch.no_grad()
def in_place_on_its_own_mean(x_t, t, eps, betas, noise):
    log_bars = torch.log1p(-betas.double()).cumsum(0)
    spread = -torch.expm1(log_bars)  # 1 - alpha_bar
    mean = x_t.double().clone()
    mean.sub_(betas[t] / spread[t].sqrt() * eps).mul_(torch.exp(-torch.log1p(-betas[t].double()) / 2))
    if t:
        mean.add_(noise * (betas[t] * spread[t - 1] / spread[t]).sqrt())
    return mean.to(x_t.dtype)


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


@accepted("ddim_timesteps")
def by_a_range(T, n):
    step = T // n
    return list(range((n - 1) * step, -1, -step))


@accepted("ddim_timesteps")
def counting_up_and_turning_round(T, n):
    steps = []
    while len(steps) < n:
        steps.append(len(steps) * (T // n))
    steps.reverse()
    return tuple(steps)


@accepted("ddim_timesteps")
def as_diffusers_does(num_train_timesteps, num_inference_steps):
    ratio = num_train_timesteps // num_inference_steps
    return (np.arange(0, num_inference_steps) * ratio).round()[::-1].copy().astype(np.int64).tolist()


@accepted("ddim_timesteps")
def from_a_tensor(T, n):
    return [int(i) for i in (torch.arange(n) * (T // n)).flip(0)]


@accepted("guided_noise")
def from_the_unconditional_one(eps_uncond, eps_cond, w):
    return eps_uncond + w * (eps_cond - eps_uncond)


@accepted("guided_noise")
def by_lerp(unconditional, conditional, scale):
    return torch.lerp(unconditional, conditional, scale)


@accepted("guided_noise")
def with_the_weight_of_the_paper(eps_uncond, eps_cond, w):
    excess = w - 1
    return torch.add((1 + excess) * eps_cond, eps_uncond, alpha=-excess)


@accepted("guided_noise")
def as_a_product_of_weights(eps_uncond, eps_cond, w):
    both = torch.stack([eps_uncond, eps_cond], -1)
    return both @ torch.tensor([1 - w, w], dtype=both.dtype)


@accepted("guided_noise")
def in_place_on_the_difference(eps_uncond, eps_cond, w):
    out = eps_cond - eps_uncond
    out *= w
    out += eps_uncond
    return out


@accepted("latent_diffusion_loss")
def written_out(encode, scale, model, x, t, eps, alpha_bars):
    with torch.no_grad():
        z = scale * encode(x)
    bar = alpha_bars[t].view(-1, *[1] * (z.ndim - 1))
    z_t = bar.sqrt() * z + (1 - bar).sqrt() * eps
    return torch.mean((eps - model(z_t, t)) ** 2)


@accepted("latent_diffusion_loss")
def with_mse_over_flat_latents(encode, scale, model, x, t, eps, alpha_bars):
    latents = encode(x).mul(scale)
    signal, spread = alpha_bars[t].sqrt()[:, None], (1 - alpha_bars[t]).sqrt()[:, None]
    noised = (signal * latents.flatten(1) + spread * eps.flatten(1)).view(eps.shape)
    return F.mse_loss(model(noised, t).flatten(), eps.flatten())


@accepted("latent_diffusion_loss")
def image_by_image(encoder, scale_factor, network, images, steps, noise, abar):
    total = 0.0
    for i in range(len(images)):
        z = encoder(images[i : i + 1]).detach() * scale_factor
        a = abar[steps[i]]
        z = torch.sqrt(a) * z + torch.sqrt(1 - a) * noise[i : i + 1]
        total = total + (network(z, steps[i : i + 1]) - noise[i : i + 1]).square().sum()
    return total / noise.numel()


@accepted("cascade_condition")
def with_interpolate(low, factor, eps, t, alpha_bars):
    large = F.interpolate(low, scale_factor=factor, mode="nearest")
    bar = alpha_bars[t].view(-1, 1, 1, 1)
    return bar.sqrt() * large + (1 - bar).sqrt() * eps


@accepted("cascade_condition")
def by_views_of_blocks(low, factor, eps, t, alpha_bars):
    b, c, h, w = low.shape
    bar = alpha_bars[t][:, None, None, None, None, None]
    blocks = low[:, :, :, None, :, None].expand(b, c, h, factor, w, factor)
    noise = eps.reshape(b, c, h, factor, w, factor)
    return (bar.sqrt() * blocks + (1 - bar).sqrt() * noise).reshape(eps.shape)


@accepted("cascade_condition")
def with_kron_and_loops(low, k, eps, t, abar):
    images = []
    for image, noise, step in zip(low, eps, t.tolist(), strict=True):
        large = torch.stack([torch.kron(plane, torch.ones(k, k, dtype=low.dtype)) for plane in image])
        images.append(abar[step] ** 0.5 * large + (1 - abar[step]) ** 0.5 * noise)
    return torch.stack(images)


@accepted("cascade_condition")
def by_looking_up_the_nearest(low, factor, eps, t, alpha_bars):
    rows, columns = (torch.arange(factor * n) // factor for n in low.shape[-2:])
    large = low[..., rows[:, None], columns]
    return torch.einsum("b,bchw->bchw", alpha_bars[t].sqrt(), large) + torch.einsum(
        "b,bchw->bchw", (1 - alpha_bars[t]).sqrt(), eps
    )


@accepted("action_chunk_denoise")
def with_a_loop_of_its_own(model, noise, betas, noises, execute):
    bars = torch.cumprod(1 - betas, 0)
    plan = noise
    for t in range(len(betas) - 1, -1, -1):
        eps = model(plan, torch.full((len(plan),), t))
        plan = (plan - betas[t] / (1 - bars[t]).sqrt() * eps) / (1 - betas[t]).sqrt()
        if t:
            plan = plan + (betas[t] * (1 - bars[t - 1]) / (1 - bars[t])).sqrt() * noises[t]
    return plan[:, :execute]


@accepted("action_chunk_denoise")
@torch.no_grad()
def through_predicted_plans(policy, x, betas, noises, k):
    bars = [1.0, *torch.cumprod(1 - betas.double(), 0).tolist()]
    for t in reversed(range(len(bars) - 1)):
        a, b, beta = bars[t + 1], bars[t], float(betas[t])
        clean = (x - math.sqrt(1 - a) * policy(x, x.new_full((len(x),), t))) / math.sqrt(a)
        mean = (math.sqrt(b) * beta * clean + math.sqrt(1 - beta) * (1 - b) * x) / (1 - a)
        x = mean + math.sqrt(beta * (1 - b) / (1 - a)) * noises[t]
    return x.narrow(1, 0, k).clone()


@accepted("action_chunk_denoise")
def as_a_list_of_actions(model, noise, betas, noises, execute):
    plan = by_ddim_with_eta_one(model, noise, betas, noises)
    return torch.stack(plan.unbind(1)[:execute], dim=1)
