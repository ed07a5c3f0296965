import { dispose, tensor2d, type Tensor2D } from '@tensorflow/tfjs-core';
import { captureStep, foldSeed, uniformValues, UnsupportedError, valueAndGrad, type Device, type Params, type StepNumber, type Tree } from '@evenkeel/core-tensor';
import { gpt, type Gpt, type GptParams } from '@evenkeel/models-gpt';
import { applyUpdates } from '@evenkeel/optimizers';
import { announceDevice, openDevice, peakMemory, type DeviceName, type Precision } from '../devices.ts';
import { formatBytes, formatCount } from '../format.ts';
import { kernelClock, type KernelClock, type KernelTime } from '../kernelClock.ts';
import { optimizerFor } from '../optimizer.ts';
import type { Io } from '../output.ts';
import { parameterCount, round, spreadOf, type Spread } from '../statistics.ts';
import { PLAIN } from '../techniques.ts';

export type BenchGptStepOptions = { readonly device: DeviceName; readonly steps: number; readonly threads?: number; readonly profile?: boolean; readonly precision?: Precision };

export type BenchGptStepResult = {
  readonly command: 'bench gpt-step';
  readonly device: string;
  readonly msPerStep: Spread;
  readonly steps: number;
  readonly tokensPerSecond: number;
  readonly peakBytes: number;
  /** With `--profile`: what a step spends in each kernel. */
  readonly kernels?: readonly KernelTime[];
};

/** NANO_GPT — the configuration of nanoGPT's published CPU run: 4 layers, width 128, 4 heads, context 64, batch 12. */
export const NANO_GPT = { vocabSize: 65, contextLength: 64, depth: 4, dim: 128, numHeads: 4, batchSize: 12 } as const;

/** Kernels are compiled, buffers allocated and the engine's optimiser has settled after this many steps. */
const WARM_UP = 10;

/** benchGptStep — time of one training step: forward, backward, clipping and AdamW, the loss awaited every time. */
export async function benchGptStep({ device: name, steps, threads, profile = false, precision = 'f32' }: BenchGptStepOptions, io: Io): Promise<BenchGptStepResult> {
  const device = await openDevice(name, { threads, fineTimestamps: profile, precision });
  announceDevice(device, name, io.line);
  const clock = profile ? kernelClock(device) : undefined;
  const model = gpt(NANO_GPT);
  const params = model.init({ seed: 1 });
  const memory = peakMemory();
  try {
    const times = await timeSteps(model, params, steps, clock);
    const kernels = await clock?.perStep(steps);
    const result = { ...resultOf(device, times, memory.peakBytes()), ...(kernels === undefined ? {} : { kernels }) };
    print(result, parameterCount(params), io);
    if (clock !== undefined && kernels !== undefined) printKernels(kernels, clock.rest, mean(times), io);
    return result;
  } finally {
    dispose(params as never);
  }
}

async function timeSteps(model: Gpt, params: Params & GptParams, steps: number, clock: KernelClock | undefined): Promise<number[]> {
  const settings = { ...PLAIN, steps: WARM_UP + steps, learningRate: 1e-3, warmup: 0, schedule: 'constant', weightDecay: 0.1, clip: 1 } as const;
  const { optimizer } = optimizerFor(settings, model.specs);
  const state = optimizer.init(params);
  const step = captureStep((inputs: Batch, { seed }: { seed: number | StepNumber }) => {
    const { value, grads } = valueAndGrad((p: Params & GptParams) => model.loss(inputs, p, { train: true, seed }), params);
    applyUpdates(params, optimizer.update(grads as Tree<Tensor2D>, state, params));
    return value;
  });
  const batch = randomBatch();
  const times: number[] = [];
  const losses: number[] = [];
  try {
    for (let i = 0; i < WARM_UP + steps; i++) {
      if (i === WARM_UP) clock?.start();
      const start = performance.now();
      const loss = step(batch, { seed: i });
      losses.push((await loss.data())[0] as number);
      loss.dispose();
      if (i >= WARM_UP) times.push(performance.now() - start);
    }
  } finally {
    step.dispose();
    dispose([state as never, batch]);
  }
  checkLearning(losses);
  return times;
}

/** A fast step that does not learn is worth nothing: one batch, seen again and again, must lose its surprise. */
function checkLearning(losses: readonly number[]): void {
  const [first, last] = [losses[0] as number, losses.at(-1) as number];
  if (!(last < first)) throw new UnsupportedError(`bench gpt-step: the loss must fall on this device, got ${first} at first and ${last} at last`);
}

type Batch = { inputs: Tensor2D; targets: Tensor2D };

function randomBatch(): Batch {
  const { batchSize, contextLength, vocabSize } = NANO_GPT;
  const ids = (part: string): Tensor2D => {
    const values = uniformValues(batchSize * contextLength, foldSeed(1, part), 0, vocabSize);
    return tensor2d(Int32Array.from(values), [batchSize, contextLength], 'int32');
  };
  return { inputs: ids('inputs'), targets: ids('targets') };
}

function resultOf({ name }: Device, times: readonly number[], peakBytes: number): BenchGptStepResult {
  const msPerStep = spreadOf(times);
  const tokensPerSecond = round((1000 * NANO_GPT.batchSize * NANO_GPT.contextLength) / msPerStep.median, 1);
  return { command: 'bench gpt-step', device: name, msPerStep, steps: times.length, tokensPerSecond, peakBytes };
}

function print({ msPerStep, steps, tokensPerSecond, peakBytes }: BenchGptStepResult, count: number, io: Io): void {
  const { depth, dim, numHeads, contextLength, batchSize, vocabSize } = NANO_GPT;
  io.line(`GPT of ${formatCount(count)} parameters: depth ${depth}, dim ${dim}, heads ${numHeads}, context ${contextLength},`);
  io.line(`batch ${batchSize}, vocabulary ${vocabSize}; forward, backward, clipping, AdamW`);
  io.line(`median ${msPerStep.median.toFixed(1)} ms per step (p10 ${msPerStep.p10.toFixed(1)}, p90 ${msPerStep.p90.toFixed(1)}) over ${steps} steps`);
  io.line(`${formatCount(tokensPerSecond)} tokens/s, ${formatBytes(peakBytes)} at most`);
}

/** The kernels' shares of a mean step, and as the last line what is left. */
function printKernels(kernels: readonly KernelTime[], rest: string, msPerStep: number, io: Io): void {
  const width = Math.min(48, Math.max(18, ...kernels.map(({ name }) => name.length)));
  const line = (name: string, ms: number, calls = ''): void =>
    io.line(`  ${name.slice(0, width).padEnd(width)} ${ms.toFixed(2).padStart(8)} ms ${((100 * ms) / msPerStep).toFixed(1).padStart(6)} % ${calls.padStart(6)}`);
  io.line(`Per step, of ${msPerStep.toFixed(1)} ms (mean, measured with the profile on), with the calls:`);
  for (const { name, ms, calls } of kernels) line(name, ms, String(calls));
  line(rest, Math.max(0, msPerStep - kernels.reduce((sum, { ms }) => sum + ms, 0)));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
