import type { Tensor } from '@tensorflow/tfjs-core';
import { ConfigError, normal, ones, scaledResidual, truncatedNormal, xavier, zeros, type Initialiser, type ParamSpec } from '@evenkeel/core-tensor';
import { expectClose, expectNoLeak, readValues } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';

const spec: ParamSpec = { shape: [130, 65], axes: 'out in', role: 'hidden', fanIn: 65 };
const deviation = async (x: Tensor): Promise<number> => {
  const { data } = await readValues(x);
  return Math.hypot(...data) / Math.sqrt(data.length);
};

const TABLE: readonly (readonly [string, Initialiser, number])[] = [
  ['normal()', normal(), 0.02],
  ['normal({ std: 0.3 })', normal({ std: 0.3 }), 0.3],
  ['truncatedNormal({ std: 1 })', truncatedNormal({ std: 1 }), 0.8796],
  ['xavier', xavier, Math.sqrt(2 / (130 + 65))],
  ['scaledResidual({ depth: 8 })', scaledResidual({ depth: 8 }), 0.02 / 4],
];

describe.each([...TABLE])('%s', (name, initialiser, std) => {
  it(`${name} has standard deviation ${std.toFixed(4)}`, async () => {
    expect(Math.abs((await deviation(initialiser(spec, 1))) / std - 1)).toBeLessThan(0.04);
  });

  it(`${name} depends on the seed and on nothing else`, async () => {
    await expectClose(initialiser(spec, 3), initialiser(spec, 3), { rtol: 0, atol: 0 });
    expect((await readValues(initialiser(spec, 3))).data).not.toEqual((await readValues(initialiser(spec, 4))).data);
    await expectNoLeak(() => initialiser(spec, 3));
  });
});

describe('xavier', () => {
  it('xavier(spec) gives each of the parts of an axis its own fan-out, and other values', async () => {
    const parts = [65, 130, 65];
    const { data } = await readValues(xavier({ shape: [260, 65], axes: 'qkv dim', role: 'hidden', fanIn: 65, parts }, 1));
    const pieces = [data.slice(0, 65 * 65), data.slice(65 * 65, 195 * 65), data.slice(195 * 65)];
    pieces.forEach((piece, i) => expect(Math.abs(Math.hypot(...piece) / Math.sqrt(piece.length) / Math.sqrt(2 / (65 + parts[i]!)) - 1)).toBeLessThan(0.04));
    expect(pieces[0]).not.toEqual(pieces[2]);
  });
});

describe('constant initialisers', () => {
  it('zeros and ones fill the shape of the spec', async () => {
    await expectClose(zeros({ shape: [2, 3], axes: 'out in', role: 'bias' }, 1), [[0, 0, 0], [0, 0, 0]]);
    await expectClose(ones({ shape: [3], axes: 'dim', role: 'norm' }, 1), [1, 1, 1]);
  });
});

describe('initialiser errors', () => {
  it('xavier(spec) wants two axes', () => {
    expect(() => xavier({ shape: [3], axes: 'dim', role: 'bias' }, 1)).toThrow(ConfigError);
    expect(() => xavier({ shape: [3], axes: 'dim', role: 'bias' }, 1)).toThrow('xavier: spec must have two axes or more, got [3]');
  });

  it('initialisers refuse a standard deviation or depth that cannot be', () => {
    expect(() => normal({ std: -1 })).toThrow('normal: std must be a positive number, got -1');
    expect(() => truncatedNormal({ std: NaN })).toThrow('truncatedNormal: std must be a positive number, got NaN');
    expect(() => scaledResidual({ depth: 0 })).toThrow('scaledResidual: depth must be an integer ≥ 1, got 0');
  });
});
