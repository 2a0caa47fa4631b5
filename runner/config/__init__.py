"""YAML text to a checked specification of a run, or every problem at once with its position."""
