/** PROGRAM — how a user calls this program: through the repository's script when it runs from source. */
export const PROGRAM = import.meta.url.endsWith('.ts') ? 'pnpm evenkeel' : 'evenkeel';
