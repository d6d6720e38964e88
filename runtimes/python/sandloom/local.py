"""`python -m sandloom.local APP --event JSON --mount HOST:/guest --out DIR --set key=value`: the program in plain CPython.

Prints the same result document as a run in sandboxes. Mounted folders have their guest paths without root rights: the
functions of Python that open and list files are given the host's path instead. Libraries that open files in C code of
their own see the host's paths only.
"""

import argparse
import builtins
import errno
import functools
import importlib.util
import io
import json
import os
import sys

from .result import document

_ONE_PATH = "access chmod listdir lstat mkdir open readlink remove rmdir stat unlink utime".split()
_TWO_PATHS = ("rename", "replace", "link", "symlink")


class _Paths:
    """Guest folder -> host folder."""

    def __init__(self):
        self._folders = []

    def add(self, guest, host, writable):
        guest = os.path.normpath(guest)
        if not guest.startswith("/") or guest == "/":
            raise SystemExit(f"a mount needs an absolute guest path other than /, not {guest!r}")
        self._folders.append((guest, os.path.abspath(host), writable))

    def host(self, path, write=False):
        """The host's path of a path that lies in a mounted folder; any other is given back as it is."""
        try:
            text = os.fspath(path)
        except TypeError:
            return path  # a file descriptor
        if isinstance(text, str) and text.startswith("/"):
            normal = os.path.normpath(text)
            for guest, host, writable in self._folders:
                if normal == guest or normal.startswith(guest + "/"):
                    if write and not writable:
                        raise OSError(errno.EROFS, os.strerror(errno.EROFS), text)
                    return host + normal[len(guest) :]
        return path

    def install(self):
        """Puts the mapping in front of Python's own functions, for this process."""
        opened = io.open

        @functools.wraps(opened)
        def open_(file, mode="r", *args, **kwargs):
            return opened(self.host(file, any(c in mode for c in "wax+")), mode, *args, **kwargs)

        builtins.open = io.open = open_
        for name in _ONE_PATH:
            setattr(os, name, self._mapped(getattr(os, name), 1))
        os.scandir = self._scandir(os.scandir)
        for name in _TWO_PATHS:
            setattr(os, name, self._mapped(getattr(os, name), 2))

    def _scandir(self, scandir):
        def mapped(path="."):
            host = self.host(path)
            entries = scandir(host)
            return entries if host is path else _Entries(entries, path)

        return mapped

    def _mapped(self, function, paths):
        @functools.wraps(function)
        def mapped(*args, **kwargs):
            return function(*map(self.host, args[:paths]), *args[paths:], **kwargs)

        return mapped


class _Entries:
    """What os.scandir gives, with the guest's paths."""

    def __init__(self, entries, folder):
        self._entries = entries
        self._folder = folder

    def __iter__(self):
        return self

    def __next__(self):
        return _Entry(next(self._entries), self._folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._entries.close()


class _Entry:
    def __init__(self, entry, folder):
        self._entry = entry
        self.path = os.path.join(folder, entry.name)

    def __getattr__(self, name):
        return getattr(self._entry, name)

    def __fspath__(self):
        return self.path


def _load(path):
    """Runs the application's top level, as an import of the file would."""
    if os.path.isdir(path):
        inside = [os.path.join(path, name) for name in ("app.py", "main.py")]
        path = next((p for p in inside if os.path.exists(p)), inside[0])
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _event(text, settings):
    if text.startswith("@"):
        with open(text[1:], encoding="utf-8") as file:
            text = file.read()
    event = json.loads(text)
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise SystemExit(f"--set takes key=value, not {setting!r}")
        try:
            event[key] = json.loads(value)
        except ValueError:
            event[key] = value
    return event


def main(arguments=None):
    parser = argparse.ArgumentParser("python -m sandloom.local", description="Runs an application in plain CPython.")
    parser.add_argument("app", help="the application's file or folder")
    parser.add_argument("--event", default="{}", help="JSON, or @file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="sets one key of the event")
    parser.add_argument("--mount", action="append", default=[], metavar="HOST[:/GUEST]", help="a read-only folder")
    parser.add_argument("--out", default="sandloom-out", help="where files of /out go")
    parser.add_argument("--document", help="writes the result document to this file instead of stdout")
    options = parser.parse_args(arguments)

    event = _event(options.event, options.set)
    paths = _Paths()
    for mount in options.mount:
        host, _, guest = mount.partition(":")
        paths.add(guest or os.path.abspath(host), host, False)
    out = os.path.abspath(options.out)
    os.makedirs(out, exist_ok=True)
    paths.add("/out", out, True)
    target = os.path.abspath(options.document) if options.document else None
    paths.install()

    made = json.dumps(document(_load(options.app).main(event), out), allow_nan=False)
    if target is None:
        print(made)
    else:
        with open(target, "w", encoding="utf-8") as file:
            file.write(made)


if __name__ == "__main__":
    main()
