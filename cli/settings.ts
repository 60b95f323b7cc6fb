import { SETTINGS } from '../helpers/lab/settings.ts';

/** A setting in force and where its value comes from. */
export interface SettingInForce {
  name: string;
  value: string;
  from: 'environment' | 'default';
}

/** Every setting with its value as text, in the order of the README. */
export function settingsInForce(env: Readonly<NodeJS.ProcessEnv> = process.env): SettingInForce[] {
  return Object.entries(SETTINGS).map(([name, setting]) => {
    const given = env[name]?.trim();
    return { name, value: given || setting.default, from: given ? 'environment' : 'default' };
  });
}

/** The README's table of settings. A default that depends on the user's home is written with `~`. */
export function settingsTable(): string {
  const rows = Object.entries(SETTINGS).map(([name, { meaning, known, default: value }]) => {
    const shown = name === 'LAB_CACHE' ? '~/.cache/swarmproof' : value;
    // A bare < would begin a tag.
    const takes = known.replaceAll('<', '\\<');
    return `| \`${name}\` | ${meaning} | ${takes} | ${shown ? `\`${shown}\`` : 'empty'} |`;
  });
  return ['| variable | chooses | takes | default |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
