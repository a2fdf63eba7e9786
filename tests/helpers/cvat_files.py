"""Annotations of videos in the shape of CVAT's XML."""

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><id>1</id><name>t</name><size>100</size>
<frame_filter>step=2</frame_filter></task><source>a.mp4</source></meta>
<track id="0" label="mouse" source="manual">
<box frame="10" outside="0" keyframe="1"><attribute name="act">run</attribute></box>
<box frame="12" outside="0" keyframe="0"><attribute name="act">run</attribute></box>
<box frame="14" outside="0" keyframe="1"><attribute name="act">rest</attribute></box>
<box frame="20" outside="1" keyframe="1"><attribute name="act">rest</attribute></box></track>
<track id="1" label="tag" source="manual"><box frame="40" outside="0" keyframe="1"/>
<box frame="42" outside="1" keyframe="1"/></track>
<track id="2" label="tag" source="manual"><box frame="42" outside="0" keyframe="1"/>
<box frame="44" outside="1" keyframe="1"/></track></annotations>"""

CVAT_PROJECT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><project><tasks>
<task><id>7</id><name>t</name><source>a.mp4</source></task>
<task><id>8</id><name>u</name><frame_filter>step=5</frame_filter><source>b.mp4</source></task>
</tasks></project></meta>
<track id="0" label="run" task_id="7"><box frame="0" outside="0"/>
<box frame="2" outside="1"/></track>
<track id="1" label="run" task_id="7"><box frame="5" outside="0"/>
<box frame="8" outside="1"/></track>
<track id="2" label="run" task_id="8">
<skeleton frame="10"><points label="nose" outside="0"/><points label="tail" outside="1"/></skeleton>
<skeleton frame="20"><points label="nose" outside="1"/><points label="tail" outside="1"/></skeleton>
<skeleton frame="40"><points label="nose" outside="0"/><points label="tail" outside="0"/></skeleton>
<skeleton frame="45"><points label="nose" outside="0"/><points label="tail" outside="0"/></skeleton>
</track></annotations>"""

CVAT_IMAGES = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><job><id>1</id></job><source>a.mp4</source></meta>
<image id="4" name="frame_000004"><tag label="run" source="manual"/></image>
<image id="5" name="frame_000005"><tag label="run" source="manual"/>
<box label="mouse" xtl="1" ytl="1" xbr="2" ybr="2"/></image>
<image id="6" name="frame_000006"><tag label="run" source="manual"/></image>
<image id="7" name="frame_000007"/>
<image id="9" name="frame_000009"><tag label="rest" source="manual"/></image>
<image id="10" name="frame_000010"><tag label="rest" source="manual"/></image></annotations>"""
