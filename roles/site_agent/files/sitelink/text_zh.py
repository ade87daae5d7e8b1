# SPDX-License-Identifier: GPL-3.0-or-later
"""给使用者看的全部中文语句，按代码排列：doctor 的结论（哪里有故障、下一步做什么）和状态页。"""

_ONT = (
    "打开光猫后台的“网络—连接”，找您新建的那个连接：封装类型 IPoE，业务类型 其他，连接模式 桥接，VLAN ID 与 802.1p 和 TR069 连接相同，"
    "LAN端口绑定 在 {nic} 所插的口上。如果它不见了，请重新建立（docs/zh-CN/ont.md）。"
)

_CLOCK = (
    "校准时钟：timedatectl set-ntp true；没有宽带时用 date -s 加上时间。如果重启后又不对，把时间也写进硬件时钟（hwclock --systohc），"
    "并检查主板电池。DDNS 需要正确的时间。"
)

TEXT = {
    "no_fault": "未发现故障。",
    "to_do": "下一步",
    "detail": "所见",
    "layers": {
        "config": "配置", "nic": "网卡", "link": "网线", "dhcp": "DHCP", "lease": "租到的地址",
        "gateway": "网关", "rule": "规则与路由表", "rpfilter": "反向路径过滤", "firewall": "防火墙",
        "wireguard": "WireGuard", "peer": "对端站点", "udp": "站点之间的 UDP", "handshake": "握手",
        "route": "组网路由", "mtu": "包的大小（MTU）", "lan": "内网转发", "clock": "时钟", "dns": "DNS",
        "ddns": "域名记录", "exit": "借用其他站点上网",
    },
    "page": {
        "title": "组网状态",
        "made": "时间",
        "sum_sites": "个站点",
        "sum_unknown": "个没有应答",
        "sum_faults": "个故障",
        "sum_links": "条链路在线",
        "faults": "故障",
        "no_faults": "未发现故障。",
        "unreachable": "没有应答：控制机连不上这个站点，或还没有对它运行 ansible-playbook sitelink.tr069.site。",
        "more": " 等另外 {count} 个站点",
        "days": "天",
        "hours": "小时",
        "minutes": "分钟",
        "seconds": "秒",
        "picture": "全图",
        "matrix": "矩阵",
        "matrix_note": "从左边的站点到上边的站点：延迟、丢包、握手距今的时间、对端地址及其来源。",
        "sites": "站点",
        "history": "发生过的事",
        "no_history": "没有。",
        "ago": "距今",
        "healed": "自愈用时",
        "held": "关闭（锁定）",
        "watched": "关闭（看守）",
        "open": "敞开",
        "dropped": "个包被丢弃",
        "alive": "在线",
        "fine": "正常",
        "faulty": "故障",
        "gateway": "网关",
        "ddns": "域名记录",
        "firewall": "防火墙",
        "peers": "其他站点",
        "clients": "其他设备",
    },
    "findings": {
        "config_none": (
            "这个站点没有 sitelink 的配置。",
            "对它运行 ansible-playbook sitelink.tr069.site。",
        ),
        "config_bad": (
            "sitelink 的配置无法使用。",
            "对这个站点运行 ansible-playbook sitelink.tr069.site，它会重写 /etc/sitelink 下的文件。",
        ),
        "config_old": (
            "{unit} 还没有按写好的 {files} 运行：playbook 中途断了。",
            "对这个站点再运行一次 ansible-playbook sitelink.tr069.site，或在站点上输入：sitelink service {unit}。",
        ),
        "nic_missing": (
            "没有网卡 {nic}。",
            "用 ip -br link 查看。如果网卡叫别的名字，把它写进 tr069_interface 再运行 playbook；如果网卡不见了，检查它是否插好，或是否"
            "已接到虚拟机上。",
        ),
        "nic_off": (
            "{nic} 被关闭了。",
            "打开它：ip link set {nic} up。如果又被关闭，用 networkctl status {nic} 查是谁关的。",
        ),
        "link_none": (
            "{nic} 的网线没有信号。",
            "把网线插到光猫上已桥接的网口，确认光猫已开机，换一根网线试试。",
        ),
        "dhcp_none": (
            "{nic} 的网线有信号，但没有地址：没有人应答它的 DHCP 请求。",
            _ONT,
        ),
        "lease_outside": (
            "{nic} 的地址不属于 TR069 内网：它所插的光猫网口通向别的网络。",
            _ONT + "如果确定这就是 TR069 内网，把它的网段加进 tr069_networks。",
        ),
        "lease_wide": (
            "{nic} 地址的网段超出了 TR069 内网：去往别处的包也会被它带走。",
            _ONT + "如果整个网段都是 TR069 内网，把它加进 tr069_networks；否则就是运营商给的掩码不对。",
        ),
        "lease_two": (
            "{nic} 有不止一个 TR069 内网的地址。",
            "保留 DHCP 给的那个，删去其余的：ip -4 address show {nic}，ip address del ... dev {nic}。",
        ),
        "gateway_none": (
            "不知道 {nic} 的地址对应哪个网关：没有给出，也推不出来。",
            "询问运营商，或看光猫上的显示，为这个站点设置 tr069_gateway_source。",
        ),
        "gateway_silent": (
            "网关 {gateway} 在 {nic} 上没有应答。",
            "把光猫关机再开机。如果仍没有应答，在光猫后台核对您的桥接与 TR069 连接的 VLAN ID 和 802.1p；如果相同，就是运营商网络的故障。",
        ),
        "rule_missing": (
            "路由表 {table} 的规则或路由缺失，隧道无法从 {nic} 出去。",
            "重启它的守护进程：systemctl restart sitelink-gateway@{nic}。如果再次消失，查看是谁删的：journalctl -u sitelink-gateway@{nic}。",
        ),
        "rule_daemon": (
            "维护 {nic} 的规则与路由表的守护进程没有运行。",
            "启动它：systemctl start sitelink-gateway@{nic}。如果又停了，查看 journalctl -u sitelink-gateway@{nic}。",
        ),
        "rule_foreign": (
            "别的程序的规则或路由把隧道的包从 {nic} 带到了别处。",
            "删去它，或让那个程序不用路由表 {table}；“所见”里写明了是哪一条。",
        ),
        "rpfilter_drops": (
            "本机的反向路径过滤丢弃了对端发往 {address} 的包：因为应答不会从 {nic} 出去。",
            "找出把应答带往别处的规则（ip rule，编号小于 sitelink 的那条）并删去，或把过滤放宽：sysctl net.ipv4.conf.{nic}.rp_filter=2。",
        ),
        "firewall_open": (
            "{nic} 的防火墙不在位。",
            "加载它：systemctl restart sitelink-firewall-table@{nic} sitelink-firewall@{nic}。查看是谁删的："
            "journalctl -u sitelink-firewall@{nic}。",
        ),
        "firewall_daemon": (
            "没有人看守 {nic} 的防火墙：它的守护进程没有运行。",
            "启动它：systemctl start sitelink-firewall@{nic}。如果又停了，查看 journalctl -u sitelink-firewall@{nic}。",
        ),
        "firewall_foreign": (
            "本机的另一个防火墙丢弃了 {nic} 上 WireGuard 的包。",
            "它是其中之一：{others}。在那里放行 {nic} 的 UDP 22000 端口（或您设的 wireguard_mesh_port）。",
        ),
        "wireguard_none": (
            "WireGuard 接口 {interface} 不存在。",
            "启动它：systemctl restart wg-quick@{interface}。如果失败：systemctl status wg-quick@{interface}。",
        ),
        "wireguard_daemon": (
            "照看 {interface} 的对端的守护进程没有运行。",
            "启动它：systemctl start sitelink-mesh@{interface}。如果又停了，查看 journalctl -u sitelink-mesh@{interface}。",
        ),
        "wireguard_other": (
            "WireGuard 接口 {interface} 与配置不符。",
            "按“所见”去做，或对这个站点运行 ansible-playbook sitelink.tr069.site。",
        ),
        "peer_off": (
            "完全连不上 {peer}，它最后的地址 {endpoint} 没有应答。",
            "{peer} 和它的光猫开着吗？在那里运行 sitelink doctor。如果那里没有故障，就是运营商不让这两处互通。",
        ),
        "peers_off": (
            "其余 {count} 个站点全都连不上，而本站的网关有应答。",
            "把本站的光猫关机再开机。如果其他站点之间是通的，就是运营商隔离了本站。",
        ),
        "peer_unknown": (
            "不知道 {peer} 现在在哪里：没有在线的对端、域名或清单能说明。",
            "修复本站或 {peer} 的 DNS，或把它现在的地址写进 wireguard_mesh_endpoint_seeds。",
        ),
        "udp_blocked": (
            "{peer} 在 {endpoint} 有应答，但 WireGuard 的 UDP 包不通。",
            "在 {peer} 运行 sitelink doctor（那里有防火墙吗？）。如果没有发现，就是运营商封了这个 UDP 端口：给所有站点换一个 "
            "wireguard_mesh_port。",
        ),
        "udp_one_way": (
            "{peer} 的 WireGuard 包能到这里，这里发出的到不了 {endpoint}。",
            "在 {peer} 运行 sitelink doctor：那里的防火墙或运营商丢弃了发给它的包。",
        ),
        "handshake_key": (
            "{peer} 在呼叫，但两个站点的密钥不匹配，或者 {peer} 的时钟倒退了。",
            "先在那里运行 date 查看。再用同一个 wireguard_mesh_secret 对所有站点运行 ansible-playbook sitelink.tr069.site。",
        ),
        "route_elsewhere": (
            "发往 {peer} 后面 {network} 的包从 {nic} 出去，而没有走隧道。",
            "用 ip route get 和 ip rule 查看是哪条路由。删去它，或给两个网络之一换一个网段。",
        ),
        "mtu_hole": (
            "发往 {peers} 的大包丢失，小包能到。",
            "给所有站点设置更小的 wireguard_mesh_mtu，例如 1340，再运行 playbook。docs/zh-CN/ont.md 说明光猫在哪里显示 MTU。",
        ),
        "lan_forwarding": (
            "这台服务器没有把组网的包转发到它的内网 {network}。",
            "为这个站点设置 wireguard_mesh_lan_gateway: true 并运行 playbook；在此之前：sysctl net.ipv4.ip_forward=1。",
        ),
        "clock_behind": (
            "这台服务器的时钟慢了。其他站点会把它的握手当作旧握手的重复而不应答，除非对方先呼叫。",
            _CLOCK,
        ),
        "clock_ahead": (
            "这台服务器的时钟快了。",
            _CLOCK,
        ),
        "clock_differs": (
            "这台服务器与 {peer} 的时钟不一致，两者之一是错的。",
            "对照手表，在两处运行 date 查看。" + _CLOCK,
        ),
        "dns_silent": (
            "这台服务器的 DNS 服务器都没有应答。",
            "宽带通吗？查看 /etc/resolv.conf，并向路由器查询一个域名。没有 DNS 隧道照常工作，但本站的记录无法跟随地址。",
        ),
        "dns_rebind": (
            "DNS 服务器 {server} 从应答里去掉了私有地址（DNS 重绑定保护）。",
            "在那里放行您的域名（OpenWrt：DHCP/DNS 的域名白名单；dnsmasq：rebind-domain-ok），或换一个 DNS 服务器。",
        ),
        "ddns_daemon": (
            "没有人在公布本站的地址。",
            "启动它：systemctl start sitelink-ddns.timer。如果没有用，查看 journalctl -u sitelink-ddns。",
        ),
        "ddns_record": (
            "{name} 的记录是 {published}，但本站在 {address}。",
            "一分钟内会自动改正。如果一直不对，查看还有谁在改它：另一个 DDNS 程序，或第二条记录。",
        ),
        "ddns_refused": (
            "{provider} 不接受 {name} 的记录。",
            "看它说了什么。如果是令牌被拒绝，新建一个，用 ansible-vault edit 写入，再运行 playbook；其他情况会自动重试。",
        ),
        "ddns_servers": (
            "无法查询 {name} 所在区域的服务器。",
            "查看域名是否仍托管在 {provider}，以及途中是否有人代替它们应答。",
        ),
        "exit_gone": (
            "{uplink} 上的宽带不通，可以借用的站点也一个都连不上：{exits}。",
            "修复宽带，或把其中一个站点开机。wireguard_mesh_exits 里可以多写几个站点。",
        ),
        "exit_silent": (
            "{exit} 连得上，但经过它得不到互联网的任何应答。",
            "{exit} 自己的宽带通吗？在那里运行 sitelink doctor。那里的其他防火墙也可能丢弃了从 wg0 转发到宽带的包。",
        ),
        "exit_names": (
            "已借用其他站点上网，但域名仍在向没有应答的服务器查询。",
            "按下面所见的去做；或把 wireguard_mesh_exit_resolvers 设为 []，并给这台服务器配置互联网上的 DNS 服务器。",
        ),
        "exit_rules": (
            "通往其他站点上网的路由没有就位。",
            "按下面所见的去做。如果不行：systemctl restart sitelink-mesh@{interface}。",
        ),
        "exit_forwarding": (
            "wireguard_mesh_exit_for 里写了 {peer}，但这台服务器不把它的包转发到互联网。",
            "对这个站点运行 ansible-playbook sitelink.tr069.site；在那之前可用 sysctl net.ipv4.ip_forward=1。如果是它自己的宽带不通，请修复"
            "宽带。",
        ),
    },
}
