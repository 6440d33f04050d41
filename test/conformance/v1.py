"""pyfirecrest's client for v1, every public method: `v1.py sync` or `v1.py async`. One JSON line per case."""

from __future__ import annotations

import io
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import firecrest
from judge import (
    JOB, LARGE, LONG_JOB, MACHINE, Plain, Site, Suite, contains, equal, eventually, mode_of, new_loop, clients_of, public_names,
    refused, sha256, site_from_environment, status_of_link,
)

try:
    from firecrest import v1 as api
except ImportError:
    api = firecrest  # before 3.0 there was one API

suite = Suite()
case = suite.case


# ---------------------------------------------------------------------------------------------------------------- status


@case
def services(site: Site, client):
    """status: services, all and one"""
    names = {service["service"] for service in client.all_services()}
    assert {"utilities", "compute", "tasks", "storage"} <= names, names
    equal(client.service("compute")["status"], "available")


@case
def systems(site: Site, client):
    """status: systems, all and one"""
    equal([system["system"] for system in client.all_systems()], [MACHINE])
    equal(client.system(MACHINE)["status"], "available")
    refused(firecrest.FirecrestException, lambda: client.system("nowhere"))


@case
def parameters(site: Site, client):
    """status: parameters, with the version that the client goes by"""
    out = client.parameters()
    assert {"general", "compute", "storage", "utilities"} <= set(out), out
    contains([item["name"] for item in out["storage"]], "FILESYSTEMS")
    client.filesystems()
    assert str(client._api_version) >= "1.16", client._api_version


@case
def filesystems(site: Site, client):
    """status: file systems of all machines and of one"""
    every = client.filesystems()
    one = client.filesystems(system_name=MACHINE)
    equal(every[MACHINE], one[MACHINE])
    contains([entry["path"] for entry in one[MACHINE]], str(site.home.parent))


# ------------------------------------------------------------------------------------------------------------- utilities


@case
def mkdir_and_ls(site: Site, client):
    """mkdir, with parents, and ls: what is on disk, hidden and recursive"""
    place = site.place()
    equal(client.mkdir(MACHINE, f"{place}/a"), f"{place}/a")
    assert (place / "a").is_dir()
    client.mkdir(MACHINE, f"{place}/b/c/d", p=True)
    assert (place / "b/c/d").is_dir()
    (place / ".hidden").write_text("x")
    (place / "b/file.txt").write_text("12345")
    equal({entry["name"] for entry in client.list_files(MACHINE, str(place))}, {"a", "b"})
    contains({entry["name"] for entry in client.list_files(MACHINE, str(place), show_hidden=True)}, ".hidden")
    deep = client.list_files(MACHINE, str(place), recursive=True)
    [row] = [entry for entry in deep if entry["name"].endswith("file.txt")]
    equal((row["type"], row["size"], row["user"]), ("-", "5", site.user))
    error = refused(firecrest.FirecrestException, lambda: client.mkdir(MACHINE, f"{place}/a"))
    contains(error.responses[-1].headers, "X-Exists")
    error = refused(firecrest.HeaderException, lambda: client.list_files(MACHINE, f"{place}/nowhere"))
    contains(error.responses[-1].headers, "X-Invalid-Path")


@case
def move_copy_link(site: Site, client):
    """mv, copy and symlink"""
    place = site.place()
    (place / "one").write_text("one")
    equal(client.mv(MACHINE, f"{place}/one", f"{place}/two"), f"{place}/two")
    assert not (place / "one").exists()
    equal((place / "two").read_text(), "one")
    client.copy(MACHINE, f"{place}/two", f"{place}/three")
    equal((place / "three").read_text(), "one")
    client.symlink(MACHINE, f"{place}/two", f"{place}/link")
    equal(os.readlink(place / "link"), f"{place}/two")


@case
def modes_and_owners(site: Site, client):
    """chmod, chown, stat, with and without following links"""
    place = site.place()
    (place / "file").write_text("1234")
    client.chmod(MACHINE, f"{place}/file", "640")
    equal(mode_of(place / "file"), "0o640")
    client.chown(MACHINE, f"{place}/file", owner=site.user)
    client.chown(MACHINE, f"{place}/file")
    stat = client.stat(MACHINE, f"{place}/file")
    equal((stat["size"], stat["mode"]), (4, 0o100640))
    (place / "link").symlink_to("file")
    assert client.stat(MACHINE, f"{place}/link")["size"] == 4
    equal(client.stat(MACHINE, f"{place}/link", dereference=True)["mode"], 0o100640)


@case
def archives(site: Site, client):
    """compress and extract, read back by another tar"""
    place = site.place()
    (place / "tree/sub").mkdir(parents=True)
    (place / "tree/sub/data").write_bytes(LARGE[:5000])
    os.symlink("sub/data", place / "tree/link")
    equal(client.compress(MACHINE, f"{place}/tree", f"{place}/tree.tar.gz"), f"{place}/tree.tar.gz")
    with tarfile.open(place / "tree.tar.gz", "r:gz") as archive:
        contains(archive.getnames(), "tree/sub/data")
        assert archive.getmember("tree/link").issym()
    client.compress(MACHINE, f"{place}/tree", f"{place}/deep.tar.gz", dereference=True)
    with tarfile.open(place / "deep.tar.gz", "r:gz") as archive:
        assert archive.getmember("tree/link").isfile()
    (place / "out").mkdir()
    equal(client.extract(MACHINE, f"{place}/tree.tar.gz", f"{place}/out"), f"{place}/out")
    equal((place / "out/tree/sub/data").read_bytes(), LARGE[:5000])


@case
def extract_formats(site: Site, client):
    """extract of .tar, .tar.bz2 and .zip, made by another program, with `extension` named"""
    place = site.place()
    (place / "data").write_text("data")
    for name, kind in (("a.tar", "w"), ("a.tar.bz2", "w:bz2")):
        with tarfile.open(place / name, kind) as archive:
            archive.add(place / "data", "data")
    with zipfile.ZipFile(place / "a.zip", "w") as archive:
        archive.write(place / "data", "data")
    for name, extension in (("a.tar", ".tar"), ("a.tar.bz2", "auto"), ("a.zip", ".zip")):
        (place / f"out-{name}").mkdir()
        client.extract(MACHINE, f"{place}/{name}", f"{place}/out-{name}", extension=extension)
        equal((place / f"out-{name}" / "data").read_text(), "data")


@case
def patient_archives(site: Site, client):
    """compress and extract by a client that would go on as a job"""
    place = site.place()
    (place / "tree").mkdir()
    (place / "tree/data").write_text("data")
    client.compress(MACHINE, f"{place}/tree", f"{place}/x.tar.gz", fail_on_timeout=False)
    (place / "out").mkdir()
    client.extract(MACHINE, f"{place}/x.tar.gz", f"{place}/out", fail_on_timeout=False)
    equal((place / "out/tree/data").read_text(), "data")


@case
def contents(site: Site, client):
    """file, checksum, head, tail and view"""
    place = site.place()
    lines = "".join(f"{number}\n" for number in range(1, 31))
    (place / "thirty").write_text(lines)
    contains(client.file_type(MACHINE, f"{place}/thirty"), "ASCII text")
    equal(client.checksum(MACHINE, f"{place}/thirty"), sha256(lines.encode()))
    equal(client.head(MACHINE, f"{place}/thirty"), "".join(f"{number}\n" for number in range(1, 11)))
    equal(client.head(MACHINE, f"{place}/thirty", lines="2"), "1\n2\n")
    equal(client.head(MACHINE, f"{place}/thirty", bytes="3"), "1\n2")
    equal(client.head(MACHINE, f"{place}/thirty", lines="28", skip_ending=True), "1\n2\n")
    equal(client.tail(MACHINE, f"{place}/thirty", lines="2"), "29\n30\n")
    equal(client.tail(MACHINE, f"{place}/thirty", bytes="3"), "30\n")
    equal(client.tail(MACHINE, f"{place}/thirty", lines="29", skip_beginning=True), "29\n30\n")
    equal(client.view(MACHINE, f"{place}/thirty"), lines)


@case
def simple_transfers(site: Site, client):
    """simple upload and download: byte-identical, from paths and from open files"""
    place = site.place()
    content = bytes(range(256)) * 400
    client.simple_upload(MACHINE, str(site.local("up.bin", content)), str(place))
    equal((place / "up.bin").read_bytes(), content)
    client.simple_upload(MACHINE, site.desk / "up.bin", str(place), filename="other name.bin")
    equal((place / "other name.bin").read_bytes(), content)
    client.simple_upload(MACHINE, io.BytesIO(content), str(place), filename="stream.bin")
    equal((place / "stream.bin").read_bytes(), content)
    client.simple_download(MACHINE, f"{place}/up.bin", site.desk / "down.bin")
    equal((site.desk / "down.bin").read_bytes(), content)
    buffer = io.BytesIO()
    buffer.close = lambda: None  # the client may use it as a context
    client.simple_download(MACHINE, f"{place}/stream.bin", buffer)
    equal(buffer.getvalue(), content)


@case
def removal(site: Site, client):
    """rm of a file and of a tree"""
    place = site.place()
    (place / "tree/sub").mkdir(parents=True)
    (place / "file").write_text("x")
    client.simple_delete(MACHINE, f"{place}/file")
    client.simple_delete(MACHINE, f"{place}/tree")
    equal(list(place.iterdir()), [])


@case
def identity(site: Site, client):
    """whoami by the machine and by the token; groups"""
    equal(client.whoami(MACHINE), site.user)
    equal(client.whoami(), site.user)
    groups = client.groups(MACHINE)
    equal(groups["user"]["name"], site.user)
    assert groups["group"]["name"] and groups["groups"], groups


@case
def paths(site: Site, client):
    """FcPath, the file-like face of the client"""
    from firecrest.path import FcPath

    if "Async" in type(client.inner).__name__:
        return  # it works on the blocking client only
    place = site.place()
    root = FcPath(client.inner, MACHINE, str(place))
    (root / "made").mkdir()
    assert (place / "made").is_dir()
    (place / "text").write_text("text")
    equal((root / "text").read_text(), "text")
    assert (root / "text").is_file() and not (root / "nothing").exists()
    equal(sorted(entry.name for entry in root.iterdir()), ["made", "text"])
    (root / "text").rename(str(place / "moved"))
    (root / "moved").unlink()
    equal([entry.name for entry in place.iterdir()], ["made"])


# --------------------------------------------------------------------------------------------------------------- compute


def end_of(client, job: str) -> str:
    rows = eventually(
        lambda: [row for row in client.poll(MACHINE, [job]) if row["state"] not in ("PENDING", "RUNNING", "COMPLETING")],
        f"the end of job {job}",
    )
    return rows[0]["state"]


@case
def submits(site: Site, client):
    """submit of a text: the job runs, its outputs are on disk, accounting knows"""
    client.polling_sleep_times = [0.1] * 300
    job = client.submit(MACHINE, script_str=JOB)
    assert job["firecrest_taskid"] and job["result"] == "Job submitted", job
    equal(end_of(client, job["jobid"]), "COMPLETED")
    equal(Path(job["job_file_out"]).read_text(), f"hello from {job['jobid']}\n")
    equal(Path(job["job_file_err"]).read_text(), "careful\n")


@case
def submits_files(site: Site, client):
    """submit of a file at this end, with environment and account, and of one on the machine"""
    place = site.place()
    script = site.local("job.sh", JOB)
    job = client.submit(MACHINE, script_local_path=str(script), account="project", env_vars={"GREETING": "hello"})
    equal(end_of(client, job["jobid"]), "COMPLETED")
    equal((Path(job["job_file"]).parent / "greeting.txt").read_text(), "hello\n")
    (place / "remote.sh").write_text(JOB)
    job = client.submit(MACHINE, script_remote_path=f"{place}/remote.sh")
    equal(end_of(client, job["jobid"]), "COMPLETED")
    equal((place / "greeting.txt").read_text(), "none\n")
    refused(ValueError, lambda: client.submit(MACHINE))


@case
def refused_submissions(site: Site, client):
    """submit of what sbatch refuses: an error that carries its words"""
    bad = "#!/bin/bash\n#SBATCH --partition=nowhere\ntrue\n"
    refused(firecrest.FirecrestException, lambda: client.submit(MACHINE, script_str=bad), "invalid partition")


@case
def failing(site: Site, client):
    """a job that fails is FAILED in accounting"""
    job = client.submit(MACHINE, script_str="#!/bin/bash\nexit 3\n")
    equal(end_of(client, job["jobid"]), "FAILED")


@case
def queue(site: Site, client):
    """poll_active, poll with times and pages, and cancel, which ends the process"""
    place = site.place()
    (place / "long.sh").write_text(LONG_JOB)
    job = client.submit(MACHINE, script_remote_path=f"{place}/long.sh")["jobid"]
    eventually(lambda: (place / "started").exists(), "the job's first line")
    [row] = client.poll_active(MACHINE, [job])
    equal((row["jobid"], row["name"], row["user"], row["state"]), (job, "long", site.user, "RUNNING"))
    contains([row["jobid"] for row in client.poll_active(MACHINE)], job)
    contains([row["jobid"] for row in client.poll_active(MACHINE, page_size=50, page_number=0)], job)
    contains([row["jobid"] for row in client.poll(MACHINE, start_time="2020-01-01", end_time="2099-01-01")], job)
    equal(len(client.poll(MACHINE, start_time="2020-01-01", page_size=1, page_number=0)), 1)
    client.cancel(MACHINE, job)
    contains(end_of(client, job), "CANCELLED")
    refused(firecrest.FirecrestException, lambda: client.cancel(MACHINE, "tr"))


@case
def machine(site: Site, client):
    """nodes, partitions and reservations, all and by name"""
    [node] = client.nodes(MACHINE)
    equal(client.nodes(MACHINE, [node["NodeName"]]), [node])
    names = [partition["PartitionName"] for partition in client.partitions(MACHINE)]
    contains(names, "normal")
    equal([partition["PartitionName"] for partition in client.partitions(MACHINE, ["normal"])], ["normal"])
    equal(client.reservations(MACHINE), [])
    refused(firecrest.FirecrestException, lambda: client.nodes(MACHINE, ["nowhere"]))


# --------------------------------------------------------------------------------------------------------------- storage


@case
def internal(site: Site, client):
    """xfer-internal: copy, rsync, move and delete as jobs"""
    place = site.place()
    (place / "data").write_bytes(LARGE)
    for number, (submit, target) in enumerate(
        [(client.submit_copy_job, "copied"), (client.submit_rsync_job, "synced"), (client.submit_move_job, "moved")]
    ):
        source = "data" if number < 2 else "copied"
        job = submit(MACHINE, f"{place}/{source}", f"{place}/{target}", job_name=f"t{number}", time="00:05:00", account="project")
        equal(job["system"], MACHINE)
        equal(end_of(client, job["jobid"]), "COMPLETED")
        equal((place / target).read_bytes(), LARGE)
    assert not (place / "copied").exists()
    job = client.submit_delete_job(MACHINE, f"{place}/moved")
    equal(end_of(client, job["jobid"]), "COMPLETED")
    assert not (place / "moved").exists()


@case
def stage_out(site: Site, client):
    """xfer-internal after another job: the transfer waits for its end"""
    place = site.place()
    (place / "first.sh").write_text("#!/bin/bash\nsleep 1\necho done > result\n")
    first = client.submit(MACHINE, script_remote_path=f"{place}/first.sh")["jobid"]
    eventually(lambda: client.poll_active(MACHINE, [first]) or True, "the first job")
    (place / "result").write_text("")
    second = client.submit_copy_job(MACHINE, f"{place}/result", f"{place}/copy", stage_out_job_id=first)
    equal(end_of(client, second["jobid"]), "COMPLETED")
    equal((place / "copy").read_text(), "done\n")


@case
def archive_jobs(site: Site, client):
    """xfer-internal: compress and extract as jobs"""
    place = site.place()
    (place / "tree").mkdir()
    (place / "tree/data").write_bytes(LARGE)
    job = client.submit_compress_job(MACHINE, f"{place}/tree", f"{place}/tree.tar.gz")
    equal(end_of(client, job["jobid"]), "COMPLETED")
    (place / "out").mkdir()
    job = client.submit_extract_job(MACHINE, f"{place}/tree.tar.gz", f"{place}/out")
    equal(end_of(client, job["jobid"]), "COMPLETED")
    equal((place / "out/tree/data").read_bytes(), LARGE)


@case
def external_upload(site: Site, client):
    """external upload by the given curl command: the file is on the machine, byte for byte"""
    place = site.place()
    upload = client.external_upload(MACHINE, str(site.local("large.bin", LARGE)), str(place))
    assert upload.task_id and upload.client is not None
    contains(upload.object_storage_data["command"], "curl")
    equal(upload.status, "111")
    upload.finish_upload()
    eventually(lambda: not upload.in_progress, "the end of the upload")
    equal(upload.status, "114")
    equal((place / "large.bin").read_bytes(), LARGE)
    assert upload.data, upload.data


@case
def external_download(site: Site, client):
    """external download: byte-identical; the link works until it is invalidated, and is dead then"""
    place = site.place()
    (place / "large.bin").write_bytes(LARGE)
    download = client.external_download(MACHINE, f"{place}/large.bin")
    assert download.task_id and download.client is not None
    eventually(lambda: not download.in_progress, "the staged file")
    equal(download.status, "117")
    link = download.object_storage_link
    equal(download.object_storage_data["url"], link)
    equal(download.data["url"], link)
    equal(status_of_link(link), 206)
    download.finish_download(site.desk / "staged.bin")
    equal((site.desk / "staged.bin").read_bytes(), LARGE)
    download.invalidate_object_storage_link()
    assert status_of_link(link) in (403, 404), status_of_link(link)


@case
def external_refusals(site: Site, client):
    """external transfers of what is not there are refused at once"""
    place = site.place()
    error = refused(firecrest.FirecrestException, lambda: client.external_download(MACHINE, f"{place}/nowhere"))
    contains(error.responses[-1].headers, "X-Invalid-Path")
    refused(firecrest.FirecrestException, lambda: client.external_upload(MACHINE, "/tmp/x", f"{place}/no/where"))


# ------------------------------------------------------------------------------------------------------- what is not there


@case
def reservations(site: Site, client):
    """reservations end in the refusal that is documented: the tool is not installed"""
    words = "rsvmgmt"
    fields = (MACHINE, "mine", "project", "1", "ntype", "2099-01-01T00:00:00", "2099-01-02T00:00:00")
    refused(firecrest.FirecrestException, lambda: client.all_reservations(MACHINE), words)
    refused(firecrest.FirecrestException, lambda: client.create_reservation(*fields), words)
    refused(firecrest.FirecrestException, lambda: client.update_reservation(*fields), words)
    refused(firecrest.FirecrestException, lambda: client.delete_reservation(MACHINE, "mine"), words)


@case
def wrong_machine(site: Site, client):
    """an unknown machine is refused by header"""
    error = refused(firecrest.HeaderException, lambda: client.list_files("nowhere", "/"))
    contains(error.responses[-1].headers, "X-Machine-Does-Not-Exist")


@case
def rate_limit(site: Site, client):
    """429 with Retry-After: the client waits and gets its answer"""
    site.fault(kind="rate_limited", retryAfterSeconds=1, count=1, match={"path": "/utilities/whoami"})
    equal(client.whoami(MACHINE), site.user)
    equal(site.faults_struck(), 1)


@case
def wrong_secret(site: Site, client):
    """a wrong secret gets no token, a wrong token no answer"""
    wrong = firecrest.ClientCredentialsAuth(site.client_id, "wrong", site.token_url)
    refused(firecrest.ClientsCredentialsException, wrong.get_access_token)

    class Forged:
        def get_access_token(self):
            return "not.a.token"

    forged = Plain(type(client.inner)(firecrest_url=site.v1_url, authorization=Forged()), client._loop, set())
    refused(firecrest.UnauthorizedException, lambda: forged.all_systems())


@case
def sessions(site: Site, client):
    """the session of the async client can be closed and opened again"""
    client.log(10, "nothing is lost")
    if "Async" not in type(client.inner).__name__:
        return
    client.close_session()
    assert client.is_session_closed
    client.create_new_session()
    equal(client.all_systems()[0]["system"], MACHINE)


@case
def versions(site: Site, client):
    """set_api_version: what a release did not have is refused before it is sent"""
    client.set_api_version("1.14.0")
    refused(firecrest.NotImplementedOnAPIversion, lambda: client.filesystems())
    client.set_api_version("1.16.1")
    contains(client.filesystems(), MACHINE)


@case
def everything(site: Site, client):
    """every public method and property of the client and of its transfers was used"""
    kinds = clients_of(api, "Async" in type(client.inner).__name__)
    equal(sorted(set().union(*map(public_names, kinds)) - client._used), [])


if __name__ == "__main__":
    site = site_from_environment()
    kind = api.AsyncFirecrest if sys.argv[1] == "async" else api.Firecrest
    loop = new_loop()
    client = kind(
        firecrest_url=site.v1_url,
        authorization=firecrest.ClientCredentialsAuth(site.client_id, site.client_secret, site.token_url),
    )
    if sys.argv[1] == "async":
        client.time_between_calls = dict.fromkeys(client.time_between_calls, 0.02)
    suite.run(site, Plain(client, loop, set()))
