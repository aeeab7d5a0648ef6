"""The generator of training objects, led by toy workers instead of Infinigen's."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from uni4d_infinigen.naming import OBJECTS, SKIPPED
from uni4d_setup import generated_objects
from uni4d_setup.errors import SetupError
from uni4d_setup.generated_objects import Job, Manifest, make_objects, plan
from uni4d_setup.layout import venv_program

WORKER = """
import json, os, sys, time
from pathlib import Path
for line in sys.stdin:
    job = json.loads(line)
    with open("asked.txt", "a") as asked:
        asked.write(f"{os.getpid()} {job['factory']} {job['seed']}\\n")
    if "Hanging" in job["factory"]:
        time.sleep(600)
    if "Crashing" in job["factory"]:
        os.abort()
    if "Failing" in job["factory"]:
        print(json.dumps({"error": "ValueError: no such material"}), flush=True)
        continue
    if "Lying" not in job["factory"]:
        Path(job["path"]).parent.mkdir(parents=True, exist_ok=True)
        Path(job["path"]).write_bytes(b"glTF")
    print(json.dumps({"faces": 12, "seconds": 0.1}), flush=True)
"""


class Toy:
    """A folder, and workers that hang, crash, fail or write a file, as the factory's name says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "worker.py"
        self.script.write_text(f"import os\nos.chdir({str(folder)!r})\n{WORKER}")
        self.log = folder / "log.txt"

    def make(
        self, factories: list[str], *, processes: int = 1, per_worker: int = 40, patience: float = 60.0
    ) -> Manifest:
        jobs = [
            Job(name.split(":")[0], int(name.split(":")[1]), "thing", f"{name.replace(':', '_')}.glb")
            for name in factories
        ]
        manifest = Manifest(self.folder)
        make_objects(
            jobs,
            manifest,
            [sys.executable, self.script],
            self.log,
            processes=processes,
            wall_seconds=patience,
            objects_per_worker=per_worker,
        )
        return Manifest(self.folder)

    def asked(self) -> list[tuple[str, str]]:
        """Process and factory with seed of each request, in order."""
        lines = (self.folder / "asked.txt").read_text().splitlines()
        return [(line.split()[0], ":".join(line.split()[1:])) for line in lines]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.setattr(generated_objects, "write_texts", lambda manifest, jobs: None)
    return Toy(tmp_path)


def test_a_hang_a_crash_and_an_error_cost_one_object_each(toy: Toy) -> None:
    manifest = toy.make(
        ["Good:0", "Hanging:0", "Good:1", "Crashing:0", "Good:2", "Failing:0", "Good:3"], patience=1.5
    )
    assert sorted(manifest.objects) == [f"Good_{seed}.glb" for seed in range(4)]
    content = json.loads((toy.folder / "manifest.json").read_text())
    assert content["failures"]["Hanging_0.glb"] == "no answer in 1.5 s"
    assert content["failures"]["Crashing_0.glb"] == "the worker crashed (SIGABRT)"
    assert content["failures"]["Failing_0.glb"] == "ValueError: no such material"
    assert content["objects"]["Good_0.glb"] == {
        "factory": "Good",
        "seed": 0,
        "name": "thing",
        "faces": 12,
        "seconds": 0.1,
    }
    # A clean error leaves the worker alive; the hang and the crash each cost one.
    assert len({process for process, _ in toy.asked()}) == 3


def test_success_is_the_file_and_not_the_word(toy: Toy) -> None:
    manifest = toy.make(["Lying:0", "Good:0"])
    assert list(manifest.objects) == ["Good_0.glb"]


def test_a_second_run_makes_only_what_is_missing(toy: Toy) -> None:
    toy.make(["Good:0", "Good:1", "Good:2"])
    (toy.folder / "Good_1.glb").unlink()
    (toy.folder / "Good_3.glb").write_bytes(b"cut short before the manifest knew of it")
    toy.make(["Good:0", "Good:1", "Good:2", "Good:3"])
    assert [name for _, name in toy.asked()][3:] == ["Good:1", "Good:3"]
    assert len(Manifest(toy.folder).objects) == 4


def test_workers_are_recycled(toy: Toy) -> None:
    toy.make([f"Good:{seed}" for seed in range(6)], per_worker=2)
    processes = [process for process, _ in toy.asked()]
    assert len(set(processes)) == 3
    assert all(processes.count(process) == 2 for process in processes)


def test_several_processes_share_the_jobs(toy: Toy) -> None:
    manifest = toy.make([f"Good:{seed}" for seed in range(20)], processes=2)
    assert len(manifest.objects) == 20
    assert sorted(name for _, name in toy.asked()) == sorted(f"Good:{seed}" for seed in range(20))


def test_a_factory_that_never_works_is_given_up(toy: Toy) -> None:
    toy.make([f"Failing:{seed}" for seed in range(8)] + ["Good:0"])
    assert len([name for _, name in toy.asked() if name.startswith("Failing")]) == 3
    content = json.loads((toy.folder / "manifest.json").read_text())
    assert content["failures"]["Failing_7.glb"] == "not tried: 3 other seeds failed"
    assert "Good_0.glb" in content["objects"]


def test_other_versions_are_not_mixed_into_a_folder(toy: Toy) -> None:
    toy.make(["Good:0"])
    file = toy.folder / "manifest.json"
    file.write_text(file.read_text().replace(generated_objects.BPY_VERSION, "9.9.9"))
    with pytest.raises(SetupError, match=r"9\.9\.9.*\n.*--out"):
        Manifest(toy.folder)


def test_a_foreign_manifest_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(SetupError, match=r"not a manifest of generated objects"):
        Manifest(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_the_workers_and_keeps_what_is_done(toy: Toy, repository: Path) -> None:
    program = f"""
    import signal, sys
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started us with it ignored
    sys.path.insert(0, {str(repository / "backend")!r})
    from pathlib import Path
    from uni4d_setup import generated_objects as g
    g.write_texts = lambda manifest, jobs: None
    folder = Path({str(toy.folder)!r})
    jobs = [g.Job(f, 0, "thing", f + "_0.glb") for f in ("Good", "Hanging", "Never")]
    g.make_objects(jobs, g.Manifest(folder), [sys.executable, {str(toy.script)!r}], folder / "log.txt")
    """
    driver = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if (toy.folder / "asked.txt").is_file() and len(toy.asked()) == 2:
            break
        time.sleep(0.05)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(30) != 0
    (worker,) = {int(process) for process, _ in toy.asked()}
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    content = json.loads((toy.folder / "manifest.json").read_text())
    assert list(content["objects"]) == ["Good_0.glb"]
    assert content["failures"] == {}


def test_names_are_plain_english_and_tags_add_to_them() -> None:
    assert len(OBJECTS) > 150
    for factory, naming in OBJECTS.items():
        assert re.fullmatch(r"[a-z_0-9]+(\.[a-z_0-9]+)*\.[A-Z]\w+", factory)
        for words in (naming.name, *naming.tags):
            assert re.fullmatch(r"[A-Za-z]+([ ,'-][A-Za-z]+)*", words), words
            assert not re.search(r"factory|infinigen|base|generic", words, re.IGNORECASE) or "base" in factory
        assert 1 <= len(naming.tags) <= 4, factory
        assert naming.name not in naming.tags
        assert len(set(naming.tags)) == len(naming.tags)
        assert naming.most_seeds >= 1
    assert not OBJECTS.keys() & SKIPPED.keys()
    assert all(reason and reason[0].islower() and not reason.endswith(".") for reason in SKIPPED.values())


def test_the_plan_has_all_kinds_early() -> None:
    jobs = plan(16)
    assert {job.factory for job in jobs[: 3 * len(OBJECTS)]} == set(OBJECTS)
    first_round = [job for job in jobs if not OBJECTS[job.factory].slow][:100]
    assert len({job.factory for job in first_round}) == 100
    assert len({job.path for job in jobs}) == len(jobs)
    for factory, naming in OBJECTS.items():
        seeds = [job.seed for job in jobs if job.factory == factory]
        assert seeds == list(range(min(16, naming.most_seeds)))


def test_the_folder_source_reads_name_tags_category_and_licence(tmp_path: Path) -> None:
    from uni4d.library.sources.folder import FolderSource

    job = next(job for job in plan(1) if job.factory.endswith(".OfficeChairFactory"))
    path = tmp_path / job.path
    path.parent.mkdir()
    path.write_bytes(b"glTF")
    manifest = Manifest(tmp_path)
    manifest.objects[job.path] = {}
    generated_objects.write_texts(manifest, [job])
    (entry,) = FolderSource(tmp_path).entries()
    assert entry.name == "office chair"
    assert entry.tags == ("swivel chair", "desk chair", "seat")
    assert entry.category == "seating"
    assert entry.licence == "Generated with Infinigen (BSD-3-Clause)"


def test_wrong_counts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="--seeds"):
        generated_objects.objects(tmp_path, 0, 1)


@pytest.fixture
def infinigen_python() -> Path:
    python = venv_program(generated_objects.VENV_INFINIGEN, "python")
    if not python.exists():
        pytest.skip("no .venv-infinigen: `build.py objects` makes it")
    return python


@pytest.mark.slow
def test_the_table_knows_every_factory_of_this_version(infinigen_python: Path) -> None:
    answer = subprocess.run(
        [infinigen_python, "-m", "uni4d_infinigen.factories"],
        env={**os.environ, **generated_objects._worker_environment()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(answer.stdout.split()) == OBJECTS.keys() | SKIPPED.keys()


@pytest.mark.slow
def test_a_real_object_is_coloured_and_the_same_each_time(infinigen_python: Path, tmp_path: Path) -> None:
    from uni4d.library.sources.folder import FolderSource

    wanted = ("tableware.food_box.FoodBoxFactory", "clothes.pants.PantsFactory")
    jobs = [job for job in plan(2) if job.factory in wanted]
    command = [infinigen_python, "-m", "uni4d_infinigen.worker"]
    for folder, order in ((tmp_path / "a", jobs), (tmp_path / "b", jobs[::-1])):
        folder.mkdir()
        manifest = Manifest(folder)
        assert make_objects(order, manifest, command, tmp_path / "log.txt") == 4, manifest.failures
    source, again = FolderSource(tmp_path / "a"), FolderSource(tmp_path / "b")
    assert len(source.entries()) == len(again.entries()) == 4
    for entry, twin in zip(source.entries(), again.entries(), strict=True):
        mesh, other = source.load(entry), again.load(twin)
        assert np.array_equal(mesh.vertices, other.vertices)
        assert np.array_equal(mesh.faces, other.faces)
        assert 1_000 < len(mesh.faces) < 20_000
        assert mesh.vertex_colors is not None and other.vertex_colors is not None
        assert np.abs(mesh.vertex_colors - other.vertex_colors).max() < 2e-3  # the bake's own rounding
        assert mesh.vertex_colors[:, :3].std(axis=0).max() > 0.01
        assert entry.name in ("food box", "trousers", "shorts", "underpants")
