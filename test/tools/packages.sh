#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
#
# packages.sh: what packages are made of agrees with the source: META.json with PGXN's specification and the
# control file, debian/ with what is built and installed, the archive of `make dist` with the tree.
# Packages themselves are built and tried by `make check-deb`.
set -u
cd "$(dirname "$0")/../.." || exit 1
passed=0
failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/backstream-packages-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
: >"$work/log"

check()
{
	if [ "$2" = 0 ]; then
		passed=$((passed + 1))
	else
		echo "FAILED: $1"
		sed 's/^/    /' "$work/log" | tail -n 20
		failed=$((failed + 1))
	fi
}

# What https://pgxn.org/meta/spec.txt (1.0.0) requires of META.json.
cat >"$work/meta.pl" <<'END'
use strict;
use warnings;
use JSON::PP;

my $meta = decode_json(do { local $/; open my $f, '<', 'META.json' or die; <$f> });
my $semver = qr/^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)([a-zA-Z][-0-9A-Za-z]*)?$/;
my %known = map { $_ => 1 } qw(abstract description generated_by license maintainer meta-spec name no_index prereqs
	provides release_status resources tags version);
my @wrong;
for (qw(name version abstract maintainer license provides meta-spec)) { push @wrong, "no $_" unless $meta->{$_}; }
for (keys %$meta) { push @wrong, "unknown key $_" unless $known{$_} || /^x_/i; }
push @wrong, 'version' unless $meta->{version} =~ $semver;
push @wrong, 'name' if length $meta->{name} < 2 || $meta->{name} =~ m{[\s/\\]|[^[:print:]]};
push @wrong, 'license' unless ref $meta->{license} || $meta->{license} =~
	/^(agpl_3|apache_[12]_[01]|artistic_[12]|bsd|freebsd|gfdl_1_[23]|gpl_[123]|lgpl_2_1|lgpl_3_0|mit|mozilla_1_[01]|openssl|perl_5|postgresql|qpl_1_0|ssleay|sun|zlib|open_source|restricted|unrestricted|unknown)$/;
push @wrong, 'release_status' unless ($meta->{release_status} // 'stable') =~ /^(stable|testing|unstable)$/;
push @wrong, 'meta-spec' unless $meta->{'meta-spec'}{version} =~ /^1\.0\.\d+$/;
push @wrong, "tag $_" for grep { m{[/\\]|[^[:print:]]} || length > 256 } @{$meta->{tags}};
while (my ($name, $extension) = each %{$meta->{provides}})
{
	push @wrong, "$name: version" unless $extension->{version} =~ $semver;
	push @wrong, "$name: no file $_" for grep { !-s $_ } grep { defined } @$extension{qw(file docfile)};
	push @wrong, "$name: no control file" unless -s "$name.control";
}
while (my ($phase, $needs) = each %{$meta->{prereqs}})
{
	push @wrong, "prereqs $phase" unless $phase =~ /^(configure|build|test|runtime|develop)$/;
	for (map { values %$_ } values %$needs) { push @wrong, "prereqs version $_" unless /$semver/ || $_ eq '0'; }
}
print "$_\n" for @wrong;
exit @wrong > 0;
END
perl "$work/meta.pl" >"$work/log" 2>&1
check "META.json is as PGXN wants it" $?
mkdir "$work/bad" && sed 's/"version": "1.0.0",/"version": "1.0",/' META.json >"$work/bad/META.json"
! (cd "$work/bad" && perl "$work/meta.pl" >"$work/log" 2>&1)
check "and it would be noticed if not" $?

version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' META.json)
default=$(sed -n "s/^default_version = '\(.*\)'/\1/p" backstream.control)
[ "${version%.*}" = "$default" ] || [ "$version" = "$default" ]
check "META.json ($version) and backstream.control ($default) are of one version" $?
head -n 1 debian/changelog | grep -qF "backstream ($version-"
check "debian/changelog is of version $version" $?
[ -s "sql/backstream--$default.sql" ]
check "there is a script that installs version $default" $?

# debian/: files come by `make install` and from the list of tools, so none can be missing; what is needed to
# build can.
for package in $(sed -n 's/^build="\(.*\)"/\1/p; s/^tools="\(.*\)"/\1/p' scripts/deps.sh); do
	case $package in
		gcc | make | libc6-dev | postgresql-15) continue ;; # build-essential; what the next one depends on
		postgresql-server-dev-15) package=postgresql-server-dev-all ;;
	esac
	grep -qE "^ $package[ ,]" debian/control.in
	check "debian/control.in: Build-Depends on $package" $?
done
sed "s/PGVERSION/$(cat debian/pgversions)/g" debian/control.in | diff - debian/control >"$work/log"
check "debian/control is made of debian/control.in (pg_buildext updatecontrol)" $?
for folder in $(grep -oE 'README.md docs' debian/rules); do
	[ -e "$folder" ]
	check "debian/rules: $folder" $?
done
[ -x debian/rules ] && [ -x debian/tests/installcheck ]
check "debian/ is executable where it has to be" $?

# The archive: all that git knows, or all that is not made by building.
scripts/dist.sh >"$work/log" 2>&1
check "make dist" $?
tar -tzf "build/dist/backstream-$version.tar.gz" >"$work/files" 2>"$work/log"
check "its archive can be read" $?
for file in Makefile META.json LICENSE README.md backstream.control mk/extension.mk "sql/backstream--$default.sql" \
	debian/rules; do
	grep -qxE "backstream-$version/(\./)?$file" "$work/files"
	check "make dist: $file" $?
done
! grep -E '\.(o|so|d)$|/build/' "$work/files" >"$work/log"
check "make dist: nothing that was built" $?

echo "packages: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
