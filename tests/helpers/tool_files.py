"""Annotations in the shapes of people's tools: small, and with what makes each of them tricky."""

import json
from typing import Any

from boris_exports import AGGREGATED, EXPORTS, OLD_TABULAR, TABULAR
from cvat_files import CVAT, CVAT_IMAGES, CVAT_PROJECT

ETHOGRAM = {
    "0": {"type": "State event", "key": "g", "code": "groom", "modifiers": {}},
    "1": {"type": "Point event", "key": "s", "code": "sniff", "modifiers": {}},
    "2": {"type": "State event with coding map", "key": "r", "code": "run", "modifiers": {}},
}


def observation(
    *media: str, events: list[list[Any]], lengths: tuple[float, ...] = (), **more: Any
) -> dict[str, Any]:
    """An observation of BORIS with these media in the first player."""
    known = dict(zip(media, lengths, strict=False))
    return {
        "type": "MEDIA", "date": "2024-01-01T00:00:00", "time offset": 0.0,
        "file": {"1": list(media), "2": []}, "events": events,
        "media_info": {"length": known, "fps": dict.fromkeys(known, 25.0), "offset": {"1": 0.0}},
        **more,
    }  # fmt: skip


def boris(**observations: dict[str, Any]) -> dict[str, Any]:
    """A project of BORIS."""
    return {
        "project_format_version": "7.0", "project_name": "mice", "subjects_conf": {},
        "behaviors_conf": ETHOGRAM, "observations": observations,
    }  # fmt: skip


def eaf(tiers: str, slots: str, media: str = 'MEDIA_URL="file:///C:/films/a%20b.mp4"') -> str:
    """A document of ELAN."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00+01:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
<MEDIA_DESCRIPTOR {media} MIME_TYPE="video/mp4"/><PROPERTY NAME="URN">urn</PROPERTY></HEADER>
<TIME_ORDER>{slots}</TIME_ORDER>{tiers}
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/></ANNOTATION_DOCUMENT>"""


SLOTS = """<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1500"/><TIME_SLOT TIME_SLOT_ID="ts2"/>
<TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="3000"/><TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="4000"/>
"""
TIERS = """<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="acts"><ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts3">
<ANNOTATION_VALUE>groom</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION><ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts4">
<ANNOTATION_VALUE>run</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="rest"><ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
<ANNOTATION_VALUE></ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER LINGUISTIC_TYPE_REF="note" PARENT_REF="acts" TIER_ID="hands"><ANNOTATION>
<REF_ANNOTATION ANNOTATION_ID="a4" ANNOTATION_REF="a1">
<ANNOTATION_VALUE>both</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>"""
EAF = eaf(TIERS, SLOTS)


SUBDIVIDED = eaf(
    """<TIER TIER_ID="acts"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" CVE_REF="c1"
TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts4"><ANNOTATION_VALUE/></ALIGNABLE_ANNOTATION></ANNOTATION>
</TIER><TIER TIER_ID="timed" PARENT_REF="acts">"""
    + "".join(
        f"""<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="b{n}" TIME_SLOT_REF1="ts{n}"
TIME_SLOT_REF2="ts{n + 1}"><ANNOTATION_VALUE>part {n}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>
</ANNOTATION>"""
        for n in (1, 2, 3)
    )
    + """</TIER><TIER TIER_ID="ordered" PARENT_REF="acts"><ANNOTATION><REF_ANNOTATION
ANNOTATION_ID="d1" ANNOTATION_REF="a1"><ANNOTATION_VALUE>one</ANNOTATION_VALUE></REF_ANNOTATION>
</ANNOTATION><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="d2" ANNOTATION_REF="a1"
PREVIOUS_ANNOTATION="d1"><ANNOTATION_VALUE>two</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
</TIER><CONTROLLED_VOCABULARY CV_ID="cv"><CV_ENTRY_ML CVE_ID="c1"><CVE_VALUE>groom</CVE_VALUE>
</CV_ENTRY_ML></CONTROLLED_VOCABULARY>""",
    '<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1000"/><TIME_SLOT TIME_SLOT_ID="ts2"/>'
    '<TIME_SLOT TIME_SLOT_ID="ts3"/><TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="4000"/>',
)  # a subdivision in time, of which two slots have none, and a symbolic one


def timeline(label: str, start: int, end: int) -> dict[str, Any]:
    """A region of Label Studio."""
    return {
        "id": "x", "from_name": "t", "to_name": "video", "type": "timelinelabels",
        "value": {"ranges": [{"start": start, "end": end}], "timelinelabels": [label]},
    }  # fmt: skip


def sound(labels: list[str], start: float, end: float) -> dict[str, Any]:
    """The value of a region of the sound of a video, in Label Studio."""
    return {"start": start, "end": end, "channel": 0, "labels": labels}


LABEL_STUDIO: list[dict[str, Any]] = [
    {"id": 1, "data": {"video": "/data/upload/3/0a1b2c3d-a.mp4"}, "annotations": [
        {"was_cancelled": True, "result": [timeline("no", 1, 2)]},
        {"was_cancelled": False, "result": [timeline("groom", 26, 50),
                                            {"type": "videorectangle", "value": {}}]},
    ]},
    {"id": 2, "data": {"video": "/data/local-files/?d=films/b.mp4", "fps": 10}, "annotations": [
        {"result": [timeline("no", 1, 2)]},
        {"ground_truth": True, "result": [timeline("run", 1, 20), timeline("sniff", 31, 31)]},
    ]},
]  # fmt: skip

VIA: dict[str, Any] = {
    "project": {"pid": "__VIA_PROJECT_ID__", "vid_list": ["1", "2"]},
    "config": {},
    "attribute": {
        "1": {"aname": "TEMPORAL-SEGMENTS", "anchor_id": "FILE1_Z2_XY0", "type": 4,
              "options": {"0": "groom", "1": "run"}, "default_option_id": ""},
        "2": {"aname": "who", "anchor_id": "FILE1_Z2_XY0", "type": 1, "options": {}},
        "3": {"aname": "box", "anchor_id": "FILE1_Z1_XY1", "type": 1, "options": {}},
    },
    "file": {"1": {"fid": "1", "fname": "a.mp4", "type": 4, "loc": 1, "src": ""},
             "2": {"fid": "2", "fname": "cam/b.mp4", "type": 4, "loc": 1, "src": ""}},
    "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": ["2"]}},
    "metadata": {
        "1_x": {"vid": "1", "flg": 0, "z": [1.5, 3.0], "xy": [], "av": {"1": "1", "2": "Ann"}},
        "1_y": {"vid": "2", "flg": 0, "z": [4.0], "xy": [], "av": {"1": "0"}},
        "1_v": {"vid": "2", "flg": 0, "z": [6.0, 7.0], "xy": [], "av": {}},
        "1_z": {"vid": "1", "flg": 0, "z": [1.5], "xy": [2, 1, 1, 5, 5], "av": {"3": "x"}},
    },
}  # fmt: skip

DEEPETHOGRAM = ",background,groom,sniff\n0,1,0,0\n1,0,1,0\n2,0,1,-1\n3,0,0,1\n"
SIMBA = (
    ",nose_x,nose_y,nose_p,speed,Low_prob_detections_0.75,Probability_groom,groom,"
    "Probability_run,run\n0,1.5,2.5,0.9,3.25,0,0.1,0,0.9,1\n"
    "1,1.5,2.5,0.7,1,1,0.8,1,0.7,1\n2,1.5,2.5,0.9,0,0,0.9,1,0.1,0\n"
)
SIMBA_REGIONS = (  # features of a region stand after all others
    ",nose_x,nose_y,nose_p,speed,Box Mouse_1 nose distance,Box Mouse_1 nose in zone,"
    "Box Mouse_1 nose facing,groom,run\n0,1.5,2.5,0.9,3.25,7.5,1,0,0,1\n"
    "1,1.5,2.5,0.7,1,2.5,1,1,1,1\n2,1.5,2.5,0.9,0,1.5,0,1,1,0\n"
)
AUDACITY = (
    "1.500000\t3.000000\tgroom\n-0.500000\t0.500000\tearly\n3.5\t4.5\t\n"
    "\\\t100.0\t200.0\n5.000000\t5.000000\tsniff, twice\n"
)
CHARADES = (
    "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\n"
    'AAAAA,X1,Kitchen,6,7,Yes,"He runs, and sits.",x,y,c092 1.50 3.00;c001 2.00 12.60;,24.83\n'
    "BBBBB,X1,Kitchen,6,7,Yes,Nothing.,x,y,,12.00\n"
)
EPIC = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,"
    "start_frame,stop_frame,narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\n"
    "P01_01_0,P01,P01_01,00:00:01.089,00:00:01.50,00:00:03.00,8,202,open door,open,3,door,3,"
    "\"['door']\",[3]\n"
)
EGO4D: dict[str, Any] = {"version": "1", "videos": [{"video_uid": "v", "split": "train", "clips": [
    {"clip_uid": "c1", "video_start_sec": 100.0, "video_end_sec": 580.0, "annotations": [
        {"annotator_uid": "p", "labels": [
            {"start_time": 1.5, "end_time": 3.0, "label": "wash", "primary": True},
            {"start_time": 4.0, "end_time": 5.0, "label": "walk", "primary": False}]},
        {"annotator_uid": "q", "labels": [
            {"start_time": 1.5, "end_time": 3.0, "label": "wash", "primary": True}]},
    ]},
    {"clip_uid": "c2", "video_start_sec": 0, "video_end_sec": 480.0, "annotations": []},
]}]}  # fmt: skip
SOCCERNET: dict[str, Any] = {
    "UrlLocal": "league/2015/A 1 - 1 B/", "UrlYoutube": "", "annotations": [
        {"gameTime": "1 - 00:40", "label": "Corner", "position": "40500", "team": "away"},
        {"gameTime": "2 - 00:02", "label": "Goal", "position": "2000", "team": "home"},
    ],
}  # fmt: skip
OSL: dict[str, Any] = {
    "version": "2.0", "task": "action_spotting", "labels": {}, "data": [
        {"id": "g", "inputs": [{"type": "video", "path": "games/g.mp4", "fps": 25.0}],
         "events": [{"head": "action", "label": "pass", "position_ms": 1240}]},
    ],
}  # fmt: skip
OSL_1 = {
    "version": 1, "labels": ["PASS"], "videos": [
        {"path": "x/224p.mp4", "annotations": [
            {"gameTime": "1 - 00:12", "label": "PASS", "position": "12040"}]},
    ],
}  # fmt: skip

# By the name of a file: its text, the name of its format, (video, label, start, end) of its
# actions, parts of what is told. Frames of videos whose rate no file states stay frames.
Row = tuple[str, str, float, float]
TOOLS: dict[str, tuple[str, str, list[Row], list[str]]] = {
    "second_player.boris": (  # nobody watched these live
        json.dumps(boris(
            one=observation("/x/a.mp4", events=[[n, "", "groom", "", ""] for n in (1.0, 2.0)]),
            two=observation("/x/b.mp4", events=[], file={"1": [], "2": ["/x/b.mp4"]}))),
        "BORIS project", [("a", "groom", 1, 2)],
        ["1 observations whose media are in further players alone"],
    ),
    "queue.boris": (
        json.dumps(boris(
            one=observation("/home/u/a.mp4", "/home/u/b.mp4", lengths=(10.0004, 20.0), events=[
                [9.0, "", "groom", "", "", 1], [12.5, "", "groom", "", "", 1],
                [15.0, "", "sniff", "", ""], [16.0, "", "run", "", ""]]),
            live={"type": "LIVE", "file": {}, "events": [[1.0, "", "sniff", "", ""]]},
        )),
        "BORIS project",
        [("a", "groom", 9, 10), ("b", "groom", 0, 2.5), ("b", "sniff", 4.5, 5.5)],
        ["1 observations without media", "1 states without an end", "1 event(s) have no length"],
    ),
    "pairs.boris": (
        json.dumps(boris(one=observation(r"C:\v\a.mp4", events=[
            [1.0, "m1", "groom", "", ""], [2.0, "m2", "groom", "", ""],
            [3.0, "m1", "groom", "", ""], [4.0, "m2", "groom", "", ""],
            [5.0, "m1", "run", "fast", ""], [6.0, "m1", "run", "slow", ""],
            [7.0, "m1", "run", "slow", ""], [8.0, "m1", "run", "fast", ""],
            [9.0, "m1", "gone", "", ""]]))),
        "BORIS project",
        [("a", "groom", 1, 3), ("a", "groom", 2, 4), ("a", "run", 6, 7), ("a", "run", 5, 8)],
        ["4 modifiers", "2 subjects", "1 events of behaviours that are not in the ethogram"],
    ),
    "players.boris": (
        json.dumps(boris(one=observation(
            "/x/a.mp4", events=[[101.5, "", "groom", "", ""], [103.0, "", "groom", "", ""]],
            file={"1": ["/x/a.mp4"], "2": ["/x/b.mp4"]}, **{"time offset": 100.0}))),
        "BORIS project", [("a", "groom", 1.5, 3)], ["1 media of further players"],
    ),
    "dated.boris": (
        json.dumps(boris(one=observation(
            "/x/a.mp4", "/x/b.mp4", lengths=(10, 10), media_creation_date_as_offset=True,
            media_info={"length": {"/x/a.mp4": 10, "/x/b.mp4": 10},
                        "media_creation_time": {"/x/a.mp4": 1e9, "/x/b.mp4": 1e9 + 60}},
            events=[[1e9 + 62, "", "groom", "", ""], [1e9 + 64, "", "groom", "", ""]]))),
        "BORIS project", [("b", "groom", 2, 4)], [],
    ),
    "tabular.csv": (
        TABULAR, "BORIS export", [("a", "groom", 1.5, 3), ("b", "sniff", 4.5, 5.5)],
        ["1 event(s) have no length"],
    ),
    "aggregated.tsv": (
        AGGREGATED, "BORIS export", [("a", "groom", 1.5, 3), ("a", "sniff", 4.5, 5.5)],
        ["tabs", "1 event(s) have no length", "1 events of observations without media"],
    ),
    "old.tsv": (OLD_TABULAR, "BORIS export", [("a", "groom", 1.5, 3)], ["tabs"]),
    **{name: (text, "BORIS export", meant, told) for name, (text, meant, told) in EXPORTS.items()},
    "talk.eaf": (
        EAF, "ELAN document", [("a b", "groom", 1.5, 3), ("a b", "rest", 3, 4)],
        ["1 dependent annotations", "1 annotations of which ELAN does not state the time"],
    ),
    "origin.eaf": (
        eaf(TIERS, SLOTS, 'MEDIA_URL="file:///a.mp4" TIME_ORIGIN="2000"'), "ELAN document",
        [("a", "groom", 3.5, 5), ("a", "rest", 5, 6)],
        ["1 dependent annotations", "1 annotations of which ELAN does not state the time"],
    ),
    "extracted.eaf": (  # the sound was annotated
        eaf(TIERS, SLOTS, 'MEDIA_URL="file:///a.wav" RELATIVE_MEDIA_URL="./a.wav" '
                          'EXTRACTED_FROM="file:///C:/films/b.mp4"').replace(
            "video/mp4", "audio/x-wav"),
        "ELAN document", [("b", "groom", 1.5, 3), ("b", "rest", 3, 4)],
        ["1 dependent annotations", "1 annotations of which ELAN does not state the time"],
    ),
    "subdivided.eaf": (  # the class is an entry of a vocabulary
        SUBDIVIDED, "ELAN document", [("a b", "groom", 1, 4)], ["5 dependent annotations"],
    ),
    "skipped.json": (  # a video that nobody has looked at is not one without actions
        json.dumps([
            {"data": {"video": "a.mp4", "fps": 10}, "annotations": [{"was_cancelled": True}]},
            {"data": {"video": "b.mp4", "fps": 10}, "annotations": [],
             "predictions": [{"result": [timeline("run", 1, 9)]}]},
            {"data": {"video": "c.mp4", "fps": 10}, "annotations": [
                {"result": [timeline("run", 11, 20)]}]},
        ]),
        "Label Studio export", [("c", "run", 1, 2)], ["2 tasks that nobody has done"],
    ),
    "tasks.json": (
        json.dumps(LABEL_STUDIO), "Label Studio export",
        [("a", "groom", 25, 50), ("b", "run", 0, 2), ("b", "sniff", 2.55, 3.55)],
        ["1 task(s) do not say at which rate", "1 event(s)", "1 regions that are on no timeline",
         "1 annotations of tasks that another person did too"],
    ),
    "min.json": (
        json.dumps([{"id": 1, "video": "s3://b/films/a.mp4",
                     "t": [{"ranges": [{"start": 26, "end": 50}], "timelinelabels": ["groom"]}]}]),
        "Label Studio export", [("a", "groom", 25, 50)], ["1 task(s) do not say at which rate"],
    ),
    "empty_first.json": (  # JSON-MIN states nothing of tasks without a region
        json.dumps([{"id": 1, "video": "a.mp4"}, {"id": 2, "video": "b.mp4", "fps": 10, "t": [
            {"ranges": [{"start": 1, "end": 5}]}, timeline("run", 11, 20)["value"]]}]),
        "Label Studio export", [("b", "run", 1, 2)], ["1 regions without a label"],
    ),
    "titled.json": (
        json.dumps([{"data": {"session": "day 1", "film": "s3://b/a.mp4", "fps": 10},
                     "annotations": [{"result": [timeline("run", 11, 20)]}]}]),
        "Label Studio export", [("a", "run", 1, 2)], [],
    ),
    "sound.json": (
        json.dumps([{"data": {"video_url": "/data/upload/1/0a1b2c3d-a.mp4"}, "annotations": [
            {"result": [{"type": "labels", "value": sound(["run", "fast"], 1.5, 3)},
                        {"type": "labels", "value": sound(["run"], 4, 5)}]}]}]),
        "Label Studio export",
        [("a", "run", 1.5, 3), ("a", "fast", 1.5, 3), ("a", "run", 4, 5)], [],
    ),
    "via.json": (
        json.dumps(VIA), "VIA 3 project", [("a", "run", 1.5, 3), ("b", "groom", 3.5, 4.5)],
        ["1 event(s)", "1 values of other attributes", "1 regions of pictures",
         "1 segments without a class"],
    ),
    "annotations.xml": (
        CVAT, "CVAT for video", [("a", "mouse", 10, 20), ("a", "tag", 40, 44)], [],
    ),
    "project.xml": (  # frames are joined by the step of each task; skeletons hide by their points
        CVAT_PROJECT, "CVAT for video",
        [("a", "run", 0, 2), ("a", "run", 5, 8), ("b", "run", 10, 20), ("b", "run", 40, 50)], [],
    ),
    "images.xml": (
        CVAT_IMAGES, "CVAT for video", [("a", "run", 4, 7), ("a", "rest", 9, 11)],
        ["1 shapes of images"],
    ),
    "clip_labels.csv": (
        DEEPETHOGRAM, "DeepEthogram labels", [("clip", "groom", 1, 3), ("clip", "sniff", 3, 4)],
        ["1 frames without a label"],
    ),
    "clip.csv": (
        SIMBA, "SimBA table", [("clip", "groom", 1, 3), ("clip", "run", 0, 2)], [],
    ),
    "regions.csv": (
        SIMBA_REGIONS, "SimBA table", [("regions", "groom", 1, 3), ("regions", "run", 0, 2)], [],
    ),
    "clip.txt": (
        AUDACITY, "Audacity labels",
        [("clip", "groom", 1.5, 3), ("clip", "early", -0.5, 0.5),
         ("clip", "sniff, twice", 4.5, 5.5)],
        ["1 event(s)", "1 labels without a text"],
    ),
    "Charades_v1_train.csv": (
        CHARADES, "Charades table", [("AAAAA", "c092", 1.5, 3), ("AAAAA", "c001", 2, 12.6)], [],
    ),
    "EPIC_100_validation.csv": (
        EPIC, "EPIC-KITCHENS table", [("P01_01", "open", 1.5, 3)], ["is its verb"],
    ),
    "moments_train.json": (
        json.dumps(EGO4D), "Ego4D moments", [("c1", "wash", 1.5, 3)], ["1 labels that are not"],
    ),
    "Labels-v2.json": (
        json.dumps(SOCCERNET), "SoccerNet labels",
        [("league/2015/A 1 - 1 B/1_720p", "Corner", 40, 41),
         ("league/2015/A 1 - 1 B/2_720p", "Goal", 1.5, 2.5)],
        ["looked for as 1_720p", "2 event(s)"],
    ),
    "Labels-ball.json": (  # one video of both halves
        json.dumps({"UrlLocal": "efl/2019/A - B", "halftime": "1 - 46:04", "annotations": [
            {"gameTime": "1 - 00:40", "label": "PASS", "position": "40500", "team": "left"},
            {"gameTime": "2 - 00:01", "label": "DRIVE", "position": "2765500", "team": "right"}]}),
        "SoccerNet labels",
        [("efl/2019/A - B/720p", "PASS", 40, 41), ("efl/2019/A - B/720p", "DRIVE", 2765, 2766)],
        ["looked for as 720p", "2 event(s)"],
    ),
    "Labels.json": (  # the first version says no more than the clock of the half
        json.dumps({"UrlLocal": "l/A/", "annotations": [
            {"gameTime": "1 - 00:40", "label": "card"},
            {"gameTime": "2 - 98:02", "label": "goal"}]}),
        "SoccerNet labels",
        [("l/A/1_720p", "card", 39.5, 40.5), ("l/A/2_720p", "goal", 5881.5, 5882.5)],
        ["looked for as 1_720p", "2 event(s)"],
    ),
    "osl.json": (
        json.dumps(OSL), "OpenSportsLab JSON", [("g", "pass", 0.74, 1.74)], ["1 event(s)"],
    ),
    "osl_1.json": (
        json.dumps(OSL_1), "OpenSportsLab JSON", [("224p", "PASS", 11.54, 12.54)], ["1 event(s)"],
    ),
}  # fmt: skip
