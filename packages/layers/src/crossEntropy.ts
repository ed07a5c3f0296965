import { checkDtype, checkMinRank, checkRange, checkShape, ConfigError, fusedOp, runKernel } from '@evenkeel/core-tensor';
import { div, maximum, reshape, sum, tidy, type Scalar, type Tensor } from '@tensorflow/tfjs-core';
import { countedTargets, referenceCrossEntropy, type CrossEntropyAttrs } from './reference/crossEntropy.ts';

export type CrossEntropyOptions = {
  /** Targets of this value are left out; default −100, as in PyTorch. */
  ignoreIndex?: number;
  /** Share ε of the target probability spread evenly over all classes, in [0, 1]; default 0. */
  labelSmoothing?: number;
  /** Factor of lse², which keeps logits from drifting; default 0. */
  zLoss?: number;
};

const fusedCrossEntropy = fusedOp<{ logits: Tensor; targets: Tensor }, CrossEntropyAttrs, Tensor[]>({
  name: 'evenkeel/crossEntropy',
  reference: referenceCrossEntropy,
  gradient: {
    kernels: ['evenkeel/crossEntropyGrad'],
    saveOutputs: [1],
    run: ({ dy, inputs: { logits, targets }, outputs: [lse], attrs }) => ({
      logits: () => runKernel('evenkeel/crossEntropyGrad', { logits, targets, lse, dy }, attrs), // n v
    }),
  },
  differentiable: 'once',
});

/**
 * crossEntropyPerToken — the negative log-likelihood of each target, in nats.
 *
 *     loss = (1 − ε)·(lse − x_target) + ε·(lse − mean(x)) + zLoss·lse²        lse = log Σ exp(x)
 *
 * @param logits   `... v` — float32 scores x, one row per target.
 * @param targets  `...` — int32 in [0, v), or `ignoreIndex`.
 * @param options  `ignoreIndex` (default −100); `labelSmoothing` ε (default 0); `zLoss` (default 0).
 * @returns        `...` — losses, 0 where the target is ignored; owned by the caller.
 * @throws ShapeError   if shapes or dtypes do not fit.
 * @throws ConfigError  if an option is out of range, or a target is no class (where the backend cannot see that: NaN).
 *
 * Source: label smoothing from Szegedy et al. 2015, arXiv:1512.00567, §7; z-loss from Chowdhery et al. 2022, arXiv:2204.02311, §5.
 */
export function crossEntropyPerToken(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const attrs = checkedAttrs('crossEntropyPerToken', logits, targets, options);
  return tidy('crossEntropyPerToken', () => lossPerToken(logits, targets, attrs));
}

/**
 * crossEntropy — the mean of `crossEntropyPerToken` over the targets that count, in nats; 0 if none counts.
 *
 * @param logits   `... v`, @param targets  `...`, @param options  as for `crossEntropyPerToken`.
 * @returns        one number, owned by the caller.
 * @throws ShapeError, ConfigError  as `crossEntropyPerToken`.
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Scalar {
  const attrs = checkedAttrs('crossEntropy', logits, targets, options);
  return tidy('crossEntropy', () => {
    const count = maximum(sum(countedTargets(targets, attrs.ignoreIndex)), 1);
    return div(sum(lossPerToken(logits, targets, attrs)), count);
  });
}

function lossPerToken(logits: Tensor, targets: Tensor, attrs: CrossEntropyAttrs): Tensor {
  const rows = reshape(logits, [targets.size, logits.shape[logits.shape.length - 1] as number]); // n v
  const [loss] = fusedCrossEntropy({ logits: rows, targets: reshape(targets, [targets.size]) }, attrs); // n
  return reshape(loss as Tensor, targets.shape);
}

function checkedAttrs(
  fn: string, logits: Tensor, targets: Tensor, { ignoreIndex = -100, labelSmoothing = 0, zLoss = 0 }: CrossEntropyOptions,
): CrossEntropyAttrs {
  checkDtype(fn, 'logits', logits, 'float32');
  checkMinRank(fn, 'logits', logits, 1);
  checkDtype(fn, 'targets', targets, 'int32');
  checkShape(fn, 'targets', targets, logits.shape.slice(0, -1));
  if ((ignoreIndex | 0) !== ignoreIndex) throw new ConfigError(`${fn}: ignoreIndex must be an integer of 32 bits, got ${String(ignoreIndex)}`);
  checkRange(fn, 'labelSmoothing', labelSmoothing, 0, 1);
  checkRange(fn, 'zLoss', zLoss, 0, Number.MAX_VALUE);
  return { ignoreIndex, labelSmoothing, zLoss };
}
