"""Files with several layers of annotations, such as tiers or channels."""

from collections.abc import Mapping

from tad_blockdrop.video.annotations.formats.contract import Collected
from tad_blockdrop.video.annotations.table import AnnotationError


def chosen_layers(counts: Mapping[str, int], kind: str, found: Collected) -> list[str]:
    """The layer named by ``data.reading.labels``, otherwise all; what this means is told.

    ``counts``: the annotations of each layer. ``kind``: what the program calls a layer. Raises
    AnnotationError.
    """
    name = found.config.labels
    filled = [layer for layer, count in counts.items() if count]
    if name is None:
        if len(filled) > 1:
            found.note(
                "", f"several {kind}s", f"the actions of {len(filled)} {kind}s count: "
                f"{', '.join(filled)}", "name one as data.reading.labels to read it alone",
            )  # fmt: skip
        return list(counts)
    if name not in counts:
        known = ", ".join(f"'{layer}'" for layer in counts)
        raise AnnotationError(
            kind, f"there is no {kind} '{name}' (found: {known})", "correct data.reading.labels"
        )
    for layer in filled:
        if layer != name:
            found.left_out(
                f"annotations of other {kind}s",
                f"name a {kind} as data.reading.labels to read it alone",
                f"{kind} '{layer}'", counts[layer],
            )  # fmt: skip
    return [name]
