"""Small worlds, every interleaving: see `small_world`, and `python -m tests.explorer --help`."""
