# SPDX-License-Identifier: MIT
"""Writing initramfs archives (cpio "newc") from Debian packages and from files of our own."""

import stat
import subprocess
import tarfile
from pathlib import Path
from types import TracebackType

from .error import BoardError

MERGED = ("bin", "sbin", "lib", "lib64")


class Archive:
    """A cpio archive being written; directories are written once, later files win at boot."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._inode = 0
        self._directories: set[str] = set()

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._member("TRAILER!!!", 0, b"")
        self._file.write(b"\0" * (-self._file.tell() % 512))
        self._file.close()

    def directory(self, name: str, mode: int = 0o755, owner: tuple[int, int] = (0, 0)) -> None:
        """Add a directory, its parents first."""
        name = unmerged(name)
        if not name or name in self._directories:
            return
        self._parents(name)
        self._directories.add(name)
        self._member(name, stat.S_IFDIR | mode, b"", owner)

    def file(
        self, name: str, data: bytes, mode: int = 0o644, owner: tuple[int, int] = (0, 0)
    ) -> None:
        """Add a regular file."""
        name = unmerged(name)
        self._parents(name)
        self._member(name, stat.S_IFREG | mode, data, owner)

    def link(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        name = unmerged(name)
        self._parents(name)
        self._member(name, stat.S_IFLNK | 0o777, target.encode())

    def alias(self, name: str, target: str) -> None:
        """Add a symbolic link at the top, such as `lib` for `usr/lib`."""
        self._member(name, stat.S_IFLNK | 0o777, target.encode())

    def tree(self, root: Path, under: str = "") -> None:
        """Add a directory tree of ours, owned by root."""
        for path in sorted(root.rglob("*")):
            name = f"{under}/{path.relative_to(root)}".lstrip("/")
            if path.is_symlink():
                self.link(name, str(path.readlink()))
            elif path.is_dir():
                self.directory(name)
            else:
                self.file(name, path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)

    def package(self, deb: Path, without: tuple[str, ...]) -> None:
        """Add the files of a Debian package, but for those below the paths in `without`."""
        command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE) as unpacking,
            tarfile.open(fileobj=unpacking.stdout, mode="r|") as tar,
        ):
            for member in tar:
                top = member.name.removeprefix("./") in MERGED
                if not top and not unmerged(member.name).startswith(without):
                    self._tar_member(tar, member)
        if unpacking.returncode != 0:
            raise BoardError(f"dpkg-deb cannot unpack {deb}; remove it and run again")

    def _tar_member(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        owner = (member.uid, member.gid)
        if member.isdir():
            self.directory(member.name, member.mode, owner)
        elif member.issym():
            self.link(member.name, member.linkname)
        elif member.islnk():
            self.link(member.name, "/" + unmerged(member.linkname))
        elif member.isfile():
            stream = tar.extractfile(member)
            self.file(member.name, stream.read() if stream else b"", member.mode, owner)

    def _parents(self, name: str) -> None:
        if "/" in name:
            self.directory(name.rpartition("/")[0])

    def _member(self, name: str, mode: int, data: bytes, owner: tuple[int, int] = (0, 0)) -> None:
        self._inode += 1
        raw = name.encode() + b"\0"
        fields = (self._inode, mode, *owner, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        self._file.write(header + raw + b"\0" * (-(len(header) + len(raw)) % 4))
        self._file.write(data + b"\0" * (-len(data) % 4))


def unmerged(name: str) -> str:
    """Return a package's path as it is on a system with merged /usr: lib/x is usr/lib/x."""
    name = name.removeprefix("./").strip("/")
    if name == ".":
        return ""
    return f"usr/{name}" if name.split("/")[0] in MERGED else name
