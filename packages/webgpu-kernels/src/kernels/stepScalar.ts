import { gpuProgram, type GpuKernel, type StepNumber } from '@evenkeel/core-tensor';

/** `evenkeel/stepScalar`: attrs `value` → the number as a scalar; of a captured step, that of each run. */
export const stepScalarKernels: readonly GpuKernel[] = [{
  name: 'evenkeel/stepScalar',
  run: ({ attrs, backend }) => {
    const y = backend.allocate([]);
    backend.dispatch(program, { tensors: { y }, uniforms: { value: attrs['value'] as number | StepNumber }, groups: [1] });
    return y;
  },
}];

const program = gpuProgram({ name: 'stepScalar', bindings: { y: 'write f32' }, uniforms: { value: 'f32' }, workgroupSize: 1, main: 'y[0] = u.value;' });
