"""Annotation files as people's programs save them: what they mean, or why they are refused."""

HEAD = "video,start,end,label,subset\n"
JUMP = [("a", "jump", 1.5, 3.0)]
GERMAN = "video;start;end;label;subset\r\na;1,5;3,0;jump;training\r\n"
TABS = HEAD.replace(",", "\t") + "a\t1.5\t3.0\tjump\ttraining\n"
CAFE = "video,start,end,label\ncafé,1.5,3,Größe\n"
FOUND_CAFE = [("café", "Größe", 1.5, 3.0)]
FRAMES = "video,start_frame,end_frame,label,fps\n"

# kind: (content, (video, label, start, end) of every action, parts of what is told)
MEANT: dict[str, tuple[bytes, list[tuple[str, str, float, float]], list[str]]] = {
    "German Excel": (GERMAN.encode(), JUMP, ["';' between", "decimal commas, for example '1,5'"]),
    "its CSV UTF-8": (GERMAN.encode("utf-8-sig"), JUMP, ["';' between", "decimal commas"]),
    "its Unicode text": (TABS.replace(".", ",").encode("utf-16"), JUMP, ["tabs", "decimal commas"]),
    "UTF-16 without a mark": (TABS.encode("utf-16-le"), JUMP, ["tabs"]),
    "big-endian": (b"\xfe\xff" + TABS.encode("utf-16-be"), JUMP, ["tabs"]),
    "Excel's own first line": (b"sep=;\n" + GERMAN.encode(), JUMP, ["';'", "decimal commas"]),
    "an old Mac": (HEAD.replace("\n", "\r").encode() + b"a,1.5,3,jump,training\r", JUMP, []),
    "quoted decimal commas": (HEAD.encode() + b'a,"1,5",3,jump,t\n', JUMP, ["decimal commas"]),
    "Windows letters": (CAFE.encode("cp1252"), FOUND_CAFE, ["Windows-1252, for example 'café'"]),
    "a Windows blank": (b"\xa0" + HEAD.encode() + b"a,1.5,3,jump,t\n", JUMP, ["Windows-1252"]),
    "UTF-8": (CAFE.encode(), FOUND_CAFE, []),
    "empty rows": (HEAD.encode() + b",,,,\na,1.5,3,jump,t\n,,,,\n , ,,,\n\n", JUMP, []),
    "empty columns": (b"video,start,end,label,,\na,1.5,3,jump,,\n", JUMP, []),
    "missing cells at the end": (HEAD.encode() + b"a,1.5,3,jump,t\nb,,,,t\n", JUMP, []),
    "names like no value": (
        b"video,start,end,label\nNA,1,2,None\nnull,3,4,nan\nNone,5,6,N/A\n",
        [("NA", "None", 1, 2), ("null", "nan", 3, 4), ("None", "N/A", 5, 6)],
        [],
    ),
    "hours": (
        HEAD.encode() + b"a,00:01:02.5,1:00:04,x,t\na,01:02.5,90:00,y,t\na,62.5,64,z,t\n",
        [("a", "x", 62.5, 3604), ("a", "y", 62.5, 5400), ("a", "z", 62.5, 64)],
        [],
    ),
    "hours with commas": (
        HEAD.replace(",", ";").encode() + b"a;00:01:02,5;00:01:04,25;x;t\n",
        [("a", "x", 62.5, 64.25)],
        ["';'", "decimal commas"],
    ),
    "frame numbers": (
        FRAMES.encode() + b"a,25,50,x,25\na,0,30,y,25\n",
        [("a", "x", 1, 2), ("a", "y", 0, 1.2)],
        [],
    ),
    "frame numbers, German": (
        b"Video;Start Frame;End-Frame;Label;FPS\na;0;2997;x;29,97\n",
        [("a", "x", 0, 100)],
        ["';'", "decimal commas"],
    ),
    "lengths of actions": (
        b"video,start,end,duration,label\na,1,3.5,2.5,x\na,00:04,00:05,00:01,y\nb,,,,\n",
        [("a", "x", 1, 3.5), ("a", "y", 4, 5)],
        ["the column duration as the length of the actions"],
    ),
    "units in the header": (
        b"Video,Start (s),End [sec],Label,Duration (seconds)\na,1.5,3,jump,1.5\n",
        JUMP,
        ["the column duration as the length of the actions"],
    ),
    "a title above": (
        b"Coding of the mice;;;;\r\n\r\n" + GERMAN.encode(),
        JUMP,
        ["';' between", "'Coding of the mice' as a title", "decimal commas"],
    ),
    "a title without separators": (
        b"Mice\nsecond round\n" + HEAD.encode() + b"a,1.5,3,jump,t\n",
        JUMP,
        ["'Mice' as a title", "'second round' as a title"],
    ),
    "names that look like formulas": (
        HEAD.encode() + b"'=1+1,1,2,'-x,t\n-5,1,2,'quoted,t\n",
        [("=1+1", "-x", 1, 2), ("-5", "'quoted", 1, 2)],
        [],
    ),
}

# kind: (content, part of the message)
REFUSED: dict[str, tuple[bytes, str]] = {
    "separators alone": (b",\n,,\n", "it is empty"),
    "a workbook": (b"PK\x03\x04...", "it is an Excel or OpenDocument workbook"),
    "nothing": (b" \n", "it is empty; add the annotations"),
    "no text": (b"video,start\n\x81\xff", "neither UTF-8, UTF-16 nor Windows-1252"),
    "half a UTF-16 letter": (TABS.encode("utf-16")[:-1], "it is damaged"),
    "commas and points": (
        HEAD.encode() + b'a,"1,5",2.5,x,t\n',
        "numbers have commas ('1,5') as well as points ('2.5')",
    ),
    "marks of thousands": (GERMAN.replace("1,5", "1.234,5").encode(), "without marks for thous"),
    "a cell too many": (
        HEAD.encode() + b"a,1,2,jump, high,t\n",
        "line 2: it has 6 cells, the head",
    ),
    "an open quotation": (
        HEAD.encode() + b'a,1,2,"jump,t\nb,1,2,x,t\n',
        "a quotation mark missing",
    ),
    "a column twice": (b"video,start,end,end,label\na,1,2,3,x\n", "'end' is there twice"),
    "no action": (HEAD.encode() + b"a,,,,t\n", "no row has an action"),
    "61 seconds": (HEAD.encode() + b"\na,00:61,2,x,t\n", "line 3, start: '00:61' is not a time"),
    "time codes": (HEAD.encode() + b"a,00:00:01:12,2,x,t\n", "'00:00:01:12' is not a time"),
    "a date": (HEAD.encode() + b"a,01. Mai,2,x,t\n", "'01. Mai' is not a number; give seconds"),
    "frames without a rate": (
        FRAMES.encode() + b"a,1,2,x,\n",
        "line 2, fps: the rate is missing; frame numbers need frames per second",
    ),
    "thousands of frames": (
        FRAMES.encode() + b"a,1.234,1.250,x,25\n",
        "line 2, start_frame: '1.234' is not a whole number; write numbers of frames without marks",
    ),
    "two rates": (FRAMES.encode() + b"a,1,2,x,25\na,1,2,x,30\n", "'a' has 30.0 here, 25.0 above"),
    "broken JSON": (b'{"database": {"a": ', "it begins like JSON but is none"),
    "a video twice": (b'{"database": {"a": {}, "a": {}}}', "the key 'a' is there twice"),
    "a half character": (
        b'{"database": {"a": {"subset": "t", "annotations": [{"segment": [0, 1],'
        b'"label": "\\ud800"}]}}}',
        "holds half a character",
    ),
    "no action in JSON": (
        b'{"database": {"a": {"subset": "t", "actions": [[0, 1, "x"]]}}}',
        "no video has an action (found: the keys 'subset, actions')",
    ),
    "two lists": (
        b'{"database": {"a": {"subset": "t", "annotations": [], "annotation": []}}}',
        "database.a: it has annotation and annotations; join the two lists",
    ),
    "JSON frames without a rate": (
        b'{"database": {"a": {"subset": "t", "annotations": [{"segment(frames)": [0, 9]}]}}}',
        "the rate is missing; state the video's fps",
    ),
}
