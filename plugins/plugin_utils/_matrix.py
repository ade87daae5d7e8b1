# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sites said of the mesh, as a table of its ordered pairs and a list of faults."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.peers import peers

TITLES = ("from", "to", "latency", "endpoint", "age", "NIC")
ROW = "%-12s %-12s %9s %-21s %6s %s"
# `sitelink status`: 0 all is well, 1 there are faults, 2 it could not tell.
TOLD = (0, 1)
_SITE = "ansible-playbook sitelink.tr069.site"


def matrix(plan: Mapping[str, t.Any], names: Iterable[str], answers: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The mesh as its sites see it.

    :param plan: a plan of :func:`_plan.build.build` without problems.
    :param names: the hosts that were asked, by their names in the inventory.
    :param answers: what the command `sitelink status --json --probe` gave, by host, as Ansible registers it.
    :returns: lines (the table), faults (sentences that begin with the site's name) and pairs (the number of those that answer).
    """
    lines, faults, pairs = [ROW % TITLES], [], 0
    for name in names:
        if name not in plan["sites"]:
            continue
        report, problem = _read(answers.get(name))
        if report is None:
            faults.append(f"{name}: no status; {problem}")
            continue
        faults += [f"{name}: {fault['message']}" for fault in report["faults"]]
        said = [peer for mesh in report["mesh"] for peer in mesh["peers"] if not peer["external"]]
        lines += [_row(name, peer) for peer in said]
        if not report["mesh"]:
            faults.append(f"{name}: it has no part in the mesh yet; run {_SITE}, and look where it ended at this site.")
            continue
        known = {peer["name"] for peer in said}
        expected = [peer["name"] for peer in peers(plan, name, None) if not peer["external"]]
        faults += [f"{name} does not know {other}; run {_SITE} again." for other in expected if other not in known]
        for peer in said:
            if peer["latency"] is not None:
                pairs += 1
            elif not peer["reason"]:
                faults.append(
                    f"{name}: {peer['name']} does not answer an echo over the overlay, though the tunnel to it stands. Look "
                    f"for a firewall of {peer['name']} that drops ICMP on the mesh, and at the addresses of its wg0."
                )
    return {"lines": lines, "faults": faults, "pairs": pairs}


def _read(answer: t.Any) -> tuple[dict[str, t.Any] | None, str]:
    """The report in a registered result, or None and why there is none."""
    if not isinstance(answer, Mapping) or answer.get("unreachable"):
        said = str(answer.get("msg", "")).strip() if isinstance(answer, Mapping) else ""
        return None, f"Ansible could not reach the site. {said}".strip()
    if answer.get("rc") not in TOLD:
        said = _cause(answer)
        if "No such file" in said:  # Ansible's own words for a program that is not there
            return None, f"{_SITE} has not run on it: the program sitelink is not there."
        return None, f"sitelink status could not tell: {said or 'it ended with ' + str(answer.get('rc'))}."
    try:
        return _known(json.loads(answer["stdout"])), ""
    except (ValueError, LookupError, TypeError):
        if _cause(answer) and not answer.get("stdout"):  # Ansible's own module failed, which ends with 1 as well
            return None, f"sitelink status did not run: {_cause(answer)}."
        return None, f"sitelink status printed something else; run {_SITE} again to bring the program up to date."


def _cause(answer: Mapping[str, t.Any]) -> str:
    """What a command that failed, or Ansible's own module, said last."""
    said = str(answer.get("stderr") or answer.get("module_stderr") or answer.get("msg") or "").strip()
    return said.rstrip(".") if answer.get("stderr") else said.rpartition("\n")[2].strip().rstrip(".")


def _known(report: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What the matrix reads of a report.

    :raises LookupError, TypeError: the report is that of another version of the program.
    """
    peer = ("name", "external", "latency", "endpoint", "handshake_age", "nic", "reason")
    return {
        "faults": [{"message": fault["message"]} for fault in report["faults"]],
        "mesh": [{"peers": [{key: each[key] for key in peer} for each in mesh["peers"]]} for mesh in report["mesh"]],
    }


def _row(site: str, peer: Mapping[str, t.Any]) -> str:
    latency, age = peer["latency"], peer["handshake_age"]
    return ROW % (
        site,
        peer["name"],
        "no answer" if latency is None else f"{latency:.1f} ms",
        peer["endpoint"] or "none",
        "none" if age is None else f"{age} s",
        peer["nic"] or "none",
    )
