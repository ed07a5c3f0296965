import type { GpuBinding, GpuProgram, GpuScalar } from '@evenkeel/core-tensor';
import { chunksOf, type Tile } from './tile.ts';

/**
 * Variant — all that is baked into a program. Lengths, strides, windows and scale are uniforms: causal attention is a window of
 * nothing to the right, and unlimited is a window wider than all lengths.
 */
export type Variant = {
  readonly headDim: number;
  readonly tile: Tile;
  readonly slopes: boolean;
  readonly bias: boolean;
  readonly dropout: boolean;
  readonly softcap: boolean;
  /** `tiles`: a tile of the program lies within one block of the mask; `elements`: blocks end within tiles. */
  readonly mask: 'none' | 'tiles' | 'elements';
  readonly varlen: boolean;
  /** Forward: whether the row maximum and the entropy are made as well, and written each to a binding of its own or after lse. */
  readonly statistics: 'none' | 'apart' | 'joined';
  /** Backward: whether dk and dv lie in one tensor. */
  readonly packed: boolean;
  /** Bias: whether it has a row for each query. */
  readonly queryAxis: boolean;
  /** Whether workgroups are counted through, because there are more of them along an axis than it may have. */
  readonly counted: boolean;
};

/** programOf — `make`, whose programs are kept by what is baked into them. */
export function programOf(make: (variant: Variant) => GpuProgram): (variant: Variant) => GpuProgram {
  const made = new Map<string, GpuProgram>();
  return (variant) => {
    const key = JSON.stringify(variant);
    let program = made.get(key);
    if (program === undefined) made.set(key, program = make(variant));
    return program;
  };
}

/** UNIFORMS — of all programs here; each reads what it needs. Offsets and strides are in elements; `blocks`, `owners`, `groups`: see `enterGroup`. */
export const UNIFORMS: Readonly<Record<string, GpuScalar>> = {
  t: 'i32', s: 'i32', left: 'i32', right: 'i32', heads: 'u32', group: 'u32', batches: 'u32', scale: 'f32', softcap: 'f32',
  qRow: 'u32', qBatch: 'u32', kRow: 'u32', kBatch: 'u32', kAt: 'u32', vAt: 'u32', oRow: 'u32', oBatch: 'u32', lseHead: 'u32', lseBatch: 'u32',
  slopesAt: 'u32', slopesBatch: 'u32', biasB: 'u32', biasH: 'u32', biasI: 'u32', biasJ: 'u32', biasHeads: 'u32',
  maskAt: 'u32', maskRow: 'u32', blockQ: 'u32', blockK: 'u32', cuQAt: 'u32', cuKAt: 'u32', rowCount: 'u32',
  blocks: 'u32', owners: 'u32', groups: 'u32', threshold: 'u32', dropKeys: 'u32', keepScale: 'f32', key0: 'u32', key1: 'u32', infinity: 'f32', nan: 'f32',
};

/** LANES — the components of a vec4. */
export const LANES = ['x', 'y', 'z', 'w'] as const;

/** each — `count` pieces of text, one after the other. */
export const each = (count: number, text: (i: number) => string): string => Array.from({ length: count }, (_, i) => text(i)).join('\n');

/** needsExtra — whether the forward pass has small tensors to read: see `extra.ts`. */
export const needsExtra = ({ slopes, mask, varlen }: Variant): boolean => slopes || varlen || mask !== 'none';

/** isVector — whether rows of heads begin at multiples of 4, so that tensors can be bound as vec4s. */
export const isVector = ({ headDim }: Variant): boolean => headDim % 4 === 0;

/** factorBinding — how q, k, v and dy are bound. */
export const factorBinding = (variant: Variant): GpuBinding => (variant.tile.half ? `read ${isVector(variant) ? 'vec4h' : 'f16'}` : rowsBinding(variant, 'read'));

/** rowsBinding — how a tensor of rows of heads is bound that is float32 in any case. */
export const rowsBinding = (variant: Variant, access: 'read' | 'write'): GpuBinding => `${access} ${isVector(variant) ? 'vec4f' : 'f32'}`;

/** loader — `load_x(at, c)`: vec4 number c of the row that begins at element `at`, as f32; zeros beyond its end. */
export function loader(name: string, variant: Variant, half = variant.tile.half): string {
  const { headDim, tile } = variant;
  const chunks = Math.ceil(headDim / 4);
  if (!isVector(variant)) {
    return `fn load_${name}(at: u32, c: u32) -> vec4f {
      let e = 4u * c; let p = at + e;
      return select(vec4f(), vec4f(${[0, 1, 2, 3].map((i) => (half ? `f32(${name}[p + ${i}u])` : `${name}[p + ${i}u]`)).join(', ')}), vec4u(e, e + 1u, e + 2u, e + 3u) < vec4u(${headDim}u));
    }`;
  }
  const isWhole = chunksOf(headDim, tile) * tile.split === chunks;
  const value = half ? `vec4f(${name}[(at >> 2u) + c])` : `${name}[(at >> 2u) + c]`;
  return `fn load_${name}(at: u32, c: u32) -> vec4f { return ${isWhole ? value : `select(vec4f(), ${value}, c < ${chunks}u)`}; }`;
}

/** storer — `store_x(at, c, y)`: the opposite of `load_x`. */
export function storer(name: string, variant: Variant): string {
  const { headDim, tile } = variant;
  if (!isVector(variant)) {
    return `fn store_${name}(at: u32, c: u32, y: vec4f) {
      ${LANES.map((lane, i) => `if (4u * c + ${i}u < ${headDim}u) { ${name}[at + 4u * c + ${i}u] = y.${lane}; }`).join('\n')}
    }`;
  }
  const guard = chunksOf(headDim, tile) * tile.split === headDim / 4 ? '' : `if (c < ${headDim / 4}u)`;
  return `fn store_${name}(at: u32, c: u32, y: vec4f) { ${guard} { ${name}[(at >> 2u) + c] = y; } }`;
}
