"""Kedro's project settings: the context that shapes the pipelines, the hooks, how conf merges."""

from tad_blockdrop.context import BlockDropContext
from tad_blockdrop.hooks import ExperimentHooks, ReadableErrorHooks

CONTEXT_CLASS = BlockDropContext

HOOKS = (ExperimentHooks(), ReadableErrorHooks())

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An environment states only what differs from base, key by key.
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
}
