#!/usr/bin/perl -w
#
# The measuring client. It runs inside some network namespace, does many operations in one process and prints one JSON
# line per operation, as it ends. A failed operation is a record with `error`, and the status is 0; wrong usage is status
# 2 and one sentence on stderr. TERM and INT let it start nothing more, finish what is running, and end with status 0.
#
#   probe.pl http --to IP:PORT [--to ...] --count N [--path P]        N fresh connections, one GET each
#   probe.pl name --server IP --query HEX --port P --count N [--path P]   resolve, take the first address, one GET there
#   probe.pl dns  --server IP --query HEX [--query ...] --count N [--proto udp|tcp] [--window W] [--per-connection C]
#   probe.pl udp  --to IP:PORT [--to ...] --count N [--payload-bytes B]   echo round trips
#   probe.pl hold --to IP:PORT [--to ...] --ms N [--every-ms M] [--count N] [--keepalive-s K]
#                                                                     held connections, a line each M ms
#   probe.pl ping --to IP [--to ...] --count N                        ICMP echo requests
#
# All of them
#   --timeout-ms T      bounds each exchange as a whole (default 5000): connect and answer; in `name` the query apart
#   --parallel K        at most K operations at once (default 1; `dns` has --window instead, `hold` starts all at once)
#   --interval-ms M     starts are at least M ms apart (default 0)
#   --rounds            of several --to or --query, ask each in turn; else the first N times, then the next N times
#   --source IP, --source-port P, --source-step S
#                       bind: operation i to port P + i * S (default S 1; 0 reuses one port, which works where the
#                       server closes first). Otherwise every operation has a fresh port of the kernel's choice.
# An IPv6 address with a port is written [::1]:80. The port of a DNS server is 53 unless given.
#
# Fields of every record: `i` counts the operations from 0, `at` is its start in epoch ms, `ms` what it took, `to` the
# address asked, `source` the address it was asked from, `lostMs` how much of `ms` the probe itself stood still (left out
# for none; no time-out counts it), and if it failed
#   error   refused timeout reset unreachable closed (ended before the answer did) malformed (not the protocol) denied
#           (a local rule) toobig (a datagram) address (cannot bind it) other (see `detail`); in `name` also rcode (see
#           `rcode`) and nodata
#   phase   connect (before the request left), read (after it), dns (of `name`)
# http    `connectMs`, `status`, `container`, `peer` and `local` (both ends as the workload saw them), `path` (as asked),
#         `bytes` of the body. `ms` ends with the last byte of the body; the probe then lets the server close first.
# name    as http, and `dnsMs`, `answers` (addresses in order), `first`. If the query failed, `to` is the DNS server.
# dns     `q` (which query), `proto`, `answer` in hex. The id of query i is i modulo 65536. UDP: a fresh socket, so a
#         random source port, per query, and W (default 1) in flight. TCP: W in flight, pipelined, a new connection
#         after C queries (default 100: the engine answers no more than 128 on one).
# udp     `container` and `peer` from the answer. Only the answer to this very payload counts.
# hold    connection `i` gives an `event` open, an echo for each line `k` with `container`, and close when --ms is over
#         and nothing is outstanding, or with an error: the error of lines still outstanding, too. Line 0 is sent
#         however late it opens. With --keepalive-s the kernel asks after the peer when nothing was heard for K s, and
#         again each K s (SO_KEEPALIVE).
# ping    the echo reply with this very id and number from the address asked; it needs the right to raw sockets.
#
# It runs on perl-base alone, and its start is paid for under CPU emulation. Loading Socket takes as long as a whole run
# of this, so the few numbers needed of Linux's ABI are written out, and Socket is loaded only for IPv6 addresses.

use strict;

sub AF_INET ()      { 2 }
sub AF_INET6 ()     { 10 }
sub STREAM ()       { 1 | 2048 }         # SOCK_STREAM | SOCK_NONBLOCK
sub DGRAM ()        { 2 | 2048 }
sub RAW ()          { 3 | 2048 }
sub ICMP ()         { 1 }                # IPPROTO_ICMP
sub TCP ()          { 6 }                # IPPROTO_TCP
sub SOL_SOCKET ()   { 1 }
sub SO_REUSEADDR () { 2 }
sub SO_ERROR ()     { 4 }
sub SO_KEEPALIVE () { 9 }
sub TCP_KEEPIDLE () { 4 }
sub TCP_KEEPINTVL () { 5 }
sub AT_ONCE ()      { 0x40 | 0x4000 }    # MSG_DONTWAIT | MSG_NOSIGNAL
sub EAGAIN ()       { 11 }
sub EINPROGRESS ()  { 115 }
sub NAP ()          { 250 }              # see turn

my %ERROR = (
    1   => 'denied',      13  => 'denied',         # EPERM EACCES
    90  => 'toobig',                               # EMSGSIZE
    98  => 'address',     99  => 'address',        # EADDRINUSE EADDRNOTAVAIL
    100 => 'unreachable', 101 => 'unreachable',    # ENETDOWN ENETUNREACH
    112 => 'unreachable', 113 => 'unreachable',    # EHOSTDOWN EHOSTUNREACH
    32  => 'reset',       103 => 'reset', 104 => 'reset',    # EPIPE ECONNABORTED ECONNRESET
    110 => 'timeout',     111 => 'refused',                  # ETIMEDOUT ECONNREFUSED
);

my $JSON_TEXT = qr{"(?:[^"\\\x00-\x1f\x7f-\xff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"};

# What each command takes: # a number, = a text, @ texts, ! nothing.
my $EVERY = 'count# timeout-ms# interval-ms# source= source-port# source-step# rounds!';
my %TAKES = (
    http => "to@ path= parallel# $EVERY",
    name => "server= query= port# path= parallel# $EVERY",
    dns  => "server= query@ proto= window# per-connection# $EVERY",
    udp  => "to@ payload-bytes# parallel# $EVERY",
    hold => "to@ ms# every-ms# keepalive-s# $EVERY",
    ping => "to@ $EVERY",
);
my %NEEDS = (
    http => 'to count', name => 'server query port count', dns => 'server query count', udp => 'to count',
    hold => 'to ms', ping => 'to count',
);
my %RUN = (http => \&http, name => \&name, dns => \&dns, udp => \&udp, hold => \&hold, ping => \&ping);

$| = 1;
my %opt = (
    'count' => 1, 'timeout-ms' => 5000, 'interval-ms' => 0, 'parallel' => 1, 'window' => 1, 'source-step' => 1,
    'per-connection' => 100, 'path' => '/', 'proto' => 'udp', 'payload-bytes' => 32, 'every-ms' => 1000,
    arguments(@ARGV),
);
usage("--path starts with / and holds no space, not $opt{path}") if $opt{path} !~ m{^/\S*\z};
my $bind = defined $opt{source} ? endpoint($opt{source}, 0) : undef;
my $clock_gettime;    # see clock
my $stopped;
$SIG{$_} = sub { $stopped = 1 } for 'TERM', 'INT';
my (%watched, %timers);
my ($awake, @stalls);    # when the loop last ran; [when it ran again, how long it had not] (monotonic ms)
$awake = clock(1);
$RUN{ $ARGV[0] }->();
exit 0;

# --- command line -----------------------------------------------------------------------------------------------------

sub usage {
    print STDERR "probe.pl: $_[0]\n";
    exit 2;
}

sub arguments {
    my ($command, @rest) = @_;
    usage('the first word is one of ' . join(', ', sort keys %TAKES)) if !defined $command || !$TAKES{$command};
    my %kind = $TAKES{$command} =~ /([\w-]+)([#=@!])/g;
    my %given;
    while (defined(my $word = shift @rest)) {
        my ($name) = $word =~ /^--(.+)$/;
        my $kind = defined $name ? $kind{$name} : undef;
        usage("$command does not take $word") if !$kind;
        if ($kind eq '!') { $given{$name} = 1; next }
        usage("$word needs a value") if !@rest;
        my $value = shift @rest;
        usage("$word takes a number, not $value") if $kind eq '#' && $value !~ /^\d{1,9}$/;
        if ($kind eq '@') { push @{ $given{$name} }, $value }
        else              { $given{$name} = $value }
    }
    for (split ' ', $NEEDS{$command}) { usage("$command needs --$_") if !defined $given{$_} }
    return %given;
}

# An address to send to: { family, ip (packed), port, text }.
sub endpoint {
    my ($text, $port) = @_;
    my $ip = $text;
    if ($text =~ /^\[(.*)\](?::(\d+))?$/ || $text =~ /^([\d.]+)(?::(\d+))?$/) {
        $ip   = $1;
        $port = $2 if defined $2;
    }
    usage("$text has no port")                if !defined $port;
    usage("$text has no port that can exist") if $port > 65_535;
    if ($ip =~ /^\d+\.\d+\.\d+\.\d+$/) {
        my @bytes = split /\./, $ip;
        usage("$text is not an address") if grep { $_ > 255 } @bytes;
        my $packed = pack 'C4', @bytes;
        return { family => AF_INET, ip => $packed, port => $port, text => ip_text($packed) . ":$port" };
    }
    require Socket;
    my $packed = $ip =~ /:/ ? Socket::inet_pton(AF_INET6, $ip) : undef;
    usage("$text is not an address") if !defined $packed;
    return { family => AF_INET6, ip => $packed, port => $port, text => '[' . ip_text($packed) . "]:$port" };
}

sub query {
    my ($hex) = @_;
    usage("--query takes a DNS message in hex, not $hex") if $hex !~ /^(?:[0-9a-f]{2}){12,}$/i;
    return pack 'H*', $hex;
}

# --- commands ---------------------------------------------------------------------------------------------------------

sub http {
    my @to = map { endpoint($_) } @{ $opt{to} };
    each_operation(scalar @to, $opt{parallel}, sub { my ($i, $which, $done) = @_; get($i, $to[$which], $done) });
}

sub name {
    my ($server, $query) = (endpoint($opt{server}, 53), query($opt{query}));
    usage('--port is at most 65535') if $opt{port} > 65_535;
    each_operation(1, $opt{parallel}, sub {
        my ($i, undef, $done) = @_;
        ask($i, $server, with_id($query, $i), sub {
            my ($answer, %facts) = @_;
            my ($ips, $error, $rcode) = defined $answer ? addresses($answer) : [];
            my @dns = (dnsMs => $facts{ms}, answers => $ips, first => $ips->[0]);
            return get($i, endpoint("[$ips->[0]]", $opt{port}), $done, @dns) if @$ips;
            record(
                i => $i, %facts{qw(at ms lostMs source)}, to => $server->{text}, @dns,
                error => $error || $facts{error}, rcode => $rcode, detail => $facts{detail}, phase => 'dns',
            );
            $done->();
        });
    });
}

sub dns {
    usage('--proto is udp or tcp') if $opt{proto} !~ /^(?:udp|tcp)$/;
    my $server  = endpoint($opt{server}, 53);
    my @queries = map { query($_) } @{ $opt{query} };
    my $ask     = $opt{proto} eq 'udp' ? \&ask : \&ask_pipelined;
    each_operation(scalar @queries, $opt{window}, sub {
        my ($i, $which, $done) = @_;
        $ask->($i, $server, with_id($queries[$which], $i), sub {
            my ($answer, %facts) = @_;
            record(
                i => $i, q => $which, %facts{qw(at ms lostMs source)}, to => $server->{text}, proto => $opt{proto},
                answer => defined $answer ? unpack('H*', $answer) : undef, %facts{qw(error detail phase)},
            );
            $done->();
        });
    });
}

sub udp {
    my @to = map { endpoint($_) } @{ $opt{to} };
    each_operation(scalar @to, $opt{parallel}, sub {
        my ($i, $which, $done) = @_;
        my $payload = substr "$i " . 'x' x $opt{'payload-bytes'}, 0, $opt{'payload-bytes'};
        my $form    = qr/^container=(.*) peer=(\S+) \Q$payload\E\z/s;
        datagram($i, $to[$which], $payload, $form, sub {
            my ($answer, %facts) = @_;
            my ($container, $peer) = defined $answer ? $answer =~ $form : ();
            record(
                i => $i, %facts{qw(at ms lostMs source)}, to => $to[$which]{text}, container => $container, peer => $peer,
                %facts{qw(error detail phase)},
            );
            $done->();
        });
    });
}

sub hold {
    my @to = map { endpoint($_) } @{ $opt{to} };
    each_operation(scalar @to, @to * $opt{count}, sub { my ($i, $which, $done) = @_; held($i, $to[$which], $done) });
}

sub ping {
    my @to = map { endpoint($_, 0) } @{ $opt{to} };
    usage('ping asks IPv4 addresses') if grep { $_->{family} != AF_INET } @to;
    each_operation(scalar @to, 1, sub { my ($i, $which, $done) = @_; echo_request($i, $to[$which], $done) });
}

# Runs `start` (operation, which of the targets, what to call at its end) --count times for each target.
sub each_operation {
    my ($targets, $parallel, $start) = @_;
    my ($total, $i, $running, $next) = ($targets * $opt{count}, 0, 0, clock(1));
    $parallel ||= 1;
    my $last_port = ($opt{'source-port'} || 0) + ($total - 1) * $opt{'source-step'};
    usage("there is no source port $last_port") if $opt{'source-port'} && $last_port > 65_535;
    while (1) {
        $total = $i if $stopped;
        last if $i == $total && !$running;
        while ($i < $total && $running < $parallel && clock(1) >= $next) {
            $next = clock(1) + $opt{'interval-ms'};
            $running++;
            $start->($i, $opt{rounds} ? $i % $targets : int($i / $opt{count}), sub { $running-- });
            $i++;
        }
        turn($i < $total && $running < $parallel ? $next : undef) if $running || $i < $total;
    }
}

# --- operations -------------------------------------------------------------------------------------------------------

# One fresh connection and one GET.
sub get {
    my ($i, $to, $done, @more) = @_;
    my ($at, $begun) = (clock(0), clock(1));
    my ($fh, $source, $errno) = dial(STREAM, $to, $i);
    my ($phase, $timer, $connect_ms, $ms, $status, $length) = ('connect');
    my ($head, $body, $bytes) = ('', '', 0);    # of the body, the beginning and the length

    my $end = sub {
        my ($error, @detail) = @_;
        hang_up($fh, $timer);
        my %seen = "$head$body" =~ /"(container|peer|local)":($JSON_TEXT)/g;
        record(
            i => $i, at => $at, ms => defined $ms ? $ms : clock(1) - $begun, connectMs => $connect_ms,
            source => $source, to => $to->{text}, path => $opt{path}, status => $status,
            (map { $_ => $seen{$_} && \$seen{$_} } qw(container peer local)),
            bytes => $status && $bytes, lostMs => lost($begun), @more, error => $error, @detail,
            phase => $error && $phase,
        );
        $done->();
    };
    return $end->(error($errno)) if $errno;

    my $read = sub {
        my $ok = recv $fh, my $data, 65_536, AT_ONCE;
        return if !defined $ok && $! == EAGAIN;
        return $end->() if defined $ms && (!defined $ok || $data eq '');
        return $end->(error($! + 0)) if !defined $ok;
        if ($data eq '') {
            return $end->('closed') if !$status || defined $length;
            $ms = clock(1) - $begun;
            return $end->();
        }
        if (!$status) {
            $head .= $data;
            return $end->('malformed') if length $head >= 12 && $head !~ m{^HTTP/1\.\d \d\d\d} || length $head > 65_536;
            $head =~ s/\r?\n\r?\n(.*)//s or return;
            $data = $1;
            ($status) = $head =~ /^\S+ (\d+)/ or return $end->('malformed');
            $length = $1 if $head =~ /^content-length:\s*(\d+)/mi;
        }
        $bytes += length $data;
        $body .= $data if length $body < 65_536;
        if (defined $length && $bytes >= $length && !defined $ms) {
            $ms = clock(1) - $begun;
            cancel($timer);    # the server closes first, so that this port is free for another connection
            $timer = timer(clock(1) + ($opt{'source-port'} ? $opt{'timeout-ms'} : 250), $end);
        }
    };
    my $request = "GET $opt{path} HTTP/1.1\r\nHost: $to->{text}\r\nConnection: close\r\n\r\n";
    watch($fh, undef, sub {
        my $errno = unpack 'i', getsockopt $fh, SOL_SOCKET, SO_ERROR;
        return $end->(error($errno)) if $errno;
        $connect_ms = clock(1) - $begun;
        $phase      = 'read';
        defined send $fh, $request, AT_ONCE or return $end->(error($! + 0));
        watch($fh, $read);
    });
    $timer = timer($begun + $opt{'timeout-ms'}, sub { $end->('timeout') });
}

# One datagram and the first answer of that form; then gets the answer (or undef) and facts for a record.
sub datagram {
    my ($i, $to, $payload, $form, $then) = @_;
    my ($at, $begun) = (clock(0), clock(1));
    my ($fh, $source, $errno) = dial(DGRAM, $to, $i);
    my ($phase, $timer) = ('connect');
    my $end = sub {
        my ($answer, $error, @detail) = @_;
        hang_up($fh, $timer);
        $then->(
            $answer, at => $at, ms => clock(1) - $begun, lostMs => lost($begun), source => $source,
            error => $error, @detail, phase => $error && $phase,
        );
    };
    return $end->(undef, error($errno))  if $errno;
    return $end->(undef, error($! + 0)) if !defined send $fh, $payload, AT_ONCE;
    $phase = 'read';
    $timer = timer($begun + $opt{'timeout-ms'}, sub { $end->(undef, 'timeout') });
    watch($fh, sub {
        my $ok = recv $fh, my $data, 65_536, AT_ONCE;
        return $! == EAGAIN || $end->(undef, error($! + 0)) if !defined $ok;
        $end->($data) if $data =~ $form;
    });
}

# One ICMP echo request (RFC 792). A raw socket gets the IP header, too, and every ICMP message of the address asked.
sub echo_request {
    my ($i, $to, $done) = @_;
    my ($at, $begun) = (clock(0), clock(1));
    my ($fh, undef, $errno) = dial(RAW, $to, $i);
    my ($phase, $timer) = ('connect');
    my $end = sub {
        my ($error, @detail) = @_;
        hang_up($fh, $timer);
        record(
            i => $i, at => $at, ms => clock(1) - $begun, lostMs => lost($begun), to => ip_text($to->{ip}),
            error => $error, @detail, phase => $error && $phase,
        );
        $done->();
    };
    return $end->(error($errno)) if $errno;
    my $what = pack 'n2 a32', $$ & 0xffff, $i & 0xffff, 'swarmproof';
    my $sum  = 0x0800 + unpack '%32n*', $what;
    $sum = ($sum >> 16) + ($sum & 0xffff) while $sum > 0xffff;
    return $end->(error($! + 0)) if !defined send $fh, pack('n2', 0x0800, ~$sum & 0xffff) . $what, AT_ONCE;
    $phase = 'read';
    $timer = timer($begun + $opt{'timeout-ms'}, sub { $end->('timeout') });
    watch($fh, sub {
        my $ok = recv $fh, my $data, 65_536, AT_ONCE;
        return $! == EAGAIN || $end->(error($! + 0)) if !defined $ok;
        my $message = substr $data, 4 * (ord($data) & 15);
        $end->() if $message =~ /^\0\0/ && substr($message, 4) eq $what;
    });
}

# One DNS query by UDP; `then` as for a datagram.
sub ask {
    my ($i, $server, $message, $then) = @_;
    my $id = substr $message, 0, 2;
    datagram($i, $server, $message, qr/^\Q$id\E.{10}/s, $then);
}

my $link;    # the TCP connection that takes queries: { fh, source, phase, used, waiting, in, out }

# One DNS query on a TCP connection shared with others.
sub ask_pipelined {
    my ($i, $server, $message, $then) = @_;
    my ($at, $begun, $timer) = (clock(0), clock(1));
    retire($link) if $link && $link->{used} >= $opt{'per-connection'};
    my $errno;
    ($link, $errno) = connect_link($i, $server) if !$link;
    my $on  = $link;
    my $id  = substr $message, 0, 2;
    my $end = sub {
        my ($answer, $error, @detail) = @_;
        cancel($timer);
        delete $on->{waiting}{$id};
        $then->(
            $answer, at => $at, ms => clock(1) - $begun, lostMs => lost($begun), source => $on->{source},
            error => $error, @detail, phase => $error && $on->{phase},
        );
        retire($on) if $error || $on->{retired};
    };
    return $end->(undef, error($errno)) if $errno;
    $on->{used}++;
    $on->{waiting}{$id} = $end;
    $on->{out} .= pack 'n/a*', $message;
    watch($on->{fh}, $on->{read}, $on->{write});
    $timer = timer($begun + $opt{'timeout-ms'}, sub { $end->(undef, 'timeout') });
}

sub connect_link {
    my ($i, $server) = @_;
    my ($fh, $source, $errno) = dial(STREAM, $server, $i);
    my $on = { fh => $fh, source => $source, phase => 'connect', used => 0, waiting => {}, in => '', out => '' };
    my $broken = sub {
        my @error = @_;
        retire($on);
        $_->(undef, @error) for values %{ { %{ $on->{waiting} } } };
    };
    $on->{write} = sub {
        if ($on->{phase} eq 'connect') {
            my $errno = unpack 'i', getsockopt $fh, SOL_SOCKET, SO_ERROR;
            return $broken->(error($errno)) if $errno;
            $on->{phase} = 'read';
        }
        my $sent = send $fh, $on->{out}, AT_ONCE;
        return $! == EAGAIN || $broken->(error($! + 0)) if !defined $sent;
        substr $on->{out}, 0, $sent, '';
        watch($fh, $on->{read}, length $on->{out} ? $on->{write} : undef);
    };
    $on->{read} = sub {
        my $ok = recv $fh, my $data, 65_536, AT_ONCE;
        return $! == EAGAIN || $broken->(error($! + 0)) if !defined $ok;
        return $broken->('closed') if $data eq '';
        $on->{in} .= $data;
        while (length $on->{in} >= 2 && length $on->{in} >= 2 + (my $length = unpack 'n', $on->{in})) {
            my $answer = substr $on->{in}, 2, $length;
            substr $on->{in}, 0, 2 + $length, '';
            my $end = $on->{waiting}{ substr $answer, 0, 2 };
            $end->($answer) if $end && $length >= 12;
        }
    };
    return ($on, $errno);
}

# Gives a connection no more queries, and closes it once none is outstanding.
sub retire {
    my ($on) = @_;
    $on->{retired} = 1;
    undef $link if $link && $link == $on;
    return      if %{ $on->{waiting} } || !$on->{fh};
    hang_up($on->{fh});
    delete @$on{qw(fh read write)};
}

# One held connection: a line now and then, its echo, until --ms is over.
sub held {
    my ($i, $to, $done) = @_;
    my ($at, $begun) = (clock(0), clock(1));
    my ($fh, $source, $errno) = dial(STREAM, $to, $i);
    my ($phase, $k, $in, $timer, %sent) = ('connect', 0, '');

    my $echo = sub {
        my ($n, @more) = @_;
        my ($sent_at, $sent, $timer) = @{ delete $sent{$n} };
        cancel($timer);
        record(
            i => $i, event => 'echo', k => $n, at => $sent_at, ms => clock(1) - $sent, lostMs => lost($sent),
            to => $to->{text}, @more,
        );
    };
    my $end = sub {
        my ($error, @detail) = @_;
        my @failure = (error => $error, @detail, phase => $error && $phase);
        hang_up($fh, $timer);
        $echo->($_, @failure) for sort { $a <=> $b } keys %sent;
        record(
            i => $i, event => 'close', at => $at, ms => clock(1) - $begun, lostMs => lost($begun), source => $source,
            to => $to->{text}, @failure,
        );
        $done->();
    };
    return $end->(error($errno)) if $errno;
    if ($opt{'keepalive-s'}) {
        setsockopt $fh, SOL_SOCKET, SO_KEEPALIVE, pack 'i', 1;
        setsockopt $fh, TCP, $_, pack 'i', $opt{'keepalive-s'} for TCP_KEEPIDLE, TCP_KEEPINTVL;
    }

    my $next;
    $next = sub {
        my $now = clock(1);
        # However late the loop comes by, as many lines are sent as there is time for, and one at least.
        my $every = $opt{'every-ms'} || 1;
        my $over  = $k && $k * $every >= $opt{ms};
        if ($stopped || $over && $now - $begun >= $opt{ms}) { $timer = undef; return %sent || $end->() }
        if ($over) { $timer = timer($begun + $opt{ms}, $next); return }
        my $n = $k++;
        $sent{$n} = [clock(0), $now, timer($now + $opt{'timeout-ms'}, sub {
            $echo->($n, error => 'timeout', phase => 'read');
            $end->() if !$timer && !%sent;
        })];
        defined send $fh, "$n\n", AT_ONCE or return $end->(error($! + 0));
        $timer = timer($k * $every < $opt{ms} ? $now + $every : $begun + $opt{ms}, $next);
    };
    my $read = sub {
        my $ok = recv $fh, my $data, 65_536, AT_ONCE;
        return $! == EAGAIN || $end->(error($! + 0)) if !defined $ok;
        return $end->('closed') if $data eq '';
        $in .= $data;
        while ($in =~ s/^(.*)\n//) {
            my ($container, $n) = $1 =~ /^(.*) (\d+)$/ or return $end->('malformed');
            $echo->($n, container => $container) if $sent{$n};
        }
        $end->() if !$timer && !%sent;
    };
    watch($fh, undef, sub {
        my $errno = unpack 'i', getsockopt $fh, SOL_SOCKET, SO_ERROR;
        return $end->(error($errno)) if $errno;
        cancel($timer);
        $phase = 'read';
        record(
            i => $i, event => 'open', at => $at, ms => clock(1) - $begun, lostMs => lost($begun), source => $source,
            to => $to->{text},
        );
        watch($fh, $read);
        $next->();
    });
    $timer = timer($begun + $opt{'timeout-ms'}, sub { $end->('timeout') });
}

# --- sockets and time: a small event loop -----------------------------------------------------------------------------

# A socket on its way to the address: (socket, source, error number).
sub dial {
    my ($type, $to, $i) = @_;
    socket my $fh, $to->{family}, $type, $type == RAW ? ICMP : 0 or return (undef, undef, $! + 0);
    if ($bind || $opt{'source-port'}) {
        my $port = ($opt{'source-port'} || 0) + ($opt{'source-port'} ? $i * $opt{'source-step'} : 0);
        my $from = $bind || { family => $to->{family}, ip => $to->{family} == AF_INET ? "\0" x 4 : "\0" x 16 };
        setsockopt $fh, SOL_SOCKET, SO_REUSEADDR, pack 'i', 1;
        bind $fh, sockaddr(%$from, port => $port) or return ($fh, undef, $! + 0);
    }
    my $errno = connect($fh, sockaddr(%$to)) || $! == EINPROGRESS ? 0 : $! + 0;
    my ($family, $port, $v4, $v6) = unpack 'S n a4 a16', getsockname($fh) . "\0" x 12;
    my $ip = $family == AF_INET ? $v4 : $v6;
    return ($fh, undef, $errno) if !$port || $ip !~ /[^\0]/;    # a socket that failed may have no address
    return ($fh, $family == AF_INET ? ip_text($ip) . ":$port" : '[' . ip_text($ip) . "]:$port", $errno);
}

sub sockaddr {
    my (%of) = @_;
    return $of{family} == AF_INET ? pack 'S n a4 x8', @of{qw(family port ip)}
        :                           pack 'S n x4 a16 x4', @of{qw(family port ip)};
}

sub ip_text {
    my ($ip) = @_;
    return join '.', unpack 'C4', $ip if length $ip == 4;
    require Socket;
    return Socket::inet_ntop(AF_INET6, $ip);
}

# The name of an error number, with the system's words for one without a name here.
sub error {
    my ($errno) = @_;
    return $ERROR{$errno} if $ERROR{$errno};
    local $! = $errno;
    return ('other', detail => "$!");
}

# Calls one or both when the socket is readable, or writable; replaces what was wished before.
sub watch {
    my ($fh, $read, $write) = @_;
    $watched{ fileno $fh } = [$fh, $read, $write];
}

sub hang_up {
    my ($fh, $timer) = @_;
    cancel($timer);
    return if !$fh;
    delete $watched{ fileno $fh };
    close $fh;
}

sub timer {
    my ($when, $then) = @_;
    my $timer = [$when, $then];
    return $timers{$timer} = $timer;
}

sub cancel {
    my ($timer) = @_;
    return if !$timer;
    delete $timers{$timer};
    @$timer = (0, sub { });    # breaks the circle through its closure
}

# How much of the time since then (monotonic) this program stood still, as it does when the whole machine does (ms); undef
# for none.
sub lost {
    my ($since) = @_;
    my $sum = 0;
    for (@stalls) { my ($end, $ms) = @$_; $sum += least($ms, $end - $since) if $end > $since }
    return $sum || undef;
}

# Waits for the next thing to happen, or for this time, and does what is due. What is due because the program stood still
# gets that time on top: whoever is asked may have stood still, too. No wait is longer than NAP; one that took longer than
# asked by more than that was a stall.
sub turn {
    my ($until) = @_;
    my ($readable, $writable) = ('', '');
    for (values %watched) {
        vec($readable, fileno $_->[0], 1) = 1 if $_->[1];
        vec($writable, fileno $_->[0], 1) = 1 if $_->[2];
    }
    for (values %timers) { $until = $_->[0] if !defined $until || $_->[0] < $until }
    my $before = clock(1);
    my $wait = defined $until ? least($until - $before, NAP) : NAP;
    $wait = 0 if $wait < 0;
    my $ready = select $readable, $writable, undef, $wait / 1000;
    my $stall = clock(1) - $awake - $wait;
    if ($stall > NAP) {
        push @stalls, [clock(1), $stall];
        $_->[0] += $stall for values %timers;
    }
    $awake = clock(1);
    if ($ready > 0) {
        for my $fd (sort { $a <=> $b } keys %watched) {
            for ([1, $readable], [2, $writable]) {
                my ($way, $set) = @$_;
                my $then = $watched{$fd} && $watched{$fd}[$way];
                $then->() if $then && vec $set, $fd, 1;
            }
        }
    }
    my $now = clock(1);
    for my $timer (sort { $a->[0] <=> $b->[0] } grep { $_->[0] <= $now } values %timers) {
        $timer->[1]->() if delete $timers{$timer};
    }
}

# clock_gettime in ms: 0 is the time of day, 1 the monotonic clock. Time::HiRes is not in perl-base. The number of the
# system call depends on the machine this perl was built for, which is in the ELF header: x86-64, arm64, riscv64,
# loongarch64, ppc64, s390x, x86, arm.
sub clock {
    my ($id) = @_;
    $clock_gettime ||= do {
        my %number = (62 => 228, 183 => 113, 243 => 113, 258 => 113, 21 => 246, 22 => 260, 3 => 265, 40 => 263);
        open my $self, '<', '/proc/self/exe' or usage("cannot read /proc/self/exe: $!");
        read $self, my $header, 20;
        $number{ unpack 'x18 S', $header } or usage('no clock for this machine type');
    };
    my $time = pack 'l!2', 0, 0;
    syscall($clock_gettime, $id + 0, $time) == 0 or usage("clock_gettime: $!");
    my ($s, $ns) = unpack 'l!2', $time;
    return $s * 1000 + $ns / 1e6;
}

sub least {
    my ($one, $other) = @_;
    return $one < $other ? $one : $other;
}

# --- DNS and JSON -----------------------------------------------------------------------------------------------------

sub with_id {
    my ($message, $i) = @_;
    return pack('n', $i & 0xffff) . substr $message, 2;
}

# The addresses of an answer's records of the type asked for, in order: (addresses, error, rcode).
sub addresses {
    my ($message) = @_;
    my ($flags, $questions, $records) = unpack 'x2 n3', $message;
    return ([], 'rcode', $flags & 15) if $flags & 15;
    my ($at, $asked, @ips) = (12, 0);
    while ($questions-- > 0) {
        $at = after_name($message, $at);
        return ([], 'malformed') if !$at || $at + 4 > length $message;
        $asked = unpack "x$at n", $message;
        $at += 4;
    }
    while ($records-- > 0) {
        $at = after_name($message, $at);
        return ([], 'malformed') if !$at || $at + 10 > length $message;
        my ($type, $length) = unpack "x$at n x6 n", $message;
        return ([], 'malformed') if ($at += 10) + $length > length $message;
        if ($type == $asked) {
            my $data = substr $message, $at, $length;
            push @ips, ip_text($data) if $type == 1 && $length == 4 || $type == 28 && $length == 16;
        }
        $at += $length;
    }
    return (\@ips, @ips ? undef : 'nodata');
}

# The offset behind a name, or 0. A compression pointer ends a name, so none needs following.
sub after_name {
    my ($message, $at) = @_;
    while ($at < length $message) {
        my $length = ord substr $message, $at, 1;
        return $at + 2 if $length >= 0xc0;
        return $at + 1 if $length == 0;
        return 0       if $length > 63;
        $at += 1 + $length;
    }
    return 0;
}

# Prints pairs as a JSON line, leaving out what is undefined: numbers by their key, a reference to a text as that JSON.
sub record {
    my @pairs;
    while (my ($key, $value) = splice @_, 0, 2) {
        next if !defined $value;
        my $json =
              ref $value eq 'SCALAR'                      ? $$value
            : ref $value                                  ? '[' . join(',', map { text($_) } @$value) . ']'
            : $key =~ /^(?:at|ms|lostMs|connectMs|dnsMs)$/ ? sprintf('%.3f', $value)
            : $key =~ /^(?:i|k|q|status|bytes|rcode)$/    ? $value
            :                                               text($value);
        push @pairs, "\"$key\":$json";
    }
    print '{', join(',', @pairs), "}\n";
}

sub text {
    my ($text) = @_;
    $text =~ s/(["\\])/\\$1/g;
    $text =~ s/([^\x20-\x7e])/sprintf '\\u%04x', ord $1/ge;
    return "\"$text\"";
}
