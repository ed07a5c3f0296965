/** Tables of the last bases and widths in use, each of positions 0, 1, …; grown by doubling. */
const known = new Map<string, Float32Array>();
const MAX_KNOWN = 4;

/**
 * rotaryTable — cosines, then sines, of the angles p · base^(−2i/r) for i < r/2: one row of r numbers per position.
 *
 * Angles are computed in float64 and rounded once, so that position 100,000 is as exact as position 1 and the same on every backend.
 */
export function rotaryTable(positions: ArrayLike<number>, base: number, rotaryDim: number): Float32Array {
  const half = rotaryDim / 2;
  const frequencies = Float64Array.from({ length: half }, (_, i) => base ** ((-2 * i) / rotaryDim));
  const table = new Float32Array(positions.length * rotaryDim);
  for (let row = 0; row < positions.length; row++) {
    for (let i = 0; i < half; i++) {
      const angle = (positions[row] as number) * (frequencies[i] as number);
      table[row * rotaryDim + i] = Math.cos(angle);
      table[row * rotaryDim + half + i] = Math.sin(angle);
    }
  }
  return table;
}

/** countedRotaryTable — `rotaryTable` of `count` positions from `first` on; what begins at 0 is remembered. The caller only reads it. */
export function countedRotaryTable(first: number, count: number, base: number, rotaryDim: number): Float32Array {
  const key = `${base}/${rotaryDim}`;
  const table = known.get(key) ?? new Float32Array(0);
  const rows = table.length / rotaryDim;
  if (first === 0 && count > rows) return remember(key, counted(0, Math.max(count, 2 * rows), base, rotaryDim)).subarray(0, count * rotaryDim);
  const isKnown = Number.isInteger(first) && first >= 0 && first + count <= rows;
  return isKnown ? table.subarray(first * rotaryDim, (first + count) * rotaryDim) : counted(first, count, base, rotaryDim);
}

const counted = (first: number, count: number, base: number, rotaryDim: number): Float32Array =>
  rotaryTable(Float64Array.from({ length: count }, (_, i) => first + i), base, rotaryDim);

function remember(key: string, table: Float32Array): Float32Array {
  known.delete(key);
  known.set(key, table);
  const [oldest] = known.keys();
  if (known.size > MAX_KNOWN && oldest !== undefined) known.delete(oldest);
  return table;
}
