import { dispose, type Tensor, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { treeEntries, type Finding, type Monitor, type Reading, type Tree } from '@evenkeel/core-tensor';
import { NonFiniteError } from './nonFiniteError.ts';
import { stepGradient, type GradientOptions } from './stepGradient.ts';
import { freeWatched, readValues, watched } from './watching.ts';

const MAX_FINDINGS = 4;

/** MonitorFindings — what a monitor says of the reading of one step. */
export type MonitorFindings = { readonly step: number; readonly findings: readonly Finding[] };

type Failing<P extends Tree<Variable>, B> = GradientOptions<P, B> & { monitor?: Monitor; findingsAbout?: (reading: Reading) => MonitorFindings | undefined };

/**
 * explainFailure — what was wrong with a step, found by computing its gradient once more: the first parameter or gradient that is not
 * finite, and what the monitor says of the values that it observes meanwhile, or else said last.
 */
export async function explainFailure<P extends Tree<Variable>, B>(
  given: Failing<P, B>, batch: B, at: { step: number; seed: number }, { loss, gradNorm }: Pick<Reading, 'loss' | 'gradNorm'>,
): Promise<NonFiniteError> {
  const watch = given.monitor && watched(given.monitor);
  let computed: TensorContainer = [];
  try {
    const { value, grads } = stepGradient(given, batch, at, watch);
    computed = [value, grads as TensorContainer];
    const step = at.step + 1;
    const found = given.findingsAbout?.({ step, loss, gradNorm, values: given.monitor === undefined ? {} : await readValues(given.monitor, watch?.tensors ?? {}) });
    return await (Number.isFinite(loss) ? explain('gradient norm', gradNorm, step, given.params, grads, found) : explain('loss', loss, step, given.params, grads, found));
  } finally {
    dispose(computed);
    freeWatched(watch?.tensors ?? {});
  }
}

async function explain(
  quantity: 'loss' | 'gradient norm', value: number, step: number, params: Tree<Variable>, grads: Tree<Tensor>, found: MonitorFindings | undefined,
): Promise<NonFiniteError> {
  const param = await firstNonFinite(params);
  const path = param ?? await firstNonFinite(grads);
  const where = param !== undefined ? `Parameter ${param} is the first that is not finite.`
    : path !== undefined ? `All parameters are finite; the gradient of ${path} is the first that is not.`
      : 'All parameters and gradients are finite.';
  const help = 'A smaller learning rate, a longer warm-up or clipping usually helps.';
  const message = `train: ${quantity} must be finite, got ${value} in step ${step}. ${where} ${help}${sayFound(found, step)}`;
  return new NonFiniteError(message, { step, quantity, value, path, findings: found?.findings });
}

/** A monitor's findings as sentences; of many the first ones. */
function sayFound(found: MonitorFindings | undefined, step: number): string {
  if (found === undefined) return '';
  const said = found.findings.slice(0, MAX_FINDINGS).map(({ message }) => (/[.!?]$/.test(message) ? message : `${message}.`));
  const more = found.findings.length - said.length;
  return ` ${found.step === step ? 'The monitor finds in this step' : `The monitor last found, at step ${found.step}`}: ${said.join(' ')}${more > 0 ? ` And ${more} more.` : ''}`;
}

/** firstNonFinite — the path of the first leaf with a NaN or an infinity in it; reads leaf after leaf, for use after a failure. */
async function firstNonFinite(tree: Tree<Tensor>): Promise<string | undefined> {
  for (const [path, leaf] of treeEntries<Tensor>(tree)) {
    if (!(await leaf.data<'float32'>()).every(Number.isFinite)) return path;
  }
  return undefined;
}
