import { GPU_BACKEND } from '@evenkeel/core-tensor';
import { forEachBackend } from '@evenkeel/testing';
import { ROWS, testRows } from '@evenkeel/wasm-kernels/battery';
import { expect, it } from 'vitest';
import { KERNELS } from '../src/kernels/index.ts';
import { GPU_ROWS } from './rows.ts';

const rows = [...ROWS, ...GPU_ROWS];
const names = KERNELS.map(({ name }) => name);

forEachBackend([GPU_BACKEND], () => {
  it('the battery has a row for every registered kernel', () => {
    expect(names.filter((name) => !rows.some(({ kernel }) => kernel === name))).toEqual([]);
  });

  testRows(rows.filter(({ kernel }) => names.includes(kernel)));
});
