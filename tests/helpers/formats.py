"""How ffmpeg writes each format that is read here: arguments of ``write_numbered``."""

from typing import Any


def written(muxer: str, codec: str, **how: Any) -> dict[str, Any]:
    return {"muxer": muxer, "codec": codec, **how}


WRITTEN = {
    "mov": written("mp4", "mpeg4"),
    "matroska": written("matroska", "mpeg4"),
    "avi": written("avi", "mpeg4"),
    "mpeg": written("vob", "mpeg2video"),
    "mpegts": written("mpegts", "mpeg2video"),
    "asf": written("asf", "mpeg4"),
    "flv": written("flv", "flv1"),
    "ogg": written("ogg", "libvpx"),
    "mxf": written("mxf", "mpeg2video"),
    "dv": written("dv", "dvvideo", size=(576, 720)),
    "rm": written("rm", "rv10"),
    "gxf": written("gxf", "mpeg2video", size=(576, 720)),
    "wtv": written("wtv", "mpeg2video"),
    "nut": written("nut", "mpeg4"),
    "ivf": written("ivf", "libvpx"),
    "yuv4mpegpipe": written("yuv4mpegpipe", "rawvideo"),
    "gif": written("gif", "gif", pixels="gray"),
    "h264": written("h264", "libx264"),
    "hevc": written("hevc", "libx265", options={"x265-params": "log-level=none"}),
    "mpegvideo": written("mpeg2video", "mpeg2video"),
    "mjpeg": written("mjpeg", "mjpeg", pixels="yuvj420p"),
    "obu": written("obu", "libsvtav1", size=(64, 128)),
}
