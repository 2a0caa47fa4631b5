"""The fault simulator: engine, journal rules and exchange as values, hours in seconds, one seed one run."""
