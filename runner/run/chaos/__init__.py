"""The decision-level fault simulator: the engine and the exchange as values, hours in seconds, and laws to keep."""
