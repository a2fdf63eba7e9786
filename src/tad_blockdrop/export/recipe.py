"""How FFmpeg makes the frames that an exported model takes, the same ones as this project does."""

from tad_blockdrop.detector.checkpoint import Checkpoint


def ffmpeg_filters(checkpoint: Checkpoint) -> str:
    """The value of ``-vf``: which frames are sampled, how they are scaled and cropped.

    Sample i is what is on screen at second i / fps, or the frame i * every; a centre crop of pixels
    in RGB, as crops of others are moved to even ones.
    """
    side, crop = checkpoint.window.short_side, checkpoint.window.crop
    filters = [
        f"scale={side}:{side}:force_original_aspect_ratio=increase",
        "format=rgb24",
        f"crop={crop}:{crop}",
    ]
    if checkpoint.fps is not None:
        filters.insert(0, f"fps={checkpoint.fps:.10g}:start_time=0:round=up")
    elif checkpoint.every != 1:
        filters.insert(0, f"framestep={checkpoint.every}")
    return ",".join(filters)


def how_to_run(checkpoint: Checkpoint) -> str:
    """The commands from a video to detections, and what the number of the second one is."""
    rate, meaning = "RATE", "`RATE` is the frames per second of the video"
    if checkpoint.fps is not None:
        rate = f"{checkpoint.fps:.10g}"
        meaning = f"{rate} is the frames per second that the model takes of any video"
    elif checkpoint.every != 1:
        meaning += f", divided by {checkpoint.every}, as the model takes one of so many"
    return (
        "```bash\n"
        f'ffmpeg -i video.mp4 -vf "{ffmpeg_filters(checkpoint)}" -f rawvideo frames.rgb\n'
        f"python run_onnx.py . frames.rgb {rate}\n"
        f"```\n\n{meaning}."
    )
