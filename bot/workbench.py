"""Rasa's training and validation, with what they say put so that a designer of conversations can act on it."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import yaml

from bot.inputs import Project, Wrong

# Before Rasa is imported: it reads them then.
os.environ.setdefault("RASA_TELEMETRY_ENABLED", "false")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("SQLALCHEMY_SILENCE_UBER_WARNING", "1")
os.environ["LOG_LEVEL"] = "WARNING"

# Responses that custom actions or Rasa's own actions pick by name; and what Rasa 3 says to who comes from Rasa 2.
_NO_MISTAKE = re.compile(
    r"The utterance '((?!utter_)\w+|utter_(default|ask_rephrase|restart|back))' is not used in any story or rule"
    r"|Slot auto-fill has been removed"
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def refuse_conversation_starts(project: Project) -> None:
    """Refuse rules for the start of a conversation. Raises `Wrong`.

    Dialogue state is shortened as a conversation goes on, and a shortened one may look like a new one.
    """
    found = [
        f"{path.relative_to(project.root)}:{line}"
        for path in project.training_files()
        for line in _starts(path)
    ]
    if found:
        places = "\n".join(f"  {place}" for place in found)
        raise Wrong(
            f"Rules with `conversation_start: true` are not supported:\n{places}\n"
            "A long conversation could look like a new one to them. Let the rule hang on a slot instead, which it sets."
        )


def _starts(path: Path) -> Iterator[int]:
    """Yield the lines where a rule asks for the start of a conversation."""
    try:
        tree = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return  # Rasa says what is wrong with it.
    yield from _find(tree)


def _find(node: yaml.Node | None) -> Iterator[int]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _find(item)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "conversation_start" and str(value.value).lower() in {"true", "yes", "on"}:
                yield key.start_mark.line + 1
            yield from _find(value)


def train_model(project: Project, room: Path, name: str) -> Path:
    """Train a model called `name` into the folder `room` and return its file. Raises `Wrong`."""
    _make_language(project)
    with _quiet():
        from rasa.model_training import train

        _load_domain(project)
        _show_progress()
        with _explained():
            result = train(
                domain=str(project.domain),
                config=str(project.config),
                training_files=[str(path) for path in project.training_files()],
                output=str(room),
                fixed_model_name=name,
            )
    if result.code != 0 or not result.model:
        raise Wrong("Rasa did not train a model.")
    return Path(result.model)


def validate(project: Project) -> None:
    """Run Rasa's validation of the whole project; a warning counts as a mistake. Raises `Wrong`."""
    _make_language(project)
    with _quiet():
        from rasa.cli.utils import validate_files
        from rasa.shared.importers.importer import TrainingDataImporter

        _load_domain(project)
        with _explained(keep_warnings=True):
            importer = TrainingDataImporter.load_from_config(
                str(project.config), str(project.domain), [str(path) for path in project.training_files()]
            )
            validate_files(fail_on_warnings=True, max_history=None, importer=importer)


def _make_language(project: Project) -> None:
    """Make the spaCy pipeline that config.yml names, where the project has one of its own."""
    if not (project.root / "bot" / "language.py").is_file():
        return
    from bot.language import make

    make(project.root / "bot" / "models" / "language")


def _load_domain(project: Project) -> None:
    """Load the domain once by itself: from a broken one Rasa would train half a model and say nothing."""
    from rasa.shared.core.domain import Domain

    with _explained():
        Domain.load(str(project.domain))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves what libraries have to say about other libraries; Rasa's warnings are for designers."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield


@contextlib.contextmanager
def _explained(*, keep_warnings: bool = False) -> Iterator[None]:
    """Turn what Rasa raises, prints and exits with into `Wrong`; its warnings are told one by one."""
    from rasa.shared.exceptions import RasaException

    said = io.StringIO()
    told: list[str] = []
    previous = warnings.showwarning
    handler = _remember(told) if keep_warnings else None
    warnings.showwarning = _teller(told)
    try:
        with contextlib.redirect_stdout(said):
            yield
    except RasaException as error:
        raise Wrong(_plain(str(error))) from error
    except SystemExit as error:
        if error.code not in (0, None):
            raise Wrong(_plain("\n".join([*told, said.getvalue()]))) from error
    else:
        for warning in dict.fromkeys(told):
            if not _NO_MISTAKE.search(warning):
                print(f"  note: {_plain(warning)}", file=sys.stderr)
    finally:
        warnings.showwarning = previous
        if handler is not None:
            logging.getLogger().removeHandler(handler)


def _teller(told: list[str]) -> Callable[..., None]:
    """Return what takes up warnings; those between libraries are no concern of a designer."""

    def tell(message: Warning | str, category: type[Warning], *_args: object, **_more: object) -> None:
        if not issubclass(category, (DeprecationWarning, PendingDeprecationWarning, FutureWarning)):
            told.append(str(message))

    return tell


def _remember(told: list[str]) -> logging.Handler:
    """Collect what Rasa's validator logs."""
    import structlog

    class Remember(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    def words(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
        return str(event.get("event_info") or event.get("event"))

    structlog.configure(
        processors=[words],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    handler = Remember(logging.WARNING)
    logging.getLogger().addHandler(handler)
    return handler


def _plain(text: str) -> str:
    """Return text without colours and without the address of pages that explain Rasa's words."""
    return _COLOURS.sub("", text).strip()


class _Progress(logging.Handler):
    """Tells each step of the training and how long it took."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._begun = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        step = re.search(
            r"(Starting to train|Finished training|Restored) component '(\w+)'", record.getMessage()
        )
        if step is None:
            return
        now = time.monotonic()
        if step[1] == "Finished training":
            print(f"  {step[2]}  {now - self._begun:.1f} s", file=sys.__stdout__, flush=True)
        elif step[1] == "Restored":
            print(f"  {step[2]}  unchanged", file=sys.__stdout__, flush=True)
        self._begun = now


def _show_progress() -> None:
    log = logging.getLogger("rasa.engine.training.hooks")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers = [_Progress()]
