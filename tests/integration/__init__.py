"""The real commands, end to end."""

FEW = [
    word
    for setting in ("span.replies=4", "box.replies=2", "box.num_keyframes=3", "box.search_frames=4")
    for word in ("--set", setting)
]
"""For evaluations, where what pocket draws by default would take minutes; `demo` is run as it is."""
