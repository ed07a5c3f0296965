import { writeSync } from 'node:fs';
import { exitCodeOf } from './errors.ts';

/** Interrupt — whether the user has asked to stop. */
export type Interrupt = {
  readonly signal: AbortSignal;
  /** Which signal came first, if one has. */
  received(): NodeJS.Signals | undefined;
  /** Gives the signals back to Node. */
  release(): void;
};

/** One Ctrl-C may come twice: from the terminal, and passed on by a script runner. */
const ECHO_MS = 500;

/**
 * listenForInterrupt — the first Ctrl-C (SIGINT), SIGTERM or SIGHUP (the terminal was closed) asks for a stop after the step at work;
 * a later one ends the process.
 */
export function listenForInterrupt(onFirst: () => void): Interrupt {
  const controller = new AbortController();
  let first: NodeJS.Signals | undefined;
  let firstAt = 0;
  const handler = (signal: NodeJS.Signals): void => {
    if (first !== undefined) {
      if (performance.now() - firstAt < ECHO_MS) return;
      if (signal === 'SIGINT') writeSync(2, '\n'); // behind the terminal's ^C
      process.exit(exitCodeOf(signal));
    }
    first = signal;
    firstAt = performance.now();
    onFirst();
    controller.abort();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, handler);
  return {
    signal: controller.signal,
    received: () => first,
    release: () => { for (const signal of signals) process.off(signal, handler); },
  };
}
