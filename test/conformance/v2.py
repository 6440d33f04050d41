"""pyfirecrest's client for v2, every public method: `v2.py sync` or `v2.py async`. One JSON line per case."""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path

import firecrest
from firecrest import v2 as api
from firecrest.FirecrestException import (
    MultipartUploadException, TransferJobFailedException, TransferJobTimeoutException,
)
from judge import (
    JOB, LARGE, LONG_JOB, MACHINE, PART_BYTES, Plain, Site, Suite, contains, equal, eventually, mode_of, new_loop,
    clients_of, public_names, refused, sha256, site_from_environment, status_of_link,
)

#: What came after the first release with a v2 client.
HAS_DIRECTIVES = hasattr(api.ExternalDownload, "download_file_streamer")
HAS_PATTERNS = hasattr(api.Firecrest, "wait_for_job")

suite = Suite()
case = suite.case
Refusal = firecrest.UnexpectedStatusException


# ---------------------------------------------------------------------------------------------------------------- status


@case
def systems(site: Site, client):
    """status: the systems, with their services and file systems"""
    [system] = client.systems()
    equal(system["name"], MACHINE)
    contains([entry["path"] for entry in system["fileSystems"]], str(site.home.parent))


@case
def server_version(site: Site, client):
    """status: the server's release, from the header that every answer has"""
    if hasattr(type(client.inner), "server_version"):
        equal(client.server_version(), site.release)


@case
def machine(site: Site, client):
    """status: nodes, partitions and reservations"""
    [node] = client.nodes(MACHINE)
    assert node["name"] and node["cpus"] > 0, node
    contains([partition["name"] for partition in client.partitions(MACHINE)], "normal")
    equal(client.reservations(MACHINE), [])
    refused(Refusal, lambda: client.nodes("nowhere"), "System not found")


@case
def userinfo(site: Site, client):
    """status: who I am there"""
    info = client.userinfo(MACHINE)
    equal(info["user"]["name"], site.user)
    assert info["groups"], info


# ----------------------------------------------------------------------------------------------------------------- files


@case
def mkdir_and_ls(site: Site, client):
    """mkdir, with parents, and ls: what is on disk, hidden, recursive, numeric"""
    place = site.place()
    equal(client.mkdir(MACHINE, f"{place}/a")["name"], f"{place}/a")
    client.mkdir(MACHINE, f"{place}/b/c/d", create_parents=True)
    assert (place / "a").is_dir() and (place / "b/c/d").is_dir()
    (place / ".hidden").write_text("x")
    (place / "b/file.txt").write_text("12345")
    (place / "link").symlink_to("b/file.txt")
    equal({entry["name"] for entry in client.list_files(MACHINE, str(place))}, {"a", "b", "link"})
    contains({entry["name"] for entry in client.list_files(MACHINE, str(place), show_hidden=True)}, ".hidden")
    deep = client.list_files(MACHINE, str(place), recursive=True)
    [row] = [entry for entry in deep if entry["name"].endswith("file.txt") and entry["type"] == "-"]
    equal((row["size"], row["user"]), ("5", site.user))
    [row] = client.list_files(MACHINE, f"{place}/b/file.txt", numeric_uid=True)
    assert row["user"].isdigit(), row
    types = {entry["name"]: entry["type"] for entry in client.list_files(MACHINE, str(place), dereference=True)}
    equal(types["link"], "-")
    refused(Refusal, lambda: client.list_files(MACHINE, f"{place}/nowhere"), "No such file or directory")
    refused(Refusal, lambda: client.mkdir(MACHINE, f"{place}/a"), "File exists")


@case
def links_modes_owners(site: Site, client):
    """symlink, chmod, chown and stat, with and without following links"""
    place = site.place()
    (place / "file").write_text("1234")
    client.symlink(MACHINE, f"{place}/file", f"{place}/link")
    equal(os.readlink(place / "link"), f"{place}/file")
    equal(client.chmod(MACHINE, f"{place}/file", "640")["permissions"], "rw-r-----")
    equal(mode_of(place / "file"), "0o640")
    equal(client.chown(MACHINE, f"{place}/file", site.user, "")["user"], site.user)
    equal(client.stat(MACHINE, f"{place}/file")["size"], 4)
    assert client.stat(MACHINE, f"{place}/link")["mode"] & 0o170000 == 0o120000
    equal(client.stat(MACHINE, f"{place}/link", dereference=True)["mode"], 0o100640)


@case
def contents(site: Site, client):
    """file, checksum, head, tail and view"""
    place = site.place()
    lines = "".join(f"{number}\n" for number in range(1, 31))
    (place / "thirty").write_text(lines)
    path = f"{place}/thirty"
    contains(client.file_type(MACHINE, path), "ASCII text")
    equal(client.checksum(MACHINE, path), {"algorithm": "SHA256", "checksum": sha256(lines.encode())})
    equal(client.head(MACHINE, path)["content"], "".join(f"{number}\n" for number in range(1, 11)))
    equal(client.head(MACHINE, path, num_lines=2)["content"], "1\n2\n")
    equal(client.head(MACHINE, path, num_bytes=3)["content"], "1\n2")
    equal(client.tail(MACHINE, path, num_lines=2)["content"], "29\n30\n")
    equal(client.tail(MACHINE, path, num_bytes=3)["content"], "30\n")
    if HAS_PATTERNS:  # older clients name the parameter as no server knows it
        equal(client.head(MACHINE, path, num_lines=28, exclude_trailing=True)["content"], "1\n2\n")
        equal(client.tail(MACHINE, path, num_lines=29, exclude_beginning=True)["content"], "29\n30\n")
    equal(client.view(MACHINE, path), lines)
    refused(ValueError, lambda: client.head(MACHINE, path, num_lines=1, num_bytes=1))


@case
def archives(site: Site, client):
    """compress and extract, read back by another tar"""
    place = site.place()
    (place / "tree/sub").mkdir(parents=True)
    (place / "tree/sub/data").write_bytes(LARGE[:5000])
    os.symlink("sub/data", place / "tree/link")
    client.compress(MACHINE, f"{place}/tree", f"{place}/tree.tar.gz")
    with tarfile.open(place / "tree.tar.gz", "r:gz") as archive:
        contains(archive.getnames(), "tree/sub/data")
        assert archive.getmember("tree/link").issym()
    client.compress(MACHINE, f"{place}/tree", f"{place}/deep.tar.gz", dereference=True)
    with tarfile.open(place / "deep.tar.gz", "r:gz") as archive:
        assert archive.getmember("tree/link").isfile()
    (place / "out").mkdir()
    client.extract(MACHINE, f"{place}/tree.tar.gz", f"{place}/out")
    equal((place / "out/tree/sub/data").read_bytes(), LARGE[:5000])


@case
def archive_kinds(site: Site, client):
    """compress and extract with bzip2, xz and none, and by a pattern"""
    if not HAS_PATTERNS:
        return
    place = site.place()
    (place / "tree").mkdir()
    (place / "tree/a.log").write_text("log")
    (place / "tree/b.txt").write_text("text")
    for compression, mode in (("bzip2", "r:bz2"), ("xz", "r:xz"), ("none", "r:")):
        client.compress(MACHINE, f"{place}/tree", f"{place}/{compression}", compression=compression)
        with tarfile.open(place / compression, mode) as archive:
            contains(archive.getnames(), "tree/a.log")
        (place / f"out-{compression}").mkdir()
        client.extract(MACHINE, f"{place}/{compression}", f"{place}/out-{compression}", compression=compression)
        equal((place / f"out-{compression}/tree/b.txt").read_text(), "text")
    # The last segment of the path is not looked at: whatever lies beside it is packed too.
    (place / "other").mkdir()
    client.compress(MACHINE, f"{place}/other/x", f"{place}/none.tar.gz", match_pattern=".*log")
    client.compress(MACHINE, f"{place}/tree/x", f"{place}/logs.tar.gz", match_pattern=".*log")
    for name, members in (("none", []), ("logs", ["./a.log"])):
        with tarfile.open(place / f"{name}.tar.gz", "r:gz") as archive:
            equal(archive.getnames(), members)


@case
def slow_archives(site: Site, client):
    """compress, extract and rm go on as jobs when the command took too long"""
    if not HAS_PATTERNS:
        return
    place = site.place()
    (place / "tree").mkdir()
    (place / "tree/data").write_text("data")
    site.fault(kind="error", status=408, match={"path": "/ops/(compress|extract|rm)"})
    client.compress(MACHINE, f"{place}/tree", f"{place}/x.tar.gz", account="project")
    (place / "out").mkdir()
    client.extract(MACHINE, f"{place}/x.tar.gz", f"{place}/out")
    equal((place / "out/tree/data").read_text(), "data")
    job = client.rm(MACHINE, f"{place}/tree")
    assert job["transferJob"]["jobId"] and not (place / "tree").exists()
    equal(site.faults_struck(), 3)


@case
def removal(site: Site, client):
    """rm of a file and of a tree, at once"""
    place = site.place()
    (place / "tree/sub").mkdir(parents=True)
    (place / "file").write_text("x")
    equal(client.rm(MACHINE, f"{place}/file"), None)
    client.rm(MACHINE, f"{place}/tree")
    equal(list(place.iterdir()), [])
    refused(Refusal, lambda: client.rm(MACHINE, f"{place}/nowhere"), "No such file or directory")


@case
def moves_and_copies(site: Site, client):
    """mv and cp as jobs, awaited by the client; a failed one is told by its log"""
    place = site.place()
    (place / "one").write_text("one")
    job = client.cp(MACHINE, f"{place}/one", f"{place}/two", account="project")
    equal(job["transferJob"]["system"], MACHINE)
    equal((place / "two").read_text(), "one")
    client.mv(MACHINE, f"{place}/two", f"{place}/three")
    equal((place / "three").read_text(), "one")
    assert not (place / "two").exists()
    (place / "link").symlink_to("one")
    if site.release >= "2.2.8" and HAS_PATTERNS:
        client.cp(MACHINE, f"{place}/link", f"{place}/deep", dereference=True)
        assert not (place / "deep").is_symlink()
    refused(TransferJobFailedException, lambda: client.mv(MACHINE, f"{place}/one", f"{place}/no/where"))


# ------------------------------------------------------------------------------------------------------------- transfers


@case
def small_transfers(site: Site, client):
    """small files go directly, byte for byte"""
    place = site.place()
    content = bytes(range(256)) * 400
    equal(client.upload(MACHINE, str(site.local("small.bin", content)), str(place), "up.bin"), None)
    equal((place / "up.bin").read_bytes(), content)
    equal(client.download(MACHINE, f"{place}/up.bin", str(site.desk / "down.bin")), None)
    equal((site.desk / "down.bin").read_bytes(), content)


@case
def large_upload(site: Site, client):
    """a large file is uploaded in parts and comes out of the job byte for byte"""
    place = site.place()
    upload = client.upload(MACHINE, str(site.local("large.bin", LARGE)), str(place), "large.bin", account="project")
    equal((place / "large.bin").read_bytes(), LARGE)
    info = upload.transfer_data
    links = info.get("transferDirectives", info)
    urls = links.get("partsUploadUrls") or links["parts_upload_urls"]
    equal(len(urls), -(-len(LARGE) // PART_BYTES))


@case
def upload_by_hand(site: Site, client):
    """an upload that does not block: staged and awaited by the person"""
    place = site.place()
    path = site.local("large.bin", LARGE)
    upload = client.upload(MACHINE, str(path), str(place), "by-hand.bin", blocking=False)
    assert not (place / "by-hand.bin").exists()
    upload.upload_file_to_stage()
    upload.wait_for_transfer_job(timeout=60)
    equal((place / "by-hand.bin").read_bytes(), LARGE)


@case
def upload_of_stream(site: Site, client):
    """an open file, whose size is given"""
    if not HAS_DIRECTIVES or is_async(client):
        return
    place = site.place()
    client.upload(MACHINE, io.BytesIO(LARGE), str(place), "stream.bin", file_size=len(LARGE))
    equal((place / "stream.bin").read_bytes(), LARGE)


@case
def large_download(site: Site, client):
    """a large file is staged by a job and downloaded, byte for byte; its link can be read in ranges"""
    place = site.place()
    (place / "large.bin").write_bytes(LARGE)
    download = client.download(MACHINE, f"{place}/large.bin", str(site.desk / "staged.bin"))
    equal((site.desk / "staged.bin").read_bytes(), LARGE)
    info = download.transfer_data
    links = info.get("transferDirectives", info)
    equal(status_of_link(links.get("downloadUrl") or links["download_url"]), 206)


@case
def download_by_hand(site: Site, client):
    """a download that does not block"""
    place = site.place()
    (place / "large.bin").write_bytes(LARGE)
    download = client.download(MACHINE, f"{place}/large.bin", str(site.desk / "x.bin"), blocking=False)
    download.wait_for_transfer_job()
    download.download_file_from_stage(str(site.desk / "y.bin"))
    equal((site.desk / "y.bin").read_bytes(), LARGE)


@case
def nothing_to_download(site: Site, client):
    """what is not there is not found"""
    place = site.place()
    refused(FileNotFoundError, lambda: client.download(MACHINE, f"{place}/nowhere", str(site.desk / "x")))


@case
def abandoned_upload(site: Site, client):
    """an upload that nobody feeds is given up and cancelled"""
    place = site.place()
    upload = client.upload(
        MACHINE, str(site.local("large.bin", LARGE)), str(place), "never.bin", blocking=False
    )
    refused(TransferJobTimeoutException, lambda: upload.wait_for_transfer_job(timeout=1))
    job = str(upload.transfer_data["transferJob"]["jobId"])
    contains(end_of(client, job), "CANCELLED")
    assert not (place / "never.bin").exists()


@case
def other_methods(site: Site, client):
    """streamer and wormhole end in the refusal that is documented"""
    if not HAS_DIRECTIVES:
        return
    place = site.place()
    (place / "large.bin").write_bytes(LARGE)
    path = str(site.local("large.bin", LARGE))
    words = "Requested transfer method is not available."
    # The client starts this program before it asks the server.
    program = site.local("wormhole", "#!/bin/sh\necho 'Wormhole code is: 7-a-b-c-d' >&2\nexec sleep 5\n")
    program.chmod(0o755)
    os.environ["PATH"] = f"{site.desk}:{os.environ['PATH']}"
    for method in ("streamer", "wormhole"):
        upload = lambda: client.upload(MACHINE, path, str(place), "never.bin", transfer_method=method)
        refused(Refusal, upload, words)
        download = lambda: client.download(
            MACHINE, f"{place}/large.bin", str(site.desk / "never"), transfer_method=method
        )
        refused(Refusal, download, words)
    refused(ValueError, lambda: client.download(MACHINE, f"{place}/x", "x", transfer_method="pigeon"))


@case
def directives_of_other_methods(site: Site, client):
    """links for S3 are none for streamer and wormhole, and the client says so"""
    if not HAS_DIRECTIVES:
        return
    place = site.place()
    (place / "large.bin").write_bytes(LARGE)
    path = str(site.local("large.bin", LARGE))
    upload = client.upload(MACHINE, path, str(place), "by-hand.bin", blocking=False)
    equal(upload.wormhole_code, None)
    refused(MultipartUploadException, upload.upload_file_streamer)
    refused(MultipartUploadException, upload.send_file_wormhole)
    upload.wait_for_streamer_job_to_listen()  # its job runs, and waits for the parts
    client.cancel_job(MACHINE, str(upload.transfer_data["transferJob"]["jobId"]))
    download = client.download(MACHINE, f"{place}/large.bin", str(site.desk / "x.bin"), blocking=False)
    download.wait_for_transfer_job()
    equal(download.wormhole_code, None)
    refused(MultipartUploadException, download.download_file_streamer)
    refused(MultipartUploadException, download.receive_file_wormhole)
    refused(MultipartUploadException, download.wait_for_streamer_job_to_listen)


# --------------------------------------------------------------------------------------------------------------- compute


def state_of(client, job: str) -> str:
    state = client.job_info(MACHINE, job)[0]["status"]["state"]
    return ",".join(state) if isinstance(state, list) else state


def end_of(client, job: str) -> str:
    live = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING")
    return eventually(lambda: (lambda state: state not in live and state)(state_of(client, job)), f"the end of {job}")


@case
def submits(site: Site, client):
    """submit of a text, with environment and account: outputs are on disk, the job's row and metadata are there"""
    place = site.place()
    job = client.submit(MACHINE, str(place), script_str=JOB, env_vars={"GREETING": "hello"}, account="project")
    identity = str(job["jobId"])
    equal(end_of(client, identity), "COMPLETED")
    equal((place / f"conformance-{identity}.out").read_text(), f"hello from {identity}\n")
    equal((place / f"conformance-{identity}.err").read_text(), "careful\n")
    equal((place / "greeting.txt").read_text(), "hello\n")
    [row] = client.job_info(MACHINE, identity)
    equal((row["name"], row["user"], row["account"]), ("conformance", site.user, "project"))
    [metadata] = client.job_metadata(MACHINE, identity)
    equal(metadata["standardOutput"], f"{place}/conformance-{identity}.out")


@case
def submits_files(site: Site, client):
    """submit of a file at this end, and of one on the machine"""
    place = site.place()
    job = client.submit(MACHINE, str(place), script_local_path=str(site.local("job.sh", JOB)))
    equal(end_of(client, str(job["jobId"])), "COMPLETED")
    (place / "remote.sh").write_text("#!/bin/bash\necho remote > remote.txt\n")
    job = client.submit(MACHINE, str(place), script_remote_path=f"{place}/remote.sh")
    equal(end_of(client, str(job["jobId"])), "COMPLETED")
    equal((place / "remote.txt").read_text(), "remote\n")
    refused(ValueError, lambda: client.submit(MACHINE, str(place)))


@case
def chosen_partition(site: Site, client):
    """submit to a partition; an unknown one is refused in Slurm's words"""
    if not HAS_DIRECTIVES or site.release < "2.5.4":
        return
    place = site.place()
    job = str(client.submit(MACHINE, str(place), script_str=JOB, partition="debug")["jobId"])
    equal(end_of(client, job), "COMPLETED")
    equal(client.job_info(MACHINE, job)[0]["partition"], "debug")
    unknown = lambda: client.submit(MACHINE, str(place), script_str=JOB, partition="nowhere")
    refused(Refusal, unknown, "invalid partition")
    unknown = lambda: client.submit(MACHINE, str(place), script_str=JOB, reservation="nowhere")
    refused(Refusal, unknown, "reservation")


@case
def waits(site: Site, client):
    """wait_for_job: to its end, and only so long"""
    if not HAS_PATTERNS:
        return
    place = site.place()
    job = str(client.submit(MACHINE, str(place), script_str="#!/bin/bash\nexit 3\n")["jobId"])
    [row] = client.wait_for_job(MACHINE, job)
    contains(row["status"]["state"], "FAILED")
    equal(row["status"]["exitCode"], 3)


@case
def cancels(site: Site, client):
    """a running job: in the lists, attached to, cancelled; its process is gone"""
    place = site.place()
    job = str(client.submit(MACHINE, str(place), script_str=LONG_JOB)["jobId"])
    eventually(lambda: (place / "started").exists(), "the job's first line")
    equal(state_of(client, job), "RUNNING")
    contains([str(row["jobId"]) for row in client.job_info(MACHINE)], job)
    if HAS_PATTERNS:
        contains([str(row["jobId"]) for row in client.job_info(MACHINE, allusers=True)], job)
    if HAS_DIRECTIVES and site.release >= "2.6":
        contains([str(row["jobId"]) for row in client.job_info(MACHINE, name="long", time_window="1h")], job)
    client.attach_to_job(MACHINE, job, "echo attached > attached.txt")
    equal((place / "attached.txt").read_text(), "attached\n")
    client.cancel_job(MACHINE, job)
    contains(end_of(client, job), "CANCELLED")
    refused(Refusal, lambda: client.job_info(MACHINE, "99999999"), "Job not found")


# ------------------------------------------------------------------------------------------------------------ the client


@case
def rate_limit(site: Site, client):
    """429 with Retry-After: the client waits and gets its answer"""
    site.fault(kind="rate_limited", retryAfterSeconds=1, count=1, match={"path": "/status/systems"})
    equal(client.systems()[0]["name"], MACHINE)
    equal(site.faults_struck(), 1)


@case
def correlation(site: Site, client):
    """ids of requests come back as they were sent"""
    if not hasattr(firecrest, "correlation_id"):
        return
    with firecrest.correlation_id("0123456789abcdef0123456789abcdef"):
        error = refused(Refusal, lambda: client.job_info(MACHINE, "99999999"))
    equal(error.responses[-1].headers["x-correlation-id"], "0123456789abcdef0123456789abcdef")


@case
def wrong_secret(site: Site, client):
    """a wrong secret gets no token, a wrong token no answer"""
    wrong = firecrest.ClientCredentialsAuth(site.client_id, "wrong", site.token_url)
    refused(firecrest.ClientsCredentialsException, wrong.get_access_token)

    class Forged:
        def get_access_token(self):
            return "not.a.token"

    forged = Plain(type(client.inner)(firecrest_url=site.v2_url, authorization=Forged()), client._loop, set())
    error = refused(Refusal, lambda: forged.systems())
    equal(error.responses[-1].status_code, 401)


@case
def basic_authentication(site: Site, client):
    """the secret may be sent by Basic"""
    if not HAS_DIRECTIVES:
        return
    basic = firecrest.ClientCredentialsAuth(
        site.client_id, site.client_secret, site.token_url, client_auth_method="client_secret_basic"
    )
    mine = Plain(type(client.inner)(firecrest_url=site.v2_url, authorization=basic), client._loop, set())
    equal(mine.systems()[0]["name"], MACHINE)


@case
def sessions(site: Site, client):
    """the session can be closed and opened again"""
    client.log(10, "nothing is lost")
    client.close_session()
    assert client.is_session_closed
    client.create_new_session()
    if is_async(client) and hasattr(type(client.inner), "set_maximum_s3_connections"):
        client.set_maximum_s3_connections(2)
    equal(client.systems()[0]["name"], MACHINE)


@case
def versions(site: Site, client):
    """set_api_version: what a release did not have is refused before it is sent"""
    client.set_api_version("2.2.5")
    if HAS_PATTERNS:
        remote = lambda: client.submit(MACHINE, "/", script_remote_path="/x")
        refused(firecrest.NotImplementedOnAPIversion, remote)
    client.set_api_version(site.release)
    equal(client.systems()[0]["name"], MACHINE)


@case
def everything(site: Site, client):
    """every public method and property of the client and of its transfers was used"""
    kinds = clients_of(api, is_async(client))
    equal(sorted(set().union(*map(public_names, kinds)) - client._used), [])


def is_async(client) -> bool:
    return "Async" in type(client.inner).__name__


if __name__ == "__main__":
    site = site_from_environment()
    kind = api.AsyncFirecrest if sys.argv[1] == "async" else api.Firecrest
    loop = new_loop()
    client = kind(
        firecrest_url=site.v2_url,
        authorization=firecrest.ClientCredentialsAuth(site.client_id, site.client_secret, site.token_url),
    )
    suite.run(site, Plain(client, loop, set()))
