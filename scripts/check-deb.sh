#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# The packages of `make deb` in a Debian 12 that has nothing else: installed, used as their README.Debian says,
# replaced by a next version while in use, tested with the regression scripts, removed.  Last line: "N passed, N failed", or SKIPPED and why.
#
#   scripts/check-deb.sh
#
# As root.  debootstrap makes the root under $TMPDIR; what runs in it is in a process namespace of its own, so
# that nothing is left when this ends.  BACKSTREAM_DEB_ROOT=FOLDER keeps the plain root there and takes it
# from there the next time.  Minutes, and some 200 MB from the mirror: not a part of make check.
set -u
cd "$(dirname "$0")/.." || exit 1
here=$PWD
mirror=${BACKSTREAM_MIRROR:-http://deb.debian.org/debian}
[ "$(id -u)" -eq 0 ] || { echo "SKIPPED: a root of its own needs to be made by root"; exit 0; }
work=$(mktemp -d "${TMPDIR:-/tmp}/backstream-check-deb-XXXXXX") || exit 1
chmod 755 "$work"
root=$work/root
passed=0
failed=0
finish() {
	if mountpoint -q "$root/proc"; then umount "$root/proc"; fi
	# What is mounted there is never emptied.
	if ! grep -q " $work/" /proc/mounts; then rm -rf "$work"; fi
}
trap finish EXIT
trap 'exit 130' INT TERM

check() {
	if [ "$2" = 0 ]; then
		passed=$((passed + 1))
		echo "ok - $1"
	else
		failed=$((failed + 1))
		echo "not ok - $1"
		tail -n 40 "$work/log" | sed 's/^/    /'
	fi
}

# in_root SECONDS COMMAND: in the root, with a /proc and processes of its own, which end with it.
in_root() {
	timeout "$1" unshare --mount --pid --net --fork --kill-child --mount-proc="$root/proc" -- \
		chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive sh -euc "$2" >"$work/log" 2>&1 </dev/null
}
# The same, with the machine's network: for apt.
in_root_online() {
	timeout "$1" unshare --mount --pid --fork --kill-child --mount-proc="$root/proc" -- \
		chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive sh -euc "$2" >"$work/log" 2>&1 </dev/null
}
files() { find "$root/etc" "$root/usr" "$root/lib" "$root/opt" -iname '*backstream*' 2>/dev/null; }

command -v debootstrap >/dev/null || apt-get install -y --no-install-recommends debootstrap >/dev/null 2>&1
command -v debootstrap >/dev/null || { echo "SKIPPED: there is no debootstrap"; exit 0; }
unshare --mount --pid --net --fork true 2>/dev/null || { echo "SKIPPED: namespaces are not permitted here"; exit 0; }

if [ -e "${BACKSTREAM_DEB_ROOT:-/nonexistent}/etc/debian_version" ]; then
	cp -a "$BACKSTREAM_DEB_ROOT" "$root"
elif ! timeout 600 debootstrap --variant=minbase bookworm "$root" "$mirror" >"$work/log" 2>&1; then
	tail -n 3 "$work/log"
	echo "SKIPPED: debootstrap from $mirror did not work"
	exit 0
elif [ -n "${BACKSTREAM_DEB_ROOT:-}" ]; then
	cp -a "$root" "$BACKSTREAM_DEB_ROOT"
fi
rm -f "$root"/etc/apt/sources.list.d/*
for suite in bookworm bookworm-updates; do echo "deb $mirror $suite main"; done >"$root/etc/apt/sources.list"
case $mirror in
	*/debian) echo "deb ${mirror}-security bookworm-security main" >>"$root/etc/apt/sources.list" ;;
esac
[ ! -e /etc/resolv.conf ] || cp -L /etc/resolv.conf "$root/etc/resolv.conf"
# As in any container: packages start no service.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

# The regression scripts come below, in the root.
DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-nocheck}" make --no-print-directory deb >"$work/log" 2>&1
check "make deb" $?
[ $failed -eq 0 ] || exit 1
# The tree may change while this runs: tests are those of the archive that the packages were built of.
mkdir "$work/source" && tar -xzf build/dist/backstream-*.tar.gz -C "$work/source"
[ -z "$(files)" ]
check "the root has nothing of it" $?
mkdir "$root/packages"
cp build/dist/postgresql-15-backstream_*.deb build/dist/backstream-tools_*.deb build/dist/backstream-grafana_*.deb \
	"$root/packages/" 2>/dev/null
in_root_online 600 'apt-get update; apt-get install -y --no-install-recommends /packages/*.deb'
check "apt installs them, with what they depend on" $?
before=$(files | wc -l)
[ "$before" -gt 3 ]
check "their files are there" $?
in_root 60 'for t in bs-generate bs-replay bs-receive; do $t --help | grep -q Usage; done; ! ldd /usr/bin/bs-* | grep "not found"'
check "the tools run" $?

grafana=$root/usr/share/backstream/grafana
cd "$work"/source/*/ && for part in dashboards provisioning grants.sql; do
	diff -r "grafana/$part" "$grafana/$part"
done >"$work/log" 2>&1
cd "$here" && [ ! -s "$work/log" ] && [ "$(find "$grafana/dashboards" -name '*.json' | wc -l)" -ge 6 ]
check "the dashboards are those of the source" $?

# A next version: the same with another number, and the scripts that t/004_upgrade.pl updates by.
mkdir "$root/packages/next" && dpkg-deb -R "$root"/packages/postgresql-15-backstream_*.deb "$work/next" &&
	sed -i 's/^Version: .*/&+next/' "$work/next/DEBIAN/control" &&
	cp "$work"/source/*/t/upgrade/*.sql "$work/next/usr/share/postgresql/15/extension/" &&
	(cd "$work/next" && find usr -type f -exec md5sum {} + >DEBIAN/md5sums) &&
	dpkg-deb -b --root-owner-group "$work/next" "$root/packages/next/" >"$work/log" 2>&1
check "a package of the next version" $?

# The session of README.Debian, with traffic.  The cluster is the one that Debian made.
cat >"$root/packages/session" <<'END'
cat >>/etc/postgresql/15/main/postgresql.conf <<CONF
shared_preload_libraries = 'backstream'
backstream.listen = '127.0.0.1:2055'
CONF
pg_ctlcluster 15 main start
sql() { setpriv --reuid=postgres --regid=postgres --clear-groups psql -X -A -t -v ON_ERROR_STOP=1 "$@"; }
sql -c 'CREATE EXTENSION backstream'
sql -c "CREATE CONTINUOUS VIEW traffic AS SELECT src_as, sum(bytes) AS bytes, count(*) AS flows FROM backstream.flow GROUP BY 1"
bs-generate --count=10000 --version=ipfix --rate=5000 --as-pairs=10
# counted NUMBER: the view comes to it, soon.
counted() {
	for i in $(seq 300); do
		flows=$(sql -c 'SELECT sum(flows) FROM traffic')
		[ "$flows" != "$1" ] || return 0
		sleep 0.1
	done
	echo "the view has $flows flows, not $1"
	return 1
}
counted 10000
[ -z "${next:-}" ] || . /packages/upgrade
# What the dashboards read, by the role that they log in as.
sql -c "SELECT backstream.install_pack('overview', schema => 'overview')"
sql -q -f /usr/share/postgresql/15/extension/backstream_detectors.sql
for schema in overview detectors; do sql -q -v schema=$schema -f /usr/share/backstream/grafana/grants.sql; done
[ "$(sql -c 'SET ROLE grafana; SELECT count(*) FROM detectors.thresholds' | tail -n 1)" -gt 10 ]
sql -q -c 'SET ROLE grafana; SELECT count(*) FROM overview.sources_as; SELECT count(*) FROM detectors.alerts'
sql -q -c 'DROP SCHEMA overview, detectors CASCADE'
sql -q -c 'DROP EXTENSION backstream CASCADE; DROP OWNED BY grafana; DROP ROLE grafana'
pg_ctlcluster 15 main stop
END
# The new package comes while the old library is at work, and is loaded by the restart.
cat >"$root/packages/upgrade" <<'END'
before=$(sql -c 'TABLE traffic' | sort | md5sum)
dpkg -i /packages/next/*.deb
sql -c 'SELECT sum(flows) FROM traffic'
pg_ctlcluster 15 main restart
counted 10000
[ "$(sql -c 'TABLE traffic' | sort | md5sum)" = "$before" ]
sql -c "ALTER EXTENSION backstream UPDATE TO '1.1test'"
[ "$(sql -c 'SELECT backstream.added_by_update()')" = here ]
[ "$(sql -c 'TABLE traffic' | sort | md5sum)" = "$before" ]
bs-generate --count=10000 --version=ipfix --rate=5000 --as-pairs=10
counted 20000
END
# A namespace has a loopback of its own, which is down.
printf 'import fcntl, socket, struct\ns = socket.socket()\nfcntl.ioctl(s, 0x8914, struct.pack("16sH", b"lo", 0x49))\n' >"$work/lo-up.py"
in_root_session() {
	timeout "$1" unshare --mount --pid --net --fork --kill-child --mount-proc="$root/proc" -- sh -c \
		'ip link set lo up 2>/dev/null || python3 "$0" && exec chroot "$1" /usr/bin/env -i \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 sh -euc "$2"' "$work/lo-up.py" "$root" "$2" \
		>"$work/log" 2>&1 </dev/null
}
in_root_session 300 'next=1; . /packages/session'
check "Debian's own cluster counts 10000 records, keeps them over an upgrade, and goes on to 20000" $?
dpkg --root="$root" -s postgresql-15-backstream | grep -q '^Version: .*+next$'
check "the next version is installed" $?

# The regression scripts, by this machine's pg_regress: it needs libpq alone, the root has no compiler.
mkdir "$root/packages/regress"
cp -r "$work"/source/*/sql "$work"/source/*/expected "$work"/source/*/scripts/installcheck-prepare.sh \
	"$root/packages/regress/"
cp "$(pg_config --libdir)/postgresql/15/lib/pgxs/src/test/regress/pg_regress" "$root/packages/regress/" 2>/dev/null ||
	cp /usr/lib/postgresql/15/lib/pgxs/src/test/regress/pg_regress "$root/packages/regress/"
in_root_session 900 'cd /packages/regress
	printf "backstream.listen = %s%s\nbackstream.database = contrib_regression\n" "'"''"'" "" \
		>>/etc/postgresql/15/main/postgresql.conf
	chown -R postgres .
	pg_ctlcluster 15 main start
	as() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
	as ./installcheck-prepare.sh /usr/lib/postgresql/15/bin
	names=$(ls sql | grep -v -e -- | sed "s/\.sql$//")
	as ./pg_regress --inputdir=. --bindir=/usr/lib/postgresql/15/bin --use-existing \
		--dbname=contrib_regression $names || { cat regression.diffs; exit 1; }
	pg_ctlcluster 15 main stop'
check "the regression scripts pass on the installed package" $?
grep -cE '^test .* ok ' "$work/log" | sed 's/^/# scripts that passed: /'

sed -i '/backstream/d' "$root/etc/postgresql/15/main/postgresql.conf"
in_root 120 'apt-get purge -y postgresql-15-backstream backstream-tools backstream-grafana'
check "apt removes them" $?
[ -z "$(files)" ]
check "nothing of them is left" $?
files
in_root 60 'pg_ctlcluster 15 main start && pg_ctlcluster 15 main stop'
check "the server starts without them" $?

echo "check-deb: $passed passed, $failed failed in $SECONDS s"
[ "$failed" -eq 0 ]
