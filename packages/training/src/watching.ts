// eslint-disable-next-line no-restricted-imports -- what a monitor computes within a step is read after it
import { dispose, keep, type Tensor, type TensorContainer } from '@tensorflow/tfjs-core';
import { ConfigError, unrecorded, type Monitor, type Observe, type Reading } from '@evenkeel/core-tensor';

type StepTensors = Parameters<NonNullable<Monitor['measure']>>[0];

/** Watched — what a monitor computed in one step, by name; its tensors outlive the step's scopes and are the caller's. */
export type Watched = {
  readonly observe: Observe;
  measure(step: StepTensors): void;
  readonly tensors: Readonly<Record<string, Tensor>>;
};

/** watched — gathers what `monitor` computes in one step. What is told twice, as in a block that is computed again, counts once. */
export function watched(monitor: Monitor): Watched {
  const tensors: Record<string, Tensor> = {};
  const seen = new Set<string>();
  const add = (made: () => Readonly<Record<string, Tensor>> | undefined): void => {
    for (const [name, tensor] of Object.entries(unrecorded(() => ({ ...made() })))) {
      if (name in tensors) throw new ConfigError(`train: monitor must give each value a name of its own, got ${name} twice`);
      tensors[name] = keep(tensor);
    }
  };
  return {
    observe: (name, value) => {
      if (seen.has(name)) return;
      seen.add(name);
      add(() => monitor.observe(name, value));
    },
    measure: (step) => add(() => monitor.measure?.(step)),
    tensors,
  };
}

/** readValues — the numbers of what a monitor computed, by name. */
export async function readValues(monitor: Monitor, tensors: Readonly<Record<string, Tensor>>): Promise<Reading['values']> {
  const read = await Promise.all(Object.entries(tensors).map(async ([name, tensor]) => [name, Array.from(await tensor.data<'float32'>())] as const));
  const values = Object.fromEntries(read);
  return monitor.unpack?.(values) ?? values;
}

/** freeWatched — frees them. */
export const freeWatched = (tensors: Readonly<Record<string, Tensor>>): void => dispose(tensors as TensorContainer);

/** isDue — whether a monitor's values of the step after `step` others are read. */
export const isReadingDue = ({ every }: Monitor, step: number): boolean => step === 0 || (step + 1) % every === 0;
