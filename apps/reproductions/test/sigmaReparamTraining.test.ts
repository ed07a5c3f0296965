import { captureStep, foldSeed, treeEntries, valueAndGrad, type Params, type Tree } from '@evenkeel/core-tensor';
import { gpt, type Gpt, type GptParams, type GptSizes } from '@evenkeel/models-gpt';
import { adamw, applyUpdates } from '@evenkeel/optimizers';
import { foldSigmaReparam, sigmaReparam, spectralNorm } from '@evenkeel/sigma-reparam';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { memoryStore, train, type TrainOptions } from '@evenkeel/training';
import { abs, dispose, dot, memory, sum, tensor2d, tidy, type Tensor, type Tensor2D, type Variable } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';

/** The value of a scalar that `f` makes, which is freed. */
async function numberOf(f: () => Tensor): Promise<number> {
  const x = tidy(f);
  const [value] = await x.data();
  x.dispose();
  return value as number;
}

type Batch = { inputs: Tensor2D; targets: Tensor2D };
type Trained = { model: Gpt; params: Params & GptParams; values: Tree<Variable> };

const sizes: GptSizes = { vocabSize: 11, contextLength: 8, depth: 2, dim: 12, numHeads: 3, tiedHead: false };
const PLACEMENTS = ['none', 'post', 'pre'] as const;

const made = (placement: (typeof PLACEMENTS)[number]): Trained => {
  const model = gpt({ ...sizes, placement, linear: sigmaReparam(), head: sigmaReparam({ bias: false }) });
  const params = model.init({ seed: 2 });
  return { model, params, values: model.state.init(params) };
};

/** Counting by three from a number that differs from step to step: something to learn. */
function batch(step: number): Batch {
  const ids = (shift: number) => tensor2d(Array.from({ length: 32 }, (_, i) => (step + Math.floor(i / 8) + 3 * ((i % 8) + shift)) % 11), [4, 8], 'int32');
  return { inputs: ids(0), targets: ids(1) };
}

const options = ({ model, params, values }: Trained, steps: number): TrainOptions<Params & GptParams, Batch> => ({
  params, steps, seed: 1, checkpointEvery: 7, batches: batch,
  modelState: { values, update: model.state.update },
  optimizer: adamw({ learningRate: 1e-2 }),
  loss: (p, given, context) => model.loss(given, p, context),
});

async function read(...trees: Tree<Tensor>[]): Promise<Record<string, number[]>[]> {
  return Promise.all(trees.map(async (tree) => Object.fromEntries(await Promise.all(
    treeEntries<Tensor>(tree).map(async ([path, x]) => [path, Array.from(await x.data())] as const)))));
}

forEachBackend((backend) => {
  it.each(PLACEMENTS)('gpt with sigmaReparam and placement %s trains, its state follows, and nothing leaks', async (placement) => {
    const before = memory().numTensors;
    const trained = made(placement);
    const losses: number[] = [];
    let calls = 0;
    const given = options(trained, 40);
    await train({ ...given, loss: (...args) => (calls += 1, given.loss(...args)), callbacks: { onStep: ({ loss }) => void losses.push(loss) } });
    expect(losses[0]!).toBeGreaterThan(2);
    expect(losses.at(-1)!).toBeLessThan(0.6 * losses[0]!);
    expect(calls < 12).toBe(backend === 'evenkeel-webgpu'); // captured: most steps are replayed
    const { weight } = (trained.params.blocks[1] as unknown as { mlp: { up: { weight: Tensor } } }).mlp.up;
    const { u, v } = (trained.values as unknown as { blocks: { mlp: { up: { u: Tensor; v: Tensor } } }[] }).blocks[1]!.mlp.up;
    const sigma = await numberOf(() => dot(u, dot(weight, v)));
    expect(sigma / await numberOf(() => spectralNorm(weight, { iterations: 200 }))).toBeGreaterThan(0.98);
    dispose([trained.params, trained.values] as never);
    expect(memory().numTensors).toBe(before);
  });

  it('a resumed run goes on with the vectors that were saved, bit for bit', async () => {
    const run = async (steps: number, files = new Map()) => {
      const trained = made('post');
      const { resumedFrom } = await train({ ...options(trained, steps), store: memoryStore(files), resume: true });
      const [params, values] = await read(trained.params as Params, trained.values);
      dispose([trained.params, trained.values] as never);
      return { params, values, files, resumedFrom };
    };
    const whole = await run(14);
    const half = await run(7);
    const resumed = await run(14, half.files);
    expect(resumed.resumedFrom).toBe(7);
    expect(resumed.params).toEqual(whole.params);
    expect(resumed.values).toEqual(whole.values);
    expect(half.values).not.toEqual(whole.values);
  });

  it('what was trained can be folded into a plain model, which gives the same logits', async () => {
    const trained = made('post');
    await train(options(trained, 5));
    const plain = gpt({ ...sizes, placement: 'post' });
    const folded = foldSigmaReparam(trained.params as Params, trained.values) as Params & GptParams;
    const { inputs, targets } = batch(3);
    const [y, expected] = [plain.apply(inputs, folded), trained.model.apply(inputs, trained.params, { state: trained.values })];
    await expectClose(y, expected, { rtol: 0, atol: 0 });
    expect(await numberOf(() => sum(abs(y)))).toBeGreaterThan(1);
    dispose([trained.params, trained.values, folded, inputs, targets, y, expected] as never);
  });
});

forEachBackend(['evenkeel-webgpu'], () => {
  it('a step with sigmaReparam is captured, and its replays are what the JavaScript would have computed', async () => {
    const run = async (capture: boolean) => {
      const { model, params, values } = made('none');
      const optimizer = adamw({ learningRate: 1e-3 });
      const state = optimizer.init(params);
      const step = (given: Batch, { seed }: { seed: number }): Tensor => tidy(() => {
        const { value, grads } = valueAndGrad((p) => model.loss(given, p, { train: true, seed, state: values }), params);
        applyUpdates(params, optimizer.update(grads as never, state, params) as never);
        model.state.update(params, values);
        return value;
      });
      const captured = captureStep(step as never) as unknown as typeof step & ReturnType<typeof captureStep>;
      for (let i = 0; i < 8; i++) {
        const given = batch(i);
        dispose([(capture ? captured : step)(given, { seed: foldSeed(1, i) }), given] as never);
      }
      const status = captured.status();
      const result = await read(params as Params, values);
      captured.dispose();
      dispose([params, values, state] as never);
      return { result, status };
    };
    const [captured, eager] = [await run(true), await run(false)];
    expect(captured.status.state).toBe('captured');
    expect(captured.result).toEqual(eager.result);
  });
});
