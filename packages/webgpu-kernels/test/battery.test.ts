import { GPU_BACKEND } from '@evenkeel/core-tensor';
import { forEachBackend } from '@evenkeel/testing';
import { ROWS, testRows } from '@evenkeel/wasm-kernels/battery';
import { expect, it } from 'vitest';
import { KERNELS } from '../src/kernels/index.ts';

const names = KERNELS.map(({ name }) => name);

forEachBackend([GPU_BACKEND], () => {
  it('the battery has a row for every registered kernel', () => {
    expect(names.filter((name) => !ROWS.some(({ kernel }) => kernel === name))).toEqual([]);
  });

  testRows(ROWS.filter(({ kernel }) => names.includes(kernel)));
});
