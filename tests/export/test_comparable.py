"""A checkpoint from elsewhere is exported only where it can be compared."""

from dataclasses import replace

import pytest

from tad_blockdrop.config.predict import ExportConfig
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.pipelines.export.nodes import (
    require_comparable,
)


def test_a_checkpoint_of_other_windows_is_refused_before_any_work(checkpoint):
    def changed(**window):
        return replace(checkpoint, window=checkpoint.window.model_copy(update=window))

    plain, int8 = ExportConfig(), ExportConfig(int8=True)
    for export in (plain, int8):
        with pytest.raises(BlockDropError, match=r"\(data\.window\.frames\), so they cannot be"):
            require_comparable(changed(frames=64), checkpoint, export)
        cut_otherwise = changed(overlap=0.1, per_video=3)
        assert require_comparable(cut_otherwise, checkpoint, export) is cut_otherwise
    faster = replace(checkpoint, every=None, fps=5.0)
    assert require_comparable(faster, checkpoint, plain) is faster
    with pytest.raises(BlockDropError, match=r"\(data\.every, data\.fps\), so they cannot be"):
        require_comparable(faster, checkpoint, int8)


@pytest.mark.parametrize("classes", [("swim", "run", "jump"), ("cook", "clean"), tuple("abcd")])
def test_int8_is_not_rated_on_other_classes(classes, checkpoint):
    ours = replace(checkpoint, classes=classes)
    assert require_comparable(checkpoint, ours, ExportConfig()) is checkpoint
    with pytest.raises(BlockDropError, match=r"export\.checkpoint detects .* class"):
        require_comparable(checkpoint, ours, ExportConfig(int8=True))
