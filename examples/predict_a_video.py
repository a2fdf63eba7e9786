"""Actions in one video, as a pandas table (start, end, label, score).

Usage: python examples/predict_a_video.py <folder of a checkpoint> <video>
"""

import sys

from tad_blockdrop.prediction.predictor import load_predictor

checkpoint, video = sys.argv[1:]
predictor = load_predictor(checkpoint)
print(predictor.detect(video).to_string())
