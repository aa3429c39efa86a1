#!/usr/bin/env python3
"""How fast stage 1 reads, beside gunzip, ClickHouse (chDB) and DuckDB, on the same files in the same run.

  python3 tests/bench/timeline_peers.py [--mb 500] [--seed 42] [--runs 5] [--corpus DIR] [--work DIR] [--no-peers]

Makes the corpus with tests/data/generate_cloudtrail.py, builds the benchmark `timeline_once`, installs the peers from
PyPI into a virtual environment, and prints a table. Every tool runs in a process of its own, pinned to one core and then to
two. `wall` is the least of the runs; `CPU` is uncompressed megabytes by the processor seconds that the process
took, which a busy machine disturbs less. What the peers are asked is less than what the boundary needs: for 12
actions the earliest success.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
ACTIONS = [
    "StopLogging", "DeleteDetector", "DeleteRecoveryPoint", "ModifySnapshotAttribute", "PutUserPolicy", "CreateAccessKey",
    "CreateLoginProfile", "PutBucketLifecycle", "ScheduleKeyDeletion", "CopyObject", "DeleteDBCluster", "GetCallerIdentity",
]
WANTED = "(" + ",".join(f"'{action}'" for action in ACTIONS) + ")"
# DuckDB reads files of one large object quickly only when it takes them as one text each.
DUCKDB = """
import duckdb, sys
found = duckdb.connect(config={'threads': int(sys.argv[2])}).sql('''
    with records as (
        select unnest(from_json(json, '{"Records":[{"eventTime":"VARCHAR","eventName":"VARCHAR","errorCode":"VARCHAR"}]}').Records) as r
        from read_json_objects('%s/**/*.json.gz', maximum_object_size=1000000000))
    select r.eventName, min(r.eventTime) from records where r.errorCode is null and r.eventName in WANTED group by 1 order by 1
''' % sys.argv[1]).fetchall()
print(dict(found))
""".replace("WANTED", WANTED)
CHDB = """
import chdb, sys, json
found = chdb.query('''
    select r.2 as name, min(r.1) from (
        select arrayJoin(Records) as r
        from file('%s/**/*.json.gz', 'JSONEachRow', 'Records Array(Tuple(eventTime String, eventName String, errorCode Nullable(String)))'))
    where r.3 is null and name in WANTED group by name order by name
    settings max_threads = %s, input_format_skip_unknown_fields = 1''' % (sys.argv[1], sys.argv[2]), 'JSONCompact')
print(dict(json.loads(str(found))['data']))
""".replace("WANTED", WANTED)
GUNZIP = """
import sys, pathlib, concurrent.futures
try:
    from isal import igzip as gz
except ImportError:
    import gzip as gz
files = sorted(pathlib.Path(sys.argv[1]).rglob('*.json.gz'))
with concurrent.futures.ThreadPoolExecutor(int(sys.argv[2])) as pool:
    print(sum(pool.map(lambda f: len(gz.decompress(f.read_bytes())), files)))
"""


def run(command, cores, cwd=None):
    """(wall seconds, CPU seconds, peak MB, output) of one run on that many cores."""
    names = sorted(os.sched_getaffinity(0))[:cores]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
                               preexec_fn=lambda: os.sched_setaffinity(0, names))
    out, err = process.stdout.read(), process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{command[0]} failed:\n{err.decode(errors='replace')[-2000:]}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3, out.decode(errors="replace")


def best(command, cores, runs):
    """Least wall and CPU seconds of some runs, greatest peak, last output."""
    results = [run(command, cores) for _ in range(runs)]
    return min(r[0] for r in results), min(r[1] for r in results), max(r[2] for r in results), results[-1][3]


def corpus(options, work):
    folder = pathlib.Path(options.corpus) if options.corpus else work / f"corpus-{options.mb}-{options.seed}"
    if not (folder / "ground_truth.json").exists():
        print(f"making {options.mb} MB of logs in {folder}", file=sys.stderr)
        subprocess.run([sys.executable, ROOT / "tests/data/generate_cloudtrail.py", "--out", folder, "--mb", str(options.mb),
                        "--seed", options.seed, "--jobs", "2"], check=True, stdout=subprocess.DEVNULL)
    return folder, json.loads((folder / "ground_truth.json").read_text())


def benchmark(options):
    if options.binary:
        return options.binary
    built = subprocess.run(["cargo", "bench", "--no-run", "--locked", "-p", "blackstart-core", "--bench", "timeline_once",
                            "--message-format", "json-render-diagnostics"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    return next(m["executable"] for m in messages if m.get("target", {}).get("name") == "timeline_once" and m.get("executable"))


def peers(work):
    python = work / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", work / "venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "chdb", "duckdb", "isal"], check=True)
    return python


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=500)
    parser.add_argument("--seed", default="42")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--corpus", help="a folder that the generator made")
    parser.add_argument("--binary", help="the benchmark, if it is built already")
    parser.add_argument("--python", help="a Python that has the peers, if there is one")
    parser.add_argument("--work", default=str(ROOT / ".blackstart" / "bench"))
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    work = pathlib.Path(options.work)
    work.mkdir(parents=True, exist_ok=True)
    folder, truth = corpus(options, work)
    folder, size = str(folder), truth["uncompressed_bytes"] / 1e6
    binary = str(benchmark(options))

    tools = [
        ("inflate alone (libdeflate)", lambda cores: [binary, "inflate", folder], None),
        ("first pass", lambda cores: [binary, "first", folder], None),
        ("boundary and timeline", lambda cores: [binary, "both", folder], truth["first_malicious"]["eventTime"]),
    ]
    if not options.no_peers:
        python = str(options.python or peers(work))
        script = lambda text: lambda cores: [python, "-c", text, folder, str(cores)]
        first = truth["earliest_per_indicator"]["s3_sse_c_rewrite"]["eventTime"]
        tools += [("gunzip (isa-l)", script(GUNZIP), None), ("chDB, 12 actions", script(CHDB), first),
                  ("DuckDB, 12 actions", script(DUCKDB), first)]

    print(f"{size:.0f} MB in {truth['files']} files ({truth['gzip_bytes'] / 1e6:.0f} MB stored), {truth['records']} records, "
          f"best of {options.runs}, load {os.getloadavg()[0]:.1f}")
    print(f"{'':34}{'1 core':>9}{'MB/s':>8}{'CPU MB/s':>10}{'2 cores':>9}{'MB/s':>8}{'scaling':>9}{'peak MB':>9}")
    for name, arguments, expected in tools:
        wall, cpu, peak, out = best(arguments(1), 1, options.runs)
        wall2, _, peak2, _ = best(arguments(2), 2, options.runs)
        if expected and expected not in out:
            raise SystemExit(f"{name} does not find {expected}:\n{out[:2000]}")
        print(f"{name:34}{wall:8.2f}s{size / wall:8.0f}{size / cpu:10.0f}{wall2:8.2f}s{size / wall2:8.0f}"
              f"{wall / wall2:8.2f}x{max(peak, peak2):9.0f}", flush=True)


if __name__ == "__main__":
    main()
