"""Week 15: the checks that students have too."""

import math

import torch

from autograder.author import above, at_least, at_most, check, close, holds
from autograder.probes import Generator, Probe


@check("trajectory_log_prob", examples=1)
def multiplies_start_choice_and_move(trajectory_log_prob, p0):
    """Start 1/2, action 1/4, move 1/3, action 3/4, move 1/6: the trajectory has probability 1/192."""
    move = p0.new_tensor([[[2 / 3, 1 / 3], [1 / 2, 1 / 2]], [[1 / 4, 3 / 4], [1 / 6, 5 / 6]]])
    choose = p0.new_tensor([[1 / 4, 3 / 4], [1 / 4, 3 / 4]])
    log_p = trajectory_log_prob(
        p0.new_tensor([1 / 2, 1 / 2]), move, choose, torch.tensor([0, 1, 0]), torch.tensor([0, 1])
    )
    close(log_p, p0.new_tensor(-math.log(192)))


@check("trajectory_log_prob", examples=8)
def has_probabilities_that_add_up_to_one(trajectory_log_prob, p0, P, pi):
    """Over all trajectories with one action, s_0, a_0, s_1, the probabilities add up to 1."""
    n, m = pi.shape
    first, action, second = torch.cartesian_prod(torch.arange(n), torch.arange(m), torch.arange(n)).T
    log_p = trajectory_log_prob(p0, P, pi, torch.stack([first, second]), action[None])
    close(log_p.exp().sum(), 1 + 0 * p0.sum())


@check("policy_evaluation", examples=4)
def sums_the_geometric_series(policy_evaluation, P, pi, gamma):
    """A reward of 1 in every step is worth 1 + gamma + gamma^2 + ... = 1 / (1 - gamma), whatever one does."""
    close(policy_evaluation(P, torch.ones_like(pi), pi, gamma), torch.ones_like(pi[:, 0]) / (1 - gamma))


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


@check("value_iteration", examples=8)
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


@check("rewards_to_go", examples=12)
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


@check("categorical_log_prob", examples=8)
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


@check("diagonal_gaussian_log_prob", examples=8)
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


@check("tanh_gaussian_sample", examples=8)
def is_the_same_on_both_sides(tanh_gaussian_sample, mean, log_std, noise):
    """Mean and noise with the sign turned give the opposite action, at the same density."""
    action, log_prob = tanh_gaussian_sample(mean, log_std, noise)
    close(tanh_gaussian_sample(-mean, log_std, -noise), (-action, log_prob))


@check("exact_policy_gradient", examples=8)
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


@check("policy_gradient_loss", examples=8)
def pulls_each_action_by_its_weight(policy_gradient_loss, log_probs, weights):
    """Descent raises log-probabilities in proportion to their weights: the gradient is -weight / n."""
    asked = {"wrt": [0], "cotangents": [1 + 0 * weights.sum()]}
    (gradient,) = policy_gradient_loss.ask([log_probs, weights], **asked)["gradients"]
    close(0 * weights if gradient is None else gradient, -weights / weights.numel())


@check("value_loss", examples=1)
def gives_the_worked_error(value_loss, values):
    """Values 1 and 2 for returns 3 and 1 are off by 2 and 1: the loss is (4 + 1) / 2."""
    close(value_loss(values.new_tensor([1, 2]), values.new_tensor([3, 1])), values.new_tensor(2.5))


@check("value_loss", examples=8)
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


@check("gae", examples=12)
def with_lambda_0_sees_one_step(gae, rewards, values, dones, last_value, gamma):
    """At lambda = 0 the advantage is the temporal difference r_t + gamma V(s_{t+1}) - V(s_t), cut at ends."""
    following = torch.cat([values[1:], last_value[None]])
    advantages, _ = gae(rewards, values, dones, last_value, gamma, 0.0)
    close(advantages, rewards + gamma * (1 - dones) * following - values)


@check("normalize_advantages", examples=12)
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


@check("ppo_clip_loss", examples=12)
def clips_at_one_fifth_by_default(ppo_clip_loss, log_probs, old_log_probs, advantages):
    """Where no clip is given, it is 0.2."""
    default = ppo_clip_loss(log_probs, old_log_probs, advantages)
    close(default, ppo_clip_loss(log_probs, old_log_probs, advantages, 0.2))


@check("ppo_clip_loss", examples=12)
def starts_at_minus_the_mean_advantage(ppo_clip_loss, log_probs, advantages, clip):
    """While both policies agree every ratio is 1, so the loss is minus the mean advantage."""
    close(ppo_clip_loss(log_probs, log_probs, advantages, clip), -advantages.mean())


@check("ppo_kl_penalty_loss", examples=1)
def gives_the_worked_penalty(ppo_kl_penalty_loss, kl):
    """Ratios 2 and 1/2 with advantages 1 and -4 cancel; divergences 0.1 and 0.3 cost 0.2 times coef = 5."""
    new, old = kl.new_tensor([2, 0.5]).log(), kl.new_tensor([0, 0])
    loss = ppo_kl_penalty_loss(new, old, kl.new_tensor([1, -4]), kl.new_tensor([0.1, 0.3]), 5.0)
    close(loss, kl.new_tensor(1))


@check("ppo_kl_penalty_loss", examples=8)
def holds_the_divergence_down(ppo_kl_penalty_loss, log_probs, old_log_probs, advantages, kl, coef):
    """The penalty is there for its gradient: with respect to kl it is coef / n."""
    asked = {"wrt": [3], "cotangents": [1 + 0 * kl.sum()]}
    (gradient,) = ppo_kl_penalty_loss.ask([log_probs, old_log_probs, advantages, kl, coef], **asked)[
        "gradients"
    ]
    close(0 * kl if gradient is None else gradient, 0 * kl + coef / kl.numel())


@check("adapt_kl_coefficient")
def doubles_halves_or_waits(adapt_kl_coefficient):
    """For a target of 0.01: twice as much at 0.016, half as much at 0.006, no change at 0.007 and 0.014."""
    for kl, factor in ((0.016, 2), (0.006, 0.5), (0.007, 1), (0.014, 1)):
        close(adapt_kl_coefficient(3.0, kl, 0.01), 3.0 * factor)


@check("clipped_value_loss", examples=1)
def gives_the_worked_clipped_loss(clipped_value_loss, values):
    """Clip 0.2: from 0 to 1, a return of 1 counts 0.64, one of 0 counts 1; from 0 to 0.1, 1 counts 0.81."""
    for value, target, counts in ((1, 1, 0.64), (1, 0, 1), (0.1, 1, 0.81)):
        one = [values.new_tensor([x]) for x in (value, 0, target)]
        close(clipped_value_loss(*one, 0.2), values.new_tensor(counts))


@check("entropy_bonus", examples=8)
def is_largest_for_uniform_policies(entropy_bonus, logits):
    """Among n actions the entropy is at most ln n, and it is that where all are equally likely."""
    most = math.log(logits.shape[-1])
    at_most(entropy_bonus(logits), most)
    at_least(entropy_bonus(logits), 0)
    close(entropy_bonus(0 * logits), most + 0 * logits.sum())


@check("surrogate_advantage", examples=8)
def starts_at_the_mean_advantage(surrogate_advantage, log_probs, advantages):
    """While both policies agree every ratio is 1, and the surrogate is the mean advantage."""
    close(surrogate_advantage(log_probs, log_probs, advantages), advantages.mean())


@check("surrogate_advantage", examples=1)
def weighs_advantages_by_ratios(surrogate_advantage, advantages):
    """Twice as likely with advantage 3, and a quarter as likely with advantage -4: (6 - 1) / 2."""
    new, old = advantages.new_tensor([2, 0.25]).log() - 1, advantages.new_tensor([-1, -1])
    close(surrogate_advantage(new, old, advantages.new_tensor([3, -4])), advantages.new_tensor(2.5))


@check("mean_categorical_kl", examples=8)
def is_zero_where_nothing_changed(mean_categorical_kl, logits, old_logits):
    """A divergence is never negative, and 0 between a policy and itself."""
    at_least(mean_categorical_kl(logits, old_logits), 0)
    close(1 + mean_categorical_kl(logits, logits + 1), 1 + 0 * logits.sum())


@check("mean_categorical_kl", examples=1)
def weighs_by_the_old_policy(mean_categorical_kl, logits):
    """From (1/4, 3/4) to (1/2, 1/2): ln(1/2) / 4 + 3 ln(3/2) / 4 = 0.130812 nats."""
    new, old = logits.new_tensor([[1 / 2, 1 / 2]]).log(), logits.new_tensor([[1 / 4, 3 / 4]]).log()
    close(mean_categorical_kl(new, old), logits.new_tensor(0.25 * math.log(0.5) + 0.75 * math.log(1.5)))


@check("conjugate_gradient", examples=1)
def gives_the_worked_solution(conjugate_gradient, b):
    """H = (4 1; 1 3), b = (1, 2): one step gives x = (1/4, 1/2), two give (1/11, 7/11), the solution."""
    H, right = Probe("MatrixProduct", {"matrix": b.new_tensor([[4, 1], [1, 3]])}), b.new_tensor([1, 2])
    close(conjugate_gradient(H, right, 1), b.new_tensor([1 / 4, 1 / 2]))
    close(conjugate_gradient(H, right, 2), b.new_tensor([1 / 11, 7 / 11]))


@check("conjugate_gradient", examples=8)
def stops_when_it_has_arrived(conjugate_gradient, b):
    """For H = 2 I the first step arrives at b / 2; b = 0 is solved from the start. More would be 0 / 0."""
    twice = Probe("MatrixProduct", {"matrix": 2 * torch.eye(len(b), dtype=b.dtype)})
    close(conjugate_gradient(twice, b + 4), (b + 4) / 2)
    close(conjugate_gradient(twice, 0 * b), 0 * b)


@check("trpo_step", examples=1)
def gives_the_worked_step(trpo_step, g):
    """H = diag(4, 1), g = (4, 1): H^-1 g = (1, 1), g^T H^-1 g = 5, and delta = 0.1 allows (0.2, 0.2)."""
    H = Probe("MatrixProduct", {"matrix": g.new_tensor([[4, 0], [0, 1]])})
    close(trpo_step(g.new_tensor([4, 1]), H, 0.1), g.new_tensor([0.2, 0.2]))


@check("trpo_step", examples=8)
def uses_the_whole_trust_region(trpo_step, g, hvp, delta):
    """The step s goes to the edge: s^T H s / 2 = delta. And it goes uphill: g^T s > 0."""
    step = trpo_step(g, hvp, delta)
    close(step @ (hvp.parameters["matrix"] @ step) / 2, delta + 0 * g.sum())
    above(g @ step, 0)


@check("backtracking_line_search", examples=1)
def takes_the_first_that_fits(backtracking_line_search, theta):
    """From 0 by 2, peak at 0.9, KL = x^2 / 2: halved once it is better, halved twice KL <= 0.2 as well."""
    peak = Probe("Quadratic", {"centre": theta.new_tensor([0.9]), "weights": theta.new_tensor([-1])})
    kl = Probe("Quadratic", {"centre": theta.new_tensor([0]), "weights": theta.new_tensor([0.5])})
    start, step = theta.new_tensor([0]), theta.new_tensor([2])
    close(backtracking_line_search(peak, kl, start, step, 9.0, 0.5, 4), theta.new_tensor([1]))
    close(backtracking_line_search(peak, kl, start, step, 0.2, 0.5, 4), theta.new_tensor([0.5]))
    close(backtracking_line_search(peak, kl, start, step, 0.2, 0.5, 2), start)


@check("backtracking_line_search", examples=8)
def stays_where_nothing_is_better(backtracking_line_search, theta, step, kl):
    """At the peak of the objective no step is better, and the parameters stay as they are."""
    peak = Probe("Quadratic", {"centre": theta, "weights": -torch.ones_like(theta)})
    close(backtracking_line_search(peak, kl, theta, step, 1e9), theta)


@check("q_learning_target", examples=1)
def gives_the_worked_targets(q_learning_target, rewards):
    """Reward 1, next values 2 and 4, gamma = 1/2: the target is 3, or 1 where the episode ended."""
    r, ends, q = rewards.new_tensor([1, 1]), rewards.new_tensor([0, 1]), rewards.new_tensor([[2, 4]] * 2)
    close(q_learning_target(r, ends, q, 0.5), rewards.new_tensor([3, 1]))


@check("polyak_update", examples=1)
def gives_the_worked_average(polyak_update, rho):
    """With rho = 0.9 a parameter of 1 moves a tenth of the way to 2, to 1.1."""
    target, source = torch.ones(2, 1), torch.full((2, 1), 2.0)
    close(polyak_update([target, 0 * target], [source, source], 0.9), [1.1 * target, 0.2 * target])


@check("polyak_update", examples=8)
def keeps_everything_or_nothing(polyak_update, target, source):
    """rho = 1 keeps the target, rho = 0 takes the source: two lists as long as what came in."""
    close(polyak_update(target, source, 1.0), target)
    close(polyak_update(target, source, 0.0), source)


@check("ddpg_losses", examples=1)
def gives_the_worked_losses(ddpg_losses, q):
    """Q = 2 for a target of 1 + 1/2 * 6 = 4, Q = 3 for one of 1 at an end: critic (4 + 4) / 2, actor -7."""
    given = ([2, 3], [6, 6], [5, 9], [1, 1], [0, 1])
    close(ddpg_losses(*(q.new_tensor(x) for x in given), 0.5), (q.new_tensor(4), q.new_tensor(-7)))


@check("ddpg_losses", examples=8)
def leaves_the_target_network_alone(ddpg_losses, q, q_next, q_pi, rewards, dones, gamma):
    """The Bellman target is a constant: no gradient of either loss reaches q_next."""
    one = 1 + 0 * q.sum()
    asked = {"wrt": [1], "cotangents": [one, one]}
    (gradient,) = ddpg_losses.ask([q, q_next, q_pi, rewards, dones, gamma], **asked)["gradients"]
    close(0 * q_next if gradient is None else gradient, 0 * q_next)


@check("exploration_action", examples=1)
def gives_worked_actions(exploration_action, mu):
    """Between -2 and 1/2: 0 + 1/4 is allowed, 1/4 + 3 becomes 1/2, -1.75 - 1 becomes -2."""
    actions = exploration_action(mu.new_tensor([0, 0.25, -1.75]), mu.new_tensor([0.25, 3, -1]), -2.0, 0.5)
    close(actions, mu.new_tensor([0.25, 0.5, -2]))


@check("td3_targets", examples=8)
def is_the_reward_at_an_end(td3_targets, rewards, dones, next_states, policy, q1, q2, noise, gamma):
    """Where the episode ended, the target is the reward: the critics have no say."""
    ended = torch.ones_like(dones)
    close(td3_targets(rewards, ended, next_states, policy, q1, q2, noise, gamma, 0.5, -1.0, 1.0), rewards)


@check("td3_targets", examples=8)
def does_not_care_which_critic_comes_first(
    td3_targets, rewards, dones, next_states, policy, q1, q2, noise, gamma, noise_clip, low, high
):
    """The smaller of both values counts: the critics may change places, and 1 more reward is 1 more."""
    rest = (noise, gamma, noise_clip, low, high)
    y = td3_targets(rewards, dones, next_states, policy, q1, q2, *rest)
    close(td3_targets(rewards + 1, dones, next_states, policy, q2, q1, *rest), y + 1)


@check("sac_targets", examples=1)
def gives_the_worked_soft_targets(sac_targets, rewards):
    """Reward 1, values 4 and 2, log-probability -3, gamma = alpha = 1/2: 1 + (2 + 3/2) / 2 = 2.75, or 1."""
    given = ([1, 1], [0, 1], [4, 4], [2, 2], [-3, -3])
    y = sac_targets(*(rewards.new_tensor(x) for x in given), 0.5, 0.5)
    close(y, rewards.new_tensor([2.75, 1]))


@check("sac_policy_loss", examples=1)
def gives_the_worked_policy_loss(sac_policy_loss, q1):
    """Log-probabilities -2 and 1, smaller values 3 and -1, alpha = 1/2: (-1 - 3 + 1/2 + 1) / 2 = -1.25."""
    given = ([-2, 1], [3, 4], [5, -1])
    close(sac_policy_loss(*(q1.new_tensor(x) for x in given), 0.5), q1.new_tensor(-1.25))


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
