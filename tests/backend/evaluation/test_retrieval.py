"""The whole evaluation on a made-up world: it reports, goes on where it stopped, and can be stopped."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import numpy as np
import pytest
from PIL import Image

from uni4d.encoders.protocols import TextEncoder
from uni4d.evaluation.adapters import LinearAdapter
from uni4d.evaluation.embeddings import digest_of, drawn_for_training
from uni4d.evaluation.neighbours import NeighbourTransfer
from uni4d.evaluation.pictures import Picture, answers
from uni4d.evaluation.report import write_report
from uni4d.evaluation.retrieval import Evaluation, RetrievalSettings, evaluate_retrieval
from uni4d.library.features import AssetFeatures
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Cancelled, silent

SETTINGS = RetrievalSettings(
    arms=("knn-views", "captions", "linear"), seeds=2, draws=3, scale=True, quick=True
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def evaluation(world: AssetFeatures, encoder: TextEncoder, runs: Path) -> Evaluation:
    return evaluate_retrieval(world, encoder, SETTINGS, runs, silent)


def test_every_arm_answers_every_task(evaluation: Evaluation) -> None:
    keys = {task.key for task in evaluation.tasks}
    assert keys == {
        *("r-name", "r-unseen", "r-instance"),
        *("c-category", "c-category-of-object", "c-name", "c-name-of-object"),
    }
    for task in evaluation.tasks:
        assert list(task.arms) == list(SETTINGS.arms)
        for figures in task.arms.values():
            recalls = [figures[f"recall@{k}"].mean for k in (1, 3, 5, 10)]
            assert recalls == sorted(recalls)
            assert all(figure.low <= figure.mean <= figure.high for figure in figures.values())


def test_the_linear_adapter_wins(evaluation: Evaluation) -> None:
    by_name = next(task for task in evaluation.tasks if task.key == "r-name")
    linear, views = by_name.arms["linear"]["recall@1"], by_name.arms["knn-views"]["recall@1"]
    assert linear.low > views.mean > by_name.chance["recall@1"] + 0.2


def test_all_checks_pass(evaluation: Evaluation) -> None:
    assert evaluation.failed == []
    assert {check.kind for check in evaluation.checks} == {"vectors", "order", "labels", "training"}


def test_larger_galleries_are_harder(evaluation: Evaluation) -> None:
    for arm in SETTINGS.arms:
        points = evaluation.scaled["r-name"][arm]
        assert [point.x for point in points][1:] == [1_000, 10_000]
        mrr = [point.values["mrr"] for point in points]
        assert mrr == sorted(mrr, reverse=True)
        real = evaluation.galleries["r-name"][arm]
        assert real[-1].values["mrr"] <= real[-2].values["mrr"]


def test_what_was_learnt_is_not_learnt_again(
    world: AssetFeatures,
    encoder: TextEncoder,
    runs: Path,
    evaluation: Evaluation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(NeighbourTransfer, "fit", _refuse)
    again = evaluate_retrieval(world, encoder, attrs.evolve(SETTINGS, scale=False), runs, silent)
    assert again.tasks == evaluation.tasks
    with pytest.raises(AssertionError, match="learnt again"):  # other features: nothing of this holds
        evaluate_retrieval(attrs.evolve(world, sizes=world.sizes + 1), encoder, SETTINGS, runs, silent)


def _refuse(*arguments: object) -> None:
    raise AssertionError("learnt again")


def test_a_stopped_evaluation_keeps_what_is_done(
    world: AssetFeatures, encoder: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop_at_linear(fraction: float, message: str) -> None:
        if message.startswith("linear, seed 0"):
            raise Cancelled

    with pytest.raises(Cancelled):
        evaluate_retrieval(world, encoder, SETTINGS, tmp_path, stop_at_linear)
    kept = sorted(path.name.partition("-seed")[0] for path in tmp_path.iterdir())
    assert kept == ["captions", "captions", "knn-views", "knn-views"]


def test_a_damaged_run_is_named(
    world: AssetFeatures, encoder: TextEncoder, runs: Path, evaluation: Evaluation, tmp_path: Path
) -> None:
    some = next(runs.glob("knn-views-seed0-*.npz"))
    (tmp_path / some.name).write_bytes(some.read_bytes()[:500])
    with pytest.raises(Uni4DError, match=some.name) as caught:
        evaluate_retrieval(world, encoder, SETTINGS, tmp_path, silent)
    assert caught.value.code == "output-damaged"


def test_an_arm_that_breaks_down_is_named(
    world: AssetFeatures, encoder: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: LinearAdapter, features: AssetFeatures) -> np.ndarray:
        return np.full((len(features), 4), np.nan, np.float32)

    monkeypatch.setattr(LinearAdapter, "embed_assets", broken)
    with pytest.raises(Uni4DError, match=r"“linear”.*not finite") as caught:
        evaluate_retrieval(world, encoder, attrs.evolve(SETTINGS, arms=("linear",)), tmp_path, silent)
    assert caught.value.code == "evaluation-nan"


def test_a_tiny_library_is_refused(world: AssetFeatures, encoder: TextEncoder, tmp_path: Path) -> None:
    with pytest.raises(Uni4DError, match="fewer than two fall to: validation, test"):
        evaluate_retrieval(world.split("train"), encoder, SETTINGS, tmp_path, silent)


def test_test_objects_teach_nothing(world: AssetFeatures, encoder: TextEncoder, tmp_path: Path) -> None:
    """With other test objects, everything else is embedded as before."""
    settings = attrs.evolve(SETTINGS, seeds=1, scale=False)
    changed = world.views.copy()
    held = world.splits == "test"
    changed[held] = changed[held][::-1]
    first, second = (
        evaluate_retrieval(features, encoder, settings, tmp_path, silent)
        for features in (world, attrs.evolve(world, views=changed))
    )
    for one, other in zip(first.runs, second.runs, strict=True):
        assert np.array_equal(one.texts, other.texts)
        assert np.array_equal(one.objects[~held], other.objects[~held])


def test_each_seed_learns_from_other_objects_of_whole_groups(world: AssetFeatures) -> None:
    grouped = attrs.evolve(world, groups=tuple(uid.rpartition("-")[0] for uid in world.uids)).split("train")
    draws = [drawn_for_training(grouped, 0.8, seed) for seed in (0, 0, 1)]
    assert draws[0].uids == draws[1].uids != draws[2].uids
    for drawn in draws:
        left_out = set(grouped.uids) - set(drawn.uids)
        assert {grouped.groups[grouped.uids.index(uid)] for uid in left_out}.isdisjoint(drawn.groups)
        assert len(set(drawn.groups)) == round(0.8 * len(set(grouped.groups)))


def test_the_digest_sees_every_field(world: AssetFeatures) -> None:
    part = world.rows(range(4))
    others = [
        attrs.evolve(part, names=("x", *part.names[1:])),
        attrs.evolve(part, texts=(("x",), *part.texts[1:])),
        attrs.evolve(part, groups=("x", *part.groups[1:])),
        attrs.evolve(part, views=part.views + 1),
        attrs.evolve(part, points=part.points + 1),
    ]
    digests = {digest_of(features) for features in (part, *others)}
    assert len(digests) == 6
    assert digest_of(world.rows(range(4))) == digest_of(part)


@pytest.fixture(scope="module")
def report(evaluation: Evaluation, world: AssetFeatures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    thumbnail = folder / "thumbnail.png"
    Image.new("RGBA", (40, 30), (200, 30, 30, 255)).save(thumbnail)
    test = world.split("test")
    pictures = {
        uid: Picture(name, "A. <Maker>, CC0", thumbnail)
        for uid, name in zip(test.uids, test.names, strict=True)
    }
    write_report(folder, evaluation, test.uids, pictures, silent)
    return folder


def test_the_report_says_what_was_measured(report: Path, evaluation: Evaluation) -> None:
    text = (report / "report.md").read_text(encoding="utf-8")
    by_name = next(task for task in evaluation.tasks if task.key == "r-name")
    assert f"{by_name.arms['linear']['recall@1'].mean:.3f} ± " in text
    assert "A quick run" in text
    assert "names never seen in training" in text
    assert "failed" not in text
    for name in ("arms", "gallery", "noise", "scale", "hits"):
        assert f"({name}.png)" in text
        with Image.open(report / f"{name}.png") as image:
            assert min(image.size) > 200
            assert len(image.convert("RGB").getcolors(1_000_000) or ()) > 5
    told = json.loads((report / "report.json").read_text(encoding="utf-8"))
    figure = next(task for task in told["tasks"] if task["key"] == "r-name")["arms"]["linear"]["recall@1"]
    assert figure == attrs.asdict(by_name.arms["linear"]["recall@1"])


def test_the_page_frames_what_is_right_and_needs_no_other_file(report: Path, evaluation: Evaluation) -> None:
    page = (report / "hits.html").read_text(encoding="utf-8")
    assert page.count("<section>") == 40
    assert 'class="right"' in page and 'class="wrong"' in page
    assert 'src="data:image/webp;base64,' in page and 'src="/' not in page
    assert "A. &lt;Maker&gt;, CC0" in page
    drawn = answers(*evaluation.answered("linear", "r-name"), 40, 8)
    assert page.count("right one first") == sum(answer.rank == 0 for answer in drawn)
    assert page.count('class="right"') == sum(right for answer in drawn for _, _, right in answer.hits)
    assert len({answer.query for answer in drawn}) == 40


def test_nothing_of_matplotlib_is_left_open(report: Path) -> None:
    import sys

    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
