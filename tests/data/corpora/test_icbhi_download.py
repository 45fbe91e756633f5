import hashlib
import io
import logging
import shutil
import ssl
import stat
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from respire.data.corpora import icbhi
from respire.data.corpora import icbhi_download as download
from respire.errors import InputError

NAME = "101_1b1_Al_sc_Meditron"


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


RECORDING = bytes(range(256)) * 400
ZIP = zipped(
    {f"ICBHI_final_database/{NAME}.wav": RECORDING, f"ICBHI_final_database/{NAME}.txt": b""}
)
LIST = f"{NAME}\ttest\r\n".encode()


@dataclass
class Site:
    """A web server on this machine: what it holds, and what it was asked."""

    files: dict[str, bytes]
    address: str = ""
    ranges: bool = True
    breaks_after: list[int] = field(default_factory=list)
    """Bytes after which the connection breaks, one for each request, then no more."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, site: Site, *args: object) -> None:
        self.site = site
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.site.asked.append((self.path, wanted))
        content = self.site.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = int(wanted[len("bytes=") : -1]) if wanted and self.site.ranges else 0
        if start and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        breaks = self.site.breaks_after.pop(0) if self.site.breaks_after else None
        self.wfile.write(content[start:][:breaks])
        if breaks is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site({"/zip": ZIP, "/list": LIST})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, site))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    site.address = f"http://127.0.0.1:{server.server_port}"
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def published(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published data set is the tiny zip of the site."""
    monkeypatch.setattr(download, "ZIP_ADDRESSES", (f"{site.address}/zip",))
    monkeypatch.setattr(download, "SPLIT_LIST_ADDRESSES", (f"{site.address}/list",))
    monkeypatch.setattr(download, "CHUNK_BYTES", 500)
    publish(ZIP, monkeypatch)


def publish(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "ZIP_MD5", hashlib.md5(content).hexdigest())


def assert_whole(directory: Path) -> None:
    assert (directory / f"ICBHI_final_database/{NAME}.wav").read_bytes() == RECORDING
    assert icbhi.official_split(str(directory)) == {NAME: "test"}
    assert not list(directory.parent.rglob("*.partial"))


def test_the_recordings_and_the_split_list_arrive(tmp_path: Path, site: Site) -> None:
    assert_whole(download.download(tmp_path / "new/cache"))
    assert site.asked == [("/zip", None), ("/list", None)]


def test_what_is_unpacked_is_used_without_network(tmp_path: Path, site: Site) -> None:
    first = download.download(tmp_path)
    site.asked.clear()
    (tmp_path / download.ZIP_NAME).unlink()
    assert download.download(tmp_path) == first
    assert site.asked == []


def test_a_broken_connection_is_resumed_at_once(tmp_path: Path, site: Site) -> None:
    site.breaks_after = [1000, 2000]
    assert_whole(download.download(tmp_path))
    zips = [wanted for path, wanted in site.asked if path == "/zip"]
    assert zips == [None, "bytes=1000-", "bytes=3000-"]


def test_an_interrupted_download_is_resumed_by_the_next_run(tmp_path: Path, site: Site) -> None:
    site.breaks_after = [1000, 0]
    with pytest.raises(InputError, match="run again to resume"):
        download.download(tmp_path)
    site.asked.clear()
    assert_whole(download.download(tmp_path))
    assert site.asked[0] == ("/zip", "bytes=1000-")


def test_a_server_without_ranges_starts_over(tmp_path: Path, site: Site) -> None:
    site.ranges, site.breaks_after = False, [1000]
    assert_whole(download.download(tmp_path))


def test_a_download_killed_after_its_last_byte_is_kept(tmp_path: Path, site: Site) -> None:
    (tmp_path / f"{download.ZIP_NAME}.127.0.0.1.partial").write_bytes(ZIP)
    assert_whole(download.download(tmp_path))
    assert site.asked[0] == ("/zip", f"bytes={len(ZIP)}-")


def test_a_wrong_checksum_is_refused_and_nothing_kept(tmp_path: Path, site: Site) -> None:
    site.files["/zip"] = ZIP[:-1] + b"!"
    with pytest.raises(InputError, match=r"could not be had.*md5.*--data") as refused:
        download.download(tmp_path)
    assert "\n" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_the_mirror_is_used_where_the_official_address_fails(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    addresses = (f"{site.address}/gone", f"{site.address}/zip")
    monkeypatch.setattr(download, "ZIP_ADDRESSES", addresses)
    assert_whole(download.download(tmp_path))
    assert "/gone: 404" in caplog.text


def test_an_unreachable_address_says_how_to_supply_the_zip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "ZIP_ADDRESSES", ("http://127.0.0.1:1/zip",))
    with pytest.raises(InputError) as refused:
        download.download(tmp_path)
    assert "Connection refused" in str(refused.value)
    assert f"put it at {tmp_path / download.ZIP_NAME}" in str(refused.value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to sign a certificate")
def test_a_refused_certificate_is_told_and_never_overridden(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost "
        f"-keyout {key} -out {certificate}".split(),
        check=True,
        capture_output=True,
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, site))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        address = f"https://127.0.0.1:{server.server_port}/zip"
        monkeypatch.setattr(download, "ZIP_ADDRESSES", (address,))
        with pytest.raises(InputError) as refused:
            download.download(tmp_path / "cache")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    message = str(refused.value)
    assert f"{address}: the TLS certificate was refused" in message
    assert "self-signed" in message
    assert f"put it at {tmp_path / 'cache' / download.ZIP_NAME}" in message
    assert "--data" in message
    assert site.asked == []


def test_a_zip_put_there_by_hand_is_used(tmp_path: Path, site: Site) -> None:
    (tmp_path / download.ZIP_NAME).write_bytes(ZIP)
    assert_whole(download.download(tmp_path))
    assert site.asked == [("/list", None)]


def test_another_zip_put_there_by_hand_is_refused_and_left(tmp_path: Path) -> None:
    by_hand = tmp_path / download.ZIP_NAME
    by_hand.write_bytes(b"some other file")
    with pytest.raises(InputError, match="not the published zip"):
        download.download(tmp_path)
    assert by_hand.read_bytes() == b"some other file"


@pytest.mark.parametrize("content", [None, b"<html>Moved</html>", b"\xff\xfe"])
def test_without_the_split_list_a_warning_says_where_to_put_it(
    tmp_path: Path, site: Site, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    if content is None:
        del site.files["/list"]
    else:
        site.files["/list"] = content
    with caplog.at_level(logging.WARNING):
        directory = download.download(tmp_path)
    assert f"put the official list at {directory / icbhi.SPLIT_LIST}" in caplog.text
    assert [path.name for path in directory.iterdir()] == ["ICBHI_final_database"]
    (directory / icbhi.SPLIT_LIST).write_bytes(LIST)
    assert_whole(download.download(tmp_path))


def test_a_split_list_in_the_zip_is_enough(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files["/zip"] = zipped({f"below/{icbhi.SPLIT_LIST}": LIST})
    publish(site.files["/zip"], monkeypatch)
    download.download(tmp_path)
    assert site.asked == [("/zip", None)]


def link(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


@pytest.mark.parametrize(
    "name",
    ["/etc/evil", "../evil", "a/../../evil", "..\\evil", "C:/evil", "\\evil", link("a/link")],
    ids=str,
)
def test_a_zip_that_would_write_elsewhere_is_refused_unopened(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch, name: str | zipfile.ZipInfo
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("good.txt", b"good")
        archive.writestr(name, b"evil")
    site.files["/zip"] = buffer.getvalue()
    publish(site.files["/zip"], monkeypatch)
    with pytest.raises(InputError, match="leads outside the archive"):
        download.download(tmp_path / "cache")
    left = {path.name for path in tmp_path.rglob("*")}
    assert left == {"cache", ".lock", download.ZIP_NAME}


def test_unpacking_that_is_killed_leaves_no_directory_and_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractall = zipfile.ZipFile.extractall

    def killed_half_way(archive: zipfile.ZipFile, path: Path) -> None:
        archive.extract(archive.namelist()[0], path)
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "extractall", killed_half_way)
    with pytest.raises(KeyboardInterrupt):
        download.download(tmp_path)
    assert not (tmp_path / "icbhi").exists()
    monkeypatch.setattr(zipfile.ZipFile, "extractall", extractall)
    assert_whole(download.download(tmp_path))


def test_a_file_that_is_no_zip_is_refused(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files["/zip"] = b"no zip"
    publish(b"no zip", monkeypatch)
    with pytest.raises(InputError, match="cannot be unpacked"):
        download.download(tmp_path)
    assert not (tmp_path / "icbhi").exists()


def test_a_cache_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        download.download(tmp_path / "file/cache")
