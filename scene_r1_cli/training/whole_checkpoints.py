"""Checkpoints that appear whole or not at all, whenever training is killed or the disk runs full."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from transformers.trainer_utils import get_last_checkpoint, rotate_checkpoints

from scene_r1_cli.errors import SetupError, is_disk_full

PARTIAL = "partial"


class WholeCheckpoints:
    """A mixin before a transformers trainer: it writes beside the checkpoint's place, and renames."""

    args: Any
    state: Any
    accelerator: Any

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self.args.output_dir)
        partial = folder / PARTIAL
        name = f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            shutil.rmtree(partial, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.args.output_dir = str(partial)
        try:
            super()._save_checkpoint(model, trial)  # pyright: ignore[reportAttributeAccessIssue]
        except Exception as error:
            # What is there of it only takes room, of which there may be none left.
            shutil.rmtree(partial, ignore_errors=True)
            if is_disk_full(error):
                raise _disk_full(folder, name) from error
            raise
        finally:
            self.args.output_dir = str(folder)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            card = partial / "README.md"
            if card.is_file():
                os.replace(card, partial / name / card.name)
            if (folder / name).exists():
                os.replace(folder / name, partial / "before")
            os.replace(partial / name, folder / name)
            shutil.rmtree(partial)
            rotate_checkpoints(str(folder), save_total_limit=self.args.save_total_limit)
        self.accelerator.wait_for_everyone()


def _disk_full(folder: Path, name: str) -> SetupError:
    last = get_last_checkpoint(str(folder))
    kept = f"the last whole one is {Path(last).name}" if last else "there is none before it"
    return SetupError(
        f"The disk of {folder} is full: {name} could not be written; {kept}.",
        "Free some space and go on with --resume; trl.save_total_limit keeps fewer checkpoints.",
    )
