"""Week 15: wrong ways to write the answers, each with the misunderstanding behind it."""

import math

import torch
import torch.nn.functional as F

from autograder.author import mistake
from reference_impl import reinforcement


def of_steps(P, pi, states, actions):
    """The policy's and the world's probabilities, step by step."""
    return pi[states[:-1], actions], P[states[:-1], actions, states[1:]]


@mistake("trajectory_log_prob", "You leave the first state out: it has a probability too, p0(s_0).")
def without_the_start(p0, P, pi, states, actions):
    chosen, moved = of_steps(P, pi, states, actions)
    return (chosen.log() + moved.log()).sum(0)


@mistake("trajectory_log_prob", "You count the actions alone: the world draws its states, with P(s'|s, a).")
def without_the_world(p0, P, pi, states, actions):
    return p0[states[0]].log() + of_steps(P, pi, states, actions)[0].log().sum(0)


@mistake("trajectory_log_prob", "You count the states alone: the policy draws its actions, with pi(a|s).")
def without_the_policy(p0, P, pi, states, actions):
    return p0[states[0]].log() + of_steps(P, pi, states, actions)[1].log().sum(0)


@mistake(
    "trajectory_log_prob", "You ask P backwards: P[s, a, s'] goes from the state before to the one after."
)
def backwards_in_time(p0, P, pi, states, actions):
    moved = P[states[1:], actions, states[:-1]]
    return p0[states[0]].log() + (of_steps(P, pi, states, actions)[0].log() + moved.log()).sum(0)


@mistake(
    "trajectory_log_prob", "You ask the policy in the state after the action: it chose in the one before."
)
def policy_in_the_next_state(p0, P, pi, states, actions):
    moved = of_steps(P, pi, states, actions)[1]
    return p0[states[0]].log() + (pi[states[1:], actions].log() + moved.log()).sum(0)


@mistake("trajectory_log_prob", "You leave the last move out: the state that the last action led to counts.")
def without_the_last_move(p0, P, pi, states, actions):
    chosen, moved = of_steps(P, pi, states, actions)
    return p0[states[0]].log() + chosen.log().sum(0) + moved[:-1].log().sum(0)


@mistake(
    "trajectory_log_prob",
    "You multiply probabilities first: of a long trajectory that is 0 in a float. Add logarithms.",
)
def logarithm_of_the_product(p0, P, pi, states, actions):
    chosen, moved = of_steps(P, pi, states, actions)
    return (p0[states[0]] * (chosen * moved).prod(0)).log()


@mistake(
    "trajectory_log_prob", "You add a small constant in the logarithm: what cannot happen has -infinity."
)
def with_an_epsilon(p0, P, pi, states, actions):
    chosen, moved = of_steps(P, pi, states, actions)
    return (p0[states[0]] + 1e-8).log() + ((chosen + 1e-8).log() + (moved + 1e-8).log()).sum(0)


@mistake("trajectory_log_prob", "You sum over the batch too: every trajectory has a probability of its own.")
def one_for_the_whole_batch(p0, P, pi, states, actions):
    return reinforcement.trajectory_log_prob(p0, P, pi, states, actions).sum()


@mistake("trajectory_log_prob", "This is the probability; asked is its logarithm.")
def the_probability_itself(p0, P, pi, states, actions):
    return reinforcement.trajectory_log_prob(p0, P, pi, states, actions).exp()


def solve(P_pi, r_pi, gamma):
    return torch.linalg.solve(torch.eye(len(r_pi), dtype=r_pi.dtype) - gamma * P_pi, r_pi)


@mistake("policy_evaluation", "You weigh all actions alike: the policy says how often each is taken.")
def uniform_policy(P, R, pi, gamma):
    return solve(P.mean(1), R.mean(1), gamma)


@mistake(
    "policy_evaluation", "Your rewards are not averaged over the policy: r_pi(s) = sum_a pi(a|s) R(s, a)."
)
def rewards_of_a_uniform_policy(P, R, pi, gamma):
    return solve(torch.einsum("sa,sat->st", pi, P), R.mean(1), gamma)


@mistake("policy_evaluation", "These are the values of the best action: asked are those of the given policy.")
def values_of_the_best_action(P, R, pi, gamma):
    return reinforcement.value_iteration(P, R, gamma, 200)


@mistake("policy_evaluation", "Your matrix is transposed: row s holds the probabilities of leaving s.")
def transposed(P, R, pi, gamma):
    return solve(torch.einsum("sa,sat->ts", pi, P), (pi * R).sum(-1), gamma)


@mistake("policy_evaluation", "The sign is turned: V = r + gamma P V means (1 - gamma P) V = r.")
def plus_for_minus(P, R, pi, gamma):
    return solve(torch.einsum("sa,sat->st", pi, P), (pi * R).sum(-1), -gamma)


@mistake("policy_evaluation", "Twenty sweeps come close to the values, no more: solve the linear system.")
def twenty_sweeps(P, R, pi, gamma):
    values = torch.zeros_like(R[:, 0])
    for _ in range(20):
        values = (pi * (R + gamma * P @ values)).sum(-1)
    return values


@mistake("policy_evaluation", "This is the value of the next state: the reward of the present comes first.")
def without_the_present(P, R, pi, gamma):
    P_pi = torch.einsum("sa,sat->st", pi, P)
    return gamma * P_pi @ solve(P_pi, (pi * R).sum(-1), gamma)


@mistake("policy_evaluation", "You return a value for each action: asked is one for each state.")
def action_values(P, R, pi, gamma):
    return R + gamma * P @ reinforcement.policy_evaluation(P, R, pi, gamma)


@mistake("policy_evaluation", "You discount the reward of the present too: it counts in full.")
def discounts_the_reward(P, R, pi, gamma):
    return solve(torch.einsum("sa,sat->st", pi, P), gamma * (pi * R).sum(-1), gamma)


@mistake("value_iteration", "You sweep once too often: from V = 0, one sweep gives the best reward.")
def one_sweep_too_many(P, R, gamma, n_iter):
    return reinforcement.value_iteration(P, R, gamma, n_iter + 1)


@mistake("value_iteration", "You sweep once too little: range(1, n) has n - 1 entries.")
def one_sweep_too_few(P, R, gamma, n_iter):
    return reinforcement.value_iteration(P, R, gamma, max(0, n_iter - 1))


@mistake(
    "value_iteration",
    "You overwrite values during a sweep: all states take those of the sweep before.",
)
def in_place(P, R, gamma, n_iter):
    values = torch.zeros_like(R[:, 0])
    for _ in range(n_iter):
        for s in range(len(R)):
            values[s] = (R[s] + gamma * P[s] @ values).max()
    return values


@mistake("value_iteration", "You average over the actions: that is the value of choosing at random.")
def mean_for_max(P, R, gamma, n_iter):
    values = torch.zeros_like(R[:, 0])
    for _ in range(n_iter):
        values = (R + gamma * P @ values).mean(-1)
    return values


@mistake(
    "value_iteration", "You take two maxima: the action of the best reward must also be the one that moves."
)
def two_maxima(P, R, gamma, n_iter):
    values = torch.zeros_like(R[:, 0])
    for _ in range(n_iter):
        values = R.amax(-1) + gamma * (P @ values).amax(-1)
    return values


@mistake("value_iteration", "You maximise over the states: the maximum is over the actions, for each state.")
def max_over_states(P, R, gamma, n_iter):
    values = torch.zeros_like(R[:, 0])
    for _ in range(n_iter):
        values = (R + gamma * P @ values).amax(0).amax().expand(len(R))
    return values.clone()


@mistake("value_iteration", "Nothing is discounted: what comes a step later counts gamma times as much.")
def undiscounted(P, R, gamma, n_iter):
    return reinforcement.value_iteration(P, R, 1.0, n_iter)


@mistake(
    "value_iteration",
    "You go on from the largest next value: the world, not the agent, draws the next state.",
)
def optimistic_about_the_world(P, R, gamma, n_iter):
    values = torch.zeros_like(R[:, 0])
    for _ in range(n_iter):
        values = (R + gamma * torch.where(P > 0, values, -math.inf).amax(-1)).amax(-1)
    return values


@mistake("value_iteration", "You return a value for each action: asked is the best of them, for each state.")
def values_of_actions(P, R, gamma, n_iter):
    return R + gamma * P @ reinforcement.value_iteration(P, R, gamma, max(0, n_iter - 1))


@mistake("discounted_return", "You discount the first reward too: it counts in full, r_t gamma^t times.")
def discount_from_the_first(rewards, gamma):
    return gamma * reinforcement.discounted_return(rewards, gamma)


@mistake("discounted_return", "You count from the end: the first reward counts in full, the last one least.")
def from_the_end(rewards, gamma):
    return reinforcement.discounted_return(rewards.flip(0), gamma)


@mistake("discounted_return", "Nothing is discounted: gamma makes what comes later count less.")
def plain_sum(rewards, gamma):
    return rewards.sum(0)


@mistake("discounted_return", "You discount all but the first reward by gamma alone: it is gamma^t.")
def one_discount_for_all(rewards, gamma):
    return rewards[0] + gamma * rewards[1:].sum(0)


@mistake("discounted_return", "You sum over the episodes too: each has a return of its own.")
def over_all_episodes(rewards, gamma):
    return reinforcement.discounted_return(rewards, gamma).sum()


@mistake("discounted_return", "You divide by the weights: a return is a sum, not an average.")
def weighted_average(rewards, gamma):
    return reinforcement.discounted_return(rewards, gamma) / sum(gamma**t for t in range(len(rewards)))


@mistake("discounted_return", "You give the returns of all steps; asked is that of the first.")
def of_every_step(rewards, gamma):
    zeros = torch.zeros_like(rewards)
    return reinforcement.rewards_to_go(rewards, zeros, gamma, zeros[0])


@mistake("discounted_return", "You leave the last reward out: an episode of T steps has T rewards.")
def without_the_last_reward(rewards, gamma):
    return reinforcement.discounted_return(torch.cat([rewards[:-1], 0 * rewards[-1:]]), gamma)


@mistake("discounted_return", "You take time for the last dimension: it is the first, dimension 0.")
def time_is_last(rewards, gamma):
    return reinforcement.discounted_return(rewards.movedim(-1, 0), gamma)


def backwards(rewards, keep, gamma, last_value):
    """The recursion that most answers share: G = r + gamma keep G."""
    returns, future = torch.zeros_like(rewards), last_value
    for t in reversed(range(len(rewards))):
        future = rewards[t] + gamma * keep[t] * future
        returns[t] = future
    return returns


@mistake("rewards_to_go", "You ignore `dones`: rewards of the next episode flow back into the one before.")
def ignores_dones(rewards, dones, gamma, last_value):
    return backwards(rewards, torch.ones_like(dones), gamma, last_value)


@mistake(
    "rewards_to_go", "You look at the next step's flag: dones[t] itself says that nothing follows step t."
)
def done_of_the_next_step(rewards, dones, gamma, last_value):
    following = torch.cat([dones[1:], torch.zeros_like(dones[:1])])
    return backwards(rewards, 1 - following, gamma, last_value)


@mistake(
    "rewards_to_go", "You look at the previous step's flag: dones[t] itself says that nothing follows step t."
)
def done_of_the_previous_step(rewards, dones, gamma, last_value):
    previous = torch.cat([torch.zeros_like(dones[:1]), dones[:-1]])
    return backwards(rewards, 1 - previous, gamma, last_value)


@mistake(
    "rewards_to_go",
    "You leave `last_value` out: where the rollout is cut off, it stands for all that follows.",
)
def without_the_last_value(rewards, dones, gamma, last_value):
    return backwards(rewards, 1 - dones, gamma, torch.zeros_like(last_value))


@mistake(
    "rewards_to_go", "You add `last_value` also where the last step ended the episode: nothing follows there."
)
def last_value_after_an_end(rewards, dones, gamma, last_value):
    keep = torch.cat([1 - dones[:-1], torch.ones_like(dones[:1])])
    return backwards(rewards, keep, gamma, last_value)


@mistake("rewards_to_go", "You add `last_value` undiscounted: it comes one step after the last reward.")
def last_value_undiscounted(rewards, dones, gamma, last_value):
    final = rewards[-1:] + (1 - dones[-1:]) * last_value
    return backwards(torch.cat([rewards[:-1], final]), 1 - dones, gamma, torch.zeros_like(last_value))


@mistake("rewards_to_go", "You drop the reward of the step that ends an episode; it belongs to that episode.")
def without_the_final_reward(rewards, dones, gamma, last_value):
    return backwards(rewards * (1 - dones), 1 - dones, gamma, last_value)


@mistake(
    "rewards_to_go",
    "You discount from the start of the rollout: seen from step t, its reward counts in full.",
)
def discounted_from_the_start(rewards, dones, gamma, last_value):
    returns = reinforcement.rewards_to_go(rewards, dones, gamma, last_value)
    powers = torch.tensor([gamma**t for t in range(len(rewards))], dtype=rewards.dtype)
    return returns * powers.reshape(-1, *[1] * (rewards.ndim - 1))


@mistake(
    "rewards_to_go", "You give the whole episode's return to every step; past rewards are none of its doing."
)
def the_whole_return_for_every_step(rewards, dones, gamma, last_value):
    returns = reinforcement.rewards_to_go(rewards, dones, gamma, last_value)
    for t in range(1, len(returns)):
        returns[t] = torch.where(dones[t - 1] > 0, returns[t], returns[t - 1])
    return returns


@mistake(
    "rewards_to_go",
    "You discount the reward of the step itself too: it counts in full, what follows by gamma.",
)
def discounts_the_present(rewards, dones, gamma, last_value):
    return backwards(gamma * rewards, 1 - dones, gamma, last_value)


@mistake("rewards_to_go", "You sum forwards: the past rewards of a step, not those to come.")
def rewards_so_far(rewards, dones, gamma, last_value):
    sums, running = torch.zeros_like(rewards), torch.zeros_like(last_value)
    for t in range(len(rewards)):
        running = rewards[t] + gamma * running
        sums[t] = running
        running = running * (1 - dones[t])
    return sums


@mistake(
    "rewards_to_go", "You stop the whole rollout when one environment is done; each has episodes of its own."
)
def one_done_for_all(rewards, dones, gamma, last_value):
    anywhere = dones.reshape(len(dones), -1).amax(1).reshape(-1, *[1] * (dones.ndim - 1))
    return backwards(rewards, 1 - anywhere.expand_as(dones), gamma, last_value)


@mistake("categorical_log_prob", "Logits are no log-probabilities yet: subtract the logsumexp of their row.")
def unnormalised(logits, actions):
    return logits.gather(-1, actions[..., None])[..., 0]


@mistake(
    "categorical_log_prob",
    "log(softmax(l)) is log 0 for logits far below the largest: log_softmax does not underflow.",
)
def logarithm_of_softmax(logits, actions):
    return logits.softmax(-1).gather(-1, actions[..., None])[..., 0].log()


@mistake("categorical_log_prob", "A constant in the logarithm hides the underflow and changes the answer.")
def logarithm_with_an_epsilon(logits, actions):
    return (logits.softmax(-1).gather(-1, actions[..., None])[..., 0] + 1e-8).log()


@mistake("categorical_log_prob", "This is the probability; asked is its logarithm.")
def action_probability(logits, actions):
    return logits.softmax(-1).gather(-1, actions[..., None])[..., 0]


@mistake("categorical_log_prob", "The sign is turned: this is the cross-entropy, minus the log-probability.")
def negative_log_prob(logits, actions):
    return -reinforcement.categorical_log_prob(logits, actions)


@mistake("categorical_log_prob", "You normalise over the batch: the actions are the last dimension.")
def softmax_over_the_batch(logits, actions):
    return logits.log_softmax(0).gather(-1, actions[..., None])[..., 0]


@mistake("categorical_log_prob", "You normalise over everything at once: each row is a policy of its own.")
def softmax_over_everything(logits, actions):
    return logits.gather(-1, actions[..., None])[..., 0] - logits.logsumexp(tuple(range(logits.ndim)))


@mistake(
    "categorical_log_prob", "You give the best action's log-probability: asked is that of the one taken."
)
def of_the_best_action(logits, actions):
    return logits.log_softmax(-1).amax(-1)


@mistake("categorical_log_prob", "You average over the batch: every action has a log-probability of its own.")
def mean_log_prob(logits, actions):
    return reinforcement.categorical_log_prob(logits, actions).mean()


@mistake("categorical_log_prob", "Your logarithm has base 2: nats are asked for.")
def in_bits(logits, actions):
    return reinforcement.categorical_log_prob(logits, actions) / math.log(2)


@mistake("categorical_log_prob", "The result is detached: the policy learns through its log-probabilities.")
def detached_log_prob(logits, actions):
    return reinforcement.categorical_log_prob(logits.detach(), actions)


def gaussian(a, mean, log_std):
    return 0.5 * ((a - mean) / log_std.exp()).square() + log_std + 0.5 * math.log(2 * math.pi)


@mistake("diagonal_gaussian_log_prob", "The constant is missing: each dimension has its own -1/2 ln 2 pi.")
def without_the_constant(a, mean, log_std):
    return -(gaussian(a, mean, log_std) - 0.5 * math.log(2 * math.pi)).sum(-1)


@mistake(
    "diagonal_gaussian_log_prob", "You count the constant -1/2 ln 2 pi once; each dimension has its own."
)
def one_constant_for_all(a, mean, log_std):
    return without_the_constant(a, mean, log_std) - 0.5 * math.log(2 * math.pi)


@mistake("diagonal_gaussian_log_prob", "You take log_std for the logarithm of the variance.")
def log_variance(a, mean, log_std):
    return -gaussian(a, mean, log_std / 2).sum(-1)


@mistake(
    "diagonal_gaussian_log_prob", "The normaliser is missing: a wide Gaussian is a low one, by -log_std."
)
def without_the_normaliser(a, mean, log_std):
    return -(gaussian(a, mean, log_std) - log_std).sum(-1)


@mistake("diagonal_gaussian_log_prob", "The sign of log_std is turned: a wider Gaussian has a lower peak.")
def normaliser_with_the_wrong_sign(a, mean, log_std):
    return -(gaussian(a, mean, log_std) - 2 * log_std).sum(-1)


@mistake("diagonal_gaussian_log_prob", "The squared error is divided by the variance, not by the deviation.")
def divided_by_the_deviation(a, mean, log_std):
    return -(0.5 * (a - mean).square() / log_std.exp() + log_std + 0.5 * math.log(2 * math.pi)).sum(-1)


@mistake("diagonal_gaussian_log_prob", "You average over the dimensions: independent ones add up.")
def mean_over_dimensions(a, mean, log_std):
    return -gaussian(a, mean, log_std).mean(-1)


@mistake("diagonal_gaussian_log_prob", "You keep the dimensions apart: one number per action, their sum.")
def a_density_for_each_dimension(a, mean, log_std):
    return -gaussian(a, mean, log_std)


@mistake("diagonal_gaussian_log_prob", "You sum over the batch too: every action has a density of its own.")
def density_of_the_batch(a, mean, log_std):
    return -gaussian(a, mean, log_std).sum()


@mistake("diagonal_gaussian_log_prob", "The mean is detached: it is what the policy learns.")
def detached_mean(a, mean, log_std):
    return -gaussian(a, mean.detach(), log_std).sum(-1)


def squashed(mean, log_std, noise):
    """u and the log-density of u, which most answers share."""
    u = mean + log_std.exp() * noise
    return u, -(0.5 * noise.square() + log_std + 0.5 * math.log(2 * math.pi)).sum(-1)


def log_slope(u):
    return 2 * (math.log(2) - torch.logaddexp(u, -u))


@mistake(
    "tanh_gaussian_sample",
    "This is the density of u: tanh squeezes, so the action's is divided by its slope.",
)
def density_before_squashing(mean, log_std, noise):
    u, log_p = squashed(mean, log_std, noise)
    return u.tanh(), log_p


@mistake(
    "tanh_gaussian_sample", "The sign of the correction is turned: where tanh squeezes, the density rises."
)
def correction_with_the_wrong_sign(mean, log_std, noise):
    u, log_p = squashed(mean, log_std, noise)
    return u.tanh(), log_p + log_slope(u).sum(-1)


@mistake(
    "tanh_gaussian_sample",
    "1 - tanh(u)^2 rounds to 0 for large |u|, and its logarithm is -infinity: use a stable form of it.",
)
def logarithm_of_the_slope(mean, log_std, noise):
    u, log_p = squashed(mean, log_std, noise)
    return u.tanh(), log_p - (1 - u.tanh().square()).log().sum(-1)


@mistake(
    "tanh_gaussian_sample",
    "The constant in log(1 - tanh(u)^2 + 1e-6) hides the underflow: far out the density is wrong.",
)
def slope_with_an_epsilon(mean, log_std, noise):
    u, log_p = squashed(mean, log_std, noise)
    return u.tanh(), log_p - (1 - u.tanh().square() + 1e-6).log().sum(-1)


@mistake(
    "tanh_gaussian_sample", "You correct for the mean's slope: the slope is taken where the draw is, at u."
)
def slope_at_the_mean(mean, log_std, noise):
    u, log_p = squashed(mean, log_std, noise)
    return u.tanh(), log_p - log_slope(mean).sum(-1)


@mistake("tanh_gaussian_sample", "You return u: the action is tanh(u), between -1 and 1.")
def not_squashed(mean, log_std, noise):
    return mean + log_std.exp() * noise, reinforcement.tanh_gaussian_sample(mean, log_std, noise)[1]


@mistake(
    "tanh_gaussian_sample", "You evaluate the Gaussian at the action tanh(u): it is the distribution of u."
)
def gaussian_at_the_action(mean, log_std, noise):
    u, _ = squashed(mean, log_std, noise)
    return u.tanh(), (-gaussian(u.tanh(), mean, log_std) - log_slope(u)).sum(-1)


@mistake("tanh_gaussian_sample", "You squash the mean and add the noise: the draw u as a whole is squashed.")
def squashes_the_mean(mean, log_std, noise):
    return mean.tanh() + log_std.exp() * noise, reinforcement.tanh_gaussian_sample(mean, log_std, noise)[1]


@mistake("tanh_gaussian_sample", "You take log_std for the logarithm of the variance.")
def std_from_log_variance(mean, log_std, noise):
    return reinforcement.tanh_gaussian_sample(mean, log_std / 2, noise)


@mistake("tanh_gaussian_sample", "You keep the dimensions apart: the log-density is one number, their sum.")
def log_prob_for_each_dimension(mean, log_std, noise):
    u, _ = squashed(mean, log_std, noise)
    return u.tanh(), -gaussian(u, mean, log_std) - log_slope(u)


@mistake(
    "tanh_gaussian_sample", "The action is detached: the critic's gradient has to reach mean and log_std."
)
def detached_action(mean, log_std, noise):
    action, log_p = reinforcement.tanh_gaussian_sample(mean, log_std, noise)
    return action.detach(), log_p


@mistake("exact_policy_gradient", "The score's second part is missing: grad log pi_a is onehot(a) - pi.")
def score_without_its_mean(logits, rewards, baseline):
    return logits.softmax(-1) * (rewards - baseline)


@mistake("exact_policy_gradient", "The sign is turned: the gradient of the expected reward points uphill.")
def downhill(logits, rewards, baseline):
    return -reinforcement.exact_policy_gradient(logits, rewards, baseline)


@mistake("exact_policy_gradient", "You don't weigh the arms by how often they are chosen: pi_a is missing.")
def without_the_probabilities(logits, rewards, baseline):
    pi = logits.softmax(-1)
    return rewards - (pi * rewards).sum()


@mistake(
    "exact_policy_gradient", "You average over the arms: an expectation under pi is a sum weighted by pi."
)
def mean_over_arms(logits, rewards, baseline):
    return reinforcement.exact_policy_gradient(logits, rewards, baseline) / len(rewards)


@mistake(
    "exact_policy_gradient", "You take the slope of each arm's own reward: its logit moves the others too."
)
def diagonal_of_the_jacobian(logits, rewards, baseline):
    pi = logits.softmax(-1)
    return pi * (1 - pi) * (rewards - baseline)


@mistake("exact_policy_gradient", "You subtract the baseline twice: what pi gets on average has it already.")
def baseline_twice(logits, rewards, baseline):
    pi = logits.softmax(-1)
    return pi * (rewards - baseline - (pi * rewards).sum())


@mistake("exact_policy_gradient", "This is the gradient for the probabilities: asked is that for the logits.")
def with_respect_to_probabilities(logits, rewards, baseline):
    return rewards - baseline


@mistake("exact_policy_gradient", "You take the best arm's score alone: the expectation is over all arms.")
def of_the_best_arm(logits, rewards, baseline):
    best = rewards.argmax()
    return (rewards[best] - baseline) * (F.one_hot(best, len(rewards)) - logits.softmax(-1))


@mistake(
    "exact_policy_gradient", "You subtract the plain mean of the rewards: what counts is their mean under pi."
)
def of_the_mean_baseline(logits, rewards, baseline):
    pi = logits.softmax(-1)
    return pi * (rewards - rewards.mean())


@mistake("policy_gradient_loss", "The sign is turned: descent on this would make good actions rarer.")
def uphill_loss(log_probs, weights):
    return (log_probs * weights.detach()).mean()


@mistake("policy_gradient_loss", "You sum over the steps; the loss is their mean.")
def summed_policy_gradient(log_probs, weights):
    return -(log_probs * weights.detach()).sum()


@mistake("policy_gradient_loss", "The weights are not detached: the policy's loss would train the critic.")
def weights_attached(log_probs, weights):
    return -(log_probs * weights).mean()


@mistake("policy_gradient_loss", "You weigh probabilities; it is log-probabilities whose gradient is needed.")
def probabilities_for_logarithms(log_probs, weights):
    return -(log_probs.exp() * weights.detach()).mean()


@mistake("policy_gradient_loss", "You average before you multiply: each action has a weight of its own.")
def product_of_means(log_probs, weights):
    return -log_probs.mean() * weights.detach().mean()


@mistake("policy_gradient_loss", "You subtract the mean weight: the weights are taken as they are.")
def centred_weights(log_probs, weights):
    return -(log_probs * (weights - weights.mean()).detach()).mean()


@mistake(
    "policy_gradient_loss", "You give a loss per environment: it is a scalar, the mean over all elements."
)
def loss_per_environment(log_probs, weights):
    return -(log_probs * weights.detach()).mean(0)


@mistake("policy_gradient_loss", "You sum over time and average the rest: the mean is over all elements.")
def summed_over_time(log_probs, weights):
    return -(log_probs * weights.detach()).sum(0).mean()


@mistake("policy_gradient_loss", "The log-probabilities are detached: nothing is left to learn from.")
def log_probs_detached(log_probs, weights):
    return -(log_probs.detach() * weights.detach()).mean()


@mistake("value_loss", "There is no factor 1/2 in this loss.")
def half_the_square(values, returns):
    return (values - returns.detach()).square().mean() / 2


@mistake("value_loss", "You sum over the steps; the loss is their mean.")
def summed_value_loss(values, returns):
    return (values - returns.detach()).square().sum()


@mistake("value_loss", "The returns are not detached: they are targets, and may depend on the values.")
def returns_attached(values, returns):
    return (values - returns).square().mean()


@mistake("value_loss", "You detach the values, which are to learn; the returns are the constants.")
def values_detached(values, returns):
    return (values.detach() - returns).square().mean()


@mistake("value_loss", "You take absolute errors: the mean return minimises the squared ones.")
def absolute_errors(values, returns):
    return (values - returns.detach()).abs().mean()


@mistake("value_loss", "You take the Huber loss, which is no square for errors above 1.")
def huber(values, returns):
    return 2 * F.smooth_l1_loss(values, returns.detach())


@mistake("value_loss", "You take the root of the mean square: its gradient is another one.")
def root_mean_square(values, returns):
    return (values - returns.detach()).square().mean().sqrt()


@mistake("value_loss", "You square the mean error: errors of opposite sign must not cancel.")
def square_of_the_mean(values, returns):
    return (values - returns.detach()).mean().square()


@mistake("value_loss", "You sum over time and average the rest: the mean is over all elements.")
def value_loss_summed_over_time(values, returns):
    return (values - returns.detach()).square().sum(0).mean()


def estimate(rewards, values, last_value, gamma, lam, bootstrap, carry):
    """GAE with separate factors for the bootstrapped value and for the carried advantage."""
    following = torch.cat([values[1:], last_value[None]])
    deltas = rewards + gamma * bootstrap * following - values
    return backwards(deltas, carry, gamma * lam, torch.zeros_like(last_value))


@mistake(
    "gae",
    "You bootstrap across the end of an episode: the value of the next episode's first state is no part.",
)
def bootstraps_across_dones(rewards, values, dones, last_value, gamma, lam):
    a = estimate(rewards, values, last_value, gamma, lam, torch.ones_like(dones), 1 - dones)
    return a, a + values


@mistake(
    "gae", "You carry the advantage across the end of an episode: the sum over later steps stops there too."
)
def carries_across_dones(rewards, values, dones, last_value, gamma, lam):
    a = estimate(rewards, values, last_value, gamma, lam, 1 - dones, torch.ones_like(dones))
    return a, a + values


@mistake(
    "gae", "You ignore `dones`: neither the next value nor later advantages count across an episode's end."
)
def ignores_dones_in_gae(rewards, values, dones, last_value, gamma, lam):
    a = estimate(rewards, values, last_value, gamma, lam, torch.ones_like(dones), torch.ones_like(dones))
    return a, a + values


@mistake("gae", "Your flags are off by one: dones[t], not dones[t + 1], says that step t ended its episode.")
def dones_off_by_one(rewards, values, dones, last_value, gamma, lam):
    keep = 1 - torch.cat([dones[1:], dones[-1:]])
    a = estimate(rewards, values, last_value, gamma, lam, keep, keep)
    return a, a + values


@mistake("gae", "You leave `last_value` out: it is the value of the state after the last step.")
def without_last_value(rewards, values, dones, last_value, gamma, lam):
    a = estimate(rewards, values, torch.zeros_like(last_value), gamma, lam, 1 - dones, 1 - dones)
    return a, a + values


@mistake(
    "gae",
    "You use `last_value` also where the last step ended the episode: there is nothing to bootstrap there.",
)
def last_value_when_done(rewards, values, dones, last_value, gamma, lam):
    keep = torch.cat([1 - dones[:-1], torch.ones_like(dones[-1:])])
    a = estimate(rewards, values, last_value, gamma, lam, keep, 1 - dones)
    return a, a + values


@mistake(
    "gae",
    "gamma and lambda are swapped: the next value is discounted by gamma, lambda weighs only later steps.",
)
def gamma_and_lambda_swapped(rewards, values, dones, last_value, gamma, lam):
    return reinforcement.gae(rewards, values, dones, last_value, lam, gamma)


@mistake(
    "gae", "You carry the advantage by lambda alone; from step to step it is discounted by gamma lambda."
)
def carried_by_lambda_alone(rewards, values, dones, last_value, gamma, lam):
    following = torch.cat([values[1:], last_value[None]])
    deltas = rewards + gamma * (1 - dones) * following - values
    a = backwards(deltas, 1 - dones, lam, torch.zeros_like(last_value))
    return a, a + values


@mistake("gae", "You ignore lambda: this is its limit 1, the return minus the value.")
def ignores_lambda(rewards, values, dones, last_value, gamma, lam):
    return reinforcement.gae(rewards, values, dones, last_value, gamma, 1.0)


@mistake("gae", "You take one-step differences only: the deltas of later steps are missing from the sum.")
def one_step_only(rewards, values, dones, last_value, gamma, lam):
    return reinforcement.gae(rewards, values, dones, last_value, gamma, 0.0)


@mistake(
    "gae",
    "You normalise the advantages here: the values are fitted to them as they are; normalise in the loss.",
)
def normalises_inside(rewards, values, dones, last_value, gamma, lam):
    a, returns = reinforcement.gae(rewards, values, dones, last_value, gamma, lam)
    return (a - a.mean()) / (a.std() + 1e-8 if a.numel() > 1 else 1), returns


@mistake("gae", "Your second result is the discounted return; the values are fitted to advantages + values.")
def returns_are_rewards_to_go(rewards, values, dones, last_value, gamma, lam):
    a, _ = reinforcement.gae(rewards, values, dones, last_value, gamma, lam)
    return a, reinforcement.rewards_to_go(rewards, dones, gamma, last_value)


@mistake("gae", "You return the advantages alone; the returns, advantages + values, come second.")
def advantages_alone(rewards, values, dones, last_value, gamma, lam):
    return reinforcement.gae(rewards, values, dones, last_value, gamma, lam)[0]


@mistake(
    "gae",
    "You start from `last_value` as if it were an advantage: after the last step there is none, A_T = 0.",
)
def starts_from_the_last_value(rewards, values, dones, last_value, gamma, lam):
    following = torch.cat([values[1:], last_value[None]])
    deltas = rewards + gamma * (1 - dones) * following - values
    a = backwards(deltas, 1 - dones, gamma * lam, last_value)
    return a, a + values


@mistake(
    "normalize_advantages", "Your standard deviation is the biased one: divide the squares' sum by n - 1."
)
def biased_std(advantages):
    return (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)


@mistake(
    "normalize_advantages",
    "You normalise each environment by itself: mean and deviation go over all elements.",
)
def over_time_only(advantages):
    return (advantages - advantages.mean(0)) / (advantages.std(0) + 1e-8)


@mistake(
    "normalize_advantages", "You normalise along the last dimension: mean and deviation go over all elements."
)
def over_the_last_dimension(advantages):
    mean, std = advantages.mean(-1, keepdim=True), advantages.std(-1, keepdim=True)
    return (advantages - mean) / (std + 1e-8)


@mistake("normalize_advantages", "You only divide by the standard deviation; the mean must become 0 first.")
def without_centring(advantages):
    return advantages / (advantages.std() + 1e-8)


@mistake("normalize_advantages", "You only subtract the mean; the standard deviation must become 1 too.")
def without_scaling(advantages):
    return advantages - advantages.mean()


@mistake(
    "normalize_advantages",
    "You divide by the variance: its square root, the standard deviation, is the scale.",
)
def by_the_variance(advantages):
    return (advantages - advantages.mean()) / (advantages.var() + 1e-8)


@mistake("normalize_advantages", "Equal advantages give 0 / 0 = NaN: the 1e-8 in the denominator is missing.")
def without_epsilon(advantages):
    return (advantages - advantages.mean()) / advantages.std()


@mistake(
    "normalize_advantages",
    "Your constant is too large: 1e-8 goes on the standard deviation, not 1e-5 in the root.",
)
def epsilon_of_layer_norm(advantages):
    return (advantages - advantages.mean()) / (advantages.var() + 1e-5).sqrt()


@mistake(
    "normalize_advantages",
    "You rescale to the interval from 0 to 1; wanted are mean 0 and standard deviation 1.",
)
def to_the_unit_interval(advantages):
    return (advantages - advantages.min()) / (advantages.max() - advantages.min() + 1e-8)


def surrogates(log_probs, old_log_probs, advantages, clip):
    """The two terms of PPO's minimum."""
    ratio, a = torch.exp(log_probs - old_log_probs.detach()), advantages.detach()
    return ratio * a, ratio.clamp(1 - clip, 1 + clip) * a


@mistake(
    "ppo_clip_loss",
    "You take the larger of the two terms: the objective is the minimum, a pessimistic bound.",
)
def maximum_for_minimum(log_probs, old_log_probs, advantages, clip=0.2):
    return -torch.maximum(*surrogates(log_probs, old_log_probs, advantages, clip)).mean()


@mistake("ppo_clip_loss", "The sign is turned: PPO maximises the surrogate, so the loss is minus its mean.")
def wrong_sign(log_probs, old_log_probs, advantages, clip=0.2):
    return -reinforcement.ppo_clip_loss(log_probs, old_log_probs, advantages, clip)


@mistake(
    "ppo_clip_loss", "You clip without the minimum: outside the clip a bad action must still be pushed back."
)
def clipped_without_the_minimum(log_probs, old_log_probs, advantages, clip=0.2):
    return -surrogates(log_probs, old_log_probs, advantages, clip)[1].mean()


@mistake("ppo_clip_loss", "Nothing is clipped: this is the plain surrogate, which takes steps of any size.")
def without_the_clip(log_probs, old_log_probs, advantages, clip=0.2):
    return -surrogates(log_probs, old_log_probs, advantages, clip)[0].mean()


@mistake("ppo_clip_loss", "The ratio is upside down: it is the new probability divided by the old one.")
def ratio_upside_down(log_probs, old_log_probs, advantages, clip=0.2):
    r, a = torch.exp(old_log_probs.detach() - log_probs), advantages.detach()
    return -torch.minimum(r * a, r.clamp(1 - clip, 1 + clip) * a).mean()


@mistake(
    "ppo_clip_loss", "Your ratio is a difference of logarithms; exp makes a ratio of probabilities of it."
)
def without_exp(log_probs, old_log_probs, advantages, clip=0.2):
    r, a = log_probs - old_log_probs.detach(), advantages.detach()
    return -torch.minimum(r * a, r.clamp(1 - clip, 1 + clip) * a).mean()


@mistake("ppo_clip_loss", "You clip the log-ratio to +-clip; the ratio itself is clipped, to 1 +- clip.")
def clips_the_log_ratio(log_probs, old_log_probs, advantages, clip=0.2):
    log_ratio, a = log_probs - old_log_probs.detach(), advantages.detach()
    return -torch.minimum(log_ratio.exp() * a, log_ratio.clamp(-clip, clip).exp() * a).mean()


@mistake("ppo_clip_loss", "You clip at 0.2 whatever the argument `clip` says.")
def clip_fixed(log_probs, old_log_probs, advantages, clip=0.2):
    return reinforcement.ppo_clip_loss(log_probs, old_log_probs, advantages, 0.2)


@mistake("ppo_clip_loss", "You clip from above alone: the ratio is held above 1 - clip too.")
def clips_from_above_alone(log_probs, old_log_probs, advantages, clip=0.2):
    ratio, a = torch.exp(log_probs - old_log_probs.detach()), advantages.detach()
    return -torch.minimum(ratio * a, ratio.clamp(max=1 + clip) * a).mean()


@mistake(
    "ppo_clip_loss",
    "You sum over the steps; the loss is their mean, so that its size doesn't grow with them.",
)
def sum_for_mean(log_probs, old_log_probs, advantages, clip=0.2):
    return -torch.minimum(*surrogates(log_probs, old_log_probs, advantages, clip)).sum()


@mistake("ppo_clip_loss", "You give one loss per environment: it is a scalar, the mean over all elements.")
def mean_over_time_alone(log_probs, old_log_probs, advantages, clip=0.2):
    return -torch.minimum(*surrogates(log_probs, old_log_probs, advantages, clip)).mean(0)


@mistake("ppo_clip_loss", "You take the mean before the minimum; each action is clipped by itself.")
def minimum_of_means(log_probs, old_log_probs, advantages, clip=0.2):
    return -torch.minimum(*(s.mean() for s in surrogates(log_probs, old_log_probs, advantages, clip)))


@mistake("ppo_clip_loss", "You normalise the advantages inside the loss; it takes them as they are.")
def normalises_in_the_loss(log_probs, old_log_probs, advantages, clip=0.2):
    a = advantages - advantages.mean()
    a = a / (a.std() + 1e-8) if a.numel() > 1 else a
    return reinforcement.ppo_clip_loss(log_probs, old_log_probs, a, clip)


@mistake(
    "ppo_clip_loss",
    "You divide probabilities: exp(-200) is 0 in float32, and 0 / 0 is NaN. Subtract logarithms.",
)
def quotient_of_probabilities(log_probs, old_log_probs, advantages, clip=0.2):
    r, a = log_probs.exp() / old_log_probs.detach().exp(), advantages.detach()
    return -torch.minimum(r * a, r.clamp(1 - clip, 1 + clip) * a).mean()


@mistake("ppo_clip_loss", "old_log_probs is not detached: the policy that collected the data is a constant.")
def old_policy_attached(log_probs, old_log_probs, advantages, clip=0.2):
    r, a = torch.exp(log_probs - old_log_probs), advantages.detach()
    return -torch.minimum(r * a, r.clamp(1 - clip, 1 + clip) * a).mean()


@mistake(
    "ppo_clip_loss", "The advantages are not detached: the policy's loss would train the value function."
)
def advantages_attached(log_probs, old_log_probs, advantages, clip=0.2):
    r = torch.exp(log_probs - old_log_probs.detach())
    return -torch.minimum(r * advantages, r.clamp(1 - clip, 1 + clip) * advantages).mean()


@mistake(
    "ppo_clip_loss",
    "The ratio carries no gradient, so the policy learns nothing: log_probs is not to be detached.",
)
def detached_throughout(log_probs, old_log_probs, advantages, clip=0.2):
    return reinforcement.ppo_clip_loss(log_probs.detach(), old_log_probs, advantages, clip)


@mistake("normalize_advantages", "You clip the normalised advantages; they are only shifted and scaled.")
def clips_outliers(advantages):
    return reinforcement.normalize_advantages(advantages).clamp(-5, 5)


@mistake("ppo_clip_loss", "Where no clip is given it should be 0.2, not 0.1.")
def another_default(log_probs, old_log_probs, advantages, clip=0.1):
    return reinforcement.ppo_clip_loss(log_probs, old_log_probs, advantages, clip)


@mistake(
    "ppo_clip_loss",
    "You bound the ratio before the minimum: where it makes the loss larger it counts in full.",
)
def bounded_ratio(log_probs, old_log_probs, advantages, clip=0.2):
    return reinforcement.ppo_clip_loss(
        torch.minimum(log_probs, old_log_probs.detach() + 2), old_log_probs, advantages, clip
    )


@mistake("ppo_kl_penalty_loss", "The sign of the penalty is turned: divergence is to cost, not to pay.")
def rewards_divergence(log_probs, old_log_probs, advantages, kl, coef):
    return reinforcement.ppo_kl_penalty_loss(log_probs, old_log_probs, advantages, -kl, coef)


@mistake("ppo_kl_penalty_loss", "The sign is turned: what is maximised is the surrogate minus the penalty.")
def maximised_penalty_loss(log_probs, old_log_probs, advantages, kl, coef):
    return -reinforcement.ppo_kl_penalty_loss(log_probs, old_log_probs, advantages, kl, coef)


@mistake("ppo_kl_penalty_loss", "kl is detached: then the penalty changes the loss and moves nothing.")
def detached_penalty(log_probs, old_log_probs, advantages, kl, coef):
    return reinforcement.ppo_kl_penalty_loss(log_probs, old_log_probs, advantages, kl.detach(), coef)


@mistake("ppo_kl_penalty_loss", "You sum the divergences; their mean is taken, as that of the other term.")
def summed_divergence(log_probs, old_log_probs, advantages, kl, coef):
    ratio = torch.exp(log_probs - old_log_probs.detach())
    return coef * kl.sum() - (ratio * advantages.detach()).mean()


@mistake("ppo_kl_penalty_loss", "The coefficient is missing: it weighs the divergence.")
def penalty_without_coefficient(log_probs, old_log_probs, advantages, kl, coef):
    return reinforcement.ppo_kl_penalty_loss(log_probs, old_log_probs, advantages, kl, 1.0)


@mistake("ppo_kl_penalty_loss", "You clip as well: here the penalty stands in the place of the clip.")
def clipped_and_penalised(log_probs, old_log_probs, advantages, kl, coef):
    return reinforcement.ppo_clip_loss(log_probs, old_log_probs, advantages) + coef * kl.mean()


@mistake("ppo_kl_penalty_loss", "You weigh log-probabilities; the ratio to the old ones is what counts.")
def penalised_log_probs(log_probs, old_log_probs, advantages, kl, coef):
    return coef * kl.mean() - (log_probs * advantages.detach()).mean()


@mistake("ppo_kl_penalty_loss", "The advantages are not detached: they are constants of the policy's loss.")
def penalised_with_advantages_attached(log_probs, old_log_probs, advantages, kl, coef):
    return coef * kl.mean() - (torch.exp(log_probs - old_log_probs.detach()) * advantages).mean()


@mistake("ppo_kl_penalty_loss", "old_log_probs is not detached: the old policy is a constant.")
def penalised_with_the_old_attached(log_probs, old_log_probs, advantages, kl, coef):
    return coef * kl.mean() - (torch.exp(log_probs - old_log_probs) * advantages.detach()).mean()


@mistake("ppo_kl_penalty_loss", "You keep the divergences apart: the loss is a scalar.")
def penalty_for_each_step(log_probs, old_log_probs, advantages, kl, coef):
    return coef * kl - (torch.exp(log_probs - old_log_probs.detach()) * advantages.detach()).mean()


@mistake("adapt_kl_coefficient", "It is the other way round: too much divergence needs a larger coefficient.")
def adapts_the_wrong_way(coef, kl, target):
    return coef * coef / reinforcement.adapt_kl_coefficient(coef, kl, target)


@mistake("adapt_kl_coefficient", "You never wait: between target / 1.5 and 1.5 target the coefficient stays.")
def without_a_dead_zone(coef, kl, target):
    return coef * 2 if kl > target else coef / 2


@mistake("adapt_kl_coefficient", "The lower limit is target / 1.5, about 0.67 of the target, not half of it.")
def lower_limit_at_one_half(coef, kl, target):
    return coef * 2 if kl > 1.5 * target else coef / 2 if kl < 0.5 * target else coef


@mistake("adapt_kl_coefficient", "The upper limit is 1.5 times the target, not twice.")
def upper_limit_at_two(coef, kl, target):
    return coef * 2 if kl >= 2 * target else coef / 2 if kl < target / 1.5 else coef


@mistake("adapt_kl_coefficient", "1.5 is for the limits: the coefficient itself is doubled or halved.")
def by_one_and_a_half(coef, kl, target):
    return coef * 1.5 if kl > 1.5 * target else coef / 1.5 if kl < target / 1.5 else coef


@mistake(
    "adapt_kl_coefficient", "You only ever double: where the policy hardly moved the penalty is too strong."
)
def only_doubles(coef, kl, target):
    return coef * 2 if kl > 1.5 * target else coef


@mistake("adapt_kl_coefficient", "At the limits themselves nothing changes: kl has to lie beyond them.")
def changes_at_the_limits(coef, kl, target):
    return coef * 2 if kl >= 1.5 * target else coef / 2 if kl <= target / 1.5 else coef


@mistake("adapt_kl_coefficient", "You return the factor: asked is the new coefficient.")
def the_factor(coef, kl, target):
    return 2.0 if kl > 1.5 * target else 0.5 if kl < target / 1.5 else 1.0


@mistake("clipped_value_loss", "You take the smaller of the two errors: the larger one is the pessimistic.")
def minimum_of_errors(values, old_values, returns, clip):
    clipped = old_values + (values - old_values).clamp(-clip, clip)
    errors = (values - returns.detach()).square(), (clipped - returns.detach()).square()
    return torch.minimum(*errors).mean()


@mistake("clipped_value_loss", "There is no factor 1/2 in this loss.")
def half_the_clipped_loss(values, old_values, returns, clip):
    return reinforcement.clipped_value_loss(values, old_values, returns, clip) / 2


@mistake("clipped_value_loss", "You take the clipped error alone: the loss is the larger of the two.")
def clipped_error_alone(values, old_values, returns, clip):
    old = old_values.detach()
    return (old + (values - old).clamp(-clip, clip) - returns.detach()).square().mean()


@mistake("clipped_value_loss", "Nothing is clipped: this is the plain squared error.")
def value_loss_without_the_clip(values, old_values, returns, clip):
    return (values - returns.detach()).square().mean()


@mistake("clipped_value_loss", "You clip the value itself to +-clip: what is clipped is its change.")
def clips_the_value(values, old_values, returns, clip):
    errors = (values - returns.detach()).square(), (values.clamp(-clip, clip) - returns.detach()).square()
    return torch.maximum(*errors).mean()


@mistake("clipped_value_loss", "You clip as PPO does with ratios; values change by at most +-clip.")
def clips_by_a_factor(values, old_values, returns, clip):
    old, target = old_values.detach(), returns.detach()
    bounds = torch.stack([old * (1 - clip), old * (1 + clip)])
    clipped = values.clamp(bounds.amin(0), bounds.amax(0))
    return torch.maximum((values - target).square(), (clipped - target).square()).mean()


@mistake("clipped_value_loss", "You take the maximum of two means: it is taken for each step.")
def maximum_of_means(values, old_values, returns, clip):
    clipped = clipped_error_alone(values, old_values, returns, clip)
    return torch.maximum((values - returns.detach()).square().mean(), clipped)


@mistake("clipped_value_loss", "You sum over the steps; the loss is their mean.")
def summed_clipped_loss(values, old_values, returns, clip):
    return reinforcement.clipped_value_loss(values, old_values, returns, clip) * values.numel()


@mistake("clipped_value_loss", "The returns are not detached: they are targets.")
def clipped_with_returns_attached(values, old_values, returns, clip):
    clipped = old_values.detach() + (values - old_values.detach()).clamp(-clip, clip)
    return torch.maximum((values - returns).square(), (clipped - returns).square()).mean()


@mistake("clipped_value_loss", "old_values is not detached: the old network is a constant.")
def clipped_with_the_old_attached(values, old_values, returns, clip):
    clipped, target = old_values + (values - old_values).clamp(-clip, clip), returns.detach()
    return torch.maximum((values - target).square(), (clipped - target).square()).mean()


@mistake("entropy_bonus", "The sign is turned: entropy is minus the mean of log pi, and never negative.")
def negated_entropy(logits):
    return -reinforcement.entropy_bonus(logits)


@mistake("entropy_bonus", "0 log 0 is NaN in floats: use log_softmax, which is finite.")
def entropy_of_softmax(logits):
    p = logits.softmax(-1)
    return -(p * p.log()).sum(-1).mean()


@mistake("entropy_bonus", "You average over the actions: an entropy is a sum weighted by probabilities.")
def mean_over_actions(logits):
    return reinforcement.entropy_bonus(logits) / logits.shape[-1]


@mistake("entropy_bonus", "You sum over the batch: the bonus is the mean entropy.")
def summed_entropy(logits):
    return reinforcement.entropy_bonus(logits) * logits[..., 0].numel()


@mistake("entropy_bonus", "Your logarithm has base 2: nats are asked for.")
def entropy_in_bits(logits):
    return reinforcement.entropy_bonus(logits) / math.log(2)


@mistake("entropy_bonus", "You average the log-probabilities without weights: that is no entropy.")
def unweighted_entropy(logits):
    return -logits.log_softmax(-1).mean()


@mistake("entropy_bonus", "This is the entropy of the mean policy: average the entropies, not the policies.")
def entropy_of_the_mean_policy(logits):
    mean = logits.softmax(-1).reshape(-1, logits.shape[-1]).mean(0)
    return -(mean * mean.clamp(min=1e-30).log()).sum()


@mistake("entropy_bonus", "You normalise over the batch: the actions are the last dimension.")
def entropy_over_the_batch(logits):
    log_p = logits.log_softmax(0)
    return -(log_p.exp() * log_p).sum(-1).mean()


@mistake("entropy_bonus", "The probabilities are detached: half of the gradient is missing.")
def entropy_half_detached(logits):
    log_p = logits.log_softmax(-1)
    return -(log_p.exp().detach() * log_p).sum(-1).mean()


@mistake("entropy_bonus", "You give one entropy per state: the bonus is a scalar, their mean.")
def entropy_of_each_state(logits):
    log_p = logits.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)


@mistake("surrogate_advantage", "The sign is turned: the surrogate is what TRPO raises, it is no loss.")
def negated_surrogate(log_probs, old_log_probs, advantages):
    return -reinforcement.surrogate_advantage(log_probs, old_log_probs, advantages)


@mistake("surrogate_advantage", "You clip the ratio: that is PPO; here the line search keeps the step short.")
def clipped_surrogate(log_probs, old_log_probs, advantages):
    return -reinforcement.ppo_clip_loss(log_probs, old_log_probs, advantages)


@mistake(
    "surrogate_advantage", "You weigh log-probabilities: the gradient is the same at first, and only there."
)
def surrogate_of_log_probs(log_probs, old_log_probs, advantages):
    return (log_probs * advantages.detach()).mean()


@mistake("surrogate_advantage", "The ratio is upside down: it is the new probability divided by the old one.")
def inverted_surrogate(log_probs, old_log_probs, advantages):
    return (torch.exp(old_log_probs.detach() - log_probs) * advantages.detach()).mean()


@mistake("surrogate_advantage", "You sum over the steps; the surrogate is their mean.")
def summed_surrogate(log_probs, old_log_probs, advantages):
    return (torch.exp(log_probs - old_log_probs.detach()) * advantages.detach()).sum()


@mistake("surrogate_advantage", "old_log_probs is not detached: the old policy is a constant.")
def surrogate_with_the_old_attached(log_probs, old_log_probs, advantages):
    return (torch.exp(log_probs - old_log_probs) * advantages.detach()).mean()


@mistake("surrogate_advantage", "The advantages are not detached: they are constants.")
def surrogate_with_advantages_attached(log_probs, old_log_probs, advantages):
    return (torch.exp(log_probs - old_log_probs.detach()) * advantages).mean()


@mistake(
    "surrogate_advantage",
    "You divide probabilities: exp(-200) is 0 in float32, and 0 / 0 is NaN. Subtract logarithms.",
)
def surrogate_of_quotients(log_probs, old_log_probs, advantages):
    return (log_probs.exp() / old_log_probs.detach().exp() * advantages.detach()).mean()


@mistake("surrogate_advantage", "You normalise the weights to add up to 1: each ratio counts as it is.")
def self_normalised(log_probs, old_log_probs, advantages):
    ratio = torch.exp(log_probs - old_log_probs.detach())
    return (ratio * advantages.detach()).sum() / ratio.sum()


@mistake("mean_categorical_kl", "This is KL(new || old): the old policy is the one that weighs.")
def reversed_divergence(logits, old_logits):
    new, old = logits.log_softmax(-1), old_logits.detach().log_softmax(-1)
    return (new.exp() * (new - old)).sum(-1).mean()


@mistake("mean_categorical_kl", "You average over the actions too: a divergence is a sum over them.")
def divergence_averaged_over_actions(logits, old_logits):
    return reinforcement.mean_categorical_kl(logits, old_logits) / logits.shape[-1]


@mistake("mean_categorical_kl", "You sum over the batch: asked is the mean divergence.")
def summed_divergences(logits, old_logits):
    return reinforcement.mean_categorical_kl(logits, old_logits) * logits[..., 0].numel()


@mistake("mean_categorical_kl", 'You divide by the first dimension alone ("batchmean"): all states count.')
def mean_over_the_first_dimension(logits, old_logits):
    new, old = logits.log_softmax(-1), old_logits.detach().log_softmax(-1)
    return F.kl_div(new, old, log_target=True, reduction="batchmean")


@mistake("mean_categorical_kl", "old_logits is not detached: the old policy is a constant.")
def divergence_with_the_old_attached(logits, old_logits):
    new, old = logits.log_softmax(-1), old_logits.log_softmax(-1)
    return (old.exp() * (old - new)).sum(-1).mean()


@mistake("mean_categorical_kl", "You detach the new policy, and the divergence could not be held down.")
def divergence_with_the_new_detached(logits, old_logits):
    return reinforcement.mean_categorical_kl(logits.detach(), old_logits)


@mistake("mean_categorical_kl", "The sign is turned: a divergence is never negative.")
def negated_divergence(logits, old_logits):
    return -reinforcement.mean_categorical_kl(logits, old_logits)


@mistake("mean_categorical_kl", "You use logits as if they were log-probabilities: normalise them first.")
def divergence_of_logits(logits, old_logits):
    return (old_logits.detach().softmax(-1) * (old_logits.detach() - logits)).sum(-1).mean()


@mistake("mean_categorical_kl", "This is the cross-entropy: the old policy's entropy has to be subtracted.")
def cross_entropy_for_divergence(logits, old_logits):
    return -(old_logits.detach().softmax(-1) * logits.log_softmax(-1)).sum(-1).mean()


def conjugate(hvp, b, iters, tol, squared=lambda r: r @ r, follow=None, length=None):
    """Conjugate gradients with parts to replace."""
    x, r, p = torch.zeros_like(b), b.clone(), b.clone()
    for _ in range(iters):
        if squared(r) < tol:
            break
        product = hvp(p)
        a = (r @ r) / (p @ product if length is None else length(p, product))
        x, new = x + a * p, r - a * product
        p = new + (new @ new) / (r @ r) * p if follow is None else follow(new, r, p)
        r = new
    return x


@mistake("conjugate_gradient", "You never stop: once the residual is 0, the next step is 0 / 0.")
def never_stops(hvp, b, iters=10, tol=1e-10):
    return conjugate(hvp, b, iters, -1.0)


@mistake("conjugate_gradient", "You follow the residual itself: that is steepest descent, which zigzags.")
def steepest_descent(hvp, b, iters=10, tol=1e-10):
    return conjugate(hvp, b, iters, tol, follow=lambda new, r, p: new)


@mistake(
    "conjugate_gradient", "Your ratio is upside down: the new squared residual is divided by the old one."
)
def ratio_of_residuals_upside_down(hvp, b, iters=10, tol=1e-10):
    return conjugate(hvp, b, iters, tol, follow=lambda new, r, p: new + (r @ r) / (new @ new) * p)


@mistake(
    "conjugate_gradient", "You build the direction on the residual before the step: the new one is meant."
)
def direction_from_the_old_residual(hvp, b, iters=10, tol=1e-10):
    return conjugate(hvp, b, iters, tol, follow=lambda new, r, p: r + (new @ new) / (r @ r) * p)


@mistake("conjugate_gradient", "You divide by p^T p: the step's length is r^T r / p^T H p.")
def length_without_the_matrix(hvp, b, iters=10, tol=1e-10):
    return conjugate(hvp, b, iters, tol, length=lambda p, product: p @ p)


@mistake("conjugate_gradient", "You compare the residual's norm with tol: it is its square that is compared.")
def norm_for_its_square(hvp, b, iters=10, tol=1e-10):
    return conjugate(hvp, b, iters, tol, squared=lambda r: r.norm())


@mistake("conjugate_gradient", "You ignore iters: at most that many steps are taken.")
def as_many_steps_as_it_takes(hvp, b, iters=10, tol=1e-10):
    return conjugate(hvp, b, 100, tol)


@mistake("conjugate_gradient", "You ignore tol: it stops as soon as the squared residual is below it.")
def with_a_tolerance_of_its_own(hvp, b, iters=10, tol=1e-10):
    return conjugate(hvp, b, iters, 1e-10)


@mistake("conjugate_gradient", "You start from x = b with the residual b: from x = 0 the residual is b.")
def starts_from_b(hvp, b, iters=10, tol=1e-10):
    return b + conjugate(hvp, b, iters, tol)


@mistake("conjugate_gradient", "You return the residual: asked is the solution x.")
def returns_the_residual(hvp, b, iters=10, tol=1e-10):
    return b - hvp(conjugate(hvp, b, iters, tol))


@mistake("conjugate_gradient", "You take steps from b itself: the caller's vector must stay as it is.")
def residual_in_place(hvp, b, iters=10, tol=1e-10):
    x, r, p = torch.zeros_like(b), b, b.clone()
    for _ in range(iters):
        squared = r @ r
        if squared < tol:
            break
        product = hvp(p)
        a = squared / (p @ product)
        x += a * p
        r -= a * product
        p = r + (r @ r) / squared * p
    return x


@mistake("trpo_step", "You multiply by H: the natural gradient is H^-1 g, from conjugate gradients.")
def multiplied_by_the_matrix(g, hvp, delta):
    direction = hvp(g)
    return torch.sqrt(2 * delta / (g @ direction)) * direction


@mistake(
    "trpo_step", "The factor 2 is missing: KL is s^T H s / 2, so the step's scale is sqrt(2 delta / ...)."
)
def without_the_two(g, hvp, delta):
    return reinforcement.trpo_step(g, hvp, delta / 2)


@mistake("trpo_step", "The root is missing: KL grows with the square of the step.")
def without_the_root(g, hvp, delta):
    direction = reinforcement.conjugate_gradient(hvp, g)
    return 2 * delta / (g @ direction) * direction


@mistake("trpo_step", "This is H^-1 g alone: it has to be scaled to the edge of the trust region.")
def without_a_scale(g, hvp, delta):
    return reinforcement.conjugate_gradient(hvp, g)


@mistake("trpo_step", "You measure the step by its own length: the trust region is measured by H.")
def scaled_by_its_own_length(g, hvp, delta):
    direction = reinforcement.conjugate_gradient(hvp, g)
    return torch.sqrt(2 * delta / (direction @ direction)) * direction


@mistake("trpo_step", "You follow the plain gradient: scaled as far as H allows, but not turned by H^-1.")
def plain_gradient(g, hvp, delta):
    return torch.sqrt(2 * delta / (g @ hvp(g))) * g


@mistake("trpo_step", "The sign is turned: g is the gradient of what is to be raised, the step goes uphill.")
def steps_downhill(g, hvp, delta):
    return -reinforcement.trpo_step(g, hvp, delta)


@mistake("trpo_step", "You divide by g^T g under the root: it is g^T H^-1 g.")
def divided_by_the_gradients_square(g, hvp, delta):
    return torch.sqrt(2 * delta / (g @ g)) * reinforcement.conjugate_gradient(hvp, g)


@mistake("trpo_step", "You compute in float32 whatever comes in: keep the dtype.")
def in_single_precision(g, hvp, delta):
    return reinforcement.trpo_step(g.float(), hvp, delta)


@mistake("conjugate_gradient", "You compute in float32 whatever comes in: keep the dtype.")
def solved_in_single_precision(hvp, b, iters=10, tol=1e-10):
    return conjugate(hvp, b.float(), iters, tol)


def search(objective, kl, theta, step, delta, fractions, better=True, near=True):
    before = objective(theta)
    for fraction in fractions:
        candidate = theta + fraction * step
        if (not better or objective(candidate) > before) and (not near or kl(candidate) <= delta):
            return candidate
    return theta


@mistake("backtracking_line_search", "You start with alpha: the first candidate is the full step, j = 0.")
def starts_with_a_shorter_step(objective, kl, theta, step, delta, alpha=0.8, max_steps=10):
    return search(objective, kl, theta, step, delta, [alpha ** (j + 1) for j in range(max_steps)])


@mistake("backtracking_line_search", "You try once too often: j runs from 0 to max_steps - 1.")
def one_try_too_many(objective, kl, theta, step, delta, alpha=0.8, max_steps=10):
    return search(objective, kl, theta, step, delta, [alpha**j for j in range(max_steps + 1)])


@mistake("backtracking_line_search", "You don't ask for the divergence: the candidate must be near, too.")
def without_the_divergence(objective, kl, theta, step, delta, alpha=0.8, max_steps=10):
    return search(objective, kl, theta, step, delta, [alpha**j for j in range(max_steps)], near=False)


@mistake("backtracking_line_search", "You don't ask for the objective: the candidate must be better, too.")
def without_the_objective(objective, kl, theta, step, delta, alpha=0.8, max_steps=10):
    return search(objective, kl, theta, step, delta, [alpha**j for j in range(max_steps)], better=False)


@mistake("backtracking_line_search", "You look for a smaller objective: it is to be raised.")
def minimises(objective, kl, theta, step, delta, alpha=0.8, max_steps=10):
    return search(lambda x: -objective(x), kl, theta, step, delta, [alpha**j for j in range(max_steps)])


@mistake("backtracking_line_search", "If no candidate fits the result is theta, not the last candidate.")
def the_last_candidate(objective, kl, theta, step, delta, alpha=0.8, max_steps=10):
    fractions = [alpha**j for j in range(max_steps)]
    found = search(objective, kl, theta, step, delta, fractions)
    return theta + fractions[-1] * step if found.equal(theta) else found


@mistake("backtracking_line_search", "You shorten by the same amount each time: the steps are alpha^j long.")
def shortens_evenly(objective, kl, theta, step, delta, alpha=0.8, max_steps=10):
    return search(objective, kl, theta, step, delta, [1 - j * (1 - alpha) for j in range(max_steps)])


@mistake("backtracking_line_search", "You return the step: asked are the new parameters.")
def the_step_alone(objective, kl, theta, step, delta, alpha=0.8, max_steps=10):
    return search(objective, kl, theta, step, delta, [alpha**j for j in range(max_steps)]) - theta


@mistake("backtracking_line_search", "You compare each candidate with the one before: theta is what to beat.")
def better_than_the_candidate_before(objective, kl, theta, step, delta, alpha=0.8, max_steps=10):
    best = objective(theta)
    for j in range(max_steps):
        candidate = theta + alpha**j * step
        if objective(candidate) > best and kl(candidate) <= delta:
            return candidate
        best = objective(candidate)
    return theta


@mistake(
    "backtracking_line_search", "You move theta in place: the caller's parameters must stay as they are."
)
def moves_theta(objective, kl, theta, step, delta, alpha=0.8, max_steps=10):
    return theta.copy_(
        reinforcement.backtracking_line_search(objective, kl, theta, step, delta, alpha, max_steps)
    ).clone()


@mistake("q_learning_target", "You go on after an end: there the reward is all there is.")
def target_without_dones(rewards, dones, q_next, gamma):
    return rewards + gamma * q_next.amax(-1)


@mistake("q_learning_target", "You drop the reward of the last step: it belongs to the episode.")
def target_without_the_last_reward(rewards, dones, q_next, gamma):
    return (1 - dones) * (rewards + gamma * q_next.amax(-1))


@mistake("q_learning_target", "Your flags are upside down: done = 1 means that nothing follows.")
def target_of_ends(rewards, dones, q_next, gamma):
    return rewards + gamma * dones * q_next.amax(-1)


@mistake("q_learning_target", "You average over the actions: the best one counts.")
def target_of_a_random_policy(rewards, dones, q_next, gamma):
    return rewards + gamma * (1 - dones) * q_next.mean(-1)


@mistake("q_learning_target", "You take the largest value of the whole batch: each state has its own.")
def target_of_the_best_state(rewards, dones, q_next, gamma):
    return rewards + gamma * (1 - dones) * q_next.amax()


@mistake("q_learning_target", "You take the number of the best action: its value is meant.")
def target_of_the_action(rewards, dones, q_next, gamma):
    return rewards + gamma * (1 - dones) * q_next.argmax(-1)


@mistake("q_learning_target", "You discount the reward too: it counts in full.")
def target_with_discounted_rewards(rewards, dones, q_next, gamma):
    return gamma * (rewards + (1 - dones) * q_next.amax(-1))


@mistake("q_learning_target", "Nothing is discounted: what follows counts gamma times.")
def undiscounted_target(rewards, dones, q_next, gamma):
    return rewards + (1 - dones) * q_next.amax(-1)


@mistake("q_learning_target", "You keep one target for each action: asked is that of the best.")
def target_of_every_action(rewards, dones, q_next, gamma):
    return rewards[..., None] + gamma * (1 - dones[..., None]) * q_next


class Buffer(reinforcement.ReplayBuffer):
    """A right buffer that tells which rows of `transitions` a batch is drawn from."""

    def rows(self, batch_size, generator):
        return torch.randint(len(self.transitions), (batch_size,), generator=generator).tolist()

    def sample(self, batch_size, generator):
        chosen = [self.transitions[i] for i in self.rows(batch_size, generator)]
        return tuple(torch.stack(field) for field in zip(*chosen, strict=True))


@mistake(
    "ReplayBuffer", "The buffer grows without end: beyond `capacity` a new transition replaces the oldest."
)
class GrowsWithoutEnd(Buffer):
    def add(self, *transition):
        self.transitions.append(transition)


@mistake(
    "ReplayBuffer", "A full buffer takes nothing more: it is to replace the oldest transition, not to stop."
)
class StopsWhenFull(Buffer):
    def add(self, *transition):
        if len(self.transitions) < self.capacity:
            self.transitions.append(transition)


@mistake("ReplayBuffer", "A full buffer replaces the newest transition; the oldest is the one to go.")
class ReplacesTheNewest(Buffer):
    def add(self, *transition):
        del self.transitions[self.capacity - 1 :]
        self.transitions.append(transition)


@mistake(
    "ReplayBuffer", "A full buffer always replaces slot 0; the slot to replace moves on, round the ring."
)
class ReplacesSlotZero(Buffer):
    def add(self, *transition):
        if len(self.transitions) == self.capacity:
            self.transitions[0] = transition
        else:
            self.transitions.append(transition)


@mistake("ReplayBuffer", "A full buffer is emptied and starts again; only the oldest transition is to go.")
class EmptiesWhenFull(Buffer):
    def add(self, *transition):
        if len(self.transitions) == self.capacity:
            self.transitions.clear()
        self.transitions.append(transition)


@mistake(
    "ReplayBuffer",
    "The ring turns one slot too far: after a full turn the first overwritten slot is skipped.",
)
class WritesOneSlotTooFar(Buffer):
    def add(self, *transition):
        if len(self.transitions) < self.capacity:
            self.transitions.append(transition)
        else:
            self.oldest = (self.oldest + 1) % self.capacity
            self.transitions[self.oldest] = transition


@mistake("ReplayBuffer", "One slot stays unused: the buffer is to hold `capacity` transitions, not one less.")
class OneTooFew(Buffer):
    def add(self, *transition):
        self.transitions = [*self.transitions, transition][-max(1, self.capacity - 1) :]


@mistake("ReplayBuffer", "The length is the capacity, however few transitions were added.")
class LengthIsCapacity(Buffer):
    def __len__(self):
        return self.capacity


@mistake(
    "ReplayBuffer", "You draw slots that were not filled yet: draw among the len(self) transitions there are."
)
class DrawsUnfilledSlots(Buffer):
    def sample(self, batch_size, generator):
        rows = torch.randint(self.capacity, (batch_size,), generator=generator).tolist()
        blank = tuple(torch.zeros_like(field) for field in self.transitions[0])
        chosen = [self.transitions[i] if i < len(self.transitions) else blank for i in rows]
        return tuple(torch.stack(field) for field in zip(*chosen, strict=True))


@mistake("ReplayBuffer", "The last slot is never drawn: torch.randint leaves its upper bound out already.")
class NeverDrawsTheLastSlot(Buffer):
    def rows(self, batch_size, generator):
        below = max(1, len(self.transitions) - 1)
        return torch.randint(below, (batch_size,), generator=generator).tolist()


@mistake("ReplayBuffer", "You return the newest transitions: a batch is drawn at random from all of them.")
class ReturnsTheNewest(Buffer):
    def rows(self, batch_size, generator):
        return range(len(self.transitions) - batch_size, len(self.transitions))


@mistake("ReplayBuffer", "You draw a start and take neighbours: a batch's transitions are to be independent.")
class DrawsNeighbours(Buffer):
    def rows(self, batch_size, generator):
        start = int(torch.randint(len(self.transitions), (), generator=generator))
        return [(start + k) % len(self.transitions) for k in range(batch_size)]


@mistake("ReplayBuffer", "You draw one transition and repeat it: draw anew for every row of the batch.")
class RepeatsOneDraw(Buffer):
    def rows(self, batch_size, generator):
        return [int(torch.randint(len(self.transitions), (), generator=generator))] * batch_size


@mistake(
    "ReplayBuffer", "Newer transitions are drawn more often; all in the buffer are to be equally likely."
)
class PrefersTheNewer(Buffer):
    def rows(self, batch_size, generator):
        weights = torch.arange(1.0, len(self.transitions) + 1)
        return torch.multinomial(weights, batch_size, replacement=True, generator=generator).tolist()


@mistake("ReplayBuffer", "You round to the nearest slot, so the first and the last are drawn half as often.")
class RoundsToTheNearestSlot(Buffer):
    def rows(self, batch_size, generator):
        places = torch.rand(batch_size, generator=generator) * (len(self.transitions) - 1)
        return places.round().long().tolist()


@mistake(
    "ReplayBuffer", "You ignore `generator` and draw from another random state: no batch can be drawn again."
)
class DrawsFromAStateOfItsOwn(Buffer):
    def __init__(self, capacity):
        super().__init__(capacity)
        self.state = torch.Generator().manual_seed(42)

    def rows(self, batch_size, generator):
        return super().rows(batch_size, self.state)


@mistake("ReplayBuffer", "You seed the draws yourself: every batch is the same, whatever the generator.")
class SeedsTheDrawsItself(Buffer):
    def rows(self, batch_size, generator):
        return super().rows(batch_size, torch.Generator().manual_seed(0))


@mistake(
    "ReplayBuffer",
    "You draw rows for each field by itself: state, action and reward of one row don't belong together.",
)
class DrawsEachFieldByItself(Buffer):
    def sample(self, batch_size, generator):
        fields = list(zip(*self.transitions, strict=True))
        return tuple(torch.stack([f[i] for i in self.rows(batch_size, generator)]) for f in fields)


@mistake("ReplayBuffer", "Sampled transitions leave the buffer; they stay until newer ones replace them.")
class TakesOutWhatItSamples(Buffer):
    def sample(self, batch_size, generator):
        order = torch.randperm(len(self.transitions), generator=generator).tolist()
        chosen = [self.transitions[i] for i in order[:batch_size]]
        self.transitions = [self.transitions[i] for i in sorted(order[batch_size:])]
        return tuple(torch.stack(field) for field in zip(*chosen, strict=True))


@mistake(
    "ReplayBuffer", "You shuffle the buffer in place to sample: then the ring no longer knows the oldest."
)
class ShufflesInPlace(Buffer):
    def sample(self, batch_size, generator):
        order = torch.randperm(len(self.transitions), generator=generator).tolist()
        self.transitions = [self.transitions[i] for i in order]
        return tuple(torch.stack(field) for field in zip(*self.transitions[:batch_size], strict=True))


@mistake("ReplayBuffer", "You return a list of transitions; stack each field over the batch instead.")
class ReturnsTransitions(Buffer):
    def sample(self, batch_size, generator):
        return [self.transitions[i] for i in self.rows(batch_size, generator)]


@mistake("ReplayBuffer", "The order is wrong: (states, actions, rewards, next_states, dones).")
class NextStatesSecond(Buffer):
    def sample(self, batch_size, generator):
        states, actions, rewards, next_states, dones = super().sample(batch_size, generator)
        return states, next_states, actions, rewards, dones


@mistake(
    "ReplayBuffer", "One tensor stands for all states: each call of `add` overwrites what was stored before."
)
class StoresOneTensorForAll(Buffer):
    def add(self, state, action, reward, next_state, done):
        if not self.transitions:
            self.state = torch.empty_like(state)
        self.state.copy_(state)
        super().add(self.state, action, reward, next_state, done)


@mistake(
    "ReplayBuffer", "You store everything in float32: the fields are to keep the dtypes they were added with."
)
class StoresFloat32(Buffer):
    def add(self, state, action, reward, next_state, done):
        super().add(state.float(), action, reward.float(), next_state.float(), done.float())


@mistake("polyak_update", "The weights are swapped: rho is the part of the target that is kept.")
def weights_swapped(target, source, rho):
    return reinforcement.polyak_update(source, target, rho)


@mistake("polyak_update", "You update the target in place: return new tensors, the lists stay as they are.")
def updates_in_place(target, source, rho):
    for t, s in zip(target, source, strict=True):
        t.mul_(rho).add_((1 - rho) * s)
    return [t.clone() for t in target]


@mistake("polyak_update", "You copy the source: the target is to follow slowly.")
def copies_the_source(target, source, rho):
    return [s.clone() for s in source]


@mistake("polyak_update", "The two weights add up to 1: the source has 1 - rho.")
def adds_the_whole_source(target, source, rho):
    return [rho * t + s for t, s in zip(target, source, strict=True)]


@mistake("polyak_update", "You take the plain mean, whatever rho says.")
def plain_mean(target, source, rho):
    return [(t + s) / 2 for t, s in zip(target, source, strict=True)]


@mistake("polyak_update", "You update the first tensor alone: all of them move.")
def the_first_alone(target, source, rho):
    return [*reinforcement.polyak_update(target[:1], source[:1], rho), *(t.clone() for t in target[1:])]


@mistake("polyak_update", "You step away from the source: the difference is source - target.")
def steps_away(target, source, rho):
    return [t - (1 - rho) * (s - t) for t, s in zip(target, source, strict=True)]


@mistake("polyak_update", "You put all parameters into one tensor: a list of tensors is asked for.")
def one_flat_tensor(target, source, rho):
    return torch.cat([t.flatten() for t in reinforcement.polyak_update(target, source, rho)])


def bellman(rewards, dones, q_next, gamma):
    return rewards + gamma * (1 - dones) * q_next


@mistake("ddpg_losses", "The target is not detached: the critic would move the target to where it is.")
def target_attached(q, q_next, q_pi, rewards, dones, gamma):
    return (q - bellman(rewards, dones, q_next, gamma)).square().mean(), -q_pi.mean()


@mistake("ddpg_losses", "The actor's sign is turned: it raises Q, so its loss is minus the mean.")
def actor_lowers_q(q, q_next, q_pi, rewards, dones, gamma):
    critic, actor = reinforcement.ddpg_losses(q, q_next, q_pi, rewards, dones, gamma)
    return critic, -actor


@mistake("ddpg_losses", "There is no factor 1/2 in the critic's loss.")
def critic_with_a_half(q, q_next, q_pi, rewards, dones, gamma):
    critic, actor = reinforcement.ddpg_losses(q, q_next, q_pi, rewards, dones, gamma)
    return critic / 2, actor


@mistake("ddpg_losses", "The critic goes on after an end: there the reward is all there is.")
def critic_without_dones(q, q_next, q_pi, rewards, dones, gamma):
    return reinforcement.ddpg_losses(q, q_next, q_pi, rewards, 0 * dones, gamma)


@mistake("ddpg_losses", "The actor's loss uses the actions of the batch: those it would take now are meant.")
def actor_of_the_batch(q, q_next, q_pi, rewards, dones, gamma):
    return reinforcement.ddpg_losses(q, q_next, q_pi, rewards, dones, gamma)[0], -q.mean()


@mistake("ddpg_losses", "The target uses q_pi, of the present states: q_next is of the next ones.")
def target_of_the_present(q, q_next, q_pi, rewards, dones, gamma):
    return reinforcement.ddpg_losses(q, q_pi.detach(), q_pi, rewards, dones, gamma)


@mistake("ddpg_losses", "The two losses change places: the critic's comes first.")
def actor_first(q, q_next, q_pi, rewards, dones, gamma):
    return reinforcement.ddpg_losses(q, q_next, q_pi, rewards, dones, gamma)[::-1]


@mistake("ddpg_losses", "You sum over the batch; both losses are means.")
def summed_losses(q, q_next, q_pi, rewards, dones, gamma):
    return tuple(q.numel() * x for x in reinforcement.ddpg_losses(q, q_next, q_pi, rewards, dones, gamma))


@mistake("ddpg_losses", "You take the Huber loss for the critic: it is the squared error.")
def critic_with_huber(q, q_next, q_pi, rewards, dones, gamma):
    target = bellman(rewards, dones, q_next, gamma).detach()
    return F.smooth_l1_loss(q, target), -q_pi.mean()


@mistake("ddpg_losses", "q_pi is detached: the actor learns through the critic's gradient.")
def actor_detached(q, q_next, q_pi, rewards, dones, gamma):
    return reinforcement.ddpg_losses(q, q_next, q_pi.detach(), rewards, dones, gamma)


@mistake("exploration_action", "The action can leave its bounds: clamp the sum to low ... high.")
def out_of_bounds(mu, noise, low, high):
    return mu + noise


@mistake("exploration_action", "You clamp the noise: it is the action, mu + noise, that has bounds.")
def clamps_the_noise(mu, noise, low, high):
    return mu + noise.clamp(low, high)


@mistake(
    "exploration_action", "You clamp the mean before the noise is added: then the sum can leave the bounds."
)
def clamps_the_mean(mu, noise, low, high):
    return mu.clamp(low, high) + noise


@mistake(
    "exploration_action",
    "You clamp twice: a mean outside the bounds with noise that leads back is cut short.",
)
def clamps_twice(mu, noise, low, high):
    return (mu.clamp(low, high) + noise).clamp(low, high)


@mistake("exploration_action", "You clamp from above alone: low is a bound as well.")
def clamps_from_above(mu, noise, low, high):
    return (mu + noise).clamp(max=high)


@mistake("exploration_action", "You take the bounds for symmetric: low is not always -high.")
def symmetric_bounds(mu, noise, low, high):
    return (mu + noise).clamp(-high, high)


@mistake("exploration_action", "You scale the noise by the range: it is scaled already.")
def scales_the_noise(mu, noise, low, high):
    return (mu + (high - low) / 2 * noise).clamp(low, high)


@mistake("exploration_action", "You squash with tanh: the sum is cut off at the bounds.")
def squashes(mu, noise, low, high):
    return low + (high - low) * ((mu + noise).tanh() + 1) / 2


@mistake("exploration_action", "You clamp mu in place: the caller's tensor must stay as it is.")
def clamps_in_place(mu, noise, low, high):
    return mu.add_(noise).clamp(low, high)


def td3(r, d, s, policy, q1, q2, noise, gamma, low, high, smaller=torch.minimum):
    action = (policy(s) + noise).clamp(low, high)
    return r + gamma * (1 - d) * smaller(q1(s, action), q2(s, action))


@mistake("td3_targets", "You take the larger value: the smaller one of the twins guards against optimism.")
def larger_twin(r, d, s, policy, q1, q2, noise, gamma, noise_clip, low, high):
    return td3(r, d, s, policy, q1, q2, noise.clamp(-noise_clip, noise_clip), gamma, low, high, torch.maximum)


@mistake("td3_targets", "You average the twins: the smaller value counts.")
def mean_of_the_twins(r, d, s, policy, q1, q2, noise, gamma, noise_clip, low, high):
    noise = noise.clamp(-noise_clip, noise_clip)
    return td3(r, d, s, policy, q1, q2, noise, gamma, low, high, lambda a, b: (a + b) / 2)


@mistake("td3_targets", "You ask one critic alone: the smaller value of both counts.")
def first_twin_alone(r, d, s, policy, q1, q2, noise, gamma, noise_clip, low, high):
    return td3(r, d, s, policy, q1, q1, noise.clamp(-noise_clip, noise_clip), gamma, low, high)


@mistake(
    "td3_targets", "You take the critic that is smaller on average: the choice is made for each transition."
)
def twin_that_is_smaller_on_average(r, d, s, policy, q1, q2, noise, gamma, noise_clip, low, high):
    noise = noise.clamp(-noise_clip, noise_clip)
    return td3(r, d, s, policy, q1, q2, noise, gamma, low, high, lambda a, b: a if a.mean() < b.mean() else b)


@mistake("td3_targets", "The noise is not clipped: the smoothed action stays near the policy's.")
def noise_without_a_clip(r, d, s, policy, q1, q2, noise, gamma, noise_clip, low, high):
    return td3(r, d, s, policy, q1, q2, noise, gamma, low, high)


@mistake("td3_targets", "The smoothed action can leave its bounds: clamp it to low ... high.")
def action_without_bounds(r, d, s, policy, q1, q2, noise, gamma, noise_clip, low, high):
    return td3(r, d, s, policy, q1, q2, noise.clamp(-noise_clip, noise_clip), gamma, -1e9, 1e9)


@mistake("td3_targets", "The noise is missing: the target is smoothed over actions nearby.")
def without_smoothing(r, d, s, policy, q1, q2, noise, gamma, noise_clip, low, high):
    return td3(r, d, s, policy, q1, q2, 0 * noise, gamma, low, high)


@mistake("td3_targets", "You go on after an end: there the reward is all there is.")
def td3_without_dones(r, d, s, policy, q1, q2, noise, gamma, noise_clip, low, high):
    return td3(r, 0 * d, s, policy, q1, q2, noise.clamp(-noise_clip, noise_clip), gamma, low, high)


@mistake("td3_targets", "You scale the noise by the clip: it is scaled already, and cut off at +-noise_clip.")
def noise_scaled_by_the_clip(r, d, s, policy, q1, q2, noise, gamma, noise_clip, low, high):
    return td3(r, d, s, policy, q1, q2, noise * noise_clip, gamma, low, high)


@mistake("td3_targets", "You clamp the policy's action before the noise is added: the sum is clamped.")
def clamped_before_the_noise(r, d, s, policy, q1, q2, noise, gamma, noise_clip, low, high):
    action = policy(s).clamp(low, high) + noise.clamp(-noise_clip, noise_clip)
    return r + gamma * (1 - d) * torch.minimum(q1(s, action), q2(s, action))


@mistake("sac_targets", "The sign of the entropy is turned: -alpha log pi is a bonus.")
def entropy_as_a_cost(rewards, dones, q1, q2, next_log_prob, gamma, alpha):
    return reinforcement.sac_targets(rewards, dones, q1, q2, -next_log_prob, gamma, alpha)


@mistake("sac_targets", "You add the entropy where the episode ended: nothing follows there.")
def entropy_after_an_end(rewards, dones, q1, q2, next_log_prob, gamma, alpha):
    return rewards + gamma * ((1 - dones) * torch.minimum(q1, q2) - alpha * next_log_prob)


@mistake("sac_targets", "The entropy is not discounted: it comes one step later, like the value.")
def undiscounted_entropy(rewards, dones, q1, q2, next_log_prob, gamma, alpha):
    return rewards + (1 - dones) * (gamma * torch.minimum(q1, q2) - alpha * next_log_prob)


@mistake("sac_targets", "The entropy is missing: this is the target of a policy that need not explore.")
def without_entropy(rewards, dones, q1, q2, next_log_prob, gamma, alpha):
    return reinforcement.sac_targets(rewards, dones, q1, q2, next_log_prob, gamma, 0.0)


@mistake("sac_targets", "alpha is missing: it sets what a nat of entropy is worth.")
def entropy_without_alpha(rewards, dones, q1, q2, next_log_prob, gamma, alpha):
    return reinforcement.sac_targets(rewards, dones, q1, q2, next_log_prob, gamma, 1.0)


@mistake("sac_targets", "You take the larger of the two values; the smaller one counts.")
def soft_target_of_the_larger(rewards, dones, q1, q2, next_log_prob, gamma, alpha):
    return reinforcement.sac_targets(
        rewards, dones, torch.maximum(q1, q2), torch.maximum(q1, q2), next_log_prob, gamma, alpha
    )


@mistake("sac_targets", "You average the two values; the smaller one counts.")
def soft_target_of_the_mean(rewards, dones, q1, q2, next_log_prob, gamma, alpha):
    mean = (q1 + q2) / 2
    return reinforcement.sac_targets(rewards, dones, mean, mean, next_log_prob, gamma, alpha)


@mistake("sac_targets", "You go on after an end: there the reward is all there is.")
def soft_target_without_dones(rewards, dones, q1, q2, next_log_prob, gamma, alpha):
    return reinforcement.sac_targets(rewards, 0 * dones, q1, q2, next_log_prob, gamma, alpha)


@mistake("sac_targets", "You weigh the entropy by the probability itself: log pi is its logarithm already.")
def probability_for_log_probability(rewards, dones, q1, q2, next_log_prob, gamma, alpha):
    return reinforcement.sac_targets(rewards, dones, q1, q2, next_log_prob.exp(), gamma, alpha)


@mistake("sac_policy_loss", "The sign is turned: the loss falls where the value rises.")
def maximised_policy_loss(log_prob, q1, q2, alpha):
    return -reinforcement.sac_policy_loss(log_prob, q1, q2, alpha)


@mistake("sac_policy_loss", "The sign of the entropy is turned: the policy is to stay random.")
def rewards_certainty(log_prob, q1, q2, alpha):
    return (-alpha * log_prob - torch.minimum(q1, q2)).mean()


@mistake("sac_policy_loss", "You take the larger of the two values; the smaller one counts.")
def larger_value(log_prob, q1, q2, alpha):
    return (alpha * log_prob - torch.maximum(q1, q2)).mean()


@mistake("sac_policy_loss", "You average the two values; the smaller one counts.")
def mean_value(log_prob, q1, q2, alpha):
    return (alpha * log_prob - (q1 + q2) / 2).mean()


@mistake("sac_policy_loss", "You take the minimum of two means; it is taken for each action.")
def minimum_of_mean_values(log_prob, q1, q2, alpha):
    return alpha * log_prob.mean() - torch.minimum(q1.mean(), q2.mean())


@mistake("sac_policy_loss", "alpha weighs the value: it belongs to the log-probability.")
def alpha_on_the_value(log_prob, q1, q2, alpha):
    return (log_prob - alpha * torch.minimum(q1, q2)).mean()


@mistake("sac_policy_loss", "The values are detached: the policy learns through the critics' gradient.")
def values_without_gradient(log_prob, q1, q2, alpha):
    return reinforcement.sac_policy_loss(log_prob, q1.detach(), q2.detach(), alpha)


@mistake("sac_policy_loss", "The log-probability is detached: the entropy would not be raised.")
def log_prob_without_gradient(log_prob, q1, q2, alpha):
    return reinforcement.sac_policy_loss(log_prob.detach(), q1, q2, alpha)


@mistake("sac_policy_loss", "You sum over the batch; the loss is the mean.")
def summed_policy_loss(log_prob, q1, q2, alpha):
    return (alpha * log_prob - torch.minimum(q1, q2)).sum()


@mistake(
    "sac_policy_loss", "You weigh by the values, as a policy gradient does: here they are differentiated."
)
def as_a_score_function(log_prob, q1, q2, alpha):
    return (log_prob * (alpha * log_prob - torch.minimum(q1, q2)).detach()).mean()
