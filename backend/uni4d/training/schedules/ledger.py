"""What a training costs: every gradient step and every validation, wherever it was spent.

Schedules are compared at equal totals. An interval of training is a function of the path that leads to it,
so one that is asked for twice is trained and counted once; steps that had to be repeated because a snapshot
was dropped teach nothing new and stand apart.
"""

from __future__ import annotations

from attrs import define, field

__all__ = ["Ledger"]


@define
class Ledger:
    """The account of one run."""

    budget: int
    """Gradient steps that may be spent."""
    steps: dict[str, int] = field(factory=dict)
    """Purpose (``live``, ``rollout``, ``trial``) → gradient steps."""
    validations: dict[str, int] = field(factory=dict)
    """Purpose → validations."""
    repeated: int = 0
    """Gradient steps taken again; not part of the budget."""

    @property
    def spent(self) -> int:
        return sum(self.steps.values())

    @property
    def remaining(self) -> int:
        return self.budget - self.spent

    def charge(self, purpose: str, steps: int) -> None:
        """Enter one interval of ``steps`` and its validation."""
        self.steps[purpose] = self.steps.get(purpose, 0) + steps
        self.validations[purpose] = self.validations.get(purpose, 0) + 1
