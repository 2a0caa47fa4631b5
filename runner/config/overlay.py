"""A second strategy file laid over the first: what differs, and nothing else, has to stand in it."""

from __future__ import annotations

from runner.config.tree import Keys, Node, Scalar


def laid_over(below: Keys, above: Keys) -> Keys:
    """`above` over `below`: groups are merged key by key, everything else replaces, and `null` takes a key away.

    Source: JSON Merge Patch, RFC 7396. Every value keeps the place where it was written.
    """
    entries = dict(below.entries)
    for name, (at, node) in above.entries.items():
        under: Node | None = entries[name][1] if name in entries else None
        if isinstance(node, Scalar) and node.value is None and name in entries:
            del entries[name]
        elif isinstance(under, Keys) and isinstance(node, Keys):
            entries[name] = (entries[name][0], laid_over(under, node))
        else:
            entries[name] = (at, node)
    return Keys(below.at, entries)
