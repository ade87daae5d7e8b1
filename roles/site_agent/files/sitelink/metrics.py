# SPDX-License-Identifier: GPL-3.0-or-later
"""The status as text for node_exporter's textfile collector. No listener, no state: what status knows, renamed."""

import time

PREFIX = "sitelink_"


class Text:
    """Metrics in the order in which they are added, each family once with its help and type."""

    def __init__(self):
        self.families = {}

    def add(self, metric, about, value, form="gauge", **labels):
        if value is None:
            return
        family = self.families.setdefault(PREFIX + metric, (about, form, []))
        shown = ",".join('%s="%s"' % (key, escape(str(labels[key]))) for key in sorted(labels))
        family[2].append("%s%s%s %s" % (PREFIX, metric, "{%s}" % shown if shown else "", number(value)))

    def __str__(self):
        lines = []
        for name, (help_, kind, samples) in self.families.items():
            lines += ["# HELP %s %s" % (name, help_), "# TYPE %s %s" % (name, kind)] + samples
        return "\n".join(lines) + "\n"


def escape(value):
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def number(value):
    return repr(float(value)) if isinstance(value, float) else "%d" % value


def render(report, now=None):
    """The metrics of a status report."""
    now = time.time() if now is None else now
    text = Text()
    text.add("info", "Which site and which version of sitelink this is.", 1, site=report["site"], version=report["version"])
    text.add("written_timestamp_seconds", "When these metrics were written.", float(int(now)))
    layers = {"address": 0, "gateway": 0, "firewall": 0, "ddns": 0, "mesh": 0, "peer": 0}
    for fault in report["faults"]:
        layers[fault["layer"]] = layers.get(fault["layer"], 0) + 1
    for layer in sorted(layers):
        text.add("faults", "Faults by layer.", layers[layer], layer=layer)
    for item in report["gateway"]:
        nic = item["interface"]
        text.add("gateway_ok", "Whether the way out through the underlay NIC is right.", item["state"] == "ok", interface=nic)
        text.add("lease_present", "Whether the NIC has its underlay address.", item["address"] is not None, interface=nic)
    for item in report["firewall"]:
        nic = item["interface"]
        text.add("firewall_loaded", "Whether the underlay NIC is closed.", item["loaded"], interface=nic)
        text.add("firewall_held", "Whether nobody else can open it.", item["held"], interface=nic)
        text.add("firewall_restored_total", "How often others removed it.", item["restored"], "counter", interface=nic)
        for name, packets in sorted(item["packets"].items()):
            help_ = "Packets by what the firewall made of them."
            text.add("firewall_packets_total", help_, packets, "counter", interface=nic, verdict=name)
    for item in (report["ddns"] or {"names": []})["names"]:
        if item["address"] is None:
            continue  # no address to publish, or a peer that is silent: the way out or the mesh tells of that
        right = item["verdict"] is not None and not item["fault"]  # without a check the provider's word counts
        text.add("ddns_right", "Whether the servers of the zone have the right record.", right,
                 name=item["name"], kind=item["kind"], provider=item["provider"])  # fmt: skip
    for mesh in report["mesh"]:
        for peer in mesh["peers"]:
            _peer(text, mesh["interface"], peer, now)
    for item in report.get("exit") or []:
        if item["when"] != "never":
            text.add("exit_used", "Which site's internet is used.", 1, site=item["used"] or "")
        if item["broadband"]:
            text.add("broadband_up", "Whether the own broadband works.", item["broadband"] == "up", interface=item["uplink"])
    return str(text)


def _peer(text, interface, peer, now):
    labels = {"interface": interface, "peer": peer["name"]}
    if peer["external"]:
        text.add("client_alive", "Whether a peer that is no site is heard; it may sleep.", peer["alive"], **labels)
    else:
        text.add("peer_alive", "Whether the peer is heard.", peer["alive"], **labels)
    if peer["handshake_age"] is not None:
        text.add("peer_last_handshake_timestamp_seconds", "When keys were last renewed with the peer.",
                 float(int(now - peer["handshake_age"])), **labels)  # fmt: skip
    text.add("peer_receive_bytes_total", "Bytes received from the peer.", peer["rx_bytes"], "counter", **labels)
    text.add("peer_transmit_bytes_total", "Bytes sent to the peer.", peer["tx_bytes"], "counter", **labels)
    if peer["heal"]:
        text.add("peer_last_heal_seconds", "How long the last heal took.", float(peer["heal"]["seconds"]), **labels)
    text.add("peer_endpoint_info", "Where the peer's endpoint came from.", 1, source=peer["endpoint_source"], **labels)
