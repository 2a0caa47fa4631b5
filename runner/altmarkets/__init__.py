"""The wire of OpenDAX/Peatio v2, sans-IO, both ends of the line. Source: the wire reference."""
