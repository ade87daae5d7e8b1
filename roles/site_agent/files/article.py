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
import shutil
import subprocess
import sys
import time

KEPT = "/var/lib/sitelink/article"
DDNS = "/usr/src/DDNS"
CONFIG = DDNS + "/config.json"
GATEWAY = "/usr/bin/set-tr069-gateway"
PROGRAMS = (GATEWAY, "/usr/bin/get-interface-ip", DDNS)
# Copies of the site's private key, readable for everybody, and of its public key.
KEYS = ("/root/privatekey", "/root/publickey", "/etc/wireguard/privatekey", "/etc/wireguard/publickey")
FILES = PROGRAMS + KEYS
CRONTABS = ("/etc/crontab", "/etc/cron.d/*", "/var/spool/cron/crontabs/*", "/var/spool/cron/*")
PATIENCE = 20  # seconds for a job that cron has just started

# Where else somebody may have put the article's commands: looked at, named, never touched.
RUN = CRONTABS + (
    "/etc/anacrontab", "/etc/cron.hourly/*", "/etc/cron.daily/*", "/etc/cron.weekly/*", "/etc/rc.local", "/etc/rc.d/rc.local",
    "/etc/systemd/system/*.service", "/etc/systemd/system/*.service.d/*.conf", "/etc/network/if-*.d/*", "/etc/networkd-dispatcher/*.d/*",
    "/etc/NetworkManager/dispatcher.d/*", "/etc/NetworkManager/dispatcher.d/*.d/*", "/etc/dhcp/dhclient-*-hooks.d/*",
    "/etc/wireguard/*.conf", "/usr/local/bin/*", "/usr/local/sbin/*", "/opt/*", "/opt/*/*", "/root/*.sh", "/root/bin/*", "/home/*/*.sh", "/home/*/bin/*",
)  # fmt: skip
NETWORK = (
    "/etc/network/interfaces", "/etc/network/interfaces.d/*", "/etc/netplan/*.yaml", "/etc/systemd/network/*.network",
    "/etc/sysconfig/network-scripts/*-*", "/etc/NetworkManager/system-connections/*",
)  # fmt: skip
TABLES = ("/etc/iproute2/rt_tables", "/etc/iproute2/rt_tables.d/*.conf")
BIG = 65536  # bytes; no script of this kind has more
COPY = re.compile(r"^\.|sitelink|~$|\.(bak|old|orig|save|swp|disabled|before-sitelink|dpkg-\w+|rpm\w+|ucf-\w+)$")
_SET_GATEWAY = r"set-tr069-gateway(?:\.sh)?(?![\w.-])"
_NAMES = re.compile(_SET_GATEWAY + r"|get-interface-ip(?![\w.-])|DDNS/run\.py(?!\w)|/usr/src/DDNS(?![\w-])")
_RUNS_DDNS = re.compile(r"/usr/src/DDNS/run\.py(?!\w)|cd\s+[\"']?/usr/src/DDNS/?[\"']?\s*(?:&&|;).*\brun\.py(?!\w)")
_CONFIG = re.compile(r"\s(?:-c|--config)[\s=]+[\"']?([^\s\"']+)")
_SECRET = re.compile(r"(?i)((?:token|password|secret|private-?key)[\"']?(?:\s*[=:]\s*|\s+))(?:\"[^\"]*\"|'[^']*'|\S+)")


def job_of_the_article(line):
    """Whether a line of a crontab starts one of its two programs, by the configuration that it says."""
    line = line.partition("#")[0]
    if re.search(r"(?:^|[\s/\"';&|(`])" + _SET_GATEWAY, line):
        return True
    config = _CONFIG.search(line)
    return bool(_RUNS_DDNS.search(line)) and os.path.join(DDNS, config.group(1) if config else CONFIG) == CONFIG


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

    def found(self, patterns):
        """The paths of files, but for copies that nobody runs and what is ours."""
        paths = [path[len(self.root) :] for pattern in patterns for path in sorted(glob.glob(self.root + pattern))]
        return [
            path for path in dict.fromkeys(paths) if os.path.isfile(self.root + path) and not COPY.search(os.path.basename(path))
        ]

    def lines(self, path):
        """[(number, line)] of a script or a configuration, without comments; [] for a program or what cannot be read."""
        try:
            text = self.read(path) or "" if os.path.getsize(self.root + path) <= BIG else ""
        except OSError:
            return []
        lines = enumerate(text.splitlines() if "\0" not in text else (), 1)
        return [(number, line.strip()) for number, line in lines if line.strip() and line.strip()[0] not in "#;"]

    def there(self, path):
        return os.path.lexists(self.root + path)

    def crontabs(self):
        """{path: (text, its lines that are the article's)}."""
        found = {}
        for path in self.found(CRONTABS):
            text = self.read(path) or ""
            jobs = [line for line in text.splitlines(True) if job_of_the_article(line)]
            if jobs:
                found[path] = (text, jobs)
        return found

    def named(self):
        """{path: [(number, line)]}: what may be of the article in places where it cannot be told for sure."""
        tables = {path: [item for item in self.lines(path) if re.match(r"305\s+\S", item[1])] for path in self.found(TABLES)}
        names = ["305", "0x131"] + [re.escape(line.split()[1]) for lines in tables.values() for _, line in lines]
        table = r"[\"']?(?:%s)(?![\w.])" % "|".join(names)
        mark = r"(?:305|0x131)(?!\w)"
        run = re.compile(
            r"%s|(?:^|[\s/\"'=;&|(`])ip\s.*\b(?:table|lookup|t)\s+%s|\bdefault\s+via\b.*\btable\s+%s|\bfwmark\s+%s"
            % (_NAMES.pattern, table, table, mark)
        )
        keyed = re.compile(r"%s|(?i:\btable)(?:\s*[:=]\s*|\s+)%s|(?i:mark)\s*[:=]\s*%s" % (run.pattern, table, mark))
        found = {path: lines for path, lines in tables.items() if lines}
        for patterns, pattern in ((RUN, run), (NETWORK, keyed)):
            for path in self.found(patterns):
                jobs = path == "/etc/crontab" or path.startswith(("/etc/cron.d/", "/var/spool/cron/"))
                if path not in (self.conf, GATEWAY):
                    lines = [item for item in self.lines(path) if pattern.search(item[1]) and not (jobs and job_of_the_article(item[1]))]
                    if lines:
                        found[path] = lines
        return found

    def files(self, named):
        """Those of FILES that go: programs that nothing else runs, copies of its own key that nothing reads."""
        text = "\n".join(line for lines in named.values() for _, line in lines)
        read = "\n".join(line for path in (self.conf, self.conf + ".before-sitelink") for _, line in self.lines(path))
        used = [path for path in PROGRAMS if re.search(r"%s(?![\w-])" % re.escape(path if path == DDNS else os.path.basename(path)), text)]
        private = self.private_key()
        own = {private, self.public_key(private)} - {""}
        copies = [path for path in KEYS if (self.read(path) or "").strip() in own and path not in read]
        return [path for path in PROGRAMS if self.there(path) and path not in used] + copies

    def private_key(self):
        """Of the configuration made by hand, also when it is put aside already; "" without one."""
        for path in (self.conf + ".before-sitelink", self.conf):
            key = _last(self.settings(path)[0], "privatekey")
            if key:
                return key
        return ""

    def settings(self, path=""):
        """wg0.conf as ({key: [values]} of all its [Interface], [the same of each [Peer]])."""
        own, peers = {}, []
        section = None
        for line in (self.read(path or self.conf) or "").lstrip("\ufeff").splitlines():
            line = line.partition("#")[0].strip()
            if line.startswith("["):
                section = own if line.lower() == "[interface]" else {}
                if section is not own:
                    peers.append(section)
            elif "=" in line and section is not None:
                name, _, value = line.partition("=")
                section.setdefault(name.strip().lower(), []).append(value.strip())
        if "privatekey" not in own:
            self.read_key(own)
        return own, peers

    def read_key(self, own):
        """A key that stands in a file of its own, as wg-quick(8) shows it: PostUp = wg set %i private-key FILE."""
        for command in own.get("postup", []) + own.get("preup", []):
            path = re.search(r"\bwg\s+set\s+(?:%%i|%s)\s.*?\bprivate-key\s+(/[^\s;&|]+)" % re.escape(self.interface), command)
            key = (self.read(path.group(1).replace("%i", self.interface)) or "").strip() if path else ""
            if key:
                own["privatekey"] = [key]

    def look(self):
        named = self.named()
        return {
            "conf": self.look_at_conf(),
            "ddns": self.look_at_ddns(),
            "cron": [_hide("%s: %s" % (path, job.strip())) for path, (_, jobs) in self.crontabs().items() for job in jobs],
            "files": self.files(named),
            "named": [_name(path, lines) for path, lines in named.items()],
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
        own, peers = self.settings()
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
            "running_key": self.running_key(),
            "tools": shutil.which("wg") is not None,
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
        return _wg(["pubkey"], private + "\n") if private else ""

    def running_key(self):
        """The public key of the tunnel that is up, "" when none is."""
        return _wg(["show", self.interface, "public-key"])

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
            self.done.append(_hide("take out of %s: %s" % (path, "".join(jobs).strip())))
            if not dry:
                left = "".join(line for line in text.splitlines(True) if line not in jobs)
                self.keep(path)
                kept[path] = {"left": _digest(left), "jobs": jobs}
                self.save(kept)
                self.replace(path, left)
        if not dry:
            self.wait()
        for path in self.files(self.named()):
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
                nic = self.read(KEPT + "/nic") or self.nic  # the inventory may name another one by now
                subprocess.call([self.root + GATEWAY, nic], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            subprocess.check_call(["rm", "-rf", "--", self.root + KEPT])
        return self.done

    def manifest(self):
        return json.loads(self.read(KEPT + "/manifest.json") or "{}")

    def save(self, kept):
        with open(self.root + KEPT + "/nic", "w") as file:
            file.write(self.nic)
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
            if any(word.endswith(b"/set-tr069-gateway") or word == b"/usr/src/DDNS/run.py" for word in words):
                return True
        return False


def _wg(words, said=""):
    """What wg prints, "" when it fails or is not there."""
    try:
        done = subprocess.run(["wg"] + words, input=said.encode(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return ""
    return done.stdout.decode().strip() if done.returncode == 0 else ""


def _items(values):
    return [item.strip() for value in values or [] for item in value.split(",") if item.strip()]


def _last(section, name):
    return (section.get(name) or [""])[-1]


def _hide(text):
    """Without the token that a command may have."""
    return _SECRET.sub(r"\1...", text)


def _name(path, lines):
    more = " and %d more" % (len(lines) - 1) if len(lines) > 1 else ""
    return "%s, line %d: %s%s (left as it is; take it out by hand if it belongs to the old tunnel)" % (
        path, lines[0][0], _hide(lines[0][1][:200]), more,
    )  # fmt: skip


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
    # As bytes: a line may be of another encoding, and Ansible refuses what is no UTF-8; Python 3.6 may believe that a terminal has ASCII.
    sys.stdout.buffer.write(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace") + b"\n")


if __name__ == "__main__":
    os.umask(0o077)
    main(sys.argv[1:])
