# SPDX-License-Identifier: PostgreSQL
# Hosts with addresses of their own, for tests that need real ones: each is a network namespace, reached over a router in the middle
# that can lose what is sent to it.  A test that uses this is run by scripts/own-network.sh (run-tap.sh sees to that), so that
# nothing is left of them when it ends, however it ends; where that is not permitted it is skipped.
package BackStreamHosts;

use strict;
use warnings;
use parent 'Exporter';
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(make_hosts on_host on_router start_on lose_packets find_packets link_down link_up);

# Names of hosts to what is known of them: pid (of a process in the namespace; 0: ours), subnet.
my %hosts;
my $router;
my $wrappers;

# A permission that is missing is said before anything is built.
sub import
{
	my $allowed = $ENV{BACKSTREAM_OWN_NETWORK} // 'no: run it by scripts/run-tap.sh';

	if ($allowed ne 'yes')
	{
		diag("network namespaces are not permitted here, so this is not tested: $allowed");
		plan skip_all => "network namespaces are not permitted here ($allowed)";
	}
	BackStreamHosts->export_to_level(1, @_);
}

sub run
{
	my (@command) = @_;

	system(@command) == 0 or die "@command: status $?";
}

# A command in a network namespace, as a list.
sub in_namespace
{
	my ($pid, @command) = @_;
	return $pid == 0 ? @command : ('nsenter', "--target=$pid", '--net', '--', @command);
}

# Addresses are to be used at once, and to stay when a link is down.
sub set_kernel
{
	my ($pid, @more) = @_;
	my %settings = (accept_dad => 0, keep_addr_on_down => 1, @more);

	for my $name (sort keys %settings)
	{
		run(in_namespace($pid, 'sh', '-c', "for i in all default; do echo $settings{$name} >/proc/sys/net/ipv6/conf/\$i/$name; done"));
	}
}

# A network namespace that lives as long as a process that only sleeps; its process id.
sub make_namespace
{
	my $ours = readlink '/proc/self/ns/net';
	my $pid = fork // die "fork: $!";

	if ($pid == 0)
	{
		exec 'unshare', '--net', '--', 'sleep', 'infinity';
		die "unshare: $!";
	}
	for (1 .. 3000)
	{
		my $theirs = readlink("/proc/$pid/ns/net") // '';
		my $command = slurp_file("/proc/$pid/cmdline");

		if ($theirs ne $ours && $command =~ /^sleep/)
		{
			run(in_namespace($pid, 'ip', 'link', 'set', 'lo', 'up'));
			set_kernel($pid);
			return $pid;
		}
		usleep(10_000);
	}
	die 'a network namespace was not made';
}

# The command as an argument list that runs on a host.
sub on_host { my ($name, @command) = @_; return in_namespace($hosts{$name}{pid}, @command) }

# ip(8) on the router.
sub on_router { run(in_namespace($router, 'ip', @_)) }

sub ip_on { my ($name, @arguments) = @_; run(on_host($name, 'ip', @arguments)) }

sub plug
{
	my ($name, $host) = @_;
	my @target = $host->{pid} == 0 ? () : ('netns', $host->{pid});

	# The router's end is named for the host.  Ours is made last: a link can only be pushed from where one is.
	run(in_namespace($router, 'ip', 'link', 'add', $name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', $host->{pid} || $$));
	for my $family (@{ $host->{families} })
	{
		my ($ours, $theirs, $bits) = $family == 6 ? ("$host->{v6}::1", "$host->{v6}::2", 64) : ("$host->{v4}.1", "$host->{v4}.2", 24);

		on_router("-$family", 'address', 'add', "$ours/$bits", 'dev', $name);
		ip_on($name, "-$family", 'address', 'add', "$theirs/$bits", 'dev', 'eth0');
	}
	on_router('link', 'set', $name, 'up');
	ip_on($name, 'link', 'set', 'eth0', 'up');
	for my $family (@{ $host->{families} })
	{
		ip_on($name, "-$family", 'route', 'add', 'default', 'via', $family == 6 ? "$host->{v6}::1" : "$host->{v4}.1");
	}
}

# Hosts by name, as a list of [ name, families ]: families is [ 4, 6 ] or less.  Number n, from 1, has 10.77.n.2 and fd77:n::2.
# One that is named "here" is where the test itself runs.  Returns their addresses: { name => { 4 => ..., 6 => ... } }.
sub make_hosts
{
	my (@list) = @_;
	my %addresses;
	my $n = 0;

	$router = make_namespace();
	set_kernel($router, forwarding => 1);
	run(in_namespace($router, 'sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward'));
	set_kernel(0);
	for (@list)
	{
		my ($name, $families) = @$_;

		$n++;
		$hosts{$name} = { pid => $name eq 'here' ? 0 : make_namespace(), families => $families, v4 => "10.77.$n", v6 => "fd77:$n" };
		plug($name, $hosts{$name});
		$addresses{$name} = { map { $_ => $_ == 6 ? "fd77:$n\::2" : "10.77.$n.2" } @$families };
	}
	return \%addresses;
}

# Start a server on a host.
sub start_on
{
	my ($name, $node) = @_;

	if (!defined $wrappers)
	{
		$wrappers = PostgreSQL::Test::Utils::tempdir();
		append_to_file("$wrappers/pg_ctl", "#!/bin/sh\nPATH=\${PATH#*:}\nexec nsenter --target=\$BACKSTREAM_HOST_PID --net -- pg_ctl \"\$\@\"\n");
		chmod 0755, "$wrappers/pg_ctl";
	}
	local $ENV{PATH} = "$wrappers:$ENV{PATH}";
	local $ENV{BACKSTREAM_HOST_PID} = $hosts{$name}{pid};
	$node->start;
}

# From now on the router loses what is sent to a host and what the host sends, and says so to nobody.
sub lose_packets { my ($name) = @_; lose('add', $name) }

# And from now on no more.
sub find_packets { my ($name) = @_; lose('delete', $name) }

sub lose
{
	my ($what, $name) = @_;

	for my $family (@{ $hosts{$name}{families} })
	{
		my $address = $family == 6 ? "$hosts{$name}{v6}::2/128" : "$hosts{$name}{v4}.2/32";

		on_router("-$family", 'rule', $what, 'iif', $name, 'blackhole');
		on_router("-$family", 'route', $what, 'blackhole', $address);
	}
}

# Pull the plug of a host: nothing goes in or out, and the router says that it cannot be reached.
sub link_down { my ($name) = @_; on_router('link', 'set', $name, 'down') }
sub link_up { my ($name) = @_; on_router('link', 'set', $name, 'up') }

1;
