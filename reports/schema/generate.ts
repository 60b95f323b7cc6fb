import { writeFileSync } from 'node:fs';
import { verdictJsonSchema } from '../../helpers/verdict/model.ts';

/** Where the published schema of `verdict.json` lies. */
export const SCHEMA_FILE = new URL('./verdict-1.schema.json', import.meta.url);

// Run it to bring the published schema up to date: npx node reports/schema/generate.ts
if (import.meta.main) writeFileSync(SCHEMA_FILE, verdictJsonSchema());
