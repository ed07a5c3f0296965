import { checkInteger, type Monitor } from '@evenkeel/core-tensor';
import { checkVisibleKeys, type VisibleKeys } from '../attentionEntropy.ts';
import { judge } from './judge.ts';
import { measureParameters, nameParameters, RMS } from './measureParameters.ts';
import { observeValue } from './observeValue.ts';
import { withDefaultThresholds, type Thresholds } from './thresholds.ts';
import { withDefaultWatch, type Watch } from './watch.ts';

export type MonitorOptions = {
  /** Steps from one reading to the next. Default 10. */
  readonly every?: number;
  readonly watch?: Watch;
  /** How many keys a query sees, by which entropies are divided. Default `causal`. */
  readonly visibleKeys?: VisibleKeys;
  /** When a finding is made. */
  readonly thresholds?: Partial<Thresholds>;
};

/**
 * monitor — watches a training run from within and says in plain words when it goes wrong, and in which layer.
 *
 *     train({ …, monitor: monitor({ every: 10 }), loss: (p, batch, context) => model.loss(batch, p, context) })
 *
 * It computes a few small tensors of values that the model tells of (see Watch), as part of the step, and finds: `lossSpike`, `divergence`,
 * `entropyCollapse`, `logitGrowth` (before it happens), `outputLogitDrift`, `vanishingUpdates`, `nonFinite`. What is found depends on the readings
 * alone, so a resumed run finds the same; what goes on is said once.
 *
 * @param options  see MonitorOptions.
 * @returns        a Monitor for `train`, or for any loop that calls it: it holds no tensors.
 * @throws ConfigError  if `every` is no positive integer, `watch` or `thresholds` have a name that is not known, or an option is of another kind.
 *
 * Source: Wortsman et al. 2023, arXiv:2309.14322 (logits, log-partition, eps); Zhai et al. 2023, arXiv:2303.06296 (entropy).
 */
export function monitor({ every = 10, watch = {}, visibleKeys = 'causal', thresholds = {} }: MonitorOptions = {}): Monitor {
  checkInteger('monitor', 'every', every);
  checkVisibleKeys('monitor', visibleKeys);
  const watched = withDefaultWatch(watch);
  const limits = withDefaultThresholds(thresholds);
  let paths: readonly string[] = [];
  return Object.freeze({
    every,
    observe: (name, value) => observeValue(name, value, watched, visibleKeys),
    ...(watched.parameters && {
      measure: (step) => {
        const measured = measureParameters(step);
        paths = measured.paths;
        return { [RMS]: measured.rms };
      },
    }),
    unpack: (values) => nameParameters(values, paths),
    judge: (reading, earlier) => judge(reading, earlier, limits),
  } satisfies Monitor);
}
