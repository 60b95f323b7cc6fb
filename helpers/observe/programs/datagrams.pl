# Sends the same datagram several times, from a fresh port.
#
#   perl datagrams.pl ADDRESS PORT COUNT HEX
#
# It runs on perl-base alone; the numbers are Linux's.
use strict;
use warnings;
my ($address, $port, $count, $hex) = @ARGV;
socket my $socket, 2, 2, 17 or die "no socket: $!\n";    # AF_INET, SOCK_DGRAM, IPPROTO_UDP
my $to = pack 'S n C4 x8', 2, $port, split /\./, $address;
for (1 .. $count) {
    defined send $socket, pack('H*', $hex), 0, $to or die "cannot send: $!\n";
}
