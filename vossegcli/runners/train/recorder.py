"""Files of a training run: log, state for resuming, checkpoint, report."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vossegcli.errors import CheckpointError
from vossegcli.io.records.atomic import atomic_path, write_text_atomic
from vossegcli.io.records.output_folders import TRAINING_STATE
from vossegcli.io.records.run_records import append_jsonl, read_jsonl
from vossegcli.io.weights.checkpoints import (
    CheckpointHeader,
    read_header,
    read_tensors,
    write_checkpoint,
    write_tensors,
)
from vossegcli.reports.training import training_report
from vossegcli.runners.train.options import TrainOptions
from vossegcli.runners.train.samples import TrainingSamples
from vossegcli.systems.base import System
from vossegcli.training.loop import Trainer
from vossegcli.training.settings import Stage, TrainingSettings

MODEL, BEST, VALIDATION = "model.safetensors", "best.safetensors", "validation.jsonl"
OnProgress = Callable[[int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class TrainingRun:
    """Choices of the user for one training.

    Attributes:
        options: of the command line.
        system: to train.
        settings: of the TOML file.
        device: where it is trained.
        precision: type of the arithmetic.
    """

    options: TrainOptions
    system: System
    settings: TrainingSettings
    device: torch.device
    precision: torch.dtype


class Recorder:
    """Writes the log, the state, the checkpoint and the report of a training run."""

    def __init__(
        self,
        run: TrainingRun,
        config: Any,  # noqa: ANN401 - the system's own record
        samples: TrainingSamples,
        on_progress: OnProgress,
        data: str,
    ) -> None:
        self.options = run.options
        self.settings = run.settings
        self.system = run.system
        self.precision = run.precision
        self.config = config
        self.samples = samples
        self.on_progress = on_progress
        self.data = data
        self.rows: list[dict[str, Any]] = []
        self.began = time.time()
        self.options.output.mkdir(parents=True, exist_ok=True)
        self.log_path = self.options.output / "train.jsonl"
        self.state_path = self.options.output / TRAINING_STATE

    def resume(self, trainer: Trainer) -> None:
        """Load the state and cut the log back to it; without a state the run starts.

        A validation that was due after that state and did not end is made up for.

        Raises:
            CheckpointError: the state is of other data, classes or settings.
        """
        if not self.state_path.exists():
            return
        tensors, metadata = read_tensors(self.state_path)
        differs = what_differs(metadata, self._identity())
        if differs:
            fix = "use the same files and settings, or another folder"
            raise CheckpointError(f"cannot be resumed: {differs}", where=self.state_path, fix=fix)
        trainer.load_state(tensors, int(metadata["step"]))
        self.rows = [row for row in read_jsonl(self.log_path) if row["step"] <= trainer.step]
        write_text_atomic(self.log_path, "".join(json.dumps(row) + "\n" for row in self.rows))
        if self._measured(MODEL) > self._measured(BEST):  # of a run that had ended: its best weights stand in MODEL
            with atomic_path(self.options.output / BEST) as temporary:
                shutil.copyfile(self.options.output / MODEL, temporary)
        validated = {row["step"] for row in read_jsonl(self.options.output / VALIDATION)}
        if self._is_validated(trainer.step) and trainer.step not in validated:
            self._write_checkpoint(trainer, trainer.step, self._validate(trainer, trainer.step)[0])

    def on_step(self, step: int, stage: Stage, values: Mapping[str, float]) -> None:
        """Append to the log."""
        row = {"step": step, "stage": stage.name, **{k: round(v, 6) for k, v in values.items()}}
        self.rows.append(row)
        append_jsonl(self.log_path, row)
        self.on_progress(step, self.settings.total_steps, values)

    def on_state(self, step: int, trainer: Trainer) -> None:
        """Save the state for resuming and the averaged weights as a checkpoint."""
        write_tensors(self.state_path, trainer.state(), {"step": str(step), **self._identity()})
        values = self._validate(trainer, step)[0] if self._is_validated(step) else {}
        self._write_checkpoint(trainer, step, values)

    def finish(self, trainer: Trainer) -> dict[str, Any]:
        """Validate, write the final checkpoint, which holds the best weights that were measured, and the report."""
        values, pictures = self._validate(trainer, trainer.step)
        facts = self._write_checkpoint(trainer, trainer.step, values)
        best = self.options.output / BEST
        if self._measured(BEST) > _score(values):
            facts = read_header(best).training
            best.replace(self.options.output / MODEL)
        best.unlink(missing_ok=True)
        html = training_report({**facts, "minutes": round((time.time() - self.began) / 60, 1)}, self.rows, pictures)
        write_text_atomic(self.options.output / "report.html", html)
        return facts

    def _is_validated(self, step: int) -> bool:
        """Say whether the weights after a step are measured: not those of an interruption; the last ones at the end."""
        every, regular = self.settings.validate_every, self.settings.checkpoint_every
        in_turn = step % regular == 0 and step < self.settings.total_steps
        return every > 0 and in_turn and step % every < regular

    def _validate(self, trainer: Trainer, step: int) -> tuple[dict[str, float], list[tuple[str, str]]]:
        """Measure the averaged weights; what comes out joins the log, and the best weights are put aside."""
        predictor = self.system.predictors[self.samples.judge](trainer.average, precision=self.precision)
        values, pictures = self.samples.validate(predictor)
        if values and step < self.settings.total_steps:
            if _score(values) >= self._measured(BEST):
                self._write_checkpoint(trainer, step, values, BEST)
            append_jsonl(self.options.output / VALIDATION, {"step": step, **values})
        return values, pictures

    def _measured(self, name: str) -> float:
        """Return the score of the weights in a checkpoint of the run; below every other where there is none."""
        path = self.options.output / name
        return _score(read_header(path).training) if path.exists() else float("-inf")

    def _write_checkpoint(
        self, trainer: Trainer, step: int, values: Mapping[str, float], name: str = MODEL
    ) -> dict[str, Any]:
        facts = {
            "data": [p.name if p.suffix else f"{p.parent.name}/{p.name}" for p in self.options.data],
            **self.samples.facts,
            "steps": step,
            "seed": self.settings.seed,
            "date": datetime.now(tz=UTC).date().isoformat(),
            "init": Path(self.options.init).stem,
            **values,
        }
        weights = {name: _half(value) for name, value in trainer.average.state_dict().items()}
        header = CheckpointHeader(self.system.name, self.config.to_dict(), self.samples.labels, facts)
        write_checkpoint(self.options.output / name, weights, header)
        return facts

    def _identity(self) -> dict[str, str]:
        """Key of a state: settings, classes and data."""
        settings = json.dumps(asdict(self.settings), sort_keys=True)
        return {"settings": settings, "labels": json.dumps(self.samples.labels), "data": self.data}


def what_differs(state: Mapping[str, str], run: Mapping[str, str]) -> str:
    """Say why a state does not belong to a run; empty where it does.

    Stages that lie ahead may change, and the stage that is under way may become longer.

    Args:
        state: metadata of the state, with its `step`.
        run: `settings`, `labels` and `data` of the run.
    """
    for name, text in (("labels", "the classes"), ("data", "the training data")):
        if state.get(name) != run[name]:
            detail = f" ({state.get(name)} before, {run[name]} now)" if name == "labels" else ""
            return f"{text} have changed{detail}" if name == "labels" else f"{text} has changed"
    before, now = (json.loads(source.get("settings", "{}")) for source in (state, run))
    stages: tuple[list[dict[str, Any]], list[dict[str, Any]]] = (before.pop("stages", []), now.pop("stages", []))
    changed = [name for name in now if before.get(name) != now[name]]
    step = int(state.get("step", 0))
    nothing: dict[str, Any] = {}
    for old, new in itertools.zip_longest(*stages, fillvalue=nothing):
        if step <= 0:
            break
        enough = new.get("steps", 0) == old.get("steps") or step <= min(old.get("steps", 0), new.get("steps", 0))
        if not enough or {**old, "steps": 0} != {**new, "steps": 0}:
            changed.append(f"stage '{old.get('name')}'")
        step -= old.get("steps", step)
    return f"other settings: {', '.join(changed)}" if changed else ""


def _score(values: Mapping[str, Any]) -> float:
    """The first of the measured values, which is the one that counts."""
    return float(next((value for name, value in values.items() if name.startswith("validation_")), float("-inf")))


def _half(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value
