import { UnsupportedError } from '@evenkeel/core-tensor';
import { describe, expect, it } from 'vitest';
import { backwardKeyValueProgram } from '../src/kernels/backwardKeyValue.ts';
import { backwardQueryProgram } from '../src/kernels/backwardQuery.ts';
import { biasGradProgram } from '../src/kernels/biasGrad.ts';
import { forwardProgram } from '../src/kernels/forward.ts';
import { blockRows, candidateTiles, chooseTile, possibleTiles, rangeOf, tileName, workgroupBytes, type Pass } from '../src/kernels/tile.ts';
import type { Variant } from '../src/kernels/variant.ts';

const limits = { maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupSizeX: 256, maxComputeWorkgroupStorageSize: 16384 };
const passes: Pass[] = ['forward', 'query', 'keyValue', 'bias'];
const widths = [1, 3, 8, 16, 32, 64, 80, 96, 128, 200, 256];

/** The numbers N of `array<T, N>` in workgroup memory, in bytes. */
const bytesIn = (code: string): number => [...code.matchAll(/var<workgroup> \w+: array<(\w+), (\d+)>/g)]
  .reduce((total, [, type, count]) => total + Number(count) * { vec4f: 16, vec2f: 8, vec4h: 8, vec2h: 4 }[type as 'vec4f'], 0);

const plain: Variant = {
  headDim: 32, tile: { threads: 64, rows: 2, split: 1, keys: 16, lanes: false, half: false }, slopes: false, bias: false, dropout: false, softcap: false, mask: 'none', varlen: false,
  statistics: 'none', packed: false, queryAxis: true, counted: false,
};
const programs = { forward: forwardProgram, query: backwardQueryProgram, keyValue: backwardKeyValueProgram, bias: biasGradProgram };

describe.each(passes)('in the pass %s', (pass) => {
  it.each([{}, { maxComputeWorkgroupStorageSize: 8192 }, { maxComputeInvocationsPerWorkgroup: 32 }, { maxComputeWorkgroupSizeX: 16 }, { isNarrow: true }, { half: true }, { half: true, isNarrow: true }])('chooseTile keeps to the limits for all widths: %j', (some) => {
    const given = { ...limits, ...some };
    for (const headDim of widths.filter((width) => width <= 128 || given.maxComputeWorkgroupStorageSize > 8192)) {
      for (const length of [1, 17, 100, 5000]) {
        const tile = chooseTile(pass, headDim, length, given);
        expect(tile.threads).toBeLessThanOrEqual(Math.min(given.maxComputeInvocationsPerWorkgroup, given.maxComputeWorkgroupSizeX));
        expect(tile.threads % tile.split).toBe(0);
        expect(blockRows(tile)).toBeGreaterThanOrEqual(1);
        const bytes = workgroupBytes(pass, headDim, tile);
        expect(bytes).toBeLessThanOrEqual(given.maxComputeWorkgroupStorageSize);
        expect(bytesIn(programs[pass]({ ...plain, headDim, tile, bias: pass === 'bias' }).code)).toBe(bytes);
      }
    }
  });

  it('chooseTile gives few rows small workgroups and refuses what cannot be', () => {
    expect(chooseTile(pass, 32, 3, limits).threads).toBeLessThan(chooseTile(pass, 32, 1000, limits).threads);
    expect(() => chooseTile(pass, 257, 3, limits)).toThrow(new UnsupportedError('attention: headDim must be at most 256 on this device, got 257'));
    expect(() => chooseTile(pass, 256, 3, { ...limits, maxComputeWorkgroupStorageSize: 1024 })).toThrow('must fit 1024 bytes of workgroup memory');
  });

  it.each([limits, { ...limits, maxComputeInvocationsPerWorkgroup: 64 }, { ...limits, isNarrow: true }, { ...limits, half: true, maxComputeWorkgroupStorageSize: 8192 }])('candidateTiles are the usual tile first, then others that keep to the limits, each by a name of its own: %j', (given) => {
    for (const headDim of widths.filter((width) => width <= 128)) {
      for (const length of [1, 16, 17, 256, 257, 5000]) {
        const tiles = candidateTiles(pass, headDim, length, given);
        expect([...tiles.values()][0]).toEqual(chooseTile(pass, headDim, length, given));
        expect(tiles).toEqual(candidateTiles(pass, headDim, Math.min(rangeOf(length), 1e6), given));
        if (headDim > 8) expect(tiles.size).toBeGreaterThan(1);
        for (const [name, tile] of tiles) {
          expect(name).toBe(tileName(tile));
          expect(tile.threads).toBeLessThanOrEqual(Math.min(128, given.maxComputeInvocationsPerWorkgroup));
          expect([tile.threads % tile.split, tile.keys % 4, tile.rows > 2, pass === 'bias' && tile.rows > 1]).toEqual([0, 0, false, false]);
          expect(Number.isInteger(tile.split) && tile.split <= Math.max(1, headDim / 4)).toBe(true);
          expect(workgroupBytes(pass, headDim, tile)).toBeLessThanOrEqual(given.maxComputeWorkgroupStorageSize);
        }
      }
    }
  });

  it.each([{}, { maxComputeInvocationsPerWorkgroup: 64, maxComputeWorkgroupStorageSize: 8192 }, { isNarrow: true }, { half: true }])('possibleTiles are the usual tile first, and all that keep to the limits, near it or not: %j', (some) => {
    const given = { ...limits, ...some };
    for (const headDim of [4, 32, 128]) {
      const tiles = possibleTiles(pass, headDim, 300, given);
      expect([...tiles.values()][0]).toEqual(chooseTile(pass, headDim, 300, given));
      for (const [name, tile] of candidateTiles(pass, headDim, 300, given)) expect(tiles.get(name)).toEqual(tile);
      for (const [name, tile] of tiles) {
        const isRight = name === tileName(tile) && tile.threads % 8 === 0 && tile.threads % tile.split === 0 && tile.threads >= 8 * tile.split && tile.keys % 4 === 0 && (pass !== 'bias' || tile.rows === 1)
          && tile.threads <= given.maxComputeInvocationsPerWorkgroup && workgroupBytes(pass, headDim, tile) <= given.maxComputeWorkgroupStorageSize;
        if (!isRight) expect(name).toBe('possible');
      }
      expect([tiles.has(`threads24-rows1-split1-keys${headDim === 4 ? 100 : 4}`), tiles.has('threads32-rows1-split1-keys17')]).toEqual([headDim < 128, false]);
    }
  });

  it('no combination of options binds more than 8 tensors, and every one that the pass has makes another text', () => {
    const full: Variant = { ...plain, slopes: true, bias: true, dropout: true, softcap: true, mask: 'elements', statistics: pass === 'forward' ? 'joined' : 'none' };
    const apart = pass === 'forward' ? [{ ...full, bias: false, statistics: 'apart' as const }, { ...full, slopes: false, mask: 'none' as const, statistics: 'apart' as const }] : [];
    for (const variant of [full, { ...full, headDim: 5 }, { ...full, packed: true }, { ...full, varlen: true }, ...apart]) expect(programs[pass](variant).bindings.length).toBeLessThanOrEqual(8);
    const others: Partial<Variant>[] = [
      {}, { headDim: 5 }, { headDim: 64 }, { slopes: true }, { dropout: true }, { softcap: true }, { mask: 'tiles' }, { mask: 'elements' }, { varlen: true }, { counted: true },
      ...(['threads', 'rows', 'keys', 'split'] as const).map((name) => ({ tile: { ...plain.tile, [name]: 2 * plain.tile[name] } })), { tile: { ...plain.tile, lanes: true } }, { tile: { ...plain.tile, half: true } },
      ...(pass === 'bias' ? [{ queryAxis: false }] : [{ bias: true }]), ...(pass === 'forward' ? [{ statistics: 'apart' as const }, { statistics: 'joined' as const }] : []), ...(pass === 'keyValue' ? [{ packed: true }] : []),
    ];
    const texts = others.filter(({ tile }) => pass !== 'bias' || tile === undefined || tile.rows === 2).map((other) => programs[pass]({ ...plain, bias: pass === 'bias', ...other }).code);
    expect(new Set(texts).size).toBe(texts.length);
    expect(programs[pass](plain)).toBe(programs[pass]({ ...plain }));
  });
});
