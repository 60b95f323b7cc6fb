#!/usr/bin/perl -w
#
# Stands between a task and its embedded DNS server and passes on what it says, changed: damage to names. It returns once it
# listens, over UDP and TCP, and goes on in the background.
#
#   dns-tamper.pl ADDRESS PORT UDP-SERVER-PORT TCP-SERVER-PORT LOG HOW [VALUE]
#
# sorted          A records in the order of their addresses
# lost            the last A record is left out
# frozen          the first answer to each question is given again and again
# remembered      A records of all earlier answers to the question are in it, too
# foreign ADDR    an answer with A records has this one alone
# ttl SECONDS     on every record
# whole           the mark of an answer that was cut (TC) is cleared
# none-of-aaaa    questions for AAAA get NXDOMAIN
# pointer NAME    on every PTR record
# first-label     whatever is asked for, its first label is
# untasked        tasks.NAME is asked for as NAME
# silent          nothing is answered
# late MS         every answer comes so much later
#
# A question for tampered.invalid is answered by the program itself, with 192.0.2.53. LOG gets a line for each answer that was
# changed or withheld; LOG.pid holds the process id. It runs on perl-base alone.

use strict;
use Socket qw(AF_INET SOCK_DGRAM SOCK_STREAM SOL_SOCKET SO_REUSEADDR inet_aton pack_sockaddr_in);

@ARGV >= 6 or die "usage: dns-tamper.pl ADDRESS PORT UDP-SERVER-PORT TCP-SERVER-PORT LOG HOW [VALUE]\n";
my ($address, $port, $udp_server, $tcp_server, $log, $how, $value) = @ARGV;
my ($own, %known) = (pack_sockaddr_in($port, inet_aton($address)));

socket my $udp, AF_INET, SOCK_DGRAM, 0 or die "socket: $!\n";
bind $udp, $own or die "bind udp $address:$port: $!\n";
socket my $tcp, AF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
setsockopt $tcp, SOL_SOCKET, SO_REUSEADDR, 1;
bind $tcp, $own or die "bind tcp $address:$port: $!\n";
listen $tcp, 64 or die "listen: $!\n";
socket my $server, AF_INET, SOCK_DGRAM, 0 or die "socket: $!\n";
connect $server, pack_sockaddr_in($udp_server, inet_aton($address)) or die "connect: $!\n";
open my $deeds, '>>', $log or die "$log: $!\n";
select((select($deeds), $| = 1)[0]);

defined(my $child = fork) or die "fork: $!\n";
if ($child) {
    open my $pid, '>', "$log.pid" or die "$log.pid: $!\n";
    print {$pid} $child;
    exit 0;
}
open STDIN,  '<', '/dev/null';
open STDOUT, '>', '/dev/null';
open STDERR, '>', '/dev/null';
$SIG{CHLD} = 'IGNORE';

# Questions under way over UDP: our id => [who asked, its id, what it asked].
my (%asked, $serial);
while (1) {
    my $ready = '';
    vec($ready, fileno $_, 1) = 1 for $udp, $tcp, $server;
    next if select($ready, undef, undef, undef) < 1;
    if (vec $ready, fileno $udp, 1) {
        my $from = recv $udp, my $query, 65_535, 0;
        if (defined $from && length $query > 12) {
            my $control = control($query);
            if ($control) { send $udp, $control, 0, $from }
            else {
                my $id = $serial = (($serial // 0) + 1) % 65_536;
                $asked{$id} = [$from, $query];
                send $server, pack('n', $id) . substr(asked_instead($query), 2), 0;
            }
        }
    }
    if (vec $ready, fileno $server, 1) {
        my $answer;
        if (defined recv($server, $answer, 65_535, 0) && length $answer > 12) {
            my $question = delete $asked{ unpack 'n', $answer };
            if ($question) {
                my $changed = changed($question->[1], $answer);
                send $udp, $changed, 0, $question->[0] if defined $changed;
            }
        }
    }
    if (vec $ready, fileno $tcp, 1) {
        accept my $client, $tcp or next;
        if (!fork) { converse($client); exit 0 }
        close $client;
    }
}

# One client over TCP, question by question (RFC 1035, 4.2.2).
sub converse {
    my ($client) = @_;
    socket my $far, AF_INET, SOCK_STREAM, 0 or return;
    connect $far, pack_sockaddr_in($tcp_server, inet_aton($address)) or return;
    while (defined(my $query = framed($client))) {
        my $answer = control($query);
        if (!$answer) {
            my $instead = asked_instead($query);
            written($far, pack('n', length $instead) . $instead) or return;
            my $heard = framed($far) // return;
            $answer = changed($query, $heard) // next;
        }
        written($client, pack('n', length $answer) . $answer) or return;
    }
}

sub framed {
    my ($from) = @_;
    my $size = taken($from, 2) // return;
    return taken($from, unpack 'n', $size);
}

sub taken {
    my ($from, $wanted) = @_;
    my $text = '';
    while (length $text < $wanted) { sysread $from, $text, $wanted - length $text, length $text or return }
    return $text;
}

sub written {
    my ($to, $text) = @_;
    my $at = 0;
    while ($at < length $text) { $at += syswrite $to, $text, length($text) - $at, $at or return }
    return 1;
}

# Labels of the name asked for, and where its type begins.
sub question {
    my ($message) = @_;
    my ($at, @labels) = (12);
    while (my $length = vec $message, $at, 8) {
        return if $length > 63 || $at + $length >= length $message;
        push @labels, substr $message, $at + 1, $length;
        $at += 1 + $length;
    }
    return ($at + 1, @labels);
}

sub name { return join '', (map { chr(length) . $_ } @_), "\0" }

# The answer that shows that the program is in between.
sub control {
    my ($query) = @_;
    my ($end, @labels) = question($query);
    return if !$end || lc join('.', @labels) ne 'tampered.invalid';
    return substr($query, 0, 2) . pack('n5', 0x8180, 1, 1, 0, 0) . substr($query, 12, $end + 4 - 12)
        . pack('n3 N n C4', 0xc00c, 1, 1, 0, 4, 192, 0, 2, 53);
}

# The question that is passed on.
sub asked_instead {
    my ($query) = @_;
    return $query if $how ne 'first-label' && $how ne 'untasked';
    my ($end, @labels) = question($query) or return $query;
    my @instead = $how eq 'first-label' ? $labels[0] : lc $labels[0] eq 'tasks' ? @labels[1 .. $#labels] : @labels;
    return $query if @instead == @labels || !defined $instead[0];
    return substr($query, 0, 12) . name(@instead) . substr $query, $end;
}

# Where the records begin, each as [name, type, class, ttl, data]; compressed names lead back to the question and stay true.
sub records {
    my ($message, $at, $count) = @_;
    my @records;
    for (1 .. $count) {
        my $from = $at;
        while (1) {
            my $length = vec $message, $at, 8;
            if ($length >= 0xc0) { $at += 2; last }
            $at += 1 + $length;
            last if !$length;
        }
        my ($type, $class, $ttl, $size) = unpack 'n n N n', substr $message, $at, 10;
        push @records, [substr($message, $from, $at - $from), $type, $class, $ttl, substr $message, $at + 10, $size];
        $at += 10 + $size;
    }
    return ($at, @records);
}

# The answer to a question, changed; undef when there shall be none.
sub changed {
    my ($query, $answer) = @_;
    my ($query_end, @labels) = question($query);
    my ($end) = question($answer);
    my ($id, $flags, $questions, $answers, @rest) = unpack 'n6', $answer;
    return substr($query, 0, 2) . substr $answer, 2 if !$end || !$query_end || $questions != 1;
    my ($after, @records) = records($answer, $end + 4, $answers);
    my $type = unpack 'n', substr $query, $query_end, 2;
    my $key  = lc join('.', @labels) . "/$type";
    my @a    = grep { $_->[1] == 1 } @records;
    my $untold = encoded($flags, \@records);

    if ($how eq 'silent') { print {$deeds} "$key\n"; return }
    if ($how eq 'late') { select undef, undef, undef, $value / 1000 }
    if ($how eq 'sorted') { @records = ((sort { $a->[4] cmp $b->[4] } @a), grep { $_->[1] != 1 } @records) }
    if ($how eq 'lost' && @a) { my $last = $a[-1]; @records = grep { $_ != $last } @records }
    if ($how eq 'foreign' && @a) { @records = ([@{ $a[0] }[0 .. 3], inet_aton($value)]) }
    if ($how eq 'ttl') { $_->[3] = $value for @records }
    if ($how eq 'whole') { $flags &= ~0x0200 }
    if ($how eq 'none-of-aaaa' && $type == 28) { $flags = $flags & ~15 | 3; @records = () }
    if ($how eq 'pointer') { $_->[1] == 12 and $_->[4] = name(split /\./, $value) for @records }
    if ($how eq 'remembered' && $type == 1) {
        my %now = map { $_->[4] => 1 } @a;
        push @records, map { [@{$_}[0 .. 3], $_->[4]] } grep { !$now{ $_->[4] } } values %{ $known{$key} };
        $known{$key}{ $_->[4] } = ["\xc0\x0c", @{$_}[1 .. 4]] for @a;
        if (@records && ($flags & 15) == 3) { $flags &= ~15 }
    }
    if ($how eq 'frozen') {
        # Nothing is kept of a name before it stands for something.
        if ($known{$key}) { ($flags, @records) = @{ $known{$key} } }
        elsif (@a) { $known{$key} = [$flags, @records] }
    }

    my $told = encoded($flags, \@records);
    my $renamed = asked_instead($query) ne $query;
    print {$deeds} "$key\n" if $told ne $untold || $renamed || $how eq 'late' || $how eq 'frozen' && @records;
    # What follows the answers is left out where they changed; names in it could lead nowhere.
    my $tail = $told eq $untold && !$renamed ? substr $answer, $after : '';
    my @counts = $tail eq '' ? (0, 0) : @rest;
    if ($renamed) { $_->[0] = "\xc0\x0c" for @records }
    my $body = substr $query, 12, $query_end + 4 - 12;
    return substr($query, 0, 2) . pack('n5', $flags, 1, scalar @records, @counts) . $body . listed(\@records) . $tail;
}

sub listed { return join '', map { $_->[0] . pack('n n N n', @{$_}[1 .. 3], length $_->[4]) . $_->[4] } @{ $_[0] } }
sub encoded { return pack('n', $_[0]) . listed($_[1]) }
