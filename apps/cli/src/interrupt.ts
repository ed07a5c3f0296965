import { writeSync } from 'node:fs';

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

/** listenForInterrupt — the first Ctrl-C (or SIGTERM) asks for a stop after the step at work; a later one ends the process. */
export function listenForInterrupt(onFirst: () => void): Interrupt {
  const controller = new AbortController();
  let first: NodeJS.Signals | undefined;
  let firstAt = 0;
  const handler = (signal: NodeJS.Signals): void => {
    if (first !== undefined) {
      if (performance.now() - firstAt < ECHO_MS) return;
      writeSync(2, '\n');
      process.exit(signal === 'SIGTERM' ? 143 : 130);
    }
    first = signal;
    firstAt = performance.now();
    onFirst();
    controller.abort();
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.on(signal, handler);
  return {
    signal: controller.signal,
    received: () => first,
    release: () => { for (const signal of signals) process.off(signal, handler); },
  };
}
