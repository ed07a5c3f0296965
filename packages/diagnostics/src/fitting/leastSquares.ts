/**
 * leastSquares — the coefficients c that minimise Σᵢ (rowᵢ · c − yᵢ)², by Householder reflections of the columns: as accurate as the
 * problem allows, where its normal equations would lose half of the digits.
 *
 * A column that the others before it already make up gets the coefficient 0.
 */
export function leastSquares(rows: readonly (readonly number[])[], y: readonly number[]): number[] {
  const columns = rows[0]?.length ?? 0;
  const a = rows.map((row, i) => [...row, y[i] as number]); // m (n + 1): y is reflected along
  const lengths = Array.from({ length: columns }, (_, j) => Math.hypot(...rows.map((row) => row[j] as number)));
  for (let j = 0; j < Math.min(columns, rows.length); j++) reflect(a, j);
  return backSubstitute(a, columns, lengths);
}

/** Makes column j zero below the diagonal. */
function reflect(a: number[][], j: number): void {
  const below = a.slice(j);
  const norm = Math.hypot(...below.map((row) => row[j] as number));
  if (norm === 0) return;
  const pivot = a[j]![j] as number;
  const v = below.map((row) => row[j] as number);
  v[0] = pivot + (pivot >= 0 ? norm : -norm);
  const half = v.reduce((sum, value) => sum + value * value, 0) / 2;
  for (let k = j; k < a[j]!.length; k++) {
    const factor = below.reduce((sum, row, i) => sum + (v[i] as number) * (row[k] as number), 0) / half;
    below.forEach((row, i) => { row[k] = (row[k] as number) - factor * (v[i] as number); });
  }
}

function backSubstitute(a: readonly (readonly number[])[], columns: number, lengths: readonly number[]): number[] {
  const c = new Array<number>(columns).fill(0);
  for (let j = Math.min(columns, a.length) - 1; j >= 0; j--) {
    const row = a[j]!;
    const diagonal = row[j] as number;
    if (!(Math.abs(diagonal) > 1e-13 * (lengths[j] as number))) continue; // made up by the columns before it
    const known = c.reduce((sum, value, k) => (k > j ? sum + value * (row[k] as number) : sum), 0);
    c[j] = ((row[columns] as number) - known) / diagonal;
  }
  return c;
}
