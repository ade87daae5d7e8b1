# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers are compared with the site, and nothing is changed or refused: whoever asks then does as much as nothing, or all of it."""

from typing import Any, Dict, Iterable, List, NamedTuple, Tuple

from .layer import Layer
from .site import Site
from .wanted import Refused, read


class Stated(NamedTuple):
    """One layer. problems: why its options cannot be read, if they cannot."""

    name: str
    conditions: List[List[str]]
    params: Dict[str, Any]
    problems: List[str]


def judge(site: Site, layers: Iterable[Stated], scratch: str = "/tmp") -> Tuple[List[str], List[str]]:
    """(why the first layer that is not as stated is not, what the checks of all of them warn of where there is none)"""
    warnings: List[str] = []
    layers = list(layers)
    if not layers:
        return ["nothing is stated of the site"], []
    for each in layers:
        why, said = _differences(site, each, scratch)
        if why:
            return ["%s: %s" % (each.name, sentence) for sentence in why], []
        warnings += said
    return [], warnings


def _differences(site: Site, stated: Stated, scratch: str) -> Tuple[List[str], List[str]]:
    why = list(stated.problems)
    for argv in stated.conditions if not why else ():
        done = site.run(argv)
        if done.code:
            words = " ".join(done.complained.split()) or "it ended with %d" % done.code
            why.append("%s: %s" % (" ".join(argv), words))
    if why:
        return why, []
    try:
        layer = Layer(site, read(stated.params, True), True, scratch, strict=True)
        (layer.present if stated.params["state"] == "present" else layer.absent)()
    except Refused as refused:
        return refused.problems, []
    except OSError as error:
        return ["%s: %s" % (error.filename, error.strerror or error)], []
    return layer.done + layer.refused, layer.warnings
