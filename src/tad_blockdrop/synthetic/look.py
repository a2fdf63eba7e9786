"""Every amplitude of the benchmark's look and motion, in one place: turn these to tune difficulty.

Lengths are shares of the frame's side unless a comment says otherwise; times are in frames;
intensities are grey levels (0..255). Any change here changes every generated video.
"""

# Motions. Displacements are in sprite sizes.
RISE_PER_CYCLE = 0.6  # travel of rise and fall grows with the number of cycles ...
RISE_MOST = 1.3  # ... up to this
SHAKE_AMPLITUDE = 0.3
PULSE_AMPLITUDE = 0.35  # of the scale
ORBIT_RADIUS = 0.33
BOUNCE_HEIGHT = 0.65
ROCK_ANGLE = 0.75  # radians to either side
CYCLE_FRAMES = (11, 17)  # one turn, orbit, hop, ...; every action is a whole number of cycles

# Sprites
SIZE = (0.27, 0.36)
PLACE = (0.24, 0.76)  # where a sprite's centre may be, all along its action's path
PLACE_DRAWS = 16  # the spot farthest from other sprites of that many is taken
COLOUR_DRAWS = 4  # the most contrasting of that many colours is taken
SHADE = 0.55  # brightness of a sprite's darker half: makes every turn visible
DRIFTING = 0.2  # share of sprites that drift (the others stand), actors and distractors alike
DRIFT_AMPLITUDE = (0.06, 0.14)  # mostly horizontal, so that no drift is a rise or a fall
DRIFT_SLOPE = 0.25  # vertical share of a drift, at most
DRIFT_PERIOD = (90, 160)
LEAD = (12, 32)  # an actor is there that long before and after its action
LIFE = (50, 120)  # of a distractor
FADE = 6  # sprites come and go in that many frames
DISTRACTORS_PER_FRAME = 0.006  # 1.5 in 256 frames

# Camera and background
TEXTURE_SIDE = 64  # pixels; the texture wraps around
TEXTURE_GRAIN = (0.06, 0.16)  # blur radii of fine and coarse structure, shares of TEXTURE_SIDE
TEXTURE_CONTRAST = 9.0  # standard deviation
BACKGROUND_LEVEL = (70, 185)
BACKGROUND_SPEED = 0.004  # per frame, at most
JITTER = 0.008  # standard deviation of the camera's shake
JITTER_SMOOTHING = 5  # frames over which the shake is averaged
NOISE = 2.0  # standard deviation

# Time line
FPS = (24, 25, 30)
LENGTH_SPREAD = 0.25  # a video is mean_frames long, give or take that share
LEAST_GAP = (8, 16)  # frames without any action before, between and after actions, at least
MEAN_GAP = 26  # sets how many actions a video of mean_frames gets
