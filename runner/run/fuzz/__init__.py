"""The search for what breaks a strategy: its parameters and the market are varied, a failure is made small."""
