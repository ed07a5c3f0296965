/** What a step of the test command found: counts, the reasons of everything skipped, and one message per failure. */
export type Outcome = { passed: number; failures: string[]; skipped: string[] };

/** A part of the test command. `needs`: it is pointless after the failure of that earlier step. */
export type Step = { name: string; needs?: string; run: () => Promise<Outcome> };

export const passed = (count = 1): Outcome => ({ passed: count, failures: [], skipped: [] });
export const failed = (...failures: string[]): Outcome => ({ passed: 0, failures, skipped: [] });
export const skipped = (...reasons: string[]): Outcome => ({ passed: 0, failures: [], skipped: reasons });

/** merge — the sum of several outcomes. */
export function merge(outcomes: readonly Outcome[]): Outcome {
  return {
    passed: outcomes.reduce((sum, each) => sum + each.passed, 0),
    failures: outcomes.flatMap((each) => each.failures),
    skipped: outcomes.flatMap((each) => each.skipped),
  };
}

/** fromProblems — one check: passed if there are no problems, else one failure that lists them. */
export function fromProblems(title: string, problems: readonly string[]): Outcome {
  return problems.length === 0 ? passed() : failed(`${title}: ${problems.length} problem${problems.length === 1 ? '' : 's'}\n${problems.map((each) => `  ${each}`).join('\n')}`);
}
