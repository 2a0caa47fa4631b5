"""The nouns: frozen values that import nothing else of ours."""
