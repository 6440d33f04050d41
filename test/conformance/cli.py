"""The program `firecrest`, every command, as a person runs it: `cli.py v1` or `cli.py v2`. One JSON line per case."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tarfile

import typer
from judge import (
    JOB, LARGE, LONG_JOB, MACHINE, CommandLine, Site, Suite, contains, equal, eventually, mode_of, sha256,
    site_from_environment, status_of_link,
)

v1, v2 = Suite(), Suite()


def each(function):
    """A case of both APIs."""
    return v2.case(v1.case(function))


def words_of(text: str) -> str:
    """Without the folding and padding of what is meant for a terminal."""
    return " ".join(text.split())


@each
def status(site: Site, run):
    """systems, nodes, partitions and reservations"""
    contains(run("systems"), MACHINE)
    contains(run("get-nodes"), "nid000001")
    contains(run("get-partitions"), "normal")
    run("get-reservations")


@each
def identity(site: Site, run):
    """id, in words"""
    contains(run("id"), f"({site.user})")


@v1.case
def status_of_v1(site: Site, run):
    """services, parameters, filesystems and whoami"""
    contains(run("services"), "utilities")
    contains(run("parameters"), "UTILITIES_MAX_FILE_SIZE")
    contains(words_of(run("filesystems")), str(site.home.parent))
    equal(run("whoami").strip(), site.user)


@v2.case
def server_version(site: Site, run):
    """server-version"""
    if "server-version" in run.commands:
        equal(run("server-version").strip(), site.release)


@each
def directories(site: Site, run):
    """mkdir -p, ls -a, symlink, cp, mv, chmod, chown, rm: what is on disk"""
    place = site.place()
    run("mkdir", "-p", f"{place}/a/b")
    assert (place / "a/b").is_dir()
    (place / "file").write_text("1234")
    (place / ".hidden").write_text("")
    contains(run("ls", "-a", place), ".hidden")
    run("symlink", f"{place}/file", f"{place}/link")
    assert (place / "link").is_symlink()
    run("cp", f"{place}/file", f"{place}/copy")
    run("mv", f"{place}/copy", f"{place}/moved")
    equal((place / "moved").read_text(), "1234")
    run("chmod", f"{place}/file", "640")
    equal(mode_of(place / "file"), "0o640")
    run("chown", f"{place}/file", "--owner", site.user, *([] if run.api == "v1" else ["--group", ""]))
    run("rm", "--force", f"{place}/moved")
    assert not (place / "moved").exists()


@each
def contents(site: Site, run):
    """file, stat, checksum, head and tail"""
    place = site.place()
    lines = "".join(f"{number}\n" for number in range(1, 31))
    (place / "thirty").write_text(lines)
    contains(run("file", f"{place}/thirty"), "ASCII text")
    contains(run("stat", f"{place}/thirty"), str(len(lines)))
    contains(run("checksum", f"{place}/thirty"), sha256(lines.encode()))
    contains(run("head", "-n", "2", f"{place}/thirty"), "1\n2\n")
    contains(run("tail", "-n", "2", f"{place}/thirty"), "29\n30\n")


@each
def archives(site: Site, run):
    """compress and extract"""
    place = site.place()
    (place / "tree").mkdir()
    (place / "tree/data").write_text("data")
    run("compress", f"{place}/tree", f"{place}/tree.tar.gz")
    with tarfile.open(place / "tree.tar.gz") as archive:
        contains(archive.getnames(), "tree/data")
    (place / "out").mkdir()
    run("extract", f"{place}/tree.tar.gz", f"{place}/out")
    equal((place / "out/tree/data").read_text(), "data")


@each
def small_transfers(site: Site, run):
    """upload and download of a small file, byte for byte"""
    place = site.place()
    content = bytes(range(256)) * 40
    run("upload", site.local("small.bin", content), place, "up.bin")
    equal((place / "up.bin").read_bytes(), content)
    run("download", f"{place}/up.bin", site.desk / "down.bin")
    equal((site.desk / "down.bin").read_bytes(), content)


@v1.case
def external_transfers(site: Site, run):
    """upload and download by the staging area: the printed command uploads, the printed link downloads"""
    place = site.place()
    printed = run("upload", "--type", "external", site.local("large.bin", LARGE), place)
    command = shlex.split(printed.split("finish the upload:")[1].replace("\n", " "))
    equal(subprocess.run(command, capture_output=True).returncode, 0)
    eventually(lambda: (place / "large.bin").exists() and (place / "large.bin").stat().st_size == len(LARGE), "the file")
    equal((place / "large.bin").read_bytes(), LARGE)
    printed = run("download", "--type", "external", f"{place}/large.bin")
    equal(status_of_link(printed.split("from:")[1].strip()), 206)
    contains(run("tasks"), "117")


@v2.case
def large_transfers(site: Site, run):
    """upload and download of a large file, by jobs, byte for byte"""
    place = site.place()
    run("upload", site.local("large.bin", LARGE), place, "large.bin")
    equal((place / "large.bin").read_bytes(), LARGE)
    run("download", f"{place}/large.bin", site.desk / "staged.bin")
    equal((site.desk / "staged.bin").read_bytes(), LARGE)


def state_in_v1(run, job: str) -> str:
    return words_of(run("poll", job))


@v1.case
def jobs_of_v1(site: Site, run):
    """submit of files here and there, poll, poll-active and cancel"""
    place = site.place()
    job = run.json("submit", site.local("job.sh", JOB), "-e", "GREETING=hello", "--account", "project")
    eventually(lambda: "COMPLETED" in state_in_v1(run, job["jobid"]), "its end")
    with open(job["job_file_out"]) as out:
        contains(out.read(), "hello from")
    (place / "long.sh").write_text(LONG_JOB)
    job = run.json("submit", "--no-local", f"{place}/long.sh")["jobid"]
    eventually(lambda: (place / "started").exists(), "the job's first line")
    contains(words_of(run("poll-active", job)), "RUNNING")
    run("cancel", job)
    eventually(lambda: "CANCELLED" in state_in_v1(run, job), "its end")


@v1.case
def transfer_jobs(site: Site, run):
    """submit-template: cp, rsync, mv, compress, extract and rm"""
    place = site.place()
    (place / "data").write_text("data")

    def transfer(verb, *paths):
        job = run.json("submit-template", verb, *(f"{place}/{path}" for path in paths))["jobid"]
        eventually(lambda: "COMPLETED" in state_in_v1(run, job), f"the end of {verb}")

    transfer("cp", "data", "copy")
    transfer("rsync", "data", "synced")
    transfer("mv", "copy", "moved")
    equal((place / "moved").read_text() + (place / "synced").read_text(), "datadata")
    transfer("compress", "moved", "moved.tar.gz")
    (place / "out").mkdir()
    transfer("extract", "moved.tar.gz", "out")
    equal((place / "out/moved").read_text(), "data")
    transfer("rm", "data")
    assert not (place / "data").exists()


def state_in_v2(run, job: str) -> str:
    """Old releases list all jobs and take no id."""
    rows = run.json("job-info", *([job] if "wait-for-job" in run.commands else []))
    return next(row["status"]["state"] for row in rows if str(row["jobId"]) == job)


@v2.case
def jobs_of_v2(site: Site, run):
    """submit, job-info, wait-for-job, job-metadata, attach-to-job and cancel"""
    place = site.place()
    submit = ("submit", "--working-dir", place)
    job = str(run.json(*submit, site.local("job.sh", JOB), "-e", "GREETING=hello")["jobId"])
    eventually(lambda: state_in_v2(run, job) == "COMPLETED", "its end")
    if "wait-for-job" in run.commands:
        contains(run("wait-for-job", job), "COMPLETED")
    equal((place / "greeting.txt").read_text(), "hello\n")
    contains(run("job-metadata", job), f"conformance-{job}.out")
    job = str(run.json(*submit, site.local("long.sh", LONG_JOB))["jobId"])
    eventually(lambda: (place / "started").exists(), "the job's first line")
    run("attach-to-job", job, "touch attached")
    assert (place / "attached").exists()
    contains(run("job-info"), "RUNNING")
    run("cancel", job)
    eventually(lambda: state_in_v2(run, job).startswith("CANCELLED"), "its end")


@each
def failures(site: Site, run):
    """what fails ends with 1 and says why"""
    contains(words_of(run("ls", f"{site.home}/nowhere", fails=True)), "No such file or directory")
    contains(run("--firecrest-url", f"{site.v1_url}/nothing", "systems", fails=True), "Operation failed")


@each
def everything(site: Site, run):
    """every command was run"""
    equal(sorted(run.commands - run.used), [])


def commands_of(app) -> set:
    """By name, those of groups with the name of the group before it."""
    names = set()
    for name, command in typer.main.get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        names |= {name} if inner is None else {f"{name} {word}" for word in inner}
    return names


if __name__ == "__main__":
    site, which = site_from_environment(), sys.argv[1]
    if which == "v1":
        from firecrest.cli import app
    else:
        from firecrest.cli2 import app
    run = CommandLine(site, site.v1_url if which == "v1" else site.v2_url, {"v1": "1.16.1", "v2": site.release}[which])
    run.api = which
    run.commands = commands_of(app)
    (v1 if which == "v1" else v2).run(site, run)
