"""Declarative trading strategy runner for Altmarkets and other OpenDAX/Peatio v2 exchanges."""

__version__ = "0.1.0"
