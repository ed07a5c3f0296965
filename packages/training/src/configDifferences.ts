/** RunConfig — what decides the numbers of a run: anything that survives JSON. */
export type RunConfig = { readonly [key: string]: unknown };

/**
 * configDifferences — every path at which two configurations differ, in words: `learningRate: 0.001 in the checkpoint, 0.002 now`.
 */
export function configDifferences(saved: unknown, current: unknown, path = ''): string[] {
  if (isRecord(saved) && isRecord(current)) {
    const keys = [...new Set([...Object.keys(saved), ...Object.keys(current)])];
    return keys.flatMap((key) => configDifferences(saved[key], current[key], path === '' ? key : `${path}.${key}`));
  }
  const [before, now] = [show(saved), show(current)];
  return before === now ? [] : [`${path}: ${before} in the checkpoint, ${now} now`];
}

/** jsonCopy — the configuration as JSON keeps it, so that what was saved compares equal to what it was. */
export function jsonCopy(config: RunConfig): RunConfig {
  return JSON.parse(JSON.stringify(config)) as RunConfig;
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

const show = (value: unknown): string => (value === undefined ? 'absent' : JSON.stringify(value));
