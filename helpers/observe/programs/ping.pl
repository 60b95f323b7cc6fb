# Sends one ICMP echo request with the DF bit to each target at once and prints what became of each as a JSON line.
#
#   perl ping.pl SECONDS TO=BYTES [TO=BYTES ...]
#
# BYTES are of payload: the packet has 28 more. `result` is reply (all of the payload came back), toobig (refused here or on
# the way: `mtu` says what would fit, if it was told), unreachable, timeout, or other (see `detail`).
# It runs on perl-base alone; the numbers are Linux's.
use strict;
use warnings;
$| = 1;
my ($seconds, @targets) = @ARGV;
socket my $socket, 2, 3, 1 or die "no raw socket: $!\n";    # AF_INET, SOCK_RAW, IPPROTO_ICMP
setsockopt $socket, 0, 10, pack 'i', 2 or die "no DF bit: $!\n";    # IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO
my $id = $$ & 0xffff;
my %open;

sub done {
    my ($i, $result, $more) = @_;
    my ($to, $bytes) = @{ delete $open{$i} };
    printf qq({"to":"%s","bytes":%d,"result":"%s"%s}\n), $to, $bytes, $result, $more || '';
}

sub checksum {
    my ($data) = @_;
    my $sum = 0;
    $sum += $_ for unpack 'n*', $data . (length($data) % 2 ? "\0" : '');
    $sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
    return ~$sum & 0xffff;
}

for my $i (0 .. $#targets) {
    my ($to, $bytes) = split /=/, $targets[$i];
    $open{$i} = [$to, $bytes];
    my $payload = 'x' x $bytes;
    my $sum     = checksum(pack 'C C n n n a*', 8, 0, 0, $id, $i, $payload);
    my $sent    = send $socket, pack('C C n n n a*', 8, 0, $sum, $id, $i, $payload), 0,
        pack('S n C4 x8', 2, 0, split /\./, $to);
    next if defined $sent;
    my $errno = $! + 0;
    if    ($errno == 90)                      { done($i, 'toobig') }         # EMSGSIZE
    elsif ($errno == 101 || $errno == 113)    { done($i, 'unreachable') }    # ENETUNREACH EHOSTUNREACH
    else                                      { done($i, 'other', qq(,"detail":"$!")) }
}

my $until = time + $seconds;
while (%open) {
    my $readable = '';
    vec($readable, fileno $socket, 1) = 1;
    if (!select $readable, undef, undef, 0.5) {
        last if time > $until;    # asked only now: what came while this program stood still is read first
        next;
    }
    recv $socket, my $packet, 65_536, 0;
    my $ip = unpack('C', $packet) % 16 * 4;
    my $from = join '.', unpack 'x12 C4', $packet;
    my ($type, $code, undef, $own, $i) = unpack "x$ip C C n n n", $packet;
    if ($type == 0) {
        next if $own != $id || !$open{$i} || $open{$i}[0] ne $from;
        done($i, 'reply') if length($packet) == $ip + 8 + $open{$i}[1];
    }
    elsif ($type == 3) {
        # It quotes the packet that could not be delivered: an IP header without options, and ours.
        my ($mtu, $asked, $number) = unpack "x$ip x6 n x24 n n", $packet;
        next if $asked != $id || !$open{$number};
        if ($code == 4) { done($number, 'toobig', qq(,"mtu":$mtu)) }
        else            { done($number, 'unreachable') }
    }
}
done($_, 'timeout') for sort { $a <=> $b } keys %open;
