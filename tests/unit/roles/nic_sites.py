# SPDX-License-Identifier: GPL-3.0-or-later
"""A site made of files and stand-ins for its programs, which nic_dhcp's look.sh looks at."""

import pathlib
import subprocess

LOOK = pathlib.Path(__file__).resolve().parents[3] / "roles" / "nic_dhcp" / "files" / "look.sh"

MACS = {"eth0": "52:54:00:00:00:0a", "eth1": "52:54:00:00:00:0b"}
# Of the site's own network by eth0, as `ip` says it; nothing else of it is asked.
IP = """\
case $* in
  *"route get"*) echo '192.0.2.1 via 192.168.1.1 dev eth0 src 192.168.1.2 uid 0' ;;
  *"route show default"*) echo 'default via 192.168.1.1 dev eth0 proto dhcp' ;;
esac
"""
# Each of the two shows what the site says: the units that run, what NetworkManager makes of its NICs.
SYSTEMCTL = 'for unit; do :; done\ncase " {running} " in *" ${{unit%.service}} "*) exit 0 ;; esac\nexit 3\n'
NMCLI = """\
case $* in
  *RUNNING*) echo running ;;
  *DEVICE,STATE*) printf '{states}' ;;
  *DEVICE,FILENAME*) printf '{files}' ;;
  *) exit 2 ;;
esac
"""


class Site:
    """running: units, as `systemctl` names them. programs: {name: what it does as a shell script}. processes: of each the words that it
    was called with; the next one is its child where it says so ("> ..."), and one of a container ("@ ...") has a network of its own."""

    def __init__(
        self,
        directory,
        files=None,
        running="",
        programs=(),
        states=None,
        profiles="",
        config="",
        networkd=None,
        processes=(),
    ):
        self.root, self.bin = directory / "root", directory / "bin"
        self.bin.mkdir(parents=True)
        for number, (nic, mac) in enumerate(MACS.items(), 2):
            self.write(f"/sys/class/net/{nic}/ifindex", f"{number}\n")
            self.write(f"/sys/class/net/{nic}/address", f"{mac}\n")
            if networkd and nic in networkd:
                self.write(f"/run/systemd/netif/links/{number}", f"OPER_STATE=routable\nNETWORK_FILE={networkd[nic]}\n")
        for path, text in (files or {}).items():
            self.write(path, text)
        self.write("/proc/self/ns/net", "->net:[1]")
        for number, words in enumerate(processes, 100):
            mark, words = (words[0], words[2:]) if words[1] == " " else ("", words)
            self.process(number, words, number - 1 if mark == ">" else 1, 2 if mark == "@" else 1)
        self.program("ip", IP)
        self.program("systemctl", SYSTEMCTL.format(running=running))
        for name in programs:
            self.program(name, programs[name] if isinstance(programs, dict) else "exit 1\n")
        if states is not None:
            said = "".join(f"{nic}:{state}\\n" for nic, state in states.items())
            self.program("nmcli", NMCLI.format(states=said, files=profiles))
            self.program("NetworkManager", f"cat <<'END'\n{config}\nEND\n")

    def write(self, path, text):
        """A text, or where the path leads to."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("->"):
            place.symlink_to(text[2:])
        else:
            place.write_text(text)

    def process(self, number, words, parent, network):
        name = words.split()[0].rpartition("/")[2].rstrip(":")
        self.write(f"/proc/{number}/comm", f"{name}\n")
        self.write(f"/proc/{number}/status", f"Name:\t{name}\nPPid:\t{parent}\n")
        # What dhcpcd writes there it writes as one.
        said = words + "\0\0\0.\0\0" if ": " in words else words.replace(" ", "\0") + "\0"
        self.write(f"/proc/{number}/cmdline", said)
        self.write(f"/proc/{number}/ns/net", f"->net:[{network}]")

    def program(self, name, text):
        (self.bin / name).write_text(f"#!/bin/sh\n{text}")
        (self.bin / name).chmod(0o755)

    def look(self, *nics):
        """What the script says, one list of words a line."""
        script = LOOK.read_text()
        assert script.count("\nroot= # of tests\n") == 1
        script = script.replace("\nroot= # of tests\n", f"\nroot={self.root}\n")
        done = subprocess.run(
            ["/bin/sh", "-c", script, "look.sh", *(nics or ["eth1"])],
            text=True, stdin=subprocess.DEVNULL, capture_output=True, env={"PATH": f"{self.bin}:/usr/bin:/bin"},
        )  # fmt: skip
        assert done.returncode == 0 and not done.stderr, done.stderr
        assert str(self.root) not in done.stdout, done.stdout
        return [line.split("\t") for line in done.stdout.splitlines()]
