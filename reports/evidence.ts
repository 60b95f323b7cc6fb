import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { extname, join, relative } from 'node:path';
import { type Attachment, fileName, JUDGEMENT, transcriptPath } from '../helpers/verdict/channel.ts';
import type { Evidence } from '../helpers/verdict/model.ts';

const extensions: Record<string, string> = {
  'application/json': '.json',
  'application/vnd.tcpdump.pcap': '.pcap',
  'image/png': '.png',
  'image/svg+xml': '.svg',
  'text/csv': '.csv',
  'text/html': '.html',
  'text/markdown': '.md',
  'text/plain': '.txt',
};

/** Attachments that pass between parts of the suite, or that the runner makes for its own ends. */
export const notEvidence: ReadonlySet<string> = new Set([JUDGEMENT, 'error-context']);

/**
 * Saves what a clause attached to `<outDir>/evidence/<cell>/<clause>/` and says where it went. Synchronous, so that a killed run keeps all or nothing of a clause.
 */
export function saveEvidence(
  outDir: string,
  { cell, clause }: { cell: string; clause: string },
  attachments: readonly Attachment[],
): Evidence[] {
  const folder = join(outDir, 'evidence', fileName(cell), clause);
  return attachments.filter(isEvidence).map((attachment) => {
    mkdirSync(folder, { recursive: true });
    const path = freePath(folder, attachment);
    if (attachment.body !== undefined) writeFileSync(path, attachment.body);
    else copyFileSync(String(attachment.path), path);
    return { name: attachment.name, contentType: attachment.contentType, path: relative(outDir, path) };
  });
}

/** Where the worker has written the transcript of a clause, relative to `outDir`; null when it did not come that far. */
export function savedTranscript(outDir: string, where: Parameters<typeof transcriptPath>[0]): string | null {
  const path = transcriptPath(where);
  return existsSync(join(outDir, path)) ? path : null;
}

function isEvidence({ name, contentType, path, body }: Attachment): boolean {
  if (notEvidence.has(name) || contentType.startsWith('application/vnd.allure.message')) return false;
  return body !== undefined || (path !== undefined && existsSync(path));
}

function freePath(folder: string, { name, contentType, path }: Attachment): string {
  const extension = extname(name) || extensions[contentType] || extname(path ?? '');
  const stem = fileName(name.slice(0, name.length - extname(name).length));
  for (let copy = 1; ; copy += 1) {
    const candidate = join(folder, `${stem}${copy === 1 ? '' : `-${copy}`}${extension}`);
    if (!existsSync(candidate)) return candidate;
  }
}
