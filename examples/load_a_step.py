"""The model of one step, loaded through the catalog, which knows every version of it.

Usage: python examples/load_a_step.py 2
"""

import sys
from pathlib import Path

from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from tad_blockdrop.detector.model import from_checkpoint

bootstrap_project(Path.cwd())  # run it in the project's folder
with KedroSession.create() as session:
    entry = f"compress.step_{int(sys.argv[1]):02d}.checkpoint"
    checkpoint = session.load_context().catalog.load(entry)
model = from_checkpoint(checkpoint)  # a torch module, in evaluation mode
print(model.kept_blocks, checkpoint.lineage["dropped_block"], checkpoint.metrics)
