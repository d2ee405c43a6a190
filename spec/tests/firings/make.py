"""What croniter says: one line for each zone and cron line, with the count of firings in twenty years and a digest of them;
and where niia says otherwise, each time with the rule that makes the difference."""

import bisect
import hashlib
import pathlib
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from zoneinfo import ZoneInfo

from croniter import croniter

FIRST, LAST = 2010, 2029
DAY = 26 * 3600
HERE = pathlib.Path(__file__).parent


def words(name):
    lines = (HERE / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def start(year, zone):
    return int(datetime(year, 1, 1, tzinfo=zone).timestamp())


def firings(zone, line):
    """Every firing of all years, in seconds since 1970."""
    zone = ZoneInfo(zone)
    end = start(LAST + 1, zone)
    # The first moment counts as well.
    last = start(FIRST, zone) - 1
    iterator = croniter(line, datetime.fromtimestamp(last, zone), ret_type=datetime)
    found = []
    while True:
        at = iterator.get_next().timestamp()
        if at <= last:
            # At some changes of the clocks croniter stands still for ever; it is put on its way again.
            last += 60
            iterator = croniter(line, datetime.fromtimestamp(last, zone), ret_type=datetime)
            continue
        if at >= end:
            return found
        found.append(int(at))
        last = at


def of_zone(zone):
    return {(zone, line): firings(zone, line) for line in words("lines.txt")}


def changes(zone):
    """When the clocks change, and whether forwards (gap) or backwards (overlap)."""
    zone = ZoneInfo(zone)
    steps = range(start(FIRST, zone) - 2 * DAY, start(LAST + 1, zone) + 2 * DAY, 900)
    offsets = [datetime.fromtimestamp(step, zone).utcoffset() for step in steps]
    pairs = zip(steps[1:], offsets, offsets[1:])
    return [(at, "gap" if after > before else "overlap") for at, before, after in pairs if after != before]


def rule(changes, since, at):
    """The change of the clocks between the last but two firings and this one, or within a day of one of them."""
    near = [(abs(change - at), kind) for change, kind in changes if since - DAY <= change <= at + DAY]
    return min(near)[1] if near else "UNKNOWN"


def differences(zone, line, ours, theirs, changes):
    """The times that only one of both has, and by which rule."""
    known = sorted(ours)
    told = []
    for at in sorted(ours ^ theirs):
        # croniter reckons from its own last firing, which may be an hour off, past one or two of niia's.
        before = bisect.bisect_left(known, at) - 3
        since = known[before] if before >= 0 else start(FIRST, ZoneInfo(zone))
        told.append(f"{'+' if at in ours else '-'}{at} {rule(changes, since, at)}")
    return told


RULES = """\
# Where niia fires otherwise than croniter: the zone and the line, then each time with the rule that makes the difference.
# Times in seconds since 1970: + only niia fires then, - only croniter does.
# gap: a fixed time that the clocks jump over fires once, right after the gap. croniter fires it at another time or not at
#   all, and where the clocks went forward since the last firing it may fire an hour too late.
# overlap: a fixed time that there is twice fires the first time. croniter fires the second time or both, and where the
#   clocks went back since the last firing it fires an hour too early and once more, or an hour too late.
"""


def main():
    zones = words("zones.txt")
    theirs = {}
    with ProcessPoolExecutor() as pool:
        for made in pool.map(of_zone, zones):
            theirs.update(made)
    rows = []
    for (zone, line), times in theirs.items():
        digest = hashlib.sha256(" ".join(map(str, times)).encode()).hexdigest()[:16]
        rows.append(f"{zone}\t{line}\t{len(times)}\t{digest}")
    (HERE / "croniter.txt").write_text("\n".join(rows) + "\n")
    text = RULES
    of_zones = {zone: changes(zone) for zone in zones}
    for row in pathlib.Path(sys.argv[1]).read_text().splitlines():
        zone, line, times = row.split("\t")
        told = differences(zone, line, set(map(int, times.split())), set(theirs[zone, line]), of_zones[zone])
        if told:
            text += f"{zone}\t{line}\t{', '.join(told)}\n"
    (HERE / "differences.txt").write_text(text)


if __name__ == "__main__":
    main()
