import { tensor, type Tensor } from '@tensorflow/tfjs-core';
import { ConfigError, treeEntries, treeFromEntries, treeLeaves, treeMap, treeMap2, treePaths, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const model: Tree<number> = { wte: 1, blocks: [{ attn: { qkv: { weight: 2, bias: 3 } } }, { attn: { qkv: { weight: 4 } } }], empty: [], lnF: { weight: 5 } };

describe('treeEntries, treeLeaves, treePaths', () => {
  it('treePaths(tree) joins keys and indices by dots, depth first', () => {
    expect(treePaths(model)).toEqual(['wte', 'blocks.0.attn.qkv.weight', 'blocks.0.attn.qkv.bias', 'blocks.1.attn.qkv.weight', 'lnF.weight']);
    expect(treeLeaves(model)).toEqual([1, 2, 3, 4, 5]);
    expect(treeEntries(model)[1]).toEqual(['blocks.0.attn.qkv.weight', 2]);
  });

  it('treeEntries(leaf) of a lone leaf has an empty path', () => {
    expect(treeEntries(7)).toEqual([['', 7]]);
    const x = tensor([1]);
    expect(treeLeaves<Tensor>(x)).toEqual([x]);
  });

  it('treeEntries(tree) leaves out undefined, and takes tensors and typed arrays as leaves', () => {
    const [x, array] = [tensor([1, 2]), new Float32Array(3)];
    expect(treeEntries<unknown>({ x, bias: undefined, array } as Tree<unknown>)).toEqual([['x', x], ['array', array]]);
  });

  it('treeLeaves(specs) takes a ParamSpec as a leaf although it is a plain object', () => {
    const spec: ParamSpec = { shape: [3, 2], axes: 'out in', role: 'hidden', block: 0, fanIn: 2 };
    expect(treeEntries<ParamSpec>({ mlp: { up: { weight: spec } } })).toEqual([['mlp.up.weight', spec]]);
    expect(treeMap((each: ParamSpec) => each.shape.length, { weight: spec })).toEqual({ weight: 2 });
  });
});

describe('treeEntries and treeFromEntries', () => {
  it.each<[string, Tree<number>]>([
    ['a.b', { 'a.b': 1, a: { b: 2 } }], ['x.0', { x: [1], 'x.0': 2 }], ['y', { '': { y: 1 }, y: 2 }],
  ])('treeEntries and treeFromEntries refuse two leaves at %s', (path, tree) => {
    const message = `treeEntries: every leaf must have a path of its own, got two leaves at ${path}`;
    expect(() => treeEntries(tree)).toThrow(ConfigError);
    expect(() => treeEntries(tree)).toThrow(message);
    expect(() => treeFromEntries(tree, [[path, 3]])).toThrow(message);
  });

  it('treeEntries(tree) takes a flat tree of dotted names', () => {
    expect(treeEntries({ 'a.b': 1, 'a.c': 2 })).toEqual([['a.b', 1], ['a.c', 2]]);
  });
});

describe('treeMap, treeMap2', () => {
  it('treeMap(f, tree) keeps the structure, arrays and all, and passes paths', () => {
    expect(treeMap((leaf: number) => leaf * 10, model)).toEqual({
      wte: 10, blocks: [{ attn: { qkv: { weight: 20, bias: 30 } } }, { attn: { qkv: { weight: 40 } } }], empty: [], lnF: { weight: 50 },
    });
    expect(treeMap((_: number, path) => path, { a: [1, 2] })).toEqual({ a: ['a.0', 'a.1'] });
    expect(treeMap((leaf: number) => leaf + 1, 1)).toBe(2);
  });

  it('treeMap(f, tree) calls f in the order of treeEntries', () => {
    const seen: string[] = [];
    treeMap((_: number, path) => seen.push(path), model);
    expect(seen).toEqual(treePaths(model));
  });

  it('treeMap2(f, a, b) pairs leaves by path; b may have more than a', () => {
    expect(treeMap2((a: number, b: string, path) => `${path}:${a}${b}`, { x: [1, 2] }, { x: ['p', 'q'], extra: 'r' })).toEqual({ x: ['x.0:1p', 'x.1:2q'] });
  });

  it('treeMap2(f, a, b) names the path that b lacks', () => {
    const run = (): unknown => treeMap2((a: number, b: number) => a + b, { x: { y: 1, z: 2 } }, { x: { y: 1 } });
    expect(run).toThrow(ConfigError);
    expect(run).toThrow('treeMap: every tree must have x.z, got one without it');
    expect(() => treeMap2((a: number, b: number) => a + b, { x: [1, 2] }, { x: 3 })).toThrow('every tree must have x.0');
  });

  it('treeMap2(f, a, b) does not take inherited properties for children', () => {
    expect(() => treeMap2((a: number) => a, { constructor: 1 } as Tree<number>, {} as Tree<number>)).toThrow('every tree must have constructor');
  });
});

describe('treeFromEntries', () => {
  it('treeFromEntries(like, entries) undoes treeEntries', () => {
    const leaf = fc.integer();
    const tree: fc.Arbitrary<Tree<number>> = fc.letrec<{ node: Tree<number> }>((tie) => ({
      node: fc.oneof({ maxDepth: 4 }, leaf, fc.array(tie('node'), { maxLength: 3 }), fc.dictionary(fc.string({ minLength: 1, maxLength: 3 }).filter((key) => !key.includes('.')), tie('node'), { maxKeys: 3, noNullPrototype: true })),
    })).node;
    fc.assert(fc.property(tree, (each) => {
      expect(treeFromEntries(each, treeEntries(each))).toEqual(each);
    }));
  });

  it('treeFromEntries(like, entries) names a missing path', () => {
    expect(() => treeFromEntries({ a: 0, b: [0] }, [['a', 1]])).toThrow(ConfigError);
    expect(() => treeFromEntries({ a: 0, b: [0] }, [['a', 1]])).toThrow('treeFromEntries: entries must contain b.0, got 1 others');
  });
});
