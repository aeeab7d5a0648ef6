"""Every setting of schedule search and of the schedules that it is compared with."""

from __future__ import annotations

from attrs import field, frozen, validators

__all__ = ["STRATEGIES", "ScheduleConfig"]

STRATEGIES = (
    "constant",
    "tuned",
    "cosine",
    "learned-temperature",
    "random",
    "bandit",
    "pbt",
    "mcts",
)
"""In the order of the tables."""

_POSITIVE = validators.gt(0.0)


@frozen
class ScheduleConfig:
    """The table ``[schedule]`` of a recipe."""

    budget: int = field(default=3000, validator=validators.ge(1))
    """Gradient steps of a whole run, those of rollouts and of discarded trials included."""
    interval: int = field(default=10, validator=validators.ge(1))
    """Gradient steps between two decisions; every interval ends with a validation."""
    threads: int = field(default=1, validator=validators.ge(1))
    """Of PyTorch in every process; a result depends on it in the last bits."""
    workers: int = field(default=1, validator=[validators.ge(1), validators.le(256)])
    """Processes that train at the same time; 1: this one."""
    snapshots: int = field(default=64, validator=validators.ge(1))
    """Training states kept on disk; one that was dropped is trained again from its nearest ancestor."""

    # The decision process (paper §3.3).
    rate_factor: float = field(default=1.5, validator=validators.gt(1.0))
    """What ``lr_up`` and ``lr_down`` multiply and divide by."""
    temperature_factor: float = field(default=1.1, validator=validators.gt(1.0))
    lowest_rate: float = field(default=1e-6, validator=_POSITIVE)
    highest_rate: float = field(default=1e-2, validator=_POSITIVE)
    lowest_temperature: float = field(default=0.01, validator=_POSITIVE)
    highest_temperature: float = field(default=0.5, validator=_POSITIVE)
    metric: str = field(default="accuracy", validator=validators.in_(("accuracy", "mrr")))
    """A of the reward: recall@1, or the mean reciprocal rank, which has finer steps."""
    accuracy_weight: float = field(default=1.0, validator=validators.ge(0.0))
    """α"""
    loss_weight: float = field(default=0.5, validator=validators.ge(0.0))
    """β"""
    gradient_weight: float = field(default=1e-4, validator=validators.ge(0.0))
    """λ_g"""
    gradient_limit: float = field(default=1.0, validator=_POSITIVE)
    """G"""
    overfit_weight: float = field(default=0.01, validator=validators.ge(0.0))
    """λ_o"""
    overfit_margin: float = field(default=0.3, validator=validators.ge(0.0))
    """δ"""
    floor: float = -1.0
    """Reward of an interval whose loss is not finite; nothing comes after it."""

    # The tree search.
    horizon: int = field(default=4, validator=validators.ge(1))
    """Decisions that a simulation looks ahead."""
    simulations: int = field(default=10, validator=validators.ge(1))
    """New simulations before each decision."""
    discount: float = field(default=0.95, validator=[validators.ge(0.0), validators.le(1.0)])
    """γ"""
    exploration: float = field(default=2.0**0.5, validator=validators.ge(0.0))
    """c, in units of the running spread of returns."""
    decide: str = field(default="mean", validator=validators.in_(("mean", "visits", "best")))
    """How a decision is taken: highest mean return, most visits, or the best single return, which in an
    environment without chance can be had again."""
    keep: str = field(default="committed", validator=validators.in_(("committed", "explored")))
    """Which weights a search hands over: the best of the committed training, or of all that it tried."""

    # The rivals.
    rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 2e-3, 4e-3, 8e-3)
    """Rates that ``tuned`` tries one by one (the budget in equal shares) and ``bandit`` chooses among."""
    population: int = field(default=5, validator=validators.ge(2))
    """Members of population based training, which share the budget."""
    ready: int = field(default=2, validator=validators.ge(1))
    """Intervals between two rounds of exploitation in population based training."""
