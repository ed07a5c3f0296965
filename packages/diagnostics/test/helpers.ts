/** gramEigenvalue64 — the largest eigenvalue of WᵀW or WWᵀ, whichever is smaller, by Jacobi rotations in float64. */
export function gramEigenvalue64(w: readonly number[], rows: number, columns: number): number {
  const n = Math.min(rows, columns);
  const at = (i: number, k: number): number => (rows <= columns ? w[i * columns + k]! : w[k * columns + i]!);
  const length = Math.max(rows, columns);
  const g = Array.from({ length: n }, (_, i) => Array.from({ length: n }, (__, j) => Array.from({ length }, (___, k) => at(i, k) * at(j, k)).reduce((a, b) => a + b)));
  for (let sweep = 0; sweep < 30; sweep++) {
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(g, p, q);
  }
  return Math.max(...g.map((row, i) => row[i]!));
}

/** Makes g[p][q] zero. */
function rotate(g: number[][], p: number, q: number): void {
  if (Math.abs(g[p]![q]!) < 1e-300) return;
  const theta = 0.5 * Math.atan2(2 * g[p]![q]!, g[q]![q]! - g[p]![p]!);
  const [c, s] = [Math.cos(theta), Math.sin(theta)];
  for (const row of g) [row[p], row[q]] = [c * row[p]! - s * row[q]!, s * row[p]! + c * row[q]!];
  const [top, bottom] = [g[p]!.slice(), g[q]!.slice()];
  g[p]!.forEach((_, k) => {
    g[p]![k] = c * top[k]! - s * bottom[k]!;
    g[q]![k] = s * top[k]! + c * bottom[k]!;
  });
}
