/** PROGRAM — how a user calls this program: through the repository's script when it runs from source. */
export const PROGRAM = import.meta.url.endsWith('.ts') ? 'pnpm evenkeel' : 'evenkeel';

/** shellWord — a path as it can be pasted into a shell. */
export function shellWord(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
