/** Packets seen in a network namespace while something happens there: tcpdump, known to listen before and stopped after it. */
import { Inconclusive, messageOf } from '../errors.ts';
import { besideByHand } from './by-hand.ts';
import { type Packet, parsePcap, VXLAN_PORT } from './parse/pcap.ts';
import { type Plain, quote, type Run } from './shell.ts';

/** What to listen to. */
export interface CaptureOptions {
  /** Filter of pcap-filter(7), such as `udp port 4789 or esp`. It sees the outermost headers only. */
  filter: string;
  /** Interface; all of them unless given, which shows a packet once for each that it passes. */
  link?: string;
  /** So many bytes of each packet are kept, 512 unless given: the headers of two layers and the beginning of a request. */
  keepBytes?: number;
  /** Datagrams to this port are read as VXLAN, {@link VXLAN_PORT} unless given. */
  vxlanPort?: number;
}

/** Bytes of the head of a file of pcap-savefile(5). */
const PCAP_HEAD = 24;

/** Ours: a process starts in less than a second, under emulation too. */
const LIMIT_MS = 30_000;

/** A capture under way. */
export class Capture {
  readonly #where: string;
  readonly #run: Run;
  readonly #file: string;
  readonly #endByHand: string;
  readonly #vxlanPort: number;

  private constructor(where: string, run: Run, vxlanPort: number, file: string, endByHand: string) {
    this.#where = where;
    this.#run = run;
    this.#vxlanPort = vxlanPort;
    this.#file = file;
    this.#endByHand = endByHand;
  }

  /** Starts listening and returns once it is known to. @throws Inconclusive (observer) when it does not. */
  static async start(
    where: string,
    run: Run,
    { filter, link = 'any', keepBytes = 512, vxlanPort = VXLAN_PORT }: CaptureOptions,
  ): Promise<Capture> {
    // -Z: it would give up root for a user that the toolbox does not have. Immediate mode: nothing waits in a buffer for more.
    const tcpdump = `tcpdump -Z root -n --immediate-mode -U -i ${quote(link)} -s ${keepBytes} -w $file.pcap ${quote(filter)}`;
    const byHand = besideByHand(where, `tcpdump -Z root -n -l -i ${quote(link)} ${quote(filter)}`);
    const file = await must(
      where,
      run,
      [
        'file=$(mktemp -u /tmp/capture.XXXXXX)',
        // The log is there before anyone looks into it.
        ': >$file.log',
        `${tcpdump} >/dev/null 2>>$file.log & echo $! >$file.pid`,
        'while ! grep -q "listening on" $file.log; do kill -0 $(cat $file.pid) || { cat $file.log; exit 1; }; sleep 0.05; done',
        'echo $file',
      ].join('\n'),
      () => [byHand.begin],
    );
    return new Capture(where, run, vxlanPort, file.trim(), byHand.end);
  }

  /**
   * Stops listening.
   *
   * @returns every packet that passed since the start, in order.
   * @throws Inconclusive (observer) when some were lost: what was not seen cannot be said not to have been there.
   */
  async stop(): Promise<Packet[]> {
    const file = this.#file;
    const text = await must(
      this.#where,
      this.#run,
      [
        `pid=$(cat ${file}.pid); seen=`,
        // What the kernel has handed over may not be written yet: asked for its counters twice, tcpdump had its turn between.
        'for try in 1 2 3 4 5 6 7 8 9 10; do',
        `  kill -USR1 $pid; sleep 0.1; before=$seen; seen=$(grep "packets\\? captured" ${file}.log | tail -n 1)`,
        `  [ "$(grep -c "packets\\? captured" ${file}.log)" -gt 1 ] && [ "$seen" = "$before" ] && break`,
        'done',
        `kill -INT $pid; while kill -0 $pid 2>/dev/null; do sleep 0.05; done`,
        `cat ${file}.log; echo "@@"; base64 ${file}.pcap; rm -f ${file}.*`,
      ].join('\n'),
      () => [this.#endByHand],
    );
    const { log, pcap } = partsOf(text);
    if (!/^0 packets dropped by kernel$/m.test(log))
      throw new Inconclusive('observer', `the capture at ${this.#where} is not complete: ${log.trim()}`);
    try {
      return parsePcap(pcap, this.#vxlanPort);
    } catch (error) {
      throw new Inconclusive(
        'observer',
        `the capture at ${this.#where} is not understood: ${messageOf(error)}`,
        {
          cause: error,
        },
      );
    }
  }
}

/** What {@link Capture.stop} makes a shell print: what tcpdump said, then the file in base64. */
function partsOf(printed: string): { log: string; pcap: string } {
  const [log = '', pcap = ''] = printed.split(/^@@\n/m);
  return { log, pcap };
}

/** The packets in what a shell printed, as a file of pcap-savefile(5); undefined where it printed something else. */
export function captureIn(printed: string): Buffer | undefined {
  if (!printed.includes('packets captured')) return undefined;
  const file = Buffer.from(partsOf(printed).pcap, 'base64');
  return file.length >= PCAP_HEAD ? file : undefined;
}

async function must(where: string, run: Run, script: string, plain: Plain): Promise<string> {
  const { text, status } = await run(`sh -c ${quote(script)}`, LIMIT_MS, plain);
  if (status !== 0)
    throw new Inconclusive('observer', `the capture at ${where} broke with ${status}: ${text.trim()}`);
  return text;
}
