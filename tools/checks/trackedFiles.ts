import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './workspace.ts';

/** What must not stand in a committed file: paths that exist on one machine only. Assembled here so as not to match itself. */
const FORBIDDEN = [
  new RegExp(`\\.\\.${'/'}shared`),
  ...['work/', 'root/', 'Users/', 'home/[a-z]'].map((path) => new RegExp(`(?<![\\w.~-])/${path}`)),
];

/** checkTrackedFiles — one sentence per machine path in a tracked text file, and per tracked file above 1 MB. */
export function checkTrackedFiles(root = repositoryRoot): string[] {
  const files = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).split('\0').filter(Boolean);
  return files.flatMap((file) => {
    const stat = statSync(join(root, file), { throwIfNoEntry: false });
    if (stat?.isFile() !== true) return stat === undefined ? [] : [`${file}: only plain files are committed`];
    const { size } = stat;
    if (size > 1_000_000) return [`${file}: ${(size / 1e6).toFixed(1)} MB; keep large files out of the repository`];
    return file === 'pnpm-lock.yaml' ? [] : machinePaths(file, readFileSync(join(root, file), 'utf8'));
  });
}

/** machinePaths — the lines of a text that hold a path of one machine. */
export function machinePaths(file: string, text: string): string[] {
  if (text.includes('\0')) return [];
  return text.split('\n').flatMap((line, i) => {
    const found = FORBIDDEN.map((pattern) => pattern.exec(line)?.[0]).find((match) => match !== undefined);
    return found === undefined ? [] : [`${file}:${i + 1}: holds ${found}, a path of one machine`];
  });
}
