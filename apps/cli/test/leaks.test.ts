import { memory } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { bertFamily } from '../src/bert/bertFamily.ts';
import { openDevice } from '../src/devices.ts';
import { finetuneFamily } from '../src/finetune/finetuneFamily.ts';
import type { Io } from '../src/output.ts';
import type { RunSettings } from '../src/runSettings.ts';
import type { Family } from '../src/task.ts';
import { trainModel, type TrainFlags } from '../src/trainModel.ts';
import { vitFamily } from '../src/vit/vitFamily.ts';
import { scratch, sentences } from './support/evenkeel.ts';
import { cifarBytes } from './support/images.ts';
import { labelled } from './support/texts.ts';

const files = scratch();
const SILENT: Io = { json: true, line() {}, text() {}, note() {}, progress: () => ({ say() {}, step() {}, evaluated() {}, paused() {}, stop() {} }) };
const COMMON = { device: 'wasm', seed: 1, precision: 'f32', valFraction: 0.2, evalEvery: 2, given: new Set<string>() } as const;
const SIZES = { ...COMMON, depth: 1, dim: 16, numHeads: 2, dropout: 0.1, warmup: 1, schedule: 'cosine', clip: 1 } as const;

/** Tensors that a run of some steps leaves behind. */
async function left<S extends RunSettings, F extends TrainFlags>(family: Family<S, F>, flags: object): Promise<number> {
  const before = memory().numTensors;
  await trainModel(family, flags as F, SILENT);
  return memory().numTensors - before;
}

describe('a run in this process', () => {
  beforeAll(async () => {
    await openDevice('wasm');
  });

  it('train vit with an average, techniques and evaluations, and fine-tuning it, leave no tensor behind', async () => {
    const data = files.write('images.bin', cifarBytes(20));
    expect(await left(vitFamily, { ...SIZES, data, batchSize: 3, steps: 5, patchSize: 8, augment: 'deit', ema: 0.9, layerScale: 0.1, sigmaReparam: 'one', monitor: 2, out: files.at('vit') })).toBe(0);
    for (const lora of [0, 2]) {
      expect(await left(finetuneFamily, { ...COMMON, checkpoint: files.at('vit'), task: 'image-classification', data, batchSize: 3, steps: 5, lora, out: files.at(`vit-tuned-${lora}`) })).toBe(0);
    }
  });

  it.each(['bert', 'mosaic'] as const)('train bert --arch %s and fine-tuning it leave no tensor behind', async (arch) => {
    const data = files.write('corpus.txt', sentences(40));
    expect(await left(bertFamily, { ...SIZES, data, arch, tokenizer: 'wordpiece', vocabSize: 100, sequence: 'line', context: 16, batchSize: 4, steps: 5, out: files.at(arch) })).toBe(0);
    const rows = files.write('rows.tsv', labelled(30));
    for (const lora of [0, 2]) {
      expect(await left(finetuneFamily, { ...COMMON, checkpoint: files.at(arch), task: 'classification', data: rows, tooLong: 'cut', batchSize: 4, steps: 5, lora, out: files.at(`${arch}-tuned-${lora}`) })).toBe(0);
    }
  });
});
