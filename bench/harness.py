# SPDX-License-Identifier: PostgreSQL
"""The parts that the bench is made of: a private server, senders, yardsticks, and CPU time.

Everything runs on this machine and sends to loopback only.  The receiving process is pinned to one
CPU and the sender to another, where there are two.
"""
import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
BUILD = os.path.join(ROOT, "build", "release")
PORTS = 10  # one for the server; yardsticks, pmacct and nfcapd take the next ones
BUFFER_BYTES = 4 * 1024 * 1024
RECEIVER_CPU = 1
SENDER_CPU = 0


def free_ports(n):
    """The first of so many UDP ports in a row that nobody has: another bench may run."""
    used = set()
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        if os.path.exists(table):
            with open(table) as f:
                used |= {int(line.split()[1].rsplit(":", 1)[1], 16) for line in f if line.split()[0] != "sl"}
    for first in range(30855, 32768 - n, n):
        if not used & set(range(first, first + n)):
            return first
    raise RuntimeError(f"no {n} UDP ports are free")


PORT = free_ports(PORTS)


def pin(cpu):
    """What a child does before it starts: go to this CPU."""
    def move():
        if os.cpu_count() > 1:
            os.sched_setaffinity(0, {cpu})
    return move


def cpu_nsec(pid):
    """CPU time of a process so far: user and system."""
    try:
        with open(f"/proc/{pid}/schedstat") as f:
            nsec = int(f.read().split()[0])
        if nsec > 0:
            return nsec
    except OSError:
        pass
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * (10**9 // os.sysconf("SC_CLK_TCK"))


def waited_nsec(pid):
    """For how long a process has been ready to run so far, on a CPU that somebody else had."""
    try:
        with open(f"/proc/{pid}/schedstat") as f:
            return int(f.read().split()[1])
    except OSError:
        return 0


def socket_state(port):
    """Of the UDP socket at this port of IPv4: (bytes that wait in it, datagrams that it had no room for)."""
    with open("/proc/net/udp") as f:
        lines = [line.split() for line in f]
    found = [line for line in lines if line[1].endswith(f":{port:04X}")]
    return sum(int(line[4].split(":")[1], 16) for line in found), sum(int(line[-1]) for line in found)


class Sources:
    """Addresses that no exporter of this run has had, so that each run begins new sequences."""
    used = 0

    @classmethod
    def take(cls, n=1):
        first = cls.used
        cls.used += (n + 255) // 256 * 256
        return f"127.{64 + first // 65536}.{first // 256 % 256}.0"


class Traffic:
    """What one bs-generate sends: options by name, without dashes."""

    def __init__(self, port=PORT, **options):
        self.source = Sources.take(int(options.get("exporters", 1)))
        self.command = [os.path.join(BUILD, "bs-generate"), f"--target=127.0.0.1:{port}", "--quiet",
                        "--totals=-", f"--source-base={self.source}"]
        self.command += [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=pin(SENDER_CPU))
        return self

    def finish(self):
        output, _ = self.process.communicate()
        if self.process.returncode != 0:
            raise RuntimeError(f"{' '.join(self.command)} failed")
        return json.loads(output)

    def send(self):
        return self.start().finish()


def run_yard(name, nap_msec=1, **options):
    """A yardstick receives what a sender sends: (its line, the sender's totals)."""
    port = PORT + 1
    command = [os.path.join(BUILD, name), f"--listen=127.0.0.1:{port}", f"--nap-ms={nap_msec}",
               f"--buffer={BUFFER_BYTES}", "--idle=0.3"]
    yard = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=pin(RECEIVER_CPU))
    time.sleep(0.1)
    totals = Traffic(port=port, **options).send()
    output, _ = yard.communicate()
    return json.loads(output), totals


class Server:
    """A PostgreSQL of its own with this checkout's extension, optimised and without assertions."""

    settings = f"""
backstream.listen = '127.0.0.1:{PORT}'
backstream.receive_buffer = '{BUFFER_BYTES // 1024}kB'
backstream.memory = '2GB'
backstream.nap = '1ms'
shared_buffers = '64MB'
log_min_messages = warning
autovacuum = off
max_connections = 150
"""

    def __init__(self, tree=None, settings=None, port=5432):
        """By itself it builds the tree and receives; others use its tree and their own settings."""
        self.dir = tempfile.mkdtemp(prefix="backstream-bench-")
        os.chmod(self.dir, 0o755)
        self.port = port
        atexit.register(self.stop)
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
        self.tree = tree or os.path.join(self.dir, "tree")
        if tree is None:
            self.script("server-tree.sh", self.tree, log="build.log")
        self.script("private-server.sh", "start", self.dir, self.tree, stdin=settings or self.settings)
        self.sql("CREATE EXTENSION backstream")
        if settings is None:
            self.receiver = self.wait_for("SELECT pid FROM backstream.receivers")
            if not self.wait_for("SELECT count(*) FROM backstream.listeners WHERE state = 'open'"):
                raise RuntimeError(f"the server does not listen at port {PORT}")
            self.pin_receiver()

    def script(self, name, *arguments, stdin="", log=None):
        environment = {k: v for k, v in os.environ.items() if k not in ("BS_ASSERT", "MAKEFLAGS")}
        result = subprocess.run([os.path.join(ROOT, "scripts", name), *arguments], input=stdin, text=True,
                                env=environment, capture_output=log is not None)
        if log:
            with open(os.path.join(self.dir, log), "w") as f:
                f.write(result.stdout + result.stderr)
        if result.returncode != 0:
            raise RuntimeError(f"{name} failed: {(result.stderr or '')[-2000:]}")

    def pin_receiver(self):
        if os.cpu_count() > 1:
            os.sched_setaffinity(self.receiver, {RECEIVER_CPU})

    def psql_command(self, *arguments):
        return ["psql", "-X", "-q", "-h", os.path.join(self.dir, "socket"), "-p", str(self.port), "-U", "postgres",
                "-d", "postgres", "-v", "ON_ERROR_STOP=1", *arguments]

    def sql(self, text):
        """Run statements; rows of the last as lists of text."""
        result = subprocess.run(self.psql_command("-At", "-F", "\t"), input=text, text=True,
                                capture_output=True)
        if result.returncode != 0:
            raise RuntimeError(f"{text}: {result.stderr}")
        return [line.split("\t") for line in result.stdout.splitlines()]

    def number(self, text):
        rows = self.sql(text)
        return int(rows[0][0]) if rows and rows[0][0] != "" else 0

    def wait_for(self, query, wanted=None, seconds=20):
        """Ask until the answer is a number above 0, or the one wanted; returns the last answer."""
        end = time.monotonic() + seconds
        while True:
            value = self.number(query)
            if value == wanted or (wanted is None and value > 0) or time.monotonic() > end:
                return value
            time.sleep(0.02)

    def use_views(self, statements):
        """These views and no others, counting."""
        self.sql("SELECT format('DROP FOREIGN TABLE %s', view) FROM backstream.views \\gexec\n")
        self.sql(statements)
        self.nviews = self.number("SELECT count(*) FROM backstream.views")
        if self.wait_for("SELECT count(*) FROM backstream.views WHERE state = 'active'", self.nviews) \
                != self.nviews:
            raise RuntimeError("some view is not counted")
        time.sleep(0.3)  # the receiver takes its definitions up by itself

    def received_from(self, traffic, n=1):
        """Records and losses of the exporters of this traffic."""
        prefix = traffic.source.rsplit(".", 1)[0]
        rows = self.sql("SELECT coalesce(sum(records), 0), coalesce(sum(records_lost), 0), "
                        "coalesce(sum(datagrams_lost), 0) FROM backstream.exporters "
                        f"WHERE exporter <<= inet '{prefix}.0/24'")
        return [int(x) for x in rows[0]]

    def settle(self, traffic, sent):
        """Wait until all that was sent is there, or nothing comes any more; returns it."""
        last, since = -1, time.monotonic()
        while True:
            records = self.received_from(traffic)[0]
            if records >= sent:
                return records
            if records != last:
                last, since = records, time.monotonic()
            elif time.monotonic() - since > 0.5:
                return records

    def cpu(self):
        return cpu_nsec(self.receiver)

    def cpu_of_workers(self):
        """Receiver and keeper."""
        rows = self.sql("SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'backstream%'")
        return sum(cpu_nsec(int(pid)) for [pid] in rows)

    def set(self, name, value):
        self.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        self.sql("SELECT pg_reload_conf()")
        time.sleep(0.3)

    def log_complaints(self):
        with open(os.path.join(self.dir, "server.log")) as f:
            return [line.strip() for line in f
                    if any(word in line for word in ("PANIC", "FATAL", "ERROR", "TRAP", "terminated by"))
                    and "canceling statement due to user request" not in line]  # readers that are ended

    def stop(self):
        if os.path.isdir(self.dir):
            subprocess.run([os.path.join(ROOT, "scripts", "private-server.sh"), "stop", self.dir])
            if not os.environ.get("KEEP"):
                shutil.rmtree(self.dir, ignore_errors=True)


def interrupt(process):
    """End it politely, or else at once."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
