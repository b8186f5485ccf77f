"""The program's log lines, text or JSON, as dicts."""

import json
import re

_HEAD = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\w+) (.*)$")
_FIELD = re.compile(r'(?:^| )(\w+)=("(?:[^"\\]|\\.)*"|\S*)')


def parse_text(line):
    """{'time':, 'level':, 'event': first word, 'text': all after the level, and each name=value}; None if it is none."""
    head = _HEAD.match(line)
    if not head:
        return None
    time, level, text = head.groups()
    fields = {name: value.strip('"') for name, value in _FIELD.findall(text)}
    return {**fields, "time": time, "level": level, "event": text.split(" ")[0], "text": text}


def parse(line):
    if line.startswith("{"):
        return json.loads(line)
    return parse_text(line)
