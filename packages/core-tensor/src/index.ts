import './registerGradients.ts';

export { ConfigError, ShapeError, UnsupportedError } from './errors.ts';
export {
  checkBoolean, checkDivisible, checkDtype, checkFunction, checkInteger, checkLastDim, checkMinRank, checkNames, checkOneOf, checkPositive, checkProbability,
  checkRange, checkRank, checkShape, describeShape, describeValue,
} from './check.ts';
export { treeEntries, treeFromEntries, treeLeaves, treeMap, treeMap2, treePaths, type Tree } from './tree.ts';
export { foldSeed, randomBits, seedKey, threefry2x32, type Seed } from './seed.ts';
export { normalValues, randomNormal, randomUniform, truncatedNormalValues, uniformValues } from './random.ts';
export type { ParamRole, ParamSpec } from './paramSpec.ts';
export { normal, ones, scaledResidual, truncatedNormal, xavier, zeros, type Initialiser } from './initialisers.ts';
export { initParams, param, stateVariable, type Params } from './param.ts';
export { valueAndGrad, vjp, type ValueAndGradOptions } from './valueAndGrad.ts';
export { fusedOp, hasKernel, runKernel, type FusedGradient, type FusedInputs, type FusedOpSpec, type GradientContext } from './fusedOp.ts';
export { hasListKernel, runListKernel, unshare, type TensorLists } from './listKernel.ts';
export { einsum } from './einsum.ts';
export { splitHeads } from './splitHeads.ts';
export { rematerialise } from './rematerialise.ts';
export { gpuProgram, memoised, UNIFORM_BYTES, type GpuBinding, type GpuElement, type GpuFeature, type GpuProgram, type GpuProgramSpec, type GpuScalar } from './gpu/program.ts';
export { GPU_BACKEND, registerGpuKernels, type GpuBackend, type GpuChoice, type GpuDispatch, type GpuKernel, type GpuKernelCall, type GpuPrecision } from './gpu/backend.ts';
export { canCapture, captureStep, type CapturedStep, type StepCaptureCore, type StepNumbers, type StepStatus } from './captureStep.ts';
export { kernelTuning, type KernelChoices, type KernelTuning, type TunedClass, type TuneOptions } from './kernelTuning.ts';
export { stepScalar } from './stepScalar.ts';
export { toHalf } from './gpu/toHalf.ts';
export { dropThreshold, WGSL_THREEFRY } from './gpu/threefry.ts';
export { currentNumber, derived, everyStep, ifFinite, perStep, recordStep, StepNumber, type StepRecorder } from './step.ts';
export { tfjsBackend, useDevice, type Device, type DeviceKind, type DeviceProbe, type DeviceProvider } from './device.ts';
export type { GradientMethod, GradientTransform, OptimizerState, Schedule } from './gradientTransform.ts';
export type {
  ApplyOptions, AttentionCallOptions, AttentionFn, Layer, LayerPlace, LayerState, LinearEpilogue, LinearFactory, LinearLayer, MlpFactory, NormFactory,
  Observe, PackedAttentionFn, PackedAttentionSizes, VarlenAttentionFn,
} from './techniques.ts';
export { unrecorded } from './unrecorded.ts';
export { partOptions } from './partOptions.ts';
export type { Finding, Monitor, Reading } from './monitor.ts';
