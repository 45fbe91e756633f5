"""The published ICBHI 2017 data set, fetched once into a cache."""

import logging
import shutil
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests
from tqdm import tqdm

from respire.data.corpora import icbhi
from respire.errors import InputError
from respire.runtime.storage import Storage

PUBLISHED = "https://bhichallenge.med.auth.gr/sites/default/files/ICBHI_final_database"
ZIP_NAME = "ICBHI_final_database.zip"
ZIP_ADDRESSES = (
    f"{PUBLISHED}/{ZIP_NAME}",
    # Harvard Dataverse, doi:10.7910/DVN/HT6PKI
    "https://dataverse.harvard.edu/api/access/datafile/7127117",
)
"""Where the 1.98 GB of recordings are, in the order tried."""
# From third parties' scripts: the data set's own site publishes no checksum.
ZIP_MD5 = "f6a5d0ea40bbcd25e17754f9d5ddae48"
SPLIT_LIST_ADDRESSES = (f"{PUBLISHED}/{icbhi.SPLIT_LIST}",)
"""Where the official split list is; no mirror is known to hold it."""

TIMEOUT_S = 30.0
CHUNK_BYTES = 1 << 16

_log = logging.getLogger(__name__)


def download(cache: Path | None = None) -> Path:
    """The directory of the published recordings and split list; what is there already is reused.

    It lies in the cache (the user's, if left out). Interrupted downloads resume, and the unpacked
    directory appears only once it is whole. The split list is needed for the official split alone:
    without it a warning is logged, and `icbhi.official_split` refuses.

    Raises:
        InputError: no address could be reached or trusted, or the zip is not the published one;
            the message says how to supply it by hand.
    """
    cache = Path(pooch.os_cache("respire")) if cache is None else cache
    directory = cache / "icbhi"
    if not directory.exists():
        Storage.at(cache).hold("downloads the recordings")
        _unpack(_fetch_zip(cache), directory)
    if not any(directory.rglob(icbhi.SPLIT_LIST)):
        _fetch_split_list(directory)
    return directory


def _fetch_zip(cache: Path) -> Path:
    by_hand = cache / ZIP_NAME
    if by_hand.exists():
        if pooch.file_hash(str(by_hand), alg="md5") == ZIP_MD5:
            return by_hand
        raise InputError(
            f"{by_hand}: not the published zip (md5 is not {ZIP_MD5}); delete it to download it "
            f"again, or give an unpacked data set with --data"
        )
    try:
        return _fetch(ZIP_ADDRESSES, by_hand, f"md5:{ZIP_MD5}")
    except InputError as error:
        raise InputError(
            f"{error}; run again to resume, or download {ZIP_ADDRESSES[0]} in a browser and put "
            f"it at {by_hand}, or give an unpacked data set with --data"
        ) from error


def _fetch_split_list(directory: Path) -> None:
    target = directory / icbhi.SPLIT_LIST
    unchecked = directory / f".{icbhi.SPLIT_LIST}"  # no checksum is known: parsing is the check
    try:
        _fetch(SPLIT_LIST_ADDRESSES, unchecked, checksum=None)
        icbhi.parse_split_list(unchecked.read_text(errors="replace"), SPLIT_LIST_ADDRESSES[0])
        unchecked.rename(target)
    except InputError as error:
        unchecked.unlink(missing_ok=True)
        _log.warning("%s; for --split 60-40, put the official list at %s", error, target)


def _fetch(addresses: tuple[str, ...], target: Path, checksum: str | None) -> Path:
    """The file from the first address that gives it, whole and with the right checksum."""
    failures = []
    for address in addresses:
        try:
            path = pooch.retrieve(
                address,
                known_hash=checksum,
                fname=target.name,
                path=target.parent,
                downloader=ResumingDownloader(target),
            )
        except requests.exceptions.SSLError as error:
            # Ahead of RequestException, its base. Never retried without verification.
            failures.append(f"{address}: the TLS certificate was refused ({_cause(error)})")
        except (requests.exceptions.RequestException, ValueError) as error:
            failures.append(f"{address}: {_cause(error)}")
        except OSError as error:
            raise InputError(f"{target.parent}: cannot be written ({error})") from error
        else:
            return Path(path)
        _log.warning("%s", failures[-1])
    raise InputError(f"{target.name.lstrip('.')} could not be had: {'; '.join(failures)}")


def _cause(error: BaseException) -> str:
    """The innermost reason: what urllib3 wraps says more than its wrapping."""
    while isinstance(inner := getattr(error, "reason", None), BaseException) or (
        error.args and isinstance(inner := error.args[0], BaseException)
    ):
        error = inner
    return " ".join(str(error).split())


@dataclass(frozen=True)
class ResumingDownloader:
    """A pooch downloader that goes on where an earlier one, or a broken connection, stopped.

    The part had so far lies beside the target, one for each host, as two hosts need not hold the
    same bytes.
    """

    target: Path

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        """Download to `output_file`, as pooch asks.

        Raises:
            requests.exceptions.RequestException: the address cannot be reached or trusted, or
                a connection broke without having brought anything.
        """
        partial = self.target.with_name(f"{self.target.name}.{urlsplit(url).hostname}.partial")
        while True:
            done = _size(partial)
            try:
                self._append(url, partial, done)
                break
            except requests.exceptions.RequestException:
                if _size(partial) <= done:
                    raise
        partial.replace(output_file)

    def _append(self, url: str, partial: Path, done: int) -> None:
        with requests.get(
            url,
            stream=True,
            timeout=TIMEOUT_S,
            # Compressed on the way, ranges and lengths would not count the file's own bytes.
            headers={
                "Accept-Encoding": "identity",
                **({"Range": f"bytes={done}-"} if done else {}),
            },
        ) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                return  # nothing lies beyond what is here; the checksum judges it
            response.raise_for_status()
            if response.status_code != requests.codes.partial_content:
                done = 0  # the server knows no ranges and sends everything
            length = int(response.headers.get("Content-Length", 0))
            with (
                partial.open("ab" if done else "wb") as file,
                tqdm(
                    desc=self.target.name,
                    initial=done,
                    total=length + done if length else None,
                    unit="B",
                    unit_scale=True,
                ) as progress,
            ):
                for chunk in response.iter_content(CHUNK_BYTES):
                    progress.update(file.write(chunk))


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _unpack(archive: Path, directory: Path) -> None:
    """Unpack a zip to a directory that exists whole or not at all.

    Raises:
        InputError: the file is no zip, or a member would be written outside the directory.
    """
    partial = directory.with_name(f"{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as members:
            for member in members.infolist():
                _refuse_unsafe(archive, member)
            members.extractall(partial)
        partial.rename(directory)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise InputError(
            f"{archive}: cannot be unpacked ({error}); delete it, run again"
        ) from error
    except OSError as error:
        raise InputError(f"{directory}: cannot be written ({error}); make room there") from error


def _refuse_unsafe(archive: Path, member: zipfile.ZipInfo) -> None:
    """Absolute paths, ``..`` and links could write outside the directory."""
    parts = member.filename.replace("\\", "/").split("/")
    if (
        parts[0] == ""
        or parts[0].endswith(":")
        or ".." in parts
        or stat.S_ISLNK(member.external_attr >> 16)
    ):
        raise InputError(
            f"{archive}: member {member.filename!r} leads outside the archive; this is not the "
            f"published zip, delete it"
        )
