import type { WebGPUProgram } from '@tensorflow/tfjs-backend-webgpu';

/** The dtype of the first input as it is stored: a cast from int32 to float32 leaves the integers in place. */
type StoredDtype = () => string | undefined;
type Repair = { readonly isFor: (program: WebGPUProgram, storedDtype: StoredDtype) => boolean; readonly apply: (program: WebGPUProgram) => void };

/**
 * What is wrong in the programs of tfjs-backend-webgpu 4.22, and how each is put right. Programs are known by their key: class
 * names do not survive bundling. They are made anew for every call, so they are changed in place.
 */
const REPAIRS: readonly Repair[] = [
  {
    // The length of the axis stands in the shader and not in its key: the second length runs the first one's shader.
    isFor: ({ shaderKey }) => /^cum_.*_true$/.test(shaderKey),
    apply: (program) => {
      program.shaderKey += `_${program.outputShape[program.outputShape.length - 1]}`;
    },
  },
  {
    // An id beyond the last segment is taken modulo their number; it should be dropped, as a negative one is. And the sum of
    // integers adds up the bits of their float32 forms.
    isFor: ({ shaderKey }) => shaderKey === 'unsortedSegmentSum',
    apply: (program) => replaceCode(program, (code) => code
      .replace('segmentId >= 0', 'segmentId >= 0 && segmentId < uniforms.numSegments').replace('bitcast<i32>(value)', 'i32(value)')),
  },
  {
    // Integers and Booleans: one form of the program does not compile, the other carries them as float32.
    isFor: ({ shaderKey }, storedDtype) => /^transpose(_|Shared$)/.test(shaderKey) && storedDtype() !== 'float32',
    apply: (program) => {
      program.shaderKey += '_i32';
      replaceCode(program, (code) => code.replace('array<array<f32', 'array<array<i32').replace('f32(A[', 'i32(A[').replace('setOutputAtIndex(', 'setOutputAtIndexI32('));
    },
  },
];

/** repairProgram — changes a program that is known to be wrong, before it is compiled. */
export function repairProgram(program: WebGPUProgram, storedDtype: StoredDtype): void {
  for (const { isFor, apply } of REPAIRS) {
    if (isFor(program, storedDtype)) apply(program);
  }
}

function replaceCode(program: WebGPUProgram, change: (code: string) => string): void {
  const code = change(program.getUserCode());
  program.getUserCode = () => code;
}
