"""Kedro hooks: a class for each thing that a run needs beside its nodes."""

from tad_blockdrop.hooks.adoption import Adoption
from tad_blockdrop.hooks.data_record import DataRecord
from tad_blockdrop.hooks.local_files import LocalFiles
from tad_blockdrop.hooks.lock import ExperimentLock
from tad_blockdrop.hooks.node_seconds import NodeSeconds
from tad_blockdrop.hooks.origins import Origins
from tad_blockdrop.hooks.pages import Pages
from tad_blockdrop.hooks.readable_errors import ReadableErrors
from tad_blockdrop.hooks.record import ParameterRecord
from tad_blockdrop.hooks.runners import KnownRunners
from tad_blockdrop.hooks.scratch import ScratchFolders
from tad_blockdrop.hooks.signals import StopSignalsWatch
from tad_blockdrop.hooks.stages import Stages
from tad_blockdrop.hooks.sweep import TemporaryFilesSweep
from tad_blockdrop.hooks.version_dates import VersionDates

# Kedro calls those that come later first; wrappers (errors, lock) lie around all others.
HOOKS = (
    Stages(),
    NodeSeconds(),
    Pages(),
    Origins(),
    ScratchFolders(),
    StopSignalsWatch(),
    DataRecord(),
    VersionDates(),
    Adoption(),
    ParameterRecord(),
    TemporaryFilesSweep(),
    KnownRunners(),
    LocalFiles(),
    ExperimentLock(),
    ReadableErrors(),
)
