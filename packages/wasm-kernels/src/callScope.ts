import type { Block } from './memory.ts';

/** CallScope — what a running kernel call has allocated so far. */
export type CallScope = {
  /** Data of tensors, the kernel's results among them: freed only if the call fails. */
  readonly data: object[];
  /** Data of tensors to free when the call ends, however it ends. */
  readonly temporaries: object[];
  /** Raw heap blocks the kernel has not freed yet. */
  readonly blocks: Set<Block>;
};

export function callScope(): CallScope {
  return { data: [], temporaries: [], blocks: new Set() };
}
