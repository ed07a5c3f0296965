/** Every technique on every family of models, as docs/techniques.md says, and that what tries them out finds what is wrong. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { keep, mul, ones, tensor2d, tensor4d, type Tensor, type Tensor4D } from '@tensorflow/tfjs-core';
import { initParams, treeEntries, treeMap, truncatedNormal, useDevice, type ParamSpec, type Params, type Tree } from '@evenkeel/core-tensor';
import type { BranchFactory } from '@evenkeel/layers';
import { bert, bertWithHead, classificationHead, maskedLmHead } from '@evenkeel/models-bert';
import { vit } from '@evenkeel/models-vit';
import { coalesce, decoalesce } from '@evenkeel/multilevel';
import { qkNorm } from '@evenkeel/norms';
import { adamw } from '@evenkeel/optimizers';
import { expectClose, randomArray } from '@evenkeel/testing';
import { wasm } from '@evenkeel/wasm-kernels';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Row } from '../scripts/techniques/rows.ts';
import { CELLS, techniquesMarkdown, type Cell } from '../scripts/techniques/techniquesMarkdown.ts';
import { tryOut } from '../scripts/techniques/tryOut.ts';

beforeAll(async () => { await useDevice('wasm', [wasm({ threads: 1 })]); });

const tried = new Map<Cell, Promise<string | undefined>>();
const outcomeOf = (cell: Cell): Promise<string | undefined> => {
  if (!tried.has(cell)) tried.set(cell, tryOut(cell.name, cell.row));
  return tried.get(cell) as Promise<string | undefined>;
};

describe('every technique on every family', () => {
  it.each(CELLS.map((cell) => [cell.row.name, cell.name, cell] as const))('%s trains %s', async (_, __, cell) => {
    expect(await outcomeOf(cell)).toBeUndefined();
  });

  it('docs/techniques.md says what came of it', async () => {
    const outcomes = new Map<Cell, string | undefined>();
    for (const cell of CELLS) outcomes.set(cell, await outcomeOf(cell));
    expect(readFileSync(join(import.meta.dirname, '../../../docs/techniques.md'), 'utf8')).toBe(techniquesMarkdown(outcomes));
  }, 300_000);
});

/** What acts on a branch, without parameters. */
const acting = (apply: (x: Tensor) => Tensor): BranchFactory => () => ({ specs: {}, initialiserOf: () => truncatedNormal(), apply });
const withoutNorms = (specs: Tree<ParamSpec>) => adamw({ learningRate: 3e-2, weightDecay: 0, learningRateScales: treeMap(({ role }: ParamSpec) => (role === 'norm' ? 0 : 1), specs) });

describe('tryOut', () => {
  it.each<[string, Partial<Row>, string]>([
    ['does nothing', {}, 'losses must be others than without it'],
    ['computes something else', { techniques: { qkNorm: qkNorm() }, keepsLoss: ['vit'] }, 'losses must be those without it'],
    ['leaves parameters as they are', { optimizer: withoutNorms }, 'every parameter must change, got the same blocks.0.norm1.weight'],
    ['has chance without a seed', { techniques: { branch: acting((x) => mul(x, Math.random())) } }, 'losses must be the same again'],
    ['keeps tensors', { techniques: { branch: acting((x) => (keep(ones([1])), mul(x, 0.5))) } }, 'no tensor may stay behind, got 40'], // 2 runs · 5 steps · 2 blocks · 2 branches
    ['gives no numbers', { techniques: { branch: acting((x) => mul(x, NaN)) } }, 'must be finite, got NaN'],
    ['watches nothing', { training: { monitor: { every: 1, observe: () => undefined } }, keepsLoss: ['vit'] }, 'the monitor must read the entropy of attention'],
  ])('finds a technique that %s', async (_, row, problem) => {
    expect(await tryOut('vit', { name: 'wrong', code: '', ...row })).toContain(problem);
  });
});

/** Parameters far enough from their start that every part shows. */
const drawn = (specs: Tree<ParamSpec>): Params => initParams(specs, 1, () => truncatedNormal({ std: 0.5 }));
const ids = () => tensor2d([[1, 5, 2, 0, 7], [3, 3, 4, 1, 1]], [2, 5], 'int32');
const images = () => tensor4d(randomArray(2 * 8 * 8 * 3, { seed: 1 }), [2, 8, 8, 3]);
const sizes = (isWide: boolean) => ({ depth: 2, dim: isWide ? 16 : 8, numHeads: isWide ? 4 : 2, hiddenDim: isWide ? 24 : 12 });
const encoder = (isWide: boolean) => bert({ vocabSize: 11, contextLength: 8, logitScale: isWide ? 1 : 2, ...sizes(isWide) });
const factorOf = (config: object): number => (config as { logitScale?: number }).logitScale ?? 1;
const image = (isWide: boolean) => vit({ imageSize: 8, patchSize: 4, numClasses: 3, distilled: true, ...sizes(isWide) });

describe('multi-level maps', () => {
  const models = {
    'masked tokens of bert': (isWide: boolean) => { const model = bertWithHead(encoder(isWide), maskedLmHead()); return { ...model, logits: (p: unknown) => model.apply({ ids: ids() }, p as never) }; },
    'classes of bert': (isWide: boolean) => {
      const model = bertWithHead(bert({ ...encoder(isWide).config, logitScale: 1 }), classificationHead({ numClasses: 3 }));
      return { ...model, logits: (p: unknown) => model.apply({ ids: ids() }, p as never) };
    },
    'classes of vit': (isWide: boolean) => { const model = image(isWide); return { ...model, logits: (p: unknown) => model.apply(images() as Tensor4D, p as never) }; },
  };

  it.each(Object.entries(models))('decoalesce in width keeps the logits, and coalesce gives the small model back: %s', async (_, make) => {
    const [small, large] = [make(false), make(true)];
    const logitScale = { small: factorOf(small.config), large: factorOf(large.config) };
    const params = drawn(small.specs);
    const grown = decoalesce(params, small.specs, large.specs, { logitScale });
    await expectClose(large.logits(grown), small.logits(params), { rtol: 1e-4, atol: 1e-5 });
    const back = new Map(treeEntries<Tensor>(coalesce(grown, large.specs, small.specs, { logitScale })));
    for (const [path, x] of treeEntries<Tensor>(params)) expect(Array.from(await back.get(path)!.data()), path).toEqual(Array.from(await x.data()));
  });
});
