/** Parts for blocks whose inner values a test wants to see. */
import type { LinearFactory, MlpFactory, NormFactory, Observe, Tree } from '@evenkeel/core-tensor';
import { linearLayer, type LinearLayerOptions } from '@evenkeel/layers';
import { clone, keep, relu, tidy, type Tensor } from '@tensorflow/tfjs-core';

/** listener — hears everything that is observed, and keeps it. */
export function listener(): { heard: Record<string, Tensor>; names: string[]; observe: Observe } {
  const [heard, names]: [Record<string, Tensor>, string[]] = [{}, []];
  return { heard, names, observe: (name, value) => { names.push(name); heard[name] = keep(clone(value)); } };
}

/** capturingLinear — `linearLayer(options)`, which keeps what it is given under the names of its axes: `qkv dim`, `dim heads`, `hidden dim`, `dim hidden`. */
export function capturingLinear(options?: LinearLayerOptions): { linear: LinearFactory; seen: Record<string, Tensor> } {
  const seen: Record<string, Tensor> = {};
  return {
    seen,
    linear: (inDim, outDim, place) => {
      const { applyWith: _, ...layer } = linearLayer(options)(inDim, outDim, place);
      return {
        ...layer,
        apply: (x, params) => {
          const name = `${place?.outAxis} ${place?.inAxis}`;
          seen[name]?.dispose();
          seen[name] = keep(clone(x));
          return layer.apply(x, params);
        },
      };
    },
  };
}

/** capturingNorm — the norm, which keeps what it gives, call by call; it cannot add to the stream. */
export function capturingNorm(norm: NormFactory): { norm: NormFactory; given: Tensor[] } {
  const given: Tensor[] = [];
  return {
    given,
    norm: (dim, place) => {
      const { applyToSum: _, ...layer } = norm(dim, place);
      return { ...layer, apply: (x, params) => { const y = layer.apply(x, params); given.push(keep(clone(y))); return y; } };
    },
  };
}

/** reluMlp — down(relu(up(x))): what an MLP has to be for c · x to give c times as much. */
export const reluMlp: MlpFactory = (dim, linear, place = {}) => {
  const { residualDepth: _, ...rest } = place;
  const [up, down] = [linear(dim, 2 * dim, { ...rest, outAxis: 'hidden', inAxis: 'dim' }), linear(2 * dim, dim, { ...place, outAxis: 'dim', inAxis: 'hidden' })];
  return {
    specs: { up: up.specs, down: down.specs },
    initialiserOf: (spec, path) => (path.startsWith('up') ? up : down).initialiserOf(spec, path.split('.')[1]!),
    apply: (x, params) => tidy(() => {
      const p = params as { up: Tree<Tensor>; down: Tree<Tensor> };
      return down.apply(relu(up.apply(x, p.up)), p.down);
    }),
  };
};

/** distance — ‖a − b‖ / ‖b‖. */
export async function distance(a: Tensor, b: Tensor): Promise<number> {
  const [values, others] = await Promise.all([a.data(), b.data()]);
  return Math.hypot(...Array.from(values, (value, i) => value - others[i]!)) / Math.hypot(...others);
}
