"""``python -m scene_r1_cli.cli`` is ``scener1``."""

from scene_r1_cli.cli.app import main

main()
