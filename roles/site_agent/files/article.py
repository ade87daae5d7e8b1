# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody set up by hand as the source article says: article.py look|token|aside|back INTERFACE NIC [--key] [--dry-run].

Sent to a site and run there once; prints JSON. Private keys and tokens are never printed, but for the token by `token`. What is
put aside is kept in /var/lib/sitelink/article.
"""

import binascii
import glob
import hashlib
import json
import os
import re
import subprocess
import sys
import time

KEPT = "/var/lib/sitelink/article"
DDNS = "/usr/src/DDNS"
CONFIG = DDNS + "/config.json"
GATEWAY = "/usr/bin/set-tr069-gateway"
# The last two are the site's private key, readable for everybody, and its public key.
FILES = (GATEWAY, "/usr/bin/get-interface-ip", DDNS, "/root/privatekey", "/root/publickey")
CRONTABS = ("/etc/crontab", "/etc/cron.d/*", "/var/spool/cron/crontabs/root", "/var/spool/cron/root")
JOB = re.compile(r"^[^#\n]*(?:/usr/bin/set-tr069-gateway|/usr/src/DDNS/run\.py)(?:\s|$)")
PATIENCE = 20  # seconds for a job that cron has just started


class Article:
    def __init__(self, interface, nic, root=""):
        self.interface, self.nic, self.root = interface, nic, root
        self.conf = "/etc/wireguard/%s.conf" % interface
        self.done = []

    def read(self, path):
        try:
            with open(self.root + path, encoding="utf-8", errors="surrogateescape", newline="") as file:
                return file.read()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def there(self, path):
        return os.path.lexists(self.root + path)

    def crontabs(self):
        """{path: (text, its lines that are the article's)}."""
        found = {}
        for pattern in CRONTABS:
            for path in sorted(glob.glob(self.root + pattern)):
                path = path[len(self.root) :]
                text = self.read(path) or ""
                jobs = [line for line in text.splitlines(True) if JOB.match(line)]
                if jobs:
                    found[path] = (text, jobs)
        return found

    def settings(self):
        """wg0.conf as a list of {key: [values]}, its [Interface] first."""
        sections = []
        for line in (self.read(self.conf) or "").splitlines():
            line = line.partition("#")[0].strip()
            if line.startswith("["):
                sections.append({})
            elif "=" in line and sections:
                name, _, value = line.partition("=")
                sections[-1].setdefault(name.strip().lower(), []).append(value.strip())
        return sections

    def look(self):
        return {
            "conf": self.look_at_conf(),
            "ddns": self.look_at_ddns(),
            "cron": ["%s: %s" % (path, job.strip()) for path, (_, jobs) in self.crontabs().items() for job in jobs],
            "files": [path for path in FILES if self.there(path)],
            "forwards": (self.read("/proc/sys/net/ipv4/ip_forward") or "").strip() == "1",
            "kept": self.there(KEPT),
        }

    def look_at_conf(self):
        """None without one, "ours" when it is sitelink's."""
        text = self.read(self.conf)
        if text is None:
            return None
        if "sitelink-mesh@" in text:
            return "ours"
        own, peers = (self.settings() or [{}])[0], self.settings()[1:]
        return {
            "addresses": _items(own.get("address")),
            "port": _last(own, "listenport"),
            "public_key": self.public_key(_last(own, "privatekey")),
            "peers": [
                {
                    "public_key": _last(peer, "publickey"),
                    "allowed_ips": _items(peer.get("allowedips")),
                    "endpoint": _last(peer, "endpoint"),
                    "preshared": "presharedkey" in peer,
                }
                for peer in peers
            ],
        }

    def look_at_ddns(self):
        data = self.ddns()
        if data is None:
            return None
        names = data.get("ipv4") or []
        return {
            "provider": str(data.get("dns") or ""),
            "id": str(data.get("id") or ""),
            "names": [names] if isinstance(names, str) else [str(name) for name in names],
            "token": bool(data.get("token")),
        }

    def ddns(self):
        try:
            data = json.loads(self.read(CONFIG) or "null")
        except ValueError:
            return None
        return data if isinstance(data, dict) else None

    def token(self):
        return {"token": (self.ddns() or {}).get("token") or ""}

    @staticmethod
    def public_key(private):
        done = subprocess.run(["wg", "pubkey"], input=(private + "\n").encode(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return done.stdout.decode().strip()

    def keep_key(self, dry):
        """The key of wg0.conf stays the site's: where `sitelink service` looks for keys that never leave a site."""
        conf = self.look_at_conf()
        if not isinstance(conf, dict) or not conf["public_key"]:
            return
        for path in glob.glob("%s/etc/wireguard/%s.key.*" % (self.root, self.interface)):
            with open(path) as file:
                if self.public_key(file.read().strip()) == conf["public_key"]:
                    return
        self.done.append("keep the key of %s" % self.conf)
        if dry:
            return
        # Six characters behind the dot: by these the role that removes the mesh knows it.
        path = "%s/etc/wireguard/%s.key.%s" % (self.root, self.interface, binascii.hexlify(os.urandom(3)).decode())
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(_last(self.settings()[0], "privatekey") + "\n")

    def aside(self, key=False, dry=False):
        """Put the article's jobs, scripts and copies of keys aside. Returns what was done."""
        if key:
            self.keep_key(dry)
        kept = self.manifest()
        for path, (text, jobs) in self.crontabs().items():
            self.done.append("take out of %s: %s" % (path, "".join(jobs).strip()))
            if not dry:
                left = "".join(line for line in text.splitlines(True) if line not in jobs)
                self.keep(path)
                kept[path] = {"left": _digest(left), "jobs": jobs}
                self.save(kept)
                self.replace(path, left)
        if not dry:
            self.wait()
        for path in FILES:
            if self.there(path):
                self.done.append("put %s aside" % path)
                if not dry:
                    kept[path] = {}
                    self.keep(path)
                    self.save(kept)
                    subprocess.check_call(["rm", "-rf", "--", self.root + path])
        return self.done

    def back(self, dry=False):
        """Put back what aside() took. Returns what was done."""
        for path, what in sorted(self.manifest().items()):
            self.done.append("put %s back" % path)
            if dry:
                continue
            text = self.read(path)
            if "jobs" in what and text is not None and _digest(text) != what["left"]:
                # Changed since: only the jobs come back.
                self.replace(path, text + ("" if text.endswith("\n") or not text else "\n") + "".join(what["jobs"]))
            else:
                subprocess.check_call(["rm", "-rf", "--", self.root + path])
                os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
                subprocess.check_call(["cp", "-a", "--", self.copy(path), self.root + path])
        if self.done and not dry:
            if self.there(GATEWAY):  # now, rather than when cron does: what is started next shall find its way
                subprocess.call([self.root + GATEWAY, self.nic], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            subprocess.check_call(["rm", "-rf", "--", self.root + KEPT])
        return self.done

    def manifest(self):
        return json.loads(self.read(KEPT + "/manifest.json") or "{}")

    def save(self, kept):
        with open(self.root + KEPT + "/manifest.json.new", "w") as file:
            json.dump(kept, file)
        os.rename(self.root + KEPT + "/manifest.json.new", self.root + KEPT + "/manifest.json")

    def copy(self, path):
        return self.root + KEPT + "/files" + path

    def keep(self, path):
        os.makedirs(self.root + KEPT, mode=0o700, exist_ok=True)
        os.makedirs(os.path.dirname(self.copy(path)), exist_ok=True)
        subprocess.check_call(["rm", "-rf", "--", self.copy(path)])
        subprocess.check_call(["cp", "-a", "--", self.root + path, self.copy(path)])

    def replace(self, path, text):
        """Write a file anew in one step, with the owner and mode it has."""
        path = self.root + path
        # cron reads no name with a dot in it.
        temporary = "%s/.sitelink.%s" % (os.path.dirname(path), os.path.basename(path))
        subprocess.check_call(["cp", "-a", "--", path, temporary])
        with open(temporary, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
        os.rename(temporary, path)

    def wait(self):
        """Until no job that cron started before is running any more."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.running():
            time.sleep(0.2)

    def running(self):
        for path in glob.glob(self.root + "/proc/[0-9]*/cmdline"):
            try:
                with open(path, "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if any(word in (b"/usr/bin/set-tr069-gateway", b"/usr/src/DDNS/run.py") for word in words):
                return True
        return False


def _items(values):
    return [item.strip() for value in values or [] for item in value.split(",") if item.strip()]


def _last(section, name):
    return (section.get(name) or [""])[-1]


def _digest(text):
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def main(argv, root=""):
    article = Article(argv[1], argv[2], root)
    dry = "--dry-run" in argv
    found = {
        "look": article.look,
        "token": article.token,
        "aside": lambda: article.aside("--key" in argv, dry),
        "back": lambda: article.back(dry),
    }[argv[0]]()
    print(json.dumps(found))


if __name__ == "__main__":
    os.umask(0o077)
    main(sys.argv[1:])
