import { GPU_BACKEND } from '@evenkeel/core-tensor';
import { expectClose, forEachBackend, layerNorm64, randomArray } from '@evenkeel/testing';
import { dispose, tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { run } from './run.ts';

const EPS = 1e-5;

forEachBackend([GPU_BACKEND], () => {
  it.each([[768, 100], [4096, 1000], [1027, 30]])('layerNorm of %i channels about %i loses nothing to the mean', async (channels, offset) => {
    const values = randomArray(5 * channels).map((value) => value + offset);
    const x = tensor(values, [5, channels]);
    const [y] = run('layerNorm', { x }, { eps: EPS });
    // A mean that is rounded in the last place of the offset moves every y by that.
    await expectClose(y!, layerNorm64(values, channels, { eps: EPS }), { rtol: 1e-6, atol: offset * 2 ** -24 });
    dispose([x, y!]);
  });

  it.each([[1, 8], [3, 3], [1000, 5], [20_000, 4], [70, 2056]])('layerNormGrad of %i rows of %i adds up weight and bias over all rows, with the same bits every time', async (rows, channels) => {
    const [values, dys] = [randomArray(rows * channels), randomArray(rows * channels, { seed: 2 })];
    const normal = layerNorm64(values, channels, { eps: EPS });
    const [dweight64, dbias64] = [new Float64Array(channels), new Float64Array(channels)];
    dys.forEach((dy, i) => {
      dweight64[i % channels]! += dy * normal[i]!;
      dbias64[i % channels]! += dy;
    });
    const inputs = { x: tensor(values, [rows, channels]), dy: tensor(dys, [rows, channels]) };
    const first = run('layerNormGrad', inputs, { eps: EPS });
    const atol = 1e-6 * Math.sqrt(rows);
    await expectClose(first[1]!, dweight64, { rtol: 1e-5, atol });
    await expectClose(first[2]!, dbias64, { rtol: 1e-5, atol });
    const second = run('layerNormGrad', inputs, { eps: EPS });
    for (const [i, each] of first.entries()) expect(await second[i]!.data()).toEqual(await each.data());
    dispose([inputs, first, second]);
  });

  it('norms of more rows than one axis may have workgroups are right', async () => {
    const [rows, channels] = [66_001, 33]; // too long to share a workgroup
    const values = randomArray(rows * channels).map((value, i) => value / 8 + (i % 3)); // no row of equal numbers, of which float32 leaves little
    const x = tensor(values, [rows, channels]);
    const [y] = run('layerNorm', { x }, { eps: EPS });
    await expectClose(y!, layerNorm64(values, channels, { eps: EPS }), { rtol: 2e-6, atol: 2e-6 });
    dispose([x, y!]);
  });
});
