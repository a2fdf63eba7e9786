"""The pipelines of the project, unrolled to the number of steps that the configuration says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kedro.pipeline import Pipeline

from tad_blockdrop.config import Parameters


@dataclass(frozen=True)
class PipelineShape:
    """What the configuration decides about the graph itself."""

    n_drops: int
    control: bool
    synthetic: bool

    @classmethod
    def of(cls, parameters: Parameters) -> PipelineShape:
        """The shape that ``parameters`` ask for."""
        return cls(
            n_drops=parameters.compress.n_drops,
            control=parameters.report.control,
            synthetic=parameters.data.source == "synthetic",
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
        pipelines.configure(pipelines._pipelines_module)


def _shape_from_base() -> PipelineShape:
    """For the few commands that make no context: what ``conf/base`` says."""
    import yaml

    path = Path("conf/base/parameters.yml")
    if not path.is_file():
        path = Path(__file__).parents[2] / path
    return PipelineShape.of(
        Parameters.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    )


def register_pipelines() -> dict[str, Pipeline]:
    """All pipelines; ``compress`` does the whole job and is the default."""
    from tad_blockdrop.pipelines import baseline, compress, data, evaluate, report

    shape = _shape or _shape_from_base()
    stages = {
        "data": data.create_pipeline(synthetic=shape.synthetic),
        "baseline": baseline.create_pipeline(),
        "evaluate": evaluate.create_pipeline(n_drops=shape.n_drops, control=shape.control),
        "report": report.create_pipeline(n_drops=shape.n_drops, control=shape.control),
    }
    loop = compress.create_pipeline(n_drops=shape.n_drops)
    whole_job = sum(stages.values(), loop)
    return stages | {"compress": whole_job, "__default__": whole_job}
