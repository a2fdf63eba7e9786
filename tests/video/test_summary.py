"""The summary counts what is there and suggests what would have fitted it."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tad_blockdrop.config import DataConfig, DetectorConfig, HeadConfig
from tad_blockdrop.detector.head import Points
from tad_blockdrop.detector.targets import assign
from tad_blockdrop.video.summary import coverage, covered_share, summarise, warnings

RANGES = ((0, 4), (4, 8), (8, 16), (16, 10000))
