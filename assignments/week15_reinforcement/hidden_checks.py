"""Week 15: the checks that only the instructor has; the battery comes on top."""

import math
from itertools import combinations

import torch

from autograder.author import at_least, check, close, equal, holds, integer, number, real, uniform_counts
from autograder.probes import Generator, Probe


@check("trajectory_log_prob", examples=4)
def does_not_vanish_in_long_trajectories(trajectory_log_prob, p0):
    """After 300 steps of probability 1/8 the logarithm is 300 ln(1/8) and the start's, no -infinity."""
    move, choose = p0.new_full((4, 2, 4), 1 / 4), p0.new_full((4, 2), 1 / 2)
    states, actions = torch.arange(301) % 4, torch.arange(300) % 2
    expected = 300 * math.log(1 / 8) + math.log(1 / 4)
    close(
        trajectory_log_prob(p0.new_full((4,), 1 / 4), move, choose, states, actions), p0.new_tensor(expected)
    )


@check("trajectory_log_prob", examples=8)
def knows_what_cannot_happen(trajectory_log_prob, p0, pi):
    """Where no state is ever left, trajectories that stay have the policy's probability, others none."""
    stay = torch.eye(len(p0), dtype=p0.dtype)[:, None].expand(*pi.shape, len(p0)).clone()
    states, actions = torch.tensor([[0, 0], [0, 1], [0, 1]]), torch.zeros(2, 2, dtype=torch.int64)
    log_p = trajectory_log_prob(p0, stay, pi, states, actions)
    close(log_p, torch.stack([(p0[0] * pi[0, 0] ** 2).log(), p0.new_tensor(-math.inf)]))


@check("policy_evaluation", examples=8)
def is_linear_in_the_rewards(policy_evaluation, P, R, pi, gamma):
    """Twice the rewards are worth twice as much, and 1 more in every step 1 / (1 - gamma) more."""
    values = policy_evaluation(P, R, pi, gamma)
    close(policy_evaluation(P, 2 * R + 1, pi, gamma), 2 * values + 1 / (1 - gamma))


@check("value_iteration", examples=8)
def one_more_sweep_is_one_more_step_ahead(value_iteration, P, R, gamma, n_iter):
    """One sweep more adds the best first action to what the sweeps before found."""
    ahead = value_iteration(P, R, gamma, n_iter)
    best = torch.stack([R[:, a] + gamma * (P[:, a] * ahead).sum(-1) for a in range(R.shape[1])]).amax(0)
    close(value_iteration(P, R, gamma, n_iter + 1), best)


@check("discounted_return", examples=8)
def begins_again_a_step_later(discounted_return, rewards, gamma):
    """The return is the first reward and gamma times the return of the rest."""
    episode = torch.cat([rewards, rewards[:1] + 1])
    close(discounted_return(episode, gamma), rewards[0] + gamma * discounted_return(episode[1:], gamma))


@check("rewards_to_go", examples=12)
def what_comes_later_counts_once_per_step(rewards_to_go, rewards, dones, gamma, last_value):
    """One more of `last_value` adds gamma^(T - t) to the return of step t, and nothing across an end."""
    steps = torch.arange(len(rewards), 0, -1).to(rewards.dtype).reshape(-1, *[1] * (rewards.ndim - 1))
    more = rewards_to_go(rewards, 0 * dones, gamma, last_value + 1)
    close(
        more - rewards_to_go(rewards, 0 * dones, gamma, last_value), gamma**steps * torch.ones_like(rewards)
    )
    ended = torch.cat([dones[:-1], torch.ones_like(dones[-1:])])
    returns = rewards_to_go(rewards, ended, gamma, last_value)
    close(rewards_to_go(rewards, ended, gamma, last_value + 1), returns)


@check("categorical_log_prob", examples=8, shift=number(5.0, -3.0, 100.0))
def only_differences_of_logits_count(categorical_log_prob, logits, actions, shift):
    """The same number added to all logits of a policy changes nothing."""
    close(categorical_log_prob(logits + shift, actions), categorical_log_prob(logits, actions))


@check("diagonal_gaussian_log_prob", examples=8, more=real(dims="*batch action"))
def adds_up_over_independent_dimensions(diagonal_gaussian_log_prob, a, mean, log_std, more):
    """Independent dimensions add up, each with its own constant and its own deviation."""
    both = diagonal_gaussian_log_prob(*(torch.cat(v, -1) for v in ([a, more], [mean, a], [log_std, log_std])))
    close(both, diagonal_gaussian_log_prob(a, mean, log_std) + diagonal_gaussian_log_prob(more, a, log_std))


@check("tanh_gaussian_sample", examples=8)
def stays_exact_where_tanh_is_flat(tanh_gaussian_sample, mean, log_std):
    """At u = 40 tanh rounds to 1, and log(1 - tanh(u)^2) is 2 ln 2 - 80: neither -infinity nor ln 1e-6."""
    far = 40 * torch.ones_like(mean)
    action, log_prob = tanh_gaussian_sample(far, log_std, 0 * far)
    close(action, torch.ones_like(far))
    close(log_prob, (80 - 2 * math.log(2) - log_std - 0.5 * math.log(2 * math.pi)).sum(-1))


@check("exact_policy_gradient", examples=8)
def moves_probability_from_arm_to_arm(exact_policy_gradient, logits, rewards, baseline):
    """What one arm gains others lose: the gradient adds up to 0, and only differences of rewards count."""
    gradient = exact_policy_gradient(logits, rewards, baseline)
    close(1 + gradient.sum(), 1 + 0 * gradient.sum())
    close(exact_policy_gradient(logits, 2 * rewards + 1, baseline), 2 * gradient)


@check("policy_gradient_loss", examples=8)
def averages_over_all_elements(policy_gradient_loss, log_probs, weights):
    """A rollout shown twice has the same loss, whether side by side or one after the other."""
    loss = policy_gradient_loss(log_probs, weights)
    close(policy_gradient_loss(torch.cat([log_probs] * 2), torch.cat([weights] * 2)), loss)
    close(policy_gradient_loss(torch.stack([log_probs] * 2, 1), torch.stack([weights] * 2, 1)), loss)


@check("value_loss", examples=8)
def grows_with_the_square_of_the_error(value_loss, values, returns):
    """Errors three times as large cost nine times as much, and a rollout shown twice as much as once."""
    loss = value_loss(values, returns)
    close(value_loss(returns + 3 * (values - returns), returns), 9 * loss)
    close(value_loss(torch.cat([values] * 2), torch.cat([returns] * 2)), loss)


@check("gae", examples=12)
def with_lambda_1_sees_the_whole_return(gae, rewards, values, dones, last_value, gamma):
    """At lambda = 1 the returns are the discounted rewards to go: R_t = r_t + gamma R_{t+1}, cut at ends."""
    _, returns = gae(rewards, values, dones, last_value, gamma, 1.0)
    following = torch.cat([returns[1:], last_value[None]])
    close(returns, rewards + gamma * (1 - dones) * following)


@check("gae", examples=12)
def an_end_cuts_the_rollout_in_two(gae, rewards, values, dones, last_value, gamma, lam):
    """Where an episode ends, the steps up to it and the steps after it can be treated apart."""
    cut = (len(rewards) + 1) // 2
    ended = dones.clone()
    ended[cut - 1] = 1
    advantages, _ = gae(rewards, values, ended, last_value, gamma, lam)
    before, _ = gae(rewards[:cut], values[:cut], ended[:cut], last_value + 1, gamma, lam)
    close(advantages[:cut], before)
    if cut < len(rewards):
        after, _ = gae(rewards[cut:], values[cut:], ended[cut:], last_value, gamma, lam)
        close(advantages[cut:], after)


@check("normalize_advantages", examples=12, shift=number(1.0, -2.0, 0.5))
def forgets_where_zero_was(normalize_advantages, advantages, shift):
    """Advantages measured from another zero give the same result, and with the sign turned the opposite."""
    normalized = normalize_advantages(advantages)
    close(normalize_advantages(advantages + shift), normalized)
    close(normalize_advantages(shift - advantages), -normalized)


@check("normalize_advantages", examples=4)
def equal_advantages_give_zero(normalize_advantages, advantages):
    """Where all advantages are 0, so that their standard deviation is 0, the result is 0, not NaN."""
    close(normalize_advantages(0 * advantages), 0 * advantages)


@check("normalize_advantages", examples=4)
def an_outlier_stays_one(normalize_advantages, advantages):
    """Nothing is clipped: of 144 advantages a single one that is not 0 lies 143 / 12 deviations away."""
    lonely = advantages.new_zeros(12, 12)
    lonely[3, 5] = 1
    normalized = normalize_advantages(lonely)
    close(normalized[3, 5], 143 / 12 / (1 + 12e-8))
    close(normalized[0, 0], -1 / 12 / (1 + 12e-8))


@check("ppo_clip_loss", examples=12)
def is_never_better_than_the_unclipped_objective(ppo_clip_loss, log_probs, old_log_probs, advantages, clip):
    """The clipped objective is a lower bound: the loss is at least -mean(r A), and equal for a wide clip."""
    unclipped = -((log_probs - old_log_probs).exp() * advantages).mean()
    at_least(ppo_clip_loss(log_probs, old_log_probs, advantages, clip), unclipped)
    close(ppo_clip_loss(log_probs, old_log_probs, advantages, 100.0), unclipped)


@check("ppo_kl_penalty_loss", examples=8)
def charges_for_the_divergence(ppo_kl_penalty_loss, log_probs, old_log_probs, advantages, kl, coef):
    """One more nat of divergence in every state costs `coef` more."""
    loss = ppo_kl_penalty_loss(log_probs, old_log_probs, advantages, kl, coef)
    close(ppo_kl_penalty_loss(log_probs, old_log_probs, advantages, kl + 1, coef) - loss, 0 * loss + coef)


@check("adapt_kl_coefficient")
def changes_beyond_its_limits_alone(adapt_kl_coefficient):
    """At 1.5 times the target, and at the target divided by 1.5, the coefficient stays what it is."""
    close(adapt_kl_coefficient(0.5, 2.5, 2.0), 0.5)
    close(adapt_kl_coefficient(0.5, 3.0, 2.0), 0.5)
    close(adapt_kl_coefficient(0.5, 2.0, 3.0), 0.5)


@check("clipped_value_loss", examples=8)
def is_never_below_the_plain_loss(clipped_value_loss, values, old_values, returns, clip):
    """The clip only ever adds: the loss is at least the mean squared error, and just that for a wide clip."""
    plain = (values - returns).square().mean()
    at_least(clipped_value_loss(values, old_values, returns, clip), plain)
    close(clipped_value_loss(values, old_values, returns, 100.0), plain)


@check("clipped_value_loss", examples=8, shift=number(2.0, -1.0))
def does_not_know_where_zero_is(clipped_value_loss, values, old_values, returns, clip, shift):
    """Values and returns counted from another zero have the same loss: the clip is on differences."""
    moved = clipped_value_loss(values + shift, old_values + shift, returns + shift, clip)
    close(moved, clipped_value_loss(values, old_values, returns, clip))


@check("entropy_bonus", examples=8)
def vanishes_for_sure_policies(entropy_bonus, logits):
    """A policy that is sure has entropy 0, not NaN; in a batch with as many uniform ones, half theirs."""
    sure = torch.zeros_like(logits)
    sure[..., 0] = 2000
    n = logits.shape[-1]
    close(1 + entropy_bonus(sure), 1 + 0 * logits.sum())
    close(entropy_bonus(torch.cat([sure, 0 * sure])), math.log(n) / 2 + 0 * logits.sum())


@check("entropy_bonus", examples=8)
def answers_float64_in_float64(entropy_bonus, logits, reference):
    """What is asked in float64 is answered in float64."""
    entropy = entropy_bonus(logits.double())
    holds(isinstance(entropy, torch.Tensor) and entropy.dtype == torch.float64, "float64 stays float64")
    close(entropy.to(logits.dtype), reference(logits.double()).to(logits.dtype))


@check("surrogate_advantage", examples=8)
def begins_with_the_policy_gradient(surrogate_advantage, log_probs, advantages):
    """At the old policy, its gradient is that of the mean of A log pi: A / n."""
    asked = {"wrt": [0], "cotangents": [1 + 0 * advantages.sum()]}
    (gradient,) = surrogate_advantage.ask([log_probs, log_probs, advantages], **asked)["gradients"]
    close(0 * advantages if gradient is None else gradient, advantages / advantages.numel())


@check("mean_categorical_kl", examples=8)
def averages_over_the_batch(mean_categorical_kl, logits, old_logits):
    """Beside as many states in which nothing changed, the mean divergence is half as large."""
    kl = mean_categorical_kl(logits, old_logits)
    mixed = mean_categorical_kl(torch.cat([logits, old_logits]), torch.cat([old_logits, old_logits]))
    close(mixed, kl / 2)


@check("conjugate_gradient", examples=1)
def stops_at_its_tolerance(conjugate_gradient, b):
    """One step leaves a squared residual of 0.3125: enough for a tolerance of 0.4, not for one of 0.3."""
    H, right = Probe("MatrixProduct", {"matrix": b.new_tensor([[4, 1], [1, 3]])}), b.new_tensor([1, 2])
    close(conjugate_gradient(H, right, 10, 0.4), b.new_tensor([1 / 4, 1 / 2]))
    close(conjugate_gradient(H, right, 10, 0.3), b.new_tensor([1 / 11, 7 / 11]))


@check("conjugate_gradient", examples=1)
def takes_ten_steps_to_a_tolerance_of_1e_10(conjugate_gradient, b):
    """Without further arguments it takes at most 10 steps, and none below a squared residual of 1e-10."""
    slow, one = Probe("MatrixProduct", {"matrix": torch.diag(b.new_tensor(range(1, 15)))}), b.new_ones(14)
    close(conjugate_gradient(slow, one), conjugate_gradient(slow, one, 10))
    steep = Probe("MatrixProduct", {"matrix": 2.0**30 * torch.eye(1)})
    close(2**30 * conjugate_gradient(steep, b.new_tensor([1.2e-5])), b.new_tensor([1.2e-5]))
    close(2**30 * conjugate_gradient(steep, b.new_tensor([0.8e-5])), b.new_tensor([0]))


@check("conjugate_gradient", examples=8)
def solves_in_float64_too(conjugate_gradient, hvp, b, reference):
    """What is asked in float64 is answered in float64."""
    x = conjugate_gradient(hvp, b.double(), 10, 1e-10)
    holds(isinstance(x, torch.Tensor) and x.dtype == torch.float64, "float64 stays float64")
    close(x.to(b.dtype), reference(hvp, b.double(), 10, 1e-10).to(b.dtype))


@check("trpo_step", examples=8)
def is_as_long_whatever_the_gradients_length(trpo_step, g, hvp, delta):
    """Three times the gradient gives the same step; four times the divergence a step twice as long."""
    step = trpo_step(g, hvp, delta)
    close(trpo_step(3 * g, hvp, delta), step)
    close(trpo_step(g, hvp, 4 * delta), 2 * step)


@check("trpo_step", examples=8)
def steps_in_float64_too(trpo_step, g, hvp, delta, reference):
    """What is asked in float64 is answered in float64."""
    step = trpo_step(g.double(), hvp, delta)
    holds(isinstance(step, torch.Tensor) and step.dtype == torch.float64, "float64 stays float64")
    close(step.to(g.dtype), reference(g.double(), hvp, delta).to(g.dtype))


@check("backtracking_line_search", examples=8)
def tries_ten_times_by_four_fifths(backtracking_line_search, theta, step, objective):
    """Without further arguments alpha is 0.8, and the last of ten tries is 0.8^9 of the step, not 0.8^10."""
    rising = Probe("Quadratic", {"centre": theta + 9 * step, "weights": -torch.ones_like(theta)})
    kl = Probe("Quadratic", {"centre": theta, "weights": torch.ones_like(theta)})
    full = float(step.square().sum())
    found = backtracking_line_search(rising, kl, theta, step, 1.1 * full * 0.8**18)
    close(found, theta + 0.8**9 * step)
    close(backtracking_line_search(rising, kl, theta, step, 0.9 * full * 0.8**18), theta)


@check("backtracking_line_search", examples=1)
def as_good_as_before_is_not_better(backtracking_line_search, theta, step):
    """Where the objective is the same everywhere, no step is better, and the parameters stay as they are."""
    flat = Probe("Quadratic", {"centre": theta, "weights": torch.zeros_like(theta)})
    kl = Probe("Quadratic", {"centre": theta, "weights": torch.ones_like(theta)})
    close(backtracking_line_search(flat, kl, theta, step, 1e9), theta)


@check("q_learning_target", examples=8)
def looks_at_the_best_action_alone(q_learning_target, rewards, dones, q_next, gamma):
    """A next action that is no better changes nothing; one better by 1 adds gamma, but not after an end."""
    y, best = q_learning_target(rewards, dones, q_next, gamma), q_next.amax(-1, keepdim=True)
    close(q_learning_target(rewards, dones, torch.cat([q_next, best - 1], -1), gamma), y)
    better = q_learning_target(rewards, dones, torch.cat([best + 1, q_next], -1), gamma)
    close(better, y + gamma * (1 - dones))


@check("polyak_update", examples=8)
def forgets_at_a_constant_rate(polyak_update, target, source, rho):
    """Two updates leave rho^2 of the distance to the source."""
    twice = polyak_update(polyak_update(target, source, rho), source, rho)
    close(list(twice), [s + rho**2 * (t - s) for t, s in zip(target, source, strict=True)])


@check("ddpg_losses", examples=8)
def averages_both_losses(ddpg_losses, q, q_next, q_pi, rewards, dones, gamma):
    """A batch shown twice has the same losses; a critic that meets its targets has none."""
    once = ddpg_losses(q, q_next, q_pi, rewards, dones, gamma)
    twice = ddpg_losses(*(torch.cat([x, x]) for x in (q, q_next, q_pi, rewards, dones)), gamma)
    close(list(twice), list(once))
    met = ddpg_losses(rewards + gamma * (1 - dones) * q_next, q_next, q_pi, rewards, dones, gamma)
    close(1 + met[0], 1 + 0 * q.sum())


@check("exploration_action", examples=8)
def clamps_the_sum(exploration_action, mu, noise, low, high):
    """Noise that leads back inside counts in full; what lies outside in the end is put on the edge."""
    back = exploration_action(high + noise.abs() + 1, -noise.abs() - 1 - 0.5 * (high - low), low, high)
    close(back, torch.full_like(mu, 0.5 * (high + low)))
    close(exploration_action(mu, 100 + noise.abs(), low, high), torch.full_like(mu, high))


@check("td3_targets", examples=8)
def smooths_no_further_than_the_clip(
    td3_targets, rewards, dones, next_states, policy, q1, q2, noise, gamma, noise_clip
):
    """Noise beyond the clip counts as the clip, whatever the bounds of the action."""
    sign = torch.where(noise < 0, -1.0, 1.0).to(noise.dtype)
    arguments = [rewards, dones, next_states, policy, q1, q2]
    far = td3_targets(*arguments, 50 * sign, gamma, noise_clip, -9.0, 9.0)
    close(far, td3_targets(*arguments, noise_clip * sign, gamma, 60.0, -9.0, 9.0))


@check("sac_targets", examples=8)
def discounts_entropy_like_reward(sac_targets, rewards, dones, q1, q2, next_log_prob, gamma, alpha):
    """One nat less of log-probability is worth gamma alpha, and nothing where the episode ended."""
    y = sac_targets(rewards, dones, q1, q2, next_log_prob, gamma, alpha)
    more = sac_targets(rewards, dones, q1, q2, next_log_prob - 1, gamma, alpha)
    close(more, y + gamma * alpha * (1 - dones))
    close(sac_targets(rewards, dones, q2, q1, next_log_prob, gamma, alpha), y)


@check("sac_policy_loss", examples=8)
def follows_the_smaller_value(sac_policy_loss, log_prob, q1, q2, alpha):
    """For each action the smaller value counts: 1 more for both lowers the loss by 1, for the larger by 0."""
    loss = sac_policy_loss(log_prob, q1, q2, alpha)
    close(sac_policy_loss(log_prob, q1 + 1, q2 + 1, alpha), loss - 1)
    close(sac_policy_loss(log_prob, torch.maximum(q1, q2) + 1, torch.minimum(q1, q2), alpha), loss)


X = torch.arange(10.0)
# The transitions of the checks: number k is row k of each field, and its action is k.
FIELDS = (torch.stack([X, -X], 1), X.long(), 10 * X, torch.stack([X + 0.5, 0.25 - X], 1), X % 2)


def transition(number):
    return [field[number] for field in FIELDS]


def numbers_in(batch, size):
    """The numbers of the transitions in a batch of five stacked tensors."""
    fields = isinstance(batch, (tuple, list)) and len(batch) == 5 and isinstance(batch[1], torch.Tensor)
    holds(fields, "sample gives five tensors: (states, actions, rewards, next_states, dones)")
    holds(
        batch[1].shape == (size,), "sample(batch_size, generator) stacks batch_size actions into one tensor"
    )
    return batch[1].tolist()


@check("ReplayBuffer", points=2, examples=16, gate=True, steps=integer(1, 9))
def keeps_the_newest_transitions_whole(ReplayBuffer, capacity, steps):
    """The buffer holds the last `capacity` transitions, each as it was added, while batches are drawn too."""
    buffer = ReplayBuffer(capacity)
    held = []

    def draw(seed):
        batch = buffer.sample(len(held), Generator(seed))
        numbers = numbers_in(batch, len(held))
        newest = f"after {held[-1]} transitions a batch holds none but {held[0]} to {held[-1]}"
        holds(set(numbers) <= set(held), newest)
        return batch, numbers

    for step in range(1, steps + 1):
        buffer.add(*transition(step))
        held = [*held, step][-capacity:]
        holds(len(buffer) == len(held), f"len(buffer) is {len(held)} after {step} transitions")
        batch, numbers = draw(100 + step)
        close(batch, [field[numbers] for field in FIELDS])
    # At most 4 (3/4)^80 = 4e-10 is the probability that a right buffer does not show one of its transitions.
    drawn = {n for seed in range(20) for n in draw(seed)[1]}
    holds(len(buffer) == len(held), "sampling leaves the buffer as it is")
    holds(drawn == set(held), f"transitions {held[0]} to {held[-1]} are all drawn, now and then")


BATCHES = 300


@check("ReplayBuffer", points=2)
def draws_uniformly(ReplayBuffer):
    """All transitions in the buffer are equally likely, and so are all pairs in a batch of two."""
    # Three tests, so a right sampler fails with probability below 3e-7. Caught with probability 0.99: a
    # transition drawn with a probability that is off by 0.11 where 0.25 is right, by 0.15 where 0.2 is.
    for steps, size in ((4, 4), (8, 2)):
        buffer = ReplayBuffer(5)
        for step in range(1, steps + 1):
            buffer.add(*transition(step))
        held = list(range(max(1, steps - 4), steps + 1))
        batches = [numbers_in(buffer.sample(size, Generator(1000 * steps + k)), size) for k in range(BATCHES)]
        drawn = [n for batch in batches for n in batch]
        uniform_counts({n: drawn.count(n) for n in held}, len(drawn))
    # A sampler with replacement draws a transition twice in one batch of five.
    pairs = [tuple(sorted(batch)) for batch in batches if batch[0] != batch[1]]
    holds(len(pairs) > BATCHES / 2, "the draws of a batch are independent, or differ")
    uniform_counts({pair: pairs.count(pair) for pair in combinations(held, 2)}, len(pairs))


@check("ReplayBuffer")
def keeps_any_shape_and_dtype(ReplayBuffer):
    """States may be images and actions vectors; what was added in float64 comes back in float64."""
    buffer = ReplayBuffer(2)
    images = [torch.full((2, 3), 1 + 2.0**-40, dtype=torch.float64) * k for k in (1, 2)]
    one, zero = torch.tensor(1.0), torch.tensor(0.0)
    for image in images:
        buffer.add(image, torch.tensor([0.5, -1.0, 2.0]), one, -image, zero)
    states, actions, rewards, next_states, dones = buffer.sample(2, Generator(5))
    holds(states.dtype == torch.float64, "states that were added in float64 come back in float64")
    equal(states, torch.stack([images[int(states[row, 0, 0] > 1.5)] for row in range(2)]))
    equal((actions, rewards), (torch.tensor([[0.5, -1.0, 2.0]] * 2), torch.ones(2)))
    equal((next_states, dones), (-states, torch.zeros(2)))
