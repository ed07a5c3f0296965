import { dispose, type Tensor2D } from '@tensorflow/tfjs-core';
import { treeLeaves } from '@evenkeel/core-tensor';
import type { GptParams } from '@evenkeel/models-gpt';
import { isCount } from '../fields.ts';
import { formatCount } from '../format.ts';
import { checkModelSettings } from '../modelSettings.ts';
import { EPS_OF_STEPS, optimizerFor } from '../optimizer.ts';
import { parameterCount } from '../statistics.ts';
import type { Conclusion, Facts, Family, Task } from '../task.ts';
import { techniquesInWords } from '../techniques.ts';
import type { TrainFlags } from '../trainModel.ts';
import { evaluationBatches, meanLossOf } from './evaluation.ts';
import { freshModel } from './freshModel.ts';
import { GPT_TESTS, LATER_GPT_SETTINGS, newGptSettings, type GptSettings, type TrainGptFlags } from './gptSettings.ts';
import { checkMemory } from './memoryNeed.ts';
import { openRunData, prepareRunData, type RunData } from './runData.ts';
import { drawSample } from './sample.ts';
import { saveModel } from './savedModel.ts';

/** Tokens of an evaluation during training: as many as nanoGPT's 20 batches of 12 × 64. */
const EVAL_TOKENS = 15_360;
/** Tokens of the evaluation at the end. */
const FINAL_TOKENS = 131_072;

/** gptFamily — `train gpt`: next tokens of a text. */
export const gptFamily: Family<GptSettings, TrainGptFlags & TrainFlags> = {
  command: 'train gpt', slug: 'gpt', title: 'GPT training run', perplexity: true,
  tests: { settings: GPT_TESTS, facts: { vocabSize: isCount } },
  later: LATER_GPT_SETTINGS,
  begin: async (flags, { workshop, device: open }) => {
    const settings = newGptSettings(flags);
    const device = await open();
    checkMemory(settings, settings.vocabSize ?? 1, device.name);
    const vocabSize = await prepareRunData(settings, workshop);
    checkMemory(settings, vocabSize, device.name);
    return { settings, facts: { vocabSize } };
  },
  check: (settings, { vocabSize }: Facts, device) => {
    checkModelSettings(settings);
    checkMemory(settings, vocabSize as number, device);
  },
  open: async (settings, _, directory) => {
    const data = await openRunData(settings, directory);
    const task = gptTask(settings, data);
    return { ...task, dispose: () => { task.dispose(); data.close(); } };
  },
};

/** gptTask — a fresh GPT on a text; the text stays the caller's. */
export function gptTask(settings: GptSettings, data: RunData): Task {
  const { context, batchSize, depth, dim, numHeads, optimizer: name } = settings;
  const trained = freshModel(settings, data.vocabSize);
  const { model, params, state } = trained;
  const { optimizer, schedule } = optimizerFor(settings, model.specs);
  const batchesOf = (maxTokens: number) => evaluationBatches(data.val, { contextLength: context, batchSize, maxTokens });
  const valBatches = batchesOf(EVAL_TOKENS);
  const techniques = techniquesInWords(settings);
  return {
    params, optimizer, schedule, stepEps: EPS_OF_STEPS[name],
    ...(treeLeaves(state).length > 0 && { modelState: { values: state, update: model.state.update } }),
    batches: data.batch,
    loss: (leaves, batch, call) => model.loss(batch as { inputs: Tensor2D; targets: Tensor2D }, leaves as unknown as GptParams, call),
    ...(valBatches.length > 0 && { evaluate: async () => (await meanLossOf(model, params, valBatches, state)).loss }),
    perStep: { count: batchSize * context, unit: 'tokens' },
    facts: { vocabSize: data.vocabSize },
    about: [
      ['data', data.name],
      ['', `${formatCount(data.train.length)} tokens to train, ${formatCount(data.val.length)} to validate, vocabulary ${formatCount(data.vocabSize)}`],
      ['model', `${formatCount(parameterCount(params))} parameters: depth ${depth}, dim ${dim}, ${numHeads} heads, context ${context}`],
      ...(techniques === '' ? [] : [['with', techniques] as const]),
    ],
    save: (directory) => saveModel(directory, trained),
    conclude: async (io): Promise<Conclusion> => {
      const batches = batchesOf(FINAL_TOKENS);
      if (batches.length > 0) io.line('evaluating on the validation text …');
      const final = batches.length === 0 ? undefined : await meanLossOf(model, params, batches, state);
      return {
        ...(final && { valLoss: final.loss }), fields: {},
        measured: final === undefined ? [] : [['validation loss', `${final.loss.toFixed(4)} over ${formatCount(final.tokens)} tokens`]],
        sample: await drawSample(trained, data.tokenizer),
        next: ['Continue a text of yours', 'generate --checkpoint DIR --prompt "…"'],
      };
    },
    dispose: () => dispose([params, state] as never),
  };
}
