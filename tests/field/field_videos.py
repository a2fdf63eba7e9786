"""Rows about files: which video an id means, and what counts as a video."""

import os
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from copied import with_second
from field_rows import Row, check, check_one
from formats import WRITTEN
from numbered import picture, write_numbered, write_photos
from PIL import Image, ImageOps

from tad_blockdrop.prediction.folder import find_videos
from tad_blockdrop.video.files.clock import Timing
from tad_blockdrop.video.files.decode import read_frames
from tad_blockdrop.video.files.listing import VIDEO_FORMATS, folder_contents


def _same_name(path: Path) -> str:
    return path.name


def _link(path: Path) -> str:
    (path.parent / "b.mp4").symlink_to(path)
    return "b"


def _copy(path: Path) -> str:
    shutil.copy(path, path.parent / "b.mp4")
    return "b"


def two_ids_in_two_subsets(folder: Path) -> Row:
    """The same video to learn from and to be tested on: under its ending, a link, a copy."""
    found = [check(*_twins(folder, again, "test")) for again in (_same_name, _link, _copy)]
    true = "`a` and `a.mp4`, a link, a copy: one video"
    right = all(each.refused for each in found)
    return Row("one video in two subsets", true, f"refused: {found[0].said}", right)


def two_ids_in_one_subset(folder: Path) -> Row:
    """The same within training."""
    found = [check(*_twins(folder, again, "train")) for again in (_same_name, _link, _copy)]
    right = all(list(each.facts["video_id"]) == ["a"] and not each.refused for each in found)
    right = right and all(len(each.problems) == 1 for each in found)
    return Row("one video under two ids", "it counts once", found[0].said, right)


def _twins(folder: Path, again: Callable[[Path], str], split: str) -> tuple[Path, dict[str, str]]:
    mine = folder / again.__name__
    mine.mkdir(exist_ok=True)
    path = write_numbered(mine / "a.mp4", 5)
    return mine, {"a": "train", again(path): split}


def unicode_forms(folder: Path) -> Row:
    """A file as macOS names it, an id as everybody else writes it."""
    write_numbered(folder / "cafe\u0301.mp4", 5)
    found = check(folder, {"caf\u00e9": "train"})
    right = len(found.facts) == 1 and not found.problems
    return Row("a name in another Unicode form", "it is there", found.said or "read", right)


def other_case(folder: Path) -> Row:
    """Which is another name on most systems."""
    write_numbered(folder / "Rec.MP4", 5)
    found = check(folder, {"rec": "train"})
    right = found.refused and "Rec.MP4 differs in upper and lower case only" in found.said
    return Row("a name in another case", "there is only `Rec.MP4`", found.said, right)


def paths_as_ids(folder: Path) -> Row:
    """Two cameras whose files are called alike."""
    for camera in ("cam1", "cam2"):
        (folder / camera).mkdir()
        write_numbered(folder / camera / "rec.mp4", 5 if camera == "cam1" else 6)
    found = check(folder, {"cam1/rec.mp4": "train", "cam2\\rec": "test"})
    right = list(found.facts["n_frames"]) == [5, 6] and not found.problems
    asked = check(folder, {"rec": "train"})
    right = right and asked.refused and "cam1/rec.mp4, cam2/rec.mp4" in asked.said
    true = "`cam1/rec.mp4`, `cam2\\rec` are two videos, `rec` may be either"
    return Row("paths as ids", true, f"both read; {asked.said}", right)


def every_ending(folder: Path) -> Row:
    """One file of every format, under every ending that is listed."""
    for format_name, how in WRITTEN.items():
        endings = [ending for ending, known in VIDEO_FORMATS.items() if known == format_name]
        path = write_numbered(folder / f"{format_name}{endings[0]}", 20, **how)
        for ending in endings[1:]:
            os.link(path, path.with_suffix(ending))
    known, taken = len(VIDEO_FORMATS), len(find_videos(folder))
    names = {path.name for path in folder.iterdir()}
    found = check(folder, dict.fromkeys(sorted(names), "train"))
    read = set(found.facts["video_id"])
    others = {p.video_id for p in found.problems if p.kind == "unreadable video"}
    no_rate = {name for name in names if name.startswith(("mjpeg", "obu"))}
    right = taken == known and len(read) == len(WRITTEN) - 2 and others == no_rate
    seconds = set(found.facts["duration"].round(2))
    said = f"{taken} taken by `predict`; {len(read)} formats read, of {seconds} s; two have no rate"
    right = right and seconds == {0.8} and (found.facts["start"] < 0.02).all()
    true = "all are videos of 0.8 s; mjpeg and obu do not say their rate"
    return Row(f"{known} endings, {len(WRITTEN)} formats", true, said, bool(right))


def passed_over(folder: Path) -> Row:
    """Beside a video, what is none."""
    write_numbered(folder / "a.mp4", 5)
    for name in ("notes.pdf", "b.jpg"):
        (folder / name).touch()
    told = folder_contents(folder).passed_over
    said = "; ".join(f"{path.name}: {reason}" for path, reason in told.items())
    return Row("other files in a folder", "no videos", said, len(told) == 2)


def not_damaged(folder: Path) -> Row:
    """Which is no video, but sound in itself."""
    (folder / "text.mp4").write_text("no video\n" * 100)
    Image.new("RGB", (20, 20)).save(folder / "picture.png")
    (folder / "picture.png").rename(folder / "picture.mp4")
    with av.open(str(folder / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    found = [check_one(path) for path in sorted(folder.iterdir())]
    said = "; ".join(f"{each.problems[0].video_id}: {each.said}" for each in found)
    right = all(each.refused for each in found) and "damaged" not in said
    return Row("a text, a picture, sound, called .mp4", "none is a damaged video", said, right)


def damaged(folder: Path) -> Row:
    """A download that was cut."""
    path = write_numbered(folder / "cut.mp4", 50)
    path.write_bytes(path.read_bytes()[:2000])
    found = check_one(path)
    return Row("half a file", "it is not complete", found.said, "is not complete" in found.said)


def numbered_pictures(folder: Path) -> Row:
    """``img_%05d.jpg``, with the rate that the user states."""
    pictures = _pictures(folder / "take1")
    facts = check(folder, {"take1": "train"}, Timing(picture_rate=5)).of("take1")
    said = f"{facts['n_frames']} frames, {facts['duration']:g} s"
    right = said == "10 frames, 2 s" and find_videos(folder) == {"take1": pictures}
    return Row("10 numbered pictures, `data.picture_rate: 5`", "10 frames, 2 s", said, right)


def pictures_without_rate(folder: Path) -> Row:
    """The same, and nothing stated."""
    found = check_one(_pictures(folder / "take1"))
    right = found.refused and "data.picture_rate" in found.said
    return Row("numbered pictures, no rate stated", "nobody can know their rate", found.said, right)


def pictures_with_a_gap(folder: Path) -> Row:
    """One is missing."""
    pictures = _pictures(folder / "take1")
    (pictures / "img_00004.jpg").unlink()
    found = check_one(pictures, Timing(picture_rate=5))
    right = found.refused and "number 4 is missing" in found.said
    return Row("numbered pictures with a gap", "picture 4 is missing", found.said, right)


def pictures_that_end_early(folder: Path) -> Row:
    """Where ffmpeg would stop without a word: an empty file, another length of the numbers."""
    (_pictures(folder / "empty") / "img_00004.jpg").write_bytes(b"")
    _pictures(folder / "other")
    (folder / "other/img_00004.jpg").rename(folder / "other/img_4.jpg")
    found = [check_one(folder / name, Timing(picture_rate=5)) for name in ("empty", "other")]
    said = "; ".join(each.said for each in found)
    right = all(each.refused for each in found) and "img_00004.jpg is an empty file" in said
    return Row("an empty picture, one called img_4", "both have 10 pictures", said, right)


def mirrored(folder: Path) -> Row:
    """All eight ways to show a picture."""
    wrong = []
    for turn in (0, 90, 180, 270):
        for mirror in (False, True):
            options = {"crf": "4"}
            video = write_numbered(
                folder / "a.mp4", 3, rotation=turn, mirror=mirror, options=options
            )
            shown = np.rot90(picture(2), k=turn // 90)
            wanted = (shown[:, ::-1] if mirror else shown).astype(int)
            found = read_frames(video, [2])[0]
            if found.shape != wanted.shape or np.abs(found - wanted).mean() > 4:
                wrong.append((turn, mirror))
    said = f"{8 - len(wrong)} of 8 upright"
    return Row("turned and mirrored", "8 of 8 upright", said, not wrong)


def photos(folder: Path) -> Row:
    """A camera writes down how it was held, in the EXIF data."""
    wrong = []
    for orientation in range(1, 9):
        shots = write_photos(folder / str(orientation), [orientation] * 3)
        wanted = ImageOps.exif_transpose(Image.open(shots / "img_3.png")).convert("RGB")
        if not np.array_equal(read_frames(shots, [2])[0], np.asarray(wanted)):
            wrong.append(orientation)
    said = f"{8 - len(wrong)} of 8 upright"
    return Row("photos, turned and mirrored by EXIF", "8 of 8 upright", said, not wrong)


def wide_pixels_everywhere(folder: Path) -> Row:
    """The shape of pixels holds for frames from the middle, too."""
    video = write_numbered(folder / "a.mp4", 30, options={"bf": "0"}, shape=Fraction(2))
    sizes = {read_frames(video, [number]).shape[1:3] for number in (0, 1, 17, 29)}
    said = ", ".join(f"{width} × {height}" for height, width in sorted(sizes))
    return Row("frames 0, 1, 17, 29 of 2:1 pixels", "192 × 48", said, said == "192 × 48")


def two_videos_in_a_file(folder: Path) -> Row:
    """Two cameras; and a cover, which is no second video."""
    source = write_numbered(folder / "a.mp4", 10)
    said = check_one(with_second(source, folder / "two.mkv")).said
    cover = check_one(with_second(source, folder / "cover.mp4", cover=True)).said
    true = "which one is read is told; a cover does not count"
    return Row("two videos in one file", true, said, "of which a player may" in said and not cover)


def _pictures(folder: Path) -> Path:
    folder.mkdir()
    for number in range(1, 11):
        Image.new("RGB", (64, 48), (20 * number, 0, 0)).save(folder / f"img_{number:05d}.jpg")
    return folder


KINDS = [
    two_ids_in_two_subsets, two_ids_in_one_subset, unicode_forms, other_case, paths_as_ids,
    every_ending, passed_over, not_damaged, damaged, numbered_pictures, pictures_without_rate,
    pictures_with_a_gap, pictures_that_end_early, mirrored, photos, wide_pixels_everywhere,
    two_videos_in_a_file,
]  # fmt: skip
