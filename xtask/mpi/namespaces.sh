#!/bin/sh
# Two hosts on one Linux machine: network namespaces with a link of a given rate between them, and Open MPI over TCP on it.
#
#   xtask/mpi/namespaces.sh [--rate 1gbit] [--cut SECONDS] RANKS PROGRAM ARGUMENT...
#
# Half of the ranks are on each host. --cut takes the link down after so many seconds, as a cable that is pulled out. Needs root, `ip` and `tc`.
set -eu

# As the agent in place of ssh: HOST COMMAND...
if [ "${SFUMATO_AGENT:-}" = 1 ]; then
    host=$1
    shift
    case $host in
    10.77.0.1) name=sfumato-a ;;
    10.77.0.2) name=sfumato-b ;;
    esac
    exec ip netns exec "$name" unshare --uts sh -c "hostname $name; $*"
fi

rate=1gbit
cut=
while :; do
    case $1 in
    --rate) rate=$2; shift 2 ;;
    --cut) cut=$2; shift 2 ;;
    *) break ;;
    esac
done
ranks=$1
shift
each=$(((ranks + 1) / 2))

cleared() {
    ip netns del sfumato-a 2>/dev/null || true
    ip netns del sfumato-b 2>/dev/null || true
}
cleared
trap cleared EXIT
ip netns add sfumato-a
ip netns add sfumato-b
ip link add sfumato-va netns sfumato-a type veth peer name sfumato-vb netns sfumato-b
for side in a b; do
    number=$([ $side = a ] && echo 1 || echo 2)
    ip -n sfumato-$side addr add "10.77.0.$number/24" dev sfumato-v$side
    ip -n sfumato-$side link set lo up
    ip -n sfumato-$side link set sfumato-v$side up
    ip netns exec sfumato-$side tc qdisc add dev sfumato-v$side root tbf rate "$rate" burst 256kb latency 50ms
done

hosts=$(mktemp)
printf '10.77.0.1 slots=%s\n10.77.0.2 slots=%s\n' "$each" "$each" >"$hosts"
if [ -n "$cut" ]; then
    (sleep "$cut"; echo "the link is down" >&2; ip -n sfumato-b link set sfumato-vb down) &
fi
export SFUMATO_AGENT=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_plm_rsh_agent="$(realpath "$0")"
export OMPI_MCA_btl=tcp,self,vader OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMPI_MCA_btl_tcp_if_include=10.77.0.0/24 OMPI_MCA_oob_tcp_if_include=10.77.0.0/24
export OMPI_MCA_oob_tcp_keepalive_time=10 OMPI_MCA_oob_tcp_keepalive_intvl=2 OMPI_MCA_oob_tcp_keepalive_probes=5
code=0
ip netns exec sfumato-a unshare --uts sh -c 'hostname sfumato-a; exec "$@"' sh \
    mpirun --bind-to none --hostfile "$hosts" -n "$ranks" -x RAYON_NUM_THREADS "$@" || code=$?
rm -f "$hosts"
exit $code
