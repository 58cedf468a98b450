"""Training happens when it is due, says why, and tells designers where their mistakes are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bot.inputs import Project, read_stamp, why_train
from bot.tests.conftest import GARAGE, ROOT
from bot.train import KEPT_MODELS, _forget_old, main


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the garage to make mistakes in."""
    root = tmp_path / "garage"
    shutil.copytree(GARAGE, root)
    return root


@pytest.fixture(autouse=True)
def _stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back from where a training went."""
    monkeypatch.chdir(ROOT)


def test_a_trained_model_is_up_to_date(trained: Path) -> None:
    assert why_train(Project(GARAGE), trained) is None
    assert main(["--check", "--root", str(GARAGE), "--out", str(trained)]) == 0
    stamp = read_stamp(trained)
    assert (trained / stamp["model"]).is_file()
    assert stamp["seconds"] > 0


def test_a_second_training_does_nothing(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in trained.glob("*.tar.gz"))
    assert main(["--root", str(GARAGE), "--out", str(trained)]) == 0
    assert capsys.readouterr().out == "The model is up to date.\n"
    assert sorted(path.name for path in trained.glob("*.tar.gz")) == before


def test_the_check_imports_no_rasa(trained: Path) -> None:
    code = f"import sys, bot.train as t; r = t.main(['--check', '--root', {str(GARAGE)!r}, '--out', {str(trained)!r}]); "
    code += "sys.exit(r or 5 * ('rasa' in sys.modules or 'yaml' in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT, check=False
    )
    assert done.returncode == 0


@pytest.mark.parametrize("name", ["config.yml", "domain.yml", "data/nlu.yml", "data/rules.yml"])
def test_every_input_counts(project: Path, name: str) -> None:
    before = Project(project).fingerprint()
    path = project / name
    path.write_text(path.read_text() + "\n# changed\n")
    assert Project(project).fingerprint() != before


def test_new_and_lost_files_count_and_test_conversations_do_not(project: Path) -> None:
    found = [Project(project).fingerprint()]
    (project / "data" / "more.yml").write_text('version: "3.1"\n')
    found.append(Project(project).fingerprint())
    (project / "data" / "stories.yml").unlink()
    found.append(Project(project).fingerprint())
    assert len(set(found)) == 3
    (project / "data" / "tests").mkdir()
    (project / "data" / "tests" / "test_stories.yml").write_text('version: "3.1"\n')
    assert Project(project).fingerprint() == found[-1]


def test_components_of_our_own_count(project: Path) -> None:
    config = project / "config.yml"
    config.write_text(config.read_text() + "  - name: bot.interruption.InterruptionPolicy\n")
    (project / "bot").mkdir()
    before = Project(project).fingerprint()
    (project / "bot" / "interruption.py").write_text("from bot.words import x\n")
    one = Project(project).fingerprint()
    (project / "bot" / "words.py").write_text("x = 1\n")
    two = Project(project).fingerprint()
    (project / "bot" / "channel.py").write_text("y = 1\n")
    assert len({before, one, two}) == 3
    assert Project(project).fingerprint() == two


def test_why_a_training_is_due(project: Path, tmp_path: Path, trained: Path) -> None:
    out = tmp_path / "models"
    out.mkdir()
    assert why_train(Project(GARAGE), out) == "there is no model yet"
    stamp = read_stamp(trained)
    shutil.copy(trained / "trained.json", out)
    assert why_train(Project(GARAGE), out) == f"the model {stamp['model']} is gone"
    shutil.copy(trained / stamp["model"], out)
    assert why_train(Project(GARAGE), out) is None
    path = project / "data" / "nlu.yml"
    path.write_text(path.read_text().replace("good morning", "good evening"))
    assert why_train(Project(project), out) == "its inputs changed"
    (out / "trained.json").write_text("{")
    assert main(["--check", "--root", str(GARAGE), "--out", str(out)]) == 1


def test_old_models_go(tmp_path: Path) -> None:
    for number in range(KEPT_MODELS + 2):
        model = tmp_path / f"{number}.tar.gz"
        model.touch()
        os.utime(model, (number, number))
    _forget_old(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.tar.gz", "3.tar.gz", "4.tar.gz"]


def _complaint(project: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["--root", str(project), "--out", str(project / "models"), *arguments]) == 1
    assert not list((project / "models").glob("*.tar.gz"))
    return capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--validate"]])
def test_rules_for_the_start_are_refused(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    path = project / "data" / "rules.yml"
    path.write_text(
        path.read_text().replace("- rule: greet\n", "- rule: greet\n  conversation_start: true\n")
    )
    assert "data/rules.yml:4" in _complaint(project, capsys, *arguments)


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("domain.yml", "intents:\n", "intents:\n  - greet: [\n", "domain.yml"),
        ("domain.yml", "  day:\n    type: categorical", "  day:\n    type: unheard_of", "unheard_of"),
        ("data/rules.yml", "  - intent: greet\n", "  - intend: greet\n", "rules.yml"),
        ("config.yml", "CountVectorsFeaturizer", "CountVektors", "CountVektors"),
        (
            "data/rules.yml",
            "  - action: utter_bye\n",
            "  - action: utter_greet\n" + 2 * "  - intent: bye\n",
            "rule",
        ),
    ],
    ids=["syntax", "slot type", "unknown step", "unknown component", "rule with several turns"],
)
def test_mistakes_are_told(
    project: Path, capsys: pytest.CaptureFixture[str], name: str, old: str, new: str, said: str
) -> None:
    path = project / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert said in _complaint(project, capsys)


def test_validation_finds_what_is_not_used(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / "data" / "rules.yml"
    path.write_text(path.read_text().replace("- intent: thanks\n", "- intent: thankz\n"))
    assert "thankz" in _complaint(project, capsys, "--validate")


def test_without_a_project_it_cannot(tmp_path: Path) -> None:
    assert main(["--root", str(tmp_path)]) == 2


@pytest.mark.parametrize("what", [(), ("--validate",)])
def test_a_mistake_ends_the_command_in_words_and_not_in_a_traceback(
    project: Path, tmp_path: Path, what: tuple[str, ...]
) -> None:
    """As the command runs it: as a program of its own, where a module can stand twice under two names."""
    broken = next((project / "data").rglob("*.yml"))
    broken.write_text('version: "3.1"\nnlu:\n- intent: greet\n  examples: |\n    - hi\n   - broken\n')
    done = subprocess.run(
        [sys.executable, "-m", "bot.train", "--root", str(project), "--out", str(tmp_path / "out"), *what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert broken.name in done.stderr
    assert "line 6" in done.stderr
