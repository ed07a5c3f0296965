import { gpuProgram, memoised } from '@evenkeel/core-tensor';

/** gateProgram — the launch sizes of what stands behind a gate: the first half of `counts` if all `count` scalars are finite, else the second. */
export const gateProgram = memoised((count: number) => gpuProgram({
  name: 'gate',
  bindings: { ...Object.fromEntries(Array.from({ length: count }, (_, i) => [`value${i}`, 'read f32'] as const)), counts: 'read u32', sizes: 'write u32' },
  workgroupSize: 64,
  main: /* wgsl */ `
    var isFinite = true;
    ${Array.from({ length: count }, (_, i) => `isFinite = isFinite && (bitcast<u32>(value${i}[0]) & 0x7f800000u) != 0x7f800000u;`).join('\n    ')}
    if (index < arrayLength(&sizes)) { sizes[index] = select(counts[arrayLength(&sizes) + index], counts[index], isFinite); }`,
}));

/** copyProgram — the values of one tensor into another. */
export const copyProgram = gpuProgram({
  name: 'copy', bindings: { source: 'read u32', result: 'write u32' }, uniforms: { count: 'u32' }, workgroupSize: 256,
  main: 'if (index < u.count) { result[index] = source[index]; }',
});
