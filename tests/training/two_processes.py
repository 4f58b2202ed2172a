"""Run by ``test_groups_stay_together_on_two_processes``: prints how long each packed group was."""

import json
import sys
from pathlib import Path

from scene_r1_cli.training import shared_grpo
from scene_r1_cli.training.grpo import ended_together
from tests.training.test_shared_grpo import trainer_of

if __name__ == "__main__":
    lengths: list[int] = []
    pack = shared_grpo.pack_group

    def watched(prompt, completions):
        lengths.append(len(completions))
        return pack(prompt, completions)

    shared_grpo.pack_group = watched
    with ended_together():
        trainer = trainer_of(
            shared_grpo.SharedPrefixGRPOTrainer,
            Path(sys.argv[1]),
            max_steps=2,
            save_strategy="no",
            gradient_accumulation_steps=2,
            ddp_backend="gloo",
        )
        trainer.train()
        (Path(sys.argv[2]) / f"{trainer.accelerator.process_index}.json").write_text(
            json.dumps({"lengths": lengths, "processes": trainer.accelerator.num_processes})
        )
