"""pyfirecrest's `FcPath`, a path of the machine that behaves like one of this machine's; v1 only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import firecrest
from firecrest.path import FcPath
from judge import MACHINE, Plain, Site, Suite, equal, new_loop, public_names, refused, sha256, site_from_environment

try:
    from firecrest import v1 as api
except ImportError:
    api = firecrest  # before 3.0 there was one API

suite = Suite()
case = suite.case
#: What cases have used of a path, by name.
used: set = set()


class Watched(FcPath):
    """A path that writes down what is used of it."""

    __slots__ = ()

    def __getattribute__(self, name):
        used.add(name)
        return super().__getattribute__(name)


def at(client, place: Path) -> Watched:
    return Watched(client.inner, MACHINE, str(place))


@case
def words(site: Site, client):
    """a path knows its parts without asking anybody"""
    path = at(client, site.home / "a" / "file.tar.gz")
    equal((path.name, path.stem, path.suffix, list(path.suffixes)), ("file.tar.gz", "file.tar", ".gz", [".tar", ".gz"]))
    equal(path.path, str(site.home / "a" / "file.tar.gz"))
    equal((path.as_posix(), str(path.pure_path), os.fspath(path)), (path.path,) * 3)
    equal(path.parts[-2:], ("a", "file.tar.gz"))
    equal((path.machine, path.client is client.inner, path.is_absolute()), (MACHINE, True, True))
    equal((path.parent / "b").path, path.parent.joinpath("b").path)
    equal((path.with_name("x").name, path.with_suffix(".zip").name), ("x", "file.tar.zip"))
    equal(path.parent.joinpath("..", "c").resolve().path, str(site.home / "c"))
    equal(path.relpath(str(site.home)), "a/file.tar.gz")


@case
def environment(site: Site, client):
    """a path can be made from the environment alone, and keep what it has seen"""
    os.environ.update(
        FIRECREST_URL=site.v1_url, FIRECREST_CLIENT_ID=site.client_id, FIRECREST_CLIENT_SECRET=site.client_secret,
        AUTH_TOKEN_URL=site.token_url,
    )
    path = Watched.from_env_variables(MACHINE, str(site.home), cache_enabled=True)
    used.add("from_env_variables")
    equal((path.cache_enabled, path.is_dir(), path.is_dir()), (True, True, True))
    path.clear_cache()
    path.cache_enabled = False
    equal(path.cache_enabled, False)


@case
def reading_and_writing(site: Site, client):
    """files are written and read, as text and as bytes, and change on disk"""
    place = site.place()
    path = at(client, place) / "note.txt"
    equal(path.exists(), False)
    path.touch()
    equal((place / "note.txt").read_bytes(), b"")
    refused(FileExistsError, lambda: path.touch(exist_ok=False))
    path.write_text("é\n")
    equal(((place / "note.txt").read_text(encoding="utf-8"), path.read_text()), ("é\n", "é\n"))
    path.write_bytes(bytes(range(256)))
    equal(path.read_bytes(), bytes(range(256)))
    equal(path.checksum(), sha256(bytes(range(256))))
    path.chmod(640)
    equal(stat.S_IMODE((place / "note.txt").stat().st_mode), 0o640)


@case
def kinds(site: Site, client):
    """kinds of files are told apart, through links and past them"""
    place = site.place()
    (place / "file").write_text("12345")
    (place / "directory").mkdir()
    link = at(client, place) / "link"
    link.symlink_to(str(place / "file"))
    equal(os.readlink(place / "link"), str(place / "file"))
    equal((link.is_symlink(), link.is_file(), link.is_dir()), (True, True, False))
    equal((link.stat().st_size, stat.S_ISLNK(link.lstat().st_mode)), (5, True))
    directory = at(client, place / "directory")
    equal((directory.is_dir(), directory.is_fifo(), directory.is_socket()), (True, False, False))
    equal((directory.is_block_device(), directory.is_char_device()), (False, False))
    equal(sorted(entry.name for entry in at(client, place).iterdir()), ["directory", "file", "link"])


@case
def changes(site: Site, client):
    """directories and files are made, renamed and removed, and errors are those of the standard library"""
    place = site.place()
    deep = at(client, place) / "a" / "b"
    deep.mkdir(parents=True)
    # The client knows no error of its own for the header X-Exists.
    refused(firecrest.FirecrestException, deep.mkdir, "File exists")
    (place / "a" / "b" / "file").write_text("x")
    renamed = (deep / "file").rename(str(place / "a" / "moved"))
    equal((renamed.path, (place / "a" / "moved").read_text()), (str(place / "a" / "moved"), "x"))
    renamed.unlink()
    renamed.unlink(missing_ok=True)
    refused(FileNotFoundError, renamed.unlink)
    refused(IsADirectoryError, deep.unlink)
    refused(FileNotFoundError, renamed.read_bytes)
    at(client, place / "a").rmtree()
    equal((place / "a").exists(), False)


@case
def errors(site: Site, client):
    """headers of errors become errors of one's choice"""
    path = at(client, site.home / "nowhere")

    def read():
        with path.convert_header_exceptions({"X-Invalid-Path": lambda one: LookupError(one.path)}):
            client.inner.checksum(MACHINE, path.path)

    refused(LookupError, read, "nowhere")


@case
def everything(site: Site, client):
    """every public method and property of a path was used"""
    equal(sorted({name for _, name in public_names(FcPath)} - used), [])


if __name__ == "__main__":
    site = site_from_environment()
    authorization = firecrest.ClientCredentialsAuth(site.client_id, site.client_secret, site.token_url)
    client = api.Firecrest(firecrest_url=site.v1_url, authorization=authorization)
    suite.run(site, Plain(client, new_loop(), set()))
