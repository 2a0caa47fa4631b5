"""Speed and memory: `python -m benchmarks` prints one JSON line per figure."""
