//! The network's own noise and malice: what multicast DNS brings, to a node that announces itself and a router that looks.

/// A network of its own, with a node and a router on it.
const NETWORK: &str = r#"
set -eu
ip link set lo up
ip link add lan type veth peer name wire
ip link set wire up
ip addr add 10.99.0.1/24 dev lan
ip link set lan up multicast on
cd "$FOLDER"
begin() {
    rm -f node/daemon.json router/daemon.json
    "$AIRLANE" run --node --config node.toml --data node 2>>node.log & node=$!
    "$AIRLANE" run --config router.toml --data router 2>>router.log & router=$!
    for daemon in node router; do
        for _ in $(seq 500); do [ -e $daemon/daemon.json ] && break; sleep 0.02; done
    done
}
end() { kill $node $router; wait $node $router || true; }
trap end EXIT
begin
list() { "$AIRLANE" node list --url http://127.0.0.1:7485; }
"#;

/// Somebody sends what he likes to everybody.
const NOISE: &str = r#"
rss() { awk '/VmRSS/ {print $2}' /proc/$node/status; }
python3 flood.py malformed
echo "before $(rss)"
python3 flood.py names & flood=$!
for _ in 1 2 3; do list >>flooded.txt || true; done
wait $flood
python3 flood.py records
for _ in $(seq 500); do grep -q 'floods the network' node.log && break; sleep 0.02; done
echo "after $(rss)"
curl -sf http://127.0.0.1:6484/healthz >/dev/null
curl -sf http://127.0.0.1:7484/healthz >/dev/null
for _ in $(seq 20); do list >calm.txt && grep -q far-box calm.txt && break; done
cat calm.txt
"#;

/// Node and router come back at other addresses, both at once.
const MOVE: &str = r#"
code=$("$AIRLANE" node code --url http://127.0.0.1:6485 | cut -d' ' -f1)
"$AIRLANE" node pair 10.99.0.1:6484 "$code" --url http://127.0.0.1:7485
for _ in $(seq 20); do list >before.txt; grep -q 'reports' before.txt && break; done
cat before.txt
end
sed -i 's/:6484/:6584/' node.toml
sed -i 's/:7484/:7584/' router.toml
begin
for _ in $(seq 20); do list >after.txt; grep -q '6584: reports' after.txt && break; done
cat after.txt
"$AIRLANE" node status --url http://127.0.0.1:6485
"#;

/// Sends packets that no good program sends. The names and numbers are its own, so that each run is the same.
const FLOOD: &str = r#"
import random, socket, struct, sys
lan = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
lan.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
lan.bind(("10.99.0.1", 5353))
lan.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.99.0.1"))
lan.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
send = lambda packet: lan.sendto(packet, ("224.0.0.251", 5353))
name = lambda text: b"".join(bytes([len(p)]) + p.encode() for p in text.split(".")) + b"\0"
head = lambda answers, flags=0x8400: struct.pack("!6H", 0, flags, 0, answers, 0, 0)
record = lambda owner, kind, data: name(owner) + struct.pack("!HHIH", kind, 0x8001, 4500, len(data)) + data
PTR, SRV, TXT, A = 12, 33, 16, 1
service = "_airlane._tcp.local"

def text(*facts):
    return b"".join(bytes([len(f)]) + f.encode() for f in facts)

def node(at, more=()):
    instance, host = f"evil{at}.{service}", f"evil{at}.local"
    facts = text("role=node", f"name=evil{at}", "version=" + "9" * 200, *more)
    return (head(4) + record(service, PTR, name(instance)) + record(instance, TXT, facts)
            + record(instance, SRV, struct.pack("!3H", 0, 0, 80) + name(host)) + record(host, A, bytes([10, 99, 0, 7])))

def malformed():
    chance = random.Random(7)
    good = node(0)
    for at in range(len(good)):
        send(good[:at])
    for _ in range(2000):
        send(bytes(chance.randrange(256) for _ in range(chance.randrange(1, 300))))
        broken = bytearray(good)
        for _ in range(4):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        send(bytes(broken))
    for flags in (0x8400, 0):
        loop = struct.pack("!6H", 0, flags, 0xffff, 0xffff, 0xffff, 0xffff)
        send(loop + b"\xc0\x0c" + b"\0\x0c\0\1")
        send(loop + b"\xc0\x0e\xc0\x0c" * 300)
        send(loop + b"\x3f" * 1400)
    for _ in range(50):
        send(node(1, ["x" * 250] * 30))

def names():
    for at in range(4000):
        send(node(at))

def records():
    # Three times what is kept, again and again, with an owner for each: nothing that anybody has asked for.
    for round in range(40):
        for packet in range(30):
            owners = [f"r{round}p{packet}n{at}.local" for at in range(25)]
            send(head(25) + b"".join(record(owner, A, bytes([10, 99, 1, at])) for at, owner in enumerate(owners)))

{"malformed": malformed, "names": names, "records": records}[sys.argv[1]]()
"#;

/// Runs a script with a node and a router in a network of their own; gives what it told, and all there is to say when that
/// is wrong.
fn run(folder: &std::path::Path, script: &str) -> (String, String) {
    let config = |name: &str, port: u16, more: &str| {
        let text = format!(
            "[endpoint]\nlisten = [\"0.0.0.0:{port}484\"]\n[console]\nlisten = [\"127.0.0.1:{port}485\"]\n\
             [discovery]\nenabled = false\n{more}"
        );
        std::fs::write(folder.join(name), text).expect("written");
    };
    config("node.toml", 6, "[node]\nname = \"far-box\"\n");
    config("router.toml", 7, "");
    std::fs::write(folder.join("flood.py"), FLOOD).expect("written");
    let output = std::process::Command::new("unshare")
        .args(["--net", "bash", "-c", &format!("{NETWORK}{script}")])
        .env("AIRLANE", airlane_tests::programs::airlane())
        .env("FOLDER", folder)
        .output()
        .expect("unshare cannot be started");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let all = format!("{told}\n{errors}\n{}\n{}", log(folder, "node.log"), log(folder, "router.log"));
    println!("{told}");
    assert!(output.status.success(), "{all}");
    (told, all)
}

fn log(folder: &std::path::Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_default()
}

#[test]
fn malformed_packets_and_floods_end_neither_node_nor_router() {
    let folder = tempfile::tempdir().expect("a folder");
    let (told, all) = run(folder.path(), NOISE);
    assert!(told.contains("far-box at 10.99.0.1:6484: not paired"), "the node is found after it: {all}");
    assert!(log(folder.path(), "node.log").contains("floods the network"), "what was kept was not bounded: {all}");
    let flooded = log(folder.path(), "flooded.txt");
    let shown = flooded.lines().filter(|line| line.starts_with("evil")).count();
    assert!(shown > 0, "the flood has reached nobody: {all}");
    assert!(shown <= 3 * 64, "{shown} names were shown in three lists");
    for line in flooded.lines() {
        assert!(line.len() < 200, "{line}");
    }
}

#[test]
fn a_node_and_a_router_that_both_move_find_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let (told, all) = run(folder.path(), MOVE);
    for want in ["far-box at 10.99.0.1:6484: reports", "far-box at 10.99.0.1:6584: reports", "at 10.99.0.1:7584"] {
        assert!(told.contains(want), "{want}: {all}");
    }
    assert!(!told.contains("not paired"), "one of ours is not offered to be paired: {all}");
}
