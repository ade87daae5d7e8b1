# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page: one HTML file about the whole mesh, without anything from outside, readable without scripts."""

from __future__ import annotations

import html
import math

from ansible_collections.sitelink.tr069.plugins.plugin_utils import _said
from ansible_collections.sitelink.tr069.plugins.plugin_utils._said import LANGUAGES

OK, BAD, UNKNOWN = "ok", "bad", "unknown"

_STYLE = """
:root{color-scheme:light dark;--back:#f6f7f9;--card:#fff;--text:#1c2733;--soft:#5b6b7b;--line:#d5dce3;
--ok:#1a7f45;--bad:#c4262e;--unknown:#7a6a00;--okback:#e2f4e8;--badback:#fde4e4;--unknownback:#f7f0cd}
@media(prefers-color-scheme:dark){:root{--back:#12181f;--card:#1b242e;--text:#e6ecf2;--soft:#9fb0c0;--line:#33414f;
--ok:#5fd38d;--bad:#ff8a8a;--unknown:#e6cf5a;--okback:#173726;--badback:#4a1f22;--unknownback:#3d3710}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:15px/1.45 system-ui,"Noto Sans CJK SC","PingFang SC",
"Microsoft YaHei",sans-serif}
header,main{max-width:1180px;margin:auto;padding:4px 16px}
h1{font-size:1.35rem;margin:.2em 0}h2{font-size:1.1rem;margin:1.2em 0 .6em}h3{font-size:1rem;margin:0 0 .4em}
html[lang=en] .zh,html[lang=zh] .en{display:none}
i{font-style:normal}
.soft{color:var(--soft)}.ok{color:var(--ok)}.bad{color:var(--bad)}.unknown{color:var(--unknown)}
.sums{display:flex;flex-wrap:wrap;gap:8px;padding:0;margin:.6em 0 0;list-style:none}
.sums li{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:6px 12px}
.sums b{font-size:1.2rem;margin-right:.3em}
button{font:inherit;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:4px 12px}
.fault,.card{background:var(--card);border:1px solid var(--line);border-left:5px solid var(--ok);border-radius:8px;
padding:10px 12px}
.fault{margin:8px 0}.bad.card,.fault{border-left-color:var(--bad)}.unknown.card,.fault.unknown{border-left-color:var(--unknown)}
.card{color:var(--text)!important}
.fault p{margin:.2em 0}
svg{width:100%;max-height:80vh;background:var(--card);border:1px solid var(--line);border-radius:8px}
svg text{fill:var(--text)}
.scroll{overflow:auto;max-height:85vh;border:1px solid var(--line);border-radius:8px;background:var(--card)}
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:3px 7px;border:1px solid var(--line);white-space:nowrap;text-align:right}
thead th{position:sticky;top:0;background:var(--card)}tbody th{position:sticky;left:0;background:var(--card);text-align:left}
td.ok{background:var(--okback)}td.bad{background:var(--badback)}td.unknown{background:var(--unknownback)}
td small{display:block;color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(270px,1fr));gap:10px}
.lazy{content-visibility:auto;contain-intrinsic-size:auto 600px}
dl{display:grid;grid-template-columns:auto 1fr;gap:2px 10px;margin:0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
"""

_SCRIPT = """
(function(){var r=document.documentElement,b=document.getElementById('lang');
function set(l){r.lang=l;b.textContent=l==='en'?'中文':'English'}
set(r.lang);b.hidden=false;b.onclick=function(){set(r.lang==='en'?'zh':'en')}})();
"""


class Page:
    """sites: {name: what `sitelink doctor --json` said there, or None where nobody answered}."""

    def __init__(self, sites: dict[str, dict | None], language: str, made: str):
        self.sites, self.language, self.made = sites, language, made
        self.words = _said.texts()
        self.links = self._links()
        self.found = _said.faults(sites, self.words)
        # Sites that somebody reaches.
        self.reached = {link[1] for link, peer in self.links.items() if peer["alive"]}

    def _links(self) -> dict[tuple[str, str], dict]:
        """{(from, to): peer} of everything that was said about sites; phones may sleep."""
        return {
            (name, peer["name"]): peer
            for name, told in self.sites.items()
            if told
            for mesh in told["status"]["mesh"]
            for peer in mesh["peers"]
            if not peer.get("external")
        }

    def say(self, key: str) -> str:
        """A string of the page, in every language; the style shows one."""
        return self.both({name: self.words[name]["page"][key] for name in LANGUAGES})

    @staticmethod
    def both(said: dict[str, str]) -> str:
        if len(set(said.values())) == 1:
            return html.escape(said["en"])
        return "".join(f'<i class="{name}" lang="{name}">{html.escape(said[name])}</i>' for name in LANGUAGES)

    def health(self, name: str) -> str:
        """That a peer is off, which nobody reaches, is no fault of this site."""
        told = self.sites[name]
        if told is None:
            return UNKNOWN
        own = [item for item in told["findings"] if item.get("peer") is None or item["peer"] in self.reached]
        return BAD if own else OK

    def dot(self, name: str) -> str:
        """Its colour in the picture: red as well where no other site reaches it."""
        alone = len(self.sites) > 1 and name not in self.reached and any(link[1] == name for link in self.links)
        return BAD if alone else self.health(name)

    def render(self) -> str:
        body = [
            self._head(),
            "<main>",
            self._faults(),
            f"<h2>{self.say('picture')}</h2>{self._picture()}",
            f"<h2>{self.say('matrix')}</h2><p class=soft>{self.say('matrix_note')}</p>{self._matrix()}",
            f"<h2>{self.say('sites')}</h2><div class='cards lazy'>{''.join(map(self._card, self.sites))}</div>",
            f"<h2>{self.say('history')}</h2>{self._history()}",
            "</main>",
        ]
        return (
            f'<!DOCTYPE html>\n<html lang="{self.language}"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
            "script-src 'unsafe-inline'; img-src data:\">"
            '<link rel="icon" href="data:,">'
            f"<title>{html.escape(self.words[self.language]['page']['title'])}</title><style>{_STYLE}</style></head>"
            f"<body>{''.join(body)}<script>{_SCRIPT}</script></body></html>\n"
        )

    def _head(self) -> str:
        lost = [name for name, told in self.sites.items() if told is None]
        alive = sum(1 for peer in self.links.values() if peer["alive"])
        sums = [
            (len(self.sites), "sum_sites", ""),
            (len(lost), "sum_unknown", UNKNOWN if lost else ""),
            (
                sum(1 for fault in self.found if fault.layer),
                "sum_faults",
                BAD if any(fault.layer for fault in self.found) else "",
            ),
            (f"{alive}/{len(self.links)}", "sum_links", BAD if alive < len(self.links) else ""),
        ]
        items = "".join(f'<li class="{shade}"><b>{value}</b>{self.say(key)}</li>' for value, key, shade in sums)
        return (
            f'<header><button id="lang" type="button" hidden style="float:right"></button><h1>{self.say("title")}</h1>'
            f'<div class="soft">{self.say("made")} {html.escape(self.made)}</div><ul class="sums">{items}</ul></header>'
        )

    def _faults(self) -> str:
        shown = []
        for fault in self.found:
            words = {each: self.words[each] for each in LANGUAGES}
            place = f'<b title="{html.escape(", ".join(fault.sites))}">' + self.both(
                {each: fault.names(words[each]["page"]) for each in LANGUAGES}
            )
            what, step = (self.both({each: fault.text[each][part] for each in LANGUAGES}) for part in ("what", "do"))
            if not fault.layer:
                shown.append(f'<div class="fault unknown">{place}</b> {what}</div>')
                continue
            layer = self.both({each: words[each]["layers"][fault.layer] for each in LANGUAGES})
            seen = "".join(f'<p class="soft">{html.escape(detail)}</p>' for detail in fault.details[: _said.NAMES])
            shown.append(
                f'<div class="fault">{place}</b> <span class="bad">[{layer}]</span> {what}<p>{step}</p>{seen}</div>'
            )
        return f"<h2>{self.say('faults')}</h2>" + ("".join(shown) or f"<p class=ok>{self.say('no_faults')}</p>")

    def _picture(self) -> str:
        """The sites on a circle. The healthy links are one path, so that a hundred sites are drawn quickly."""
        names = list(self.sites)
        many = len(names) >= 20
        radius, middle, gap = 300, 420, 14 if many else 20
        place = {}
        for index, name in enumerate(names):
            angle = 2 * math.pi * index / max(1, len(names)) - math.pi / 2
            place[name] = (math.cos(angle), math.sin(angle))
        paths: dict[str, list[str]] = {OK: [], UNKNOWN: [], BAD: []}
        for index, one in enumerate(names):
            for other in names[index + 1 :]:
                told = [self.links[pair] for pair in ((one, other), (other, one)) if pair in self.links]
                alive = [peer["alive"] for peer in told]
                shade = OK if all(alive) else UNKNOWN if any(alive) else BAD
                # A site that nobody reaches is seen by its own colour; its links would hide those of all others.
                if not told or (shade == BAD and not {one, other} <= self.reached):
                    continue
                ends = [
                    f"{middle + radius * place[end][0]:.0f} {middle + radius * place[end][1]:.0f}"
                    for end in (one, other)
                ]
                paths[shade].append(f"M{ends[0]}L{ends[1]}")
        drawn = [
            f'<path d="{"".join(parts)}" fill="none" stroke="var(--{shade})" '
            f'stroke-width="{2.5 if shade != OK else 0.6 if many else 1.5}" opacity="{0.25 if many and shade == OK else 1}"/>'
            for shade, parts in paths.items()
            if parts
        ]
        for name, (x, y) in place.items():
            degrees = math.degrees(math.atan2(y, x))
            flip = abs(degrees) > 90
            at = f"translate({middle + (radius + gap) * x:.0f} {middle + (radius + gap) * y:.0f})"
            anchor, shift = "end" if flip else "start", ".35em"
            if many:
                at += f" rotate({degrees + 180 if flip else degrees:.0f})"
            elif abs(x) < 0.1:
                anchor, shift = "middle", "-.4em" if y < 0 else "1.1em"
            drawn.append(
                f'<circle cx="{middle + radius * x:.0f}" cy="{middle + radius * y:.0f}" '
                f'r="{(4 if many else 8) + (0 if self.dot(name) == OK else 3)}" fill="var(--{self.dot(name)})"/>'
                f'<text transform="{at}" dy="{shift}" text-anchor="{anchor}">{html.escape(name)}</text>'
            )
        # Few names are large enough for a phone; many stand around the circle.
        size = 13 if many else 28
        high = middle if many else radius + 2 * size
        wide = middle if many else radius + 20 + size * 0.62 * max(map(len, names), default=0)
        box = f"{middle - wide:.0f} {middle - high:.0f} {2 * wide:.0f} {2 * high:.0f}"
        return f'<svg viewBox="{box}" role="img" style="font-size:{size}px">{"".join(drawn)}</svg>'

    def _matrix(self) -> str:
        names = list(self.sites)
        head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        rows = []
        for one in names:
            cells = "".join(self._cell(one, other) for other in names)
            rows.append(f"<tr><th>{html.escape(one)}</th>{cells}</tr>")
        return f'<div class="scroll lazy"><table><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'

    def _cell(self, one: str, other: str) -> str:
        peer = self.links.get((one, other))
        if one == other:
            return "<td></td>"
        if peer is None:
            return '<td class="unknown">?</td>'
        shade = OK if peer["alive"] else BAD
        age = "–" if peer["handshake_age"] is None else f"{peer['handshake_age']} s"
        latency = "–" if peer["latency"] is None else f"{peer['latency']:.1f} ms"
        if len(self.sites) > 12:  # the rest stands in the tooltip
            where = html.escape(f"{one} → {other}: {peer['endpoint'] or '–'} ({peer['endpoint_source']}), {age}")
            lost = f" −{peer['loss']} %" if peer.get("loss") else ""
            return f'<td class="{shade}" title="{where}">{latency + lost if peer["alive"] else "✕"}</td>'
        loss = "–" if peer.get("loss") is None else f"{peer['loss']} %"
        where = f"{peer['endpoint'] or '–'} {peer['endpoint_source']}"
        return f'<td class="{shade}">{latency} · {loss} · {age}<small>{html.escape(where)}</small></td>'

    def _card(self, name: str) -> str:
        told, shade = self.sites[name], self.health(name)
        if told is None:
            return f'<div class="card {shade}"><h3>{html.escape(name)}</h3>{self.say("unreachable")}</div>'
        status, rows = told["status"], []
        for item in status["gateway"]:
            lease = f"{item['address']}/{item['prefix']}" if item["address"] else "–"
            rows += [
                (html.escape(item["interface"]), html.escape(lease)),
                ("gateway", html.escape(item["gateway"] or "–")),
            ]
        for item in (status["ddns"] or {}).get("names", []):
            published = ", ".join(item.get("published") or []) or "–"
            rows.append(("ddns", html.escape(f"{item['name']} {published} ({item['provider']})")))
        for item in status["firewall"]:
            dropped = sum(count for key, count in item["packets"].items() if key.endswith("dropped"))
            state = self.say("held" if item["held"] else "watched") if item["loaded"] else self.say("open")
            rows.append(("firewall", f"{state}, {dropped} {self.say('dropped')}"))
        for item in status["mesh"]:
            rows += [(html.escape(item["interface"]), html.escape(item["address"] or "–"))]
            for key, external in (("peers", False), ("clients", True)):
                alive = [peer["alive"] for peer in item["peers"] if bool(peer.get("external")) == external]
                if alive or not external:
                    rows.append((key, f"{sum(alive)}/{len(alive)} {self.say('alive')}"))
        listed = "".join(f"<dt>{self.say(key) if key in _ROWS else key}</dt><dd>{value}</dd>" for key, value in rows)
        state = self.say("fine" if shade == OK else "faulty")
        return f'<div class="card {shade}"><h3>{html.escape(name)} <span class="{shade}">{state}</span></h3><dl>{listed}</dl></div>'

    def _duration(self, seconds: float) -> str:
        units = (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
        unit, length = next((each for each in units if seconds >= 2 * each[1]), units[-1])
        return f"{seconds // length:.0f} {self.say(unit)}"

    def _history(self) -> str:
        lines = []
        for (one, other), peer in self.links.items():
            if peer["heal"]:
                seconds, source = peer["heal"]["seconds"], html.escape(str(peer["heal"]["source"]))
                since = -1.0 if peer["since"] is None else peer["since"]
                ago = self._duration(since) if since >= 0 else "–"
                text = f"<td>{ago}</td><td>{html.escape(one)} → {html.escape(other)}</td>"
                lines.append((since, f"{text}<td>{self.say('healed')} {seconds:.1f} s ({source})</td>"))
        for name, told in self.sites.items():
            report = told["status"] if told else {"firewall": []}
            for item in report["firewall"]:
                for event in item["events"]:
                    since = max(0.0, report["time"] - event["time"])
                    lines.append(
                        (
                            since,
                            f"<td>{self._duration(since)}</td><td>{html.escape(name)}</td><td>{html.escape(event['what'])}</td>",
                        )
                    )
        lines.sort(key=lambda line: line[0])
        if not lines:
            return f"<p>{self.say('no_history')}</p>"
        rows = "".join(f"<tr>{text}</tr>" for _key, text in lines[:200])
        return (
            f'<div class="scroll lazy"><table><thead><tr><th>{self.say("ago")}</th><th></th><th></th></tr></thead>'
            f"<tbody>{rows}</tbody></table></div>"
        )


_ROWS = ("gateway", "ddns", "firewall", "peers", "clients")
