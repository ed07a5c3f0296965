import { ConfigError } from '../errors.ts';

/** GpuScalar — the types of uniforms. */
export type GpuScalar = 'f32' | 'i32' | 'u32';

/** GpuElement — what one element of a bound tensor is to the shader: int32 and bool tensors are `i32`. */
export type GpuElement = GpuScalar | 'vec2f' | 'vec4f' | 'vec2i' | 'vec4i' | 'f16' | 'vec4h';

/** GpuBinding — how a shader uses a tensor: `read`, or `write` (which may read as well). */
export type GpuBinding = `${'read' | 'write'} ${GpuElement}`;

export type GpuFeature = 'f16' | 'subgroups';

/**
 * GpuProgramSpec — a compute shader in parts.
 *
 * `main` is the body of the entry point. It sees each binding as an array of its name, each uniform as `u.name`, and
 * `group`, `groups`, `local`, `global` (vec3u: workgroup_id, num_workgroups, local_invocation_id, global_invocation_id),
 * `localIndex` (u32), `groupIndex` (u32: the number of the workgroup when all three axes are counted through) and `index`
 * (u32: the number of the invocation, `groupIndex` · size of a workgroup + `localIndex`). With `subgroups` also
 * `laneIndex` and `laneCount` (u32: subgroup_invocation_id, subgroup_size).
 */
export type GpuProgramSpec = {
  /** Names the shader in errors and profiles, such as `layerNorm`. */
  readonly name: string;
  /** Every tensor by its name in the shader, in the order of binding. */
  readonly bindings: Readonly<Record<string, GpuBinding>>;
  readonly uniforms?: Readonly<Record<string, GpuScalar>>;
  /** Invocations of a workgroup along x, or along x, y, z. */
  readonly workgroupSize: number | readonly [x: number, y: number, z?: number];
  /** Device features that the text needs: see `GpuBackend.features`. */
  readonly enable?: readonly GpuFeature[];
  /** Functions, constants and `var<workgroup>`s before `main`. */
  readonly declarations?: string;
  readonly main: string;
};

/** GpuProgram — a shader as text, with what a backend must know to bind and launch it. */
export type GpuProgram = {
  readonly name: string;
  readonly code: string;
  readonly bindings: readonly { readonly name: string; readonly access: 'read' | 'write'; readonly element: GpuElement }[];
  readonly uniforms: readonly { readonly name: string; readonly type: GpuScalar }[];
  readonly enable: readonly GpuFeature[];
};

/** Bytes of uniforms that one launch may have: what every device allows as the distance between two. */
export const UNIFORM_BYTES = 256;

/**
 * gpuProgram — the WGSL text of a compute shader.
 *
 * Whatever differs between two programs differs in the text, and pipelines are kept by text: nothing can be forgotten in a
 * key. Building the text takes longer than a launch, so make each program once (`memoised`).
 *
 * @throws ConfigError  if there are more uniforms than fit, or a binding is not an access and an element.
 */
export function gpuProgram({ name, bindings, uniforms = {}, workgroupSize, enable = [], declarations = '', main }: GpuProgramSpec): GpuProgram {
  const [x, y = 1, z = 1] = typeof workgroupSize === 'number' ? [workgroupSize] : workgroupSize;
  const fields = Object.entries(uniforms).map(([field, type]) => ({ name: field, type }));
  if (4 * fields.length > UNIFORM_BYTES) throw new ConfigError(`gpuProgram: uniforms of ${name} must be at most ${UNIFORM_BYTES / 4}, got ${fields.length}`);
  const arrays = Object.entries(bindings).map(([binding, use], i) => {
    const [access, element] = use.split(' ') as ['read' | 'write', GpuElement];
    if (!/^(read|write) (f32|i32|u32|f16|vec[24][fi]|vec4h)$/.test(use)) throw new ConfigError(`gpuProgram: bindings.${binding} of ${name} must be an access and an element such as 'read f32', got ${JSON.stringify(use)}`);
    return { name: binding, access, element, text: `@group(0) @binding(${i}) var<storage, ${access === 'read' ? 'read' : 'read_write'}> ${binding}: array<${element}>;` };
  });
  const code = [
    `// ${name}`,
    ...enable.map((feature) => `enable ${feature};`),
    ...arrays.map(({ text }) => text),
    ...(fields.length === 0 ? [] : [`struct Uniforms { ${fields.map((field) => `${field.name}: ${field.type}`).join(', ')} }`, `@group(0) @binding(${arrays.length}) var<uniform> u: Uniforms;`]),
    declarations,
    `@compute @workgroup_size(${x}, ${y}, ${z})`,
    'fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u,',
    '  @builtin(global_invocation_id) global: vec3u, @builtin(local_invocation_index) localIndex: u32',
    ...(enable.includes('subgroups') ? ['  , @builtin(subgroup_invocation_id) laneIndex: u32, @builtin(subgroup_size) laneCount: u32'] : []),
    ') {',
    '  let groupIndex = group.x + groups.x * (group.y + groups.y * group.z);',
    `  let index = groupIndex * ${x * y * z}u + localIndex;`,
    main,
    '}',
  ].join('\n');
  return Object.freeze({ name, code, bindings: arrays.map(({ name: binding, access, element }) => ({ name: binding, access, element })), uniforms: fields, enable });
}

type Argument = string | number | boolean;
/** Results by the arguments from the first on. */
type Branch<R> = { readonly next: Map<Argument, Branch<R>>; result?: R };

/** memoised — `make`, whose results are kept by its arguments: for programs that depend on tile sizes and flags. */
export function memoised<A extends readonly Argument[], R>(make: (...args: A) => R): (...args: A) => R {
  const root: Branch<R> = { next: new Map() };
  return (...args) => {
    let at = root;
    for (const arg of args) { // at every launch: building a key would take longer
      let branch = at.next.get(arg);
      if (branch === undefined) at.next.set(arg, branch = { next: new Map() });
      at = branch;
    }
    return at.result ??= make(...args);
  };
}
