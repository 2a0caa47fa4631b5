"""The verbs: state and an event in, commands, changes and notes out. Nothing here waits or reads a clock."""
