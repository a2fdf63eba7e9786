"""What the tests of hostile input share: JSON gone wrong, in all the ways that files go wrong."""

import copy
from typing import Any

from hypothesis import strategies as st

HALF = "\ud800"  # half a character, as JSON and YAML can spell it; UTF-8 cannot
HUGE = 10**400  # as JSON may hold it; no float does

texts = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=8),  # also halves of characters
    st.sampled_from(
        ["", " ", "NaN", "../x", "/etc/passwd", "a\x00b", HALF, "x" * 5000, "1e999", "v_", "."]
    ),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), texts,
    st.sampled_from([0, -1, 2**31, 2**63, 10**12, HUGE, -0.0, 1e308, float("nan")]),
)  # fmt: skip
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside a JSON value."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found = []
    for key, value in items:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += places(value, (*path, key))
    return found


@st.composite
def spoilt(draw: st.DrawFn, tree: Any) -> Any:
    """A copy of a JSON object in which a few values are replaced, removed, added or renamed."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(tree)))
        parent = tree
        for key in path[:-1]:
            parent = parent[key]
        key, action = path[-1], draw(st.sampled_from(["replace", "remove", "add", "rename"]))
        if action == "replace" or isinstance(parent, list):
            parent[key] = draw(texts | scalars | json_values)
        elif action == "remove":
            del parent[key]
        elif action == "add":
            parent[draw(texts)] = draw(json_values)
        else:
            parent[draw(texts)] = parent.pop(key)
        if not places(tree):
            break
    return tree


@st.composite
def torn(draw: st.DrawFn, content: bytes) -> bytes:
    """File contents that were cut, overwritten in places, or exchanged altogether."""
    kind = draw(st.sampled_from(["cut", "flip", "other", "nested", "doubled"]))
    if kind == "cut":
        return content[: draw(st.integers(0, len(content) - 1))]
    if kind == "other":
        return draw(st.binary(max_size=200))
    if kind == "nested":
        return b"[" * 100_000
    if kind == "doubled":
        return content + content
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 8))):
        # most of a weights file is numbers; its header is what programs stumble over
        end = draw(st.sampled_from([64, 2048, len(changed)]))
        changed[draw(st.integers(0, min(end, len(changed)) - 1))] = draw(st.integers(0, 255))
    return bytes(changed)
