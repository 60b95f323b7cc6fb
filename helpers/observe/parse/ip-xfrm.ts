/**
 * `ip xfrm state`, `ip xfrm policy` and `/proc/net/xfrm_stat`: IPsec in one network namespace. Keys are never kept.
 *
 * Format: xfrm_state_info_print and xfrm_policy_info_print in iproute2's ip/ipxfrm.c, seen in 6.15 without `-s`; the counters as
 * in the kernel's net/xfrm/xfrm_proc.c.
 */

import { createHash } from 'node:crypto';
import { cutOff, exactCount, type Line, linesOf } from './text.ts';

/** A security association: how packets from one address to another are encrypted, or read. */
export interface SecurityAssociation {
  from: string;
  to: string;
  /** `esp`, `ah`, ... */
  protocol: string;
  /** Security parameter index, which the packets carry. */
  spi: number;
  /** Who put it there: Docker uses 0xd0c4e3. */
  reqid: number;
  mode: string;
  /** As in `rfc4106(gcm(aes))`; absent where cipher and authentication are apart. */
  aead?: string;
  /** SHA-256 of its key, cut: two ends with the same digest have the same key. */
  keyDigest?: string;
}

/** A security policy: which packets must be encrypted, and how. */
export interface SecurityPolicy {
  /** Whose packets, in the words of `ip xfrm policy`: `src A/32 dst B/32 proto udp dport 4789`. */
  selector: string;
  /** `out`, `in`, `fwd`; of a socket's own policies `socket out`, ... */
  direction: string;
  /** As in `0xd0c4e3/0xffffffff`; absent where any mark will do. */
  mark?: string;
  templates: { from: string; to: string; protocol: string; spi: number; reqid: number; mode: string }[];
}

const HEAD = /^src (\S+) dst (\S+)$/;
const TRANSFORM =
  /^proto (\w+)(?: spi (0x[0-9a-f]+)(?:\(\d+\))?)? reqid (\d+)(?:\(0x[0-9a-f]+\))? mode (\w+)$/;
/** Lines of a state that say what the suite does not use. */
const OTHER_OF_STATE =
  /^(?:replay-window|anti-replay|seq-hi|replay_window|lastused|sel|mark|output-mark|if_id|encap|auth|auth-trunc|enc|comp|dir|crypto offload) ?/;

/** Reads `ip xfrm state`. The empty text is a namespace without any. @throws {UnknownLine} */
export function parseSecurityAssociations(text: string): SecurityAssociation[] {
  if (text.trim() === '') return [];
  const states: SecurityAssociation[] = [];
  const lines = linesOf('ip xfrm state', text);
  let head: { from: string; to: string } | undefined;
  for (const line of lines) {
    const [, from, to] = HEAD.exec(line.text.trimEnd()) ?? [];
    if (from && to) {
      if (head) throw line.refusal('the state before it says nothing');
      head = { from, to };
      continue;
    }
    if (!line.text.startsWith('\t')) throw line.refusal();
    const words = line.text.trim();
    if (head) {
      states.push({ ...head, ...transform(words, line) });
      head = undefined;
      continue;
    }
    const state = states.at(-1);
    if (!state) throw line.refusal();
    const [, name, key] = /^aead (\S+) (0x[0-9a-f]*)(?: \(\d+ bits\))? \d+$/.exec(words) ?? [];
    if (name && key) {
      state.aead = name;
      state.keyDigest = createHash('sha256').update(key).digest('hex').slice(0, 16);
    } else if (!OTHER_OF_STATE.test(words)) throw line.refusal();
  }
  if (head) throw cutOff(lines, 'the dump ends inside a state');
  return states;
}

/** Reads `ip xfrm policy`. The empty text is a namespace without any. @throws {UnknownLine} */
export function parseSecurityPolicies(text: string): SecurityPolicy[] {
  if (text.trim() === '') return [];
  const policies: SecurityPolicy[] = [];
  const lines = linesOf('ip xfrm policy', text);
  let open: { from: string; to: string } | undefined;
  for (const line of lines) {
    const words = line.text.trim();
    const policy = policies.at(-1);
    if (line.text.startsWith('src ')) {
      if (open) throw line.refusal('the template before it says nothing');
      policies.push({ selector: words, direction: '', templates: [] });
      continue;
    }
    if (!policy || !line.text.startsWith('\t')) throw line.refusal();
    const [, direction, socket] =
      /^(?:dir (\w+)|(socket \w+)) (?:action \w+ )?priority \d+(?: ptype \w+)?$/.exec(words) ?? [];
    const [, mark] = /^mark (\S+)$/.exec(words) ?? [];
    const [, from, to] = /^tmpl src (\S+) dst (\S+)$/.exec(words) ?? [];
    if (open) {
      policy.templates.push({ ...open, ...transform(words, line) });
      open = undefined;
    } else if (direction || socket) policy.direction = direction ?? socket ?? '';
    else if (mark) policy.mark = mark;
    else if (from && to) open = { from, to };
    else if (!/^if_id \S+$|^level \w+/.test(words)) throw line.refusal();
  }
  if (open) throw cutOff(lines, 'the dump ends inside a template');
  return policies;
}

/** Reads `/proc/net/xfrm_stat`: what went wrong so far, by the kernel's name for it. @throws {UnknownLine} */
export function parseXfrmStatistics(text: string): Record<string, number> {
  const counters: Record<string, number> = {};
  for (const line of linesOf('/proc/net/xfrm_stat', text)) {
    const [, name, digits] = /^(Xfrm\w+)\s+(\d+)$/.exec(line.text) ?? [];
    if (!name || !digits) throw line.refusal();
    counters[name] = exactCount(digits, line);
  }
  return counters;
}

function transform(words: string, line: Line) {
  const [, protocol, spi = '0', reqid, mode] = TRANSFORM.exec(words) ?? [];
  if (!protocol || !reqid || !mode) throw line.refusal();
  return { protocol, spi: Number(spi), reqid: Number(reqid), mode };
}
