#!/usr/bin/perl -w
#
# A DNS server for one zone: what a lab without the world outside has in its place. It answers over UDP and writes down who
# asked for what. It returns once it listens; the server goes on in the background, and takes the place of one started
# before with the same log.
#
#   upstream.pl ADDRESS PORT LOG
#
# nK.upstream.test            A 198.18.(K / 256).(K % 256), TTL 17, for K up to 65535; authoritative, with an NS record, TTL 23
# nK.late-MS.upstream.test    the same, MS ms later
# silent.upstream.test        never answered
# Another type of a name that exists gets no record, any other name NXDOMAIN. A name may be written in any case.
#
# LOG gets a JSON line for each query, before it is answered; `type` is the number of RFC 1035:
#   {"from":"192.168.83.22:40312","name":"n1.upstream.test","type":1}
# LOG.pid holds its process id. It runs on perl-base alone.

use strict;
use Socket qw(AF_INET SOCK_DGRAM inet_aton inet_ntoa pack_sockaddr_in unpack_sockaddr_in);
use POSIX ();

@ARGV == 3 or die "usage: upstream.pl ADDRESS PORT LOG\n";
my ($address, $port, $log) = @ARGV;

if (open my $former, '<', "$log.pid") { kill TERM => <$former> }
socket my $socket, AF_INET, SOCK_DGRAM, 0 or die "socket: $!\n";
for my $try (1 .. 100) {
    last if bind $socket, pack_sockaddr_in($port, inet_aton($address));
    die "bind $address:$port: $!\n" if $try == 100;
    select undef, undef, undef, 0.05;
}
open my $asked, '>', $log or die "$log: $!\n";
select((select($asked), $| = 1)[0]);

defined(my $child = fork) or die "fork: $!\n";
if ($child) {
    open my $pid, '>', "$log.pid" or die "$log.pid: $!\n";
    print {$pid} $child;
    exit 0;
}
open STDIN,  '<', '/dev/null';
open STDOUT, '>', '/dev/null';
open STDERR, '>', '/dev/null';

my $tick = 1 / POSIX::sysconf(POSIX::_SC_CLK_TCK());
my @late;    # answers on their way: [due, address, message], the first due first
while (1) {
    my $ready = '';
    vec($ready, fileno $socket, 1) = 1;
    my $wait = @late ? $late[0][0] - now() : undef;
    select $ready, undef, undef, defined $wait && $wait < 0 ? 0 : $wait;
    while (@late && $late[0][0] <= now()) { send $socket, $late[0][2], 0, $late[0][1]; shift @late }
    next if !vec $ready, fileno $socket, 1;
    my $from = recv($socket, my $query, 65_535, 0) // next;
    my ($name, $end) = name_in($query) or next;
    my ($type) = unpack 'n', substr $query, $end, 2;
    my ($from_port, $from_ip) = unpack_sockaddr_in($from);
    printf {$asked} qq({"from":"%s:%d","name":"%s","type":%d}\n), inet_ntoa($from_ip), $from_port, $name, $type;

    next if $name eq 'silent.upstream.test';
    my ($k, $delay) = $name =~ /^n(\d{1,5})(?:\.late-(\d{1,5}))?\.upstream\.test$/;
    my $exists = defined $k && $k < 65_536;
    my $due    = now() + ($exists && $delay ? $delay / 1000 + $tick : 0);
    my $at     = @late;
    $at-- while $at > 0 && $late[$at - 1][0] > $due;
    splice @late, $at, 0, [$due, $from, answer($query, $end + 4, $exists, $type, $k)];
}

# Seconds of a clock that only goes forward, in ticks of the kernel.
sub now { return (POSIX::times())[0] * $tick }

# The name asked for, in small letters, and where its type begins; nothing when this is no query.
sub name_in {
    my ($query) = @_;
    return if length $query < 17 || vec($query, 2, 8) & 0x80;
    my ($at, @labels) = (12);
    while (my $length = vec $query, $at, 8) {
        return if $length > 63 || $at + $length + 5 >= length $query;
        push @labels, lc substr $query, $at + 1, $length;
        $at += 1 + $length;
    }
    my $name = join '.', @labels;
    $name =~ s/[^\w.-]/?/g;
    return ($name, $at + 1);
}

sub answer {
    my ($query, $end, $exists, $type, $k) = @_;
    my ($id, $flags) = unpack 'n n', $query;
    my $found = $exists && $type == 1;
    # QR and AA set, opcode and RD as asked, RA set; NXDOMAIN is 3.
    my $head = pack 'n6', $id, 0x8480 | $flags & 0x7900, 1, $found ? 1 : 0, $found ? 1 : 0, 0;
    vec($head, 3, 8) |= 3 if !$exists;
    my $message = $head . substr $query, 12, $end - 12;
    return $message if !$found;
    my $host = "\2n0\10upstream\4test\0";
    return $message
        . pack('n3 N n C4', 0xc00c, 1, 1, 17, 4, 198, 18, $k >> 8, $k & 255)
        . substr($host, 3) . pack('n2 N n', 2, 1, 23, length $host) . $host;
}
