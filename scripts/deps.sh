#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Install the Debian packages that a job needs and that are missing.  With nothing missing it takes a
# tenth of a second, needs no rights, and asks no network.
#
#   scripts/deps.sh [-n] SET...      SET: build, check, demo, bench or deb; -n: only list what is missing
#
# What it leaves alone: Debian's postgresql-15 makes and starts a cluster "main" when it is installed,
# and other packages here (pmacct, softflowd, nfdump) start daemons.  While apt runs, a drop-in for
# pg_createcluster says create_main_cluster = false and a policy-rc.d keeps every service as it is,
# running or not; both files are gone afterwards.  So this neither makes nor touches a cluster.
set -eu

build="gcc make libc6-dev libev-dev libmaxminddb-dev libpq-dev libxxhash-dev postgresql-15 postgresql-server-dev-15"
tools="libpcap-dev"
# Node.js, from wherever it is.
npm=
command -v npm >/dev/null 2>&1 || npm="nodejs npm"
packages_of() {
	case $1 in
		build) echo "$build" ;;
		check) echo "$build $tools binutils clang libclang-rt-14-dev libcmocka-dev libipc-run-perl" \
			"faketime iproute2 libjansson-dev mmdb-bin nfdump $npm perl postgresql-15-hll postgresql-15-tdigest procps" \
			"pmacct softflowd tshark" ;;
		demo) echo "$build $tools perl-base procps softflowd" ;;
		deb) echo "$build $tools debhelper dpkg-dev fakeroot help2man postgresql-server-dev-all" ;;
		bench) echo "$build $tools mawk nfdump pmacct procps python3" ;;
		*) return 1 ;;
	esac
}

dry_run=
if [ "${1:-}" = -n ]; then
	dry_run=1
	shift
fi
wanted=
for set in "$@"; do
	wanted="$wanted $(packages_of "$set")" || {
		echo "usage: $0 [-n] build|check|demo|bench|deb ..." >&2
		exit 2
	}
done

if ! command -v dpkg-query >/dev/null 2>&1; then
	echo "deps: this is not a Debian system: what is needed here is called there:$wanted" >&2
	exit 0
fi
missing=
for package in $(printf '%s\n' $wanted | sort -u); do
	case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) in
		installed*) ;;
		*) missing="$missing $package" ;;
	esac
done
missing=${missing# }
if [ -n "$dry_run" ]; then
	printf '%s\n' $missing
	exit 0
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "deps: these packages are missing, and only root can install them:" >&2
	echo "    apt-get install --no-install-recommends $missing" >&2
	exit 1
fi

no_cluster=/etc/postgresql-common/createcluster.d/backstream-deps.conf
policy=/usr/sbin/policy-rc.d
made_directories=
made_policy=
pid=
log=
clean_up() {
	status=$?
	# Were apt to go on without these files, it would make a cluster.
	[ -z "$pid" ] || wait "$pid" || true
	rm -f "$no_cluster" "$log"
	for directory in $made_directories; do
		rmdir "$directory" 2>/dev/null || true
	done
	[ -z "$made_policy" ] || rm -f "$policy"
	exit $status
}
trap clean_up EXIT
trap 'exit 130' INT TERM

for directory in /etc/postgresql-common /etc/postgresql-common/createcluster.d; do
	[ -d "$directory" ] || made_directories="$directory $made_directories"
done
mkdir -p "$(dirname "$no_cluster")"
echo "create_main_cluster = false" >"$no_cluster"
if [ ! -e "$policy" ]; then
	made_policy=1
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

echo "deps: installing $missing"
export DEBIAN_FRONTEND=noninteractive
install() {
	# shellcheck disable=SC2086
	apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 \
		-o Dpkg::Options::=--force-confold $missing </dev/null
}
log=$(mktemp)
# A dot a second.
with_dots() {
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		sleep 1
		printf .
	done
	wait $pid && result=0 || result=$?
	echo
	return $result
}
update_and_install() { apt-get update && install; }
# A fresh machine has no package lists, an old one lists of packages that are gone.
if ! with_dots install; then
	echo "deps: fetching the package lists"
	with_dots update_and_install || {
		tail -20 "$log" >&2
		echo "deps: apt-get could not install $missing" >&2
		exit 1
	}
fi
