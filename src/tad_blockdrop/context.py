"""The Kedro context: validates all parameters at once and gives the pipelines their shape.

Pipelines are registered before configuration exists, yet the number of steps comes from it. The
context is the first object that every entry point (run, viz, notebooks, catalog commands) makes
with the resolved configuration, so it hands the shape over here.
"""

from typing import Any

import attrs
from kedro.config import MissingConfigException
from kedro.framework.context import KedroContext
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from yaml import YAMLError

from tad_blockdrop.compression.criteria import CriterionError, choose_criterion
from tad_blockdrop.config import Parameters
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.hooks.readable_errors import plain_on_command_line
from tad_blockdrop.pipeline_registry import PipelineShape, refuse_unknown_pipelines, use_shape


class ParameterError(BlockDropError, ValueError):
    """Parameters that cannot be used: every problem with its key."""


def validate_parameters(raw: dict[str, Any]) -> Parameters:
    """The whole parameter tree as typed objects.

    Raises:
        ParameterError: one line per problem, each naming its key.
    """
    try:
        parameters = Parameters.model_validate(raw)
        choose_criterion(parameters.compress)
        return parameters
    except CriterionError as error:
        raise ParameterError(f"the parameters cannot be used:\n  {error}") from None
    except ValidationError as error:
        lines = ["the parameters cannot be used:"]
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"])
            message = problem["msg"].removeprefix("Value error, ")
            if problem["type"] == "extra_forbidden":
                message = "no such parameter; see conf/base/parameters.yml for all of them"
            if problem["type"] in ("tuple_type", "list_type"):
                one = problem["input"]
                message = (
                    f"must be a list: [{one}] or [{one}, <another>]; several go into "
                    "parameters.yml, as --params is cut at commas"
                )
            given = "" if isinstance(problem["input"], dict) else f" (given: {problem['input']!r})"
            lines.append(f"  {key}: {message}{given}" if key else f"  {message}")
        raise ParameterError("\n".join(lines)) from None


@attrs.define(slots=False)
class BlockDropContext(KedroContext):
    """``KedroContext`` that refuses bad parameters first and fits the pipelines to them."""

    def __attrs_post_init__(self) -> None:
        """Read the raw parameters: ``self.params`` would load the pipelines already."""
        with plain_on_command_line():  # every command makes a context
            parameters = validate_parameters(self._read_parameters())
            use_shape(PipelineShape.of(parameters))
            refuse_unknown_pipelines()

    def _read_parameters(self) -> dict[str, Any]:
        try:
            return dict(self.config_loader["parameters"])
        except (YAMLError, OmegaConfBaseException, MissingConfigException, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ParameterError(f"the parameter files cannot be read: {reason}") from None
