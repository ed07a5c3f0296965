/** RowPlan — how a workgroup goes through a row: `units` numbers, or vec4fs where `wide`, with `threads` invocations side by side. */
export type RowPlan = { readonly wide: boolean; readonly units: number; readonly threads: number };

/** rowPlan — vec4fs wherever rows begin on their bounds; more threads for longer rows. */
export function rowPlan(channels: number): RowPlan {
  const wide = channels % 4 === 0;
  const units = wide ? channels / 4 : channels;
  return { wide, units, threads: units <= 128 ? 64 : units <= 512 ? 128 : 256 };
}

/** elementOf — WGSL's type of a unit. */
export const elementOf = (wide: boolean): 'vec4f' | 'f32' => (wide ? 'vec4f' : 'f32');

/** lanes — for `declarations`: the sum of the numbers of a unit. */
export const lanes = (wide: boolean): string => `fn lanes(v: ${elementOf(wide)}) -> f32 { return ${wide ? 'dot(v, vec4f(1.0))' : 'v'}; }`;
