"""Every strategy spends its budget, hands over a real training, and goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import torch

from uni4d.training.atms import AtmsTask, AtmsTrainConfig
from uni4d.training.atms_schedules import config_for, train_with_strategy
from uni4d.training.atms_training import train_member
from uni4d.training.schedules.config import STRATEGIES, ScheduleConfig
from uni4d.training.schedules.mdp import Action, Setting, chosen, reward_of
from uni4d.training.schedules.records import read_schedule, schedule_rows
from uni4d.training.schedules.run import Journal, Run
from uni4d.training.schedules.runners import Assignment, InProcess, InProcesses
from uni4d.training.schedules.search import search_with_tree
from uni4d.training.schedules.strategies import strategy_of
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Cancelled, silent

from .conftest import FIRST, MakeRun

MakeAssignment = Callable[..., Assignment]


@pytest.fixture
def searched_config(tiny_config: AtmsTrainConfig, schedule_config: ScheduleConfig) -> AtmsTrainConfig:
    return attrs.evolve(tiny_config, schedule=schedule_config)


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "learned-temperature"])
def test_all_spend_the_same_number_of_steps(name: str, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    outcome = strategy_of(name)(run, 0)
    # A population stops when the budget is too small for another round.
    least = 24 if name != "pbt" else 24 - 2 * (run.config.population - 1)
    assert least <= run.ledger.spent <= 24
    assert run.ledger.repeated == 0
    assert sum(run.ledger.validations.values()) == run.ledger.spent // 2
    assert outcome.committed.path[: len(outcome.best.path)] == outcome.best.path
    assert outcome.best.figures.score == max(p.figures.score for p in run.along(outcome.committed))


def test_hand_set_schedules_are_what_their_names_say(make_run: MakeRun, tmp_path: Path) -> None:
    constant = strategy_of("constant")(make_run(tmp_path / "a"), 0).committed.path
    assert set(constant) == {FIRST}
    cosine = [setting.rate for setting in strategy_of("cosine")(make_run(tmp_path / "b"), 0).committed.path]
    assert cosine[0] == FIRST.rate
    assert cosine[-1] == pytest.approx(FIRST.rate / 100)
    assert cosine == sorted(cosine, reverse=True)


def test_population_based_training_moves_the_weak_to_the_strong(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path, budget=32, ready=1)
    strategy_of("pbt")(run, 1)
    # A member that took another's place shares its path, and goes on with another setting.
    paths = [point.path for point in run.points.values()]
    forks = [path[:-1] for path in paths if path]
    assert max(forks.count(prefix) for prefix in forks if prefix) > 1


def test_every_committed_step_of_the_search_is_one_action(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    outcome, search = search_with_tree(run, 0)
    setting = FIRST
    for following in outcome.committed.path:
        assert following in {chosen(action, setting, run.config) for action in Action}
        setting = following
    assert search.origin.visits > 0


def test_the_search_may_hand_over_anything_that_it_explored(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path, keep="explored")
    outcome = strategy_of("mcts")(run, 0)
    assert outcome.best.figures.score == max(point.figures.score for point in run.points.values())


@pytest.mark.parametrize("name", ["mcts", "pbt", "bandit"])
def test_a_search_that_was_stopped_goes_on_as_if_nothing_had_happened(
    name: str, make_run: MakeRun, tmp_path: Path
) -> None:
    whole = make_run(tmp_path / "whole")
    expected = strategy_of(name)(whole, 0)

    def cancel_at_half(fraction: float, message: str) -> None:
        if fraction > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        strategy_of(name)(make_run(tmp_path / "parts", cancel_at_half), 0)
    trained = len((tmp_path / "parts" / "journal.jsonl").read_text().splitlines())
    with (tmp_path / "parts" / "journal.jsonl").open("a") as file:
        file.write('{"key": "cut sho')  # as a crash leaves it
    resumed = make_run(tmp_path / "parts")
    found = strategy_of(name)(resumed, 0)
    assert trained > 5
    assert found.committed == expected.committed
    assert resumed.ledger.spent == whole.ledger.spent
    journals = [
        Journal.opened(tmp_path / name / "journal.jsonl", {"of": "a test"}) for name in ("parts", "whole")
    ]
    assert journals[0].known == journals[1].known


def test_a_journal_of_another_training_is_refused(
    tiny_task: AtmsTask, searched_config: AtmsTrainConfig, tmp_path: Path
) -> None:
    train_with_strategy("constant", tiny_task, searched_config, 0, silent, tmp_path)
    with pytest.raises(Uni4DError, match="seed differ"):
        train_with_strategy("constant", tiny_task, searched_config, 1, silent, tmp_path)


def test_the_committed_schedule_replayed_alone_gives_the_same_weights(
    tiny_task: AtmsTask, searched_config: AtmsTrainConfig, tmp_path: Path
) -> None:
    model, told = train_with_strategy("mcts", tiny_task, searched_config, 4, silent, tmp_path)
    schedule, steps = read_schedule(tmp_path / "schedule.json", searched_config.loop.warmup)
    loop = attrs.evolve(searched_config.loop, steps=steps, validate_every=steps)
    threads = torch.get_num_threads()
    torch.set_num_threads(told["threads"])
    replayed = train_member(tiny_task, attrs.evolve(searched_config, loop=loop), 4, silent, schedule=schedule)
    torch.set_num_threads(threads)
    for name, value in model.state_dict().items():
        assert torch.equal(value, replayed.state_dict()[name]), name


def test_the_log_tells_the_states_and_the_rewards(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    outcome = strategy_of("random")(run, 0)
    rows = schedule_rows(run, outcome.committed)
    points = run.along(outcome.committed)
    assert [row["step"] for row in rows] == [2.0 * number for number in range(len(points))]
    for before, after, row in zip(points, points[1:], rows[1:], strict=False):
        assert row["reward"] == pytest.approx(reward_of(before.figures, after.figures, run.config))
        state = run.state(after)
        assert (state.previous_accuracy, state.previous_loss) == (
            before.figures.accuracy,
            before.figures.loss,
        )
    assert rows[-1]["mean_reward"] == pytest.approx(sum(row["reward"] for row in rows) / (len(rows) - 1))
    assert rows[-1]["epoch"] == pytest.approx(24 * 0.3)


def test_the_tree_is_kept_and_drawn(
    tiny_task: AtmsTask, searched_config: AtmsTrainConfig, tmp_path: Path
) -> None:
    _, told = train_with_strategy("mcts", tiny_task, searched_config, 0, silent, tmp_path)
    tree = json.loads((tmp_path / "tree.json").read_text())
    setting = Setting(searched_config.loop.learning_rate, searched_config.loop.temperature)
    path = []
    while tree["chosen"] is not None:
        setting = chosen(Action[tree["chosen"].upper()], setting, searched_config.schedule)
        path.append([setting.rate, setting.temperature])
        tree = tree["children"][tree["chosen"]]
    assert path == told["settings"]
    assert (tmp_path / "tree.dot").read_text().startswith("digraph")
    page = (tmp_path / "tree.html").read_text()
    assert page.count("<circle") == (tmp_path / "tree.dot").read_text().count('[label="visits')


def test_a_learnt_temperature_moves(
    tiny_config: AtmsTrainConfig, schedule_config: ScheduleConfig, tmp_path: Path
) -> None:
    from harness.made_up_world import WordVectors, made_up

    searched = attrs.evolve(tiny_config, schedule=schedule_config)
    config = config_for("learned-temperature", searched)
    task = AtmsTask(made_up(80, 1), made_up(40, 2), WordVectors(), config)
    model, _ = train_with_strategy("learned-temperature", task, searched, 0, silent, tmp_path)
    assert model.log_temperature is not None
    assert float(model.log_temperature.detach().exp()) != pytest.approx(searched.loop.temperature, rel=1e-4)


def test_a_schedule_that_is_not_known_is_named(make_run: MakeRun) -> None:
    with pytest.raises(Uni4DError, match="no schedule “annealing”"):
        strategy_of("annealing")


@pytest.mark.parametrize(
    "text",
    ["", "{}", '{"format": "uni4d-schedule-1", "settings": [[-1, 2]], "interval": 2, "best_interval": 1}'],
)
def test_a_schedule_file_that_cannot_be_used_says_why(text: str, tmp_path: Path) -> None:
    file = tmp_path / "schedule.json"
    file.write_text(text)
    with pytest.raises(Uni4DError, match=r"schedule\.json cannot be used"):
        read_schedule(file, 0)


@pytest.mark.slow
def test_two_processes_search_as_one_would_with_two_simulations_at_once(
    assignment: MakeAssignment, schedule_config: ScheduleConfig, tmp_path: Path
) -> None:
    config = attrs.evolve(schedule_config, workers=2)
    outcomes = []
    for name, kind in (("here", InProcess), ("there", InProcesses)):
        folder = tmp_path / name
        with kind(assignment(folder, config)) as runner:
            runner.parallel = 2
            journal = Journal.opened(folder / "journal.jsonl", {})
            run = Run(config, FIRST, runner, journal, silent, batch_share=0.3)
            outcomes.append(strategy_of("mcts")(run, 0))
            assert run.ledger.spent == config.budget
    assert outcomes[0] == outcomes[1]
