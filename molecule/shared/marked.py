# SPDX-License-Identifier: GPL-3.0-or-later
"""A service of a site that sends marked packets without pause, as WireGuard does: to port 22000 of an underlay address.

It starts when the network is said to be configured. The site's own firewall, which would drop what strays, has to be off.
"""

UNIT = "lab-sender"
PROGRAM = "/usr/local/lib/lab-sender.py"
COUNTS = "/run/lab-sender"  # packets sent, and refused by the kernel
SENDER = """\
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 36, 0x131)  # SO_MARK
sent = refused = 0
end = time.monotonic()
while True:
    try:
        s.sendto(b"x", ("10.200.0.9", 22000))
        sent += 1
    except OSError:
        refused += 1
    if time.monotonic() >= end:
        end = time.monotonic() + 0.2
        with open("%(counts)s", "w") as file:
            file.write("%%d %%d" %% (sent, refused))
    time.sleep(%(pause)s)
"""
SERVICE = f"""\
[Unit]
After=network.target
[Service]
ExecStart=/usr/bin/python3 {PROGRAM}
Restart=always
RestartSec=0
[Install]
WantedBy=multi-user.target
"""


def start(pause):
    """The shell script that starts it, now and at boot. pause: seconds between two packets."""
    sender = SENDER % {"counts": COUNTS, "pause": pause}
    return f"""\
cat > {PROGRAM} <<'END'
{sender}END
cat > /etc/systemd/system/{UNIT}.service <<'END'
{SERVICE}END
systemctl daemon-reload && systemctl enable --now {UNIT}
for _ in $(seq 3000); do [ ! -e {COUNTS} ] || exit 0; sleep 0.1; done
exit 1
"""


STOP = f"systemctl disable --now {UNIT} || true; rm -f /etc/systemd/system/{UNIT}.service {PROGRAM}; systemctl daemon-reload"


def counts(text):
    """(sent, refused) of what stands in COUNTS."""
    return tuple(int(word) for word in text.split())
