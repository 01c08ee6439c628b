#!/usr/bin/env bash
# The servers that heartbit is measured beside: Redis, etcd and ZooKeeper, of Debian's packages.
#
#   bench/servers.sh install        installs them (as root), without starting them
#   bench/servers.sh start FOLDER   starts those that are installed, on ports of the loopback, with their data in FOLDER;
#                                   prints a line for each, "NAME PORT PID VERSION", and for each that is missing "NAME missing"
#   bench/servers.sh stop FOLDER    ends those that were started there
set -euo pipefail

policy=/usr/sbin/policy-rc.d

install() {
  # Exit status 101 tells Debian's packages to start no services.
  local made=
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made=yes
  fi
  local status=0
  { apt-get update && apt-get install -y --no-install-recommends redis-server etcd-server zookeeper; } || status=$?
  if [[ -n $made ]]; then rm "$policy"; fi
  return "$status"
}

# Ports that are free now.
free_ports() {
  node -e '
    const servers = Array.from({ length: Number(process.argv[1]) }, () => require("node:net").createServer().listen(0, "127.0.0.1"));
    setImmediate(() => { console.log(servers.map((server) => server.address().port).join(" ")); process.exit(); });
  ' "$1"
}

wait_for_port() {
  for _ in $(seq 300); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
    sleep 0.1
  done
  echo "nothing listens on port $1" >&2
  return 1
}

# Starts a command in the background: launch NAME PORT VERSION COMMAND...
launch() {
  local name=$1 port=$2 version=$3
  shift 3
  "$@" >"$folder/$name.log" 2>&1 </dev/null &
  echo $! >"$folder/$name.pid"
  wait_for_port "$port"
  echo "$name $port $(<"$folder/$name.pid") $version"
}

start_redis() {
  local version
  version=$(redis-server --version | sed 's/.* v=\([^ ]*\).*/\1/')
  mkdir -p "$folder/redis-data"
  # Nothing is saved, and expiries and deletions are told: what presence needs.
  launch redis "$1" "$version" redis-server --port "$1" --bind 127.0.0.1 --dir "$folder/redis-data" \
    --save '' --appendonly no --notify-keyspace-events Exg --daemonize no
}

start_etcd() {
  local client=http://127.0.0.1:$1 peer=http://127.0.0.1:$2 version
  version=$(etcd --version | sed -n 's/etcd Version: //p')
  launch etcd "$1" "$version" etcd --name bench --data-dir "$folder/etcd-data" \
    --listen-client-urls "$client" --advertise-client-urls "$client" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "bench=$peer" \
    --quota-backend-bytes 8589934592 --log-level error
}

start_zookeeper() {
  local version
  version=$(dpkg-query -W -f '${Version}' zookeeper)
  mkdir -p "$folder/zookeeper-data"
  cat >"$folder/zoo.cfg" <<CONFIG
dataDir=$folder/zookeeper-data
clientPort=$1
clientPortAddress=127.0.0.1
tickTime=500
minSessionTimeout=1000
maxSessionTimeout=120000
maxClientCnxns=0
admin.enableServer=false
CONFIG
  launch zookeeper "$1" "$version" java -Xmx2g -cp "$folder:/usr/share/java/zookeeper.jar" \
    org.apache.zookeeper.server.quorum.QuorumPeerMain "$folder/zoo.cfg"
}

start() {
  folder=$1
  mkdir -p "$folder"
  read -r redis_port etcd_port etcd_peer_port zookeeper_port <<<"$(free_ports 4)"
  if command -v redis-server >/dev/null; then start_redis "$redis_port"; else echo "redis missing"; fi
  if command -v etcd >/dev/null; then start_etcd "$etcd_port" "$etcd_peer_port"; else echo "etcd missing"; fi
  if [[ -e /usr/share/java/zookeeper.jar ]] && command -v java >/dev/null; then
    start_zookeeper "$zookeeper_port"
  else
    echo "zookeeper missing"
  fi
}

stop() {
  local file pid
  for file in "$1"/*.pid; do
    [[ -e $file ]] || continue
    pid=$(<"$file")
    kill "$pid" 2>/dev/null || true
    rm "$file"
  done
}

case "${1:-}" in
  install) install ;;
  start) start "${2:?the folder is missing}" ;;
  stop) stop "${2:?the folder is missing}" ;;
  *)
    sed -n '2,8s/^# \?//p' "$0" >&2
    exit 2
    ;;
esac
