import { GPU_BACKEND } from '@evenkeel/core-tensor';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { ACTIVATIONS } from '../../src/gemm/activations.ts';
import { batchAxes } from '../../src/gemm/batch.ts';
import { VARIANT_NAMES } from '../../src/gemm/variants.ts';
import { expected, gpu, run, type Case } from './forced.ts';

const FORMS = [[false, false], [false, true], [true, false], [true, true]] as const;
/** Aligned in all layouts; then ragged ones, in which every operand is read by elements in either layout. */
const SIZES = [
  ...FORMS.map(([transposeA, transposeB]) => ({ m: 260, n: 260, k: 132, transposeA, transposeB })),
  ...[[65, 130, 3], [1000, 65, 1], [1, 1, 1]].map(([m, n, k]) => ({ m: m!, n: n!, k: k!, transposeA: false, transposeB: false })),
  ...[[65, 130, 3], [1000, 65, 1], [5, 7, 0]].map(([m, n, k]) => ({ m: m!, n: n!, k: k!, transposeA: true, transposeB: true })),
  { m: 130, n: 65, k: 1000, transposeA: false, transposeB: true }, { m: 130, n: 65, k: 1000, transposeA: true, transposeB: false },
];
/** One tile of each kind meets all of them; the others, the same text with other numbers, each layout once: a compilation takes seconds here. */
const FULL = /^(few-rows|register-4x4|subgroup-8x4|tile-32x32)/;
const SOME_SIZES = SIZES.filter(({ m, k, transposeA, transposeB }) => k === 1000 || (m === 260 && transposeA === transposeB));
const FEW_SIZES = [[1, 1, 1], [1, 260, 130], [3, 65, 1000], [4, 3, 65], [2, 5, 0]].flatMap(([m, n, k]) => (
  FORMS.map(([transposeA, transposeB]) => ({ m: m!, n: n!, k: k!, transposeA, transposeB }))));

const norm = (values: ArrayLike<number>): number => Math.sqrt(Array.from(values).reduce((sum, value) => sum + value * value, 0));
const tolerance = ({ k }: Case) => ({ rtol: 1e-5, atol: 2e-6 * Math.max(1, Math.sqrt(k)) });

/** Against float64, twice with the same bits. */
async function check(variant: string, each: Case): Promise<boolean> {
  const first = await run(variant, each);
  const second = await run(variant, each);
  const wanted = expected(each);
  if (norm(wanted.y) > 0) expect(norm(first.y)).toBeGreaterThan(0.1 * norm(wanted.y));
  await expectClose(first.y, wanted.y, tolerance(each));
  if (first.before !== undefined) await expectClose(first.before, wanted.before, tolerance(each));
  expect(Buffer.from(first.y.buffer).equals(Buffer.from(second.y.buffer))).toBe(true);
  if (first.could) expect(first.programs.join()).toMatch(variant.includes('split') ? /,sumOfParts/ : /^\w+$/);
  return first.could;
}

const ENDINGS: Partial<Case> = { scale: 0.25, bias: true, residual: true };

forEachBackend([GPU_BACKEND], () => {
  describe.each(VARIANT_NAMES)('%s', (variant) => {
    const isFew = variant === 'few-rows';

    it('agrees with float64 for all layouts and kinds of sizes, twice with the same bits', async () => {
      let computed = 0;
      for (const each of isFew ? FEW_SIZES : FULL.test(variant) ? SIZES : SOME_SIZES) computed += Number(await check(variant, each));
      expect(computed).toBe(isFew ? 20 : FULL.test(variant) ? (variant.endsWith('split') ? 6 : 12) : 4); // long sums only are split
    }, 300_000);

    it('scales, adds a bias, activates, keeps what it activated and adds a residual', async () => {
      const m = isFew ? 3 : 66;
      expect(await check(variant, { m, n: variant.startsWith('tile') ? 68 : 67, k: 260, transposeB: true, activation: 'silu', ...ENDINGS })).toBe(true);
    }, 300_000);

    if (!FULL.test(variant)) return;

    it('broadcasts the batch', async () => {
      const axes = batchAxes([2, 1, 3], [1, 2, 3]);
      const pairs = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((entry) => [3 * Math.floor(entry / 6) + entry % 3, entry % 6] as const);
      const m = isFew ? 2 : 9;
      expect(await check(variant, { m, n: 12, k: 130, batch: { a: 6, b: 6, c: 12, axes, pairs } })).toBe(true);
    }, 300_000);

    it('reads nothing beyond a tensor\'s end, where memory holds NaN, and gives NaN where an operand has it', async () => {
      for (let i = 0; i < 4; i++) {
        const waste = tensor(new Float32Array(4096).fill(NaN));
        gpu().uploadToGPU(waste.dataId);
        waste.dispose();
      }
      const [m, n, k] = [isFew ? 3 : 9, 13, 131];
      const { y, could } = await run(variant, { m, n, k }, (a) => {
        a[2 * k + 130] = NaN;
      });
      expect(could).toBe(true);
      expect([...y].map(Number.isNaN)).toEqual(Array.from({ length: m * n }, (_, i) => Math.floor(i / n) === 2));
    }, 300_000);
  });

  it.each(ACTIVATIONS)('the activation %s agrees with float64 in vectors and in single elements, and gives NaN for NaN', async (activation) => {
    for (const n of [8, 7]) {
      const each: Case = { m: 65, n, k: 3, scale: 4, activation };
      expect(await check('register-4x4', each)).toBe(true);
      const { y } = await run('register-4x4', each, (a) => {
        a[4] = NaN;
      });
      expect([...y].map(Number.isNaN)).toEqual(Array.from({ length: 65 * n }, (_, i) => Math.floor(i / n) === 1));
    }
  });
});
