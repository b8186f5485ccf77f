"""What the figures come to: medians, ratios within a round, the issue's targets beside them."""

import math
import statistics

from measure import BULK, RTT_1, RTT_64, SHORT, SHORT_ON_ALL

BULK_64 = [(mode, n, where) for mode, n, where in BULK if n == 64]
REFERENCES = ("blind", "canned", "hev", "microsocks")


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def geometric_mean(values):
    if not values or any(v is None or v <= 0 for v in values):
        return None
    return math.exp(sum(map(math.log, values)) / len(values))


class Figures:
    """Each figure of each proxy as a list, one entry a round; None where there is none."""

    def __init__(self, results, rounds):
        self.results = results
        self.rounds = rounds

    def series(self, proxy, test, field):
        results = self.results[test].get(proxy, [])
        return [r[field] if r is not None else None for r in results]

    def bulk(self, proxy, field, tests=BULK):
        """The geometric mean over the six bulk tests, or some of them, round by round."""
        columns = [self.series(proxy, test, field) for test in tests]
        return [geometric_mean(row) for row in zip(*columns)]

    def of(self, proxy, figure):
        test, field = figure
        tests = {"bulk": BULK, "bulk 64": BULK_64}.get(test)
        return self.series(proxy, test, field) if tests is None else self.bulk(proxy, field, tests)

    def ratio(self, proxy, reference, figure):
        """The median of the ratios between two measurements of the same round."""
        pairs = zip(self.of(proxy, figure), self.of(reference, figure))
        return median([a / b for a, b in pairs if a is not None and b])


GB_PER_S = ("bulk", "gb_per_s")
GB_PER_S_64 = ("bulk 64", "gb_per_s")
CPU_PER_GB = ("bulk", "cpu_s_per_gb")
P50_AT_1 = (RTT_1, "p50_us")
P50_AT_64 = (RTT_64, "p50_us")

def ratio_targets(short):
    """What is compared, with whom, this step's bound, the later one (None: there is none)."""
    short_per_s, short_cpu = (short, "per_s"), (short, "cpu_us_each")
    return [
        ("bulk GB/s", GB_PER_S, "blind", ">=", 0.85, 0.9),
        ("bulk GB/s", GB_PER_S, "hev", ">=", None, 1.05),
        ("bulk CPU s/GB", CPU_PER_GB, "blind", "<=", 1.15, 1.1),
        ("bulk CPU s/GB", CPU_PER_GB, "hev", "<=", None, 1.0),
        ("short connections/s", short_per_s, "blind", ">=", 0.8, 0.9),
        ("short connections/s", short_per_s, "canned", ">=", 0.8, 0.9),
        ("short connections/s", short_per_s, "microsocks", ">=", 1.3, 1.5),
        ("short connections/s", short_per_s, "hev", ">=", None, 1.35),
        ("CPU of each of them", short_cpu, "blind", "<=", 1.2, 1.1),
        ("CPU of each of them", short_cpu, "canned", "<=", 1.2, 1.1),
        ("round trip p50, one", P50_AT_1, "blind", "<=", 1.1, 1.05),
        ("round trip p50, 64", P50_AT_64, "microsocks", "<=", 1.0, None),
    ]


def number(value, digits):
    return "-" if value is None else f"{value:,.{digits}f}"


def table(title, head, rows):
    """Plain columns; the first is flush left."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [title]
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def ratios(figures, proxy, figure):
    return [number(figures.ratio(proxy, r, figure), 2) if r != proxy else "1"
            for r in REFERENCES]


RATIO_HEAD = ["/ blind", "/ canned", "/ hev", "/ microsocks"]


def bulk_table(figures, proxies, field, figure, title, digits):
    rows = []
    for p in proxies:
        cells = [number(median(figures.series(p.name, test, field)), digits) for test in BULK]
        mean = number(median(figures.bulk(p.name, field)), digits)
        rows.append([p.label, *cells, mean, *ratios(figures, p.name, figure)])
    head = ["", *[f"{mode} {n}" for mode, n, _ in BULK], "geo. mean", *RATIO_HEAD]
    return table(title, head, rows)


SHORT_TABLES = [
    (SHORT, "Short connections, 64 at a time (the blind relay's have no SOCKS handshake: the "
            "canned one's are like for like; none's CPU is the origin's)"),
    (SHORT_ON_ALL, "The same, the proxy on all processors instead of one"),
]


def short_table(figures, proxies, test, title):
    rows = []
    for p in proxies:
        row = [p.label]
        for field, digits in (("per_s", 0), ("cpu_us_each", 1)):
            row += [number(median(figures.series(p.name, test, field)), digits),
                    *ratios(figures, p.name, (test, field))]
        rows.append(row)
    return table(title, ["", "per s", *RATIO_HEAD, "CPU us", *RATIO_HEAD], rows)


def rtt_table(figures, proxies):
    rows = []
    for p in proxies:
        row = [p.label]
        for figure in (P50_AT_1, P50_AT_64):
            row.append(number(median(figures.of(p.name, figure)), 1))
            row.append(number(median(figures.series(p.name, figure[0], "p99_us")), 1))
            row.append(number(figures.ratio(p.name, "blind", figure), 2))
            row.append(number(figures.ratio(p.name, "microsocks", figure), 2))
        rows.append(row)
    head = ["", "p50 at 1", "p99", "p50 / blind", "/ microsocks",
            "p50 at 64", "p99", "p50 / blind", "/ microsocks"]
    return table("Round trips of 64 bytes over open connections, us", head, rows)


def memory_table(memories, proxies):
    rows = []
    for p in proxies:
        m = memories.get(p.name)
        if m is None:
            continue
        rows.append([p.label, number(m["empty_rss_kib"], 0), number(m["n_idle"], 0),
                     number(m.get("idle_kib_each"), 2), number(m["fds_each"], 2),
                     number(m.get("wake_ups"), 0), number(m.get("idle_cpu_ms"), 1),
                     number(m["n_burst"], 0), number(m["after_hundred_rss_kib"], 0),
                     number(m.get("after_burst_rss_kib"), 0), number(m.get("fds_left"), 0)])
    hold_s = next((m["hold_ms"] / 1000 for m in memories.values() if m), 0)
    head = ["", "empty KiB", "idle", "KiB each", "fds each", f"wake-ups {hold_s:g} s", "CPU ms",
            "burst", "KiB after 100", "after burst", "fds left"]
    return table("Memory and descriptors (RSS; PSS for each idle connection)", head, rows)


def closes_table(closes, proxies):
    kinds = ("client_fin", "origin_fin", "client_reset", "origin_reset")
    rows = []
    for p in proxies:
        seen = closes.get(p.name) or {}
        rows.append([p.label, *["yes" if seen.get(kind) else "no" for kind in kinds]])
    return table("Closing orders that are right (who ends first, and how)",
                 ["", *[kind.replace("_", " ") for kind in kinds]], rows)


def verdict(value, relation, bound):
    if bound is None:
        return ""
    met = value is not None and (value >= bound if relation == ">=" else value <= bound)
    unknown = " ?" if value is None else " no"
    return f"{relation} {bound:g}" + (" ok" if met else unknown)


def memory_targets(memory):
    """(name, value, relation, bound of this step, later bound) of what is no ratio."""
    if memory is None:
        return []
    hundred, burst = memory["after_hundred_rss_kib"], memory.get("after_burst_rss_kib")
    return [
        ("idle connection, KiB", memory.get("idle_kib_each"), "<=", 1.5, 1.0),
        ("idle connection, descriptors", memory["fds_each"], "<=", 2, None),
        ("wake-ups while idle", memory.get("wake_ups"), "<=", 0, None),
        ("empty process, MiB", memory["empty_rss_kib"] / 1024, "<=", 6, None),
        ("after the burst / (after 100 x 1.1 + 1 MiB)",
         None if burst is None else burst / (hundred * 1.1 + 1024), "<=", 1, None),
    ]


def targets_table(figures, memories, proxies):
    names = {p.name: p.label for p in proxies}
    text = ""
    for ours in (p for p in proxies if p.name.startswith("sockeye")):
        rows = []
        # With several workers, short connections where all of them have a processor.
        short, where = ((SHORT, "") if ours.name == "sockeye-1"
                        else (SHORT_ON_ALL, "; short connections on all processors"))
        for what, figure, reference, relation, now, later in ratio_targets(short):
            if reference not in names:
                continue
            value = figures.ratio(ours.name, reference, figure)
            rows.append([f"{what} / {names[reference]}", number(value, 3),
                         verdict(value, relation, now), verdict(value, relation, later)])
        for what, value, relation, now, later in memory_targets(memories.get(ours.name)):
            rows.append([what, number(value, 3), verdict(value, relation, now),
                         verdict(value, relation, later)])
        head = ["", "is", "this step", "later"]
        text += table(f"Targets: {ours.label}{where}", head, rows) + "\n"
    return text


def noise_line(figures):
    """In bulk both ways of the relay run the same code, so their ratio shows what is noise."""
    pairs = zip(figures.of("canned", GB_PER_S), figures.of("blind", GB_PER_S))
    ratios_seen = [a / b for a, b in pairs if a is not None and b]
    if not ratios_seen:
        return ""
    return ("In bulk canned and blind are the same code; their GB/s ratio should be 1 and was "
            f"{min(ratios_seen):.2f} to {max(ratios_seen):.2f}, "
            f"median {statistics.median(ratios_seen):.2f}: that much here is noise.\n")


def report(figures, memories, closes, proxies):
    bulk_names = ("gb_per_s", GB_PER_S, "Bulk, GB/s (connections)", 2)
    cpu_names = ("cpu_s_per_gb", CPU_PER_GB, "Bulk, CPU s/GB of the proxy (none: the origin's)", 3)
    parts = [bulk_table(figures, proxies, *names) for names in (bulk_names, cpu_names)]
    parts.append(noise_line(figures))
    parts += [short_table(figures, proxies, *names) for names in SHORT_TABLES]
    parts += [rtt_table(figures, proxies), memory_table(memories, proxies),
              closes_table(closes, proxies), targets_table(figures, memories, proxies)]
    return "\n".join(parts)
