import type { GpuFeature } from '@evenkeel/core-tensor';
import { chunksOf, type Tile } from './tile.ts';
import { each, LANES, needsExtra, type Variant } from './variant.ts';

/**
 * The pieces that all passes are made of. A thread has the number `row` among those that share rows and the number `part` among
 * those that share its rows; it holds chunk c·split + part of each of them as `x{r}_{c}`.
 */

/** tileArrays — workgroup memory for `keys` rows of two tensors, and for parts of their products where rows are split. */
export function tileArrays([first, second]: readonly [string, string], { headDim, tile }: Variant, products: number): string {
  const { keys, split, rows, threads, lanes, half } = tile;
  const width = chunksOf(headDim, tile) * split;
  const suffix = half ? 'h' : 'f';
  const elements = lanes ? `vec2${suffix}, ${2 * keys * width}` : `vec4${suffix}, ${keys * width}`;
  return [
    ...[first, second].map((name) => `var<workgroup> ${name}Tile: array<${elements}>;`),
    split > 1 ? `var<workgroup> parts: array<vec4f, ${products * (keys / 4) * rows * threads}>;` : '',
  ].join('\n');
}

/** threadPlace — `row` and `part`. */
export const threadPlace = ({ threads, split, lanes }: Tile): string => (lanes
  ? `let row = i32(localIndex % ${threads / split}u); let part = localIndex / ${threads / split}u;` // the same for all lanes of a subgroup
  : `let row = i32(localIndex / ${split}u); let part = localIndex % ${split}u;`);

/** loadTile — rows `start` … of two tensors into workgroup memory, zeros from `end` on; `at(n)` is where row n of each begins. */
export function loadTile([first, second]: readonly [string, string], { headDim, tile }: Variant, at: readonly [string, string]): string {
  const { threads, keys, split, lanes, half } = tile;
  const width = chunksOf(headDim, tile) * split;
  const put = (name: string): string => (lanes ? `${name}Tile[2u * e] = ${name}.xy; ${name}Tile[2u * e + 1u] = ${name}.zw;` : `${name}Tile[e] = ${name};`);
  const value = (name: string, place: string): string => `select(vec4f(), load_${name}(${place}, c), n < end)`;
  const load = (name: string, place: string): string => `{ let ${name} = ${half ? `vec4h(${value(name, place)})` : value(name, place)}; ${put(name)} }`;
  return `for (var e = localIndex; e < ${keys * width}u; e += ${threads}u) {
    let n = start + i32(e / ${width}u); let c = e % ${width}u;
    ${load(first, at[0])}
    ${load(second, at[1])}
  }`;
}

/** loadRow — `x{r}_{c}`: this thread's part of the row that begins at element `at`; zeros where `isRow` is false. */
export function loadRow(name: string, r: number, { headDim, tile }: Variant, at: string, isRow: string): string {
  return each(chunksOf(headDim, tile), (c) => `let ${name}${r}_${c} = select(vec4f(), load_${name}(${at}, ${c * tile.split}u + part), ${isRow});`);
}

/** storeRow — the opposite, for value `value(c)`. */
export function storeRow(to: string, { headDim, tile }: Variant, at: string, value: (c: number) => string): string {
  return each(chunksOf(headDim, tile), (c) => `store_${to}(${at}, ${c * tile.split}u + part, ${value(c)});`);
}

/** zeroRow — a sum `x{r}_{c}` that begins at 0. */
export const zeroRow = (name: string, r: number, { headDim, tile }: Variant): string => each(chunksOf(headDim, tile), (c) => `var ${name}${r}_${c} = vec4f();`);

/** Product — a sum `into{r}` over the channels of `x{r}_{c}` times a tile, for four rows of the tile. */
export type Product = { readonly into: string; readonly x: string; readonly tile: string };

/**
 * withProducts — runs `body` for every four rows of the tile, from row n on, with the products as `into{r}: vec4f`.
 *
 * Where rows are split, the parts go through workgroup memory: all threads that share a row add them in the same order.
 */
export function withProducts(products: readonly Product[], { headDim, tile }: Variant, count: string, body: string): string {
  const { rows, split, threads } = tile;
  const chunks = chunksOf(headDim, tile);
  const width = chunks * split;
  const partial = products.map(({ into, x, tile: from }) => [
    each(rows, (r) => `var ${into}${r} = vec4f();`),
    each(chunks, (c) => fourRows(from, c, tile, width, (lane) => each(rows, (r) => `${into}${r}.${lane} += dot(${x}${r}_${c}, y);`))),
  ].join('\n')).join('\n');
  const loop = (text: string): string => `for (var n = 0u; n < ${count}; n += 4u) {\n${text}\n}`;
  if (split === 1) return loop(`${partial}\n${body}`);
  const slot = (p: number, r: number): string => `(n / 4u * ${products.length * rows}u + ${p * rows + r}u) * ${threads}u + localIndex`;
  const put = products.map(({ into }, p) => each(rows, (r) => `parts[${slot(p, r)}] = ${into}${r};`)).join('\n');
  const stride = tile.lanes ? threads / split : 1;
  const get = products.map(({ into }, p) => each(rows, (r) => `let ${into}${r}at = ${slot(p, r)} - part * ${stride}u; var ${into}${r} = parts[${into}${r}at];
    ${each(split - 1, (other) => `${into}${r} += parts[${into}${r}at + ${(other + 1) * stride}u];`)}`)).join('\n');
  return `${loop(`${partial}\n${put}`)}\nworkgroupBarrier();\n${loop(`${get}\n${body}`)}`;
}

/** accumulate — sums `into{r}_{c}` += Σ over four rows n … n + 3 of the tile, each times its component of `weight{r}`. */
export function accumulate(into: string, weight: string, from: string, { headDim, tile }: Variant): string {
  const { rows, split } = tile;
  const chunks = chunksOf(headDim, tile);
  const width = chunks * split;
  return each(chunks, (c) => fourRows(from, c, tile, width, (lane) => each(rows, (r) => `${into}${r}_${c} += ${weight}${r}.${lane} * y;`)));
}

/** `use` of chunk c of rows n … n + 3 of a tile, as `y`. */
function fourRows(from: string, c: number, { split, lanes, half }: Tile, width: number, use: (lane: string) => string): string {
  const read = (type: string, at: string): string => (half ? `${type}(${from}Tile[${at}])` : `${from}Tile[${at}]`);
  if (!lanes) return LANES.map((lane, l) => `{ let y = ${read('vec4f', `n * ${width}u + ${l * width + c * split}u + part`)}; ${use(lane)} }`).join('\n');
  return `{ let own = ${read('vec2f', `2u * ((n + (laneIndex & 3u)) * ${width}u + ${c * split}u + part) + ((laneIndex >> 2u) & 1u)`)};
    ${LANES.map((lane, l) => `{ let y = vec4f(subgroupBroadcast(own, ${l}u), subgroupBroadcast(own, ${l + 4}u)); ${use(lane)} }`).join('\n')} }`;
}

/** featuresOf — what a program of this tile needs of the device. */
export const featuresOf = ({ lanes, half }: Tile): GpuFeature[] => [...(half ? ['f16' as const] : []), ...(lanes ? ['subgroups' as const] : [])];

/** extraBinding — small tensors, in the forward pass; statistics of the rows before them in the backward pass. */
export const extraBinding = (variant: Variant, isBackward: boolean): Record<string, 'read i32'> => (isBackward || needsExtra(variant) ? { extra: 'read i32' } : {});
