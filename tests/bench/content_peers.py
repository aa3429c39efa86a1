#!/usr/bin/env python3
"""How fast the content scan of stage 2 reads, beside sha256sum and the command line of YARA, on the same files in the same run.

  python3 tests/bench/content_peers.py [--files 20000] [--mb 200] [--runs 5] [--folder DIR]... [--binary FILE] [--no-stream]

Builds the benchmark `content_once`, makes many small files and a few large ones, and takes Python's own library as files that
nobody made for this (with --folder: those folders instead). Every tool runs in a process of its own on one core; all tools take
turns, so that whatever else the machine does meets all of them. Shown is the least of the runs; CPU MB/s is megabytes by the
processor seconds of the process, opening and reading the files included. YARA gets the same rules, those of shared/yara/rules,
and one thread (Debian: apt-get install yara).

Then it compares the scan with the same rules applied to every file whatever it holds, measures the layers over memory alone,
and streams 10 GB through the scan for its peak memory.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import sysconfig
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "shared/yara/rules/starter.yar"
WORDS = "order customer total shipped invoice Ada Lovelace 12.50 EUR address street number paid 2026-01-17 article".split()


def text(source, length):
    words = source.choices(WORDS, k=2000)
    line = " ".join(words).encode()
    return (line * (length // len(line) + 1))[:length]


def corpus(folder, files, megabytes):
    """Small files as a bucket of documents has them, and four large ones; the same every time."""
    if (folder / "made").exists():
        return folder
    source = random.Random(42)
    for i in range(files):
        path = folder / "small" / f"{i // 1000:03}" / f"{i:06}"
        path.parent.mkdir(parents=True, exist_ok=True)
        length = int(source.lognormvariate(8.5, 1.2)) + 64
        if i % 5 == 0:
            path.with_suffix(".png").write_bytes(b"\x89PNG\r\n\x1a\n" + source.randbytes(length) + b"IEND\xaeB`\x82")
        elif i % 5 == 1:
            path.with_suffix(".json").write_text(json.dumps({w: source.random() for w in source.choices(WORDS, k=length // 40 + 1)}))
        else:
            path.with_suffix(".csv").write_bytes(text(source, length))
    (folder / "large").mkdir(exist_ok=True)
    for i in range(4):
        length = megabytes * 1_000_000 // 4
        data = source.randbytes(length - 6) if i == 0 else text(source, length)
        (folder / "large" / f"{i}.{'gz' if i == 0 else 'csv'}").write_bytes((b"\x1f\x8b\x08" + data + b"\0\0\0") if i == 0 else data)
    (folder / "made").touch()
    return folder


def run(command, stdin=None):
    """(wall seconds, CPU seconds, peak MB, output) of one run on one core."""
    core = sorted(os.sched_getaffinity(0))[-1]
    began = time.monotonic()
    process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    out = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"{' '.join(command)}: failed")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3, out.decode(errors="replace")


def benchmark(options):
    if options.binary:
        return options.binary
    built = subprocess.run(["cargo", "bench", "--no-run", "--locked", "-p", "blackstart-yara", "--bench", "content_once",
                            "--message-format", "json-render-diagnostics"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    return next(m["executable"] for m in messages if m.get("target", {}).get("name") == "content_once" and m.get("executable"))


def stream(binary, gigabytes):
    """Peak memory while so much flows through a pipe: no file, every megabyte another."""
    maker = (f"import sys, random\nsource = random.Random(1)\nblock = source.randbytes(1 << 20)\ntext = b'order;12.50;shipped\\n' * 52000\n"
             f"for i in range({gigabytes} * 1000):\n"
             f"    sys.stdout.buffer.write(i.to_bytes(8, 'big') + (block if i % 8 == 0 else text[:1000000 - 8]))\n")
    process = subprocess.Popen([sys.executable, "-c", maker], stdout=subprocess.PIPE)
    wall, cpu, peak, out = run([binary, "all", "-"], process.stdout)
    process.wait()
    print(f"\nstreamed: {out.strip()}; {wall:.0f} s, {cpu:.0f} s of processor, peak {peak:.0f} MB")


def figures(commands, runs):
    """By name the least wall and processor seconds and the highest peak, of runs that alternate."""
    results = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            results[name].append(run([str(part) for part in command]))
    return {name: (min(r[0] for r in of), min(r[1] for r in of), max(r[2] for r in of)) for name, of in results.items()}


def compare(binary, folder, runs):
    """The table of one folder."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in paths) / 1e6
    commands = {
        "blocks (entropy, chi-square)": [binary, "blocks", folder],
        "blocks, formats, notes, digest": [binary, "digest", folder],
        "YARA rules": [binary, "yara", folder],
        "all": [binary, "all", folder],
        "sha256sum": ["sh", "-c", 'find "$0" -type f -print0 | xargs -0 sha256sum', folder],
    }
    if shutil.which("yara"):
        commands["yara, one thread"] = ["yara", "-p", "1", "-r", "-w", RULES, folder]
    print(f"\n{folder}: {len(paths)} files, {size:.0f} MB, load {os.getloadavg()[0]:.1f}")
    print(f"{'':34}{'wall':>9}{'MB/s':>8}{'CPU MB/s':>10}{'peak MB':>9}")
    found = figures(commands, runs)
    for name, (wall, cpu, peak) in found.items():
        print(f"{name:34}{wall:8.2f}s{size / wall:8.0f}{size / cpu:10.0f}{peak:9.0f}", flush=True)
    for peer in list(commands)[4:]:
        wall, cpu = (found[peer][i] / found["all"][i] for i in (0, 1))
        print(f"all beside {peer}: {cpu:.2f} times as fast by processor time, {wall:.2f} on the clock")
    _, _, _, out = run([binary, "compare", str(folder)])
    print(f"with rules applied to every file, the same answers: {out.strip()}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--mb", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", action="append", help="look at these files instead")
    parser.add_argument("--binary", help="the benchmark, if it is built already")
    parser.add_argument("--gigabytes", type=int, default=10)
    parser.add_argument("--no-stream", action="store_true")
    options = parser.parse_args()
    binary = str(benchmark(options))
    if options.folder:
        folders = [pathlib.Path(folder) for folder in options.folder]
    else:
        made = corpus(ROOT / ".blackstart" / "bench" / f"content-{options.files}-{options.mb}", options.files, options.mb)
        folders = [made / "small", made / "large", pathlib.Path(sysconfig.get_paths()["stdlib"])]
    print(f"least of {options.runs} runs")
    if not shutil.which("yara"):
        print("the command `yara` is not here (Debian: apt-get install yara): without it")
    for folder in folders:
        compare(binary, folder, options.runs)
    _, _, _, out = run([binary, "memory"])
    print(f"\nover memory alone, one core, MB/s:\n{out.rstrip()}", flush=True)
    if not options.no_stream:
        stream(binary, options.gigabytes)


if __name__ == "__main__":
    main()
