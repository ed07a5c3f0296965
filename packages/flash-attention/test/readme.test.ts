import { useDevice } from '@evenkeel/core-tensor';
import * as attention from '@evenkeel/flash-attention';
import { forEachBackend } from '@evenkeel/testing';
import { webgpu } from '@evenkeel/webgpu-kernels';
import * as tf from '@tensorflow/tfjs-core';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const MODULES: Readonly<Record<string, object>> = {
  '@tensorflow/tfjs-core': tf, '@evenkeel/flash-attention': attention, '@evenkeel/core-tensor': { useDevice }, '@evenkeel/webgpu-kernels': { webgpu },
};

const [example, onWebgpu] = [...readFileSync(new URL('../README.md', import.meta.url), 'utf8').matchAll(/^```js\n([^]*?)^```/gm)].map(([, code]) => code!) as [string, string];

/** Runs a block of the README and returns what it prints. */
async function printedBy(code: string): Promise<unknown[][]> {
  const body = code.replace(/^import '.*;$/gm, '').replace(/^import (\{.*\}) from '(.*)';$/gm, 'const $1 = modules["$2"];');
  const printed: unknown[][] = [];
  const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor as new (...parts: string[]) => (modules: object, console: object) => Promise<void>;
  await new AsyncFunction('modules', 'console', body)(MODULES, { log: (...values: unknown[]) => printed.push(values) });
  return printed;
}

forEachBackend(() => {
  it('the example of the README prints what it says', async () => {
    tf.engine().startScope();
    expect(await printedBy(example)).toEqual([[[1, 6, 2, 4], [1, 2, 6]], [true], [true], [[6, 2, 4]]]);
    tf.engine().endScope();
  });
});

forEachBackend(['evenkeel-webgpu'], () => {
  it('the lines of the README that select WebGPU select it', async () => {
    await tf.setBackend('cpu');
    await printedBy(onWebgpu);
    expect(tf.getBackend()).toBe('evenkeel-webgpu');
  });
});
