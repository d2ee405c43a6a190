"""What croniter says: one line for each zone, cron line and year, with the count of firings and a digest of them."""

import hashlib
import pathlib
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from zoneinfo import ZoneInfo

from croniter import croniter

YEARS = range(2010, 2030)
HERE = pathlib.Path(__file__).parent


def words(name):
    lines = (HERE / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def firings(zone, line):
    """Every firing of all years, in seconds since 1970."""
    zone = ZoneInfo(zone)
    end = datetime(YEARS[-1] + 1, 1, 1, tzinfo=zone).timestamp()
    # The first moment counts as well.
    last = datetime(YEARS[0], 1, 1, tzinfo=zone).timestamp() - 1
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
    rows, full = [], []
    for line in words("lines.txt"):
        years = {year: [] for year in YEARS}
        for at in firings(zone, line):
            years[datetime.fromtimestamp(at, ZoneInfo(zone)).year].append(at)
        for year, times in years.items():
            text = " ".join(map(str, times))
            digest = hashlib.sha256(text.encode()).hexdigest()[:16]
            rows.append(f"{zone}\t{line}\t{year}\t{len(times)}\t{digest}")
            full.append(f"{zone}\t{line}\t{year}\t{text}")
    return rows, full


def changes(zone, since, at):
    """How the clocks change from a day before the last firing to a day after a time: forwards (gap), backwards (overlap)."""
    zone = ZoneInfo(zone)
    steps = range(int(since) - 26 * 3600, at + 26 * 3600, 900)
    offsets = [datetime.fromtimestamp(step, zone).utcoffset() for step in steps]
    pairs = zip(offsets, offsets[1:])
    return {"gap" if after > before else "overlap" for before, after in pairs if after != before}


def differences(ours, theirs):
    """The rows in which niia says otherwise, and by which rule."""
    before = {}
    for row in ours:
        zone, line, year, times = row.split("\t")
        times = sorted(map(int, times.split()))
        # The firing before the first one of this year; the years come in order.
        last = before.get((zone, line), int(datetime(int(year), 1, 1, tzinfo=ZoneInfo(zone)).timestamp()))
        known = [last] + times
        before[zone, line] = known[-1]
        times, other = set(times), theirs[zone, line, year]
        if times == other:
            continue
        since = lambda at: max((time for time in known if time < at), default=known[0])
        changed = sorted(times ^ other)
        rules = set.intersection(*(changes(zone, since(at), at) for at in changed)) or {"UNKNOWN"}
        only = lambda these: " ".join(map(str, sorted(these)))
        yield f"{zone}\t{line}\t{year}\t{only(other - times)}\t{only(times - other)}\t{min(rules)}"


RULES = """\
# Where niia fires otherwise than croniter: zone, line, year, only croniter's, only niia's, rule. Times in seconds since 1970.
# gap: a fixed time that the clocks jump over fires once, right after the gap. croniter fires it at another time or not at
#   all, and where the clocks went forward since the last firing it may fire an hour too late.
# overlap: a fixed time that there is twice fires the first time. croniter fires the second time or both, and where the
#   clocks went back since the last firing it fires an hour too early and then once more.
"""


def main():
    with ProcessPoolExecutor() as pool:
        made = list(pool.map(of_zone, words("zones.txt")))
    rows = [row for rows, _ in made for row in rows]
    (HERE / "croniter.txt").write_text("\n".join(rows) + "\n")
    theirs = {}
    for row in (row for _, full in made for row in full):
        zone, line, year, times = row.split("\t")
        theirs[zone, line, year] = set(map(int, times.split()))
    ours = pathlib.Path(sys.argv[1]).read_text().splitlines()
    (HERE / "differences.txt").write_text(RULES + "".join(row + "\n" for row in differences(ours, theirs)))


if __name__ == "__main__":
    main()
