"""The pipelines of the project, unrolled to the number of steps that the configuration says."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from kedro.pipeline import Pipeline

from tad_blockdrop.config import Parameters
from tad_blockdrop.config.compress import Alignment
from tad_blockdrop.errors import BlockDropError

DEFAULT = "__default__"  # Kedro's name of the pipeline that runs when none is named


class PipelineError(BlockDropError):
    """A pipeline that is not there."""


@dataclass(frozen=True)
class PipelineShape:
    """What the configuration decides about the graph itself."""

    n_drops: int
    control: Alignment | None
    repair: bool
    synthetic: bool
    compared: tuple[str, str]
    predict_folder: bool
    predict_formats: tuple[str, ...]
    export_folder: bool
    learn_folder: bool
    watch_folder: bool
    watch_format: str

    @classmethod
    def of(cls, parameters: Parameters) -> PipelineShape:
        """The shape that ``parameters`` ask for."""
        return cls(
            n_drops=parameters.compress.n_drops,
            control=parameters.compress.align if parameters.report.control else None,
            repair=parameters.compress.repair.layers != "none",
            synthetic=parameters.data.source == "synthetic",
            compared=(parameters.compare.first or "first", parameters.compare.second or "second"),
            predict_folder=parameters.predict.checkpoint is not None,
            predict_formats=parameters.predict.formats,
            export_folder=parameters.export.checkpoint is not None,
            learn_folder=parameters.learn.checkpoint is not None,
            watch_folder=parameters.watch.checkpoint is not None,
            watch_format=parameters.watch.format,
        )


_shape: PipelineShape | None = None


def use_shape(shape: PipelineShape) -> None:
    """Register the pipelines anew if they were built for another shape."""
    global _shape  # noqa: PLW0603 - Kedro calls register_pipelines() without arguments
    if shape == _shape:
        return
    _shape = shape
    from kedro.framework.project import pipelines

    if pipelines._pipelines_module is not None:
        requested = pipelines._requested_pipelines  # which this would forget
        pipelines.configure(pipelines._pipelines_module)
        pipelines.set_requested(requested)


def refuse_unknown_pipelines() -> None:
    """Raise PipelineError if a run has asked for a pipeline that is not there."""
    from kedro.framework.project import pipelines

    known = [name for name in pipelines if name != DEFAULT]
    for name in pipelines._requested_pipelines or ():
        if name not in pipelines:
            pipelines.set_requested(None)  # the next context is made for another request
            closest = get_close_matches(name, known, n=len(known), cutoff=0)
            raise PipelineError(
                f"there is no pipeline '{name}'; there are, the closest first: {', '.join(closest)}"
            )


def _shape_from_base() -> PipelineShape:
    """For the few commands that make no context: what ``conf/base`` says."""
    import yaml

    raw = yaml.safe_load(Path("conf/base/parameters.yml").read_text(encoding="utf-8"))
    return PipelineShape.of(Parameters.model_validate(raw | {"experiment": "unknown"}))


def register_pipelines() -> dict[str, Pipeline]:
    """All pipelines; ``compress`` does the whole job and is the default."""
    from tad_blockdrop.pipelines import compress
    from tad_blockdrop.pipelines.baseline import pipeline as baseline
    from tad_blockdrop.pipelines.compare import pipeline as compare
    from tad_blockdrop.pipelines.corrections import pipeline as corrections
    from tad_blockdrop.pipelines.data import pipeline as data
    from tad_blockdrop.pipelines.evaluate import pipeline as evaluate
    from tad_blockdrop.pipelines.export import pipeline as export
    from tad_blockdrop.pipelines.export_weights import pipeline as export_weights
    from tad_blockdrop.pipelines.import_weights import pipeline as import_weights
    from tad_blockdrop.pipelines.learn import pipeline as learn
    from tad_blockdrop.pipelines.predict import pipeline as predict
    from tad_blockdrop.pipelines.preflight import pipeline as preflight
    from tad_blockdrop.pipelines.report import pipeline as report
    from tad_blockdrop.pipelines.shared import evaluator_pipeline
    from tad_blockdrop.pipelines.watch import pipeline as watch

    shape = _shape or _shape_from_base()
    control = compress.create_control_pipeline(shape.n_drops, shape.control)
    # What is made in memory belongs to all the stages that need it, so that each runs alone.
    evaluator = evaluator_pipeline()
    references = evaluate.create_references_pipeline()
    models = compress.create_models_pipeline(shape.n_drops)
    results = compress.create_results_pipeline(shape.n_drops, shape.control)
    stages = {
        "data": data.create_pipeline(shape.synthetic),
        "baseline": evaluator + baseline.create_pipeline(),
        "evaluate": evaluator + control + models + evaluate.create_pipeline() + references,
        "report": evaluator
        + references
        + models
        + results
        + report.create_pipeline(shape.control is not None, shape.repair),
    }
    whole_job = sum(stages.values(), compress.create_pipeline(shape.n_drops, shape.repair))
    uses = {
        "compare": compare.create_pipeline(*shape.compared),
        "predict": predict.create_pipeline(shape.predict_folder, shape.predict_formats),
        "watch": watch.create_pipeline(shape.watch_folder, shape.watch_format),
        "corrections": corrections.create_pipeline(),
        "learn": corrections.create_pipeline() + learn.create_pipeline(shape.learn_folder),
        "export": evaluator + export.create_pipeline(shape.export_folder),
        "import_weights": import_weights.create_pipeline(),
        "export_weights": export_weights.create_pipeline(),
    }
    checks = {
        "validate": data.create_validation_pipeline(shape.synthetic),
        "preflight": preflight.create_pipeline(shape.synthetic),
    }
    return stages | checks | uses | {"compress": whole_job, DEFAULT: whole_job}
