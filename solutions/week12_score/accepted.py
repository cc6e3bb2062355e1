"""Week 12: other right ways to write the answers."""

import functools
import math

import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

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


@accepted("mixture_score")
def by_autograd_of_logsumexp(x, weights, means, stds):
    with torch.enable_grad():
        point = x.detach().clone().requires_grad_()
        components = Normal(means, stds).log_prob(point.unsqueeze(-2)).sum(-1)
        log_density = torch.logsumexp(components + torch.log(weights), dim=-1)
        return torch.autograd.grad(log_density.sum(), point)[0]


@accepted("mixture_score")
def with_a_mixture_distribution(x, weights, means, stds):
    mixture = MixtureSameFamily(Categorical(weights), Independent(Normal(means, stds), 1))
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        return torch.autograd.grad(mixture.log_prob(x).sum(), x)[0]


@accepted("mixture_score")
def component_by_component(x, weights, means, stds):
    logs, scores = [], []
    for w, m, s in zip(weights, means, stds, strict=True):
        logs.append(w.log() + Normal(m, s).log_prob(x).sum(-1))
        scores.append(-(x - m) / s**2)
    logs = torch.stack(logs)
    r = torch.exp(logs - torch.max(logs, 0).values)
    r = r / r.sum(0)
    return sum(r_k[..., None] * s_k for r_k, s_k in zip(r, scores, strict=True))


@accepted("mixture_score")
def with_einsum_over_precisions(x, weights, means, stds):
    precision = stds.pow(-2)  # (K, D)
    quadratic = torch.einsum("...kd,kd->...k", (x[..., None, :] - means) ** 2, precision)
    log_r = torch.log_softmax(weights.log() - stds.log().sum(-1) - 0.5 * quadratic, dim=-1)
    r = log_r.exp()
    return (
        torch.einsum("...k,kd->...d", r, precision * means) - torch.einsum("...k,kd->...d", r, precision) * x
    )


@accepted("implicit_score_matching_loss")
def with_jacobians_of_examples(model, x):
    def one(example):
        return model(example[None])[0].flatten()

    total = 0
    for example in x:
        jacobian = torch.autograd.functional.jacobian(one, example, create_graph=True)
        s = one(example)
        total = total + jacobian.reshape(len(s), -1).diagonal().sum() + 0.5 * s @ s
    return total / x.shape[0]


@accepted("implicit_score_matching_loss")
def with_vmap_and_jacrev(model, x):
    def one(example):
        return model(example.unsqueeze(0)).squeeze(0)

    d = x[0].numel()
    jacobians = torch.func.vmap(torch.func.jacrev(one))(x).reshape(len(x), d, d)
    traces = torch.einsum("bii->b", jacobians)
    return traces.mean() + (model(x) ** 2).sum() / (2 * len(x))


@accepted("implicit_score_matching_loss")
def forward_along_the_axes(model, x):
    trace = 0
    for i in range(x[0].numel()):
        axis = torch.zeros_like(x)
        axis.view(len(x), -1)[:, i] = 1
        score, derivative = torch.func.jvp(model, (x,), (axis,))
        trace = trace + derivative.flatten(1)[:, i].mean()
    return trace + 0.5 * torch.linalg.vector_norm(score.flatten(1), dim=1).pow(2).mean()


@accepted("implicit_score_matching_loss")
def with_axes_as_cotangents(model, x):
    points = x.clone().requires_grad_(True)
    s = model(points)
    loss = 0.5 * s.square().reshape(len(x), -1).sum(dim=1)
    for axis in torch.eye(x[0].numel(), dtype=x.dtype).reshape(-1, *x.shape[1:]):
        product = torch.autograd.grad(s, points, axis.expand_as(x), create_graph=True)[0]
        loss = loss + (product * axis).reshape(len(x), -1).sum(dim=1)
    return torch.mean(loss)


@accepted("sliced_score_matching_loss")
def by_a_forward_derivative(model, x, v):
    s, jv = torch.func.jvp(model, (x,), (v,))
    losses = (v * jv).flatten(1).sum(1) + 0.5 * (v * s).flatten(1).sum(1) ** 2
    return losses.mean()


@accepted("sliced_score_matching_loss")
def with_v_as_the_cotangent(score_model, samples, directions):
    samples = samples.clone().requires_grad_()
    s = score_model(samples)
    (vj,) = torch.autograd.grad(s, samples, grad_outputs=directions, create_graph=True)
    n = len(samples)
    first = torch.einsum("bi,bi->b", vj.reshape(n, -1), directions.reshape(n, -1))
    second = torch.einsum("bi,bi->b", s.reshape(n, -1), directions.reshape(n, -1))
    return torch.mean(first + 0.5 * second.square())


@accepted("sliced_score_matching_loss")
def with_whole_jacobians(model, x, v):
    total = torch.zeros((), dtype=x.dtype)
    for point, direction in zip(x, v, strict=True):
        direction = direction.flatten()
        jacobian = torch.autograd.functional.jacobian(
            lambda p: model(p[None])[0].flatten(), point, create_graph=True
        ).reshape(len(direction), -1)
        projected = torch.dot(direction, model(point[None]).flatten())
        total = total + direction @ jacobian @ direction + projected**2 / 2
    return total / len(x)


@accepted("sliced_score_matching_loss")
def as_a_derivative_along_a_line(model, x, v):
    h = torch.zeros(len(x), dtype=x.dtype, requires_grad=True)
    along = x + h.view(-1, *[1] * (x.ndim - 1)) * v
    projected = (v * model(along)).reshape(len(x), -1).sum(-1)
    slope = torch.autograd.grad(projected.sum(), h, create_graph=True)[0]
    return slope.mean() + projected.pow(2).mean() / 2


@accepted("contrastive_divergence_loss")
def with_sums_and_counts(energy, x_data, x_model):
    with torch.no_grad():
        samples = x_model.clone()
    return energy(x_data).sum() / x_data.shape[0] - energy(samples).sum() / x_model.shape[0]


@accepted("contrastive_divergence_loss")
def in_one_call(energy, x_data, x_model):
    energies = energy(torch.cat([x_data, x_model.detach()]))
    return energies[: len(x_data)].mean() - energies[len(x_data) :].mean()


@accepted("contrastive_divergence_loss")
def sample_by_sample(energy, positive, negative):
    loss = 0
    for x in positive:
        loss = loss + energy(x[None])[0] / len(positive)
    for x in negative.detach():
        loss = loss - energy(x[None])[0] / len(negative)
    return loss


@accepted("tweedie")
def by_the_noise(x, score, alpha, beta):
    noise = -beta * score  # E[eps | x]
    return (x - beta * noise) / alpha


@accepted("tweedie")
def by_torch_add_and_div(x, score, alpha, beta):
    return torch.add(x, score, alpha=beta * beta).div(alpha)


@accepted("tweedie")
def in_place_on_a_copy(noisy, score, scale, std):
    mean = noisy.clone()
    mean += math.pow(std, 2) * score
    mean /= scale
    return mean


@accepted("tweedie")
def of_the_rescaled_point(x, score, alpha, beta):
    alpha, beta = torch.as_tensor([alpha, beta], dtype=x.dtype)
    return x / alpha + (beta**2 / alpha) * score


def _coefficients(t, schedule):
    if schedule == "linear":
        return t, 1 - t, 1.0, -1.0
    angle = 0.5 * math.pi * t
    return torch.sin(angle), torch.cos(angle), 0.5 * math.pi * angle.cos(), -0.5 * math.pi * angle.sin()


@accepted("score_to_velocity")
def with_separate_formulas(score, x, t, schedule="linear"):
    t = t.view(-1, *[1] * (x.ndim - 1))
    if schedule == "linear":
        return (x + (1 - t) * score) / t
    angle = torch.pi / 2 * t
    return torch.pi / 2 * (x * angle.cos() + angle.cos() * score) / angle.sin()


@accepted("score_to_velocity")
def through_clean_and_noise(score, x, t, schedule="linear"):
    a, b, da, db = (
        c.reshape(-1, *[1] * (x.ndim - 1)) if isinstance(c, torch.Tensor) else c
        for c in _coefficients(t, schedule)
    )
    noise = -b * score
    clean = (x - b * noise) / a
    return da * clean + db * noise


@accepted("score_to_velocity")
def example_after_example(score, x, t, schedule="linear"):
    rows = []
    for s, point, time in zip(score, x, t, strict=True):
        a, b, da, db = _coefficients(time, schedule)
        rows.append(da / a * point + (b**2 * da / a - db * b) * s)
    return torch.stack(rows)


@accepted("score_to_velocity")
def with_derivatives_by_autograd(score, x, t, schedule="linear"):
    with torch.enable_grad():
        time = t.detach().clone().requires_grad_()
        alpha = time if schedule == "linear" else (torch.pi * time / 2).sin()
        beta = 1 - time if schedule == "linear" else (torch.pi * time / 2).cos()
        d_alpha, d_beta = (torch.autograd.grad(c.sum(), time)[0] for c in (alpha, beta))
    alpha, beta = alpha.detach(), beta.detach()
    x_part, score_part = d_alpha, beta * (d_alpha * beta - alpha * d_beta)
    n = len(t)
    flat = (x_part * x.reshape(n, -1).mT + score_part * score.reshape(n, -1).mT) / alpha
    return flat.mT.reshape(x.shape)


@accepted("velocity_to_score")
def with_formulas_of_their_own(u, x, t, schedule="linear"):
    t = t[(...,) + (None,) * (x.ndim - 1)]
    if schedule == "linear":
        return (t * u - x) / (1 - t)
    tangent = torch.tan(torch.pi / 2 * t)
    return 2 / torch.pi * tangent * u - x


@accepted("velocity_to_score")
def through_the_noise(u, x, t, schedule="linear"):
    shape = [-1] + [1] * (x.ndim - 1)
    a, b, da, db = (c.reshape(shape) if torch.is_tensor(c) else c for c in _coefficients(t, schedule))
    noise = (a * u - da * x) / (a * db - da * b)  # two equations for clean and noise
    return -noise / b


@accepted("velocity_to_score")
def one_example_at_a_time(velocity, x, t, schedule="linear"):
    scores = torch.empty_like(x)
    for i in range(len(t)):
        alpha, beta, d_alpha, d_beta = _coefficients(t[i], schedule)
        scores[i] = (alpha * velocity[i] - d_alpha * x[i]) / (beta * (d_alpha * beta - alpha * d_beta))
    return scores


@accepted("velocity_to_score")
def with_a_weight_for_each(u, x, t, schedule="linear"):
    a, b, da, db = _coefficients(t, schedule)
    over = b * da * b - a * b * db
    by_u, by_x = a / over, da / over
    return torch.einsum("b,b...->b...", by_u, u) - torch.einsum("b,b...->b...", by_x, x)


@accepted("annealed_langevin")
def with_langevin_steps(model, x, sigmas, eps, noises):
    def step_of(point, score, size, noise):
        return point + size * score + math.sqrt(2 * size) * noise

    for i in range(len(sigmas)):
        size = eps * float(sigmas[i]) ** 2 / (2 * float(sigmas[-1]) ** 2)
        for j in range(noises.shape[1]):
            level = torch.full((len(x),), float(sigmas[i]), dtype=x.dtype)
            x = step_of(x, model(x, level), size, noises[i, j])
    return x


@accepted("annealed_langevin")
@torch.no_grad()
def as_the_paper_has_it(model, x0, sigmas, epsilon, noises):
    x = x0.clone()
    for sigma, noise in zip(sigmas, noises, strict=True):
        alpha = epsilon * sigma**2 / sigmas[-1] ** 2
        for z in noise:
            x += alpha / 2 * model(x, sigma * torch.ones_like(x.reshape(len(x), -1)[:, 0])) + alpha.sqrt() * z
    return x


@accepted("annealed_langevin")
def as_a_fold_over_all_steps(model, x, sigmas, eps, noises):
    levels, steps = noises.shape[:2]
    sizes = eps / 2 * (sigmas / sigmas.min()).square()
    schedule = [(sigmas[i], sizes[i], noises[i, j]) for i in range(levels) for j in range(steps)]

    def forward(point, entry):
        sigma, size, noise = entry
        return point + size * model(point, sigma.repeat(point.shape[0])) + torch.sqrt(2 * size) * noise

    return functools.reduce(forward, schedule, x)


@accepted("annealed_langevin")
def by_recursion_over_levels(model, x, sigmas, eps, noises, last=None):
    if not len(sigmas):
        return x
    last = sigmas[-1] if last is None else last
    ratio = sigmas[0] / last
    for noise in noises[0].unbind():
        score = model(x, sigmas[:1].expand(x.shape[0]))
        x = x + ratio * (eps / 2 * ratio * score + eps**0.5 * noise)
    return by_recursion_over_levels(model, x, sigmas[1:], eps, noises[1:], last)


@accepted("euler_maruyama")
def with_numbers_for_times(drift, diffusion, x0, ts, noises):
    times, x = ts.tolist(), x0
    for now, then, noise in zip(times[:-1], times[1:], noises, strict=True):
        h = then - now
        x = x + drift(x, now) * h + diffusion(now) * abs(h) ** 0.5 * noise
    return x


@accepted("euler_maruyama")
def with_a_time_for_each_point(drift, diffusion, x0, ts, noises):
    x, shape = x0.clone(), (-1, *[1] * (x0.ndim - 1))
    for k in range(len(noises)):
        t = ts[k].expand(len(x0))
        h = ts[k + 1] - ts[k]
        increment = torch.abs(h) ** 0.5 * noises[k]
        x += h * drift(x, t) + diffusion(t).reshape(shape) * increment
    return x


@accepted("euler_maruyama")
def with_increments_made_before(drift, diffusion, start, times, noises):
    steps = times.diff()
    brownian = torch.einsum("k,k...->k...", steps.abs().sqrt(), noises)
    path = [start]
    for t, h, dw in zip(times[:-1], steps, brownian, strict=True):
        path.append(path[-1] + drift(path[-1], t) * h + diffusion(t) * dw)
    return path[-1]


@accepted("euler_maruyama")
def step_and_recurse(drift, diffusion, x0, ts, noises):
    if len(noises) == 0:
        return x0
    h = ts[1] - ts[0]
    x1 = torch.add(x0, h * drift(x0, ts[0])) + torch.sqrt(h * h.sign()) * diffusion(ts[0]) * noises[0]
    return step_and_recurse(drift, diffusion, x1, ts[1:], noises[1:])


@accepted("fokker_planck_residual")
def term_by_term(p, u, sigma, x, t):
    x, t = x.clone().requires_grad_(), t.clone().requires_grad_()

    def d(value, by):
        return torch.autograd.grad(value.sum(), by, create_graph=True)[0]

    density = p(x, t)
    return d(density, t) + d(density * u(x, t), x) - 0.5 * sigma**2 * d(d(density, x), x)


@accepted("fokker_planck_residual")
def with_the_product_rule(p, u, sigma, x, t):
    x, t = x.detach().requires_grad_(), t.detach().requires_grad_()
    density, velocity = p(x, t), u(x, t)
    p_t = torch.autograd.grad(density.sum(), t, retain_graph=True)[0]
    p_x = torch.autograd.grad(density.sum(), x, create_graph=True)[0]
    p_xx = torch.autograd.grad(p_x.sum(), x, retain_graph=True)[0]
    u_x = torch.autograd.grad(velocity.sum(), x)[0]
    return (p_t + velocity * p_x + u_x * density - sigma * sigma * p_xx / 2).detach()


@accepted("fokker_planck_residual")
def point_by_point(p, u, sigma, x, t):
    def residual(x, t):
        p_t = torch.func.grad(p, argnums=1)
        p_xx = torch.func.grad(torch.func.grad(p))
        flux = torch.func.grad(lambda x, t: p(x, t) * u(x, t))
        return p_t(x, t) + flux(x, t) - sigma**2 / 2 * p_xx(x, t)

    return torch.stack([residual(a, b) for a, b in zip(x, t, strict=True)])


@accepted("fokker_planck_residual")
def by_forward_derivatives(p, u, sigma, x, t):
    one = torch.ones_like(x)

    def along_x(f):
        return lambda x: torch.func.jvp(f, (x,), (one,))[1]

    p_t = torch.func.jvp(lambda t: p(x, t), (t,), (one,))[1]
    flux = along_x(lambda x: p(x, t) * u(x, t))(x)
    return p_t + flux - sigma**2 / 2 * along_x(along_x(lambda x: p(x, t)))(x)


@accepted("denoising_sde_step")
def in_two_half_steps(x, u, score, sigma, dt, noise):
    moved = x + u * dt
    return langevin(moved, score, sigma**2 * dt / 2, noise)


def langevin(x, score, step, noise):
    return x + step * score + math.sqrt(2 * step) * noise


@accepted("denoising_sde_step")
def with_a_brownian_increment(x, velocity, score, sigma, dt, noise):
    dw = torch.tensor(dt, dtype=x.dtype).sqrt() * noise
    drift = velocity + 0.5 * sigma * sigma * score
    return torch.addcmul(x + drift * dt, torch.full_like(x, sigma), dw)


@accepted("denoising_sde_step")
def added_in_place_to_a_copy(x, u, score, sigma, dt, noise):
    out = x.clone()
    out.add_(u, alpha=dt).add_(score, alpha=0.5 * sigma**2 * dt).add_(noise, alpha=sigma * dt**0.5)
    return out


@accepted("denoising_sde_step")
def as_one_weighted_sum(x, u, score, sigma, dt, noise):
    weights = torch.tensor([1, dt, dt * sigma**2 / 2, sigma * dt**0.5], dtype=x.dtype)
    return torch.tensordot(weights, torch.stack([x, u, score, noise]), dims=1)


@accepted("vp_sde")
def with_lerp(x, t, beta_min=0.1, beta_max=20.0):
    rate = torch.lerp(torch.full_like(t, beta_min), torch.full_like(t, beta_max), t)
    return torch.einsum("b,b...->b...", -0.5 * rate, x), torch.sqrt(rate)


@accepted("vp_sde")
def example_by_example_sde(x, t, beta_min=0.1, beta_max=20.0):
    rates = [(1 - time) * beta_min + time * beta_max for time in t]
    drift = torch.stack([-0.5 * rate * row for rate, row in zip(rates, x, strict=True)])
    return drift, torch.stack(rates) ** 0.5


@accepted("vp_sde")
def from_the_diffusion(x, t, low=0.1, high=20.0):
    g = torch.sqrt(low + (high - low) * t)
    return [-(g**2).view(-1, *[1] * (x.dim() - 1)) * x / 2, g]


@accepted("vp_marginal")
def by_the_logarithm_of_the_mean(t, beta_min=0.1, beta_max=20.0):
    log_mean = -0.25 * t**2 * (beta_max - beta_min) - 0.5 * t * beta_min
    return torch.exp(log_mean), torch.sqrt(1 - torch.exp(2 * log_mean))


@accepted("vp_marginal")
def with_the_mean_rate(t, beta_min=0.1, beta_max=20.0):
    rate_at_the_end = beta_min + t * (beta_max - beta_min)
    integral = t * (beta_min + rate_at_the_end) / 2  # the area of a trapezium
    m = math.e ** (-integral / 2)
    return m, (1 - m**2).clamp(min=0).sqrt()


@accepted("vp_marginal")
def of_alpha_bar(t, beta_min=0.1, beta_max=20.0):
    alpha_bar = torch.exp(-beta_min * t - (beta_max - beta_min) * t * t / 2)
    return alpha_bar.sqrt(), (1 - alpha_bar).sqrt()


@accepted("vp_marginal")
def as_two_sides_of_a_triangle(t, beta_min=0.1, beta_max=20.0):
    m = torch.exp(-beta_min / 2 * t) * torch.exp(-(beta_max - beta_min) / 4 * t.square())
    return m, torch.sqrt((1 - m) * (1 + m))


@accepted("vp_marginal")
def stably_in_double(t, beta_min=0.1, beta_max=20.0):
    time = t.double()
    integral = beta_min * (time - time**2 / 2) + beta_max * time**2 / 2
    return (-integral / 2).exp().to(t.dtype), (-torch.special.expm1(-integral)).sqrt().to(t.dtype)


@accepted("ve_sde")
def with_a_power(x, t, sigma_min=0.01, sigma_max=50.0):
    ratio = sigma_max / sigma_min
    return 0 * x, sigma_min * ratio**t * (2 * math.log(ratio)) ** 0.5


@accepted("ve_sde")
def interpolating_the_logarithms(x, t, sigma_min=0.01, sigma_max=50.0):
    low, high = math.log(sigma_min), math.log(sigma_max)
    sigma = torch.exp((1 - t) * low + t * high)
    return torch.zeros(x.shape, dtype=x.dtype), sigma * torch.tensor(2 * (high - low), dtype=t.dtype).sqrt()


@accepted("ve_sde")
def as_the_root_of_a_derivative(x, t, sigma_min=0.01, sigma_max=50.0):
    with torch.enable_grad():
        time = t.detach().clone().requires_grad_()
        variance = (sigma_min * (sigma_max / sigma_min) ** time) ** 2
        growth = torch.autograd.grad(variance.sum(), time)[0]
    return x.new_zeros(x.shape), growth.sqrt()


@accepted("ve_marginal")
def by_exponentials(t, sigma_min=0.01, sigma_max=50.0):
    return t.new_ones(t.shape), sigma_min * torch.exp(t * math.log(sigma_max / sigma_min))


@accepted("ve_marginal")
def as_a_geometric_mean(t, sigma_min=0.01, sigma_max=50.0):
    low, high = torch.tensor([sigma_min, sigma_max], dtype=t.dtype)
    return t**0, low ** (1 - t) * high**t


@accepted("ve_marginal")
def by_lerp_of_logarithms(t, sigma_min=0.01, sigma_max=50.0):
    ends = [torch.full_like(t, math.log(s)) for s in (sigma_min, sigma_max)]
    return torch.ones_like(t), torch.lerp(*ends, t).exp()


@accepted("reverse_sde_drift")
def with_einsum_over_examples(drift, diffusion, score):
    return drift - torch.einsum("b,b...->b...", diffusion**2, score)


@accepted("reverse_sde_drift")
def row_by_row(drift, diffusion, score):
    return torch.stack([f - g * g * s for f, g, s in zip(drift, diffusion, score, strict=True)])


@accepted("reverse_sde_drift")
def in_flat_columns(f, g, s):
    flat = torch.addcmul(f.flatten(1), g[:, None].square().expand(-1, f[0].numel()), s.flatten(1), value=-1)
    return flat.view_as(f)


@accepted("reverse_sde_drift")
def twice_the_way_to_the_flow(drift, diffusion, score):
    g = diffusion[(...,) + (None,) * (drift.dim() - 1)]
    flow = drift - 0.5 * g.pow(2) * score
    return 2 * flow - drift


@accepted("probability_flow_drift")
def with_einsum_over_halves(drift, diffusion, score):
    return drift - torch.einsum("b,b,b...->b...", diffusion, diffusion, score) / 2


@accepted("probability_flow_drift")
def row_after_row(f, g, s):
    out = f.clone()
    for i in range(len(out)):
        out[i] -= g[i] ** 2 / 2 * s[i]
    return out


@accepted("probability_flow_drift")
def halfway_to_the_reverse_drift(drift, diffusion, score):
    g = diffusion.view(-1, *[1] * (drift.ndim - 1))
    reverse = drift - g**2 * score
    return torch.lerp(drift, reverse, 0.5)


@accepted("probability_flow_drift")
def with_transposed_rows(drift, diffusion, score):
    n = len(diffusion)
    taken = 0.5 * diffusion.square() * score.reshape(n, -1).mT
    return drift - taken.mT.reshape(drift.shape)


@accepted("edm_preconditioning")
def as_in_the_table(sigma, sigma_data=0.5):
    c_skip = sigma_data**2 / (sigma**2 + sigma_data**2)
    c_out = sigma * sigma_data / (sigma_data**2 + sigma**2) ** 0.5
    c_in = 1 / (sigma_data**2 + sigma**2) ** 0.5
    return c_skip, c_out, c_in, torch.log(sigma) / 4


@accepted("edm_preconditioning")
def by_the_hypotenuse(sigma, sigma_data=0.5):
    std = torch.hypot(sigma, torch.full_like(sigma, sigma_data))
    c_in = std.reciprocal()
    return (sigma_data * c_in) ** 2, sigma_data * sigma * c_in, c_in, 0.25 * sigma.log()


@accepted("edm_preconditioning")
def by_the_ratio(sigma, sigma_data=0.5):
    r = sigma / sigma_data
    c_skip = 1 / (1 + r * r)
    return c_skip, sigma * c_skip.sqrt(), c_skip.sqrt() / sigma_data, torch.log2(sigma) * (math.log(2) / 4)


@accepted("edm_preconditioning")
def number_by_number(sigma, sigma_data=0.5):
    rows = []
    for s in sigma.reshape(-1):
        total = s * s + sigma_data * sigma_data
        rows.append(
            torch.stack([sigma_data**2 / total, s * sigma_data / total.sqrt(), total**-0.5, s.log() / 4])
        )
    return tuple(column.reshape(sigma.shape) for column in torch.stack(rows).unbind(-1))


@accepted("edm_sigmas")
def as_the_paper_writes_it(n, sigma_min=0.002, sigma_max=80.0, rho=7.0, dtype=torch.float32):
    i = torch.arange(n, dtype=torch.float64)
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return ((high + i / (n - 1) * (low - high)) ** rho).to(dtype)


@accepted("edm_sigmas")
def with_plain_numbers(n, sigma_min=0.002, sigma_max=80.0, rho=7.0, dtype=torch.float32):
    levels = []
    for i in range(n):
        w = i / (n - 1)
        levels.append(((1 - w) * sigma_max ** (1 / rho) + w * sigma_min ** (1 / rho)) ** rho)
    return torch.tensor(levels, dtype=dtype)


@accepted("edm_sigmas")
def turned_round(n, sigma_min=0.002, sigma_max=80.0, rho=7.0, dtype=torch.float32):
    roots = [sigma ** (1.0 / rho) for sigma in (sigma_min, sigma_max)]
    return torch.linspace(*roots, n, dtype=torch.float64).pow(rho).flip(0).to(dtype=dtype)


@accepted("edm_sigmas")
def in_the_dtype_itself(n, sigma_min=0.002, sigma_max=80.0, rho=7.0, dtype=torch.float32):
    ends = torch.tensor([sigma_max, sigma_min], dtype=dtype) ** (1 / rho)
    return torch.lerp(*ends, torch.linspace(0, 1, n, dtype=dtype)) ** rho
