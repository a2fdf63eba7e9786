"""The networks that may be the backbone, each with all settings that go with it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tad_blockdrop.begin.choose import (
    LONGEST_WINDOW,
    holdout,
    samples_per_step,
    sampling,
    small_crop,
    window_frames,
)
from tad_blockdrop.begin.environment import Setting
from tad_blockdrop.begin.look import Numbers
from tad_blockdrop.video.summary import fitting_ranges

CLIP = 16  # samples that the small network encodes together
FRAMES_OF_SHORT = 8  # samples of a short action that a network sees which encodes frames alone
FRAME_CROP, GPU_CROP = 84, 224  # pixels, whole patches of 14
CACHE_SHARE = 0.25  # of the memory that decoded videos may take
EPOCH_WINDOWS = 120  # of the small network: more than videos, where those are few


@dataclass(frozen=True)
class Candidate:
    """A network that may be the backbone, with all that goes with it but the length of training.

    Fewer than ``least_epochs`` teach it nothing, more than ``most_epochs`` have not been of use.
    """

    name: str
    kind: str
    settings: tuple[Setting, ...]
    batch: int
    least_epochs: int
    most_epochs: int

    def preferred(self, told: Sequence[str]) -> list[Setting]:
        """The setting of its kind with the reason: what each candidate came to (mAP)."""
        reason = f"the best in a short trial on held-out training videos (mAP, {'; '.join(told)})"
        return [Setting("detector.backbone.kind", self.kind, reason)] if told else []


def candidates(numbers: Numbers, weights: str | None) -> list[Candidate]:
    """The networks worth a trial: the small one, and a frame-wise one where there are weights."""
    return [small(numbers)] + ([frame_wise(numbers, weights)] if weights else [])


def small(numbers: Numbers) -> Candidate:
    """The small network of ``conf/base``, which learns motion from scratch."""
    fps = sampling(numbers, CLIP)
    per_step = samples_per_step(numbers.short, fps)
    crop = small_crop(numbers.side)
    # Wide enough that the square crop moves a little.
    short_side = min(numbers.side, round(crop * 9 / 8))
    per_video = max(1, math.ceil(EPOCH_WINDOWS / numbers.videos))
    return Candidate(
        "small network from scratch",
        "videomae",
        (
            *_sampled(numbers, fps, per_step, CLIP, crop, short_side),
            Setting("data.window.per_video", per_video,
                    f"windows of each video, about {per_video * numbers.videos} an epoch"),
            Setting("data.augment.crop_scale", [0.5, 1.0], "as in conf/base"),
            Setting("detector.backbone.kind", "videomae", "small, encodes clips: it sees motion"),
            Setting("detector.backbone.remove_clip_mean", True,
                    "looks at what changes; off costs accuracy where it learns from scratch"),
            Setting("detector.backbone.pretrain_size", crop, "positions are learned at the crop"),
            *_levels(numbers, fps, per_step),
            Setting("baseline.train.tuning", "full", "all weights are learned here"),
            Setting("baseline.aids.dct_patch_init", True, "needed from scratch"),
            Setting("baseline.aids.xavier_init", True, "needed from scratch"),
            Setting("baseline.aids.dense_loss", 1.0, "needed from scratch"),
            *_loop(depth=8, frozen=False, videos=numbers.videos),
        ),
        batch=4,
        least_epochs=20,
        most_epochs=150,
    )  # fmt: skip


def frame_wise(numbers: Numbers, weights: str) -> Candidate:
    """A frozen DINOv2-S on single frames; only what comes after it is trained."""
    fps = sampling(numbers, FRAMES_OF_SHORT)
    crop = GPU_CROP if numbers.gpu else FRAME_CROP
    return Candidate(
        "frozen DINOv2-S, frame by frame",
        "timm",
        (
            *_sampled(numbers, fps, 1, 1, crop, crop),
            Setting("data.window.overlap", 0.25, "of the windows whose features are kept"),
            Setting("detector.backbone.kind", "timm", "sees frames alone, pre-trained on pictures"),
            Setting("detector.backbone.model", "vit_small_patch14_dinov2", "the weights are its"),
            Setting("detector.backbone.weights", weights, "as given"),
            Setting("detector.pyramid.width", 192, "features of 384 channels carry more"),
            Setting("detector.pyramid.embed_layers", 2, "as in the paper"),
            Setting("detector.pyramid.embed_kernel", 3, "a step sees its neighbours"),
            Setting("detector.pyramid.stem_blocks", 1, "relates distant frames"),
            Setting("detector.pyramid.drop_path", 0.1, "against overfitting"),
            Setting("detector.head.tower_layers", 2, "as in the paper"),
            *_levels(numbers, fps, 1),
            Setting("baseline.train.tuning", "frozen", "its features are computed once"),
            Setting("baseline.train.lr_detector", 1.0e-3, "measured with these features"),
            Setting("baseline.aids.dct_patch_init", False, "its weights are given"),
            Setting("baseline.aids.xavier_init", False, "its weights are given"),
            Setting("baseline.aids.dense_loss", 0.0, "cannot change a frozen network"),
            *_loop(depth=12, frozen=True, videos=numbers.videos),
        ),
        batch=8,
        least_epochs=30,
        most_epochs=100,
    )  # fmt: skip


def _sampled(
    numbers: Numbers, fps: float, per_step: int, clip: int, crop: int, short_side: int
) -> Sequence[Setting]:
    levels = len(fitting_ranges(_longest(numbers, fps, per_step)))
    frames = window_frames(numbers, fps, math.lcm(clip, 16, per_step * 2 ** (levels - 1)))
    sides = [short_side, round(short_side * numbers.aspect)]
    proxies = numbers.seconds * fps * sides[0] * sides[1] * 3
    cached = proxies < CACHE_SHARE * numbers.memory
    return [
        Setting("data.fps", fps,
                f"5 % of the actions are shorter than {numbers.short:.2g} s, which is then "
                f"{numbers.short * fps:.0f} samples"),
        Setting("data.cache", cached,
                f"decoded, the training videos take {proxies / 1e9:.1f} GB"),
        Setting("data.proxy.short_side", max(16, short_side), "no larger than what is looked at"),
        Setting("data.proxy.crf", 18, "hardly a visible loss"),
        Setting("data.window.frames", frames,
                f"{frames / fps:.0f} s; 1 % of the actions are longer than {numbers.long:.2g} s"),
        Setting("data.window.grid", frames // per_step,
                f"steps of {per_step / fps:.2g} s: a short action spans "
                f"{numbers.short * fps / per_step:.1f}"),
        Setting("data.window.crop", crop,
                f"pixels; the videos have {numbers.side} on their short side"),
        Setting("data.window.short_side", max(crop, short_side), "cut to the crop from its centre"),
    ]  # fmt: skip


def _longest(numbers: Numbers, fps: float, per_step: int) -> float:
    """Grid steps of a long action, as many of them as one window can hold."""
    return min(numbers.long * fps, LONGEST_WINDOW) / per_step


def _levels(numbers: Numbers, fps: float, per_step: int) -> Sequence[Setting]:
    longest = _longest(numbers, fps, per_step)
    ranges = fitting_ranges(longest)
    return [
        Setting("detector.pyramid.levels", len(ranges),
                f"a long action spans {longest:.0f} steps of a window"),
        Setting("detector.head.ranges", ranges, "lengths that each level finds, in grid steps"),
    ]  # fmt: skip


def _loop(depth: int, frozen: bool, videos: int) -> Sequence[Setting]:
    """The shortening of the network: a quarter of its blocks, and no more than it bears."""
    guarded = holdout(videos) > 0
    settings = [
        Setting("compress.n_drops", depth // 4 if guarded else 1,
                f"at most a quarter of {depth} blocks" if guarded
                else "nothing is held out that could say how many it bears"),
        Setting("compress.score_videos", 16 if frozen else 40, "training videos that rank blocks"),
        Setting("report.control", False, "takes as long as the alignment"),
        Setting("report.one_shot", False, "only of interest to research"),
    ]  # fmt: skip
    if guarded:
        settings += [
            Setting(
                "compress.stop.max_loss", 2.0, "points of mAP that may be lost on held-out videos"
            ),
            Setting("compress.select", "within_tolerance", "the shortest model that loses no more"),
        ]
    if frozen:
        return [
            *settings,
            Setting("compress.criterion", "cosine", "one pass ranks all blocks"),
            Setting("compress.align", None, "training it takes hours without a GPU"),
            Setting("compress.repair.layers", "all", "refits the blocks that are left instead"),
            Setting("compress.repair.videos", 24, "training videos that repair looks at"),
            Setting("compress.repair.read_out", False, "takes minutes a drop without a GPU"),
        ]
    settings.append(Setting("compress.align", "each", "so that held-out videos judge every step"))
    for stage in ("first", "later"):
        settings += [
            Setting(f"compress.{stage}.epochs", 3, "of alignment after a drop"),
            Setting(f"compress.{stage}.stop", 3, "all of them"),
        ]
    return settings
