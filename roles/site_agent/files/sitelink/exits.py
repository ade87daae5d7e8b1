# SPDX-License-Identifier: GPL-3.0-or-later
"""Internet through another site: when, by which one, and the routes that lead there.

The own broadband is judged by echo requests through its NIC, the exit in use by echo requests through the tunnel. Who
carries 0.0.0.0/0 in WireGuard's AllowedIPs follows from what is decided here, one exit at a time (overlay.load_conf()).
What is owned, for a table T and a priority P, and only while another site's internet is used:

- in T: `default dev wg0`, and behind it `unreachable default`, so that nothing falls through while wg0 is made anew;
- the rules `pref P oif UPLINK lookup main`, for the echo requests, and `pref P from ADDRESS lookup main` for each address of
  the uplink: whoever reaches this site there, an operator perhaps, is answered there;
- the rule `pref P lookup main suppress_prefixlength 0`: the LAN, the overlay and whatever else has a route of its own;
- the rule `pref P+1 not fwmark MARK lookup T`: all that is left, but WireGuard's own packets.

T is never the underlay's table: a program that takes the mark's number for a table would lead the tunnel into itself.
"""

from . import config, gateway, icmp, log, netlink, overlay, state

ANSWER_SECONDS = 1  # that the targets have to answer
GOOD_SECONDS, BAD_SECONDS, DOWN_SECONDS = 2, 1, 2  # between rounds: all is well, something is not, known to be down
THROUGH_AFTER = 0.3  # before the first round through an exit: WireGuard has to know it
BAD_ROUNDS = 3  # in a row, until the broadband or an exit is taken for dead
FAILED_SECONDS = 60  # that an exit which failed comes after all others
LAST_TURN = 8  # times BAD_ROUNDS at most that an exit has, where all have failed and take turns
RETRY_SECONDS = 1  # after the kernel refused something
NAMES_SECONDS, NAMES_LONGEST = 5, 60  # that `sitelink names` has to do what it was told, and the longest when it was told again
GRACE_SECONDS = 10  # without any exit, before the own broadband is tried again; wg-quick may be at work


class Line:
    """Whether the own broadband works, with hysteresis both ways. Times are of the monotonic clock."""

    def __init__(self, up=True):
        self.up, self.bad, self.good_since = up, 0, None

    def heard(self, good, now, return_after):
        """The result of a round."""
        if not good:
            self.bad, self.good_since = self.bad + 1, None
            self.up = self.up and self.bad < BAD_ROUNDS
            return
        self.bad = 0
        if self.good_since is None:
            self.good_since = now
        self.up = self.up or now - self.good_since >= return_after

    def pause(self):
        """Seconds from the beginning of a round to that of the next."""
        if self.bad and self.up:
            return BAD_SECONDS
        return GOOD_SECONDS if self.up else DOWN_SECONDS


def choose(sites, alive, current, failed, now):
    """The exit to use, or None: the one in use while it works, else the first that lives and did not fail just now.

    failed: {name: when}. Where all have failed, they take turns.
    """
    living = [name for name in sites if name in alive]
    good = [name for name in living if name not in failed or now - failed[name] >= FAILED_SECONDS]
    if current in good:
        return current
    return good[0] if good else min(living, key=lambda name: failed[name]) if living else None


class Round:
    """One echo request to each target through an interface. Calls back with whether one of them answered."""

    def __init__(self, loop, interface, targets, callback):
        self.loop, self.targets, self.callback = loop, targets, callback
        self.echo, sent = None, False
        try:
            self.echo = icmp.Echo(interface)
            loop.watch(self.echo, self.on_answer)
            for target in targets:
                sent = self.echo.send(target) or sent
        except OSError:
            pass  # there is no such interface now
        self.timer = loop.after(ANSWER_SECONDS if sent else 0, self.end)

    def on_answer(self):
        if self.echo is None:  # ended in this very turn of the loop
            return
        answer = self.echo.receive()
        if answer is not None and answer[0] in self.targets:
            self.end(True)

    def end(self, good=False):
        callback = self.callback
        self.cancel()
        if callback is not None:
            callback(good)

    def cancel(self):
        self.callback = None
        self.timer.cancel()
        if self.echo is not None:
            self.loop.unwatch(self.echo)
            self.echo.close()
            self.echo = None


class Rounds:
    """Rounds through an interface until they are stopped; callback(good) returns the seconds from one to the next."""

    def __init__(self, loop, clock, interface, targets, callback, delay=0):
        self.loop, self.clock, self.callback = loop, clock, callback
        self.interface, self.targets = interface, targets
        self.round, self.stopped = None, False
        self.started = clock()
        self.timer = loop.after(delay, self.begin)

    def begin(self):
        self.timer = None
        self.started = self.clock()
        self.round = Round(self.loop, self.interface, self.targets, self.on_end)

    def on_end(self, good):
        self.round = None
        pause = self.callback(good)
        if not self.stopped:
            self.next(pause)

    def next(self, pause):
        self.timer = self.loop.after(max(0.0, self.started + pause - self.clock()), self.begin)

    def hurry(self):
        """Something happened: the next round begins soon."""
        if self.timer is not None:
            self.timer.cancel()
            self.next(BAD_SECONDS)

    def stop(self):
        self.stopped = True
        for item in (self.round, self.timer):
            if item is not None:
                item.cancel()
        self.round = self.timer = None


class Exits:
    """The decision, its routes, and what `sitelink status` shows of them.

    told: report() of the process before this one; changed(): AllowedIPs and routes have to follow; doubt(name): that peer is
    to prove that it lives.
    """

    def __init__(self, loop, kernel, clock, changed, doubt, told):
        self.loop, self.kernel, self.clock, self.changed, self.doubt = loop, kernel, clock, changed, doubt
        self.cfg = None
        self.name = told.get("site")  # of the exit in use
        self.routed = bool(told.get("routed"))
        self.line = Line(up=not self.routed)
        self.since = told.get("since")
        self.before = (told.get("table"), told.get("priority"))  # of the configuration before this one
        self.failed, self.bad, self.turns, self.last_exit = {}, 0, 0, clock()
        self.alive = None  # not known yet
        self.own = self.through = None  # Rounds by the own broadband and through the exit
        self.errors, self.retry = [], None
        self.asked = None  # Timer: whether the system's names are what was told

    @property
    def address(self):
        """The overlay address of the exit in use, or None."""
        if self.cfg is None or self.cfg.exit is None or not self.name:
            return None
        return next((peer.address for peer in self.cfg.peers if peer.name == self.name), None)

    def configure(self, cfg):
        """A new plan."""
        for rounds in (self.own, self.through):
            if rounds is not None:
                rounds.stop()
        self.own = self.through = None
        self.cfg, use = cfg, cfg.exit
        if self.before[0] and self.before != ((use.table, use.priority) if use else None):
            self.attempt(lambda: remove(self.kernel, *self.before))
        self.before = (use.table, use.priority) if use else (None, None)
        if use is None:
            self.name, self.routed, self.errors = None, False, []
            self.tell_names(None)
            return
        if self.name not in use.sites:
            self.name = None
        if use.when == config.BROADBAND_DOWN:
            self.own = Rounds(self.loop, self.clock, cfg.uplink, use.targets, self.on_own)
        if self.name:
            self.look_through()
        if self.alive is not None:
            self.decide(self.alive)

    def look_through(self):
        """Watch the exit in use."""
        if self.through is not None:
            self.through.stop()
        self.bad, self.through = 0, None
        if self.name:
            targets = self.cfg.exit.targets
            self.through = Rounds(
                self.loop, self.clock, self.cfg.interface, targets, self.on_through, THROUGH_AFTER
            )

    def on_own(self, good):
        before = self.line.up
        self.line.heard(good, self.clock(), self.cfg.exit.return_after)
        if before != self.line.up:
            word = "works again" if self.line.up else "does not work"
            log.log(log.WARNING, "the broadband by %s %s" % (self.cfg.uplink, word))
            self.decide(self.alive or set())
        return self.line.pause()

    def on_through(self, good):
        if good:
            self.bad = self.turns = 0
            self.failed.pop(self.name, None)
            return GOOD_SECONDS
        self.bad += 1
        if self.bad >= BAD_ROUNDS * min(1 + self.turns, LAST_TURN):
            name, news = self.name, self.name not in self.failed
            self.failed[name], self.bad = self.clock(), 0
            if news:
                log.log(log.WARNING, "no answer from the internet through %s" % name)
                self.doubt(name)
            else:
                self.turns += 1
            self.decide(self.alive or set())
        return DOWN_SECONDS if self.turns else BAD_SECONDS

    def decide(self, alive):
        """alive: the names of the peers that are alive."""
        for name in alive - (self.alive or set()):  # what came back deserves a fresh look, at once if nothing else works
            self.failed.pop(name, None)
            if self.name in self.failed:
                self.failed[self.name] = self.clock()
        self.alive = alive
        if self.cfg is None or self.cfg.exit is None:
            return
        use, now = self.cfg.exit, self.clock()
        away = use.when == config.ALWAYS or not self.line.up
        name = choose(use.sites, alive, self.name, self.failed, now) if away else None
        if name:
            self.last_exit = now
        routed = away and (use.when == config.ALWAYS or bool(name) or (self.routed and now - self.last_exit < GRACE_SECONDS))
        if (name, routed) == (self.name, self.routed):
            return
        if name != self.name:
            log.log(log.INFO, "the internet is reached %s" % ("through %s" % name if name else "by no other site"))
            self.since = now
        moved = name != self.name
        self.name, self.routed = name, routed
        if moved:
            self.look_through()
        self.changed()

    def concerns(self, event):
        """Whether a change of the kernel's is about what is owned here, or about the own broadband."""
        if self.cfg is None or self.cfg.exit is None:
            return False
        use, item = self.cfg.exit, event.item
        if event.kind == "rule":
            return item.priority in (use.priority, use.priority + 1)
        if event.kind == "route":
            return item.table == use.table or (item.table == netlink.MAIN_TABLE and item.dst == overlay.INTERNET)
        if event.kind == "link":
            return item.name == self.cfg.uplink
        link = self.kernel.link(self.cfg.uplink)
        return link is not None and item.index == link.index

    def on_event(self, event):
        self.apply()
        if self.own is not None and event.kind != "rule":
            self.own.hurry()

    def apply(self):
        """Bring table and rules to what is decided."""
        if self.cfg is None or self.cfg.exit is None:
            return
        self.errors = []
        self.attempt(self._apply)
        link = self.kernel.link(self.cfg.interface)
        self.tell_names(link.index if link is not None and self.routed and self.name else None)

    def _apply(self):
        routes, rules = wanted(self.kernel, self.cfg) if self.routed else ([], [])
        use = self.cfg.exit
        bring(self.kernel, use.table, use.priority, routes, rules)

    def attempt(self, action):
        try:
            action()
        except OSError as error:
            self.errors = ["the kernel refused a route or rule to the exit: %s" % error.strerror]
            log.log(log.WARNING, self.errors[0])
            if self.retry is not None:  # one for all that was refused
                self.retry.cancel()
            self.retry = self.loop.after(RETRY_SECONDS, self.changed)

    def tell_names(self, index):
        """Let `sitelink names` know who is to be asked. index: of wg0 while the internet is reached through it."""
        path, use = config.run_path("names", self.cfg.interface, "json"), self.cfg.exit
        told = state.read_json(path)
        resolvers = use.resolvers if use is not None and index is not None else []
        if told or use is not None:  # after a boot too: to put back what that found
            state.publish(path, {"resolvers": resolvers, "index": index, "turn": told.get("turn", 0)})
        if self.asked is None and self.unheard():
            self.asked = self.loop.after(NAMES_SECONDS, lambda: self.tell_again(NAMES_SECONDS))

    def unheard(self):
        """What `sitelink names` was told and did not do yet, or {}."""
        told, done = (state.read_json(config.run_path(name, self.cfg.interface, "json")) for name in ("names", "named"))
        return told if told.get("resolvers", []) != done.get("resolvers", []) else {}

    def tell_again(self, seconds):
        """systemd does not look at a path while what it started for that path runs: a change of then is lost."""
        told = self.unheard()
        self.asked = None
        if told:
            state.publish(config.run_path("names", self.cfg.interface, "json"), dict(told, turn=told.get("turn", 0) + 1))
            seconds = min(2 * seconds, NAMES_LONGEST)
            self.asked = self.loop.after(seconds, lambda: self.tell_again(seconds))

    def report(self):
        """For the daemon's status file, or None."""
        if self.cfg is None or self.cfg.exit is None:
            return None
        use = self.cfg.exit
        return {
            "when": use.when,
            "uplink": self.cfg.uplink,
            "broadband": None if use.when == config.ALWAYS else "up" if self.line.up else "down",
            "site": self.name,
            "address": self.address,
            "routed": self.routed,
            "since": self.since,
            "sites": {name: self.judge(name) for name in use.sites},
            "reason": self.reason(),
            "table": use.table,
            "priority": use.priority,
        }

    def judge(self, name):
        if name not in (self.alive or ()):
            return "silent"
        if name in self.failed and (name == self.name or self.clock() - self.failed[name] < FAILED_SECONDS):
            return "failed"
        return "used" if name == self.name else "ready"

    def reason(self):
        use = self.cfg.exit
        if self.errors:
            return self.errors[0]
        if use.when == config.BROADBAND_DOWN and self.line.up:
            return ""
        what = "" if use.when == config.ALWAYS else "the broadband by %s does not work, and " % self.cfg.uplink
        if self.name is None:
            return what + "none of the exits is reached (wireguard_mesh_exits): %s" % ", ".join(use.sites)
        if self.judge(self.name) == "failed":
            return what + "nothing of the internet answers through the exits that are reached: %s" % ", ".join(
                name for name in use.sites if name in (self.alive or ())
            )
        return ""


def wanted(kernel, cfg):
    """The routes and rules while the internet is reached through another site. Raises OSError."""
    use = cfg.exit
    link, uplink = kernel.link(cfg.interface), kernel.link(cfg.uplink)
    backstop = netlink.Route(
        overlay.INTERNET, use.table, gateway.HELD, netlink.UNREACHABLE, 0, gateway.BACKSTOP_METRIC, None, None, None, 0, 0
    )
    routes = [backstop]
    if link is not None and link.up:
        routes.append(
            backstop._replace(
                protocol=config.PROTOCOL, type=netlink.UNICAST, scope=netlink.SCOPE_LINK, metric=0, oif=link.index
            )
        )
    to_main = netlink.Rule(
        use.priority, overlay.INTERNET, overlay.INTERNET, 0, 0, netlink.MAIN_TABLE, gateway.HELD, 1, netlink.NO_DEFAULT
    )
    rules = [to_main]
    if cfg.uplink:
        rules.append(to_main._replace(extra=netlink.bound_to(cfg.uplink)))
    if uplink is not None:
        addresses = sorted({item.address for item in kernel.addresses(uplink.index)})
        rules += [to_main._replace(src=address + "/32", extra=()) for address in addresses]
    away = to_main._replace(priority=use.priority + 1, table=use.table, extra=())
    if cfg.fwmark:
        away = away._replace(mark=cfg.fwmark, mask=0xFFFFFFFF, extra=netlink.NOT)
    return routes, rules + [away]


def bring(kernel, table, priority, routes, rules):
    """Add what is missing and take away what is not wanted any more, in an order that leads no packet astray."""
    present_routes = [route for route in kernel.routes(table) if route.protocol in gateway.OWN]
    present_rules = own_rules(kernel, table, priority)
    for route in routes:
        if not any(gateway.same_route(route, other) for other in present_routes):
            kernel.replace_route(route)
    plain = [rule._replace(protocol=None) for rule in present_rules]
    for rule in rules:  # the one that leads away is the last
        if rule._replace(protocol=None) not in plain:
            kernel.add_rule(rule)
    kept = [rule._replace(protocol=None) for rule in rules]
    for rule in sorted(present_rules, key=lambda rule: rule.table != table):
        if rule._replace(protocol=None) not in kept:
            kernel.delete_rule(rule)
    for route in present_routes:
        if not any(gateway.same_route(route, other) for other in routes):
            kernel.delete_route(route)


def own_rules(kernel, table, priority):
    """The rules at the two priorities that are ours."""
    return [
        rule
        for rule in kernel.rules()
        if (rule.priority == priority and rule.table == netlink.MAIN_TABLE)
        or (rule.priority == priority + 1 and rule.table == table)
        if rule.protocol in (None,) + gateway.OWN
    ]


def remove(kernel, table, priority):
    """Take away all that is owned. Raises OSError."""
    bring(kernel, table, priority, [], [])


def refusals(kernel, cfg):
    """Why the site cannot use an exit, or be one, as configured; a list of sentences."""
    found, use = [], cfg.exit
    if use is None and not cfg.exit_for:
        return found
    names = {link.index: link.name for link in kernel.links()}
    defaults = [
        names[route.oif] for route in kernel.routes(netlink.MAIN_TABLE) if route.dst == overlay.INTERNET and route.oif in names
    ]
    if cfg.uplink not in defaults and defaults:
        found.append(
            "wireguard_mesh_uplink is %s, but the default route of this site leads by %s; write that there"
            % (cfg.uplink, defaults[0])
        )
    if use is None:
        return found
    for route in kernel.routes(use.table):
        if route.protocol not in gateway.OWN:
            found.append(
                "table %d (wireguard_mesh_exit_table) holds a route that is not sitelink's: %s; write another number there"
                % (use.table, gateway.describe_route(route))
            )
    ours = own_rules(kernel, use.table, use.priority)
    for rule in kernel.rules():
        if rule not in ours and (rule.table == use.table or rule.priority in (use.priority, use.priority + 1)):
            found.append(
                "another rule has the table or the priority of the exit: %s; write another wireguard_mesh_exit_table or "
                "wireguard_mesh_exit_rule_priority" % gateway.describe_rule(rule)
            )
    return found
