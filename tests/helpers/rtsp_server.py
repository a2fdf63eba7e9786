"""A server of RTSP, as small as one can be: ``python rtsp_server.py HOST PORT VIDEO``.

It sends an H.264 video to its one client as fast as that takes it, by RTP within the connection
(RFC 2326 10.12; a packet for each NAL unit, RFC 6184 5.6), then keeps silent until it is killed.
"""

import socket
import struct
import sys
from collections.abc import Iterator

import av
from av.bitstream import BitStreamFilterContext

CLOCK = 90_000  # of RTP time stamps, Hz
SDP = f"""v=0\r
o=- 0 0 IN IP4 0.0.0.0\r
s=a video\r
t=0 0\r
m=video 0 RTP/AVP 96\r
a=rtpmap:96 H264/{CLOCK}\r
a=fmtp:96 packetization-mode=1\r
a=control:track\r
"""


def units(video: str) -> Iterator[tuple[bytes, int, bool]]:
    """Each NAL unit, the RTP time stamp of its picture, and whether it is the last of it."""
    with av.open(video) as container:
        stream = container.streams.video[0]
        to_start_codes = BitStreamFilterContext("h264_mp4toannexb", stream)
        for packet in container.demux(stream):
            if not packet.size:
                continue
            for filtered in to_start_codes.filter(packet):
                stamp = round(filtered.pts * filtered.time_base * CLOCK)
                # A unit neither begins nor ends with a zero: what there is belongs to start codes.
                parts = (part.strip(b"\0") for part in bytes(filtered).split(b"\0\0\1"))
                *first, last = filter(None, parts)
                yield from ((unit, stamp, False) for unit in first)
                yield last, stamp, True


def answer(request: str) -> str:
    """What a server says to a request."""
    first, *headers = request.splitlines()
    number = next(line for line in headers if line.lower().startswith("cseq"))
    method = first.split()[0]
    more, body = "", ""
    if method == "OPTIONS":
        more = "Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n"
    if method == "DESCRIBE":
        body = SDP
        more = f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n"
    if method == "SETUP":
        more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
    return f"RTSP/1.0 200 OK\r\n{number}\r\n{more}\r\n{body}"


def serve(host: str, port: int, video: str) -> None:
    with socket.create_server((host, port)) as server:
        print("ready", flush=True)
        peer, _ = server.accept()
        with peer, peer.makefile("r", encoding="utf-8", newline="\r\n") as lines:
            method = ""
            while method != "PLAY":
                request = "".join(iter(lines.readline, "\r\n"))
                method = request.split()[0]
                peer.sendall(answer(request).encode())
            for number, (unit, stamp, last) in enumerate(units(video)):
                header = struct.pack(
                    "!BBHII", 0x80, 96 | last << 7, number & 0xFFFF, stamp & 0xFFFFFFFF, 1
                )
                peer.sendall(struct.pack("!cBH", b"$", 0, len(header) + len(unit)) + header + unit)
            sys.stdin.read()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
