"""Command prefixes that give the program a private view of the machine. Each keeps the process id."""

import os
import pathlib
import shutil
import stat

NOBODY = 65534


def with_private(path, source):
    """In its own mount namespace the directory source is seen at path; the test goes on changing source from outside."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c",
            f'mount --bind "{source}" {path} && exec "$@"', "sh"]


def private_etc(place, resolv_conf="", hosts="127.0.0.1 localhost\n::1 localhost\n"):
    """A directory to be seen as /etc."""
    etc = pathlib.Path(place) / "etc"
    etc.mkdir()
    for name in ("passwd", "group", "ld.so.cache"):
        if os.path.exists(f"/etc/{name}"):
            shutil.copy(f"/etc/{name}", etc / name)
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    replace_file(etc / "resolv.conf", resolv_conf)
    replace_file(etc / "hosts", hosts)
    return etc


def private_dev(place):
    """A directory to be seen as /dev, for a /dev/log of the test's own."""
    dev = pathlib.Path(place) / "dev"
    dev.mkdir()
    for name, minor in (("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)):
        os.mknod(dev / name, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        os.chmod(dev / name, 0o666)
    return dev


def replace_file(path, text):
    """As an editor or a DHCP client does: a new file takes the old one's place at once."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.chmod(0o644)
    new.rename(path)


def as_user(uid=NOBODY):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]


def without_capability(name):
    """Still root, but without that right."""
    return ["setpriv", f"--bounding-set=-{name}"]


def with_descriptors(soft, hard=None):
    return ["prlimit", f"--nofile={soft}:{hard or soft}"]
