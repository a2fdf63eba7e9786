"""Tables in the shapes of what several versions of BORIS export."""

TABULAR = """\
Observation id,Observation date,Description,Observation duration,Observation type,Source,\
Time offset (s),Media duration (s),FPS,Subject,Behavior,Behavioral category,Modifier #1,\
Behavior type,Time,Media file name,Image index,Image file path,Comment
one,2024-01-01,,20,Media file(s),player #1:/home/u/a.mp4;/home/u/b.mp4|player #2:/home/u/c.mp4,\
100.0,10.000;10.000|20.000,25.000;25.000|25.000,m,groom,,,START,101.5,/home/u/a.mp4,NA,NA,
one,2024-01-01,,20,Media file(s),player #1:/home/u/a.mp4;/home/u/b.mp4|player #2:/home/u/c.mp4,\
100.0,10.000;10.000|20.000,25.000;25.000|25.000,m,groom,,,STOP,103,/home/u/a.mp4,NA,NA,
one,2024-01-01,,20,Media file(s),player #1:/home/u/a.mp4;/home/u/b.mp4|player #2:/home/u/c.mp4,\
100.0,10.000;10.000|20.000,25.000;25.000|25.000,m,sniff,,,POINT,115,/home/u/b.mp4,NA,NA,
"""

AGGREGATED = """\
Observation id\tObservation date\tDescription\tObservation type\tSource\tTime offset (s)\t\
Coding duration\tMedia duration (s)\tFPS (frame/s)\tSubject\t\
Observation duration by subject by observation\tBehavior\tBehavioral category\tBehavior type\t\
Start (s)\tStop (s)\tDuration (s)\tMedia file name
one\t2024-01-01\t\tMedia file\tplayer #1:C:\\v\\a.mp4\t0.0\t9\t10.000\t25.000\tm\t3\tgroom\t\t\
STATE\t1.500\t3.000\t1.500\tC:\\v\\a.mp4
one\t2024-01-01\t\tMedia file\tplayer #1:C:\\v\\a.mp4\t0.0\t9\t10.000\t25.000\tm\t3\tsniff\t\t\
POINT\t5.000\t5.000\tNA\tC:\\v\\a.mp4
live\t2024-01-01\t\tLive observation\tNA\t0.0\t9\tNA\tNA\tm\t3\tgroom\t\t\
STATE\t1.000\t2.000\t1.000\tNA
"""

OLD_TABULAR = """\
Observation id\tone\t\t\t\t\t\t\t
Media file(s)\t\t\t\t\t\t\t\t
Player #1\ta.mp4\t\t\t\t\t\t\t
Time offset (s)\t10.0\t\t\t\t\t\t\t
Time\tMedia file path\tTotal length\tFPS\tSubject\tBehavior\tBehavioral category\tComment\tStatus
11.5\ta.mp4\t60.0\t25.0\tm\tgroom\t\t\tSTART
13.0\ta.mp4\t60.0\t25.0\tm\tgroom\t\t\tSTOP
"""


def table(header: str, *rows: str) -> str:
    """A table whose rows have one cell a column of the header."""
    return "\n".join([header, *rows, ""])


_AGGREGATED_8 = table(  # of 2023: players and files end with a blank, lengths are not stated
    "Observation id,Observation type,Source,Total length,FPS,Subject,Behavior,Behavior type,"
    "Start (s),Stop (s),Media file name",
    "o,Media file,player #1: C:/v/a.mp4; ,7.5,player #1: 25.000; ,m,groom,STATE,1.5,3,C:/v/a.mp4",
    "p,Media file,player #1: C:/v/b.mp4; player #2: C:/v/c.mp4; ,9,"
    "player #1: 25.000; player #2: 30.000; ,m,groom,STATE,2,4,C:/v/b.mp4",
    "q,From pictures,C:/v/pictures; ,9,NA,m,groom,STATE,NA,NA,NA",
)
_TABULAR_8 = table(
    "Observation id,Observation type,Source,FPS,Subject,Behavior,Behavior type,Time",
    *(
        f"o,Media file(s),player #1: C:/v/a.mp4 player #2: C:/v/c.mp4,"
        f"player #1: 25.000 player #2: 30.000,m,groom,{status},{time}"
        for status, time in (("START", 1.5), ("STOP", 3))
    ),
)
_VARIABLES_TABULAR = table(  # the animal is a variable of the project, and a subject of BORIS
    "Observation id,Source,subject,Subject,Behavior,Behavior type,Time",
    *(
        f"o,player #1:a.mp4,mouse 7,{subject},groom,{status},{time}"
        for subject, status, time in (
            ("m", "START", 1), ("n", "START", 2), ("m", "STOP", 3), ("n", "STOP", 4),
        )
    ),
)  # fmt: skip
_VARIABLES_AGGREGATED = table(  # the time of the day is a variable of the project
    "Observation id,Source,Time,Subject,Behavior,Behavior type,Start (s),Stop (s)",
    "o,player #1:a.mp4,12,m,groom,STATE,1.5,3",
)
_LIVE_7 = table(
    "Observation id,Media file,Total length,FPS,Subject,Behavior,Behavior type,Start (s),Stop (s)",
    "o,v/a.mp4,60,25.0,m,groom,STATE,1.5,3",
    "live,LIVE,60,NA,m,groom,STATE,1.5,3",
)
QUEUE_7 = table(  # each row names the file that it begins in, and the length of both together
    "Observation id,Media file,Total length,FPS,Subject,Behavior,Behavior type,Start (s),Stop (s)",
    "o,v/b.mp4,60,25.0,m,groom,STATE,35,36",
    "o,v/a.mp4,60,25.0,m,sniff,STATE,1.5,3",
)
OLD_QUEUE = OLD_TABULAR.replace(
    "Player #1\ta.mp4", "Player #1\tb.mp4\t\t\t\t\t\t\t\nPlayer #1\ta.mp4"
)

_CLOCK = table(  # times as hours, minutes and seconds
    "Observation id,Source,Time offset (s),Subject,Behavior,Behavior type,Time",
    "o,player #1:a.mp4,00:01:00.000,m,groom,START,00:01:01.500",
    "o,player #1:a.mp4,00:01:00.000,m,groom,STOP,00:01:03.000",
)

# By name: an export, (video, label, start, end) of its actions, parts of what is told.
EXPORTS: dict[str, tuple[str, list[tuple[str, str, float, float]], list[str]]] = {
    "aggregated_8.csv": (
        _AGGREGATED_8, [("a", "groom", 1.5, 3), ("b", "groom", 2, 4)],
        ["1 events of observations without media"],
    ),
    "tabular_8.csv": (_TABULAR_8, [("a", "groom", 1.5, 3)], []),
    "variables.csv": (
        _VARIABLES_TABULAR, [("a", "groom", 1, 3), ("a", "groom", 2, 4)], ["2 subjects"],
    ),
    "variable_time.csv": (_VARIABLES_AGGREGATED, [("a", "groom", 1.5, 3)], []),
    "clock.csv": (_CLOCK, [("a", "groom", 1.5, 3)], []),
    "live_7.csv": (
        _LIVE_7, [("a", "groom", 1.5, 3)], ["1 events of observations without media"],
    ),
}  # fmt: skip
