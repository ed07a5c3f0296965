import { scalar } from '@tensorflow/tfjs-core';
import type { Row } from '../../wasm-kernels/test/battery/rows.ts';

/** GPU_ROWS — rows of the battery for kernels that only this backend has. */
export const GPU_ROWS: readonly Row[] = [
  { kernel: 'evenkeel/stepScalar', inputs: () => ({}), attrs: (n: number) => ({ value: n + 0.25 }), reference: (_, attrs) => scalar((attrs as unknown as { value: number }).value), large: 1 },
];
