export type NelderMeadOptions = {
  /** Length of the first simplex' edges. Default 0.5. */
  readonly step?: number;
  /** Ends when the simplex is that small in every direction. Default 1e-10. */
  readonly tolerance?: number;
  readonly maxIterations?: number;
};

type Vertex = { readonly x: readonly number[]; readonly value: number };

/**
 * nelderMead — a local minimum of a function of a few numbers, without its derivatives. NaN counts as infinitely bad.
 *
 * Source: Nelder & Mead 1965, doi:10.1093/comjnl/7.4.308; coefficients 1, 2, ½, ½.
 */
export function nelderMead(f: (x: readonly number[]) => number, start: readonly number[], { step = 0.5, tolerance = 1e-10, maxIterations = 600 }: NelderMeadOptions = {}): Vertex {
  const at = (x: readonly number[]): Vertex => {
    const value = f(x);
    return { x, value: Number.isNaN(value) ? Infinity : value };
  };
  let simplex = [start, ...start.map((_, i) => start.map((value, k) => (k === i ? value + step : value)))].map(at).sort(byValue);
  for (let i = 0; i < maxIterations && spread(simplex) > tolerance; i++) simplex = improved(simplex, at).sort(byValue);
  return simplex[0] as Vertex;
}

const byValue = (a: Vertex, b: Vertex): number => (a.value === b.value ? 0 : a.value - b.value); // Infinity − Infinity would be NaN

const spread = (simplex: readonly Vertex[]): number =>
  Math.max(...simplex.map(({ x }) => Math.max(...x.map((value, k) => Math.abs(value - (simplex[0]!.x[k] as number))))));

function improved(simplex: readonly Vertex[], at: (x: readonly number[]) => Vertex): Vertex[] {
  const [best, worst] = [simplex[0] as Vertex, simplex.at(-1) as Vertex];
  const others = simplex.slice(0, -1);
  const centre = best.x.map((_, k) => others.reduce((sum, { x }) => sum + (x[k] as number), 0) / others.length);
  const along = (factor: number): Vertex => at(centre.map((value, k) => value + factor * (value - (worst.x[k] as number))));
  const reflected = along(1);
  if (reflected.value < best.value) {
    const expanded = along(2);
    return [...others, expanded.value < reflected.value ? expanded : reflected];
  }
  if (reflected.value < (others.at(-1) as Vertex).value) return [...others, reflected];
  const contracted = along(reflected.value < worst.value ? 0.5 : -0.5);
  if (contracted.value < Math.min(reflected.value, worst.value)) return [...others, contracted];
  return [best, ...simplex.slice(1).map(({ x }) => at(x.map((value, k) => (value + (best.x[k] as number)) / 2)))];
}
