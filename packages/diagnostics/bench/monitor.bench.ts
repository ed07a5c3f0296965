/**
 * What `monitor()` costs in a training step of nanoGPT's CPU configuration: the same step without one, with the default one read in every step,
 * and with parts of it, taking turns. Milliseconds of processor time of all threads (other programs do not count), and of the clock.
 *
 *     node --conditions=@evenkeel/source packages/diagnostics/bench/monitor.bench.ts [wasm|webgpu] [rounds]
 */
import { dispose, keep, tensor2d, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { captureStep, unrecorded, useDevice, valueAndGrad, type CapturedStep, type Monitor, type Params, type Tree } from '@evenkeel/core-tensor';
import { monitor, type Watch } from '@evenkeel/diagnostics';
import { gpt, type GptParams } from '@evenkeel/models-gpt';
import { adamw, applyUpdates, chain, clipByGlobalNorm } from '@evenkeel/optimizers';
import { wasm } from '@evenkeel/wasm-kernels';
import { webgpu } from '@evenkeel/webgpu-kernels';

const WARM_UP = 5; // by then steps are captured, where they can be
const [name = 'wasm', rounds = '40'] = process.argv.slice(2);
const device = await useDevice(name as 'wasm' | 'webgpu', [name === 'webgpu' ? webgpu() : wasm({ threads: 1 })]);
process.stdout.write(`${device.name}: ${device.reason}\n`);

const model = gpt({ vocabSize: 65, contextLength: 64, depth: 4, dim: 128, numHeads: 4 });
const params = model.init({ seed: 1 });
const optimizer = chain(clipByGlobalNorm(1), adamw({ learningRate: 1e-3 }));
const state = optimizer.init(params);
const ids = (offset: number): Tensor2D => tensor2d(Array.from({ length: 12 }, (_, b) => Array.from({ length: 64 }, (__, t) => (7 * b + t * t + offset) % 65)), [12, 64], 'int32');
type Batch = { readonly inputs: Tensor2D; readonly targets: Tensor2D };
const batch: Batch = { inputs: ids(0), targets: ids(1) };

const NONE: Watch = { entropy: false, logits: false, outputLogits: false, activations: false, parameters: false };
const arms: Record<string, Monitor | undefined> = {
  'no monitor': undefined, 'monitor()': monitor(), 'attention only': monitor({ watch: { ...NONE, entropy: true, logits: true } }),
  'output only': monitor({ watch: { ...NONE, outputLogits: true } }), 'activations only': monitor({ watch: { ...NONE, activations: true } }),
  'parameters only': monitor({ watch: { ...NONE, parameters: true } }),
};

/** A step as `train` makes it: what the monitor gives is kept and returned with the loss. */
function stepWith(watching: Monitor | undefined): CapturedStep<Batch, never, Record<string, Tensor>> {
  return captureStep((given: Batch) => {
    const read: Record<string, Tensor> = {};
    const add = (made: () => Readonly<Record<string, Tensor>> | undefined): void => {
      for (const [key, tensor] of Object.entries(unrecorded(() => ({ ...made() })))) read[key] = keep(tensor);
    };
    const observe = watching && ((key: string, value: Tensor) => add(() => watching.observe(key, value)));
    const { value, grads } = valueAndGrad((p: Params & GptParams) => model.loss(given, p, { train: true, observe }), params);
    const updates = optimizer.update(grads as Tree<Tensor>, state, params);
    if (watching?.measure !== undefined) add(() => watching.measure!({ params, grads: grads as Tree<Tensor>, updates }));
    applyUpdates(params, updates);
    return { ...read, loss: value };
  });
}

const steps = Object.entries(arms).map(([arm, watching]) => ({ arm, step: stepWith(watching), cpu: [] as number[], clock: [] as number[] }));
for (let round = 0; round < WARM_UP + Number(rounds); round++) {
  for (const { step, cpu, clock } of steps) {
    const [start, usage] = [performance.now(), process.cpuUsage()];
    const read = step(batch);
    await Promise.all(Object.values(read).map((tensor) => tensor.data()));
    dispose(read);
    const { user, system } = process.cpuUsage(usage);
    if (round < WARM_UP) continue;
    cpu.push((user + system) / 1000);
    clock.push(performance.now() - start);
  }
}
const at = (values: readonly number[], share: number): number => [...values].sort((a, b) => a - b)[Math.floor(share * (values.length - 1))] as number;
for (const { arm, cpu, clock, step } of steps) {
  const of = (values: readonly number[], base: readonly number[]): string => `${at(values, 0.5).toFixed(1).padStart(7)} (p10 ${at(values, 0.1).toFixed(1)}, p90 ${at(values, 0.9).toFixed(1)}, ${(at(values, 0.5) / at(base, 0.5)).toFixed(3)}×)`;
  process.stdout.write(`  ${arm.padEnd(18)} processor ${of(cpu, steps[0]!.cpu)}   clock ${of(clock, steps[0]!.clock)}   ${step.status().state}\n`);
}
process.exit(0);
