"""The bundled strategies: NAME.py and a NAME.yml beside it that runs as it is."""
