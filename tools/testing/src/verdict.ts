import { expect } from 'vitest';

expect.extend({
  toHoldOrSay: (failure: string | undefined) => ({ pass: failure === undefined, message: () => failure ?? '' }),
});

/** verdict — counts as one assertion of the running test; fails with exactly the given message, if there is one. */
export function verdict(failure: string | undefined): void {
  (expect(failure) as unknown as { toHoldOrSay: () => void }).toHoldOrSay();
}
