#!/usr/bin/perl -w
#
# The workload of a service's tasks: it answers, and says who answered.
#
#   workload.pl serve     serves until it is told to stop
#   workload.pl health    the health check command: asks /health on 127.0.0.1, exits 0 (healthy) or 1
#
# tcp/80, tcp/8081   HTTP/1.1. A GET is answered with one JSON object, and the connection is closed:
#                      {"container":"c1","port":80,"local":"10.0.1.3:80","peer":"10.0.1.9:40312","path":"/","served":7}
#                    `local` and `peer` are the two ends as seen here; `served` counts this container's requests up to
#                    this one, /health apart. Every answer also carries the object in its header X-Identity.
#   /hold?ms=N             answers after N ms
#   /bytes?n=N             a text of N bytes, at most 64 MiB
#   /stream?ms=N&every=M   a line `<container> <k>` every M ms (default 1000) for N ms, then the end
#   /fail                  status 500
#   /health                status 200 or 503; /health?set=down and /health?set=up switch it and answer 200
#   ...?keep=1             with any of them but /stream: the connection stays open for another request
# tcp/9000           a held connection: each line comes back as `<container> <line>`
# udp/9000           a datagram comes back as `container=<container> peer=<ip:port> <payload>`, from the address that
#                    routing chooses
#
# Ports are dual-stack where the kernel has IPv6. In JSON, a byte of the path outside ASCII is the code point of the
# same number.
#
# Signals: TERM, HUP, QUIT and USR1 end it at once with status 0, or as the environment says; INT always ends it.
# It logs JSON lines: its start, each signal, the end of a drain. `at` is in epoch ms, `open` counts held connections.
#   {"at":1795382719436.027,"container":"c1","event":"signal","signal":"TERM","action":"exit|drain|ignore","open":0}
#   {"at":1795382719436.027,"container":"c1","event":"start|drained","open":0}
#
# Environment
#   DRAIN_MS=N         a stop signal closes the TCP listeners; what is open is finished, and the end comes after N ms at
#                      the latest. UDP is answered until then.
#   IGNORE_TERM=1      a stop signal is logged and ignored
#   HEALTH=down        starts unhealthy
#   UNHEALTHY_FILE     while this file exists, health is down whatever was set (default /tmp/unhealthy)
#   CONTAINER_NAME     the name it gives itself (default: the host name)
#   PORT_BASE=N        is added to every port, for tests without root; `port` stays the number above
#
# It runs on perl-base alone, and its start is paid for under CPU emulation. Loading Socket takes longer than all the rest
# of a start, so the few numbers needed of Linux's ABI are written out, and Socket is loaded only to print an IPv6 address.

use strict;

sub AF_INET ()      { 2 }
sub AF_INET6 ()     { 10 }
sub STREAM ()       { 1 | 2048 }         # SOCK_STREAM | SOCK_NONBLOCK
sub DGRAM ()        { 2 | 2048 }
sub SOL_SOCKET ()   { 1 }
sub SO_REUSEADDR () { 2 }
sub IPPROTO_IPV6 () { 41 }
sub IPV6_V6ONLY ()  { 26 }
sub AT_ONCE ()      { 0x40 | 0x4000 }    # MSG_DONTWAIT | MSG_NOSIGNAL
sub EAGAIN ()       { 11 }

my $BASE      = $ENV{PORT_BASE}      || 0;
my $UNHEALTHY = $ENV{UNHEALTHY_FILE} || '/tmp/unhealthy';
my $NAME      = $ENV{CONTAINER_NAME};
if (!defined $NAME) {
    open my $file, '<', '/proc/sys/kernel/hostname' or fail("cannot read the host name: $!");
    chomp($NAME = <$file>);
}

my $command = @ARGV == 1 ? $ARGV[0] : '';
if    ($command eq 'serve')  { serve() }
elsif ($command eq 'health') { health() }
print STDERR "usage: workload.pl serve|health\n";
exit 2;

# --- health check -----------------------------------------------------------------------------------------------------

sub health {
    local $SIG{ALRM} = sub { print "no answer within 3 s\n"; exit 1 };
    alarm 3;
    my $answer = '';
    socket my $fh, AF_INET, 1, 0 or fail("socket: $!");
    if (!connect $fh, pack 'S n C4 x8', AF_INET, $BASE + 80, 127, 0, 0, 1) { print "connect: $!\n"; exit 1 }
    syswrite $fh, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    1 while sysread $fh, $answer, 4096, length $answer;
    print $answer =~ /\r\n\r\n(.*)/s ? $1 : "no HTTP answer\n";
    exit($answer =~ m{^HTTP/1\.\d 200 } ? 0 : 1);
}

# --- server -----------------------------------------------------------------------------------------------------------

my ($healthy, $served, $drain_until);
my %open;    # file number => connection: { fh, port, local, peer, in, out, eof, due, then, last }

sub serve {
    my @stop = qw(TERM HUP QUIT USR1);
    my @signals;
    $SIG{CHLD} = 'IGNORE';    # as PID 1 it inherits orphans
    $SIG{PIPE} = 'IGNORE';
    for my $signal (@stop, 'INT') {
        $SIG{$signal} = sub { push @signals, [$signal, clock(0)] };
    }
    ($healthy, $served) = (($ENV{HEALTH} || 'up') ne 'down', 0);
    my $udp       = listener(DGRAM, 9000);
    my @listeners = map { [listener(STREAM, $_), $_] } 80, 8081, 9000;
    report(clock(0), start => open => 0);

    while (1) {
        while (my $next = shift @signals) {
            my ($signal, $at) = @$next;
            my $action =
                $signal eq 'INT' ? 'exit' : $ENV{IGNORE_TERM} ? 'ignore' : $ENV{DRAIN_MS} ? 'drain' : 'exit';
            report($at, signal => signal => text($signal), action => text($action), open => scalar keys %open);
            exit 0 if $action eq 'exit';
            next   if $action eq 'ignore' || defined $drain_until;
            $drain_until = clock(1) + $ENV{DRAIN_MS};
            welcome(@$_) for @listeners;    # closing a listener resets what waits in its queue
            @listeners = ();
            $_->{last} = 1 for values %open;
        }
        my $now = clock(1);
        if (defined $drain_until && ($now >= $drain_until || !%open)) {
            report(clock(0), drained => open => scalar keys %open);
            exit 0;
        }
        # Perl runs a signal handler after select returns; a signal just before it would wait, hence half a second at most.
        my $until = $now + 500;
        my ($readable, $writable) = ('', '');
        vec($readable, fileno $_, 1) = 1 for $udp, map { $_->[0] } @listeners;
        for my $c (values %open) {
            vec($readable, fileno $c->{fh}, 1) = 1 if !$c->{eof} && length $c->{in} < 65_536;
            vec($writable, fileno $c->{fh}, 1) = 1 if length $c->{out};
            $until = $c->{due}                     if defined $c->{due} && $c->{due} < $until;
        }
        $until = $drain_until if defined $drain_until && $drain_until < $until;
        next                  if select($readable, $writable, undef, $until > $now ? ($until - $now) / 1000 : 0) < 0;

        echo_datagrams($udp) if vec $readable, fileno $udp, 1;
        for my $c (my @now_open = values %open) {
            receive($c) if vec $readable, fileno $c->{fh}, 1;
            if (defined $c->{due} && $c->{due} <= clock(1)) { undef $c->{due}; $c->{then}->() }
            advance($c);
        }
        for (@listeners) { welcome(@$_) if vec $readable, fileno $_->[0], 1 }
    }
}

# A socket on all addresses, IPv4 and IPv6 where the kernel has both.
sub listener {
    my ($type, $port) = @_;
    my $name = ($type == DGRAM ? 'udp/' : 'tcp/') . ($BASE + $port);
    my $fh;
    my $address;
    if (socket $fh, AF_INET6, $type, 0) {
        setsockopt $fh, IPPROTO_IPV6, IPV6_V6ONLY, pack 'i', 0;
        $address = pack 'S n x24', AF_INET6, $BASE + $port;
    }
    else {
        socket $fh, AF_INET, $type, 0 or fail("cannot open $name: $!");
        $address = pack 'S n x12', AF_INET, $BASE + $port;
    }
    setsockopt $fh, SOL_SOCKET, SO_REUSEADDR, pack 'i', 1 if $type == STREAM;
    bind $fh, $address or fail("cannot bind $name: $!");
    if ($type == STREAM) { listen $fh, 4096 or fail("cannot listen on $name: $!") }
    return $fh;
}

# Accepts whatever waits at a listener.
sub welcome {
    my ($listener, $port) = @_;
    while (my $from = accept my $fh, $listener) {
        my $local = getsockname $fh or next;
        my $c     = {
            fh => $fh, port => $port, local => address($local), peer => address($from),
            in => '', out => '', last => defined $drain_until,
        };
        $open{ fileno $fh } = $c;
        receive($c);    # most clients have sent their request by now
        advance($c);
    }
}

sub receive {
    my ($c) = @_;
    my $from = recv $c->{fh}, my $data, 65_536, AT_ONCE;
    if    (!defined $from)  { drop($c) if $! != EAGAIN }
    elsif ($data eq '')     { $c->{eof} = 1 }
    else                    { $c->{in} .= $data }
}

# Takes a connection as far as it goes now: requests into answers, answers to the wire, then its end.
sub advance {
    my ($c) = @_;
    return if !$c->{fh};    # dropped
    while (!defined $c->{due} && !$c->{close}) {
        last if !($c->{port} == 9000 ? echo_line($c) : request($c));
    }
    if (length $c->{out}) {
        my $sent = send $c->{fh}, $c->{out}, AT_ONCE;
        if (defined $sent) { substr $c->{out}, 0, $sent, '' }
        elsif ($! != EAGAIN) { return drop($c) }
    }
    return if length $c->{out} || defined $c->{due};
    drop($c) if $c->{close} || $c->{eof} || $c->{last} && $c->{answered} && $c->{port} != 9000;
}

sub drop {
    my ($c) = @_;
    delete $open{ fileno $c->{fh} };
    close $c->{fh};
    %$c = ();    # also breaks the circles through its closures
}

sub echo_line {
    my ($c) = @_;
    $c->{close} = 1 if length $c->{in} >= 65_536;    # not a line
    return $c->{in} =~ s/^(.*\n)// && ($c->{out} .= "$NAME $1");
}

sub echo_datagrams {
    my ($udp) = @_;
    while (my $from = recv $udp, my $data, 65_536, AT_ONCE) {
        send $udp, "container=$NAME peer=" . address($from) . " $data", AT_ONCE, $from;
    }
}

# --- HTTP -------------------------------------------------------------------------------------------------------------

# Takes one request from the input, if a whole one is there, and answers it now or later.
sub request {
    my ($c) = @_;
    if ($c->{in} !~ s/^(.*?)\r?\n\r?\n//s) {
        return 0 if length $c->{in} < 65_536;
        $c->{in} = '';
        return answer($c, '', '431 Request Header Fields Too Large');
    }
    my ($method, $path) = $1 =~ m{^(\S+) (\S+) HTTP/1\.\d\r?(?:\n|$)};
    return answer($c, '',    '400 Bad Request')        if !defined $path;
    return answer($c, $path, '405 Method Not Allowed') if $method ne 'GET';

    my ($route, $query) = split /\?/, $path, 2;
    my %q      = ($query || '') =~ /([^&=]+)=([^&]*)/g;
    my $number = sub { my ($key, $default) = @_; defined $q{$key} && $q{$key} =~ /^(\d{1,9})$/ ? $1 : $default };
    $c->{keep} = $q{keep};

    if ($route eq '/health') {
        $healthy = $q{set} ne 'down' if defined $q{set};
        my $up = defined $q{set} || $healthy && !-e $UNHEALTHY;
        return answer($c, $path, $up ? '200 OK' : '503 Service Unavailable');
    }
    $served++;
    if ($route eq '/hold') {
        return later($c, $number->('ms', 0), sub { answer($c, $path, '200 OK') });
    }
    if ($route eq '/stream') {
        my ($k, $end, $every) = (0, clock(1) + $number->('ms', 0), $number->('every', 1000) || 1);
        head($c, $path, '200 OK', 'text/plain');
        $c->{tick} = sub {
            $c->{out} .= "$NAME " . $k++ . "\n";
            my $left = $end - clock(1);
            return $left >= $every ? later($c, $every, $c->{tick}) : later($c, $left, sub { $c->{close} = 1 });
        };
        return $c->{tick}->();
    }
    if ($route eq '/bytes') {
        my $n = $number->('n', 0);
        return answer($c, $path, '400 Bad Request') if $n > 64 << 20;
        return answer($c, $path, '200 OK', 'x' x $n);
    }
    return answer($c, $path, $route eq '/fail' ? '500 Internal Server Error' : '200 OK');
}

sub later {
    my ($c, $ms, $then) = @_;
    @$c{qw(due then)} = (clock(1) + $ms, $then);
    return 1;
}

# Puts a whole answer into the output: the identity, or the text given.
sub answer {
    my ($c, $path, $status, $body) = @_;
    my $type = defined $body ? 'text/plain' : 'application/json';
    $body = identity($c, $path) . "\n" if !defined $body;
    $c->{close}    = !$c->{keep} || $c->{last} || $status =~ /^4/;
    $c->{answered} = 1;
    head($c, $path, $status, $type, length $body);
    $c->{out} .= $body;
    return 1;
}

sub head {
    my ($c, $path, $status, $type, $length) = @_;
    $c->{out} .= join "\r\n", "HTTP/1.1 $status", "Content-Type: $type",
        (defined $length ? "Content-Length: $length" : ()),
        'Connection: ' . (defined $length && !$c->{close} ? 'keep-alive' : 'close'),
        'X-Identity: ' . identity($c, $path), '', '';
}

sub identity {
    my ($c, $path) = @_;
    return object(
        container => text($NAME), port => $c->{port}, local => text($c->{local}), peer => text($c->{peer}),
        path => text($path), served => $served,
    );
}

# --- words ------------------------------------------------------------------------------------------------------------

sub fail {
    print STDERR "workload.pl: $_[0]\n";
    exit 1;
}

sub report {
    my ($at, $event, @more) = @_;
    my $line = object(at => sprintf('%.3f', $at), container => text($NAME), event => text($event), @more);
    syswrite STDOUT, "$line\n";
}

# Pairs of a name and ready JSON, in this order.
sub object {
    my @pairs;
    while (my ($key, $value) = splice @_, 0, 2) { push @pairs, "\"$key\":$value" }
    return '{' . join(',', @pairs) . '}';
}

sub text {
    my ($text) = @_;
    $text =~ s/(["\\])/\\$1/g;
    $text =~ s/([^\x20-\x7e])/sprintf '\\u%04x', ord $1/ge;
    return "\"$text\"";
}

# A sockaddr as ip:port; an IPv4 peer of a dual-stack socket as IPv4.
sub address {
    my ($sockaddr) = @_;
    my ($family, $port) = unpack 'S n', $sockaddr;
    my $ip = substr $sockaddr, $family == AF_INET ? 4 : 8, $family == AF_INET ? 4 : 16;
    $ip =~ s/^\0{10}\xff\xff(?=.{4}\z)//s;
    return join('.', unpack 'C4', $ip) . ":$port" if length $ip == 4;
    require Socket;
    return '[' . Socket::inet_ntop(AF_INET6, $ip) . "]:$port";
}

# clock_gettime in ms: 0 is the time of day, 1 the monotonic clock. The number of the system call depends on the machine
# this perl was built for, which is in the ELF header: x86-64, arm64, riscv64, loongarch64, ppc64, s390x, x86, arm.
my $clock_gettime;

sub clock {
    my ($id) = @_;
    $clock_gettime ||= do {
        my %number = (62 => 228, 183 => 113, 243 => 113, 258 => 113, 21 => 246, 22 => 260, 3 => 265, 40 => 263);
        open my $self, '<', '/proc/self/exe' or fail("cannot read /proc/self/exe: $!");
        read $self, my $header, 20;
        $number{ unpack 'x18 S', $header } or fail("no clock for this machine type");
    };
    my $time = pack 'l!2', 0, 0;
    syscall($clock_gettime, $id + 0, $time) == 0 or fail("clock_gettime: $!");
    my ($s, $ns) = unpack 'l!2', $time;
    return $s * 1000 + $ns / 1e6;
}
