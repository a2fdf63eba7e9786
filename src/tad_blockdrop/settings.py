"""Kedro's project settings: the context that shapes the pipelines, the hooks, how conf merges."""

import warnings

from tad_blockdrop.context import BlockDropContext
from tad_blockdrop.hooks import HOOKS

__all__ = ["CONFIG_LOADER_ARGS", "CONTEXT_CLASS", "HOOKS"]

# Kedro 1.7 calls a name that omegaconf 2.4 deprecates, several times a run.
warnings.filterwarnings("ignore", message=r"\s*register_new_resolver\(\) is deprecated")
# Our documents say --pipeline, which people know; --pipelines works as well.
warnings.filterwarnings("ignore", message=r"Option '--pipeline' is\s+deprecated")

CONTEXT_CLASS = BlockDropContext

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An environment states only what differs from base, key by key.
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
}
