"""The model of one step, loaded through the catalog, which knows every version of it.

Usage: python examples/load_a_step.py 2 [--env my_videos]
"""

import sys
from argparse import ArgumentParser
from pathlib import Path

from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from tad_blockdrop.detector.model import from_checkpoint
from tad_blockdrop.errors import BlockDropError

parser = ArgumentParser()
parser.add_argument("step", type=int)
parser.add_argument("--env", help="the environment of the job, as for kedro run")
given = parser.parse_args()

bootstrap_project(Path.cwd())  # run it in the project's folder
entry = f"compress.step_{given.step:02d}.checkpoint"
with KedroSession.create(env=given.env) as session:
    try:
        context = session.load_context()
        if not context.catalog.exists(entry):
            name = context.params["experiment"]
            sys.exit(f"experiment '{name}' has no {entry}: check the step, and --env")
        checkpoint = context.catalog.load(entry)
    except BlockDropError as error:
        sys.exit(str(error))
model = from_checkpoint(checkpoint)  # a torch module, in evaluation mode
print(model.kept_blocks, checkpoint.lineage["dropped_block"], checkpoint.metrics)
