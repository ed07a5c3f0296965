import { dispose } from '@tensorflow/tfjs-core';
import { canCapture, foldSeed, type Params } from '@evenkeel/core-tensor';
import { oneEpochSampler } from '@evenkeel/data';
import { bertWithHead, maskedBatch, maskedLmHead, type HeadedParams, type MaskedBatchOptions, type MaskedLmBatch } from '@evenkeel/models-bert';
import { following } from '../average.ts';
import { isCount } from '../fields.ts';
import { formatCount } from '../format.ts';
import { checkMemory } from '../gpt/memoryNeed.ts';
import { EPS_OF_STEPS, optimizerFor } from '../optimizer.ts';
import { withPlainParams } from '../plainParams.ts';
import { parameterCount, spread } from '../statistics.ts';
import type { Conclusion, Family, Task } from '../task.ts';
import { reparametrised, techniquesInWords } from '../techniques.ts';
import type { TrainFlags } from '../trainModel.ts';
import { bertOf } from './bertModel.ts';
import { BERT_PLAIN, BERT_TESTS, checkBertSettings, newBertSettings, type BertSettings, type TrainBertFlags } from './bertSettings.ts';
import { filledSection } from './filledSection.ts';
import { saveBertModel } from './savedBert.ts';
import { openSequences, prepareSequences, type SequenceData } from './sequences.ts';

/** Sequences of an evaluation during training, and of that at the end. */
const EVAL_SEQUENCES = 400;
const FINAL_SEQUENCES = 4000;

/** bertFamily — `train bert`: masked tokens of a text. */
export const bertFamily: Family<BertSettings, TrainBertFlags & TrainFlags> = {
  command: 'train bert', slug: 'bert', title: 'BERT pre-training run',
  tests: { settings: BERT_TESTS, facts: { vocabSize: isCount } },
  begin: async (flags, { workshop, device: open }) => {
    const settings = newBertSettings(flags);
    checkSizes(settings, settings.vocabSize ?? 1, (await open()).name);
    return { settings, facts: { vocabSize: await prepareSequences(settings, workshop) } };
  },
  check: (settings, { vocabSize }, device) => {
    checkBertSettings(settings);
    checkSizes(settings, vocabSize as number, device);
  },
  open: async (settings, _, directory) => bertTask(settings, await openSequences(settings, directory)),
};

/** Sequences may all be short, so only what one token needs is sure. */
const checkSizes = (settings: BertSettings, vocabSize: number, device: string): void => checkMemory({ ...settings, batchSize: 1 }, vocabSize, device);

function bertTask(settings: BertSettings, data: SequenceData): Task {
  const { depth, dim, numHeads, dropout, context, seed, batchSize, arch, maskRate: prob } = settings;
  const { vocabSize } = data.tokenizer;
  const sizes = { vocabSize, depth, dim, numHeads, dropout, contextLength: context };
  const model = bertWithHead(bertOf(sizes, settings, reparametrised(settings.sigmaReparam)), maskedLmHead());
  const params = model.init({ seed: foldSeed(seed, 'init') });
  const follows = following(model.state, params);
  const { optimizer, schedule } = optimizerFor(settings, model.specs);
  const order = oneEpochSampler({ count: data.train.length, batchSize, seed: foldSeed(seed, 'data'), allowRepeat: true });
  const unpads = arch === 'mosaic';
  const { clsId, sepId, padId, maskId } = data.specials;
  type Form = Pick<MaskedBatchOptions, 'length' | 'unpadded' | 'everyLabel'>;
  const masking = (at: number, form: Form = {}): MaskedBatchOptions => ({ padId, maskId, specials: [clsId, sepId, padId], vocabSize, prob, seed: at, ...form });
  const formOfStep: Form = unpads ? { unpadded: true } : canCapture() ? { length: context, everyLabel: true } : {};
  const validate = async (most: number): Promise<number> => {
    const chosen = spread(data.val.length, most).map((i) => data.val[i] as Int32Array);
    let [sum, count] = [0, 0];
    for (let start = 0; start < chosen.length; start += batchSize) {
      const masked = maskedBatch(chosen.slice(start, start + batchSize), masking(foldSeed(seed, 'val', start), { unpadded: unpads }));
      const loss = model.loss(masked.batch, params, { state: follows.layers });
      sum += masked.rows.length * ((await loss.data())[0] as number);
      count += masked.rows.length;
      dispose([loss, masked.batch] as never);
    }
    return sum / count;
  };
  return {
    params, optimizer, schedule, stepEps: EPS_OF_STEPS[settings.optimizer],
    ...(follows.modelState && { modelState: follows.modelState }),
    batches: (step) => maskedBatch([...order.indices(step)].map((i) => data.train[i] as Int32Array), masking(foldSeed(seed, 'mask', step), formOfStep)).batch,
    loss: (leaves, batch, call) => model.loss(batch as MaskedLmBatch, leaves as unknown as HeadedParams, call),
    ...(data.val.length > 0 && { evaluate: () => validate(EVAL_SEQUENCES) }),
    perStep: { count: batchSize, unit: 'sequences' },
    facts: { vocabSize },
    about: aboutOf(settings, data, params),
    save: (directory) => withPlainParams(params, follows.layers, (plain, isFolded) => saveBertModel(
      directory, { model: isFolded ? bertWithHead(bertOf(model.config, settings), maskedLmHead()) : model, params: plain, techniques: settings, family: 'bert' })),
    conclude: async (io): Promise<Conclusion> => {
      const next: Conclusion['next'] = ['Fine-tune the model', 'finetune --checkpoint DIR --task sst2 --data …'];
      if (data.val.length === 0) return { fields: {}, measured: [], next };
      io.line('evaluating on the validation text …');
      const valLoss = await validate(FINAL_SEQUENCES);
      const sections = await filledSection(model, { params, state: follows.layers }, data, masking(foldSeed(seed, 'shown')));
      const count = Math.min(FINAL_SEQUENCES, data.val.length);
      return { valLoss, fields: {}, measured: [['validation loss', `${valLoss.toFixed(4)} of masked tokens in ${formatCount(count)} sequence${count === 1 ? '' : 's'}`]], sections, next };
    },
    dispose: () => {
      dispose(params as never);
      follows.dispose();
    },
  };
}

function aboutOf(settings: BertSettings, { name, tokenizer, train, val }: SequenceData, params: Params): Task['about'] {
  const { depth, dim, numHeads, context, arch, maskRate, sequence } = settings;
  const techniques = techniquesInWords(settings, BERT_PLAIN);
  const tokens = train.reduce((sum, { length }) => sum + length, 0);
  return [
    ['data', name],
    ['', `${formatCount(train.length)} ${sequence}s of ${Math.round(tokens / train.length)} tokens on average to train, ${formatCount(val.length)} to validate, vocabulary ${formatCount(tokenizer.vocabSize)}`],
    ['model', `${arch === 'mosaic' ? 'MosaicBERT' : 'BERT'}, ${formatCount(parameterCount(params))} parameters: depth ${depth}, dim ${dim}, ${numHeads} heads, context ${context}`],
    ['with', `--mask-rate ${maskRate}${techniques === '' ? '' : ` ${techniques}`}`],
  ];
}
