"""scener1: ground sentences in 3D scenes from RGB-D video, with reasons (Scene-R1, arXiv 2506.17545)."""

__version__ = "0.1.0.dev0"
