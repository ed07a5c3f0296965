import { describe, expect, it } from 'vitest';
import { checkMemory, memoryLimit, memoryNeed } from '../src/gpt/memoryNeed.ts';
import { evenkeelJson, scratch, sentences } from './support/evenkeel.ts';

const NANO = { depth: 4, dim: 128, context: 64, batchSize: 12 };
const files = scratch();

describe('memoryNeed', () => {
  it('memoryNeed() counts the parameters that training counts, and no more bytes than it takes', async () => {
    const sizes = { depth: 3, dim: 96, context: 48, batchSize: 9 };
    const flags = Object.entries(sizes).flatMap(([name, value]) => [`--${name.replace('S', '-s')}`, String(value)]);
    const trained = await evenkeelJson(['train', '--data', files.write('corpus.txt', sentences()), ...flags, '--num-heads', '3', '--steps', '2',
      '--val-fraction', '0', '--device', 'wasm', '--out', files.at('out')]);
    const { parameters, deviceBytes } = memoryNeed(sizes, new Set(sentences()).size);
    expect(parameters).toBe(trained['params']);
    expect(deviceBytes).toBeLessThan(trained['peakBytes'] as number);
    expect(deviceBytes).toBeGreaterThan((trained['peakBytes'] as number) / 2);
  });
});

describe('checkMemory', () => {
  it('checkMemory() takes the default run, and GPT-2 small with a batch of 4, on every device of 4 GiB', () => {
    for (const device of ['wasm', 'cpu', 'webgpu']) {
      expect(() => checkMemory(NANO, 65, device, 2 ** 32)).not.toThrow();
      expect(() => checkMemory({ depth: 12, dim: 768, context: 256, batchSize: 4 }, 50257, device, 2 ** 32)).not.toThrow();
    }
  });

  it('checkMemory() refuses what does not fit, GPT-2 XL on wasm, with sizes, parameters, need and limit', () => {
    expect(() => checkMemory({ depth: 48, dim: 1600, context: 1024, batchSize: 1 }, 50257, 'wasm', 2 ** 32)).toThrow(
      '--depth, --dim, --context and --batch-size must give a run that fits into the 4.0 GiB of device wasm, got 48, 1600, 1024 and 1, a vocabulary of 50,257: '
      + '1,557,611,200 parameters, and at least 29 GiB for a step');
    expect(() => checkMemory(NANO, 2 ** 20, 'wasm', 2 ** 32)).toThrow('a vocabulary of 1,048,576');
    expect(() => checkMemory({ ...NANO, dim: 2 ** 20 }, 65, 'webgpu', 2 ** 40)).toThrow('fits into the 1.0 TiB of device webgpu');
  });

  it('checkMemory() takes with an optimizer of less state what does not fit with AdamW', () => {
    const large = { depth: 24, dim: 1024, context: 64, batchSize: 1 };
    const limit = 4 * 4 * 0.95 * memoryNeed(large, 65).parameters;
    expect(() => checkMemory(large, 65, 'wasm', limit)).toThrow('--depth');
    expect(() => checkMemory({ ...large, optimizer: 'sgd-sai' }, 65, 'wasm', limit)).not.toThrow();
    expect(memoryNeed({ ...large, untiedHead: true }, 1000).parameters - memoryNeed(large, 1000).parameters).toBe(1000 * 1024);
  });

  it('checkMemory() leaves to a GPU what only needs its own memory', () => {
    const sizes = { ...NANO, batchSize: 10_000 };
    expect(() => checkMemory(sizes, 65, 'wasm', 2 ** 32)).toThrow('--batch-size');
    expect(() => checkMemory(sizes, 65, 'webgpu', 2 ** 32)).not.toThrow();
  });

  it('memoryLimit(wasm) is at most 4 GiB', () => {
    expect(memoryLimit('wasm')).toBeLessThanOrEqual(2 ** 32);
    expect(memoryLimit('wasm')).toBeGreaterThan(2 ** 26);
  });
});
