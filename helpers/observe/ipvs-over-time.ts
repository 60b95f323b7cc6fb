import { quote } from './shell.ts';

/** Ours: how often the table is read. It costs one read of a file each time, and what is printed are changes. */
const EVERY_SECONDS = 0.1;

/**
 * A command that prints the table of IPVS in its network namespace now and whenever it has changed, its counters left out, with
 * the time after each; until TERM. Its output is for `parseIpvsChanges`.
 */
export function ipvsChangesCommand(): string {
  const program = [
    '$| = 1; $SIG{TERM} = sub { $end = 1 }; $last = "";',
    'while (!$end) {',
    'open F, "<", "/proc/net/ip_vs" or die "cannot read /proc/net/ip_vs: $!"; @now = <F>; close F;',
    '/^ +-> [0-9A-F]/ and s/(?: +\\d+){2} *$// for @now;',
    'if ("@now" ne $last) { print @now, "@@ ", `date +%s%3N`; $last = "@now" }',
    `select undef, undef, undef, ${EVERY_SECONDS}`,
    '}',
  ].join(' ');
  return `perl -e ${quote(program)}`;
}
