"""Week 11: wrong ways to write the answers, each with the misunderstanding behind it."""

import torch

from autograder.author import mistake
from reference_impl import diffusion


@mistake(
    "linear_betas",
    "The square roots of your betas are equally spaced; in this schedule the betas themselves are.",
)
def scaled_linear(T, first=1e-4, last=0.02, dtype=torch.float32):
    return torch.linspace(first**0.5, last**0.5, T, dtype=torch.float64).square().to(dtype)


@mistake(
    "linear_betas",
    "Your betas stop one step before `last`: T values span T - 1 equal steps, both ends included.",
)
def end_excluded(T, first=1e-4, last=0.02, dtype=torch.float32):
    return torch.linspace(first, last, T + 1, dtype=torch.float64)[:-1].to(dtype)


@mistake(
    "linear_betas",
    "Your first beta is already one step above `first`: index 0 is the schedule's first value.",
)
def start_excluded(T, first=1e-4, last=0.02, dtype=torch.float32):
    return torch.linspace(first, last, T + 1, dtype=torch.float64)[1:].to(dtype)


@mistake("linear_betas", "Your schedule is turned round: index 0 is the step that adds the least noise.")
def turned_round(T, first=1e-4, last=0.02, dtype=torch.float32):
    return torch.linspace(first, last, T, dtype=torch.float64).flip(0).to(dtype)


@mistake("linear_betas", "Your betas grow by equal factors; a linear schedule grows by equal differences.")
def geometric(T, first=1e-4, last=0.02, dtype=torch.float32):
    exponents = torch.linspace(0, 1, T, dtype=torch.float64)
    return (first * (last / first) ** exponents).to(dtype)


@mistake(
    "linear_betas", "With T = 1 you divide zero by zero: there is no step between betas then, only `first`."
)
def divides_by_zero(T, first=1e-4, last=0.02, dtype=torch.float32):
    steps = torch.arange(T, dtype=torch.float64) / torch.tensor(T - 1, dtype=torch.float64)
    return (first + (last - first) * steps).to(dtype)


@mistake("linear_betas", "You return the alphas 1 - beta; the noise variances beta are asked for.")
def alphas(T, first=1e-4, last=0.02, dtype=torch.float32):
    return 1 - torch.linspace(first, last, T, dtype=torch.float64).to(dtype)


@mistake("linear_betas", "You return float32 whatever `dtype` says.")
def always_float32(T, first=1e-4, last=0.02, dtype=torch.float32):
    return torch.linspace(first, last, T, dtype=torch.float32)


@mistake("linear_betas", "You use 1e-4 and 0.02 whatever `first` and `last` say: they are only the defaults.")
def always_the_defaults(T, first=1e-4, last=0.02, dtype=torch.float32):
    return torch.linspace(1e-4, 0.02, T, dtype=torch.float64).to(dtype)


@mistake("linear_betas", "Your default for `last` is 0.2; it is 0.02.")
def another_default(T, first=1e-4, last=0.2, dtype=torch.float32):
    return torch.linspace(first, last, T, dtype=torch.float64).to(dtype)


@mistake("alpha_bars", "You multiply the betas; what remains of the data after a step is its share 1 - beta.")
def product_of_betas(betas):
    return torch.cumprod(betas, 0)


@mistake("alpha_bars", "You return alpha_t = 1 - beta_t; alpha_bar_t is the product of all alphas up to t.")
def not_accumulated(betas):
    return 1 - betas


@mistake(
    "alpha_bars",
    "Your product stops before step t: alpha_bar_t includes 1 - beta_t itself, so alpha_bar_0 is not 1.",
)
def current_step_excluded(betas):
    return torch.cumprod(torch.cat([torch.ones_like(betas[:1]), 1 - betas[:-1]]), 0)


@mistake(
    "alpha_bars",
    "You subtract the sum of the betas; that is the product only to first order, for tiny betas.",
)
def one_minus_the_sum(betas):
    return 1 - torch.cumsum(betas, 0)


@mistake(
    "alpha_bars",
    "exp(-sum of betas) is the limit of infinitely many tiny steps; here the factors are 1 - beta.",
)
def continuous_limit(betas):
    return torch.exp(-torch.cumsum(betas, 0))


@mistake(
    "alpha_bars",
    "You return sqrt(alpha_bar), the factor in front of x0; alpha_bar itself is a share of variance.",
)
def square_root(betas):
    return torch.cumprod(1 - betas, 0).sqrt()


@mistake("alpha_bars", "You multiply from the end backwards; alpha_bar_t collects the steps from 0 to t.")
def from_the_end(betas):
    return torch.cumprod((1 - betas).flip(0), 0).flip(0)


@mistake(
    "alpha_bars",
    "You return one number, the product over all steps; every step t has an alpha_bar of its own.",
)
def total_product(betas):
    return (1 - betas).prod()


@mistake(
    "alpha_bars", "You return 1 - alpha_bar, the variance of the noise; alpha_bar is the share of the data."
)
def share_of_the_noise(betas):
    return 1 - torch.cumprod(1 - betas, 0)


@mistake("alpha_bars", "You turn the caller's betas into alphas in place; work on a copy, as 1 - betas is.")
def overwrites_the_betas(betas):
    return betas.neg_().add_(1).cumprod(0)


def per_example(values, x):
    return values.reshape(-1, *[1] * (x.ndim - 1))


@mistake(
    "q_sample",
    "The square roots are missing: alpha_bar and 1 - alpha_bar are variances, you need standard deviations.",
)
def without_roots(x0, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x0)
    return bar * x0 + (1 - bar) * eps


@mistake(
    "q_sample",
    "You scale the noise by its variance 1 - alpha_bar; its standard deviation is the square root of that.",
)
def noise_without_root(x0, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x0)
    return bar.sqrt() * x0 + (1 - bar) * eps


@mistake("q_sample", "The two coefficients are swapped: at small t the data should dominate, not the noise.")
def swapped(x0, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x0)
    return (1 - bar).sqrt() * x0 + bar.sqrt() * eps


@mistake(
    "q_sample", "You use the first example's t for the whole batch; every example has a step of its own."
)
def first_t_for_all(x0, t, eps, alpha_bars):
    bar = alpha_bars[t[0]]
    return bar.sqrt() * x0 + (1 - bar).sqrt() * eps


@mistake("q_sample", "You look up t - 1, the papers' count from 1; here t indexes alpha_bars from 0.")
def counted_from_one(x0, t, eps, alpha_bars):
    return diffusion.q_sample(x0, (t - 1) % len(alpha_bars), eps, alpha_bars)


@mistake(
    "q_sample",
    "alpha_bar is broadcast along the last dimension; it belongs to the examples, so to the first one.",
)
def broadcast_along_the_last_dimension(x0, t, eps, alpha_bars):
    bar = alpha_bars[t]
    return bar.sqrt() * x0 + (1 - bar).sqrt() * eps


@mistake("q_sample", "You reshape alpha_bar for images (B, C, H, W); x0 may have any number of dimensions.")
def for_images_only(x0, t, eps, alpha_bars):
    bar = alpha_bars[t].reshape(-1, 1, 1, 1)
    return bar.sqrt() * x0 + (1 - bar).sqrt() * eps


@mistake("q_sample", "You take alpha_bar for the factor of x0; it is that factor's square.")
def amplitude_for_variance(x0, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x0)
    return bar * x0 + (1 - bar**2).sqrt() * eps


@mistake("q_sample", "You accumulate the product once more: alpha_bars already is the product of the alphas.")
def accumulated_twice(x0, t, eps, alpha_bars):
    return diffusion.q_sample(x0, t, eps, alpha_bars.cumprod(0))


@mistake(
    "q_sample",
    "The gradient with respect to x0 is cut; an encoder that gives x0 could not be trained through it.",
)
def detached(x0, t, eps, alpha_bars):
    return diffusion.q_sample(x0.detach(), t, eps, alpha_bars)


@mistake("q_sample", "You add the noise into x0 itself: the caller's data is no longer clean afterwards.")
def in_place(x0, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x0)
    x0 *= bar.sqrt()
    x0 += (1 - bar).sqrt() * eps
    return x0


@mistake(
    "q_sample",
    "You add noise with the whole variance 1 - alpha_bar and forget to shrink x0: the variance explodes.",
)
def data_not_shrunk(x0, t, eps, alpha_bars):
    return x0 + (1 - per_example(alpha_bars[t], x0)).sqrt() * eps


def ddim(x_t, a, b, eps, sigma, noise):
    """The step with all its numbers given; what is left of the variance never below zero."""
    x0 = (x_t - (1 - a) ** 0.5 * eps) / a**0.5
    return b**0.5 * x0 + (1 - b - sigma**2).clamp(min=0) ** 0.5 * eps + sigma * noise


def two_bars(alpha_bars, t, t_prev):
    return alpha_bars[t], alpha_bars[t_prev] if t_prev >= 0 else torch.ones_like(alpha_bars[0])


def ddim_sigma(a, b):
    return ((1 - b) / (1 - a) * (1 - a / b)) ** 0.5


@mistake(
    "ddim_step",
    "At t_prev = -1 you read alpha_bars[-1], the noisiest entry; before the first step alpha_bar is 1.",
)
def wraps_around(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = alpha_bars[t], alpha_bars[t_prev]
    sigma = eta * ((1 - b) / (1 - a) * (1 - a / b)).clamp(min=0) ** 0.5
    return ddim(x_t, a, b, eps, sigma, noise)


@mistake(
    "ddim_step",
    "At t_prev = -1 you stop at alpha_bars[0]; the data lies one step further, where alpha_bar is 1.",
)
def clamped_at_zero(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = alpha_bars[t], alpha_bars[max(t_prev, 0)]
    return ddim(x_t, a, b, eps, eta * ddim_sigma(a, b), noise)


@mistake(
    "ddim_step",
    "The coefficient of eps forgets sigma: with fresh noise added, sqrt(1 - b - sigma^2) is left for it, "
    "or the variance grows too large.",
)
def direction_without_sigma(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = two_bars(alpha_bars, t, t_prev)
    sigma = eta * ddim_sigma(a, b)
    return ddim(x_t, a, b, eps, 0 * sigma, noise) + sigma * noise


@mistake("ddim_step", "eta multiplies the standard deviation sigma; yours multiplies the variance.")
def eta_on_the_variance(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = two_bars(alpha_bars, t, t_prev)
    return ddim(x_t, a, b, eps, eta**0.5 * ddim_sigma(a, b), noise)


@mistake("ddim_step", "You step to t - 1 whatever t_prev says: DDIM may skip steps.")
def always_adjacent(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = two_bars(alpha_bars, t, t - 1)
    return ddim(x_t, a, b, eps, eta * ddim_sigma(a, b), noise)


@mistake(
    "ddim_step",
    "Your sigma is the forward step's, sqrt(1 - a / b); the posterior's has sqrt((1 - b) / (1 - a)) as well.",
)
def forward_variance(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = two_bars(alpha_bars, t, t_prev)
    return ddim(x_t, a, b, eps, eta * (1 - a / b) ** 0.5, noise)


@mistake("ddim_step", "You use the variance where sigma, its square root, belongs.")
def variance_for_sigma(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = two_bars(alpha_bars, t, t_prev)
    return ddim(x_t, a, b, eps, eta * ddim_sigma(a, b) ** 2, noise)


@mistake("ddim_step", "You don't divide by sqrt(a) when you predict x0 from x_t.")
def prediction_not_rescaled(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = two_bars(alpha_bars, t, t_prev)
    sigma = eta * ddim_sigma(a, b)
    x0 = x_t - (1 - a) ** 0.5 * eps
    return b**0.5 * x0 + (1 - b - sigma**2).clamp(min=0) ** 0.5 * eps + sigma * noise


@mistake("ddim_step", "You never add the noise: eta is ignored, and the step is deterministic.")
def ignores_eta(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    return diffusion.ddim_step(x_t, t, t_prev, eps, alpha_bars, 0.0, noise)


@mistake("ddim_step", "You add the full posterior noise whatever eta says.")
def eta_is_always_one(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    return diffusion.ddim_step(x_t, t, t_prev, eps, alpha_bars, 1.0, noise)


@mistake(
    "ddim_step", "The direction to x_t takes the predicted noise eps; you use the fresh noise there as well."
)
def fresh_noise_for_direction(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = two_bars(alpha_bars, t, t_prev)
    sigma = eta * ddim_sigma(a, b)
    x0 = (x_t - (1 - a) ** 0.5 * eps) / a**0.5
    return b**0.5 * x0 + ((1 - b - sigma**2).clamp(min=0) ** 0.5 + sigma) * noise


@mistake(
    "ddim_step", "You accumulate the product once more: alpha_bars already is the product of the alphas."
)
def accumulates_once_more(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    return diffusion.ddim_step(x_t, t, t_prev, eps, alpha_bars.cumprod(0), eta, noise)


@mistake("ddim_step", "You turn x_t into the predicted x0 in place: the caller's x_t is lost.")
def overwrites_x_t(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = two_bars(alpha_bars, t, t_prev)
    sigma = eta * ddim_sigma(a, b)
    x_t -= (1 - a) ** 0.5 * eps
    x_t /= a**0.5
    return b**0.5 * x_t + (1 - b - sigma**2).clamp(min=0) ** 0.5 * eps + sigma * noise


def sampler(model, x, betas, noises, steps=None, weight=None, std=None, keep=None, shown=None, index=None):
    """DDPM with one thing changed: each argument, a function of (t, betas, bars), replaces what is right."""
    bars = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones_like(bars[:1]), bars[:-1]])
    for t in reversed(range(len(betas))) if steps is None else steps:
        eps = model(x, torch.full((len(x),), shown(t) if shown else t))
        coefficient = weight(t, betas, bars) if weight else betas[t] / (1 - bars[t]).sqrt()
        x = (x - coefficient * eps) / (keep(t, betas, bars) if keep else (1 - betas[t]).sqrt())
        posterior = (betas[t] * (1 - before[t]) / (1 - bars[t])).sqrt()
        x = x + (std(t, posterior, betas) if std else posterior) * noises[index(t) if index else t]
    return x


@mistake(
    "sample",
    "You add noise with the variance beta_t of the forward step; the posterior's is asked for, smaller by "
    "the factor (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t).",
)
def with_the_forward_variance(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, std=lambda t, posterior, betas: betas[t].sqrt() if t else 0)


@mistake(
    "sample", "You add noise at t = 0 too: the last step ends at the data, whose variance given x_0 is zero."
)
def noise_at_the_end(model, x_T, betas, noises):
    return sampler(
        model, x_T, betas, noises, std=lambda t, posterior, betas: posterior if t else betas[0].sqrt()
    )


@mistake(
    "sample",
    "You take the noises in the order of the steps; noises[t] belongs to step t, so the last comes first.",
)
def noises_in_order_of_use(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, index=lambda t: len(betas) - 1 - t)


@mistake("sample", "You go from t = 0 upwards; sampling starts at the noisiest step, T - 1.")
def forwards_in_time(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, steps=range(len(betas)))


@mistake("sample", "You leave out the step t = 0: the loop stops before it gets to the data.")
def stops_before_zero(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, steps=range(len(betas) - 1, 0, -1))


@mistake("sample", "You call the model with t + 1, the papers' count from 1; here t counts from 0.")
def model_counts_from_one(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, shown=lambda t: t + 1)


@mistake(
    "sample", "You call the model with t = T - 1 at every step; it must be told the step at which it is."
)
def model_sees_the_first_t(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, shown=lambda t: len(betas) - 1)


@mistake("sample", "The model gets t / T; it was trained on the integer step t.")
def model_sees_a_fraction(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, shown=lambda t: t / len(betas))


@mistake(
    "sample", "You call the model twice per step; once is enough, and each call costs a network evaluation."
)
def calls_the_model_twice(model, x_T, betas, noises):
    def again(x, t):
        model(x, t)
        return model(x, t)

    return diffusion.sample(again, x_T, betas, noises)


@mistake(
    "sample",
    "You divide by sqrt(1 - alpha_t); the noise of all steps together is predicted: sqrt(1 - alpha_bar_t).",
)
def alpha_for_alpha_bar(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, weight=lambda t, betas, bars: betas[t].sqrt())


@mistake(
    "sample",
    "You subtract the whole noise sqrt(1 - alpha_bar_t) eps at each step; a step undoes only its own share.",
)
def removes_all_the_noise(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, weight=lambda t, betas, bars: (1 - bars[t]).sqrt())


@mistake(
    "sample",
    "The mean is not divided by sqrt(alpha_t): a forward step shrinks x, so the way back enlarges it.",
)
def not_rescaled(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, keep=lambda t, betas, bars: torch.ones_like(betas[t]))


@mistake(
    "sample", "You scale the noise by the variance; its square root, the standard deviation, belongs there."
)
def variance_for_std(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, std=lambda t, posterior, betas: posterior**2)


@mistake("sample", "You never add fresh noise: this is no draw from the posteriors, only their means.")
def means_only(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, std=lambda t, posterior, betas: 0)


@mistake(
    "sample",
    "You denoise x_T in place: the caller's noise is gone, and a second sample would start elsewhere.",
)
def overwrites_the_start(model, x_T, betas, noises):
    return x_T.copy_(diffusion.sample(model, x_T, betas, noises))


@mistake("sample", "You return all the states on the way; only the last one is the sample.")
def whole_trajectory(model, x_T, betas, noises):
    states = []

    def watched(x, t):
        states.append(x)
        return model(x, t)

    return torch.stack([diffusion.sample(watched, x_T, betas, noises), *reversed(states)])


@mistake("sample", "You clip the predicted data; the sampler of the paper's algorithm 2 leaves it as it is.")
def clips_the_predicted_data(model, x_T, betas, noises):
    bars = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones_like(bars[:1]), bars[:-1]])
    x = x_T
    for t in reversed(range(len(betas))):
        x0 = (x - (1 - bars[t]).sqrt() * model(x, torch.full((len(x),), t))) / bars[t].sqrt()
        kept = (1 - betas[t]).sqrt() * (1 - before[t]) * x
        mean = (before[t].sqrt() * betas[t] * x0.clamp(-5, 5) + kept) / (1 - bars[t])
        x = mean + (betas[t] * (1 - before[t]) / (1 - bars[t])).sqrt() * noises[t]
    return x


@mistake("linear_betas", "Where no dtype is given the betas should be float32.")
def float64_by_default(T, first=1e-4, last=0.02, dtype=torch.float64):
    return diffusion.linear_betas(T, first, last, dtype)
