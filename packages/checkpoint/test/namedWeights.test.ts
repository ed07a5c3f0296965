import { describe, expect, it } from 'vitest';
import { dispose, memory, tensor } from '@tensorflow/tfjs-core';
import { initParams, normal, treeEntries, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { checkBlockCount, entriesFromParams, openSafetensors, paramsFromFile, serializeSafetensors, type Entries, type NamedWeight } from '@evenkeel/checkpoint';

const specs: Tree<ParamSpec> = {
  qkv: { weight: { shape: [6, 4], axes: 'qkv dim', parts: [2, 2, 2], role: 'hidden' } },
  up: { weight: { shape: [3, 2], axes: 'hidden dim', role: 'hidden' } },
  positions: { weight: { shape: [5, 2], axes: 'position dim', role: 'embedding' } },
};
const weights: NamedWeight[] = [
  { path: 'qkv.weight', name: ['query.weight', 'key.weight', 'value.weight'] },
  { path: 'up.weight', name: 'up', transposed: true },
  { path: 'positions.weight', name: 'pos_embed', storedShape: [1, 5, 2] },
];
const init = () => initParams(specs, 1, () => normal());
const open = async (entries: Entries) => openSafetensors(new Blob([serializeSafetensors(entries)]));
const values = (params: unknown) => Promise.all(treeEntries(params as Tree<ReturnType<typeof tensor>>).map(async ([path, x]) => [path, x.shape, Array.from(await x.data())]));

describe('paramsFromFile and entriesFromParams', () => {
  it('entriesFromParams then paramsFromFile gives the same parameters, in parts, transposed and reshaped', async () => {
    const params = init();
    const before = memory().numTensors;
    const entries = await entriesFromParams(specs, weights, params);
    expect(memory().numTensors).toBe(before);
    expect(Object.entries(entries).map(([name, { shape }]) => [name, shape])).toEqual([
      ['query.weight', [2, 4]], ['key.weight', [2, 4]], ['value.weight', [2, 4]], ['up', [2, 3]], ['pos_embed', [1, 5, 2]],
    ]);
    const again = await paramsFromFile(specs, weights, await open(entries));
    expect(await values(again)).toEqual(await values(params));
    dispose([params, again] as never);
  });

  it('entriesFromParams writes the rows of a part and the columns of a transposed weight', async () => {
    const count = (shape: number[]) => tensor(Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => i), shape);
    const params = { qkv: { weight: count([6, 4]) }, up: { weight: count([3, 2]) }, positions: { weight: count([5, 2]) } };
    const entries = await entriesFromParams(specs, weights, params);
    expect(Array.from(entries['key.weight']!.data as Float32Array)).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
    expect(Array.from(entries['up']!.data as Float32Array)).toEqual([0, 2, 4, 1, 3, 5]);
    dispose(params as never);
  });

  it('axes turns a weight whose numbers stand in another order in the file, and back', async () => {
    const ofPatches: Tree<ParamSpec> = { weight: { shape: [2, 12], axes: 'dim patch', role: 'embedding' } };
    const named: NamedWeight[] = [{ path: 'weight', name: 'proj', storedShape: [2, 3, 2, 2], axes: [0, 2, 3, 1] }]; // d c y x, in the model d (y x c)
    const params = { weight: tensor(Array.from({ length: 24 }, (_, i) => i), [2, 12]) };
    const entries = await entriesFromParams(ofPatches, named, params);
    expect(entries['proj']!.shape).toEqual([2, 3, 2, 2]);
    const stored = entries['proj']!.data as Float32Array;
    for (const [d, c, y, x] of [[0, 0, 0, 0], [1, 2, 1, 0], [0, 1, 0, 1]] as const) expect(stored[((d * 3 + c) * 2 + y) * 2 + x]).toBe(d * 12 + (y * 2 + x) * 3 + c);
    const again = await paramsFromFile(ofPatches, named, await open(entries));
    expect(await values(again)).toEqual(await values(params));
    dispose([params, again] as never);
  });

  it('paramsFromFile(…, { nameOf }) reads files with other spellings and leaves out what is no weight', async () => {
    const params = init();
    const entries = await entriesFromParams(specs, weights, params, { nameOf: (name) => `model.${name}` });
    const file = await open({ ...entries, buffer: entries['model.up']! });
    const again = await paramsFromFile(specs, weights, file, { nameOf: (name) => (name === 'buffer' ? undefined : name.replace('model.', '')) });
    expect(await values(again)).toEqual(await values(params));
    await expect(paramsFromFile(specs, weights, await open({ ...entries, up: entries['model.up']! }), { nameOf: (name) => name.replace('model.', '') }))
      .rejects.toThrow('paramsFromFile: the checkpoint must hold up once, got ');
    dispose([params, again] as never);
  });

  it('paramsFromFile lists what is missing, unexpected or of another shape, and leaks nothing', async () => {
    const params = init();
    const { up, ...rest } = await entriesFromParams(specs, weights, params);
    const before = memory().numTensors;
    await expect(paramsFromFile(specs, weights, await open({ ...rest, down: up! }), { where: 'here' }))
      .rejects.toThrow('here: the checkpoint must hold the model\'s 5 tensors, got missing (1): "up"; unexpected (1): "down"');
    await expect(paramsFromFile(specs, weights, await open({ ...rest, up: { ...up!, shape: [3, 2] } })))
      .rejects.toThrow('"up" must have shape [2, 3], got [3, 2]');
    expect(memory().numTensors).toBe(before);
    dispose(params as never);
  });

  it('paramsFromFile refuses a model with other parameters, and a first axis that has no such parts', async () => {
    const file = await open({ x: { dtype: 'F32', shape: [1], data: Float32Array.of(1) } });
    await expect(paramsFromFile(specs, weights.slice(1), file, { layout: 'ViT' })).rejects.toThrow("paramsFromFile: techniques must keep ViT's parameters, got also qkv.weight");
    await expect(paramsFromFile(specs, [...weights, { path: 'norm.weight', name: 'norm' }], file)).rejects.toThrow("the checkpoint's parameters, got none called norm.weight");
    const four = { path: 'qkv.weight', name: ['a', 'b', 'c', 'd'] };
    await expect(paramsFromFile(specs, [four, ...weights.slice(1)], file)).rejects.toThrow('the first axis of qkv.weight must have 4 equal parts, got [6, 4]');
  });

  it('entriesFromParams names a parameter of another shape', async () => {
    const params = { qkv: { weight: tensor([1]) } };
    await expect(entriesFromParams(specs, weights, params)).rejects.toThrow('entriesFromParams: qkv.weight must have shape [6, 4], got [1]');
    await expect(entriesFromParams(specs, weights.slice(1), params)).rejects.toThrow('up.weight must have shape [3, 2], got none');
    dispose(params as never);
  });

  it('checkBlockCount compares what config.json claims with the blocks in the file', () => {
    const names = ['h.0.a', 'h.0.b', 'h.1.a', 'wte'];
    expect(() => checkBlockCount('x', { field: 'n_layer', depth: 2 }, names, /^h\.(\d+)\./)).not.toThrow();
    expect(() => checkBlockCount('x', { field: 'n_layer', depth: 1e9 }, names, /^h\.(\d+)\./)).toThrow('x: config.json must have n_layer 2, as many blocks as the checkpoint holds, got 1000000000');
  });
});
