"""Settings that only a detector of one class can have, or only one of several."""

from tad_blockdrop.config import CompressConfig, PostprocessConfig
from tad_blockdrop.video.problems import Problem

PARAMETERS = "parameters"  # in the column ``file``


def class_count_problems(
    n_classes: int, compress: CompressConfig, postprocess: PostprocessConfig
) -> list[Problem]:
    """What of the settings cannot be done with so many classes; all of it is fatal."""
    kind = compress.loss.kd_kind
    distils = compress.align is not None and compress.loss.kd_cls > 0
    found = [
        ("compress.loss.kd_kind", n_classes == 1 and distils and kind in ("kl", "dkd"),
         f"it is '{kind}', and a softmax over one class is constant",
         "set it to null, or compress.loss.kd_cls to 0"),
        ("evaluation.postprocess.voting_tiou", n_classes > 1 and postprocess.voting_tiou,
         "segment voting is for detectors of one class", "set it to null"),
        ("evaluation.postprocess.classifier", n_classes > 1 and postprocess.classifier,
         "an external classifier names what a detector of one class finds",
         "set data.class_agnostic to true, or this to null"),
    ]  # fmt: skip
    classes = "one class" if n_classes == 1 else f"{n_classes} classes"
    return [
        Problem(
            "", PARAMETERS, key, "setting for other datasets", f"the dataset has {classes}; {why}",
            advice, fatal=True,
        )
        for key, wrong, why, advice in found
        if wrong
    ]  # fmt: skip
