import { kernelTuning, type GpuBackend } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { uniformsOf, type AttentionCall } from './call.ts';
import { launch } from './launch.ts';
import { candidateTiles, chooseTile, possibleTiles, rangeOf, tileLimits, type Pass, type Tile } from './tile.ts';

/** ATTENTION_VERSION — to be raised when programs or tiles change, so that what was remembered of the old ones is not used. */
export const ATTENTION_VERSION = 2;

/** FAMILIES — the names under which the tile of a pass can be forced (see `possibleTiles`): `webgpu({ tuning: { attention: 'threads32-rows1-split1-keys16' } })`. */
const FAMILIES: Readonly<Record<Pass, string>> = { forward: 'attention', query: 'attentionQueryGrad', keyValue: 'attentionKeyValueGrad', bias: 'attentionBiasGrad' };

/**
 * tileFor — the tile of a pass of a call: by rule of thumb, unless one is forced or tuning has found a faster one for the call's class.
 *
 * Packed and separate tensors and masks by blocks have the tile of the plain call of their sizes, and so have calls that are observed: what
 * is observed and what is not are the same bits. Sequences of several lengths are timed as one plain call of no more rows.
 */
export function tileFor(backend: GpuBackend, pass: Pass, call: AttentionCall): Tile {
  const { d, attrs } = call;
  const length = pass === 'keyValue' ? call.s : call.t;
  if (attrs.tile !== undefined) return chooseTile(pass, d, length, tileLimits(backend), attrs.tile);
  if (kernelTuning() === undefined) return fixedTile(backend, pass, d, length);
  const tiles = tilesFor(backend, pass, d, length);
  const { heads, kvHeads, bias } = call;
  const timed = plainSizes(call);
  const sizes = { ...timed, heads, kvHeads, d, biasShape: bias?.shape, attrs: { ...attrs, seed: 0, boundaries: undefined } };
  const name = backend.choose({
    family: FAMILIES[pass], version: ATTENTION_VERSION, key: classOf({ ...call, ...timed }, backend.precision === 'f16'), candidates: [...tiles.keys()],
    trial: (candidate) => trial(backend, pass, sizes, tiles.get(candidate) as Tile),
  });
  return tiles.get(name) as Tile;
}

/** plainSizes — of the call itself; of sequences of several lengths as many of the longest as their rows are enough for, one at least. */
function plainSizes({ b, t, s, queries, keys, isVarlen }: Pick<AttentionCall, 'b' | 't' | 's' | 'queries' | 'keys' | 'isVarlen'>): { b: number; t: number; s: number } {
  if (!isVarlen) return { b, t, s };
  const [longestQ, longestK] = [Math.min(t, queries), Math.min(s, keys)];
  return { b: Math.max(1, Math.min(b, Math.floor(queries / longestQ), Math.floor(keys / longestK))), t: longestQ, s: longestK };
}

/** Where nothing is timed: the tile that is forced, of all that are possible, or the usual one. */
const fixedTile = /* @__PURE__ */ oncePerRange((backend, pass, headDim, length): Tile => {
  const tiles = possibleTiles(pass, headDim, length, tileLimits(backend));
  const name = backend.choose({ family: FAMILIES[pass], version: ATTENTION_VERSION, key: `d${headDim}`, candidates: [...tiles.keys()], trial: () => {} });
  return tiles.get(name) as Tile;
});

const tilesFor = /* @__PURE__ */ oncePerRange((backend, pass, headDim, length) => candidateTiles(pass, headDim, length, tileLimits(backend)));

type OfRange<R> = (backend: GpuBackend, pass: Pass, headDim: number, length: number) => R;

/** `make`, once per device, pass, width and range of lengths. */
function oncePerRange<R>(make: OfRange<R>): OfRange<R> {
  const known = new WeakMap<GpuBackend, Map<string, R>>();
  return (backend, pass, headDim, length) => {
    let ofBackend = known.get(backend);
    if (ofBackend === undefined) known.set(backend, ofBackend = new Map());
    const key = `${pass} ${headDim} ${rangeOf(length)}`;
    const made = ofBackend.get(key) ?? make(backend, pass, headDim, length);
    ofBackend.set(key, made);
    return made;
  };
}

/** classOf — calls that are timed as one: the same terms, and sizes within a factor of √2 up or down. */
export function classOf({ b, t, s, heads, kvHeads, d, bias, attrs }: AttentionCall, half: boolean): string {
  const scale = (size: number): string => (size <= 4 ? `${size}` : `2^${Math.round(Math.log2(size))}`);
  const side = (tokens: number): string => (tokens < 0 || tokens >= s ? 'all' : scale(tokens));
  return [
    `d${d}`, `t${scale(t)}`, `s${scale(s)}`, `heads${scale(b * heads)}`, `group${heads / kvHeads}`, `sees ${side(attrs.windowLeft)} ${attrs.causal ? '0' : side(attrs.windowRight)}`,
    bias && `bias${bias.shape.map((size) => (size > 1 ? 'x' : '1')).join('')}`, (attrs.dropout ?? 0) > 0 && 'dropout', (attrs.softcap ?? 0) > 0 && 'softcap', half && 'f16',
  ].filter(Boolean).join(' ');
}

type TrialSizes = Pick<AttentionCall, 'b' | 't' | 's' | 'heads' | 'kvHeads' | 'd' | 'attrs'> & { readonly biasShape: readonly number[] | undefined };

/** Runs a pass on tensors of its own, to be timed. What they hold is whatever was there. */
function trial(backend: GpuBackend, pass: Pass, { biasShape, ...sizes }: TrialSizes, tile: Tile): void {
  const { b, t, s, heads, kvHeads, d } = sizes;
  const floats = (...shape: number[]): TensorInfo => backend.temporary(shape);
  const factor = (...shape: number[]): TensorInfo => (tile.half ? backend.temporary([Math.ceil(shape.reduce((a, c) => a * c, 1) / 4) * 2], 'int32') : floats(...shape));
  const [q, k, v] = [factor(b, t, heads, d), factor(b, s, kvHeads, d), factor(b, s, kvHeads, d)];
  const bias = biasShape && floats(...biasShape);
  const call: AttentionCall = { ...sizes, q, k, v, ...(bias && { bias }), queries: b * t, keys: b * s, isPacked: false, isVarlen: false };
  const results: Record<Pass, () => Record<string, TensorInfo>> = {
    forward: () => ({ out: floats(b, t, heads, d), lse: floats(b, heads, t) }),
    query: () => ({ dq: floats(b, t, heads, d) }),
    keyValue: () => ({ dk: floats(b, s, kvHeads, d), dv: floats(b, s, kvHeads, d) }),
    bias: () => ({ dbias: floats(...(biasShape ?? [])) }),
  };
  const given: Record<string, TensorInfo> = pass === 'forward' ? {} : { dy: factor(b, t, heads, d), extra: backend.temporary([2 * b * heads * t], 'int32') };
  launch(backend, pass, call, tile, { tensors: { q, k, v, ...given, ...results[pass]() }, uniforms: uniformsOf(call, []) });
}
