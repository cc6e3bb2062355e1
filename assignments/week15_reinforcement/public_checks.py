"""Week 15: the checks that students have too."""

import math

import torch

from autograder.author import check, close, holds
from autograder.probes import Generator


def normalised(p):
    """Probabilities that add up to 1 in any dtype."""
    return p / p.sum(-1, keepdim=True)


@check("trajectory_log_prob", examples=1)
def multiplies_start_choice_and_move(trajectory_log_prob, p0):
    """Start 1/2, action 1/4, move 1/3, action 3/4, move 1/6: the trajectory has probability 1/192."""
    move = p0.new_tensor([[[2 / 3, 1 / 3], [1 / 2, 1 / 2]], [[1 / 4, 3 / 4], [1 / 6, 5 / 6]]])
    choose = p0.new_tensor([[1 / 4, 3 / 4], [1 / 4, 3 / 4]])
    log_p = trajectory_log_prob(
        p0.new_tensor([1 / 2, 1 / 2]), move, choose, torch.tensor([0, 1, 0]), torch.tensor([0, 1])
    )
    close(log_p, p0.new_tensor(-math.log(192)))


@check("trajectory_log_prob", examples=16)
def has_probabilities_that_add_up_to_one(trajectory_log_prob, p0, P, pi):
    """Over all trajectories with one action, s_0, a_0, s_1, the probabilities add up to 1."""
    n, m = pi.shape
    first, action, second = torch.cartesian_prod(torch.arange(n), torch.arange(m), torch.arange(n)).T
    tables = [normalised(p) for p in (p0, P, pi)]
    log_p = trajectory_log_prob(*tables, torch.stack([first, second]), action[None])
    close(log_p.exp().sum(), 1 + 0 * p0.sum())


@check("policy_evaluation", examples=4)
def sums_the_geometric_series(policy_evaluation, P, pi, gamma):
    """A reward of 1 in every step is worth 1 + gamma + gamma^2 + ... = 1 / (1 - gamma), whatever one does."""
    values = policy_evaluation(normalised(P), torch.ones_like(pi), normalised(pi), gamma)
    close(values, torch.ones_like(pi[:, 0]) / (1 - gamma))


@check("policy_evaluation", examples=1)
def follows_the_policy(policy_evaluation, P):
    """Staying in state 0 pays 1; one leaves it with probability 1/4: V(0) = 3/4 + 3/4 gamma V(0)."""
    move = P.new_tensor([[[1, 0], [0, 1]], [[0, 1], [0, 1]]])
    rewards, choose = P.new_tensor([[1, 0], [0, 0]]), P.new_tensor([[0.75, 0.25], [0.5, 0.5]])
    close(policy_evaluation(move, rewards, choose, 0.5), P.new_tensor([1.2, 0]))


@check("value_iteration", examples=1)
def looks_as_far_as_it_sweeps(value_iteration, P):
    """From state 2 to 1 to 0, which pays 1: news of it travels one state per sweep, at half the worth."""
    move = P.new_tensor([[[1, 0, 0]], [[1, 0, 0]], [[0, 1, 0]]])
    for sweeps, values in ((0, [0, 0, 0]), (1, [1, 0, 0]), (2, [1.5, 0.5, 0]), (3, [1.75, 0.75, 0.25])):
        close(value_iteration(move, P.new_tensor([[1], [0], [0]]), 0.5, sweeps), P.new_tensor(values))


@check("value_iteration", examples=16)
def takes_the_best_reward_in_one_sweep(value_iteration, P, R, gamma):
    """With one sweep nothing counts but the present: the largest reward in each state."""
    close(value_iteration(P, R, gamma, 1), R.max(-1).values)


@check("discounted_return", examples=1)
def gives_the_worked_return(discounted_return, rewards):
    """Rewards 1, 2, 3, 4 at gamma = 1/2 are worth 1 + 1 + 3/4 + 1/2 = 3.25."""
    close(discounted_return(rewards.new_tensor([1, 2, 3, 4]), 0.5), rewards.new_tensor(3.25))


@check("rewards_to_go", examples=1)
def gives_the_worked_returns(rewards_to_go, rewards):
    """Rewards 1, 2, 3, 4, an end after the second, gamma = 1/2 and 8 to come: the returns are 2, 2, 7, 8."""
    earned, dones = rewards.new_tensor([1, 2, 3, 4]), rewards.new_tensor([0, 1, 0, 0])
    close(rewards_to_go(earned, dones, 0.5, rewards.new_tensor(8)), rewards.new_tensor([2, 2, 7, 8]))


@check("rewards_to_go")
def nothing_flows_back_across_an_end(rewards_to_go, rewards, dones, gamma, last_value):
    """The returns up to the end of an episode don't know what comes after; the reward at the end counts."""
    end = len(rewards) // 2
    ended = dones.clone()
    ended[end] = 1
    other = rewards.clone()
    other[end + 1 :] += 1
    returns = rewards_to_go(rewards, ended, gamma, last_value)
    close(returns[: end + 1], rewards_to_go(other, ended, gamma, last_value + 1)[: end + 1])
    close(returns[end], rewards[end])


@check("categorical_log_prob", examples=16)
def has_action_probabilities_that_add_up_to_one(categorical_log_prob, logits):
    """Over all actions, the probabilities add up to 1."""
    every = torch.arange(logits.shape[-1])
    total = sum(categorical_log_prob(logits, torch.full(logits.shape[:-1], int(a))).exp() for a in every)
    close(total, torch.ones_like(logits[..., 0]))


@check("categorical_log_prob", examples=1)
def gives_worked_log_probabilities(categorical_log_prob, logits):
    """Logits 0 and ln 3 mean probabilities 1/4 and 3/4."""
    rows = logits.new_tensor([[0, math.log(3)]] * 2)
    expected = logits.new_tensor([0.25, 0.75]).log()
    close(categorical_log_prob(rows, torch.tensor([0, 1])), expected)


@check("diagonal_gaussian_log_prob", examples=4)
def gives_a_worked_density(diagonal_gaussian_log_prob, a):
    """One sigma from the mean, sigma = 2, it is -(1 + ln 4 + ln 2 pi) / 2 = -2.112086 per dimension."""
    one = torch.ones_like(a)
    expected = -0.5 * (1 + math.log(4) + math.log(2 * math.pi)) * one.sum(-1)
    close(diagonal_gaussian_log_prob(3 * one, one, math.log(2) * one), expected)


@check("diagonal_gaussian_log_prob", examples=16)
def integrates_to_one(diagonal_gaussian_log_prob, mean, log_std):
    """It is the logarithm of a density: in one dimension, the area under it, out to 8 sigma, is 1."""
    mean, log_std = mean[0, :1], log_std[0, :1]
    a = mean + torch.arange(-16, 17)[:, None] / 2 * log_std.exp()  # (33, 1)
    log_density = diagonal_gaussian_log_prob(a, mean.expand(33, 1), log_std.expand(33, 1))
    close(log_density.exp().sum(0) * log_std.exp() / 2, torch.ones_like(log_std))


@check("tanh_gaussian_sample", examples=4)
def gives_a_worked_draw(tanh_gaussian_sample, mean):
    """From u = ln 2, std 1, noise 0 comes 3/5, with log-density -0.918939 - ln(1 - 0.36) per dimension."""
    one = torch.ones_like(mean)
    expected = (-0.5 * math.log(2 * math.pi) - math.log(0.64)) * one.sum(-1)
    close(tanh_gaussian_sample(math.log(2) * one, 0 * one, 0 * one), (0.6 * one, expected))


@check("tanh_gaussian_sample", examples=16)
def is_the_same_on_both_sides(tanh_gaussian_sample, mean, log_std, noise):
    """Mean and noise with the sign turned give the opposite action, at the same density."""
    action, log_prob = tanh_gaussian_sample(mean, log_std, noise)
    close(tanh_gaussian_sample(-mean, log_std, -noise), (-action, log_prob))


@check("exact_policy_gradient", examples=16)
def does_not_see_the_baseline(exact_policy_gradient, logits, rewards, baseline):
    """Any baseline gives the same gradient: the expectation of the score is 0."""
    close(
        exact_policy_gradient(logits, rewards, baseline + 3), exact_policy_gradient(logits, rewards, baseline)
    )


@check("exact_policy_gradient", examples=1)
def gives_the_worked_gradient(exact_policy_gradient, logits):
    """Arms with probabilities 1/4 and 3/4 that pay 4 and 0: 1 on average, and the gradient is (3/4, -3/4)."""
    arms, pays = logits.new_tensor([0, math.log(3)]), logits.new_tensor([4, 0])
    close(exact_policy_gradient(arms, pays, 0.5), logits.new_tensor([0.75, -0.75]))


@check("policy_gradient_loss", examples=1)
def gives_the_worked_loss(policy_gradient_loss, weights):
    """Log-probabilities -1 and -2 with weights 3 and -1/2 have the mean product -1: the loss is 1."""
    log_probs, worth = weights.new_tensor([-1, -2]), weights.new_tensor([3, -0.5])
    close(policy_gradient_loss(log_probs, worth), weights.new_tensor(1))


@check("policy_gradient_loss", examples=12)
def pulls_each_action_by_its_weight(policy_gradient_loss, log_probs, weights):
    """Descent raises log-probabilities in proportion to their weights: the gradient is -weight / n."""
    asked = {"wrt": [0], "cotangents": [1 + 0 * weights.sum()]}
    (gradient,) = policy_gradient_loss.ask([log_probs, weights], **asked)["gradients"]
    close(0 * weights if gradient is None else gradient, -weights / weights.numel())


@check("value_loss", examples=1)
def gives_the_worked_error(value_loss, values):
    """Values 1 and 2 for returns 3 and 1 are off by 2 and 1: the loss is (4 + 1) / 2."""
    close(value_loss(values.new_tensor([1, 2]), values.new_tensor([3, 1])), values.new_tensor(2.5))


@check("value_loss", examples=12)
def moves_the_values_alone(value_loss, values, returns):
    """The returns are targets: no gradient reaches them."""
    asked = {"wrt": [1], "cotangents": [1 + 0 * values.sum()]}
    (gradient,) = value_loss.ask([values, returns], **asked)["gradients"]
    close(0 * returns if gradient is None else gradient, 0 * returns)


@check("gae", examples=1)
def gives_the_worked_advantages(gae, rewards):
    """Six steps, an episode that ends at t = 2, gamma = 0.9, lambda = 0.8: the last advantage is 3.14."""
    earned = rewards.new_tensor([1, 0, 2, -1, 0.5, 3])
    values = rewards.new_tensor([0.5, 0.2, 0.1, 0.7, 0.3, 0.4])
    dones = rewards.new_tensor([0, 0, 1, 0, 0, 0])
    expected = rewards.new_tensor([1.58576, 1.258, 1.9, 0.600976, 2.8208, 3.14])
    close(gae(earned, values, dones, rewards.new_tensor(0.6), 0.9, 0.8), (expected, expected + values))


@check("gae")
def with_lambda_0_sees_one_step(gae, rewards, values, dones, last_value, gamma):
    """At lambda = 0 the advantage is the temporal difference r_t + gamma V(s_{t+1}) - V(s_t), cut at ends."""
    following = torch.cat([values[1:], last_value[None]])
    advantages, _ = gae(rewards, values, dones, last_value, gamma, 0.0)
    close(advantages, rewards + gamma * (1 - dones) * following - values)


@check("normalize_advantages")
def has_mean_0_and_standard_deviation_1(normalize_advantages, advantages):
    """The mean becomes 0 and the unbiased standard deviation 1 (less 1e-8), over all elements together."""
    normalized, std = normalize_advantages(advantages), advantages.std()
    close(1 + normalized.mean(), 1 + 0 * std)
    close(normalized.std(), std / (std + 1e-8))


@check("ppo_clip_loss", examples=1)
def clips_on_one_side_only(ppo_clip_loss, advantages):
    """With clip 0.2, ratio and advantage (1.5, 1) count 1.2; (1.5, -1) -1.5; (0.5, 1) 0.5; (0.5, -1) -0.8."""
    old = advantages.new_tensor([-1])
    for ratio, advantage, counts in ((1.5, 1, 1.2), (1.5, -1, -1.5), (0.5, 1, 0.5), (0.5, -1, -0.8)):
        new = old + advantages.new_tensor([ratio]).log()
        close(
            ppo_clip_loss(new, old, advantages.new_tensor([advantage]), 0.2), advantages.new_tensor(-counts)
        )


@check("ppo_clip_loss")
def clips_at_one_fifth_by_default(ppo_clip_loss, log_probs, old_log_probs, advantages):
    """Where no clip is given, it is 0.2."""
    default = ppo_clip_loss(log_probs, old_log_probs, advantages)
    close(default, ppo_clip_loss(log_probs, old_log_probs, advantages, 0.2))


@check("ppo_clip_loss")
def starts_at_minus_the_mean_advantage(ppo_clip_loss, log_probs, advantages, clip):
    """While both policies agree every ratio is 1, so the loss is minus the mean advantage."""
    close(ppo_clip_loss(log_probs, log_probs, advantages, clip), -advantages.mean())


X = torch.arange(10.0)
# The transitions of the checks: number k is row k of each field, and its action is k.
FIELDS = (torch.stack([X, -X], 1), X.long(), 10 * X, torch.stack([X + 0.5, 0.25 - X], 1), X % 2)


def transition(number):
    return [field[number] for field in FIELDS]


def filled(ReplayBuffer, capacity, steps):
    """A buffer to which transitions 1 ... steps were added."""
    buffer = ReplayBuffer(capacity)
    for number in range(1, steps + 1):
        buffer.add(*transition(number))
    return buffer


def numbers_in(batch, size):
    """The numbers of the transitions in a batch of five stacked tensors."""
    fields = isinstance(batch, (tuple, list)) and len(batch) == 5 and isinstance(batch[1], torch.Tensor)
    holds(fields, "sample gives five tensors: (states, actions, rewards, next_states, dones)")
    holds(
        batch[1].shape == (size,), "sample(batch_size, generator) stacks batch_size actions into one tensor"
    )
    return batch[1].tolist()


@check("ReplayBuffer")
def forgets_the_oldest_first(ReplayBuffer):
    """With room for three, a buffer that was given 1, 2, 3, 4, 5 holds 3, 4 and 5, and its length is 3."""
    buffer = ReplayBuffer(3)
    for number in range(1, 6):
        buffer.add(*transition(number))
        length = min(number, 3)
        holds(len(buffer) == length, f"len(buffer) is {length} after {number} transitions")
    # All three are drawn in 72 draws but for one right answer in 10^12.
    drawn = {n for seed in range(24) for n in numbers_in(buffer.sample(3, Generator(seed)), 3)}
    holds(drawn == {3, 4, 5}, "3, 4 and 5 are drawn, and no others")


@check("ReplayBuffer")
def draws_from_the_generator_alone(ReplayBuffer):
    """The same seed gives the same batch again, and other seeds give other batches."""
    buffer = filled(ReplayBuffer, 8, 8)
    batches = [buffer.sample(4, Generator(seed)) for seed in range(12)]
    for seed, batch in enumerate(batches):
        close(buffer.sample(4, Generator(seed)), batch)
    drawn = {tuple(numbers_in(batch, 4)) for batch in batches}
    holds(len(drawn) > 1, "batches drawn by generators with different seeds differ")
