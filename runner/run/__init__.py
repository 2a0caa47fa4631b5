"""Assembly: the only place where the engine meets the edge."""
